//! Searches by values that have an order or a hierarchy, in every way R4 knows (search.html#prefix, #modifiers), and what
//! belongs to every page.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::fixtures::{SetContext, observation};
use crate::support::answer::link;
use crate::support::server::TestServer;
use crate::support::session::Session;

/// Shared resources by the names that the tables below use.
struct Data {
    server: TestServer,
    service: Session,
    /// Name to `Type/id`.
    names: BTreeMap<&'static str, String>,
}

impl Data {
    async fn new() -> Self {
        let server = TestServer::start().await;
        let service = server.service("loader").await;
        Self { server, service, names: BTreeMap::new() }
    }

    async fn add(&mut self, name: &'static str, resource: &Value) {
        let kind = resource["resourceType"].as_str().unwrap();
        let id = self.service.post(kind, resource).await.expect(201).id();
        self.names.insert(name, format!("{kind}/{id}"));
    }

    /// The matches of a query, by name, sorted.
    async fn found(&self, query: &str) -> Vec<&'static str> {
        let bundle = self.service.get(query).await.expect(200).json();
        let mut found = self.names_in(&bundle, "match");
        found.sort_unstable();
        found
    }

    /// The entries of a mode, by name, in their order. Each says where it is found.
    fn names_in(&self, bundle: &Value, mode: &str) -> Vec<&'static str> {
        let entries = bundle["entry"].as_array().into_iter().flatten();
        let name = |entry: &Value| {
            let resource = &entry["resource"];
            let own = format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
            assert_eq!(entry["fullUrl"], format!("{}/{own}", self.server.fhir));
            let known = self.names.iter().find(|(_, reference)| **reference == own);
            *known.unwrap_or_else(|| panic!("{own} has no name")).0
        };
        entries.filter(|entry| entry["search"]["mode"] == mode).map(name).collect()
    }
}

const PREFIXES: [&str; 10] = ["", "eq", "ne", "gt", "ge", "lt", "le", "sa", "eb", "ap"];

/// What each of [`PREFIXES`] finds.
type ByPrefix = [&'static [&'static str]; 10];

