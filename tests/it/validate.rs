//! `$validate`, and what is refused on every way in: create, update, batch, transaction, `$set-context`.

use serde_json::{Value, json};

use crate::fixtures::{SetContext, observation, patient};
use crate::support::answer::Answer;
use crate::support::server::TestServer;
use crate::support::session::Session;

const BP: &str = "http://hl7.org/fhir/StructureDefinition/bp";

async fn service() -> (TestServer, Session) {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    (server, service)
}

/// Two faults: an unknown element and a day that does not exist.
fn faulty() -> Value {
    json!({"resourceType": "Patient", "nickname": "x", "birthDate": "2023-02-30"})
}

fn errors(answer: &Answer) -> Vec<String> {
    let errors = answer.issues().into_iter().filter(super::support::answer::Issue::is_error);
    let mut places: Vec<_> = errors.flat_map(|issue| issue.expression).collect();
    places.sort();
    places
}

#[tokio::test]
async fn create_and_update_refuse_what_is_not_r4_with_all_issues() {
    let (server, service) = service().await;
    let answer = service.post("Patient", &faulty()).await.expect(422).expect_outcome();
    assert_eq!(errors(&answer), ["Patient.birthDate", "Patient.nickname"]);
    assert_eq!(server.count("select count(*) from resource").await, 0);
    let id = service.post("Patient", &patient("Smith")).await.expect(201).id();
    let mut next = faulty();
    next["id"] = json!(id);
    let answer = service.put(&format!("Patient/{id}"), &next).await.expect(422).expect_outcome();
    assert_eq!(errors(&answer), ["Patient.birthDate", "Patient.nickname"]);
    assert_eq!(service.get(&format!("Patient/{id}")).await.expect(200).header("etag"), "W/\"1\"");
}

#[tokio::test]
async fn ca_core_and_claimed_profiles_bind() {
    let (_server, service) = service().await;
    let encounter = json!({"resourceType": "Encounter", "status": "planned",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}});
    let answer = service.post("Encounter", &encounter).await.expect(422).expect_outcome();
    assert_eq!(errors(&answer), ["Encounter.subject"], "R4 would take it, CA Core+ does not");
    let mut claimed = observation("Patient/p", "x");
    claimed["meta"] = json!({"profile": [BP]});
    let answer = service.post("Observation", &claimed).await.expect(422).expect_outcome();
    assert!(answer.text.contains(BP), "{}", answer.text);
    claimed["meta"] = json!({"profile": ["http://example.org/unknown"]});
    let wish = [("prefer", "return=OperationOutcome")];
    let answer = service.send("POST", "Observation", &wish, Some(claimed.to_string())).await.expect(201);
    assert!(answer.text.contains("http://example.org/unknown is not loaded"), "{}", answer.text);
}

#[tokio::test]
async fn a_transaction_is_judged_as_a_whole_and_a_batch_entry_by_entry() {
    let (server, service) = service().await;
    let entry = |url: &str, resource: &Value| {
        let kind = resource["resourceType"].clone();
        json!({"fullUrl": url, "resource": resource, "request": {"method": "POST", "url": kind}})
    };
    let group = json!({"resourceType": "Organization", "name": "o"});
    // The reference leads to an Organization: only the Bundle as a whole tells.
    let lost = observation("urn:uuid:7d1b6c3e-7c8b-4d9a-8f6e-0a1b2c3d4e5f", "x");
    let bundle = |kind: &str, entries: &[Value]| json!({"resourceType": "Bundle", "type": kind, "entry": entries});
    let entries = [
        entry("urn:uuid:7d1b6c3e-7c8b-4d9a-8f6e-0a1b2c3d4e5f", &group),
        entry("urn:uuid:7d1b6c3e-7c8b-4d9a-8f6e-0a1b2c3d4e60", &lost),
    ];
    let answer = service.post("", &bundle("transaction", &entries)).await.expect(422).expect_outcome();
    assert_eq!(errors(&answer), ["Bundle.entry[1].resource.subject"]);
    assert_eq!(server.count("select count(*) from resource").await, 0);
    let entries = [
        entry("urn:uuid:7d1b6c3e-7c8b-4d9a-8f6e-0a1b2c3d4e5f", &patient("Smith")),
        entry("urn:uuid:7d1b6c3e-7c8b-4d9a-8f6e-0a1b2c3d4e60", &faulty()),
    ];
    let answer = service.post("", &bundle("batch", &entries)).await.expect(200).json();
    assert_eq!(answer["entry"][0]["response"]["status"], "201 Created");
    assert!(answer["entry"][1]["response"]["status"].as_str().unwrap().starts_with("422"));
    let issues = answer["entry"][1]["response"]["outcome"]["issue"].as_array().unwrap();
    assert!(issues.iter().any(|issue| issue["expression"][0] == "Bundle.entry[1].resource.birthDate"), "{answer}");
    let mut misspelt = bundle("batch", &entries[..1]);
    misspelt["entri"] = json!([]);
    let answer = service.post("", &misspelt).await.expect(422).expect_outcome();
    assert_eq!(errors(&answer), ["Bundle.entri"]);
}

