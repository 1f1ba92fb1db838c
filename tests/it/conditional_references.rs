//! Conditional references of transactions (R4, http.html#trules): resolved last, among what is stored afterwards.

use serde_json::{Value, json};

use crate::fixtures::{SetContext, bundle, entry, observation, patient};
use crate::support::answer::Answer;
use crate::support::server::TestServer;
use crate::support::session::Session;

async fn service() -> (TestServer, Session) {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    (server, service)
}

/// `Type/id` of a response entry.
fn location(answer: &Answer, place: usize) -> String {
    let body = answer.json();
    let location = body["entry"][place]["response"]["location"].as_str().expect("a location").to_owned();
    let (path, _) = location.split_once("/_history/").expect("a versioned location");
    path.rsplitn(3, '/').take(2).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("/")
}

fn organization(name: &str) -> Value {
    json!({"resourceType": "Organization", "name": name})
}

fn known_as(value: &str, name: &str) -> Value {
    json!({"resourceType": "Organization", "name": name, "identifier": [{"system": "s", "value": value}]})
}

/// An Organization that is part of whatever matches `query`.
fn part_of(query: &str) -> Value {
    json!({"resourceType": "Organization", "name": "child", "partOf": {"reference": format!("Organization?{query}")}})
}

async fn parent_of(service: &Session, child: &str) -> Value {
    service.get(child).await.expect(200).json()["partOf"]["reference"].clone()
}

#[tokio::test]
async fn a_conditional_reference_finds_what_its_own_transaction_makes() {
    let (_server, service) = service().await;
    let child = entry("urn:uuid:c", "POST", "Organization", Some(&part_of("identifier=s|1")));
    let parent = entry("urn:uuid:p", "POST", "Organization", Some(&known_as("1", "parent")));
    for entries in [[child.clone(), parent.clone()], [parent, child]] {
        let place = usize::from(entries[0]["fullUrl"] == "urn:uuid:p");
        let answer = service.post("", &bundle("transaction", &entries)).await.expect(200);
        let (child, parent) = (location(&answer, place), location(&answer, 1 - place));
        assert_eq!(parent_of(&service, &child).await, parent);
        service.delete(&parent).await.expect(204);
    }
    // By any kind of condition, also on what refers to another entry.
    let endpoint = json!({"resourceType": "Endpoint", "status": "active", "name": "Ünique", "address": "https://e.example",
        "connectionType": {"system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code": "hl7-fhir-rest"},
        "payloadType": [{"text": "any"}], "managingOrganization": {"reference": "urn:uuid:p"}});
    for query in ["name=uniq", "name:exact=%C3%9Cnique&status=active", "organization:missing=false"] {
        let mut holder = organization("holder");
        holder["endpoint"] = json!([{"reference": format!("Endpoint?{query}")}]);
        let entries = [
            entry("urn:uuid:h", "POST", "Organization", Some(&holder)),
            entry("urn:uuid:e", "POST", "Endpoint", Some(&endpoint)),
            entry("urn:uuid:p", "POST", "Organization", Some(&organization("p"))),
        ];
        let answer = service.post("", &bundle("transaction", &entries)).await.expect(200);
        let holder = service.get(&location(&answer, 0)).await.expect(200).json();
        assert_eq!(holder["endpoint"][0]["reference"], location(&answer, 1), "{query}");
        service.delete(&location(&answer, 1)).await.expect(204);
    }
}

