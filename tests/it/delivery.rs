//! Delivery before commit: the guarantees of the write path, and every answer of a point-of-care system.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fixtures::{SetContext, bundle, entry, observation, patient};
use crate::support::answer::Answer;
use crate::support::app::Launched;
use crate::support::poc::{BACKPORT, Launch, PointOfCare, subscription};
use crate::support::receiver::{Behaviour, Receiver};
use crate::support::server::TestServer;

/// An app in a launch of a PoC with an active Subscription.
struct Scene {
    server: TestServer,
    poc: PointOfCare,
    receiver: Receiver,
    subscription: String,
    launch: Launch,
    app: Launched,
}

async fn scene() -> Scene {
    scene_with("[delivery]\ntimeout = \"1s\"\nlock_wait = \"1s\"").await
}

async fn scene_with(config: &str) -> Scene {
    let server = TestServer::configured(config).await;
    let (poc, receiver) = (server.poc("poc", 7).await, Receiver::start().await);
    let subscription = poc.subscribe(&receiver).await;
    server.user("user", 7).await;
    let launch = poc.launch(&SetContext::patient("Smith").build()).await;
    let app = server.app("app").await.launch(&launch.id, "user").await;
    Scene { server, poc, receiver, subscription, launch, app }
}

impl Scene {
    fn observation(&self, text: &str) -> Value {
        observation(self.launch.first("Patient"), text)
    }

    async fn write(&self, text: &str) -> Answer {
        self.app.post("Observation", &self.observation(text)).await
    }

    /// `$events` as (number, focus).
    async fn events(&self) -> Vec<(u64, Option<String>)> {
        let path = format!("Subscription/{}/$events?eventsSinceNumber=1", self.subscription);
        let answer = self.poc.get(&path).await.expect(200);
        let body = answer.json();
        crate::support::receiver::Received {
            at: answer.at,
            headers: answer.headers,
            text: answer.text,
            body,
            acknowledged: true,
        }
        .events()
    }

    /// Neither resource, version, search value, intent nor lock of any Observation is left.
    async fn assert_no_trace(&self) {
        for sql in [
            "select count(*) from resource where type = 'Observation'",
            "select count(*) from resource_history where type = 'Observation'",
            "select count(*) from search_token left join resource using (tenant, key) where type is not distinct from 'Observation'",
            "select count(*) from intent",
            "select count(*) from intent_change",
            "select count(*) from write_lock",
        ] {
            assert_eq!(self.server.count(sql).await, 0, "{sql}");
        }
    }
}

#[tokio::test]
async fn the_poc_has_the_notification_before_the_app_has_its_answer_and_before_any_reader_sees_the_change() {
    let scene = scene_with("[delivery]\ntimeout = \"10s\"").await;
    scene.receiver.behave(Behaviour::Hang);
    let write = scene.write("hello");
    let watch = async {
        let notification = scene.receiver.wait_for(1).await.remove(0);
        let resource = notification.resources()[0].clone();
        let path = format!("Observation/{}", resource["id"].as_str().unwrap());
        scene.app.get(&path).await.expect(404);
        scene.poc.get(&path).await.expect(404);
        scene.app.get(&format!("{path}/_history/1")).await.expect(404);
        scene.app.get(&format!("{path}/_history")).await.expect(404);
        let released = Instant::now();
        scene.receiver.behave(Behaviour::Accept);
        (notification, resource, released)
    };
    let (answer, (notification, resource, released)) = tokio::join!(write, watch);
    let answer = answer.expect(201);
    assert!(answer.at > released && notification.at < released, "no success before the acknowledgement");
    assert_eq!(answer.json(), resource, "the PoC was shown what was stored, id and meta included");
    scene.app.get(&format!("Observation/{}", answer.id())).await.expect(200);
}

#[tokio::test]
async fn any_2xx_with_any_body_is_an_acknowledgement() {
    let scene = scene().await;
    let answers = [
        Behaviour::Accept,
        Behaviour::status(204),
        Behaviour::status(202),
        Behaviour::Answer(201, "not JSON at all".to_owned()),
        Behaviour::refuse(200, "a body that reads like a refusal"),
    ];
    let count = answers.len();
    scene.receiver.next(answers);
    for number in 1..=count {
        let written = scene.write("x").await.expect(201);
        scene.app.get(&format!("Observation/{}", written.id())).await.expect(200);
        assert_eq!(scene.receiver.wait_for(number).await.last().unwrap().numbers(), [number as u64]);
    }
}

