//! Patches beyond the plain ones of `conditional`: of Subscriptions, under narrow scopes, in races, hostile ones; and the
//! operations on `meta` (R4, http.html#patch, fhirpatch.html, resource-operation-meta.html).

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::fixtures::{SetContext, observation};
use crate::support::answer::Answer;
use crate::support::app::{Launched, SampleApp};
use crate::support::poc::{Launch, PointOfCare, subscription};
use crate::support::receiver::Receiver;
use crate::support::server::TestServer;
use crate::support::session::Session;

struct Scene {
    server: TestServer,
    poc: PointOfCare,
    receiver: Receiver,
    launch: Launch,
    app: SampleApp,
}

async fn scene() -> Scene {
    let server = TestServer::start().await;
    let (poc, receiver) = server.subscribed_poc("poc", 7).await;
    server.user("user", 7).await;
    let launch = poc.launch(&SetContext::patient("Smith").build()).await;
    let app = server.app("app").await;
    Scene { server, poc, receiver, launch, app }
}

impl Scene {
    async fn launched(&self) -> Launched {
        self.app.launch(&self.launch.id, "user").await
    }

    async fn with_scope(&self, scope: &str) -> Launched {
        self.app.launch_with(&self.launch.id, "user", scope).await.expect("a launch")
    }
}

async fn json_patch(session: &Session, path: &str, operations: &Value) -> Answer {
    let headers = [("content-type", "application/json-patch+json")];
    session.send("PATCH", path, &headers, Some(operations.to_string())).await
}

/// One operation of a FHIRPath Patch.
fn operation(kind: &str, path: &str, parts: &[Value]) -> Value {
    let mut all = vec![json!({"name": "type", "valueCode": kind}), json!({"name": "path", "valueString": path})];
    all.extend_from_slice(parts);
    json!({"name": "operation", "part": all})
}

fn parameters(parameter: &[Value]) -> Value {
    json!({"resourceType": "Parameters", "parameter": parameter})
}

async fn path_patch(session: &Session, path: &str, operations: &[Value]) -> Answer {
    session.send("PATCH", path, &[], Some(parameters(operations).to_string())).await
}

#[tokio::test]
async fn a_patched_subscription_keeps_its_secret_headers() {
    let scene = scene().await;
    let receiver = Receiver::start().await;
    let headers = ["Authorization: Bearer s3cr3t", "X-Clinic: north"];
    let mut sent = subscription(&receiver.url(), "full-resource");
    sent["channel"]["header"] = json!(headers);
    let id = scene.poc.subscribe_with(&receiver, &sent).await;
    let path = format!("Subscription/{id}");
    let reason = json!([{"op": "replace", "path": "/reason", "value": "to know"}]);
    let patched = json_patch(&scene.poc, &path, &reason).await.expect(200).json();
    assert_eq!((&patched["channel"]["header"], &patched["reason"]), (&json!(headers), &json!("to know")));
    // What its owner sees is what it may test for and change.
    let second = [operation(
        "replace",
        "Subscription.channel.header[1]",
        &[json!({"name": "value", "valueString": "X-Clinic: south"})],
    )];
    let patched = path_patch(&scene.poc, &path, &second).await.expect(200).json();
    let headers = json!(["Authorization: Bearer s3cr3t", "X-Clinic: south"]);
    assert_eq!(patched["channel"]["header"], headers);
    let test = json!([{"op": "test", "path": "/channel/header", "value": headers}]);
    json_patch(&scene.poc, &path, &test).await.expect(200);
    scene.poc.until_status(&id, "active").await;
    let app = scene.launched().await;
    app.post("Observation", &observation(scene.launch.first("Patient"), "x")).await.expect(201);
    let told = receiver.wait_for(1).await;
    assert_eq!(told[0].headers["authorization"], "Bearer s3cr3t");
    assert_eq!(told[0].headers["x-clinic"], "south");
    // Its status is the server's, and it stays another PoC's secret.
    let broken = json!([{"op": "remove", "path": "/channel/endpoint"}]);
    json_patch(&scene.poc, &path, &broken).await.expect(422).expect_outcome();
    let other = scene.server.poc("other", 7).await;
    json_patch(&other, &path, &test).await.expect(404);
    json_patch(&app, &path, &test).await.expect(403);
}

