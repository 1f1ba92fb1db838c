//! Operations on records: `$everything` of a patient (R4, patient-operation-everything.html) and `$meta`
//! (resource-operation-meta.html).

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fixtures::{SetContext, bundle, entry, observation, patient};
use crate::support::server::{Options, TestServer};
use crate::support::session::Session;

/// A patient's record, by name; `Type/id` each.
struct Record {
    server: TestServer,
    service: Session,
    names: BTreeMap<String, String>,
}

impl Record {
    /// One of everything that the tables below look for, each made a second after the one before.
    async fn load() -> Self {
        let server = TestServer::with(Options { manual_clock: true, ..Options::default() }).await;
        let service = server.service("service").await;
        let mut record = Self { server, service, names: BTreeMap::new() };
        record.add("doctor", json!({"resourceType": "Practitioner", "name": [{"family": "Jones"}]})).await;
        record.add("anna", patient("Anna")).await;
        let of = |kind: &str, more: Value| {
            let mut resource = json!({"resourceType": kind, "subject": {"reference": "@anna"}});
            resource.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            resource
        };
        let visit = json!({"status": "finished", "class": {"code": "AMB"}, "period": {"start": "2020-01-10", "end": "2020-01-20"},
            "participant": [{"individual": {"reference": "@doctor"}}]});
        record.add("visit", of("Encounter", visit)).await;
        let seen = |date: &str| json!({"status": "final", "code": {"text": "x"}, "effectiveDateTime": date});
        record.add("early", of("Observation", seen("2019-05-01"))).await;
        record.add("late", of("Observation", seen("2021-05-01T10:00:00Z"))).await;
        record.add("undated", of("Observation", json!({"status": "final", "code": {"text": "x"}}))).await;
        let past = json!({"onsetDateTime": "2010", "abatementDateTime": "2015-06", "clinicalStatus": {"coding": [
            {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "resolved"}]}});
        record.add("illness", of("Condition", past)).await;
        let insured = json!({"resourceType": "Account", "status": "active", "subject": [{"reference": "@anna"}],
            "servicePeriod": {"start": "2001", "end": "2002"}});
        record.add("account", insured).await;
        record
    }

    async fn add(&mut self, name: &str, resource: Value) {
        self.server.advance(Duration::from_secs(1));
        let kind = resource["resourceType"].as_str().unwrap();
        let id = self.service.post(kind, &self.resolved(&resource.to_string())).await.expect(201).id();
        self.names.insert(name.to_owned(), format!("{kind}/{id}"));
    }

    fn resolved(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (name, path)| text.replace(&format!("@{name}"), path))
    }

    fn told(&self, bundle: &Value) -> Vec<String> {
        let entries = bundle["entry"].as_array().into_iter().flatten();
        let path = |entry: &Value| {
            let resource = &entry["resource"];
            format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap_or_default())
        };
        let name =
            |path: String| self.names.iter().find(|(_, own)| **own == path).map_or(path, |(name, _)| name.clone());
        let mut names: Vec<_> = entries.map(path).map(name).collect();
        names.sort_unstable();
        names
    }

    async fn everything(&self, query: &str) -> Value {
        self.service.get(&self.resolved(&format!("@anna/$everything?{query}"))).await.expect(200).json()
    }
}

fn link(bundle: &Value, relation: &str) -> Option<String> {
    let link = bundle["link"].as_array().unwrap().iter().find(|link| link["relation"] == relation)?;
    Some(link["url"].as_str().unwrap().to_owned())
}

const ALWAYS: [&str; 3] = ["account", "anna", "undated"];

