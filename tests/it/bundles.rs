//! Batch and transaction Bundles (R4, http.html#transaction).

use serde_json::{Value, json};

use crate::fixtures::{SetContext, bundle, entry, observation, patient};
use crate::support::answer::{Answer, issues_of};
use crate::support::server::TestServer;
use crate::support::session::Session;

async fn service() -> (TestServer, Session) {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    (server, service)
}

fn organization(name: &str) -> Value {
    json!({"resourceType": "Organization", "name": name})
}

fn statuses(answer: &Answer) -> Vec<String> {
    let entries = answer.json()["entry"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| entry["response"]["status"].as_str().unwrap()[..3].to_owned()).collect()
}

/// `Type/id` of a response entry.
fn location(answer: &Answer, place: usize) -> String {
    let body = answer.json();
    let location = body["entry"][place]["response"]["location"].as_str().unwrap().to_owned();
    let parts: Vec<_> = location.split('/').collect();
    let history = parts.iter().position(|part| *part == "_history").expect("a versioned location");
    format!("{}/{}", parts[history - 2], parts[history - 1])
}

#[tokio::test]
async fn a_transaction_answers_each_entry_in_its_place() {
    let (_server, service) = service().await;
    let old = service.post("Organization", &organization("old")).await.expect(201).id();
    let doomed = service.post("Organization", &organization("doomed")).await.expect(201).id();
    let mut renamed = organization("renamed");
    renamed["id"] = json!(old);
    let input = bundle(
        "transaction",
        &[
            entry("", "GET", &format!("Organization/{old}"), None),
            entry("urn:uuid:a", "POST", "Organization", Some(&organization("new"))),
            entry("", "DELETE", &format!("Organization/{doomed}"), None),
            entry("", "PUT", &format!("Organization/{old}"), Some(&renamed)),
        ],
    );
    let answer = service.post("", &input).await.expect(200);
    assert_eq!(answer.json()["type"], "transaction-response");
    assert_eq!(statuses(&answer), ["200", "201", "204", "200"]);
    let entries = answer.json()["entry"].clone();
    assert_eq!(entries[0]["resource"]["name"], "renamed", "GET entries see the changes of their transaction");
    for place in [1, 3] {
        assert!(
            entries[place]["response"]["etag"].is_string() && entries[place]["response"]["lastModified"].is_string(),
            "{entries}"
        );
    }
    assert_eq!(entries[3]["response"]["etag"], "W/\"2\"");
    service.get(&location(&answer, 1)).await.expect(200);
    service.get(&format!("Organization/{doomed}")).await.expect(410);
}

