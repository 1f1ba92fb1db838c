use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Generated, resources};
use crate::fhir::definition::registry::Registry;
use crate::fhir::json::{Doc, Limits};
use crate::fhir::outcome::Severity;
use crate::fhir::tree::Tree;
use crate::fhir::validate::{Options, Validator};

fn some() -> Vec<Generated> {
    resources(1, 6_000).collect()
}

#[test]
fn a_seed_decides_everything() {
    let texts = |seed, total| resources(seed, total).map(|one| one.body.to_string()).collect::<Vec<_>>();
    assert_eq!(texts(1, 300), texts(1, 300));
    assert_ne!(texts(1, 300), texts(2, 300));
    assert_eq!(resources(1, 300).count(), 300);
    assert_eq!(resources(1, 0).count(), 0);
}

#[test]
fn every_resource_is_valid_against_r4_ca_core_and_the_profiles_it_names() {
    let validator = Validator::new(Registry::built_in(), Options::built_in());
    for one in some() {
        let doc = Doc::parse(&one.body.to_string(), &Limits::default()).unwrap();
        let issues = validator.check(&Tree::of_resource(&doc));
        let errors: Vec<_> = issues.iter().filter(|issue| issue.severity >= Severity::Error).collect();
        assert!(errors.is_empty(), "{errors:#?}\n{}", one.body);
    }
}

/// Every `reference` in `value`.
fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(members) => {
            found.extend(members.get("reference").and_then(Value::as_str));
            members.values().for_each(|member| references(member, found));
        }
        _ => {}
    }
}

#[test]
fn ids_are_unique_and_references_lead_to_what_came_before() {
    let mut known = BTreeSet::new();
    for one in some() {
        let mut found = Vec::new();
        references(&one.body, &mut found);
        for reference in found {
            assert!(known.contains(reference), "{reference} in {}", one.body);
        }
        assert!(known.insert(one.reference()), "{} comes twice", one.reference());
        assert_eq!(one.body["id"], one.id.as_str());
        assert_eq!(one.body["resourceType"], one.kind);
    }
}

#[test]
fn the_shares_of_types_are_those_of_records() {
    let mut counts: BTreeMap<&str, f64> = BTreeMap::new();
    let all = some();
    for one in &all {
        *counts.entry(one.kind).or_default() += 100.0 / all.len() as f64;
    }
    let expected = [
        ("Observation", 55.0),
        ("Encounter", 12.0),
        ("Condition", 8.0),
        ("MedicationRequest", 8.0),
        ("DiagnosticReport", 5.0),
        ("Patient", 4.0),
        ("Immunization", 3.0),
        ("Procedure", 2.0),
        ("AllergyIntolerance", 1.5),
    ];
    for (kind, share) in expected {
        assert!((counts[kind] - share).abs() < 0.1 * share + 0.4, "{kind}: {:.2} % of {counts:?}", counts[kind]);
    }
    assert_eq!(counts.len(), expected.len() + 4, "{counts:?}");
}

#[test]
fn dates_span_twenty_years_in_order_and_frequent_codes_are_much_more_frequent() {
    let all = some();
    let observations: Vec<_> = all.iter().filter(|one| one.kind == "Observation").collect();
    let dates: Vec<&str> = observations.iter().map(|one| one.body["effectiveDateTime"].as_str().unwrap()).collect();
    let (first, last) = (dates[0], dates[dates.len() - 1]);
    assert!(first.starts_with("2005") && last >= "2024", "{first} to {last}");
    assert!(dates.windows(2).all(|two| two[0][..10] <= two[1][..10]));
    let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
    for one in all.iter().filter(|one| one.kind == "Condition") {
        *codes.entry(one.body["code"]["coding"][0]["code"].as_str().unwrap()).or_default() += 1;
    }
    let (most, least) = (codes.values().max().unwrap(), codes.values().min().unwrap());
    assert!(*most > 10 * *least && codes.len() > 30, "{codes:?}");
}

#[test]
fn names_carry_accents_and_identifiers_are_unique() {
    let all = some();
    let patients: Vec<_> = all.iter().filter(|one| one.kind == "Patient").collect();
    let mut cards = BTreeSet::new();
    for one in &patients {
        assert!(cards.insert(one.body["identifier"][0]["value"].to_string()), "{}", one.body);
    }
    let accented = patients.iter().filter(|one| !one.body["name"][0]["text"].as_str().unwrap().is_ascii()).count();
    assert!(accented * 10 > patients.len() && accented < patients.len(), "{accented} of {}", patients.len());
}
