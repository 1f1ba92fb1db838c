//! The built-in profiles, CA Core+ and HALO: each accepted and refused document is one line of `fixtures/profiles.ndjson`,
//! with the places where errors are expected.

use std::collections::BTreeSet;

use serde_json::Value;
use sofa::fhir::definition::registry::Registry;
use sofa::fhir::json::{Doc, Limits};
use sofa::fhir::outcome::Severity;
use sofa::fhir::tree::Tree;
use sofa::fhir::validate::{Options, Validator};

#[test]
fn every_document_is_judged_as_its_line_says() {
    let validator = Validator::new(Registry::built_in(), Options::built_in());
    let mut wrong = Vec::new();
    for line in include_str!("fixtures/profiles.ndjson").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let doc = Doc::parse(&case["resource"].to_string(), &Limits::default()).unwrap();
        let profile = case["profile"].as_str().unwrap();
        assert!(validator.knows(profile), "{profile} is not built in");
        let issues = validator.check_against(&Tree::of_resource(&doc), &[profile]);
        let errors = issues.iter().filter(|issue| issue.severity >= Severity::Error);
        let places: BTreeSet<_> = errors.clone().filter_map(|issue| issue.expression.as_deref()).collect();
        let expected: BTreeSet<_> = case["errors"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        if places != expected {
            let texts: Vec<_> = errors.map(|issue| format!("{:?} {}", issue.expression, issue.text)).collect();
            wrong.push(format!("{}: expected errors at {expected:?}, found {texts:#?}", case["name"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_claim_may_name_the_version_of_ca_core() {
    let validator = Validator::new(Registry::built_in(), Options::built_in());
    let patient = "http://fhir.infoway-inforoute.ca/cacore/StructureDefinition/patient-ca-core";
    for known in ["", "|1.1.0", "|1.1"] {
        assert!(validator.knows(&format!("{patient}{known}")), "{known}");
    }
    for unknown in ["|0.3.0", "|2", "|1.1.0-sofa.9"] {
        assert!(!validator.knows(&format!("{patient}{unknown}")), "{unknown}");
    }
}
