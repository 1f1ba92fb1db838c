//! Two launches that must not see each other, over every route there is.
//!
//! What may not be seen must answer as what does not exist: same status, same text but for the id asked for.

use serde_json::{Value, json};

use crate::fixtures::{SetContext, bundle, entry, observation, patient};
use crate::support::answer::Answer;
use crate::support::app::{Launched, WIDEST};
use crate::support::poc::{Launch, PointOfCare};
use crate::support::receiver::Receiver;
use crate::support::server::TestServer;
use crate::support::session::Session;

/// A launch with an app in it that has written an Observation.
pub struct Side {
    pub poc: PointOfCare,
    receiver: Receiver,
    subscription: String,
    pub launch: Launch,
    pub app: Launched,
    pub written: String,
}

pub async fn side(server: &TestServer, name: &str, tenant: i64) -> Side {
    let (poc, receiver) = (server.poc(&format!("poc-{name}"), tenant).await, Receiver::start().await);
    let subscription = poc.subscribe(&receiver).await;
    server.user(&format!("user-{name}"), tenant).await;
    let mut jane = patient(&format!("Secret {name}"));
    jane["identifier"] = json!([{"system": "urn:mrn", "value": name}]);
    let input = SetContext::default().reference("patient", "urn:uuid:p").entry("urn:uuid:p", &jane).build();
    let launch = poc.launch(&input).await;
    let sample = server.app(&format!("app-{name}")).await;
    let app = sample.launch_with(&launch.id, &format!("user-{name}"), WIDEST).await.expect("a launch");
    let written = app.post("Observation", &observation(launch.first("Patient"), &format!("secret {name}"))).await;
    let written = format!("Observation/{}", written.expect(201).id());
    Side { poc, receiver, subscription, launch, app, written }
}

/// `answer` without what was asked for, so that two can be compared.
fn bare(answer: &Answer, id: &str) -> (u16, String) {
    (answer.status, answer.text.replace(id, "ID"))
}

/// Every way to reach `reference` (`Type/id`) as `caller`, each compared with the same way to a thing that never was.
pub async fn assert_unreachable(caller: &Session, reference: &str) {
    let (kind, id) = reference.split_once('/').unwrap();
    let never = "00000000-0000-7000-8000-000000000000";
    let body = |id: &str, kind: &str| match kind {
        "Observation" => json!({"resourceType": kind, "id": id, "status": "final", "code": {"text": "x"}}),
        kind => json!({"resourceType": kind, "id": id}),
    };
    let asks: Vec<(&str, String)> = vec![
        ("GET", "{}".to_owned()),
        ("HEAD", "{}".to_owned()),
        ("GET", "{}/_history/1".to_owned()),
        ("GET", "{}/_history/2".to_owned()),
        ("GET", "{}/_history".to_owned()),
        ("GET", "{}/_history?_count=1".to_owned()),
        ("PUT", "{}".to_owned()),
        ("PUT If-Match", "{}".to_owned()),
        ("DELETE", "{}".to_owned()),
        ("DELETE If-Match", "{}".to_owned()),
        ("GET", "{}/$status".to_owned()),
        ("GET", "{}/$events".to_owned()),
    ];
    for (how, path) in asks {
        let (method, condition) = how.split_once(' ').unwrap_or((how, ""));
        let headers: &[(&str, &str)] = if condition.is_empty() { &[] } else { &[("if-match", "W/\"1\"")] };
        let ask = |id: &str| {
            let target = path.replace("{}", &format!("{kind}/{id}"));
            let sent = (method == "PUT").then(|| body(id, kind).to_string());
            async move { caller.send(method, &target, headers, sent).await }
        };
        let (hidden, absent) = (ask(id).await, ask(never).await);
        assert_eq!(bare(&hidden, id), bare(&absent, never), "{how} {path} of {reference}");
        assert!(!hidden.text.to_lowercase().contains("secret"), "{}", hidden.text);
        assert_ne!(hidden.status, 410, "{how} {path}");
        if method == "GET" {
            assert!(matches!(hidden.status, 404 | 400 | 403 | 405), "{how} {path}: {}", hidden.status);
        }
    }
    for kind_of_bundle in ["batch", "transaction"] {
        let ask = |id: &str| {
            let path = format!("{kind}/{id}");
            let sent = bundle(
                kind_of_bundle,
                &[entry("", "GET", &path, None), entry("", "GET", &format!("{path}/_history/1"), None)],
            );
            async move { caller.post("", &sent).await }
        };
        let (hidden, absent) = (ask(id).await, ask(never).await);
        assert_eq!(bare(&hidden, id), bare(&absent, never), "{kind_of_bundle} of {reference}");
        assert!(!hidden.text.to_lowercase().contains("secret"), "{}", hidden.text);
        for method in ["PUT", "DELETE"] {
            let ask = |id: &str| {
                let resource = body(id, kind);
                let resource = (method == "PUT").then_some(&resource);
                let sent = bundle(kind_of_bundle, &[entry("", method, &format!("{kind}/{id}"), resource)]);
                async move { caller.post("", &sent).await }
            };
            let (hidden, absent) = (ask(id).await, ask(never).await);
            let timeless = |answer: &Answer, id: &str| {
                let (status, text) = bare(answer, id);
                (
                    status,
                    serde_json::from_str::<Value>(&text)
                        .map(|mut body| {
                            if let Some(entries) = body["entry"].as_array_mut() {
                                entries.iter_mut().for_each(|entry| {
                                    drop(entry["response"].as_object_mut().unwrap().remove("lastModified"));
                                });
                            }
                            body
                        })
                        .unwrap_or_default(),
                )
            };
            assert_eq!(
                timeless(&hidden, id),
                timeless(&absent, never),
                "{method} in a {kind_of_bundle} of {reference}"
            );
        }
    }
}

