use std::sync::LazyLock;

use time::macros::datetime;

use super::*;
use crate::fhir::{
    definition::registry::Registry,
    json::Limits,
    resource::Resource,
    search::{Handling, Parameters, Request, SearchLimits, condition},
};

const BASE: &str = "http://h/fhir";
static REGISTRY: LazyLock<std::sync::Arc<Registry>> = LazyLock::new(Registry::built_in);
static PARAMETERS: LazyLock<Parameters> = LazyLock::new(|| Parameters::new(&REGISTRY).0);

/// Whether a resource, stored under the id 1 in May 2026, fulfils a query.
fn fulfils(json: &str, query: &str) -> Option<bool> {
    let resource = Resource::parse(json, &Limits::default()).unwrap();
    let request = Request {
        parameters: &PARAMETERS,
        registry: &REGISTRY,
        base: BASE,
        now: datetime!(2026-06-01 00:00 UTC),
        handling: Handling::Strict,
        limits: SearchLimits::default(),
    };
    let query = condition(&request, resource.type_name(), query).unwrap_or_else(|wrong| panic!("{}", wrong.summary()));
    let rows = PARAMETERS.extract(&resource, "1", BASE);
    let updated = i64::try_from(datetime!(2026-05-15 12:00 UTC).unix_timestamp_nanos() / 1000).unwrap();
    Unstored { id: "1", updated, rows: &rows }.fulfils(&query.filters)
}

const PATIENT: &str = r#"{"resourceType":"Patient","active":true,
    "identifier":[{"system":"urn:mrn","value":"A1"},{"value":"B"}],
    "name":[{"family":"Müller","given":["Anna Maria"]}],"birthDate":"1980-03-15",
    "managingOrganization":{"reference":"Organization/o"},"generalPractitioner":[{"reference":"http://x/fhir/Practitioner/p"}],
    "meta":{"source":"urn:a:b","profile":["http://e/p|1"]}}"#;

const OBSERVATION: &str = r#"{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"l","code":"c"}]},
    "effectivePeriod":{"start":"2020-03"},
    "component":[{"code":{"coding":[{"code":"a"}]},"valueQuantity":{"value":7.0,"unit":"kilo","system":"u","code":"kg"}},
                 {"code":{"coding":[{"code":"b"}]},"valueQuantity":{"value":9e400,"code":"g"}}]}"#;

#[test]
fn every_kind_of_condition_holds_or_does_not() {
    for (json, holding, failing) in [
        (
            PATIENT,
            &[
                "identifier=urn:mrn|A1",
                "identifier=A1,Z",
                "identifier=|B",
                "identifier=urn:mrn|&active=true",
                "identifier:not=urn:mrn|Z",
                "name=mul",
                "name:contains=NA%20MA",
                "name:exact=Müller",
                "phone:missing=true",
                "birthdate:missing=false",
                "birthdate=1980",
                "birthdate=lt1980-03-16",
                "birthdate=ne1981",
                "organization=o",
                "organization=Organization/o",
                "organization=http://h/fhir/Organization/o",
                "general-practitioner=http://x/fhir/Practitioner/p",
                "_profile=http://e/p",
                "_id=0,1",
                "_lastUpdated=2026-05",
                "_lastUpdated=gt2026-05-14&_lastUpdated=lt2026-05-16",
            ][..],
            &[
                "identifier=urn:mrn|B",
                "identifier=|A1",
                "identifier=urn:mrn|A1&active=false",
                "identifier:not=urn:mrn|A1",
                "name=uller",
                "name:contains=mariaanna",
                "name:exact=Muller",
                "phone:missing=false",
                "birthdate=1980-04",
                "birthdate=gt1980-03-15",
                "birthdate=ne1980",
                "organization=Patient/o",
                "organization=http://x/fhir/Organization/o",
                "general-practitioner=p",
                "_profile=http://e/q",
                "_id=2",
                "_id=a_b",
                "_lastUpdated=2026-06,2025",
                "_lastUpdated=ge2026-05-16",
            ][..],
        ),
        (
            OBSERVATION,
            &[
                "component-code-value-quantity=a$7||kg",
                "component-code-value-quantity=a$6,b$gt1e100",
                "component-value-quantity=7.0|u|kg",
                "component-value-quantity=7||kilo",
                "component-value-quantity=ap7.5",
                "component-value-quantity=ge9e100||g",
                "date=ge2020-04",
                "date=gt2050",
                "status=final&code=l|c",
            ],
            &[
                "component-code-value-quantity=b$7||kg",
                "component-code-value-quantity=a$gt1e100",
                "component-value-quantity=7.0|v|kg",
                "component-value-quantity=7.05",
                "component-value-quantity=lt7",
                "component-value-quantity=gt7||kg",
                "date=2020",
                "date=eb2021",
                "status=final&code=m|c",
            ],
        ),
        (
            r#"{"resourceType":"ValueSet","url":"http://a/b/c"}"#,
            &["url=http://a/b/c", "url:below=http://a/b", "url:above=http://a/b/c/d", "url:below=http://a/b/c"],
            &["url=http://a/b", "url:below=http://a/bb", "url:below=http://a/b/c/d", "url:above=http://a/b"],
        ),
    ] {
        for query in holding {
            assert_eq!(fulfils(json, query), Some(true), "{query}");
        }
        for query in failing {
            assert_eq!(fulfils(json, query), Some(false), "{query}");
        }
    }
}

#[test]
fn what_only_the_store_can_tell_is_left_open_unless_it_does_not_matter() {
    for query in [
        "organization.name=a",
        "organization:Organization.name=a&active=true",
        "_has:Observation:patient:code=a",
        "_text=a",
        "_content=a",
        "_list=a",
        "_list=a,b",
    ] {
        assert_eq!(fulfils(PATIENT, query), None, "{query}");
        assert_eq!(fulfils(PATIENT, &format!("{query}&active=false")), Some(false), "{query}");
        assert_eq!(fulfils(PATIENT, &format!("_id=2&{query}")), Some(false), "{query}");
    }
}

#[test]
fn one_of_several_is_enough_whatever_the_others_are() {
    let rows = Rows::default();
    let unstored = Unstored { id: "1", updated: 0, rows: &rows };
    let (yes, no, open) =
        (Filter::Ids(vec!["1".into()]), Filter::OtherThan(vec!["1".into()]), Filter::Text("a".into()));
    for (filters, expected) in [
        (vec![open.clone(), yes.clone()], Some(true)),
        (vec![open.clone(), no.clone()], None),
        (vec![no.clone(), no.clone()], Some(false)),
        (vec![], Some(false)),
    ] {
        assert_eq!(unstored.fulfils(&[Filter::Either(filters.clone())]), expected, "{filters:?}");
    }
    assert_eq!(unstored.fulfils(&[]), Some(true));
    assert_eq!(unstored.fulfils(&[yes, Filter::Nothing]), Some(false));
    assert_eq!(unstored.fulfils(&[open, no]), Some(false));
}
