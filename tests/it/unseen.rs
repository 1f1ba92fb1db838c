//! Leave to write is no leave to read: an answer shows no content that its caller could not read (SMART App Launch 2.1,
//! scopes-and-launch-context).

use serde_json::{Value, json};

use crate::fixtures::{SetContext, bundle, entry, observation, patient};
use crate::support::answer::Answer;
use crate::support::app::{Launched, SampleApp};
use crate::support::poc::{Launch, PointOfCare};
use crate::support::receiver::Receiver;
use crate::support::server::TestServer;
use crate::support::session::Session;

/// What stands in the Observations and is not to be told.
const SECRET: &str = "s3cr3t";

struct Scene {
    _server: TestServer,
    _receiver: Receiver,
    poc: PointOfCare,
    launch: Launch,
    app: SampleApp,
}

impl Scene {
    /// A launch with an Observation about its patient and one about somebody else.
    async fn set() -> Self {
        let server = TestServer::start().await;
        let (poc, receiver) = server.subscribed_poc("poc", 7).await;
        server.user("user", 7).await;
        let secret = |subject: &str| {
            let mut observation = observation(subject, SECRET);
            observation["note"] = json!([{"text": SECRET}]);
            observation["meta"] = json!({"tag": [{"system": "urn:tag", "code": SECRET}]});
            observation
        };
        let input = SetContext::patient("Smith")
            .entry("urn:uuid:other", &patient("Other"))
            .entry("urn:uuid:o1", &secret("urn:uuid:patient"))
            .entry("urn:uuid:o2", &secret("urn:uuid:other"))
            .build();
        let launch = poc.launch(&input).await;
        let app = server.app("app").await;
        Self { _server: server, _receiver: receiver, poc, launch, app }
    }

    async fn app(&self, scope: &str) -> Launched {
        self.app.launch_with(&self.launch.id, "user", &format!("launch {scope}")).await.expect("a launch")
    }

    /// The Observations: that of the patient in context, and the other one.
    fn observations(&self) -> (&str, &str) {
        let mut found = self.launch.created.iter().filter(|path| path.starts_with("Observation/"));
        (found.next().unwrap(), found.next().unwrap())
    }
}

const JSON_PATCH: (&str, &str) = ("content-type", "application/json-patch+json");
const FHIR: (&str, &str) = ("content-type", "application/fhir+json");

/// Every way to change an Observation, each with the preference.
async fn changes(session: &Session, path: &str, subject: &str, prefer: &str) -> Vec<Answer> {
    let prefer = ("prefer", prefer);
    let mut whole = observation(subject, SECRET);
    whole["id"] = json!(path.split_once('/').unwrap().1);
    let labels = json!({"resourceType": "Parameters", "parameter": [
        {"name": "meta", "valueMeta": {"tag": [{"system": "urn:tag", "code": "more"}]}}]});
    let amend = json!([{"op": "replace", "path": "/status", "value": "amended"}]);
    let finish = json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Observation.status"},
        {"name": "value", "valueCode": "final"}]}]});
    let mut answers = Vec::new();
    for (method, path, kind, body) in [
        ("POST", format!("{path}/$meta-add"), FHIR, &labels),
        ("PATCH", path.to_owned(), JSON_PATCH, &amend),
        ("PATCH", path.to_owned(), FHIR, &finish),
        ("POST", format!("{path}/$meta-delete"), FHIR, &labels),
        ("PUT", path.to_owned(), FHIR, &whole),
    ] {
        answers.push(session.send(method, &path, &[kind, prefer], Some(body.to_string())).await.expect(200));
    }
    answers
}

#[tokio::test]
async fn a_change_is_answered_without_content_to_who_may_not_read_it() {
    let scene = Scene::set().await;
    let (own, _) = scene.observations();
    let subject = scene.launch.first("Patient");
    let writer = scene.app("patient/Observation.u").await;
    for prefer in ["", "return=representation", "return=minimal"] {
        for answer in changes(&writer, own, subject, prefer).await {
            assert_eq!(answer.text, "", "{prefer}: {}", answer.asked);
            assert!(answer.header("etag").starts_with("W/\""), "{prefer}: {}", answer.asked);
            let applied = if prefer == "return=minimal" { prefer } else { "" };
            assert_eq!(answer.header("preference-applied"), applied, "{}", answer.asked);
        }
    }
    for answer in changes(&writer, own, subject, "return=OperationOutcome").await {
        let is_meta = answer.asked.contains("$meta");
        assert!(
            answer.text.contains("OperationOutcome") && !answer.text.contains(SECRET),
            "{}: {}",
            answer.asked,
            answer.text
        );
        assert!(is_meta || answer.text.contains("updated"), "{}: {}", answer.asked, answer.text);
    }
    for path in ["", "/_history", "/_history/1", "/$meta", "/_history/1/$meta", "/$validate"] {
        writer.get(&format!("{own}{path}")).await.expect_issue(403, "forbidden");
    }
    writer.get("Observation/_history").await.expect_issue(403, "forbidden");
    for scope in ["patient/Observation.ru", "patient/Observation.us", "user/Observation.u patient/Observation.r"] {
        let reader = scene.app(scope).await;
        for answer in changes(&reader, own, subject, "return=representation").await {
            assert!(answer.text.contains("\"versionId\""), "{scope}: {}: {}", answer.asked, answer.text);
        }
    }
}