#[tokio::test]
async fn launches_of_two_pocs_do_not_see_each_other() {
    let server = TestServer::start().await;
    let (left, right) = tokio::join!(side(&server, "left", 7), side(&server, "right", 8));
    for (one, other) in [(&left, &right), (&right, &left)] {
        for reference in [other.launch.first("Patient"), other.written.as_str()] {
            assert_unreachable(&one.app, reference).await;
            assert_unreachable(&one.poc, reference).await;
        }
        assert_unreachable(&one.poc, &format!("Subscription/{}", other.subscription)).await;
        other.app.get(&other.written).await.expect(200);
        other.poc.get(&format!("Subscription/{}", other.subscription)).await.expect(200);
    }
}

#[tokio::test]
async fn launches_of_two_pocs_of_one_organisation_do_not_see_each_other() {
    let server = TestServer::start().await;
    let (left, right) = tokio::join!(side(&server, "left", 7), side(&server, "right", 7));
    for reference in [right.launch.first("Patient"), right.written.as_str()] {
        assert_unreachable(&left.app, reference).await;
        assert_unreachable(&left.poc, reference).await;
    }
    assert_unreachable(&left.poc, &format!("Subscription/{}", right.subscription)).await;
}

#[tokio::test]
async fn two_launches_of_one_poc_do_not_see_each_other_but_the_poc_sees_both() {
    let server = TestServer::start().await;
    let left = side(&server, "left", 7).await;
    let launch = left.poc.launch(&SetContext::patient("Secret again").build()).await;
    let app = server.app("app-again").await.launch_with(&launch.id, "user-left", WIDEST).await.expect("a launch");
    for reference in [left.launch.first("Patient"), left.written.as_str()] {
        assert_unreachable(&app, reference).await;
        left.poc.get(reference).await.expect(200);
    }
    assert_unreachable(&left.app, launch.first("Patient")).await;
    left.poc.get(launch.first("Patient")).await.expect(200);
}

