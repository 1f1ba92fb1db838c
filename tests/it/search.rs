//! Searches of shared data by a service: which resources a query finds (FHIR R4 search.html), row by row of the guide.

use serde_json::{Value, json};

use crate::support::answer::{Answer, link};
use crate::support::server::TestServer;
use crate::support::session::Session;

/// Types as they are stored, by the names that the tables below use.
struct Data {
    _server: TestServer,
    service: Session,
    /// (name, Type/id)
    names: Vec<(String, String)>,
}

impl Data {
    async fn load(resources: Vec<(&str, Value)>) -> Self {
        let server = TestServer::start().await;
        let service = server.service("loader").await;
        let mut data = Self { _server: server, service, names: Vec::new() };
        for (name, resource) in resources {
            data.add(name, resource).await;
        }
        data
    }

    /// Stores a resource; `@name` in it stands for the reference to one stored before.
    async fn add(&mut self, name: &str, resource: Value) {
        let kind = resource["resourceType"].as_str().unwrap().to_owned();
        let text = self.resolved(&resource.to_string());
        let id = self.service.post(&kind, &text).await.expect(201).id();
        self.names.push((name.to_owned(), format!("{kind}/{id}")));
    }

    fn resolved(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, reference) in &self.names {
            let id = reference.split_once('/').unwrap().1;
            text = text.replace(&format!("@{name}!"), reference).replace(&format!("#{name}!"), id);
        }
        text
    }

    async fn get(&self, query: &str) -> Answer {
        self.service.get(&self.resolved(query)).await
    }

    fn name_of(&self, resource: &Value) -> String {
        let kind = resource["resourceType"].as_str().unwrap();
        let reference = format!("{kind}/{}", resource["id"].as_str().unwrap());
        self.names.iter().find(|(_, own)| *own == reference).map_or(reference.clone(), |(name, _)| name.clone())
    }

    /// The names of the entries of this mode, in order.
    fn names_in(&self, bundle: &Value, mode: &str) -> Vec<String> {
        let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
        let of_mode = entries.iter().filter(|entry| entry["search"]["mode"] == mode);
        of_mode.map(|entry| self.name_of(&entry["resource"])).collect()
    }

    /// Checks a query against the names it finds, in whatever order.
    async fn finds(&self, query: &str, expected: &[&str]) {
        let bundle = self.get(query).await.expect(200).json();
        let mut found = self.names_in(&bundle, "match");
        found.sort_unstable();
        let mut expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        expected.sort_unstable();
        assert_eq!(found, expected, "{query}");
    }
}

fn patient(family: &str, given: &str, more: Value) -> Value {
    let mut patient = json!({"resourceType": "Patient", "name": [{"family": family, "given": [given]}]});
    patient.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    patient
}

fn observation(subject: &str, code: &str, value: Value) -> Value {
    let mut observation = json!({
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": format!("Display of {code}")}]},
        "subject": {"reference": subject},
    });
    observation.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
    observation
}

fn kilograms(value: &str) -> Value {
    let text = format!(
        r#"{{"valueQuantity":{{"value":{value},"unit":"kilo","system":"http://unitsofmeasure.org","code":"kg"}}}}"#
    );
    serde_json::from_str(&text).unwrap()
}

