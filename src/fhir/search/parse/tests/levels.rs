//! Searches of the whole system, of compartments, and conditions.

use super::*;
use crate::fhir::search::token_value;

fn at(level: Level<'_>, query: &str) -> Result<Query, String> {
    parse(&request(Handling::Strict), level, &pairs(query)).map_err(|outcome| outcome.summary())
}

const fn compartment<'a>(type_name: &'a str, kind: Option<&'a str>) -> Level<'a> {
    Level::Compartment { type_name, id: "1", kind }
}

#[test]
fn a_search_of_the_system_knows_what_all_its_types_know() {
    let found = at(Level::System, "_type=Patient,Group&_tag=a&_lastUpdated=gt2020").unwrap();
    assert_eq!(found.types, ["Group", "Patient"]);
    assert_eq!(found.used.len(), 3);
    let tags = ["Group", "Patient"].map(|kind| token_value(id(kind, "_tag"), "a"));
    assert_eq!(found.filters[0], Filter::Any(vec![tokens(&tags)]));
    assert!(matches!(found.filters[1], Filter::Updated(_)));
    let shared = at(Level::System, "_type=Patient,Practitioner&name=x&_tag:not=a").unwrap();
    assert!(matches!(&shared.filters[0], Filter::Any(lookups) if lookups.len() == 2));
    assert!(matches!(&shared.filters[1], Filter::None(lookups) if lookups.len() == 1));
    assert!(
        at(Level::System, "_type=Patient,Group&name=x").unwrap_err().contains("not a search parameter of all types")
    );
    let all = at(Level::System, "_id=1&_profile=http://x&_text=y").unwrap();
    assert_eq!(all.types, Vec::<String>::new());
    assert!(matches!(&all.filters[1], Filter::Any(lookups) if lookups.len() == 146));
    assert!(at(Level::System, "name=x").is_err());
    assert!(at(Level::System, "_type=Patient&name=x").is_ok());
}

#[test]
fn chains_of_several_types_are_alternatives() {
    let found = at(Level::System, "_type=Observation,Condition&patient.name=x").unwrap();
    assert!(matches!(&found.filters[0], Filter::Either(chains) if chains.len() == 2));
    // Only patients are referred to by Observation.patient.
    let has = at(Level::System, "_has:Observation:patient:code=x").unwrap();
    assert!(matches!(&has.filters[0], Filter::Has(has) if has.target_type == "Patient"));
    let several = at(Level::System, "_type=Patient,Group,Account&_has:Observation:subject:code=x").unwrap();
    assert!(matches!(&several.filters[0], Filter::Either(has) if has.len() == 2));
}

#[test]
fn a_search_is_open_where_no_type_is_named() {
    for (level, query, is_open) in [
        (Level::System, "_id=1", true),
        (Level::System, "_type=Patient&_id=1", false),
        (compartment("Patient", None), "", true),
        (compartment("Patient", None), "_type=Observation", false),
        (compartment("Patient", Some("Observation")), "", false),
        (Level::Type("Patient"), "", false),
    ] {
        assert_eq!(at(level, query).unwrap().is_open, is_open, "{level:?} {query}");
    }
}

#[test]
fn types_that_do_not_exist_would_widen_the_search() {
    for level in [Level::System, compartment("Patient", None)] {
        for query in ["_type=Foo", "_type=Patient,Foo", "_type=,", "_type=Patient&_type=Group"] {
            let outcome = parse(&request(Handling::Lenient), level, &pairs(query));
            assert!(outcome.unwrap_err().summary().starts_with("_type: "), "{query}");
        }
    }
    left_out("Patient", "_type=Patient", "has no search parameter '_type'");
}

#[test]
fn a_compartment_holds_what_its_definition_says() {
    let found = at(compartment("Patient", Some("Observation")), "code=x").unwrap();
    assert_eq!(found.types, ["Observation"]);
    let Filter::Compartment(of) = &found.filters[0] else { panic!() };
    let numbers = ["subject", "performer"].map(|code| id("Observation", code)).to_vec();
    assert_eq!(of.parameters, [("Observation".to_owned(), numbers)]);
    assert_eq!((of.type_name.as_str(), of.id.as_str()), ("Patient", "1"));
    assert!(matches!(found.filters[1], Filter::Any(_)));
    let all = at(compartment("Patient", None), "").unwrap();
    assert!(all.types.len() > 60 && !all.types.iter().any(|name| name == "Organization"));
    let some = at(compartment("Patient", None), "_type=Observation,Condition&code=x").unwrap();
    assert_eq!(some.types, ["Condition", "Observation"]);
    for (level, query) in [
        (compartment("Patient", Some("Organization")), ""),
        (compartment("Patient", None), "_type=Organization"),
        (compartment("Organization", Some("Patient")), ""),
        (compartment("Organization", None), ""),
    ] {
        assert!(at(level, query).unwrap_err().contains("compartment"), "{query}");
    }
}

#[test]
fn a_condition_is_understood_wholly_or_refused() {
    let ask =
        |query: &str| condition(&request(Handling::Lenient), "Patient", query).map_err(|outcome| outcome.summary());
    for query in [
        "identifier=http://s|1",
        "?identifier=http://s|1",
        "Patient?identifier=http://s|1&_format=json",
        "identifier=http%3A%2F%2Fs%7C1",
    ] {
        let found = ask(query).unwrap();
        assert_eq!(found.filters, filters("Patient", "identifier=http://s|1"), "{query}");
        assert_eq!(found.types, ["Patient"]);
    }
    for (query, text) in [
        ("", "a condition that selects"),
        ("?", "a condition that selects"),
        ("_id:missing=false", "a condition that selects"),
        ("identifier=", "has no value"),
        ("identifier", "has no value"),
        ("identifier=a&name=", "has no value"),
        ("identifier=a,", "an empty value"),
        ("identifier=a&bonkers=1", "has no search parameter 'bonkers'"),
        ("identifier=a&_count=1", "says nothing of which resource"),
        ("identifier=a&_sort=name", "says nothing of which resource"),
        ("identifier=a&_include:iterate=Patient:link", "says nothing of which resource"),
        ("birthdate=abc", "a date such as"),
        ("identifier=a&_type=Patient", "has no search parameter '_type'"),
    ] {
        assert!(ask(query).unwrap_err().contains(text), "{query}");
    }
    assert!(condition(&request(Handling::Lenient), "Foo", "identifier=a").is_err());
}
