//! Subscriptions R5 Backport on R4: requests, handshake, payload levels, `$status`, `$events`, lifecycle.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fixtures::{SetContext, observation};
use crate::support::app::Launched;
use crate::support::poc::{BACKPORT, Launch, PointOfCare, TOPIC, subscription};
use crate::support::receiver::{Behaviour, Received, Receiver};
use crate::support::server::{Options, TestServer};

struct Scene {
    server: TestServer,
    poc: PointOfCare,
    receiver: Receiver,
}

async fn scene() -> Scene {
    let server = TestServer::configured("[delivery]\ntimeout = \"2s\"").await;
    Scene { poc: server.poc("poc", 7).await, server, receiver: Receiver::start().await }
}

impl Scene {
    async fn launch(&self) -> (Launch, Launched) {
        self.server.user("user", 7).await;
        let launch = self.poc.launch(&SetContext::patient("Smith").build()).await;
        let app = self.server.app("app").await.launch(&launch.id, "user").await;
        (launch, app)
    }

    fn subscription(&self, content: &str) -> Value {
        subscription(&self.receiver.url(), content)
    }
}

fn filtered(mut subscription: Value, filters: &[&str]) -> Value {
    let extensions: Vec<_> = filters
        .iter()
        .map(|filter| json!({"url": format!("{BACKPORT}backport-filter-criteria"), "valueString": filter}))
        .collect();
    subscription["_criteria"] = json!({"extension": extensions});
    subscription
}

#[tokio::test]
async fn a_new_subscription_is_requested_then_shaken_hands_with_then_active() {
    let scene = scene().await;
    scene.receiver.behave(Behaviour::Hang);
    let mut sent = scene.subscription("full-resource");
    sent["status"] = json!("active");
    let created = scene.poc.post("Subscription", &sent).await.expect(201);
    let id = created.id();
    assert_eq!(created.json()["status"], "requested", "whatever the client wrote");
    assert_eq!(created.header("location"), format!("{}/Subscription/{id}/_history/1", scene.server.fhir));
    let handshake = scene.receiver.wait_for_handshakes(1).await.remove(0);
    assert_eq!(scene.poc.get(&format!("Subscription/{id}")).await.expect(200).json()["status"], "requested");
    scene.receiver.behave(Behaviour::Accept);
    scene.poc.until_status(&id, "active").await;
    check_notification(&handshake, &scene, &id);
    assert_eq!(handshake.parameters("status")[0]["valueCode"], "requested");
    assert_eq!(handshake.parameters("events-since-subscription-start")[0]["valueString"], "0");
    assert!(handshake.parameters("notification-event").is_empty());
    assert_eq!(handshake.body["entry"].as_array().unwrap().len(), 1);
}

/// What every notification Bundle must be.
fn check_notification(received: &Received, scene: &Scene, id: &str) {
    let bundle = &received.body;
    assert_eq!((&bundle["resourceType"], &bundle["type"]), (&json!("Bundle"), &json!("history")));
    assert_eq!(bundle["meta"]["profile"], json!([format!("{BACKPORT}backport-subscription-notification-r4")]));
    assert!(bundle["timestamp"].is_string());
    let status = &bundle["entry"][0];
    assert_eq!(status["resource"]["meta"]["profile"], json!([format!("{BACKPORT}backport-subscription-status-r4")]));
    assert_eq!(status["request"]["method"], "GET");
    assert!(status["request"]["url"].as_str().unwrap().ends_with(&format!("Subscription/{id}/$status")), "{status}");
    assert_eq!(status["response"]["status"], "200");
    assert!(status["fullUrl"].as_str().unwrap().starts_with("urn:uuid:"));
    assert_eq!(received.subscription(), id);
    let mut full_urls: Vec<_> =
        bundle["entry"].as_array().unwrap().iter().map(|entry| entry["fullUrl"].to_string()).collect();
    for entry in bundle["entry"].as_array().unwrap() {
        assert!(entry["request"].is_object() && entry["response"].is_object(), "{entry}");
    }
    let count = full_urls.len();
    full_urls.sort();
    full_urls.dedup();
    assert_eq!(full_urls.len(), count);
    assert_eq!(received.headers["content-type"].to_str().unwrap().split(';').next(), Some("application/fhir+json"));
    assert!(!received.text.contains(scene.poc.token.as_deref().unwrap()));
}