async fn clinic() -> Data {
    Data::load(vec![
        ("clinic", json!({"resourceType": "Organization", "name": "North Clinic", "identifier": [{"system": "urn:org", "value": "1"}]})),
        ("ward", json!({"resourceType": "Organization", "name": "Ward, east", "partOf": {"reference": "@clinic!"}})),
        (
            "anna",
            patient("Müller", "Anna Maria", json!({
                "gender": "female", "birthDate": "1980-03-15", "active": true,
                "identifier": [{"system": "urn:mrn", "value": "A1", "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}}],
                "telecom": [{"system": "email", "value": "Anna@Example.org"}, {"system": "phone", "value": "555-1"}],
                "address": [{"city": "Montréal", "postalCode": "H2X"}],
                "managingOrganization": {"reference": "@clinic!"},
                "meta": {"tag": [{"system": "urn:tag", "code": "vip"}], "profile": ["http://example.org/StructureDefinition/p|1.0"], "source": "urn:source:1"}
            })),
        ),
        (
            "bert",
            patient("Muller", "Bert", json!({
                "gender": "male", "birthDate": "1980-04", "identifier": [{"system": "urn:mrn", "value": "B1"}, {"value": "A1"}],
                "managingOrganization": {"reference": "@ward!"}
            })),
        ),
        ("carl", patient("O'Neil", "Carl", json!({"birthDate": "1999", "deceasedBoolean": true}))),
        ("visit", json!({"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}, "subject": {"reference": "@anna!"}, "period": {"start": "2020-01-10", "end": "2020-01-20"}})),
        ("stay", json!({"resourceType": "Encounter", "status": "in-progress", "class": {"code": "IMP"}, "subject": {"reference": "@bert!"}, "period": {"start": "2020-02-01"}})),
        ("light", observation("@anna!", "29463-7", kilograms("1.96")).tap(|o| o["effectiveDateTime"] = json!("2020-01-15T10:00:00Z"))),
        ("even", observation("@anna!", "29463-7", kilograms("2.0")).tap(|o| o["effectiveDateTime"] = json!("2020-01-15T23:30:00-05:00"))),
        ("heavy", observation("@bert!", "29463-7", kilograms("5.400")).tap(|o| o["effectivePeriod"] = json!({"start": "2020-01-31", "end": "2020-02-02"}))),
        ("text", observation("@bert!", "8480-6", json!({"valueString": "high, very", "encounter": {"reference": "@stay!"}})).tap(|o| o["status"] = json!("preliminary"))),
        (
            "pressure",
            observation("@anna!", "85354-9", json!({"component": [
                {"code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]}, "valueQuantity": {"value": 120, "code": "mm[Hg]", "system": "http://unitsofmeasure.org"}},
                {"code": {"coding": [{"system": "http://loinc.org", "code": "8462-4"}]}, "valueQuantity": {"value": 80, "code": "mm[Hg]", "system": "http://unitsofmeasure.org"}}
            ]})),
        ),
        ("list", json!({"resourceType": "List", "status": "current", "mode": "working", "entry": [{"item": {"reference": "@anna!"}}, {"item": {"reference": "@heavy!"}}]})),
    ])
    .await
}

trait Tap: Sized {
    fn tap(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl Tap for Value {}

#[tokio::test]
async fn each_kind_of_value_finds_what_it_should() {
    let data = clinic().await;
    let all = ["anna", "bert", "carl"];
    for (query, expected) in [
        // string: prefix, without case and accents
        ("Patient?name=muller", &["anna", "bert"][..]),
        ("Patient?name=M%C3%BCLLER", &["anna", "bert"]),
        ("Patient?family=mul", &["anna", "bert"]),
        ("Patient?family=ller", &[]),
        ("Patient?family:contains=ller", &["anna", "bert"]),
        ("Patient?family:contains=l_er", &[]),
        ("Patient?family:exact=M%C3%BCller", &["anna"]),
        ("Patient?family:exact=muller", &[]),
        ("Patient?given=anna%20maria", &["anna"]),
        ("Patient?address-city=montreal", &["anna"]),
        ("Patient?address=h2x", &["anna"]),
        ("Patient?name=anna,carl", &["anna", "carl"]),
        ("Patient?name=anna&family=mull", &["anna"]),
        ("Patient?name=anna&name=bert", &[]),
        (r"Organization?name=Ward\,%20east", &["ward"]),
        ("Organization?name=Ward,%20east", &["ward"]),
        ("Patient?family=o%27neil", &["carl"]),
        // token
        ("Patient?gender=female", &["anna"]),
        ("Patient?gender:not=female", &["bert", "carl"]),
        ("Patient?gender:missing=true", &["carl"]),
        ("Patient?gender:missing=false", &["anna", "bert"]),
        ("Patient?identifier=A1", &["anna", "bert"]),
        ("Patient?identifier=urn:mrn|A1", &["anna"]),
        ("Patient?identifier=|A1", &["bert"]),
        ("Patient?identifier=urn:mrn|", &["anna", "bert"]),
        ("Patient?identifier=a1", &[]),
        ("Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|A1", &["anna"]),
        ("Patient?active=true", &["anna"]),
        ("Patient?deceased=true", &["carl"]),
        ("Patient?deceased=false", &["anna", "bert"]),
        ("Patient?email=anna@example.org", &["anna"]),
        ("Patient?phone=555-1", &["anna"]),
        ("Patient?telecom=555-1,nothing", &["anna"]),
        ("Patient?gender:in=http://hl7.org/fhir/ValueSet/administrative-gender", &["anna", "bert"]),
        ("Patient?gender:not-in=http://hl7.org/fhir/ValueSet/administrative-gender", &["carl"]),
        ("Observation?code:text=display%20of%208480", &["text"]),
        ("Encounter?class=AMB", &["visit"]),
        // date
        ("Patient?birthdate=1980-03-15", &["anna"]),
        ("Patient?birthdate=1980-03", &["anna"]),
        ("Patient?birthdate=1980", &["anna", "bert"]),
        ("Patient?birthdate=1980-04-01", &[]),
        ("Patient?birthdate=gt1980-03-15", &["bert", "carl"]),
        ("Patient?birthdate=ge1980-04", &["bert", "carl"]),
        ("Patient?birthdate=lt1980-04", &["anna"]),
        ("Patient?birthdate=le1980-04", &["anna", "bert"]),
        ("Patient?birthdate=ne1980", &["carl"]),
        ("Patient?birthdate=sa1980-04", &["carl"]),
        ("Patient?birthdate=eb1980-04", &["anna"]),
        ("Patient?birthdate=ge1980-01-01&birthdate=lt1981", &["anna", "bert"]),
        ("Encounter?date=2020-01", &["visit"]),
        ("Encounter?date=ge2020-01-15", &["visit", "stay"]),
        ("Encounter?date=sa2020-01-20", &["stay"]),
        ("Encounter?date=gt2030", &["stay"]),
        ("Encounter?date=lt2020-01-15", &["visit"]),
        ("Encounter?date=eb2020-02-01", &["visit"]),
        // the second weight was taken on the 16th, as seen from Greenwich
        ("Observation?date=2020-01-15", &["light"]),
        ("Observation?date=2020-01-16", &["even"]),
        ("Observation?date=2020-01-15T10:00:00Z", &["light"]),
        ("Observation?date=2020-01-15T11:00:00%2B01:00", &["light"]),
        ("Observation?date=2020-01-15T11:00:00+01:00", &["light"]),
        // number and quantity
        ("Observation?value-quantity=2.0", &["light", "even"]),
        ("Observation?value-quantity=2.00", &["even"]),
        ("Observation?value-quantity=5.4|http://unitsofmeasure.org|kg", &["heavy"]),
        ("Observation?value-quantity=5.4||kg", &["heavy"]),
        ("Observation?value-quantity=5.4||kilo", &["heavy"]),
        ("Observation?value-quantity=5.4||mg", &[]),
        ("Observation?value-quantity=gt2", &["heavy"]),
        ("Observation?value-quantity=ge2", &["even", "heavy"]),
        ("Observation?value-quantity=lt2", &["light"]),
        ("Observation?value-quantity=ap5", &["heavy"]),
        ("Observation?value-quantity=ne2.0", &["heavy"]),
        // reference
        ("Observation?subject=@anna!", &["light", "even", "pressure"]),
        ("Observation?subject=#anna!", &["light", "even", "pressure"]),
        ("Observation?patient=#anna!", &["light", "even", "pressure"]),
        ("Observation?subject:Patient=#anna!", &["light", "even", "pressure"]),
        ("Observation?subject:Group=#anna!", &[]),
        ("Observation?encounter=@stay!", &["text"]),
        ("Patient?organization=@clinic!,@ward!", &["anna", "bert"]),
        // uri
        ("Patient?_profile=http://example.org/StructureDefinition/p|1.0", &["anna"]),
        ("Patient?_source=urn:source:1", &["anna"]),
        // composite
        ("Observation?code-value-quantity=29463-7$gt2", &["heavy"]),
        ("Observation?component-code-value-quantity=http://loinc.org|8480-6$gt100", &["pressure"]),
        ("Observation?component-code-value-quantity=http://loinc.org|8462-4$gt100", &[]),
        ("Observation?combo-code-value-quantity=8462-4$lt100", &["pressure"]),
        // what every type has
        ("Patient?_id=#anna!", &["anna"]),
        ("Patient?_id=#anna!,#carl!,nobody", &["anna", "carl"]),
        ("Patient?_tag=urn:tag|vip", &["anna"]),
        ("Patient?_lastUpdated=gt2020", &all),
        ("Patient?_lastUpdated=lt2020", &[]),
        ("Patient?_list=#list!", &["anna"]),
        ("Patient", &all),
    ] {
        data.finds(query, expected).await;
    }
}

#[tokio::test]
async fn conditions_reach_across_references() {
    let data = clinic().await;
    for (query, expected) in [
        ("Observation?subject:Patient.name=anna", &["light", "even", "pressure"][..]),
        ("Observation?subject.name=anna", &["light", "even", "pressure"]),
        ("Observation?patient.birthdate=ge1980-04", &["heavy", "text"]),
        ("Observation?subject:Patient.organization.name=north", &["light", "even", "pressure"]),
        ("Observation?subject:Patient.organization:Organization.partof.name=north", &["heavy", "text"]),
        ("Observation?subject:Patient.identifier=urn:mrn|A1&value-quantity=2.00", &["even"]),
        ("Observation?subject:Patient._id=#bert!", &["heavy", "text"]),
        ("Observation?subject:Patient.name:exact=Bert", &["heavy", "text"]),
        ("Patient?organization.name=ward", &["bert"]),
        ("Patient?_has:Observation:patient:code=8480-6", &["bert"]),
        ("Patient?_has:Observation:subject:value-quantity=gt2", &["bert"]),
        ("Patient?_has:Encounter:patient:class=AMB&_has:Observation:patient:code=29463-7", &["anna"]),
        ("Organization?_has:Patient:organization:_has:Observation:patient:code=8480-6", &["ward"]),
        ("Patient?_has:Observation:patient:encounter.class=IMP", &["bert"]),
        ("Organization?_has:Patient:organization:name=nobody", &[]),
    ] {
        data.finds(query, expected).await;
    }
}

#[tokio::test]
async fn results_bring_others_along_once() {
    let data = clinic().await;
    for (query, matches, included) in [
        ("Observation?code=8480-6&_include=Observation:subject", &["text"][..], &["bert"][..]),
        ("Observation?code=8480-6&_include=Observation:subject:Group", &["text"], &[]),
        ("Observation?code=8480-6&_include=Observation:*", &["text"], &["bert", "stay"]),
        ("Observation?code=8480-6&_include=*", &["text"], &["bert", "stay"]),
        (
            "Observation?code=8480-6&_include=Observation:patient&_include:iterate=Patient:organization&_include:iterate=Organization:partof",
            &["text"],
            &["bert", "ward", "clinic"],
        ),
        ("Observation?code=8480-6&_include=Observation:patient&_include=Patient:organization", &["text"], &["bert"]),
        ("Patient?gender=male&_revinclude=Observation:patient", &["bert"], &["heavy", "text"]),
        (
            "Patient?gender=male&_revinclude=Observation:subject&_revinclude=Encounter:subject",
            &["bert"],
            &["heavy", "text", "stay"],
        ),
        (
            "Organization?name=north&_revinclude:iterate=Organization:partof&_revinclude:iterate=Patient:organization",
            &["clinic"],
            &["ward", "anna", "bert"],
        ),
        ("Patient?_include=Patient:organization&gender=female,male", &["anna", "bert"], &["clinic", "ward"]),
    ] {
        let bundle = data.get(query).await.expect(200).json();
        let sorted = |mut names: Vec<String>| {
            names.sort_unstable();
            names
        };
        let expected = |names: &[&str]| sorted(names.iter().map(ToString::to_string).collect());
        assert_eq!(sorted(data.names_in(&bundle, "match")), expected(matches), "{query}");
        assert_eq!(sorted(data.names_in(&bundle, "include")), expected(included), "{query}");
    }
}

#[tokio::test]
async fn results_come_in_the_order_asked_for() {
    let data = clinic().await;
    for (query, expected) in [
        ("Patient?_sort=birthdate", &["anna", "bert", "carl"][..]),
        ("Patient?_sort=-birthdate", &["carl", "bert", "anna"]),
        ("Patient?_sort=given", &["anna", "bert", "carl"]),
        ("Patient?_sort=gender", &["anna", "bert", "carl"]),
        ("Patient?_sort=-gender", &["bert", "anna", "carl"]),
        ("Patient?_sort=family,-given", &["bert", "anna", "carl"]),
        ("Patient?_sort=_lastUpdated", &["anna", "bert", "carl"]),
        ("Patient?_sort=-_lastUpdated", &["carl", "bert", "anna"]),
        ("Observation?_sort=value-quantity&value-quantity=gt0", &["light", "even", "heavy"]),
        ("Observation?_sort=-value-quantity", &["heavy", "even", "light", "pressure", "text"]),
        ("Observation?_sort=-date,_lastUpdated", &["heavy", "even", "light", "text", "pressure"]),
    ] {
        // Whatever the size of the pages, and there and back again.
        for size in [1, 2, 50] {
            let mut bundle = data.get(&format!("{query}&_count={size}")).await.expect(200).json();
            let mut found = data.names_in(&bundle, "match");
            while let Some(next) = link(&bundle, "next") {
                bundle = data.service.get(&next).await.expect(200).json();
                found.extend(data.names_in(&bundle, "match"));
            }
            assert_eq!(found, expected, "{query} in pages of {size}");
            let mut backward = data.names_in(&bundle, "match");
            while let Some(previous) = link(&bundle, "previous") {
                bundle = data.service.get(&previous).await.expect(200).json();
                backward = [data.names_in(&bundle, "match"), backward].concat();
            }
            assert_eq!(backward, expected, "{query} back in pages of {size}");
        }
    }
}

#[tokio::test]
async fn pages_neither_lose_nor_repeat_while_others_write() {
    let mut data = Data::load(Vec::new()).await;
    for index in 0..12 {
        data.add(&format!("o{index}"), json!({"resourceType": "Organization", "name": format!("Old {index}")})).await;
    }
    let mut bundle = data.get("Organization?_count=3").await.expect(200).json();
    let mut found = data.names_in(&bundle, "match");
    let mut new = 0;
    while let Some(next) = link(&bundle, "next") {
        // What was there all the time is found once; what comes meanwhile, and changes, moves nothing.
        data.add(&format!("new{new}"), json!({"resourceType": "Organization", "name": "New"})).await;
        let seen = data.resolved(&format!("@o{new}!"));
        let id = seen.split_once('/').unwrap().1.to_owned();
        data.service
            .put(&seen, &json!({"resourceType": "Organization", "id": id, "name": "Changed"}))
            .await
            .expect(200);
        new += 1;
        bundle = data.service.get(&next).await.expect(200).json();
        found.extend(data.names_in(&bundle, "match"));
    }
    found.retain(|name| name.starts_with('o'));
    let mut expected: Vec<_> = (0..12).rev().map(|index| format!("o{index}")).collect();
    assert_eq!(found, expected);
    expected.clear();
    let total = data.get("Organization?_summary=count").await.expect(200).json();
    assert_eq!((total["total"].as_i64(), &total["entry"]), (Some(12 + new), &Value::Null));
}

#[tokio::test]
async fn totals_are_told_when_asked_for_or_known_anyway() {
    let data = clinic().await;
    for (query, total) in [
        ("Patient", Some(3)),
        ("Patient?_count=2", None),
        ("Patient?_count=2&_total=accurate", Some(3)),
        ("Patient?_count=0", Some(3)),
        ("Patient?_summary=count&gender=male", Some(1)),
        ("Patient?_total=none", None),
        ("Observation?subject:Patient.name=anna&_total=accurate&_count=1", Some(3)),
        ("Patient?_id=nobody", Some(0)),
        ("?_type=Patient,Organization&_summary=count", Some(5)),
    ] {
        let bundle = data.get(query).await.expect(200).json();
        assert_eq!(bundle["total"].as_i64(), total, "{query}");
        assert_eq!(bundle["type"], "searchset");
    }
}

#[tokio::test]
async fn a_post_finds_what_a_get_finds() {
    let data = clinic().await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let post = |path: &'static str, body: &'static str| data.service.send("POST", path, &form, Some(body.to_owned()));
    let names = |answer: Answer| data.names_in(&answer.expect(200).json(), "match");
    assert_eq!(names(post("Patient/_search", "name=muller&gender=male").await), ["bert"]);
    assert_eq!(names(post("Patient/_search?gender=male", "name=muller").await), ["bert"]);
    assert_eq!(names(post("Patient/_search?gender=male", "").await), ["bert"]);
    assert_eq!(names(post("_search", "_type=Encounter&_lastUpdated=gt2020").await), ["stay", "visit"]);
    data.service.send("POST", "Patient/_search", &[("content-type", "text/csv")], Some("a".into())).await.expect(415);
    // 64 kB in a form, 8 kB in a URL.
    let many: Vec<_> = (0..1700).map(|_| sofa::id::new_uuid().to_string()).collect();
    let body = format!("_id={},{}", many.join(","), data.resolved("#bert!"));
    let answer = data.service.send("POST", "Patient/_search", &form, Some(body)).await;
    assert_eq!(names(answer), ["bert"]);
    data.finds(&format!("Patient?_id={},#anna!", many[..210].join(",")), &["anna"]).await;
}

#[tokio::test]
async fn a_compartment_holds_what_belongs_to_its_resource() {
    let data = clinic().await;
    data.finds("Patient/#anna!/Observation", &["light", "even", "pressure"]).await;
    data.finds("Patient/#anna!/Observation?value-quantity=2.00", &["even"]).await;
    data.finds("Patient/#bert!/Encounter", &["stay"]).await;
    data.finds("Patient/#anna!/*", &["anna", "visit", "light", "even", "pressure"]).await;
    data.finds("Encounter/#stay!/Observation", &["text"]).await;
    data.finds("Patient/nobody/Observation", &[]).await;
    data.get("Patient/#anna!/Organization").await.expect(400);
    data.get("Organization/#clinic!/Patient").await.expect(404);
}

#[tokio::test]
async fn what_is_deleted_or_changed_is_found_as_it_is_now() {
    let data = clinic().await;
    let path = data.resolved("@carl!");
    let id = path.split_once('/').unwrap().1.to_owned();
    let changed = json!({"resourceType": "Patient", "id": id, "name": [{"family": "Neu"}], "birthDate": "2001"});
    data.service.put(&path, &changed).await.expect(200);
    data.finds("Patient?name=neu&birthdate=2001", &["carl"]).await;
    data.finds("Patient?name=neil", &[]).await;
    data.finds("Patient?birthdate=1999", &[]).await;
    data.service.delete(&path).await.expect(204);
    data.finds("Patient?name=neu", &[]).await;
    data.finds("Patient", &["anna", "bert"]).await;
    data.service.put(&path, &changed).await.expect(200);
    data.finds("Patient?name=neu", &["carl"]).await;
}

#[tokio::test]
async fn what_cannot_be_searched_is_refused_or_told() {
    let data = clinic().await;
    for query in [
        "Patient?birthdate=abc",
        "Patient?_count=-1",
        "Patient?_lastUpdated=gt",
        "Patient?name:in=x",
        "Patient?name:bogus=x",
        "Patient?gender:missing=maybe",
        "Observation?value-quantity=x",
        "Observation?code:in=http://example.org/unknown",
        "Observation?subject=a_b",
        "Patient?name=a%00b",
        "?_type=Foo",
    ] {
        data.get(query).await.expect(400).expect_outcome();
    }
    let bundle = data.get("Patient?bonkers=foobar&name=anna").await.expect(200).json();
    assert_eq!(data.names_in(&bundle, "match"), ["anna"]);
    let own = bundle["link"][0]["url"].as_str().unwrap();
    assert!(own.ends_with("/Patient?name=anna"), "{own}");
    let told = bundle["entry"].as_array().unwrap().iter().find(|entry| entry["search"]["mode"] == "outcome").unwrap();
    assert_eq!(told["resource"]["issue"][0]["severity"], "warning");
    let strict = [("prefer", "handling=strict")];
    data.service.send("GET", "Patient?bonkers=foobar", &strict, None).await.expect_issue(400, "not-supported");
    data.service.send("GET", "Patient?_include=Patient:bonkers", &strict, None).await.expect(400);
    data.get("Foo?name=x").await.expect(404);
}

#[tokio::test]
async fn words_are_found_in_narratives_and_contents() {
    let narrative = json!({"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>A <b>rare</b> Fièvre</p></div>"});
    let data = Data::load(vec![
        ("ill", patient("Ill", "I", json!({"text": narrative}))),
        ("well", patient("Well", "W", json!({"contact": [{"name": {"text": "Rare contact"}}]}))),
    ])
    .await;
    data.finds("Patient?_text=rare", &["ill"]).await;
    data.finds("Patient?_text=fievre%20rare", &["ill"]).await;
    data.finds("Patient?_content=rare", &["ill", "well"]).await;
    data.finds("Patient?_content=rare%20-contact", &["ill"]).await;
    data.finds("Patient?_text=nothing", &[]).await;
}

#[tokio::test]
async fn parts_of_resources_are_marked_as_parts() {
    let data = clinic().await;
    let part = |bundle: &Value| bundle["entry"][0]["resource"].clone();
    let tag = |resource: &Value| {
        let tags = resource["meta"]["tag"].as_array().cloned().unwrap_or_default();
        tags.iter().any(|tag| tag["code"] == "SUBSETTED")
    };
    for (query, has, lacks) in [
        ("_summary=true", "name", "contact"),
        ("_summary=text", "id", "name"),
        ("_summary=data", "name", "text"),
        ("_elements=birthDate", "birthDate", "name"),
    ] {
        let found = part(&data.get(&format!("Patient?name=anna&{query}")).await.expect(200).json());
        assert!(tag(&found) && found[has] != Value::Null && found[lacks] == Value::Null, "{query}: {found}");
        let read = data.get(&format!("@anna!?{query}")).await.expect(200).json();
        assert_eq!(read, found, "{query}");
        let version = data.get(&format!("@anna!/_history/1?{query}")).await.expect(200).json();
        assert_eq!(version, found, "{query}");
    }
    let whole = data.get("@anna!?_summary=false").await.expect(200).json();
    assert!(!tag(&whole));
    data.get("@anna!?_summary=x").await.expect(400).expect_outcome();
}

#[tokio::test]
async fn everything_of_a_patient_comes_in_pages() {
    let data = clinic().await;
    let mut bundle = data.get("Patient/#anna!/$everything?_count=2").await.expect(200).json();
    let mut found = data.names_in(&bundle, "match");
    let mut included = data.names_in(&bundle, "include");
    while let Some(next) = link(&bundle, "next") {
        bundle = data.service.get(&next).await.expect(200).json();
        found.extend(data.names_in(&bundle, "match"));
        included.extend(data.names_in(&bundle, "include"));
    }
    found.sort_unstable();
    assert_eq!(found, ["anna", "even", "light", "pressure", "visit"]);
    assert!(included.contains(&"clinic".to_owned()), "{included:?}");
    let bundle = data.get("Patient/#anna!/$everything?_type=Encounter").await.expect(200).json();
    assert_eq!(data.names_in(&bundle, "match"), ["visit"]);
    data.get("Patient/nobody/$everything").await.expect(404);
}

#[tokio::test]
async fn meta_can_be_read_and_changed() {
    let data = clinic().await;
    let meta = |meta: Value| json!({"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]});
    let told = data.get("@anna!/$meta").await.expect(200).json();
    assert_eq!(told["parameter"][0]["valueMeta"]["tag"][0]["code"], "vip");
    let path = data.resolved("@anna!");
    let added = meta(json!({"tag": [{"system": "urn:tag", "code": "vip"}, {"system": "urn:tag", "code": "new"}]}));
    let told = data.service.post(&format!("{path}/$meta-add"), &added).await.expect(200).json();
    let now = &told["parameter"][0]["valueMeta"];
    assert_eq!((now["versionId"].as_str(), now["tag"].as_array().map(Vec::len)), (Some("2"), Some(2)));
    data.finds("Patient?_tag=urn:tag|new", &["anna"]).await;
    let gone = meta(json!({"tag": [{"system": "urn:tag", "code": "new"}]}));
    data.service.post(&format!("{path}/$meta-delete"), &gone).await.expect(200);
    data.finds("Patient?_tag=urn:tag|new", &[]).await;
    data.service.post(&format!("{path}/$meta-add"), &json!({"resourceType": "Parameters"})).await.expect(400);
    data.get("Patient/nobody/$meta").await.expect(404);
}
