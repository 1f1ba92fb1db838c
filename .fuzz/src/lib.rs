//! The part of the program that reads what strangers wrote.

#[path = "../../src/fhir/mod.rs"]
pub mod fhir;

use std::sync::LazyLock;

use fhir::{
    definition::registry::Registry,
    json::{Doc, Limits},
    tree::Tree,
    validate::{MAX_ISSUES, Options, Validator},
};

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| Validator::new(Registry::built_in(), Options::built_in()));

/// Validates JSON and converts it as far as it goes.
pub fn check(json: &str) {
    let Ok(doc) = Doc::parse(json, &Limits::default()) else { return };
    let tree = Tree::of_resource(&doc);
    let issues = VALIDATOR.check(&tree);
    assert!(issues.len() <= MAX_ISSUES + 1);
    if let Ok(xml) = fhir::xml::write(&tree) {
        // What was written is read again without a fault, or the document was none of R4's.
        if issues.iter().all(|issue| issue.severity < fhir::outcome::Severity::Error) {
            let back = fhir::xml::read(&xml, &Limits::default()).unwrap_or_else(|faults| panic!("{faults:?} in {xml}"));
            assert!(Doc::parse(&back, &Limits::default()).is_ok(), "{back}");
        }
    }
}