#[tokio::test]
async fn nothing_is_stored_when_the_poc_refuses() {
    let scene = scene().await;
    for status in [400, 401, 404, 409, 422, 429] {
        scene.receiver.behave(Behaviour::refuse(status, "Dr Jones has left the clinic"));
        scene.write("x").await.expect_issue(422, "processing").saying("Dr Jones has left the clinic");
        scene.assert_no_trace().await;
    }
    scene.receiver.behave(Behaviour::Answer(403, "<html>no outcome</html>".to_owned()));
    scene.write("x").await.expect_issue(422, "processing");
    scene.assert_no_trace().await;
}

#[tokio::test]
async fn a_refused_update_leaves_the_version_before() {
    let scene = scene().await;
    let id = scene.write("before").await.expect(201).id();
    let path = format!("Observation/{id}");
    let mut after = scene.observation("after");
    after["id"] = json!(id);
    for (behaviour, status) in [(Behaviour::refuse(422, "no"), 422), (Behaviour::status(500), 503)] {
        scene.receiver.behave(behaviour);
        scene.app.put(&path, &after).await.expect(status);
        let stored = scene.app.get(&path).await.expect(200);
        assert_eq!(stored.json()["valueString"], "before");
        assert_eq!(stored.header("etag"), "W/\"1\"");
        assert_eq!(scene.app.get(&format!("{path}/_history")).await.expect(200).json()["total"], 1);
        scene.app.get(&format!("{path}/_history/2")).await.expect(404);
    }
    scene.receiver.behave(Behaviour::Accept);
    let stored = scene.app.put(&path, &after).await.expect(200);
    assert_eq!(stored.header("etag"), "W/\"2\"");
}

#[tokio::test]
async fn a_poc_in_trouble_gives_503_and_nothing_is_stored() {
    let scene = scene().await;
    for status in [500, 502, 503] {
        scene.receiver.behave(Behaviour::status(status));
        let answer = scene.write("x").await.expect_issue(503, "transient");
        assert!(answer.header("retry-after").parse::<u64>().is_ok(), "Retry-After in {:?}", answer.headers);
        scene.assert_no_trace().await;
    }
}

#[tokio::test]
async fn a_refused_connection_gives_503_and_the_number_back() {
    let scene = scene().await;
    scene.receiver.go_away();
    let answer = scene.write("x").await.expect_issue(503, "transient");
    assert!(answer.header("retry-after").parse::<u64>().is_ok(), "Retry-After in {:?}", answer.headers);
    scene.assert_no_trace().await;
    scene.receiver.come_back().await;
    scene.write("y").await.expect(201);
    assert_eq!(scene.receiver.wait_for(1).await[0].numbers(), [1], "a number that was never sent is used again");
}

#[tokio::test]
async fn silence_gives_504_and_nothing_is_stored() {
    let scene = scene().await;
    scene.receiver.behave(Behaviour::Hang);
    let begun = Instant::now();
    scene.write("x").await.expect_issue(504, "timeout");
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_millis(900) && waited < Duration::from_secs(5), "{waited:?} for a timeout of 1s");
    scene.assert_no_trace().await;
    let status = scene.poc.until_status(&scene.subscription, "error").await;
    assert!(status["error"].is_string(), "{status}");
    let events = scene.events().await;
    assert_eq!(events, [(1, None)], "the number is withdrawn: known, and nothing happened under it");
}

#[tokio::test]
async fn a_line_dropped_without_an_answer_counts_as_silence() {
    let scene = scene().await;
    scene.receiver.behave(Behaviour::DropAfterReading);
    let answer = scene.write("x").await.expect_outcome();
    assert!(answer.status == 504 || answer.status == 503, "{}: {}", answer.status, answer.text);
    scene.assert_no_trace().await;
}

#[tokio::test]
async fn a_line_cut_before_it_is_read_is_tried_again() {
    let scene = scene_with("[delivery]\ntimeout = \"5s\"").await;
    scene.receiver.next([Behaviour::DropBeforeReading]);
    let written = scene.write("x").await.expect(201);
    scene.app.get(&format!("Observation/{}", written.id())).await.expect(200);
}