#[tokio::test]
async fn a_read_of_an_entry_tells_what_was_asked_of_it() {
    let (_server, service) = service().await;
    let mut whole = organization("x");
    whole["identifier"] = json!([{"system": "urn:o", "value": "1"}]);
    let id = service.post("Organization", &whole).await.expect(201).id();
    let one = format!("Organization/{id}");
    for kind in ["batch", "transaction"] {
        let version = format!("{one}/_history/1");
        for path in [&one, &version, &"Organization?name=x".to_owned(), &format!("{one}/_history")] {
            let asked = ["GET", "HEAD"].map(|method| entry("", method, path, None));
            let answer = service.post("", &bundle(kind, &asked)).await.expect(200);
            assert_eq!(statuses(&answer), ["200", "200"], "{path}");
            let entries = answer.json()["entry"].clone();
            assert!(entries[0]["resource"].is_object() && entries[1]["resource"].is_null(), "{path}: {entries}");
            assert_eq!(entries[0]["response"], entries[1]["response"], "{path}");
        }
        let missing = service.post("", &bundle("batch", &[entry("", "HEAD", "Organization/none", None)])).await;
        assert_eq!(statuses(&missing), ["404"]);
        for path in [&one, &version] {
            for (query, has_name, is_subset) in [
                ("", true, false),
                ("?_summary=false", true, false),
                ("?_elements=identifier", false, true),
                ("?_elements=active,name", true, true),
                ("?_summary=data", true, true),
            ] {
                let asked = entry("", "GET", &format!("{path}{query}"), None);
                let seen = service.post("", &bundle(kind, &[asked])).await.expect(200).json()["entry"][0].clone();
                assert_eq!(seen["resource"]["name"].is_string(), has_name, "{path}{query}: {seen}");
                assert_eq!(
                    seen["resource"]["meta"]["tag"][0]["code"] == "SUBSETTED",
                    is_subset,
                    "{path}{query}: {seen}"
                );
                assert_eq!(seen["response"]["etag"], "W/\"1\"");
            }
            let asked = entry("", "GET", &format!("{path}?_summary=count"), None);
            let answer = service.post("", &bundle(kind, &[asked])).await;
            let status = if kind == "batch" { statuses(&answer)[0].clone() } else { answer.status.to_string() };
            assert_eq!(status, "400", "{}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_delete_of_an_entry_tells_an_outcome_where_outcomes_are_asked_for() {
    let (_server, service) = service().await;
    for kind in ["batch", "transaction"] {
        for (prefer, status) in
            [("return=OperationOutcome", "200"), ("return=minimal", "204"), ("return=representation", "204")]
        {
            let id = service.post("Organization", &organization("x")).await.expect(201).id();
            let gone = [
                entry("", "DELETE", &format!("Organization/{id}"), None),
                entry("", "DELETE", "Organization?name=nobody", None),
            ];
            let body = bundle(kind, &gone).to_string();
            let headers = [("prefer", prefer), ("content-type", "application/fhir+json")];
            let answer = service.send("POST", "", &headers, Some(body)).await.expect(200);
            assert_eq!(statuses(&answer), [status, status], "{prefer}");
            for place in [0, 1] {
                let told = answer.json()["entry"][place]["response"]["outcome"].clone();
                let texts: Vec<_> = issues_of(&told).into_iter().map(|issue| issue.text).collect();
                assert_eq!(texts.is_empty(), status == "204", "{prefer}: {told}");
            }
            service.get(&format!("Organization/{id}")).await.expect(410);
        }
    }
}

#[tokio::test]
async fn the_result_does_not_depend_on_the_order_of_entries() {
    let (_server, service) = service().await;
    let mut child = organization("child");
    child["partOf"] = json!({"reference": "urn:uuid:b"});
    let mut parent = organization("parent");
    parent["endpoint"] = json!([{"reference": "urn:uuid:e"}]);
    let endpoint = json!({"resourceType": "Endpoint", "status": "active", "name": "e", "address": "https://e.example",
            "connectionType": {"system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code": "hl7-fhir-rest"},
            "payloadType": [{"text": "any"}], "managingOrganization": {"reference": "urn:uuid:a"}});
    let entries = [
        entry("urn:uuid:a", "POST", "Organization", Some(&child)),
        entry("urn:uuid:b", "POST", "Organization", Some(&parent)),
        entry("urn:uuid:e", "POST", "Endpoint", Some(&endpoint)),
    ];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let input = bundle("transaction", &order.map(|place| entries[place].clone()));
        let answer = service.post("", &input).await.expect(200);
        let at = |which: usize| location(&answer, order.iter().position(|place| *place == which).unwrap());
        assert_eq!(service.get(&at(0)).await.json()["partOf"]["reference"], at(1));
        assert_eq!(service.get(&at(1)).await.json()["endpoint"][0]["reference"], at(2));
        assert_eq!(service.get(&at(2)).await.json()["managingOrganization"]["reference"], at(0), "circles are fine");
    }
}

#[tokio::test]
async fn a_transaction_that_fails_leaves_no_trace() {
    let (server, service) = service().await;
    let existing = service.post("Organization", &organization("existing")).await.expect(201).id();
    let good = entry("urn:uuid:a", "POST", "Organization", Some(&organization("good")));
    let mut stale = entry(
        "",
        "PUT",
        &format!("Organization/{existing}"),
        Some(&json!({"resourceType": "Organization", "id": existing, "name": "stale"})),
    );
    stale["request"]["ifMatch"] = json!("W/\"7\"");
    let other = service.post("Organization", &organization("other")).await.expect(201).id();
    let delete = entry("", "DELETE", &format!("Organization/{other}"), None);
    let bad = |one: Value, status: u16| (one, status);
    for (one, status) in [
        bad(stale, 412),
        bad(entry("", "POST", "Organization", None), 400),
        bad(entry("", "POST", "Foo", Some(&json!({"resourceType": "Foo"}))), 400),
        bad(entry("", "POST", "Organization", Some(&patient("wrong type"))), 400),
        bad(
            entry(
                "",
                "PUT",
                "Organization/never",
                Some(&json!({"resourceType": "Organization", "id": "never", "name": "n"})),
            ),
            405,
        ),
        bad(entry("", "FETCH", "Organization/1", None), 400),
        bad(json!({"resource": organization("no request")}), 400),
    ] {
        let input = bundle("transaction", &[good.clone(), delete.clone(), one.clone()]);
        let answer = service.post("", &input).await.expect(status).expect_outcome();
        assert!(
            answer.expressions().iter().any(|place| place.starts_with("Bundle.entry[2]")),
            "{one}: {}",
            answer.text
        );
        assert_eq!(server.count("select count(*) from resource").await, 2);
        service.get(&format!("Organization/{other}")).await.expect(200);
    }
}

#[tokio::test]
async fn one_identity_twice_is_refused() {
    let (server, service) = service().await;
    let id = service.post("Organization", &organization("one")).await.expect(201).id();
    let path = format!("Organization/{id}");
    let put = entry("", "PUT", &path, Some(&json!({"resourceType": "Organization", "id": id, "name": "two"})));
    let delete = entry("", "DELETE", &path, None);
    for pair in [[put.clone(), put.clone()], [put.clone(), delete.clone()], [delete.clone(), delete]] {
        service.post("", &bundle("transaction", &pair)).await.expect(400).expect_outcome();
    }
    let post = entry("urn:uuid:a", "POST", "Organization", Some(&organization("x")));
    service.post("", &bundle("transaction", &[post.clone(), post])).await.expect(400).expect_outcome();
    assert_eq!(server.count("select count(*) from resource").await, 1);
    assert_eq!(service.get(&path).await.header("etag"), "W/\"1\"");
}

#[tokio::test]
async fn if_none_exist_in_a_transaction_finds_and_its_references_follow() {
    let (server, service) = service().await;
    let mut parent = organization("parent");
    parent["identifier"] = json!([{"system": "s", "value": "1"}]);
    let existing = format!("Organization/{}", service.post("Organization", &parent).await.expect(201).id());
    let mut child = organization("child");
    child["partOf"] = json!({"reference": "urn:uuid:p"});
    let mut conditional = entry("urn:uuid:p", "POST", "Organization", Some(&parent));
    conditional["request"]["ifNoneExist"] = json!("identifier=s|1");
    let input = bundle("transaction", &[conditional, entry("urn:uuid:c", "POST", "Organization", Some(&child))]);
    let answer = service.post("", &input).await.expect(200);
    assert_eq!(statuses(&answer), ["200", "201"]);
    assert_eq!(location(&answer, 0), existing);
    assert_eq!(service.get(&location(&answer, 1)).await.json()["partOf"]["reference"], existing);
    service.post("Organization", &parent).await.expect(201);
    let before = server.count("select count(*) from resource").await;
    service.post("", &input).await.expect(412).expect_outcome();
    assert_eq!(server.count("select count(*) from resource").await, before);
}

#[tokio::test]
async fn a_conditional_reference_is_resolved_or_fails_the_whole() {
    let (server, service) = service().await;
    let mut parent = organization("parent");
    parent["identifier"] = json!([{"system": "s", "value": "1"}]);
    let existing = format!("Organization/{}", service.post("Organization", &parent).await.expect(201).id());
    let child = |query: &str| {
        let mut child = organization("child");
        child["partOf"] = json!({"reference": format!("Organization?{query}")});
        bundle("transaction", &[entry("urn:uuid:c", "POST", "Organization", Some(&child))])
    };
    let answer = service.post("", &child("identifier=s|1")).await.expect(200);
    assert_eq!(service.get(&location(&answer, 0)).await.json()["partOf"]["reference"], existing);
    let before = server.count("select count(*) from resource").await;
    let none = service.post("", &child("identifier=s|none")).await.expect_outcome();
    assert!(matches!(none.status, 400 | 412 | 422), "{}", none.status);
    assert_eq!(server.count("select count(*) from resource").await, before);
}

#[tokio::test]
async fn a_batch_answers_each_entry_alone() {
    let (server, service) = service().await;
    let input = bundle(
        "batch",
        &[
            entry("", "POST", "Organization", Some(&organization("a"))),
            entry("", "GET", "Organization/none", None),
            entry("", "POST", "Organization", Some(&patient("wrong type"))),
            entry("", "POST", "Organization", Some(&organization("b"))),
            entry("", "FETCH", "Organization", None),
        ],
    );
    let answer = service.post("", &input).await.expect(200);
    assert_eq!(answer.json()["type"], "batch-response");
    assert_eq!(statuses(&answer)[..4], ["201", "404", "400", "201"]);
    assert!(statuses(&answer)[4].starts_with('4'));
    for place in [1, 2, 4] {
        let outcome = &answer.json()["entry"][place]["response"]["outcome"];
        assert!(issues_of(outcome).iter().any(|issue| issue.is_error() && !issue.text.is_empty()), "{outcome}");
    }
    assert_eq!(server.count("select count(*) from resource").await, 2);
}

#[tokio::test]
async fn a_batch_entry_that_refers_to_another_is_refused() {
    let (server, service) = service().await;
    let mut child = organization("child");
    child["partOf"] = json!({"reference": "urn:uuid:a"});
    let input = bundle(
        "batch",
        &[
            entry("urn:uuid:a", "POST", "Organization", Some(&organization("a"))),
            entry("urn:uuid:b", "POST", "Organization", Some(&child)),
        ],
    );
    let answer = service.post("", &input).await.expect(200);
    assert_eq!(statuses(&answer)[0], "201");
    assert!(statuses(&answer)[1].starts_with('4'), "{}", answer.text);
    assert_eq!(server.count("select count(*) from resource").await, 1);
}

#[tokio::test]
async fn empty_bundles_are_fine_and_other_types_are_not() {
    let (_server, service) = service().await;
    for (kind, response) in [("batch", "batch-response"), ("transaction", "transaction-response")] {
        let empty = service.post("", &json!({"resourceType": "Bundle", "type": kind})).await.expect(200).json();
        assert_eq!(empty["type"], response);
        assert_eq!(empty["entry"].as_array().map_or(0, Vec::len), 0);
    }
    for kind in ["collection", "document", "history", "searchset", "nonsense"] {
        let answer = service.post("", &bundle(kind, &[])).await.expect_outcome();
        assert!(matches!(answer.status, 400 | 422), "{kind}: {}", answer.status);
    }
    service.post("", &organization("no bundle")).await.expect(400).expect_outcome();
    service.post("", &"{").await.expect(400).expect_outcome();
}

#[tokio::test]
async fn each_entry_is_judged_by_the_scopes() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    server.user("user", 7).await;
    let launch = poc.launch(&SetContext::patient("Smith").build()).await;
    let scope = "launch patient/Observation.c patient/Patient.r";
    let app = server.app("app").await.launch_with(&launch.id, "user", scope).await.expect("a launch");
    let subject = launch.first("Patient");
    let condition = json!({"resourceType": "Condition", "subject": {"reference": subject}});
    let entries = [
        entry("urn:uuid:o", "POST", "Observation", Some(&observation(subject, "x"))),
        entry("urn:uuid:c", "POST", "Condition", Some(&condition)),
        entry("", "GET", subject, None),
    ];
    let answer = app.post("", &bundle("batch", &entries)).await.expect(200);
    assert_eq!(statuses(&answer), ["201", "403", "200"]);
    app.post("", &bundle("transaction", &entries)).await.expect(403).expect_outcome();
    assert_eq!(server.count("select count(*) from resource where type in ('Observation', 'Condition')").await, 1);
}

#[tokio::test]
async fn prefer_decides_the_bodies_of_entries() {
    let (_server, service) = service().await;
    let input = bundle("transaction", &[entry("urn:uuid:a", "POST", "Organization", Some(&organization("a")))]);
    let with = |prefer: &'static str| {
        let (service, body) = (&service, input.to_string());
        async move {
            let answer = service.send("POST", "", &[("prefer", prefer)], Some(body)).await.expect(200);
            assert_eq!(answer.header("preference-applied"), prefer);
            answer.json()["entry"][0].clone()
        }
    };
    let minimal = with("return=minimal").await;
    assert!(minimal.get("resource").is_none() && minimal["response"].get("outcome").is_none(), "{minimal}");
    assert_eq!(with("return=representation").await["resource"]["name"], "a");
    assert_eq!(with("return=OperationOutcome").await["response"]["outcome"]["resourceType"], "OperationOutcome");
}

