//! What the scopes of a token let through, beyond the letters: all types, conditions that search, types that are only
//! touched.

use serde_json::{Value, json};
use sofa::fhir::types::resource_types;

use crate::fixtures::{SetContext, observation};
use crate::set_context::stage;
use crate::support::answer::{Answer, issues_of};
use crate::support::poc::Launch;
use crate::support::server::TestServer;
use crate::support::session::Session;

/// A launch of Smith with an Observation that has an identifier, for apps of any scope.
struct Scene {
    server: TestServer,
    launch: Launch,
    _receiver: crate::support::receiver::Receiver,
}

impl Scene {
    async fn set() -> Self {
        let (server, poc, receiver) = stage().await;
        server.user("user", 7).await;
        server.app("app").await;
        let mut seen = observation("urn:uuid:patient", "x");
        seen["identifier"] = json!([{"system": "urn:once", "value": "1"}]);
        let launch = poc.launch(&SetContext::patient("Smith").entry("urn:uuid:o", &seen).build()).await;
        Self { server, launch, _receiver: receiver }
    }

    async fn with(&self, scope: &str) -> Session {
        let app = crate::support::app::SampleApp::new(&self.server, "app");
        app.launch_with(&self.launch.id, "user", &format!("launch {scope}")).await.expect("a launch").session
    }
}

/// The types of the entries, sorted.
fn kinds(bundle: &Value) -> Vec<&str> {
    let entries = bundle["entry"].as_array().into_iter().flatten();
    let mut kinds: Vec<_> = entries.filter_map(|entry| entry["resource"]["resourceType"].as_str()).collect();
    kinds.retain(|kind| *kind != "OperationOutcome");
    kinds.sort_unstable();
    kinds
}

fn warnings(bundle: &Value) -> String {
    let entries = bundle["entry"].as_array().into_iter().flatten();
    entries.flat_map(|entry| issues_of(&entry["resource"])).map(|issue| issue.text).collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn a_star_covers_every_type_and_a_named_type_no_other() {
    let scene = Scene::set().await;
    let (all, one) = (scene.with("user/*.rs").await, scene.with("user/Flag.rs").await);
    for kind in resource_types() {
        // A Subscription is a PoC's own, whatever an app's scopes are.
        let may = kind != "Subscription";
        let status = async |app: &Session, path: String| app.get(&path).await.status;
        let found = [status(&all, format!("{kind}/none")).await, status(&all, format!("{kind}?_count=1")).await];
        assert_eq!(found, if may { [404, 200] } else { [403, 403] }, "{kind}");
        let found = [status(&one, format!("{kind}/none")).await, status(&one, format!("{kind}?_count=1")).await];
        assert_eq!(found, if kind == "Flag" { [404, 200] } else { [403, 403] }, "{kind}");
    }
}

/// A condition searches: without leave to, the answer must not depend on what it would find.
#[tokio::test]
async fn a_conditional_write_needs_leave_to_search() {
    let scene = Scene::set().await;
    let jane = scene.launch.first("Patient");
    let mut body = observation(jane, "next");
    body["identifier"] = json!([{"system": "urn:once", "value": "1"}]);
    let patch = json!([{"op": "replace", "path": "/status", "value": "amended"}]).to_string();
    let as_patch = [("content-type", "application/json-patch+json")];
    for (letter, method, sent, headers, with_search) in [
        ("u", "PUT", Some(body.to_string()), &[][..], 200),
        ("u", "PATCH", Some(patch), &as_patch[..], 200),
        ("d", "DELETE", None, &[], 204),
    ] {
        let without = scene.with(&format!("patient/Observation.{letter}")).await;
        let ask = async |session: &Session, value: &str| -> Answer {
            session.send(method, &format!("Observation?identifier=urn:once|{value}"), headers, sent.clone()).await
        };
        let (there, absent) = (ask(&without, "1").await, ask(&without, "2").await);
        assert_eq!((there.status, &there.text), (403, &absent.text), "{method}");
        assert_eq!(absent.status, 403, "{method}");
        let with = scene.with(&format!("patient/Observation.{letter}s")).await;
        assert_eq!(ask(&with, "1").await.status, with_search, "{method}");
    }
    // Of nothing, a conditional update creates: that needs leave as well.
    let mut other = body.clone();
    other["identifier"][0]["value"] = json!("3");
    let path = "Observation?identifier=urn:once|3";
    scene.with("patient/Observation.us").await.put(path, &other).await.expect(403);
    scene.with("patient/Observation.cus").await.put(path, &other).await.expect(201);
}

#[tokio::test]
async fn a_type_that_the_scopes_withhold_is_neither_brought_along_nor_looked_into() {
    let scene = Scene::set().await;
    let both = scene.with("patient/Observation.rs patient/Patient.rs").await;
    let (observations, patients) = (scene.with("patient/Observation.rs").await, scene.with("patient/Patient.rs").await);
    let found = async |session: &Session, path: &str| session.get(path).await.expect(200).json();
    for (narrow, path, with, without) in [
        (
            &observations,
            "Observation?_include=Observation:subject",
            &["Observation", "Patient"][..],
            &["Observation"][..],
        ),
        (&observations, "Observation?_include=*", &["Observation", "Patient"], &["Observation"]),
        (&observations, "Observation?subject:Patient.name=Smith", &["Observation"], &[]),
        (&observations, "Observation?patient.gender=female", &["Observation"], &[]),
        (&observations, "Observation?patient.gender:not=male", &["Observation"], &[]),
        (&patients, "Patient?_revinclude=Observation:subject", &["Observation", "Patient"], &["Patient"]),
        (&patients, "Patient?_has:Observation:patient:status=final", &["Patient"], &[]),
        (&patients, "Patient?_has:Observation:patient:status:not=draft", &["Patient"], &[]),
    ] {
        assert_eq!(kinds(&found(&both, path).await), with, "{path}");
        let bundle = found(narrow, path).await;
        assert_eq!(kinds(&bundle), without, "{path}");
        if without.is_empty() {
            assert!(warnings(&bundle).contains("does not allow to search"), "{path}: {bundle}");
        }
        let count = found(narrow, &format!("{path}&_summary=count")).await;
        assert_eq!(count["total"], u64::from(!without.is_empty()), "{path}: {count}");
    }
    // To search is not to read, and the other way round: what is brought along is read.
    let searches = scene.with("patient/Observation.s patient/Patient.rs").await;
    assert_eq!(kinds(&found(&searches, "Patient?_revinclude=Observation:subject").await), ["Patient"]);
    let reads = scene.with("patient/Observation.r patient/Patient.rs").await;
    assert_eq!(kinds(&found(&reads, "Patient?_revinclude=Observation:subject").await), ["Observation", "Patient"]);
    assert!(kinds(&found(&reads, "Patient?_has:Observation:patient:status=final").await).is_empty());
    reads.get("Observation").await.expect(403);
}
