//! What the scopes of a token let through, beyond the letters: all types, conditions that search, types that are only
//! touched.

use serde_json::{Value, json};
use sofa::fhir::types::resource_types;

use crate::fixtures::{SetContext, observation, patient};
use crate::set_context::stage;
use crate::standalone::is_resource;
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
        // A Subscription is a PoC's own, the audit trail its readers', whatever an app's scopes are.
        let may = !["Subscription", "AuditEvent"].contains(&kind);
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

/// An account gives access to nobody: what belongs to a shared patient is reached by `user/` scopes only where that patient
/// could be picked, or is in context.
#[tokio::test]
async fn user_scopes_reach_the_shared_patients_that_could_be_picked_and_no_others() {
    for (policy, linked, reached) in [
        ("none", "", [false, false]),
        ("none", "Practitioner/p", [false, false]),
        ("none", "Patient/", [true, false]),
        ("practitioner", "Practitioner/p", [true, true]),
        ("practitioner", "PractitionerRole/p", [false, false]),
        ("practitioner", "", [false, false]),
    ] {
        let server = TestServer::configured(&format!("standalone.shared_patients = \"{policy}\"")).await;
        let service = server.service("service").await;
        let made =
            async |kind: &str, body: &Value| format!("{kind}/{}", service.post(kind, body).await.expect(201).id());
        let doctor = made("Practitioner", &json!({"resourceType": "Practitioner", "name": [{"family": "Roy"}]})).await;
        let mut shared = Vec::new();
        for family in ["First", "Second"] {
            let patient = made("Patient", &patient(family)).await;
            let seen = made("Observation", &observation(&patient, family)).await;
            shared.push([patient, seen]);
        }
        let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
        server.user("user", 7).await;
        let linked = if linked == "Patient/" { shared[0][0].as_str() } else { linked };
        if !linked.is_empty() {
            is_resource(&server, "user", linked).await;
        }
        let about_second = observation(&shared[1][0], "of the launch");
        let input = SetContext::patient("Smith")
            .entry("urn:uuid:o", &observation("urn:uuid:patient", "x"))
            .entry("urn:uuid:s", &about_second)
            .build();
        let launch = poc.launch(&input).await;
        let app = server.app("app").await.launch_with(&launch.id, "user", "launch user/*.rs").await.expect("a launch");
        for held in &launch.created {
            app.get(held).await.expect(200);
        }
        app.get(&doctor).await.expect(200);
        let mut patients = 1;
        for ([patient, seen], reached) in shared.iter().zip(reached) {
            let status = if reached { 200 } else { 404 };
            patients += u64::from(reached);
            for path in [patient, seen] {
                app.get(path).await.expect(status);
                app.get(&format!("{path}/_history/1")).await.expect(status);
                app.get(&format!("{path}/_history")).await.expect(status);
            }
            let everything = app.get(&format!("{patient}/$everything")).await;
            assert_eq!(everything.status, status);
            let found = async |query: &str| kinds(&app.get(query).await.expect(200).json()).len();
            let (patient_id, own) = (patient.split_once('/').unwrap().1, usize::from(reached));
            assert_eq!(found(&format!("Patient?_id={patient_id}")).await, own);
            assert_eq!(found(&format!("Observation?_id={}", seen.split_once('/').unwrap().1)).await, own);
        }
        let count = app.get("Patient?_summary=count").await.expect(200).json();
        assert_eq!(count["total"], patients, "{policy} {linked}");
        let second = usize::from(reached[1]);
        // What the launch holds leads to nobody who is out of reach.
        let id = launch.created[2].split_once('/').unwrap().1;
        let led = app.get(&format!("Observation?_id={id}&_include=Observation:subject")).await.expect(200).json();
        assert_eq!(kinds(&led).len(), 1 + second, "{policy} {linked}: {led}");
        let led = app.get("Observation?subject:Patient.name=Second").await.expect(200).json();
        assert_eq!(kinds(&led).len(), 2 * second, "{policy} {linked}: {led}");
    }
}

#[tokio::test]
async fn a_shared_patient_in_context_is_within_reach() {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    let made = async |kind: &str, body: &Value| format!("{kind}/{}", service.post(kind, body).await.expect(201).id());
    let (own, other) = (made("Patient", &patient("Own")).await, made("Patient", &patient("Other")).await);
    let seen = made("Observation", &observation(&own, "x")).await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    server.user("user", 7).await;
    let launch = poc.launch(&SetContext::default().reference("patient", &own).build()).await;
    let app = server.app("app").await.launch_with(&launch.id, "user", "launch user/*.cruds").await.expect("a launch");
    for (path, status) in [(&own, 200), (&seen, 200), (&other, 404)] {
        app.get(path).await.expect(status);
    }
    // What is written in a launch is the launch's, whoever it is about.
    let written = app.post("Observation", &observation(&other, "y")).await.expect(201).id();
    app.get(&format!("Observation/{written}")).await.expect(200);
    let mut changed = patient("Changed");
    changed["id"] = json!(own.split_once('/').unwrap().1);
    app.put(&own, &changed).await.expect(403);
}