#[tokio::test]
async fn a_line_dropped_once_is_tried_again_with_the_same_number_and_content() {
    let scene = scene_with("[delivery]\ntimeout = \"5s\"").await;
    scene.receiver.next([Behaviour::DropAfterReading]);
    let written = scene.write("x").await.expect(201);
    let seen = scene.receiver.wait_for(2).await;
    assert_eq!(seen[0].events(), seen[1].events());
    assert_eq!(seen[0].resources(), seen[1].resources());
    scene.app.get(&format!("Observation/{}", written.id())).await.expect(200);
}

#[tokio::test]
async fn a_subscriptions_own_timeout_can_only_shorten_the_wait() {
    let server = TestServer::configured("[delivery]\ntimeout = \"10s\"").await;
    let (poc, receiver) = (server.poc("poc", 7).await, Receiver::start().await);
    let mut short = subscription(&receiver.url(), "full-resource");
    short["channel"]["extension"] = json!([{"url": format!("{BACKPORT}backport-timeout"), "valueUnsignedInt": 1}]);
    poc.subscribe_with(&receiver, &short).await;
    server.user("user", 7).await;
    let launch = poc.launch(&SetContext::patient("Smith").build()).await;
    let app = server.app("app").await.launch(&launch.id, "user").await;
    receiver.behave(Behaviour::Hang);
    let begun = Instant::now();
    app.post("Observation", &observation(launch.first("Patient"), "x")).await.expect_issue(504, "timeout");
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn without_an_active_subscription_a_write_is_refused() {
    let scene = scene().await;
    scene.poc.delete(&format!("Subscription/{}", scene.subscription)).await.expect(204);
    scene.write("x").await.expect_issue(503, "transient");
    scene.assert_no_trace().await;
}

#[tokio::test]
async fn a_poc_whose_registration_was_switched_off_is_told_nothing() {
    let scene = scene().await;
    let mut tx = sofa::store::begin(&scene.server.db.pool).await.unwrap();
    sofa::store::client::set_enabled(&mut tx, &scene.poc.client_id, false, scene.server.now()).await.unwrap();
    tx.commit().await.unwrap();
    // Its launches end with it, and the tokens in them.
    scene.write("x").await.expect(401);
    assert!(scene.receiver.events().is_empty());
}

#[tokio::test]
async fn a_deployment_may_accept_writes_without_a_subscription() {
    let scene = scene_with("[delivery]\nwithout_subscriber = \"accept\"").await;
    scene.poc.delete(&format!("Subscription/{}", scene.subscription)).await.expect(204);
    let written = scene.write("x").await.expect(201);
    scene.app.get(&format!("Observation/{}", written.id())).await.expect(200);
    assert!(scene.receiver.events().is_empty());
}

#[tokio::test]
async fn only_the_poc_that_made_the_context_is_told() {
    let scene = scene().await;
    let (_rival, theirs) = scene.server.subscribed_poc("rival", 7).await;
    scene.write("x").await.expect(201);
    scene.receiver.wait_for(1).await;
    assert!(theirs.events().is_empty());
}

#[tokio::test]
async fn create_and_update_are_told_and_delete_is_not() {
    let scene = scene().await;
    let id = scene.write("x").await.expect(201).id();
    let mut second = scene.observation("y");
    second["id"] = json!(id);
    scene.app.put(&format!("Observation/{id}"), &second).await.expect(200);
    scene.app.delete(&format!("Observation/{id}")).await.expect(204);
    scene.write("z").await.expect(201);
    let events = scene.receiver.wait_for(3).await;
    let causes: Vec<_> = events.iter().map(|one| one.body["entry"][1]["request"]["method"].clone()).collect();
    assert_eq!(causes, ["POST", "PUT", "POST"]);
    assert_eq!(events.iter().flat_map(crate::support::receiver::Received::numbers).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test]
async fn numbers_run_from_one_in_the_order_of_commits_and_equal_what_is_kept() {
    let scene = scene().await;
    let mut stored = Vec::new();
    for round in 0..10 {
        if round % 3 == 1 {
            scene.receiver.next([Behaviour::refuse(400, "no")]);
            scene.write("refused").await.expect(422);
        } else {
            stored.push(format!("{}/Observation/{}", scene.server.fhir, scene.write("kept").await.expect(201).id()));
        }
    }
    let acknowledged = scene.receiver.acknowledged();
    let focuses: Vec<_> = acknowledged.iter().map(|(_, focus)| focus.clone().unwrap()).collect();
    assert_eq!(focuses.len(), stored.len());
    for (focus, url) in focuses.iter().zip(&stored) {
        assert!(url.ends_with(focus.as_str()) || focus == url, "{focus} is {url}");
    }
    let events = scene.events().await;
    let numbers: Vec<_> = events.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=10).collect::<Vec<_>>(), "no holes: refused numbers are listed as withdrawn");
    let kept: Vec<_> = events.into_iter().filter(|(_, focus)| focus.is_some()).collect();
    assert_eq!(kept, acknowledged);
}

