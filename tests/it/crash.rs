//! A real SIGKILL while the point-of-care system is waited for: afterwards its own log and the store must agree.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fixtures::{SetContext, observation};
use crate::support::app::Launched;
use crate::support::poc::{Launch, PointOfCare};
use crate::support::process::Process;
use crate::support::receiver::{Behaviour, PATIENCE, Received, Receiver};

struct Scene {
    process: Process,
    poc: PointOfCare,
    receiver: Receiver,
    subscription: String,
    launch: Launch,
    app: Launched,
}

async fn scene() -> Scene {
    let settings = [("SOFA__DELIVERY__LEASE", "3s"), ("SOFA__DELIVERY__TIMEOUT", "2s")];
    let process = Process::start(&settings).await;
    let (poc, receiver) = (process.poc("poc", 7).await, Receiver::start().await);
    let subscription = poc.subscribe(&receiver).await;
    process.user("user", 7).await;
    let launch = poc.launch(&SetContext::patient("Smith").build()).await;
    let app = process.app("app").await.launch(&launch.id, "user").await;
    Scene { process, poc, receiver, subscription, launch, app }
}

impl Scene {
    fn observation(&self, text: &str) -> Value {
        observation(self.launch.first("Patient"), text)
    }

    /// Waits until `count` intents are stored.
    async fn until_intents(&self, count: i64) {
        let begun = Instant::now();
        while self.process.count("select count(*) from intent").await != count {
            assert!(begun.elapsed() < PATIENCE, "there never were {count} intents");
        }
    }

    /// `$events` as the Bundle the owner gets.
    async fn events(&self) -> Received {
        let answer = self.poc.get(&format!("Subscription/{}/$events", self.subscription)).await.expect(200);
        Received {
            at: answer.at,
            headers: answer.headers.clone(),
            body: answer.json(),
            text: answer.text,
            acknowledged: true,
        }
    }

    /// What the PoC acknowledged is stored, with that content; what is stored was acknowledged; and `$events` says the same.
    async fn assert_agreement(&self) {
        let mut acknowledged: Vec<(u64, String)> = Vec::new();
        for event in self.receiver.events().iter().filter(|event| event.acknowledged) {
            for (number, focus) in event.events() {
                let focus = focus.expect("a focus");
                let one = (
                    number,
                    focus.rsplitn(3, '/').take(2).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("/"),
                );
                if !acknowledged.contains(&one) {
                    acknowledged.push(one);
                }
            }
        }
        acknowledged.sort();
        for (_, reference) in &acknowledged {
            let shown = self
                .receiver
                .events()
                .into_iter()
                .flat_map(|event| event.resources().into_iter().cloned().collect::<Vec<_>>());
            let stored = self.app.get(reference).await.expect(200).json();
            assert!(shown.into_iter().any(|one| one == stored), "{reference} is stored as it was shown");
        }
        let stored = self.process.count("select count(*) from resource where type = 'Observation'").await;
        assert_eq!(stored as usize, acknowledged.len(), "nothing is stored that was not acknowledged");
        let known: Vec<_> =
            self.events().await.events().into_iter().filter_map(|(number, focus)| focus.map(|_| number)).collect();
        assert_eq!(known, acknowledged.iter().map(|(number, _)| *number).collect::<Vec<_>>());
        for sql in ["select count(*) from intent", "select count(*) from write_lock"] {
            assert_eq!(self.process.count(sql).await, 0, "{sql}");
        }
    }
}

#[tokio::test]
async fn a_write_that_was_sent_is_finished_forward_with_the_same_number_and_content() {
    let mut scene = scene().await;
    scene.app.post("Observation", &scene.observation("before")).await.expect(201);
    scene.receiver.behave(Behaviour::Hang);
    let body = scene.observation("in flight");
    let session = scene.app.session.clone();
    let write = tokio::spawn(async move { session.try_send("POST", "Observation", &body).await });
    scene.receiver.wait_for(2).await;
    scene.process.kill().await;
    assert!(write.await.unwrap().is_none(), "the app was not told of success");
    scene.receiver.behave(Behaviour::Accept);
    scene.process.start_again().await;
    let events = scene.receiver.wait_for(3).await;
    assert_eq!(events[2].events(), events[1].events(), "the same number for the same change");
    assert_eq!(events[2].resources(), events[1].resources());
    scene.until_intents(0).await;
    scene.assert_agreement().await;
    let after = scene.app.post("Observation", &scene.observation("after")).await.expect(201);
    assert_eq!(scene.receiver.wait_for(4).await[3].numbers(), [3]);
    scene.app.get(&format!("Observation/{}", after.id())).await.expect(200);
    scene.assert_agreement().await;
}

#[tokio::test]
async fn a_write_that_was_sent_and_is_then_refused_leaves_nothing() {
    let mut scene = scene().await;
    scene.receiver.behave(Behaviour::Hang);
    let body = scene.observation("in flight");
    let session = scene.app.session.clone();
    let write = tokio::spawn(async move { session.try_send("POST", "Observation", &body).await });
    scene.receiver.wait_for(1).await;
    scene.process.kill().await;
    assert!(write.await.unwrap().is_none());
    scene.receiver.behave(Behaviour::refuse(422, "no longer"));
    scene.process.start_again().await;
    scene.receiver.wait_for(2).await;
    scene.until_intents(0).await;
    // The request that hung before the kill is answered with the refusal too: neither was acknowledged.
    scene.assert_agreement().await;
    assert_eq!(scene.events().await.numbers(), [1], "the number is withdrawn, and known");
}