#[tokio::test]
async fn what_may_be_read_is_asked_of_the_content_itself() {
    let scene = Scene::set().await;
    let (own, other) = scene.observations();
    let app = scene.app("user/Observation.u patient/Observation.r").await;
    let amend = json!([{"op": "replace", "path": "/status", "value": "amended"}]).to_string();
    let patch = |path: &str| {
        let (app, path, body) = (app.session.clone(), path.to_owned(), amend.clone());
        async move { app.send("PATCH", &path, &[JSON_PATCH], Some(body)).await.expect(200) }
    };
    assert!(patch(own).await.text.contains(SECRET));
    app.get(other).await.expect(404);
    assert_eq!(patch(other).await.text, "");
    assert_eq!(scene.poc.get(other).await.expect(200).json()["status"], "amended");
}

#[tokio::test]
async fn a_patch_that_fails_tells_nothing_of_what_it_was_applied_to() {
    let scene = Scene::set().await;
    let (own, _) = scene.observations();
    let operations = |operations: Value| operations.to_string();
    let (writer, reader) = (scene.app("patient/Observation.u").await, scene.app("patient/Observation.ru").await);
    for (body, told) in [
        (operations(json!([{"op": "copy", "from": "/note/0/text", "path": "/status"}])), SECRET),
        (operations(json!([{"op": "test", "path": "/valueString", "value": "x"}])), "valueString"),
        (operations(json!([{"op": "remove", "path": "/bodySite"}])), "bodySite"),
    ] {
        let unseen = writer.send("PATCH", own, &[JSON_PATCH], Some(body.clone())).await.expect(422).expect_outcome();
        assert!(!unseen.text.contains(told) && unseen.expressions().is_empty(), "{}", unseen.text);
        let seen = reader.send("PATCH", own, &[JSON_PATCH], Some(body)).await.expect(422);
        assert!(seen.text.contains(told), "{}", seen.text);
    }
    // What is wrong with the patch itself is no secret.
    let broken = operations(json!([{"op": "bend", "path": "/status"}]));
    writer.send("PATCH", own, &[JSON_PATCH], Some(broken)).await.expect(400).expect_outcome();
    assert_eq!(scene.poc.get(own).await.expect(200).header("etag"), "W/\"1\"");
}

#[tokio::test]
async fn creates_conditions_and_bundles_show_no_more_than_their_caller_may_see() {
    let scene = Scene::set().await;
    let (own, _) = scene.observations();
    let subject = scene.launch.first("Patient");
    let sent = observation(subject, "mine");
    let creator = scene.app("patient/Observation.cu").await;
    let made =
        creator.send("POST", "Observation", &[("prefer", "return=representation")], Some(sent.to_string())).await;
    let made = made.expect(201);
    assert_eq!((made.text.as_str(), made.header("etag")), ("", "W/\"1\""));
    assert!(made.header("location").contains("/_history/1"));
    // Conditions look, so they need leave to.
    let amend = json!([{"op": "replace", "path": "/status", "value": "amended"}]).to_string();
    let condition = "Observation?_tag=urn:tag|s3cr3t&_id=".to_owned() + own.split_once('/').unwrap().1;
    creator.send("PATCH", &condition, &[JSON_PATCH], Some(amend.clone())).await.expect_issue(403, "forbidden");
    creator.put(&condition, &sent).await.expect_issue(403, "forbidden");
    creator.send("POST", "Observation", &[("if-none-exist", "_tag=s3cr3t")], Some(sent.to_string())).await.expect(403);
    let searcher = scene.app("patient/Observation.cus").await;
    let patched = searcher.send("PATCH", &condition, &[JSON_PATCH], Some(amend)).await.expect(200);
    assert!(patched.text.contains(SECRET));
    let found = searcher.send("POST", "Observation", &[("if-none-exist", "_tag=s3cr3t")], Some(sent.to_string())).await;
    assert!(found.expect(200).text.contains(SECRET));
    let rename = json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Observation.status"},
        {"name": "value", "valueCode": "final"}]}]});
    for kind in ["batch", "transaction"] {
        let input = bundle(
            kind,
            &[entry("urn:uuid:o", "POST", "Observation", Some(&sent)), entry("", "PATCH", own, Some(&rename))],
        );
        let ask = async |session: &Session| {
            let answer =
                session.send("POST", "", &[("prefer", "return=representation")], Some(input.to_string())).await;
            answer.expect(200).json()
        };
        let unseen = ask(&creator).await;
        let seen = ask(&searcher).await;
        for place in 0..2 {
            let status =
                |answer: &Value| answer["entry"][place]["response"]["status"].as_str().unwrap()[..1].to_owned();
            assert_eq!((status(&unseen), status(&seen)), ("2".to_owned(), "2".to_owned()), "{kind}: {unseen}");
            assert_eq!(unseen["entry"][place].get("resource"), None, "{kind}");
            assert!(seen["entry"][place]["resource"].is_object(), "{kind}");
            assert!(unseen["entry"][place]["response"]["etag"].is_string());
        }
    }
}