#[tokio::test]
async fn parallel_writes_are_all_told_once_and_in_order() {
    let scene = scene_with("[delivery]\ntimeout = \"10s\"").await;
    let texts: Vec<_> = (0..20).map(|number| scene.observation(&format!("value {number}"))).collect();
    let answers = futures_util::future::join_all(texts.iter().map(|one| scene.app.post("Observation", one))).await;
    let mut stored: Vec<_> =
        answers.into_iter().map(|answer| format!("Observation/{}", answer.expect(201).id())).collect();
    let acknowledged = scene.receiver.acknowledged();
    let numbers: Vec<_> = acknowledged.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    let last_two =
        |focus: &str| focus.rsplitn(3, '/').take(2).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("/");
    let mut told: Vec<_> = acknowledged.iter().map(|(_, focus)| last_two(focus.as_deref().unwrap())).collect();
    stored.sort();
    told.sort();
    assert_eq!(told, stored);
}

#[tokio::test]
async fn of_writes_that_queue_up_one_bad_one_does_not_fail_its_neighbours() {
    let scene = scene_with("[delivery]\ntimeout = \"10s\"").await;
    scene.receiver.behave(Behaviour::Hang);
    let first = scene.write("first");
    let queued = async {
        scene.receiver.wait_for(1).await;
        let texts: Vec<_> = (0..4).map(|number| scene.observation(&format!("queued {number}"))).collect();
        let writes = futures_util::future::join_all(texts.iter().map(|one| scene.app.post("Observation", one)));
        let release = async {
            until(|| async { scene.server.count("select count(*) from intent").await == 5 }).await;
            // The combined one, then one of the four alone.
            scene.receiver.next([Behaviour::refuse(400, "the whole"), Behaviour::refuse(400, "one of them")]);
            scene.receiver.behave(Behaviour::Accept);
        };
        tokio::join!(writes, release).0
    };
    let (first, queued) = tokio::join!(first, queued);
    first.expect(201);
    let mut statuses: Vec<_> = queued.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 201, 201, 422], "{queued:#?}");
}

#[tokio::test]
async fn a_notification_holds_at_most_max_count_events() {
    let server = TestServer::configured("[delivery]\ntimeout = \"10s\"").await;
    let (poc, receiver) = (server.poc("poc", 7).await, Receiver::start().await);
    let mut few = subscription(&receiver.url(), "full-resource");
    few["channel"]["extension"] = json!([{"url": format!("{BACKPORT}backport-max-count"), "valuePositiveInt": 2}]);
    poc.subscribe_with(&receiver, &few).await;
    server.user("user", 7).await;
    let launch = poc.launch(&SetContext::patient("Smith").build()).await;
    let app = server.app("app").await.launch(&launch.id, "user").await;
    let texts: Vec<_> = (0..9).map(|number| observation(launch.first("Patient"), &number.to_string())).collect();
    let answers = futures_util::future::join_all(texts.iter().map(|one| app.post("Observation", one))).await;
    answers.into_iter().for_each(|answer| drop(answer.expect(201)));
    assert!(receiver.events().iter().all(|one| one.numbers().len() <= 2));
    assert_eq!(receiver.acknowledged().len(), 9);
}