#[tokio::test]
async fn everything_can_be_limited_to_dates_of_care_and_to_types() {
    let record = Record::load().await;
    for (query, besides) in [
        ("", &["early", "late", "illness", "visit", "doctor"][..]),
        ("start=2020", &["late", "visit", "doctor"]),
        ("start=2020-01-20", &["late", "visit", "doctor"]),
        ("start=2020-01-21", &["late"]),
        ("end=2019", &["early", "illness"]),
        ("end=2020-01-09", &["early", "illness"]),
        ("end=2020-01-10", &["early", "illness", "visit", "doctor"]),
        ("start=2012&end=2012-03", &["illness"]),
        ("start=2015-06-30&end=2019-04-30", &["illness"]),
        ("start=2015-07&end=2019-04-30", &[]),
        ("start=2019-05-01&end=2019-05-01", &["early"]),
        ("start=2021-05-01T11:00:00Z", &[]),
        ("start=2021-05-01T12:00:00%2B02:00", &["late"]),
    ] {
        let mut expected: Vec<_> = ALWAYS.iter().chain(besides).map(ToString::to_string).collect();
        expected.sort_unstable();
        let bundle = record.everything(query).await;
        assert_eq!(record.told(&bundle), expected, "{query}");
        // What is told again is what was asked.
        let own = link(&bundle, "self").unwrap();
        assert_eq!(own.contains('?'), !query.is_empty(), "{own}");
        assert_eq!(record.told(&record.service.get(&own).await.expect(200).json()), expected, "{own}");
    }
    for (query, expected) in [
        ("_type=Encounter", &["visit"][..]),
        ("_type=Practitioner", &["doctor"]),
        ("_type=Practitioner,Patient", &["anna", "doctor"]),
        ("_type=Practitioner&_type=Account", &["account", "doctor"]),
        ("_type=Practitioner&start=2021", &[]),
        ("_type=Observation&end=2020", &["early", "undated"]),
        ("_type=Location", &[]),
    ] {
        assert_eq!(record.told(&record.everything(query).await), expected, "{query}");
    }
    for wrong in [
        "start=abc",
        "end=2020-13",
        "_since=2020",
        "_type=Foo",
        "_type=",
        "_count=0",
        "_count=-1",
        "start=2020&start=2021",
        "_include=*",
        "bonkers=1",
    ] {
        let answer = record.service.get(&record.resolved(&format!("@anna/$everything?{wrong}"))).await;
        answer.expect(400).expect_outcome();
    }
    record.service.get(&record.resolved("@anna/$everything?_format=json&_pretty=true")).await.expect(200);
}

#[tokio::test]
async fn everything_since_tells_what_changed_wherever_it_stands() {
    let record = Record::load().await;
    let since = |path: &str| {
        let path = record.resolved(path);
        let service = record.service.clone();
        async move { service.get(&path).await.json()["meta"]["lastUpdated"].as_str().unwrap().replace('+', "%2B") }
    };
    let undated = since("@undated").await;
    assert_eq!(record.told(&record.everything(&format!("_since={undated}")).await), ["account", "illness", "undated"]);
    record.server.advance(Duration::from_secs(1));
    let path = record.resolved("@doctor");
    let renamed =
        json!({"resourceType": "Practitioner", "id": path.split_once('/').unwrap().1, "name": [{"family": "Smith"}]});
    record.service.put(&path, &renamed).await.expect(200);
    let later = since("@doctor").await;
    // The visit that leads to her has not changed.
    let bundle = record.everything(&format!("_since={later}")).await;
    assert_eq!((record.told(&bundle), &bundle["total"]), (vec!["doctor".to_owned()], &json!(0)));
    assert_eq!(record.told(&record.everything(&format!("_since={later}&_type=Patient")).await), Vec::<String>::new());
    assert_eq!(record.told(&record.everything("_since=2099-01-01T00:00:00Z").await), Vec::<String>::new());
}