#[tokio::test]
async fn set_context_names_every_fault_from_the_requests_root() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    let mut first = patient("Smith");
    first["birthDate"] = json!("2023-02-30");
    let mut second = observation("urn:uuid:patient", "x");
    second["status"] = json!("invented");
    let input = SetContext::default().entry("urn:uuid:a", &first).entry("urn:uuid:b", &second).build();
    let answer = poc.set_context(&input).await.expect(422).expect_outcome();
    let found = errors(&answer);
    assert!(found.iter().any(|path| path.ends_with(".resource.entry[0].resource.birthDate")), "{found:?}");
    assert!(found.iter().any(|path| path.ends_with(".resource.entry[1].resource.status")), "{found:?}");
    assert!(found.iter().all(|path| path.starts_with("Parameters.parameter[")), "{found:?}");
    let mut input = SetContext::patient("Smith").build();
    input["parameter"][0]["colour"] = json!("x");
    poc.set_context(&input).await.expect(400).expect_outcome();
    let mut input = SetContext::patient("Smith").build();
    input["parameter"][1]["resource"]["entry"][0]["colour"] = json!("x");
    let answer = poc.set_context(&input).await.expect(400).expect_outcome();
    assert_eq!(errors(&answer), ["Parameters.parameter[1].resource.entry[0].colour"]);
    assert_eq!(server.count("select count(*) from resource").await, 1, "the Subscription alone");
}

#[tokio::test]
async fn validate_answers_an_outcome_whatever_it_says() {
    let (_server, service) = service().await;
    let fine = service.post("Patient/$validate", &patient("Smith")).await.expect(200);
    assert_eq!(errors(&fine), [""; 0]);
    let bad = service.post("Patient/$validate", &faulty()).await.expect(200);
    assert_eq!(errors(&bad), ["Patient.birthDate", "Patient.nickname"]);
    let parameters = |extra: &[Value], resource: &Value| {
        let mut list = vec![json!({"name": "resource", "resource": resource})];
        list.extend(extra.iter().cloned());
        json!({"resourceType": "Parameters", "parameter": list})
    };
    let asked = parameters(&[json!({"name": "mode", "valueCode": "create"})], &faulty());
    assert_eq!(errors(&service.post("Patient/$validate", &asked).await.expect(200)).len(), 2);
    let profile = json!({"name": "profile", "valueUri": BP});
    let asked = parameters(&[json!({"name": "mode", "valueCode": "profile"}), profile], &observation("Patient/p", "x"));
    let answer = service.post("Observation/$validate", &asked).await.expect(200);
    assert!(!errors(&answer).is_empty() && answer.text.contains(BP), "{}", answer.text);
    let query = format!("Observation/$validate?profile={BP}");
    assert!(!errors(&service.post(&query, &observation("Patient/p", "x")).await.expect(200)).is_empty());
    let other = service.post("Observation/$validate", &patient("Smith")).await.expect(200);
    assert_eq!(errors(&other), ["Patient"]);
    let unknown = service.post("Patient/$validate?profile=http://example.org/x", &patient("Smith")).await.expect(200);
    assert_eq!(unknown.issues().iter().filter(|issue| issue.code == "not-found").count(), 1, "{}", unknown.text);
    // A resource that is Parameters is validated as itself.
    let own = json!({"resourceType": "Parameters", "parameter": [{"name": "x", "valueString": "y"}]});
    assert_eq!(errors(&service.post("Parameters/$validate", &own).await.expect(200)), [""; 0]);
}

#[tokio::test]
async fn validate_at_the_instance_level_knows_what_is_stored() {
    let (_server, service) = service().await;
    let id = service.post("Patient", &patient("Smith")).await.expect(201).id();
    let path = format!("Patient/{id}/$validate");
    assert_eq!(errors(&service.get(&path).await.expect(200)), [""; 0]);
    let update = |id: &str| {
        let mut resource = patient("Smith");
        resource["id"] = json!(id);
        json!({"resourceType": "Parameters", "parameter": [{"name": "mode", "valueCode": "update"}, {"name": "resource", "resource": resource}]})
    };
    assert_eq!(errors(&service.post(&path, &update(&id)).await.expect(200)), [""; 0]);
    assert_eq!(errors(&service.post(&path, &update("other")).await.expect(200)), ["Patient.id"]);
    service.post(&format!("{path}?mode=create"), &patient("Smith")).await.expect(400).expect_outcome();
    service.post("Patient/unknown/$validate", &patient("Smith")).await.expect(404).expect_outcome();
    let deletion = json!({"resourceType": "Parameters", "parameter": [{"name": "mode", "valueCode": "delete"}]});
    service.post(&path, &deletion).await.expect(200);
}

#[tokio::test]
async fn validate_refuses_what_it_does_not_understand() {
    let (server, service) = service().await;
    for (path, body) in [
        ("Patient/$validate?mode=maybe", patient("Smith")),
        ("Patient/$validate?mode=update", patient("Smith")),
        ("Patient/$validate?mode=profile", patient("Smith")),
        ("Patient/$validate?colour=red", patient("Smith")),
        (
            "Patient/$validate",
            json!({"resourceType": "Parameters", "parameter": [{"name": "mode", "valueCode": "create"}]}),
        ),
        ("Patient/$validate", json!({"resourceType": "Parameters", "parameter": [{"name": "x", "resource": {}}]})),
    ] {
        service.post(path, &body).await.expect(400).expect_outcome();
    }
    service.post("Foo/$validate", &json!({"resourceType": "Foo"})).await.expect(404).expect_outcome();
    server.stranger().post("Patient/$validate", &patient("Smith")).await.expect(401).expect_outcome();
}