#[tokio::test]
async fn what_matches_a_conditional_reference_is_what_is_stored_after_its_transaction() {
    let (server, service) = service().await;
    let stored = async |value: &str| {
        format!("Organization/{}", service.post("Organization", &known_as(value, "stored")).await.expect(201).id())
    };
    let put = |path: &str, resource: &Value| {
        let mut resource = resource.clone();
        resource["id"] = json!(path.split_once('/').unwrap().1);
        entry("", "PUT", path, Some(&resource))
    };
    let child = |value: &str| {
        let child = part_of(&format!("identifier=s|{value}"));
        entry("urn:uuid:c", "POST", "Organization", Some(&child))
    };
    let make = |value: &str| entry("urn:uuid:p", "POST", "Organization", Some(&known_as(value, "made")));
    let (one, two) = (stored("1").await, stored("2").await);
    let twins = [stored("3").await, stored("3").await, stored("3").await];

    // (what the transaction does besides, what is looked for, what it leads to)
    let found = [
        (vec![put(&one, &known_as("1", "renamed"))], "1", &one),
        (vec![put(&two, &known_as("new", "renamed"))], "new", &two),
        (vec![entry("", "DELETE", &twins[0], None), put(&twins[1], &known_as("other", "x"))], "3", &twins[2]),
    ];
    for (mut entries, value, leads_to) in found {
        entries.push(child(value));
        let answer = service.post("", &bundle("transaction", &entries)).await.expect(200);
        assert_eq!(parent_of(&service, &location(&answer, entries.len() - 1)).await, *leads_to, "{value}");
    }
    let before = server.count("select count(*) from resource_history").await;
    let failing = [
        (vec![], "none", "not-found"),
        (vec![entry("", "DELETE", &one, None)], "1", "not-found"),
        (vec![put(&one, &known_as("changed", "x"))], "1", "not-found"),
        (vec![make("1")], "1", "multiple-matches"),
        (vec![put(&two, &known_as("1", "x"))], "1", "multiple-matches"),
        (vec![make("4"), put(&two, &known_as("4", "x"))], "4", "multiple-matches"),
    ];
    for (mut entries, value, code) in failing {
        entries.push(child(value));
        let place = format!("Bundle.entry[{}]", entries.len() - 1);
        let answer = service.post("", &bundle("transaction", &entries)).await;
        answer.expect_issue(412, code).at(&place).saying(&format!("Organization?identifier=s|{value}"));
    }
    assert_eq!(server.count("select count(*) from resource_history").await, before, "nothing was done");
}

#[tokio::test]
async fn a_condition_that_only_the_store_can_tell_is_refused_where_the_transaction_would_matter() {
    let (_server, service) = service().await;
    let mut ward = known_as("ward", "ward");
    let clinic =
        format!("Organization/{}", service.post("Organization", &known_as("clinic", "c")).await.expect(201).id());
    ward["partOf"] = json!({"reference": clinic});
    let ward = format!("Organization/{}", service.post("Organization", &ward).await.expect(201).id());
    let location_of = |query: &str| {
        let location = json!({"resourceType": "Location", "name": "Room",
            "managingOrganization": {"reference": format!("Organization?{query}")}});
        entry("urn:uuid:l", "POST", "Location", Some(&location))
    };
    let chain = "partof.identifier=s|clinic";
    // No Organization is touched: the store knows all.
    for query in [chain, "_has:Organization:partof:name=ward&name=c", "_text=none"] {
        let answer = service.post("", &bundle("transaction", &[location_of(query)])).await;
        match query {
            "_text=none" => drop(answer.expect_issue(412, "not-found")),
            _ => {
                let answer = answer.expect(200);
                let found =
                    service.get(&location(&answer, 0)).await.json()["managingOrganization"]["reference"].clone();
                assert_eq!(found, if query == chain { json!(ward) } else { json!(clinic) });
            }
        }
    }
    let other = entry("urn:uuid:o", "POST", "Organization", Some(&organization("other")));
    for query in [chain, "_has:Organization:partof:name=ward", "_text=other", "_list=some"] {
        let entries = [other.clone(), location_of(query)];
        let answer = service.post("", &bundle("transaction", &entries)).await;
        answer.expect_issue(400, "not-supported").at("Bundle.entry[1]").saying(query);
    }
    // What is made is not meant whatever the rest of the condition says.
    let entries = [other, location_of("_text=none&name=never")];
    service.post("", &bundle("transaction", &entries)).await.expect_issue(412, "not-found");
}