#[tokio::test]
async fn pages_of_everything_are_full_whatever_is_left_out_between() {
    let mut record = Record::load().await;
    let anna = record.names["anna"].clone();
    let many = |count: usize| {
        let observed = observation(&anna, "x");
        bundle("transaction", &vec![entry("", "POST", "Observation", Some(&observed)); count])
    };
    for visit in ["second", "third", "fourth"] {
        let input = many(150);
        record.service.post("", &input).await.expect(200);
        let visit_of = json!({"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"},
            "subject": {"reference": "@anna"}});
        record.add(visit, visit_of).await;
    }
    record.service.post("", &many(250)).await.expect(200);
    let first = record.everything("_type=Encounter,Practitioner&_count=2").await;
    assert_eq!(record.told(&first), ["fourth", "third"]);
    let last = record.service.get(&link(&first, "next").unwrap()).await.expect(200).json();
    assert_eq!(record.told(&last), ["doctor", "second", "visit"]);
    let back = record.service.get(&link(&last, "previous").unwrap()).await.expect(200).json();
    assert_eq!(record.told(&back), ["fourth", "third"]);
    let end = record.service.get(&link(&first, "last").unwrap()).await.expect(200).json();
    assert_eq!(record.told(&end), ["doctor", "second", "visit"]);
    assert!(link(&first, "next").unwrap().contains("/$everything?"), "the operation goes on");
    // Every match once, whatever the size.
    let matches = |page: &Value| {
        let entries = page["entry"].as_array().cloned().unwrap_or_default();
        entries.iter().filter(|entry| entry["search"]["mode"] == "match").count()
    };
    let mut page = record.everything("_count=300").await;
    let mut count = matches(&page);
    while let Some(next) = link(&page, "next") {
        page = record.service.get(&next).await.expect(200).json();
        count += matches(&page);
    }
    assert_eq!(count, 7 + 3 * 151 + 250);
}

#[tokio::test]
async fn everything_takes_its_parameters_in_a_body_too() {
    let record = Record::load().await;
    let path = record.resolved("@anna/$everything");
    let parameters = json!({"resourceType": "Parameters", "parameter": [
        {"name": "start", "valueDate": "2020"}, {"name": "_type", "valueCode": "Encounter"},
        {"name": "_type", "valueCode": "Observation"}, {"name": "_count", "valueInteger": 10}]});
    let told = record.service.post(&path, &parameters).await.expect(200).json();
    assert_eq!(record.told(&told), ["late", "undated", "visit"]);
    let both = record.service.post(&format!("{path}?end=2020"), &parameters).await.expect(200).json();
    assert_eq!(record.told(&both), ["undated", "visit"]);
    let bare = record.service.send("POST", &path, &[], None).await.expect(200).json();
    assert_eq!(record.told(&bare).len(), 8);
    for wrong in [
        json!({"resourceType": "Patient"}),
        json!({"resourceType": "Parameters", "parameter": [{"name": "start"}]}),
        json!({"resourceType": "Parameters", "parameter": [{"name": "bonkers", "valueString": "x"}]}),
    ] {
        record.service.post(&path, &wrong).await.expect(400).expect_outcome();
    }
    record.service.post("Patient/nobody/$everything", &parameters).await.expect(404);
    record.service.post("Patient/$everything", &parameters).await.expect(404);
}