#[tokio::test]
async fn what_cannot_be_changed_is_not_tested_either() {
    let scene = scene().await;
    let service = scene.server.service("service").await;
    let shared = service.post("Organization", &json!({"resourceType": "Organization", "name": "Shared"})).await;
    let path = format!("Organization/{}", shared.expect(201).id());
    let test = |name: &str| json!([{"op": "test", "path": "/name", "value": name}]);
    let app = scene.launched().await;
    for name in ["Shared", "Other"] {
        json_patch(&app, &path, &test(name)).await.expect_issue(403, "forbidden");
    }
    json_patch(&service, &path, &test("Other")).await.expect(422);
    // Another patient's is not there at all; without leave to update, nothing may be patched.
    let observation = observation(scene.launch.first("Patient"), "x");
    let own = format!("Observation/{}", app.post("Observation", &observation).await.expect(201).id());
    let reader = scene.with_scope("launch patient/Observation.rs").await;
    json_patch(&reader, &own, &json!([])).await.expect_issue(403, "forbidden");
    let writer = scene.with_scope("launch patient/Observation.u").await;
    json_patch(&writer, &own, &json!([{"op": "replace", "path": "/status", "value": "amended"}])).await.expect(200);
    let away = json!([{"op": "replace", "path": "/subject/reference", "value": "Patient/other"}]);
    json_patch(&writer, &own, &away).await.expect(403);
    let elsewhere = scene.poc.launch(&SetContext::patient("Jones").build()).await;
    let foreign = elsewhere.first("Patient");
    json_patch(&app, foreign, &json!([])).await.expect(404);
}

