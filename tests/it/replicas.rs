//! Several replicas on one database, and many callers at once: numbers, locks and clears are shared by all.

use std::time::Instant;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::fixtures::{SetContext, bundle, entry, observation, patient};
use crate::support::app::Launched;
use crate::support::poc::{Launch, PointOfCare};
use crate::support::receiver::{Behaviour, PATIENCE, Receiver};
use crate::support::server::TestServer;
use crate::support::session::Session;

const CONFIG: &str = "[delivery]\ntimeout = \"4s\"\nlock_wait = \"20s\"\n[server]\nrequest_timeout = \"60s\"";

struct Scene {
    server: TestServer,
    poc: PointOfCare,
    receiver: Receiver,
    launch: Launch,
    app: Launched,
    /// The same app at the other replica.
    there: Session,
}

async fn scene() -> Scene {
    let server = TestServer::configured(CONFIG).await;
    let other = server.replica(CONFIG).await;
    let (poc, receiver) = server.subscribed_poc("poc", 7).await;
    server.user("user", 7).await;
    let launch = poc.launch(&SetContext::patient("Smith").build()).await;
    let app = server.app("app").await.launch(&launch.id, "user").await;
    let there = Session { fhir: other, ..app.session.clone() };
    Scene { server, poc, receiver, launch, app, there }
}

impl Scene {
    fn observation(&self, text: &str) -> Value {
        observation(self.launch.first("Patient"), text)
    }

    async fn assert_nothing_is_under_way(&self) {
        for sql in ["select count(*) from intent", "select count(*) from write_lock"] {
            assert_eq!(self.server.count(sql).await, 0, "{sql}");
        }
    }
}

#[tokio::test]
async fn a_token_and_a_resource_of_one_replica_count_at_the_other() {
    let scene = scene().await;
    let written = scene.there.post("Observation", &scene.observation("there")).await.expect(201);
    let location = format!("{}/Observation/{}/_history/1", scene.server.fhir, written.id());
    assert_eq!(written.header("location"), location, "the public address, whichever replica answers");
    let read = scene.app.get(&format!("Observation/{}", written.id())).await.expect(200);
    assert_eq!(read.text, written.text);
    scene.poc.clear(&scene.launch.id).await.expect(200);
    scene.there.get(&format!("Observation/{}", written.id())).await.expect(401);
}

#[tokio::test]
async fn numbers_are_consecutive_over_replicas() {
    let scene = scene().await;
    let bodies: Vec<_> = (0..16).map(|number| scene.observation(&number.to_string())).collect();
    let writes = bodies.iter().enumerate().map(|(number, body)| {
        let caller = if number % 2 == 0 { &scene.app.session } else { &scene.there };
        caller.post("Observation", body)
    });
    let answers = join_all(writes).await;
    answers.into_iter().for_each(|answer| drop(answer.expect(201)));
    let numbers: Vec<_> = scene.receiver.acknowledged().into_iter().map(|(number, _)| number).collect();
    assert_eq!(numbers, (1..=16).collect::<Vec<_>>(), "each once, in order, one sequence");
    assert_eq!(scene.server.count("select count(*) from resource where type = 'Observation'").await, 16);
    scene.assert_nothing_is_under_way().await;
}

#[tokio::test]
async fn a_version_is_won_at_one_replica_only() {
    let scene = scene().await;
    let id = scene.app.post("Observation", &scene.observation("before")).await.expect(201).id();
    let path = format!("Observation/{id}");
    let bodies: Vec<_> = (0..6)
        .map(|number| {
            let mut one = scene.observation(&number.to_string());
            one["id"] = json!(id);
            one.to_string()
        })
        .collect();
    let puts = bodies.iter().enumerate().map(|(number, body)| {
        let caller = if number % 2 == 0 { &scene.app.session } else { &scene.there };
        caller.send("PUT", &path, &[("if-match", "W/\"1\"")], Some(body.clone()))
    });
    let statuses: Vec<_> = join_all(puts).await.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 409 | 412)), "{statuses:?}");
    assert_eq!(scene.receiver.acknowledged().len(), 2, "what lost was never told");
    scene.assert_nothing_is_under_way().await;
}

#[tokio::test]
async fn a_clear_at_one_replica_abandons_a_write_that_waits_at_the_other() {
    let scene = scene().await;
    scene.receiver.behave(Behaviour::Hang);
    let body = scene.observation("waiting");
    let write = scene.there.post("Observation", &body);
    let clear = async {
        scene.receiver.wait_for(1).await;
        scene.poc.clear(&scene.launch.id).await.expect(200);
        scene.receiver.behave(Behaviour::Accept);
    };
    let (written, ()) = tokio::join!(write, clear);
    assert!(matches!(written.status, 401 | 409), "{}: {}", written.status, written.text);
    assert_eq!(scene.server.count("select count(*) from resource where type = 'Observation'").await, 0);
    scene.assert_nothing_is_under_way().await;
}