#[tokio::test]
async fn a_patch_of_a_transaction_may_bring_a_conditional_reference_in() {
    let (_server, service) = service().await;
    let child = format!("Organization/{}", service.post("Organization", &organization("c")).await.expect(201).id());
    let patch = |query: &str| {
        let value = json!({"name": "value", "valueReference": {"reference": format!("Organization?{query}")}});
        let part = [
            json!({"name": "type", "valueCode": "add"}),
            json!({"name": "path", "valueString": "Organization"}),
            json!({"name": "name", "valueString": "partOf"}),
            value,
        ];
        let patch = json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": part}]});
        entry("", "PATCH", &child, Some(&patch))
    };
    service.post("", &bundle("transaction", &[patch("identifier=s|1")])).await.expect_issue(412, "not-found");
    let parent = entry("urn:uuid:p", "POST", "Organization", Some(&known_as("1", "parent")));
    let answer = service.post("", &bundle("transaction", &[patch("identifier=s|1"), parent])).await.expect(200);
    assert_eq!(parent_of(&service, &child).await, location(&answer, 1));
}

#[tokio::test]
async fn under_a_patients_limit_a_conditional_reference_finds_what_the_app_makes_and_nothing_of_others() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    server.user("user", 7).await;
    let known = |family: &str| {
        let mut patient = patient(family);
        patient["identifier"] = json!([{"system": "mrn", "value": family}]);
        SetContext::default().reference("patient", "urn:uuid:p").entry("urn:uuid:p", &patient).build()
    };
    let (mine, other) = (poc.launch(&known("mine")).await, poc.launch(&known("other")).await);
    let app = server.app("app").await;
    let app = app.launch_with(&mine.id, "user", "launch patient/*.cruds").await.expect("a launch");
    let encounter = json!({"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"},
        "identifier": [{"system": "visit", "value": "1"}], "subject": {"reference": "Patient?identifier=mrn|mine"}});
    let observed = |patient: &str, visit: &str| {
        let mut observation = observation(&format!("Patient?identifier=mrn|{patient}"), "x");
        observation["encounter"] = json!({"reference": format!("Encounter?identifier=visit|{visit}")});
        entry("urn:uuid:o", "POST", "Observation", Some(&observation))
    };
    let with = |observed: Value| {
        bundle("transaction", &[entry("urn:uuid:e", "POST", "Encounter", Some(&encounter)), observed])
    };
    let before = server.count("select count(*) from resource").await;
    app.post("", &with(observed("other", "1"))).await.expect_issue(412, "not-found");
    app.post("", &with(observed("mine", "2"))).await.expect_issue(412, "not-found");
    assert_eq!(server.count("select count(*) from resource").await, before);
    let answer = app.post("", &with(observed("mine", "1"))).await.expect(200);
    let stored = app.get(&location(&answer, 1)).await.expect(200).json();
    assert_eq!(stored["subject"]["reference"], mine.first("Patient"));
    assert_eq!(stored["encounter"]["reference"], location(&answer, 0));
    // Two visits of that number now.
    app.post("", &with(observed("mine", "1"))).await.expect_issue(412, "multiple-matches");
    assert_eq!(server.count("select count(*) from resource").await, before + 2);
    poc.get(other.first("Patient")).await.expect(200);
}

#[tokio::test]
async fn a_conditional_create_counts_all_that_stays_and_nothing_that_goes() {
    let (server, service) = service().await;
    let mut twins = Vec::new();
    for _ in 0..3 {
        let twin = service.post("Organization", &known_as("1", "twin")).await.expect(201).id();
        twins.push(entry("", "DELETE", &format!("Organization/{twin}"), None));
    }
    let mut create = entry("urn:uuid:n", "POST", "Organization", Some(&known_as("1", "new")));
    create["request"]["ifNoneExist"] = json!("identifier=s|1");
    let but = |count: usize| {
        let mut entries = twins[..count].to_vec();
        entries.push(create.clone());
        bundle("transaction", &entries)
    };
    service.post("", &but(1)).await.expect_issue(412, "multiple-matches");
    let kept = service.post("", &but(2)).await.expect(200);
    assert_eq!(kept.json()["entry"][2]["response"]["status"], "200 OK");
    let made = service.post("", &but(3)).await.expect(200);
    assert_eq!(made.json()["entry"][3]["response"]["status"], "201 Created");
    assert_eq!(server.count("select count(*) from resource where body is not null").await, 1);
}