#[tokio::test]
async fn while_a_poc_is_waited_for_no_connection_is_held() {
    let scene =
        scene_with("[database]\nmax_connections = 3\nacquire_timeout = \"3s\"\n[delivery]\ntimeout = \"10s\"").await;
    scene.receiver.behave(Behaviour::Hang);
    let texts: Vec<_> = (0..12).map(|number| scene.observation(&format!("{number}"))).collect();
    let writes = futures_util::future::join_all(texts.iter().map(|one| scene.app.post("Observation", one)));
    let read = async {
        scene.receiver.wait_for(1).await;
        until(|| async { scene.server.count("select count(*) from intent").await == 12 }).await;
        let patient = scene.launch.first("Patient");
        for _ in 0..10 {
            scene.app.get(patient).await.expect(200);
        }
        let open =
            "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in trans%'";
        assert_eq!(scene.server.count(open).await, 0);
        scene.receiver.behave(Behaviour::Accept);
    };
    let (answers, ()) = tokio::join!(writes, read);
    answers.into_iter().for_each(|answer| drop(answer.expect(201)));
}

#[tokio::test]
async fn a_dead_poc_slows_only_itself() {
    let scene = scene_with("[delivery]\ntimeout = \"10s\"").await;
    let (lively, theirs) = scene.server.subscribed_poc("lively", 8).await;
    let launch = lively.launch(&SetContext::patient("Jones").build()).await;
    scene.server.user("other", 8).await;
    let other = scene.server.app("other-app").await.launch(&launch.id, "other").await;
    scene.receiver.behave(Behaviour::Hang);
    let stuck = scene.write("x");
    let free = async {
        scene.receiver.wait_for(1).await;
        other.post("Observation", &observation(launch.first("Patient"), "y")).await.expect(201);
        theirs.wait_for(1).await;
        scene.receiver.behave(Behaviour::Accept);
    };
    let (stuck, ()) = tokio::join!(stuck, free);
    stuck.expect(201);
}