#[tokio::test]
async fn a_clear_in_the_midst_of_writes_leaves_nothing() {
    let scene = scene().await;
    let bodies: Vec<_> = (0..12).map(|number| scene.observation(&number.to_string())).collect();
    let writes = join_all(bodies.iter().enumerate().map(|(number, body)| {
        let caller = if number % 2 == 0 { &scene.app.session } else { &scene.there };
        caller.post("Observation", body)
    }));
    let clear = async {
        scene.receiver.wait_for(2).await;
        scene.poc.clear(&scene.launch.id).await.expect(200)
    };
    let (answers, _) = tokio::join!(writes, clear);
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert!(statuses.iter().all(|status| matches!(status, 201 | 401 | 409)), "{statuses:?}");
    let left = "select count(*) from resource where type = 'Observation' and body is not null";
    assert_eq!(scene.server.count(left).await, 0);
    scene.assert_nothing_is_under_way().await;
}

#[tokio::test]
async fn transactions_that_touch_the_same_resources_in_another_order_do_not_block_each_other() {
    let scene = scene().await;
    let mut ids = Vec::new();
    for text in ["a", "b"] {
        ids.push(scene.app.post("Observation", &scene.observation(text)).await.expect(201).id());
    }
    let put = |id: &String| {
        let mut one = scene.observation("both");
        one["id"] = json!(id);
        entry("", "PUT", &format!("Observation/{id}"), Some(&one))
    };
    let forth = bundle("transaction", &[put(&ids[0]), put(&ids[1])]);
    let back = bundle("transaction", &[put(&ids[1]), put(&ids[0])]);
    let begun = Instant::now();
    let writes = (0..8).map(|number| {
        let caller = if number < 4 { &scene.app.session } else { &scene.there };
        caller.post("", if number % 2 == 0 { &forth } else { &back })
    });
    let answers = join_all(writes).await;
    answers.into_iter().for_each(|answer| drop(answer.expect(200)));
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    for id in &ids {
        let version = scene.app.get(&format!("Observation/{id}")).await.expect(200);
        assert_eq!(version.header("etag"), "W/\"9\"");
    }
    scene.assert_nothing_is_under_way().await;
}

#[tokio::test]
async fn equal_conditions_in_parallel_set_contexts_make_one_resource() {
    let scene = scene().await;
    let mut jane = patient("Smith");
    jane["identifier"] = json!([{"system": "urn:mrn", "value": "1"}]);
    let input = SetContext::default()
        .reference("patient", "urn:uuid:p")
        .entry_if_none_exist("urn:uuid:p", &jane, "identifier=urn:mrn|1")
        .build();
    let there = Session { fhir: scene.there.fhir.clone(), ..scene.poc.session.clone() };
    let calls = (0..6).map(|number| {
        let caller = if number % 2 == 0 { &scene.poc.session } else { &there };
        caller.post("$set-context", &input)
    });
    let launches: Vec<_> =
        join_all(calls).await.into_iter().map(|answer| Launch::read(&answer.expect(200).json())).collect();
    assert!(launches.iter().all(|launch| launch.first("Patient") == launches[0].first("Patient")), "{launches:?}");
    let matching = "select count(*) from resource where type = 'Patient' and body like '%urn:mrn%'";
    assert_eq!(scene.server.count(matching).await, 1);
}

#[tokio::test]
async fn a_write_that_queues_behind_another_replica_hears_what_the_poc_said() {
    let scene = scene().await;
    scene.receiver.behave(Behaviour::Hang);
    let (first, second) = (scene.observation("first"), scene.observation("second"));
    let (here, there) = (scene.app.session.clone(), scene.there.clone());
    let first = tokio::spawn(async move { here.post("Observation", &first).await });
    scene.receiver.wait_for(1).await;
    let second = tokio::spawn(async move { there.post("Observation", &second).await });
    let begun = Instant::now();
    while scene.server.count("select count(*) from intent").await < 2 {
        assert!(begun.elapsed() < PATIENCE, "the second write never queued up");
    }
    scene.receiver.behave(Behaviour::refuse(422, "not this one"));
    first.await.unwrap().expect_issue(422, "processing").saying("not this one");
    second.await.unwrap().expect_issue(422, "processing").saying("not this one");
    scene.assert_nothing_is_under_way().await;
}