#[tokio::test]
async fn a_conditional_create_does_not_find_the_other_launchs_resource() {
    let server = TestServer::start().await;
    let (left, right) = tokio::join!(side(&server, "left", 7), side(&server, "right", 7));
    let mut jane = patient("Probe");
    jane["identifier"] = json!([{"system": "urn:mrn", "value": "right"}]);
    let probe = [("if-none-exist", "identifier=urn:mrn|right")];
    let made = left.app.send("POST", "Patient", &probe, Some(jane.to_string())).await;
    assert_ne!(made.status, 200, "{}", made.text);
    assert!(!made.text.contains(right.launch.first("Patient").split_once('/').unwrap().1), "{}", made.text);
    let by_id = format!("_id={}", right.launch.first("Patient").split_once('/').unwrap().1);
    let made = left.app.send("POST", "Patient", &[("if-none-exist", &by_id)], Some(jane.to_string())).await;
    assert_ne!(made.status, 200, "{}", made.text);
    let mut condition = json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}});
    condition["subject"] = json!({"reference": "Patient?identifier=urn:mrn|right"});
    let asked = left
        .app
        .post("", &bundle("transaction", &[entry("urn:uuid:o", "POST", "Observation", Some(&condition))]))
        .await;
    assert!(!asked.text.contains(right.launch.first("Patient").split_once('/').unwrap().1), "{}", asked.text);
}

#[tokio::test]
async fn an_app_cannot_write_into_the_other_launch_by_reference() {
    let server = TestServer::start().await;
    let (left, right) = tokio::join!(side(&server, "left", 7), side(&server, "right", 8));
    let written = left.app.post("Observation", &observation(right.launch.first("Patient"), "intruder")).await;
    if written.status == 201 {
        // References are not followed: it belongs to the launch it was written in, and stays there.
        let reference = format!("Observation/{}", written.id());
        right.app.get(&reference).await.expect(404);
        right.poc.get(&reference).await.expect(404);
    }
    let told: Vec<_> = right.receiver.events();
    assert_eq!(told.len(), 1, "the other PoC hears of its own launch only");
}

#[tokio::test]
async fn the_events_of_the_other_poc_are_not_shown() {
    let server = TestServer::start().await;
    let (left, right) = tokio::join!(side(&server, "left", 7), side(&server, "right", 7));
    let all = left.poc.get("Subscription/$status").await.expect(200);
    assert!(all.text.contains(&left.subscription) && !all.text.contains(&right.subscription), "{}", all.text);
    let aimed = left.poc.get(&format!("Subscription/$status?id={}", right.subscription)).await.expect(200);
    assert_eq!(aimed.json()["entry"].as_array().map_or(0, Vec::len), 0);
    left.poc.get(&format!("Subscription/{}/$events?eventsSinceNumber=1", right.subscription)).await.expect(404);
}

#[tokio::test]
async fn shared_data_is_seen_by_launches_and_changed_by_services_only() {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    let left = side(&server, "left", 7).await;
    let id = service
        .post("Organization", &json!({"resourceType": "Organization", "name": "Ministry"}))
        .await
        .expect(201)
        .id();
    let path = format!("Organization/{id}");
    let changed = json!({"resourceType": "Organization", "id": id, "name": "Mine now"});
    for caller in [&left.app.session, &left.poc.session] {
        caller.get(&path).await.expect(200);
        let put = caller.put(&path, &changed).await;
        assert!(matches!(put.status, 403..=405), "{}: {}", put.status, put.text);
        let deleted = caller.delete(&path).await;
        assert!(matches!(deleted.status, 403 | 404 | 405 | 204), "{}", deleted.status);
        assert_eq!(service.get(&path).await.expect(200).json()["name"], "Ministry");
    }
    for reference in [left.launch.first("Patient"), left.written.as_str()] {
        assert_unreachable(&service, reference).await;
    }
    assert_unreachable(&service, &format!("Subscription/{}", left.subscription)).await;
}