async fn each_prefix(data: &Data, question: &str, value: &str, expected: ByPrefix) {
    for (prefix, expected) in PREFIXES.into_iter().zip(expected) {
        let query = format!("{question}={prefix}{value}");
        assert_eq!(data.found(&query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn numbers_are_compared_by_every_prefix() {
    let mut data = Data::new().await;
    for (name, probability) in
        [("a", "0.20"), ("b", "0.249"), ("c", "0.250"), ("d", "0.2549"), ("e", "0.30"), ("f", "0.80")]
    {
        let text = format!(
            r#"{{"resourceType":"RiskAssessment","status":"final","subject":{{"reference":"Patient/x"}},"prediction":[{{"probabilityDecimal":{probability}}}]}}"#
        );
        data.add(name, &serde_json::from_str(&text).unwrap()).await;
    }
    // Equal is from 0.245 to below 0.255; greater and less go by the number itself; about is a tenth to both sides.
    let expected: ByPrefix = [
        &["b", "c", "d"],
        &["b", "c", "d"],
        &["a", "e", "f"],
        &["d", "e", "f"],
        &["c", "d", "e", "f"],
        &["a", "b"],
        &["a", "b", "c"],
        &["d", "e", "f"],
        &["a", "b"],
        &["b", "c", "d"],
    ];
    each_prefix(&data, "RiskAssessment?probability", "0.25", expected).await;
    assert_eq!(data.found("RiskAssessment?probability=2.5e-1").await, ["b", "c", "d"]);
    assert_eq!(data.found("RiskAssessment?probability=0.20,0.80").await, ["a", "f"]);
}

#[tokio::test]
async fn quantities_are_compared_by_every_prefix_whatever_their_comparator() {
    let mut data = Data::new().await;
    let weight = |value: &str, more: &str| {
        let text = format!(
            r#"{{"resourceType":"Observation","status":"final","code":{{"text":"w"}},"valueQuantity":{{"value":{value},"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"{more}}}}}"#
        );
        serde_json::from_str::<Value>(&text).unwrap()
    };
    for (name, value, more) in [
        ("a", "4.0", ""),
        ("b", "5.4", ""),
        ("c", "5.449", ""),
        ("d", "7", ""),
        ("over", "6", r#","comparator":">""#),
        ("under", "5", r#","comparator":"<=""#),
    ] {
        data.add(name, &weight(value, more)).await;
    }
    let expected: ByPrefix = [
        &["b", "c"],
        &["b", "c"],
        &["a", "d", "over", "under"],
        &["c", "d", "over"],
        &["b", "c", "d", "over"],
        &["a", "under"],
        &["a", "b", "under"],
        &["c", "d", "over"],
        &["a", "under"],
        &["b", "c", "under"],
    ];
    // What is 5 at most may be 4.99, which is about 5.4.
    for unit in ["", "||kg", "|http://unitsofmeasure.org|kg", "|http://unitsofmeasure.org|"] {
        each_prefix(&data, "Observation?value-quantity", &format!("5.4{unit}"), expected).await;
    }
    assert_eq!(data.found("Observation?value-quantity=gt0||g").await, [""; 0]);
}

#[tokio::test]
async fn dates_and_periods_are_compared_by_every_prefix() {
    let mut data = Data::new().await;
    let period = |start: &str, end: &str| {
        let mut encounter = json!({"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}, "subject": {"reference": "Patient/x"}, "period": {}});
        for (name, value) in [("start", start), ("end", end)] {
            if !value.is_empty() {
                encounter["period"][name] = json!(value);
            }
        }
        encounter
    };
    for (name, start, end) in [
        ("before", "2020-01-01", "2020-01-31"),
        ("into", "2020-01-20", "2020-02-10"),
        ("within", "2020-02-05", "2020-02-06T10:00:00Z"),
        ("whole", "2020-02", "2020-02"),
        ("out of", "2020-02-20", "2020-03-05"),
        ("after", "2020-03-01", "2020-03-02"),
        ("since", "2020-02-10", ""),
        ("until", "", "2020-01-15"),
    ] {
        data.add(name, &period(start, end)).await;
    }
    let expected: ByPrefix = [
        &["whole", "within"],
        &["whole", "within"],
        &["after", "before", "into", "out of", "since", "until"],
        &["after", "out of", "since"],
        &["after", "out of", "since", "whole", "within"],
        &["before", "into", "until"],
        &["before", "into", "until", "whole", "within"],
        &["after"],
        &["before", "until"],
        // A tenth of the years since then reaches over them all.
        &["after", "before", "into", "out of", "since", "until", "whole", "within"],
    ];
    each_prefix(&data, "Encounter?date", "2020-02", expected).await;
    // A time zone moves the moment.
    assert_eq!(data.found("Encounter?date=eb2020-02-06T10:30:00%2B01:00").await, ["before", "until"]);
    assert_eq!(data.found("Encounter?date=eb2020-02-06T10:30:00Z").await, ["before", "until", "within"]);
}

#[tokio::test]
async fn a_reference_is_found_in_every_form() {
    let mut data = Data::new().await;
    data.add("clinic", &json!({"resourceType": "Organization", "name": "Clinic"})).await;
    let clinic = data.names["clinic"].clone();
    let by = |reference: Value| json!({"resourceType": "Location", "name": "x", "managingOrganization": reference});
    data.add("here", &by(json!({"reference": clinic}))).await;
    data.add("version", &by(json!({"reference": format!("{clinic}/_history/1")}))).await;
    data.add("absolute", &by(json!({"reference": format!("{}/{clinic}", data.server.fhir)}))).await;
    data.add("away", &by(json!({"reference": "http://away.example/fhir/Organization/1"}))).await;
    data.add("identified", &by(json!({"identifier": {"system": "urn:o", "value": "1"}}))).await;
    let id = clinic.split_once('/').unwrap().1;
    let here = ["absolute", "here", "version"];
    for value in [id.to_owned(), clinic.clone(), format!("{}/{clinic}", data.server.fhir)] {
        assert_eq!(data.found(&format!("Location?organization={value}")).await, here, "{value}");
    }
    for (query, expected) in [
        (format!("organization:Organization={id}"), &here[..]),
        ("organization=http://away.example/fhir/Organization/1".to_owned(), &["away"]),
        ("organization:identifier=urn:o|1".to_owned(), &["identified"]),
        ("organization:identifier=1".to_owned(), &["identified"]),
        ("organization:identifier=urn:other|1".to_owned(), &[]),
        ("organization:missing=false".to_owned(), &["absolute", "away", "here", "identified", "version"]),
        ("organization.name=clinic".to_owned(), &here),
    ] {
        assert_eq!(data.found(&format!("Location?{query}")).await, expected, "{query}");
    }
}

#[tokio::test]
async fn addresses_and_codes_are_found_below_and_above() {
    let mut data = Data::new().await;
    for (name, url) in [
        ("root", "http://acme.example/fhir"),
        ("slash", "http://acme.example/fhir/"),
        ("set", "http://acme.example/fhir/ValueSet/one"),
        ("like", "http://acme.example/fhirs"),
    ] {
        data.add(name, &json!({"resourceType": "ValueSet", "status": "active", "url": url})).await;
    }
    for (query, expected) in [
        ("url=http://acme.example/fhir", &["root"][..]),
        ("url=http://acme.example/fhir/", &["slash"]),
        ("url=http://acme.example/FHIR", &[]),
        ("url:below=http://acme.example/fhir", &["root", "set", "slash"]),
        ("url:below=http://acme.example/fhir/ValueSet", &["set"]),
        ("url:above=http://acme.example/fhir/ValueSet/one/two", &["root", "set", "slash"]),
        ("url:above=http://acme.example/fhir", &["root", "slash"]),
        ("url:missing=true", &[]),
    ] {
        assert_eq!(data.found(&format!("ValueSet?{query}")).await, expected, "{query}");
    }
    let system = "http://terminology.hl7.org/CodeSystem/condition-clinical";
    for name in ["active", "recurrence", "remission"] {
        let status = json!({"coding": [{"system": system, "code": name}]});
        let subject = json!({"reference": "Patient/x"});
        data.add(
            name,
            &json!({"resourceType": "Condition", "clinicalStatus": status, "subject": subject, "code": {"text": "x"}}),
        )
        .await;
    }
    for (query, expected) in [
        (format!("clinical-status:below={system}|active"), &["active", "recurrence"][..]),
        (format!("clinical-status:above={system}|recurrence"), &["active", "recurrence"]),
        (format!("clinical-status:above={system}|active"), &["active"]),
        (format!("clinical-status:not={system}|active"), &["recurrence", "remission"]),
        (format!("clinical-status={system}|inactive"), &[]),
        (format!("clinical-status:below={system}|inactive"), &["remission"]),
    ] {
        assert_eq!(data.found(&format!("Condition?{query}")).await, expected, "{query}");
    }
}

#[tokio::test]
async fn a_page_holds_no_more_matches_than_asked_for_and_links_to_both_ends() {
    let mut data = Data::new().await;
    for name in ["a", "b", "c", "d", "e"] {
        data.add(name, &json!({"resourceType": "Organization", "name": name})).await;
    }
    let parent = data.names["a"].clone();
    data.add("f", &json!({"resourceType": "Organization", "name": "f", "partOf": {"reference": parent}})).await;
    // What refers to itself by a detour comes once, however often it is asked to go on.
    let (a, f) = (data.names["a"].clone(), data.names["f"].clone());
    let around = json!({"resourceType": "Organization", "id": a.split_once('/').unwrap().1, "name": "a", "partOf": {"reference": f}});
    data.service.put(&a, &around).await.expect(200);
    let query =
        "Organization?_sort=name&_count=2&_include:iterate=Organization:partof&_revinclude:iterate=Organization:partof";
    let first = data.service.get(query).await.expect(200).json();
    assert_eq!((data.names_in(&first, "match"), data.names_in(&first, "include")), (vec!["a", "b"], vec!["f"]));
    assert_eq!(link(&first, "previous"), None);
    let last = data.service.get(&link(&first, "last").unwrap()).await.expect(200).json();
    assert_eq!((data.names_in(&last, "match"), data.names_in(&last, "include")), (vec!["e", "f"], vec!["a"]));
    assert_eq!(link(&last, "next"), None);
    let before = data.service.get(&link(&last, "previous").unwrap()).await.expect(200).json();
    assert_eq!(data.names_in(&before, "match"), ["c", "d"]);
    let again = data.service.get(&link(&before, "first").unwrap()).await.expect(200).json();
    assert_eq!(again["entry"], first["entry"]);
    let own = data.service.get(&link(&before, "self").unwrap()).await.expect(200).json();
    assert_eq!(own["entry"], before["entry"]);
    for (query, links) in
        [("Organization?_count=0", 1), ("Organization?_summary=count", 1), ("Organization?_count=6", 2)]
    {
        let bundle = data.service.get(query).await.expect(200).json();
        assert_eq!(bundle["total"], 6, "{query}");
        assert_eq!(bundle["link"].as_array().unwrap().len(), links, "{query}");
        assert_eq!(bundle.get("entry").is_some(), links == 2, "{query}");
    }
}

#[tokio::test]
async fn pages_are_as_long_as_the_configuration_says() {
    let server = TestServer::configured("[search]\npage_size = 2\nmax_page_size = 3\nmax_included = 1").await;
    let service = server.service("service").await;
    let parent =
        service.post("Organization", &json!({"resourceType": "Organization", "name": "parent"})).await.expect(201);
    for name in ["a", "b", "c", "d"] {
        let part = json!({"reference": format!("Organization/{}", parent.id())});
        let child = json!({"resourceType": "Organization", "name": name, "partOf": part});
        service.post("Organization", &child).await.expect(201);
    }
    for (query, entries) in [
        ("Organization", 2),
        ("Organization?_count=1", 1),
        ("Organization?_count=3", 3),
        ("Organization?_count=99999999999", 3),
        ("Organization/_history", 2),
        ("_history?_count=100", 3),
    ] {
        let bundle = service.get(query).await.expect(200).json();
        assert_eq!(bundle["entry"].as_array().unwrap().len(), entries, "{query}");
    }
    let brought = service.get("Organization?name=parent&_revinclude=Organization:partof").await.expect(200).json();
    let modes: Vec<_> =
        brought["entry"].as_array().unwrap().iter().map(|entry| entry["search"]["mode"].as_str().unwrap()).collect();
    assert_eq!(modes, ["match", "include", "outcome"], "one of four fits, and that is told");
    assert_eq!(brought["entry"][2]["resource"]["issue"][0]["code"], "incomplete");
}

#[tokio::test]
async fn what_does_not_apply_is_left_out_or_refused_as_wished() {
    let data = Data::new().await;
    data.service.post("Organization", &json!({"resourceType": "Organization", "name": "x"})).await.expect(201);
    for (path, unknown) in [
        ("Organization", "_sort=bonkers"),
        ("Organization", "_sort=name:x"),
        ("Organization", "_elements=bonkers"),
        ("Organization", "_contained=true"),
        ("Organization", "name="),
        ("", "name=x"),
        ("", "_sort=name"),
        ("", "_type=Organization,Patient&birthdate=2020"),
    ] {
        let query = format!("{path}?{unknown}");
        data.service.send("GET", &query, &[("prefer", "handling=strict")], None).await.expect(400).expect_outcome();
        let answer = data.service.send("GET", &query, &[("prefer", "handling=lenient")], None).await.expect(200);
        assert_eq!(answer.header("preference-applied"), "handling=lenient");
        let bundle = answer.json();
        let left_out = unknown.rsplit('&').next().unwrap().split('=').next().unwrap();
        assert!(!link(&bundle, "self").unwrap().contains(left_out), "{query}");
        let told = bundle["entry"].as_array().unwrap().iter().filter(|entry| entry["search"]["mode"] == "outcome");
        let severities: Vec<_> = told.flat_map(|entry| entry["resource"]["issue"].as_array().unwrap()).collect();
        assert!(!severities.is_empty() && severities.iter().all(|issue| issue["severity"] == "warning"), "{query}");
    }
}

#[tokio::test]
async fn a_count_within_one_patient_is_that_count_and_nothing_else() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    server.user("user", 7).await;
    let input = SetContext::patient("Smith").entry("urn:uuid:o", &observation("urn:uuid:patient", "x")).build();
    let launch = poc.launch(&input).await;
    let app = server.app("app").await.launch_with(&launch.id, "user", "launch patient/*.rs").await.expect("a launch");
    for (query, total, has_entries) in [
        ("Observation?_summary=count", 1, false),
        ("Observation?_count=0", 1, false),
        // Nothing may be all that the token allows to see: then it is said.
        ("Observation?_summary=count&status=amended", 0, true),
        ("Observation?status=amended", 0, true),
    ] {
        let bundle = app.get(query).await.expect(200).json();
        assert_eq!(
            (&bundle["total"], bundle.get("entry").is_some()),
            (&json!(total), has_entries),
            "{query}: {bundle}"
        );
    }
}