#[tokio::test]
async fn no_patch_of_many_in_a_launch_is_lost() {
    let scene = scene().await;
    let app = scene.launched().await;
    let made = app.post("Observation", &observation(scene.launch.first("Patient"), "x")).await.expect(201);
    let path = format!("Observation/{}", made.id());
    let patches = (0..20).map(|n| {
        let (app, path) = (app.clone(), path.clone());
        let note = json!({"text": n.to_string()});
        async move {
            let answer = if n % 2 == 0 {
                let parts =
                    [json!({"name": "name", "valueString": "note"}), json!({"name": "value", "valueAnnotation": note})];
                path_patch(&app, &path, &[operation("add", "Observation", &parts)]).await
            } else {
                // The first note makes the list: whoever was overtaken finds it there.
                let parts =
                    [json!({"name": "index", "valueInteger": 0}), json!({"name": "value", "valueAnnotation": note})];
                path_patch(&app, &path, &[operation("insert", "Observation.note", &parts)]).await
            };
            (n.to_string(), answer.status)
        }
    });
    let answers = join_all(patches).await;
    assert!(answers.iter().all(|(_, status)| [200, 409].contains(status)), "{answers:?}");
    let done: BTreeSet<_> = answers.iter().filter(|(_, status)| *status == 200).map(|(n, _)| n.as_str()).collect();
    assert!(!done.is_empty());
    let stored = app.get(&path).await.expect(200).json();
    let notes = stored["note"].as_array().unwrap();
    assert_eq!(notes.iter().map(|note| note["text"].as_str().unwrap()).collect::<BTreeSet<_>>(), done);
    assert_eq!(notes.len(), done.len());
    assert_eq!(stored["meta"]["versionId"], (1 + done.len()).to_string());
    // The PoC heard of each version, in its order.
    let told = scene.receiver.wait_for(1 + done.len()).await;
    let versions: Vec<_> = told.iter().map(|one| one.resources()[0]["meta"]["versionId"].clone()).collect();
    assert_eq!(versions, (1..=1 + done.len()).map(|version| json!(version.to_string())).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_patch_keeps_the_digits_and_what_it_does_not_touch() {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    let text = r#"{"resourceType":"Basic","code":{"text":"\u00e9\/"},"extension":[{"url":"urn:d","valueDecimal":1.50},{"url":"urn:d","valueDecimal":12345678901234567890.10}]}"#;
    let path = format!("Basic/{}", service.post("Basic", &text).await.expect(201).id());
    let answer = json_patch(
        &service,
        &path,
        &json!([{"op": "copy", "from": "/extension/1", "path": "/extension/0"}, {"op": "test", "path": "/extension/1/valueDecimal", "value": 1.5}]),
    )
    .await
    .expect(200);
    let kept = r#""code":{"text":"\u00e9\/"},"extension":[{"url":"urn:d","valueDecimal":12345678901234567890.10},{"url":"urn:d","valueDecimal":1.50},{"url":"urn:d","valueDecimal":12345678901234567890.10}]"#;
    assert!(answer.text.contains(kept), "{}", answer.text);
    let xml = r#"<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/><part><name value="type"/><valueCode value="replace"/></part>
        <part><name value="path"/><valueString value="Basic.extension[0].value"/></part><part><name value="value"/><valueDecimal value="0.100"/></part></parameter></Parameters>"#;
    let headers = [("content-type", "application/fhir+xml; charset=utf-8"), ("accept", "application/fhir+json")];
    let answer = service.send("PATCH", &path, &headers, Some(xml.to_owned())).await.expect(200);
    assert!(answer.text.contains(r#""valueDecimal":0.100},{"url":"urn:d","valueDecimal":1.50}"#), "{}", answer.text);
}

#[tokio::test]
async fn hostile_patches_are_refused_and_cost_little() {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    let made = service.post("Organization", &json!({"resourceType": "Organization", "name": "n"})).await.expect(201);
    let path = format!("Organization/{}", made.id());
    let doubled = (0..40).map(|n| json!({"op": "copy", "from": "", "path": format!("/k{n}")}));
    json_patch(&service, &path, &doubled.collect()).await.expect_issue(422, "too-long");
    let shifts = std::iter::once(json!({"op": "add", "path": "/a", "value": vec![0; 500_000]}))
        .chain((0..900).map(|_| json!({"op": "add", "path": "/a/0", "value": 0})));
    json_patch(&service, &path, &shifts.collect()).await.expect_issue(422, "too-costly");
    let many = (0..1001).map(|_| json!({"op": "test", "path": "/name", "value": "n"}));
    json_patch(&service, &path, &many.collect()).await.expect(400).expect_outcome();
    let slow = operation("delete", "Organization.descendants().where(%resource.descendants().count() < 0)", &[]);
    path_patch(&service, &path, &vec![slow; 1000]).await.expect(200);
    for (target, status) in [("Organization.name.", 400), ("Organization.repeat(%resource)", 422), ("today()", 422)] {
        path_patch(&service, &path, &[operation("replace", target, &[json!({"name": "value", "valueString": "x"})])])
            .await
            .expect(status)
            .expect_outcome();
    }
    assert_eq!(service.get(&path).await.expect(200).json()["name"], "n");
}

fn labels(meta: &Value) -> Value {
    parameters(&[json!({"name": "meta", "valueMeta": meta})])
}

#[tokio::test]
async fn labels_are_added_and_deleted_as_sets() {
    let scene = scene().await;
    let app = scene.launched().await;
    let made = app.post("Observation", &observation(scene.launch.first("Patient"), "x")).await.expect(201);
    let path = format!("Observation/{}", made.id());
    let tag = |code: &str| json!({"system": "urn:tag", "code": code});
    let added = (0..10).map(|n| {
        let (app, path, meta) = (app.clone(), path.clone(), labels(&json!({"tag": [tag(&format!("t{}", n / 2))]})));
        async move { app.post(&format!("{path}/$meta-add"), &meta).await.status }
    });
    let statuses = join_all(added).await;
    assert!(statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
    let told = app.get(&format!("{path}/$meta")).await.expect(200).json();
    let mut codes: Vec<_> = told["parameter"][0]["valueMeta"]["tag"].as_array().unwrap().clone();
    let count = codes.len();
    codes.dedup();
    assert!((1..=5).contains(&count) && codes.len() == count, "{told}");
    assert_eq!(told["parameter"][0]["name"], "return");
    // A label says nothing of the content: what is valid stays so, and the PoC hears of it.
    let receivers_last = scene.receiver.events().last().unwrap().resources()[0]["meta"]["tag"].clone();
    assert_eq!(receivers_last, told["parameter"][0]["valueMeta"]["tag"]);
    let gone = app.post(&format!("{path}/$meta-delete"), &labels(&json!({"tag": codes}))).await.expect(200).json();
    assert_eq!(gone["parameter"][0]["valueMeta"]["tag"], Value::Null);
    let stale = [("if-match", "W/\"1\""), ("content-type", "application/fhir+json")];
    let body = labels(&json!({"tag": [tag("late")]})).to_string();
    app.send("POST", &format!("{path}/$meta-add"), &stale, Some(body.clone())).await.expect(412);
    for unfit in [json!({"versionId": "9"}), json!({"tags": []}), json!({"tag": tag("no-list")})] {
        app.post(&format!("{path}/$meta-add"), &labels(&unfit)).await.expect(400).expect_outcome();
    }
    // A profile is claimed, so it must be met.
    let profile = labels(&json!({"profile": ["http://hl7.org/fhir/StructureDefinition/vitalsigns"]}));
    app.post(&format!("{path}/$meta-add"), &profile).await.expect(422).expect_outcome();
    let reader = scene.with_scope("launch patient/Observation.rs").await;
    reader.get(&format!("{path}/$meta")).await.expect(200);
    reader.post(&format!("{path}/$meta-add"), &body).await.expect(403);
    app.post("Observation/none/$meta-add", &body).await.expect(404);
    for level in ["$meta", "Observation/$meta"] {
        let status = app.get(level).await.status;
        assert!((400..500).contains(&status), "{level}: {status}");
    }
}