#[tokio::test]
async fn a_cleared_launch_answers_others_as_if_it_had_never_been() {
    let server = TestServer::start().await;
    let (left, right) = tokio::join!(side(&server, "left", 7), side(&server, "right", 7));
    right.poc.clear(&right.launch.id).await.expect(200);
    for reference in [right.launch.first("Patient"), right.written.as_str()] {
        assert_unreachable(&left.app, reference).await;
        assert_unreachable(&left.poc, reference).await;
    }
}

#[tokio::test]
async fn patient_scopes_end_at_the_patients_compartment() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    server.user("user", 7).await;
    let input = SetContext::patient("Smith")
        .entry("urn:uuid:other", &patient("Secret brother"))
        .entry("urn:uuid:o1", &observation("urn:uuid:patient", "hers"))
        .entry("urn:uuid:o2", &observation("urn:uuid:other", "secret"))
        .entry("urn:uuid:l", &json!({"resourceType": "Location", "name": "Room 2"}))
        .build();
    let launch = poc.launch(&input).await;
    let (jane, brother) = (launch.created[0].as_str(), launch.created[1].as_str());
    let app =
        server.app("app").await.launch_with(&launch.id, "user", "launch patient/*.cruds").await.expect("a launch");
    app.get(jane).await.expect(200);
    app.get(&launch.created[2]).await.expect(200);
    app.get(&launch.created[4]).await.expect(200);
    for hidden in [brother, &launch.created[3]] {
        let (kind, id) = hidden.split_once('/').unwrap();
        let hidden = app.get(hidden).await.expect(404);
        let absent = app.get(&format!("{kind}/never")).await.expect(404);
        assert_eq!(bare(&hidden, id), bare(&absent, "never"));
    }
    // Nor is there a way to find, to count or to include what belongs to another patient.
    let elsewhere = |text: &str| text.contains("secret") || text.contains("Secret");
    let brother_id = brother.split_once('/').unwrap().1;
    for search in [
        "Patient".to_owned(),
        "Observation".to_owned(),
        "Observation?_include=Observation:subject".to_owned(),
        "Patient?_revinclude=Observation:subject".to_owned(),
        "Patient?name=brother".to_owned(),
        format!("Patient?_id={brother_id}"),
        format!("Observation?subject={brother}"),
        format!("Observation?patient={brother_id}"),
        "Observation/_history".to_owned(),
        "_history".to_owned(),
    ] {
        let found = app.get(&search).await.expect(200);
        assert!(!elsewhere(&found.text) && !found.text.contains(brother), "{search}: {}", found.text);
    }
    let count = app.get("Observation?_summary=count").await.expect(200).json();
    assert_eq!(count["total"], 1, "{count}");
    app.get(&format!("{}/_history", launch.created[3])).await.expect(404);
    app.get(&format!("{}/_history/1", launch.created[3])).await.expect(404);
    let aside = app.post("Observation", &observation(brother, "x")).await.expect_outcome();
    assert!(matches!(aside.status, 403 | 422), "{}", aside.status);
    let mut moved = observation(brother, "moved");
    moved["id"] = json!(launch.created[2].split_once('/').unwrap().1);
    let moved = app.put(&launch.created[2], &moved).await.expect_outcome();
    assert!(matches!(moved.status, 403 | 422), "{}", moved.status);
    assert_eq!(app.get(&launch.created[2]).await.expect(200).header("etag"), "W/\"1\"");
    app.post("Observation", &observation(jane, "x")).await.expect(201);
}

#[tokio::test]
async fn two_apps_in_one_launch_share_it() {
    let server = TestServer::start().await;
    let left = side(&server, "left", 7).await;
    let second =
        server.app("second-app").await.launch_with(&left.launch.id, "user-left", WIDEST).await.expect("a launch");
    second.get(&left.written).await.expect(200);
    let more = second.post("Observation", &observation(left.launch.first("Patient"), "more")).await.expect(201);
    left.app.get(&format!("Observation/{}", more.id())).await.expect(200);
}