#[tokio::test]
async fn a_handshake_that_fails_puts_the_subscription_into_error() {
    let scene = scene().await;
    for behaviour in [
        Behaviour::status(500),
        Behaviour::status(404),
        Behaviour::status(302),
        Behaviour::DropAfterReading,
        Behaviour::Hang,
    ] {
        scene.receiver.behave(behaviour.clone());
        let id = scene.poc.post("Subscription", &scene.subscription("empty")).await.expect(201).id();
        let broken = scene.poc.until_status(&id, "error").await;
        assert!(broken["error"].is_string(), "{behaviour:?}: {broken}");
        let status = scene.poc.get(&format!("Subscription/{id}/$status")).await.expect(200).json();
        let parameters = status["entry"][0]["resource"]["parameter"].to_string();
        assert!(parameters.contains("\"error\""), "{parameters}");
    }
    scene.receiver.go_away();
    let id = scene.poc.post("Subscription", &scene.subscription("empty")).await.expect(201).id();
    scene.poc.until_status(&id, "error").await;
    scene.receiver.come_back().await;
    scene.receiver.behave(Behaviour::Accept);
    let mut again = scene.subscription("empty");
    again["id"] = json!(id);
    scene.poc.put(&format!("Subscription/{id}"), &again).await.expect(200);
    scene.poc.until_status(&id, "active").await;
}

#[tokio::test]
async fn the_payload_levels_show_what_they_may() {
    let scene = scene().await;
    let mut ids = Vec::new();
    for content in ["empty", "id-only", "full-resource"] {
        ids.push((content, scene.poc.subscribe_with(&scene.receiver, &scene.subscription(content)).await));
    }
    let (launch, app) = scene.launch().await;
    let written = app.post("Observation", &observation(launch.first("Patient"), "the content")).await.expect(201);
    let events = scene.receiver.wait_for(3).await;
    for (content, id) in ids {
        let event = events.iter().find(|event| event.subscription() == id).expect("one for each Subscription");
        check_notification(event, &scene, &id);
        assert_eq!(event.kind(), "event-notification");
        assert_eq!(event.parameters("status")[0]["valueCode"], "active");
        assert_eq!(event.parameters("events-since-subscription-start")[0]["valueString"], "1");
        let (number, focus) = event.events().remove(0);
        assert_eq!(number, 1);
        let parts = event.parameters("notification-event")[0]["part"].to_string();
        assert!(parts.contains("\"timestamp\""), "{parts}");
        match content {
            "empty" => {
                assert_eq!((focus, event.body["entry"].as_array().unwrap().len()), (None, 1));
                assert!(event.parameters("topic").is_empty());
            }
            "id-only" => {
                assert!(focus.unwrap().ends_with(&format!("Observation/{}", written.id())));
                assert!(event.resources().is_empty() && !event.text.contains("the content"), "{}", event.text);
            }
            _ => {
                assert_eq!(event.parameters("topic")[0]["valueCanonical"], TOPIC);
                assert_eq!(event.resources(), [&written.json()]);
                let entry = &event.body["entry"][1];
                assert_eq!(entry["request"]["method"], "POST");
                assert!(entry["response"]["status"].as_str().unwrap().starts_with("201"));
                let full_url = entry["fullUrl"].as_str().unwrap();
                assert_eq!(full_url, format!("{}/Observation/{}", scene.server.fhir, written.id()));
                let focus = focus.unwrap();
                assert!(full_url.ends_with(&focus) || focus == full_url, "{focus} resolves in the Bundle");
            }
        }
    }
}