#[tokio::test]
async fn everything_is_what_the_token_allows() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    server.user("user", 7).await;
    let input = SetContext::patient("Smith")
        .entry("urn:uuid:p", &json!({"resourceType": "Practitioner", "name": [{"family": "Jones"}]}))
        .entry("urn:uuid:other", &patient("Other"))
        .entry("urn:uuid:c", &json!({"resourceType": "Condition", "subject": {"reference": "urn:uuid:patient"}}))
        .entry("urn:uuid:s", &observation("urn:uuid:other", "secret"))
        .entry("urn:uuid:o", &{
            let mut observation = observation("urn:uuid:patient", "x");
            observation["performer"] = json!([{"reference": "urn:uuid:p"}]);
            observation["hasMember"] = json!([{"reference": "urn:uuid:s"}]);
            observation
        })
        .build();
    let launch = poc.launch(&input).await;
    let [jane, jones, other, condition, secret, seen] = &launch.created[..] else { panic!("{launch:?}") };
    let sample = server.app("app").await;
    let told = |bundle: &Value| -> Vec<String> {
        let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
        let resources = entries.iter().filter(|entry| entry["search"]["mode"] != "outcome");
        let mut told: Vec<_> = resources.map(|entry| entry["fullUrl"].as_str().unwrap().to_owned()).collect();
        told.iter_mut().for_each(|url| *url = url.replace(&format!("{}/", server.fhir), ""));
        told.sort_unstable();
        told
    };
    let sorted = |paths: &[&String]| {
        let mut paths: Vec<_> = paths.iter().map(ToString::to_string).collect();
        paths.sort_unstable();
        paths
    };
    let everything = format!("{jane}/$everything");
    for (scope, expected, refused) in [
        ("patient/*.rs", sorted(&[jane, jones, condition, seen]), None),
        ("patient/Patient.rs patient/Observation.rs", sorted(&[jane, seen]), Some("Condition")),
        ("patient/Patient.rs patient/Practitioner.r", sorted(&[jane]), Some("Observation")),
        ("user/*.rs", sorted(&[jane, jones, condition, seen, secret]), None),
    ] {
        let app = sample.launch_with(&launch.id, "user", &format!("launch {scope}")).await.expect("a launch");
        assert_eq!(told(&app.get(&everything).await.expect(200).json()), expected, "{scope}");
        if let Some(kind) = refused {
            app.get(&format!("{everything}?_type={kind}")).await.expect_issue(403, "forbidden");
        }
        let of_other = app.get(&format!("{other}/$everything")).await.status;
        assert_eq!(of_other, if scope.starts_with("user") { 200 } else { 404 }, "{scope}");
    }
    let unreading = sample.launch_with(&launch.id, "user", "launch patient/Observation.rs").await.expect("a launch");
    unreading.get(&everything).await.expect(403);
    let blind = sample.launch_with(&launch.id, "user", "launch patient/Patient.r").await.expect("a launch");
    blind.get(&everything).await.expect_issue(403, "forbidden");
}

#[tokio::test]
async fn the_meta_of_a_resource_and_of_each_version_can_be_asked_for_both_ways() {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    let tagged = |tag: &str| json!({"resourceType": "Basic", "code": {"text": "x"}, "meta": {"tag": [{"system": "urn:t", "code": tag}]}});
    let id = service.post("Basic", &tagged("old")).await.expect(201).id();
    let mut next = tagged("new");
    next["id"] = json!(id);
    service.put(&format!("Basic/{id}"), &next).await.expect(200);
    let none = json!({"resourceType": "Parameters"});
    for (path, version, tag) in [
        (format!("Basic/{id}/$meta"), "2", "new"),
        (format!("Basic/{id}/_history/1/$meta"), "1", "old"),
        (format!("Basic/{id}/_history/2/$meta"), "2", "new"),
    ] {
        let (by_get, by_post) = (service.get(&path).await.expect(200), service.post(&path, &none).await.expect(200));
        let bare = service.send("POST", &path, &[], None).await.expect(200);
        for answer in [by_get, by_post, bare] {
            let told = answer.json();
            assert_eq!(
                (&told["resourceType"], &told["parameter"][0]["name"]),
                (&json!("Parameters"), &json!("return"))
            );
            let meta = &told["parameter"][0]["valueMeta"];
            assert_eq!((&meta["versionId"], &meta["tag"][0]["code"]), (&json!(version), &json!(tag)), "{path}");
        }
        let given = json!({"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {}}]});
        service.post(&path, &given).await.expect(400).expect_outcome();
    }
    service.delete(&format!("Basic/{id}")).await.expect(204);
    for (path, status) in [
        (format!("Basic/{id}/$meta"), 410),
        (format!("Basic/{id}/_history/3/$meta"), 410),
        (format!("Basic/{id}/_history/1/$meta"), 200),
        (format!("Basic/{id}/_history/9/$meta"), 404),
        ("Basic/none/_history/1/$meta".to_owned(), 404),
    ] {
        service.get(&path).await.expect(status);
        service.post(&path, &none).await.expect(status);
    }
}