#[tokio::test]
async fn a_read_of_what_the_transaction_deleted_is_that_entrys_own_answer() {
    let (_server, service) = service().await;
    let path = format!("Organization/{}", service.post("Organization", &organization("one")).await.expect(201).id());
    let input = bundle(
        "transaction",
        &[
            entry("", "GET", &path, None),
            entry("", "DELETE", &path, None),
            entry("urn:uuid:a", "POST", "Organization", Some(&organization("two"))),
        ],
    );
    let answer = service.post("", &input).await.expect(200);
    assert_eq!(statuses(&answer), ["410", "204", "201"]);
    service.get(&location(&answer, 2)).await.expect(200);
}

#[tokio::test]
async fn a_conditional_reference_needs_leave_to_search() {
    let (server, service) = service().await;
    let mut parent = organization("parent");
    parent["identifier"] = json!([{"system": "s", "value": "1"}]);
    service.post("Organization", &parent).await.expect(201);
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    server.user("user", 7).await;
    let launch = poc.launch(&SetContext::patient("Smith").build()).await;
    let app = server.app("app").await;
    let mut observation = observation(launch.first("Patient"), "x");
    observation["performer"] = json!([{"reference": "Organization?identifier=s|1"}]);
    let input = bundle("transaction", &[entry("urn:uuid:o", "POST", "Observation", Some(&observation))]);
    let narrow = app.launch_with(&launch.id, "user", "launch user/Observation.c").await.unwrap();
    narrow.post("", &input).await.expect_issue(403, "forbidden");
    let wide = app.launch_with(&launch.id, "user", "launch user/Observation.c user/Organization.s").await.unwrap();
    wide.post("", &input).await.expect(200);
}