#[tokio::test]
async fn two_apps_that_write_one_resource_at_the_same_moment_never_both_win() {
    let scene = scene_with("[delivery]\ntimeout = \"10s\"\nlock_wait = \"10s\"").await;
    let id = scene.write("before").await.expect(201).id();
    let path = format!("Observation/{id}");
    let version = |text: &str| {
        let mut one = scene.observation(text);
        one["id"] = json!(id);
        one.to_string()
    };
    let put = |text: &'static str| {
        let body = version(text);
        let (app, path) = (&scene.app, &path);
        async move { app.send("PUT", path, &[("if-match", "W/\"1\"")], Some(body)).await }
    };
    let answers = futures_util::future::join_all(["a", "b", "c", "d", "e"].map(put)).await;
    let won: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(won.len(), 1, "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 409 | 412)), "{answers:#?}");
    assert_eq!(scene.app.get(&path).await.json()["valueString"], won[0].json()["valueString"]);
    assert_eq!(scene.receiver.acknowledged().len(), 2, "only what was stored was acknowledged");
}

#[tokio::test]
async fn two_equal_conditional_creates_at_the_same_moment_make_one_resource() {
    let scene = scene_with("[delivery]\ntimeout = \"10s\"\nlock_wait = \"10s\"").await;
    let mut one = scene.observation("x");
    one["identifier"] = json!([{"system": "urn:x", "value": "1"}]);
    let create =
        || scene.app.send("POST", "Observation", &[("if-none-exist", "identifier=urn:x|1")], Some(one.to_string()));
    let answers = futures_util::future::join_all((0..5).map(|_| create())).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 1, "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 201 | 409)), "{answers:#?}");
    assert_eq!(scene.server.count("select count(*) from resource where type = 'Observation'").await, 1);
}

#[tokio::test]
async fn a_transaction_is_told_and_stored_as_a_whole_or_not_at_all() {
    let scene = scene().await;
    let subject = scene.launch.first("Patient");
    let input = bundle(
        "transaction",
        &[
            entry("urn:uuid:a", "POST", "Observation", Some(&observation(subject, "a"))),
            entry(
                "urn:uuid:b",
                "POST",
                "Condition",
                Some(&json!({"resourceType": "Condition", "subject": {"reference": subject},
            "evidence": [{"detail": [{"reference": "urn:uuid:a"}]}]})),
            ),
        ],
    );
    scene.receiver.next([Behaviour::refuse(400, "no")]);
    scene.app.post("", &input).await.expect(422);
    scene.assert_no_trace().await;
    assert_eq!(scene.server.count("select count(*) from resource where type = 'Condition'").await, 0);
    let before = scene.receiver.events().len();
    scene.app.post("", &input).await.expect(200);
    let told: usize = scene.receiver.wait_for(before + 1).await[before..].iter().map(|one| one.events().len()).sum();
    assert_eq!(told, 2);
}

#[tokio::test]
async fn the_work_goes_on_when_the_app_hangs_up() {
    let scene = scene_with("[delivery]\ntimeout = \"10s\"").await;
    scene.receiver.behave(Behaviour::Hang);
    {
        let body = scene.observation("x");
        let write = scene.app.post("Observation", &body);
        tokio::select! {
            answer = write => panic!("no answer was possible: {answer:?}"),
            _ = scene.receiver.wait_for(1) => {}
        }
    }
    scene.receiver.behave(Behaviour::Accept);
    until(|| async { scene.server.count("select count(*) from resource where type = 'Observation'").await == 1 }).await;
    until(|| async { scene.server.count("select count(*) from intent").await == 0 }).await;
}

#[tokio::test]
async fn a_token_revoked_meanwhile_stops_the_write() {
    let scene = scene_with("[delivery]\ntimeout = \"10s\"").await;
    scene.receiver.behave(Behaviour::Hang);
    let write = scene.write("x");
    let revoke = async {
        scene.receiver.wait_for(1).await;
        let form = [("token", scene.app.tokens["access_token"].as_str().unwrap()), ("client_id", "app")];
        let answer = scene.server.http.post(format!("{}/revoke", scene.server.url)).form(&form).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        scene.receiver.behave(Behaviour::Accept);
    };
    let (written, ()) = tokio::join!(write, revoke);
    written.expect(401);
    scene.assert_no_trace().await;
}

#[tokio::test]
async fn a_subscription_in_error_is_woken_by_its_owner_only_and_numbers_go_on() {
    let scene = scene().await;
    scene.receiver.behave(Behaviour::Hang);
    scene.write("x").await.expect(504);
    scene.poc.until_status(&scene.subscription, "error").await;
    scene.receiver.behave(Behaviour::Accept);
    scene.write("y").await.expect(503);
    let mut again = subscription(&scene.receiver.url(), "full-resource");
    again["id"] = json!(scene.subscription);
    scene.poc.put(&format!("Subscription/{}", scene.subscription), &again).await.expect(200);
    scene.poc.until_status(&scene.subscription, "active").await;
    let before = scene.receiver.events().len();
    scene.write("z").await.expect(201);
    assert_eq!(
        scene.receiver.wait_for(before + 1).await[before].numbers(),
        [2],
        "number 1 was withdrawn, never used again"
    );
}

#[tokio::test]
async fn one_acknowledgement_of_several_subscriptions_is_enough() {
    let scene = scene().await;
    let second = Receiver::start().await;
    let other = scene.poc.subscribe(&second).await;
    scene.receiver.behave(Behaviour::refuse(400, "no"));
    let written = scene.write("x").await.expect(201);
    second.wait_for(1).await;
    scene.app.get(&format!("Observation/{}", written.id())).await.expect(200);
    second.behave(Behaviour::refuse(400, "no"));
    scene.write("y").await.expect(422);
    assert_ne!(other, scene.subscription);
}

#[tokio::test]
async fn a_create_with_a_client_chosen_id_under_way_is_not_seen_either() {
    let scene = scene_with("[delivery]\ntimeout = \"10s\"").await;
    let mut named = patient("Named");
    named["id"] = json!("chosen");
    // Update-as-create is off: the answer must come at once, without asking the PoC.
    scene.receiver.behave(Behaviour::Hang);
    scene.app.put("Patient/chosen", &named).await.expect(405);
    assert!(scene.receiver.events().is_empty());
}

#[tokio::test]
async fn a_notification_shows_every_digit_of_what_the_app_wrote() {
    let scene = scene().await;
    let subject = scene.launch.first("Patient");
    let text = format!(
        r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},"subject":{{"reference":"{subject}"}},
        "valueQuantity":{{"value":1.0,"unit":"mmol/L"}},"component":[{{"code":{{"text":"y"}},"valueQuantity":{{"value":0.10E-2}}}}]}}"#
    );
    let written = scene.app.post("Observation", &text).await.expect(201);
    let told = scene.receiver.wait_for(1).await.remove(0);
    let again = scene.poc.get(&format!("Subscription/{}/$events", scene.subscription)).await.expect(200);
    let history = scene.app.get(&format!("Observation/{}/_history", written.id())).await.expect(200);
    for shown in [&written.text, &told.text, &again.text, &history.text] {
        assert!(shown.contains("\"value\":1.0,") && shown.contains("0.10E-2"), "{shown}");
    }
}

