//! The part of the program that reads what strangers wrote.

#[path = "../../src/fhir/mod.rs"]
pub mod fhir;

use std::{collections::HashSet, sync::LazyLock};

use fhir::{
    definition::registry::Registry,
    json::{Doc, Limits},
    resource::Resource,
    search::Parameters,
    tree::Tree,
    validate::{MAX_ISSUES, Options, Validator},
};

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| Validator::new(Registry::built_in(), Options::built_in()));

static PARAMETERS: LazyLock<Parameters> = LazyLock::new(|| Parameters::new(&Registry::built_in()).0);

/// Validates JSON, converts it as far as it goes, and indexes it, valid or not.
pub fn check(json: &str) {
    let Ok(doc) = Doc::parse(json, &Limits::default()) else { return };
    index(json);
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

/// The index takes no token twice, and no text that is longer than its entries.
fn index(json: &str) {
    let Ok(resource) = Resource::parse(json, &Limits::default()) else { return };
    let rows = PARAMETERS.extract(&resource, "1", "http://h/fhir");
    let tokens: HashSet<_> = rows.tokens.iter().map(|row| (row.digest, row.slot)).collect();
    assert_eq!(tokens.len(), rows.tokens.len());
    assert!(rows.strings.iter().all(|row| row.folded.len() <= 2000 && !row.folded.contains('\0')));
    assert!(rows.narrative.len().max(rows.content.len()) <= 256 * 1024);
}