#[tokio::test]
async fn every_header_is_sent_with_every_notification_and_shown_to_its_owner_only() {
    let scene = scene().await;
    let headers = ["Authorization: Bearer s3cr3t-value", "X-Clinic: a:b: c"];
    let mut sent = scene.subscription("full-resource");
    sent["channel"]["header"] = json!(headers);
    let created = scene.poc.post("Subscription", &sent).await.expect(201);
    assert_eq!(created.json()["channel"]["header"], json!(headers));
    let id = created.id();
    scene.receiver.wait_for_handshakes(1).await;
    scene.poc.until_status(&id, "active").await;
    let (launch, app) = scene.launch().await;
    app.post("Observation", &observation(launch.first("Patient"), "x")).await.expect(201);
    scene.receiver.wait_for(1).await;
    for one in scene.receiver.received() {
        assert_eq!(one.headers["authorization"], "Bearer s3cr3t-value");
        assert_eq!(one.headers["x-clinic"], "a:b: c");
    }
    assert_eq!(
        scene.poc.get(&format!("Subscription/{id}")).await.expect(200).json()["channel"]["header"],
        json!(headers)
    );
    for sql in [
        "select resource::text from resource",
        "select coalesce(spec::text, '') from subscription",
        "select encode(headers, 'escape') from subscription where headers is not null",
        "select body from resource_history",
        "select audit::text from audit",
        "select coalesce(body, '') from intent_change",
    ] {
        let rows: Vec<String> = sqlx::query_scalar(sql).fetch_all(&scene.server.db.pool).await.unwrap();
        assert!(rows.iter().all(|row| !row.contains("s3cr3t")), "{sql}: {rows:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_with_its_place() {
    let scene = scene().await;
    let good = || scene.subscription("full-resource");
    let change = |pointer: &str, value: Value| {
        let mut one = good();
        *one.pointer_mut(pointer).expect("an element") = value;
        one
    };
    let add = |pointer: &str, name: &str, value: Value| {
        let mut one = good();
        one.pointer_mut(pointer).expect("an element")[name] = value;
        one
    };
    let remove = |pointer: &str, name: &str| {
        let mut one = good();
        one.pointer_mut(pointer).and_then(Value::as_object_mut).expect("an element").remove(name);
        one
    };
    let cross = json!({"extension": [{"url": "http://hl7.org/fhir/5.0/subscriptions-backport/StructureDefinition/backport-filter-criteria",
        "valueString": "Encounter?patient=Patient/123"}]});
    let cases: Vec<(&str, Value, &str)> = vec![
        ("unknown topic", change("/criteria", json!("http://example.org/topic")), "Subscription.criteria"),
        ("a query as criteria", change("/criteria", json!("Observation?code=x")), "Subscription.criteria"),
        ("no criteria", remove("", "criteria"), "Subscription.criteria"),
        ("email", change("/channel/type", json!("email")), "Subscription.channel.type"),
        ("no endpoint", remove("/channel", "endpoint"), "Subscription.channel.endpoint"),
        ("relative endpoint", change("/channel/endpoint", json!("/notify")), "Subscription.channel.endpoint"),
        ("ftp endpoint", change("/channel/endpoint", json!("ftp://x/y")), "Subscription.channel.endpoint"),
        ("bogus payload", change("/channel/payload", json!("text/bogus")), "Subscription.channel.payload"),
        (
            "another version",
            change("/channel/payload", json!("application/fhir+json; fhirVersion=4.3")),
            "Subscription.channel.payload",
        ),
        ("no content level", remove("/channel", "_payload"), "Subscription.channel.payload"),
        (
            "unknown level",
            change("/channel/_payload/extension/0/valueCode", json!("everything")),
            "Subscription.channel.payload",
        ),
        ("cross-version extension", add("", "_criteria", cross), "Subscription.criteria"),
        ("unknown filter", filtered(good(), &["Observation?code=x"]), "Subscription.criteria"),
        (
            "reserved header",
            add("/channel", "header", json!(["Host: evil.example.org"])),
            "Subscription.channel.header",
        ),
        ("broken header", add("/channel", "header", json!(["no colon"])), "Subscription.channel.header"),
        ("smuggled header", add("/channel", "header", json!(["X: a\r\nY: b"])), "Subscription.channel.header"),
        ("no reason", remove("", "reason"), "Subscription.reason"),
        ("bad status", change("/status", json!("bogus")), "Subscription.status"),
        ("past end", add("", "end", json!("2001-01-01T00:00:00Z")), "Subscription.end"),
        (
            "modifier",
            add("", "modifierExtension", json!([{"url": "urn:x", "valueBoolean": true}])),
            "Subscription.modifierExtension",
        ),
    ];
    for (why, input, place) in cases {
        let answer = scene.poc.post("Subscription", &input).await;
        assert_eq!(answer.status, 422, "{why}: {}", answer.text);
        let found = answer.expect_outcome().expressions();
        assert!(found.iter().any(|one| one.starts_with(place)), "{why}: {place} not in {found:?}");
    }
    assert_eq!(scene.server.count("select count(*) from subscription").await, 0);
    assert_eq!(scene.server.count("select count(*) from resource").await, 0);
    assert!(scene.receiver.received().is_empty());
}

#[tokio::test]
async fn endpoints_inside_the_house_are_refused_unless_allowed() {
    let server = TestServer::configured("[delivery]\nallow_private_addresses = false\nallow_http = true").await;
    let poc = server.poc("poc", 7).await;
    let receiver = Receiver::start().await;
    for endpoint in [
        receiver.url(),
        "http://[::1]:9/x".to_owned(),
        "http://169.254.169.254/latest".to_owned(),
        "http://2130706433/".to_owned(),
    ] {
        let answer = poc.post("Subscription", &subscription(&endpoint, "empty")).await;
        if answer.status == 201 {
            poc.until_status(&answer.id(), "error").await;
        } else {
            answer.expect(422).expect_outcome();
        }
    }
    assert!(receiver.received().is_empty());
    let server = TestServer::configured("[delivery]\nallow_http = false").await;
    let poc = server.poc("poc", 7).await;
    poc.post("Subscription", &subscription(&receiver.url(), "empty"))
        .await
        .expect(422)
        .at("Subscription.channel.endpoint");
}

#[tokio::test]
async fn filters_let_through_what_matches_all_of_them() {
    let scene = scene().await;
    let only = filtered(scene.subscription("full-resource"), &["resourceType=Condition"]);
    let filtered_id = scene.poc.subscribe_with(&scene.receiver, &only).await;
    let (launch, app) = scene.launch().await;
    let subject = launch.first("Patient");
    let everything = scene.poc.subscribe_with(&scene.receiver, &scene.subscription("full-resource")).await;
    app.post("Observation", &observation(subject, "x")).await.expect(201);
    let condition = json!({"resourceType": "Condition", "subject": {"reference": subject}});
    app.post("Condition", &condition).await.expect(201);
    let events = scene.receiver.wait_for(3).await;
    let of = |id: &str| -> Vec<String> {
        let mine = events.iter().filter(|event| event.subscription() == id);
        mine.map(|event| event.resources()[0]["resourceType"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(of(&filtered_id), ["Condition"]);
    assert_eq!(of(&everything), ["Observation", "Condition"]);
    for filter in [
        format!("patient={subject}"),
        format!("Observation?patient={subject}"),
        format!("Observation.patient={subject}"),
    ] {
        let receiver = Receiver::start().await;
        let one = filtered(subscription(&receiver.url(), "full-resource"), &[&filter]);
        let answer = scene.poc.post("Subscription", &one).await;
        assert_eq!(answer.status, 201, "{filter}: {}", answer.text);
    }
}

#[tokio::test]
async fn status_tells_the_truth_by_get_and_post() {
    let scene = scene().await;
    let id = scene.poc.subscribe(&scene.receiver).await;
    let off = {
        let mut one = scene.subscription("empty");
        one["status"] = json!("off");
        scene.poc.post("Subscription", &one).await.expect(201).id()
    };
    let (launch, app) = scene.launch().await;
    app.post("Observation", &observation(launch.first("Patient"), "x")).await.expect(201);
    let empty = json!({"resourceType": "Parameters"});
    let path = format!("Subscription/{id}/$status");
    for answer in [scene.poc.get(&path).await, scene.poc.post(&path, &empty).await] {
        let bundle = answer.expect(200).json();
        assert_eq!((&bundle["type"], bundle["entry"].as_array().unwrap().len()), (&json!("searchset"), 1));
        let status = &bundle["entry"][0]["resource"];
        let value = |name: &str, kind: &str| {
            let all = status["parameter"].as_array().unwrap().iter();
            all.filter(|one| one["name"] == name).map(|one| one[kind].clone()).next().unwrap_or_default()
        };
        assert_eq!(value("type", "valueCode"), "query-status");
        assert_eq!(value("status", "valueCode"), "active");
        assert_eq!(value("events-since-subscription-start", "valueString"), "1");
        assert!(value("subscription", "valueReference")["reference"].as_str().unwrap().ends_with(&id));
    }
    let ids = |answer: crate::support::answer::Answer| {
        let entries = answer.expect(200).json()["entry"].as_array().cloned().unwrap_or_default();
        let mut found: Vec<_> = [&id, &off]
            .into_iter()
            .filter(|id| entries.iter().any(|entry| entry.to_string().contains(*id)))
            .cloned()
            .collect();
        found.sort();
        (entries.len(), found)
    };
    let mut both = vec![id.clone(), off.clone()];
    both.sort();
    assert_eq!(ids(scene.poc.get("Subscription/$status").await), (2, both.clone()));
    assert_eq!(ids(scene.poc.get(&format!("Subscription/$status?id={id}")).await), (1, vec![id.clone()]));
    assert_eq!(ids(scene.poc.get(&format!("Subscription/$status?id={id},{off}")).await), (2, both));
    assert_eq!(ids(scene.poc.get("Subscription/$status?status=off").await), (1, vec![off]));
    scene.poc.get("Subscription/unknown/$status").await.expect(404).expect_outcome();
}

#[tokio::test]
async fn events_can_be_fetched_again_by_number() {
    let scene = scene().await;
    let id = scene.poc.subscribe(&scene.receiver).await;
    let (launch, app) = scene.launch().await;
    let mut ids = Vec::new();
    for number in 1..=5 {
        ids.push(
            app.post("Observation", &observation(launch.first("Patient"), &number.to_string())).await.expect(201).id(),
        );
    }
    let read = async |query: &str| {
        let answer = scene.poc.get(&format!("Subscription/{id}/$events{query}")).await.expect(200);
        Received {
            at: answer.at,
            headers: answer.headers.clone(),
            body: answer.json(),
            text: answer.text,
            acknowledged: true,
        }
    };
    let some = read("?eventsSinceNumber=2&eventsUntilNumber=4").await;
    check_notification(&some, &scene, &id);
    assert_eq!((some.kind(), some.numbers()), ("query-event", vec![2, 3, 4]));
    let texts: Vec<_> = some.resources().iter().map(|one| one["valueString"].as_str().unwrap()).collect();
    assert_eq!(texts, ["2", "3", "4"]);
    assert_eq!(read("").await.numbers(), [1, 2, 3, 4, 5]);
    assert_eq!(read("?eventsSinceNumber=5").await.numbers(), [5]);
    assert!(read("?eventsSinceNumber=6").await.numbers().is_empty());
    let live: Vec<_> = scene.receiver.events().iter().flat_map(Received::events).collect();
    assert_eq!(read("").await.events(), live, "what is fetched equals what was sent");
    assert!(read("?content=id-only").await.resources().is_empty());
    for wrong in
        ["?eventsSinceNumber=4&eventsUntilNumber=2", "?eventsSinceNumber=x", "?eventsUntilNumber=-1", "?content=bogus"]
    {
        scene.poc.get(&format!("Subscription/{id}/$events{wrong}")).await.expect(400).expect_outcome();
    }
    let input = json!({"resourceType": "Parameters", "parameter": [{"name": "eventsSinceNumber", "valueString": "5"}]});
    let posted = scene.poc.post(&format!("Subscription/{id}/$events"), &input).await.expect(200).json();
    assert!(posted.to_string().contains(&ids[4]) && !posted.to_string().contains(&ids[3]));
}

#[tokio::test]
async fn events_never_raise_the_level_and_lose_their_content_with_the_context() {
    let scene = scene().await;
    let id = scene.poc.subscribe_with(&scene.receiver, &scene.subscription("id-only")).await;
    let full = scene.poc.subscribe(&scene.receiver).await;
    let (launch, app) = scene.launch().await;
    app.post("Observation", &observation(launch.first("Patient"), "the content")).await.expect(201);
    let raised = scene.poc.get(&format!("Subscription/{id}/$events?content=full-resource")).await.expect(200);
    assert!(!raised.text.contains("the content"), "{}", raised.text);
    scene.poc.clear(&launch.id).await.expect(200);
    let after = scene.poc.get(&format!("Subscription/{full}/$events")).await.expect(200);
    assert!(!after.text.contains("the content"), "{}", after.text);
    assert!(after.text.contains("Observation/"), "ids remain for a day: {}", after.text);
}

#[tokio::test]
async fn off_deleted_and_ended_subscriptions_are_not_sent_to() {
    let server = TestServer::with(Options { manual_clock: true, ..Options::default() }).await;
    let scene = Scene { poc: server.poc("poc", 7).await, server, receiver: Receiver::start().await };
    let end =
        (scene.server.now() + Duration::from_secs(60)).format(&time::format_description::well_known::Rfc3339).unwrap();
    let mut ending = scene.subscription("full-resource");
    ending["end"] = json!(end);
    let (off, deleted, ended) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    let off_id = scene.poc.subscribe(&off).await;
    let deleted_id = scene.poc.subscribe(&deleted).await;
    ending["channel"]["endpoint"] = json!(ended.url());
    scene.poc.subscribe_with(&ended, &ending).await;
    scene.poc.subscribe(&scene.receiver).await;
    let (launch, app) = scene.launch().await;
    app.post("Observation", &observation(launch.first("Patient"), "1")).await.expect(201);
    for receiver in [&off, &deleted, &ended, &scene.receiver] {
        receiver.wait_for(1).await;
    }
    let mut switched = subscription(&off.url(), "full-resource");
    switched["id"] = json!(off_id);
    switched["status"] = json!("off");
    scene.poc.put(&format!("Subscription/{off_id}"), &switched).await.expect(200);
    assert_eq!(scene.poc.get(&format!("Subscription/{off_id}")).await.json()["status"], "off");
    scene.poc.delete(&format!("Subscription/{deleted_id}")).await.expect(204);
    scene.poc.get(&format!("Subscription/{deleted_id}")).await.expect(410);
    scene.server.advance(Duration::from_secs(120));
    app.post("Observation", &observation(launch.first("Patient"), "2")).await.expect(201);
    scene.receiver.wait_for(2).await;
    assert_eq!([off.events().len(), deleted.events().len(), ended.events().len()], [1, 1, 1]);
}

#[tokio::test]
async fn a_changed_endpoint_is_shaken_hands_with_anew() {
    let scene = scene().await;
    let id = scene.poc.subscribe(&scene.receiver).await;
    let elsewhere = Receiver::start().await;
    let mut moved = subscription(&elsewhere.url(), "full-resource");
    moved["id"] = json!(id);
    let put = scene.poc.put(&format!("Subscription/{id}"), &moved).await.expect(200);
    assert_eq!(put.json()["status"], "requested");
    elsewhere.wait_for_handshakes(1).await;
    scene.poc.until_status(&id, "active").await;
    let (launch, app) = scene.launch().await;
    app.post("Observation", &observation(launch.first("Patient"), "x")).await.expect(201);
    assert_eq!(elsewhere.wait_for(1).await[0].numbers(), [1]);
    assert!(scene.receiver.events().is_empty());
}

#[tokio::test]
async fn numbers_go_on_over_updates_of_the_subscription() {
    let scene = scene().await;
    let id = scene.poc.subscribe(&scene.receiver).await;
    let (launch, app) = scene.launch().await;
    let body = observation(launch.first("Patient"), "x");
    app.post("Observation", &body).await.expect(201);
    let mut again = scene.subscription("id-only");
    again["id"] = json!(id);
    scene.poc.put(&format!("Subscription/{id}"), &again).await.expect(200);
    scene.receiver.wait_for_handshakes(2).await;
    scene.poc.until_status(&id, "active").await;
    app.post("Observation", &body).await.expect(201);
    let events = scene.receiver.wait_for(2).await;
    assert_eq!((events[0].numbers(), events[1].numbers()), (vec![1], vec![2]));
    let second_handshake = scene.receiver.wait_for_handshakes(2).await.remove(1);
    assert_eq!(second_handshake.parameters("events-since-subscription-start")[0]["valueString"], "1");
}

#[tokio::test]
async fn redirects_of_a_receiver_are_not_followed() {
    let scene = scene().await;
    scene.poc.subscribe(&scene.receiver).await;
    let (launch, app) = scene.launch().await;
    scene.receiver.behave(Behaviour::status(307));
    let begun = Instant::now();
    let refused = app.post("Observation", &observation(launch.first("Patient"), "x")).await.expect_outcome();
    assert!(matches!(refused.status, 422 | 503), "{}", refused.status);
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(scene.receiver.events().len(), 1);
}