#[tokio::test]
async fn events_show_the_version_that_caused_them() {
    let scene = scene().await;
    let id = scene.write("first").await.expect(201).id();
    let mut second = scene.observation("second");
    second["id"] = json!(id);
    scene.app.put(&format!("Observation/{id}"), &second).await.expect(200);
    let answer = scene.poc.get(&format!("Subscription/{}/$events", scene.subscription)).await.expect(200).json();
    let entries = answer["entry"].as_array().expect("entries");
    let shown: Vec<_> = entries[1..].iter().map(|entry| entry["resource"]["valueString"].clone()).collect();
    assert_eq!(shown, ["first", "second"]);
}

#[tokio::test]
async fn what_the_poc_writes_itself_is_not_echoed_and_stays_apart_from_other_launches() {
    let scene = scene().await;
    let id = scene.write("by the app").await.expect(201).id();
    let path = format!("Observation/{id}");
    let mut corrected = scene.observation("by the PoC");
    corrected["id"] = json!(id);
    scene.poc.put(&path, &corrected).await.expect(200);
    assert_eq!(scene.app.get(&path).await.expect(200).json()["valueString"], "by the PoC");
    assert_eq!(scene.receiver.events().len(), 1, "only the app's write was told");
    let other = scene.poc.launch(&SetContext::patient("Jones").build()).await;
    let other = scene.server.app("app-2").await.launch(&other.id, "user").await;
    other.get(&path).await.expect(404);
    scene.poc.clear(&scene.launch.id).await.expect(200);
    scene.poc.get(&path).await.expect(410);
    scene.poc.get(&format!("{path}/_history/2")).await.expect(410);
}

#[tokio::test]
async fn a_wish_for_an_asynchronous_answer_is_answered_at_once_as_long_as_there_is_none() {
    let scene = scene().await;
    let body = scene.observation("x").to_string();
    scene.app.send("POST", "Observation", &[("prefer", "respond-async")], Some(body)).await.expect(201);
    scene.receiver.wait_for(1).await;
}

/// Asks again and again until it is so; each round is a query, and it must become so soon.
async fn until<F: Future<Output = bool>>(so: impl Fn() -> F) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < crate::support::receiver::PATIENCE, "it never became so");
    }
}

#[tokio::test]
async fn what_is_told_can_be_stored_however_long_its_values_are() {
    let scene = scene().await;
    let mut long = scene.observation("long");
    // Random enough that no compression makes it fit into an index as it is.
    let value: String = (0..90).map(|_| sofa::id::random_token()).collect();
    long["identifier"] = json!([{"system": "s", "value": value}]);
    long["note"] = json!([{"text": value}]);
    long["instantiatesUri"] = json!(format!("http://example.org/{value}"));
    let stored = scene.app.post("Observation", &long).await;
    assert!(matches!(stored.status, 201 | 400 | 422), "{}", stored.text);
    long.as_object_mut().unwrap().remove("instantiatesUri");
    let id = scene.app.post("Observation", &long).await.expect(201).id();
    let found = scene.app.get(&format!("Observation?identifier=s|{value}")).await.expect(200);
    assert_eq!(found.json()["entry"][0]["resource"]["id"], id);
}

#[tokio::test]
async fn a_token_that_runs_out_while_the_poc_answers_undoes_nothing() {
    let scene = scene_with("[oauth]\naccess_token_ttl = \"1h\"\n[delivery]\ntimeout = \"4s\"").await;
    scene.receiver.behave(Behaviour::Hang);
    let body = scene.observation("late");
    let session = scene.app.session.clone();
    let write = tokio::spawn(async move { session.post("Observation", &body).await });
    scene.receiver.wait_for(1).await;
    sqlx::query("update grant_row set expires_at = created_at where context_id is not null")
        .execute(&scene.server.db.pool)
        .await
        .unwrap();
    scene.receiver.behave(Behaviour::Accept);
    let id = write.await.unwrap().expect(201).id();
    scene.poc.get(&format!("Observation/{id}")).await.expect(200);
}