#[tokio::test]
async fn a_write_that_was_staged_but_never_sent_is_dropped() {
    let mut scene = scene().await;
    scene.receiver.behave(Behaviour::Hang);
    let writes: Vec<_> = ["sent", "staged"]
        .into_iter()
        .map(|text| {
            let (session, body) = (scene.app.session.clone(), scene.observation(text));
            async move { session.try_send("POST", "Observation", &body).await }
        })
        .collect();
    let mut writes = writes.into_iter();
    let first = tokio::spawn(writes.next().unwrap());
    scene.receiver.wait_for(1).await;
    // The Subscription is waited for, so this one can only queue up behind it.
    let second = tokio::spawn(writes.next().unwrap());
    scene.until_intents(2).await;
    scene.process.kill().await;
    assert!(first.await.unwrap().is_none() && second.await.unwrap().is_none());
    scene.receiver.behave(Behaviour::Accept);
    scene.process.start_again().await;
    scene.until_intents(0).await;
    scene.assert_agreement().await;
    let texts: Vec<_> = scene
        .receiver
        .events()
        .iter()
        .flat_map(|event| event.resources().iter().map(|one| one["valueString"].clone()).collect::<Vec<_>>())
        .collect();
    assert!(!texts.contains(&Value::from("staged")), "{texts:?}");
}

#[tokio::test]
async fn a_write_that_was_acknowledged_is_stored_although_the_server_died_before_it_could() {
    let mut scene = scene().await;
    scene.receiver.behave(Behaviour::Hang);
    let body = scene.observation("acknowledged");
    let session = scene.app.session.clone();
    let write = tokio::spawn(async move { session.try_send("POST", "Observation", &body).await });
    scene.receiver.wait_for(1).await;
    // Holds what APPLY needs, so that the server is caught between the acknowledgement and its commit.
    let mut barrier = scene.process.db.pool.begin().await.unwrap();
    sqlx::query("lock table resource in access exclusive mode").execute(&mut *barrier).await.unwrap();
    scene.receiver.behave(Behaviour::Accept);
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let begun = Instant::now();
    while scene.process.count(waiting).await == 0 {
        assert!(begun.elapsed() < PATIENCE, "the server never tried to apply");
    }
    assert_eq!(scene.receiver.acknowledged().len(), 1);
    scene.process.kill().await;
    barrier.rollback().await.unwrap();
    assert!(write.await.unwrap().is_none());
    scene.process.start_again().await;
    scene.until_intents(0).await;
    scene.assert_agreement().await;
    assert_eq!(scene.process.count("select count(*) from resource where type = 'Observation'").await, 1, "no phantom");
    assert_eq!(scene.receiver.wait_for(2).await[1].numbers(), [1]);
}

#[tokio::test]
async fn killed_again_and_again_under_load_poc_and_store_agree() {
    let mut scene = scene().await;
    // A longer campaign: SOFA_TEST_KILLS=500 SOFA_TEST_SEED=11 cargo test killed_again
    let setting = |name: &str, usual: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (rounds, mut seed) = (setting("SOFA_TEST_KILLS", 6), setting("SOFA_TEST_SEED", 7));
    for round in 0..rounds {
        scene.receiver.behave(Behaviour::Accept);
        scene.receiver.next((0..8).map(|number| match (number + round + seed % 7) % 7 {
            0 => Behaviour::refuse(409, "not now"),
            1 => Behaviour::DropAfterReading,
            2 => Behaviour::DropBeforeReading,
            3 => Behaviour::status(500),
            _ => Behaviour::Accept,
        }));
        let writes: Vec<_> = (0..6)
            .map(|number| {
                let (session, body) = (scene.app.session.clone(), scene.observation(&format!("{round}/{number}")));
                tokio::spawn(async move { session.try_send("POST", "Observation", &body).await })
            })
            .collect();
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let target = scene.receiver.events().len() + 1 + (seed >> 60) as usize % 3;
        let _some_were_sent = tokio::time::timeout(Duration::from_secs(3), scene.receiver.wait_for(target)).await;
        scene.process.kill().await;
        let mut told = Vec::new();
        for write in writes {
            told.extend(write.await.unwrap().filter(|answer| answer.status == 201).map(|answer| answer.id()));
        }
        scene.process.start_again().await;
        scene.until_intents(0).await;
        for id in told {
            scene.app.get(&format!("Observation/{id}")).await.expect(200);
        }
        if scene.poc.get(&format!("Subscription/{}", scene.subscription)).await.expect(200).json()["status"] == "error"
        {
            let mut again = crate::support::poc::subscription(&scene.receiver.url(), "full-resource");
            again["id"] = Value::from(scene.subscription.clone());
            scene.receiver.next([]);
            scene.poc.put(&format!("Subscription/{}", scene.subscription), &again).await.expect(200);
            scene.poc.until_status(&scene.subscription, "active").await;
        }
    }
    scene.assert_agreement().await;
}

#[tokio::test]
async fn a_launch_whose_time_runs_out_while_the_server_is_down_is_cleared_at_its_start() {
    let settings = [("SOFA__CONTEXT__TTL", "2s"), ("SOFA__CONTEXT__LAUNCH_WINDOW", "1s")];
    let mut process = Process::start(&settings).await;
    let (poc, _receiver) = process.subscribed_poc("poc", 7).await;
    let launch = poc.launch(&SetContext::patient("Smith").build()).await;
    process.kill().await;
    let over = "select count(*) from context where expires_at <= now()";
    let begun = Instant::now();
    while process.count(over).await == 0 {
        assert!(begun.elapsed() < PATIENCE);
    }
    process.start_again().await;
    let kept = "select count(*) from resource where type = 'Patient' and body is not null";
    while process.count(kept).await > 0 {
        assert!(begun.elapsed() < PATIENCE, "it was never cleared");
    }
    poc.get(launch.first("Patient")).await.expect(410);
    poc.clear(&launch.id).await.expect(410);
}
