//! Everything this server says in FHIR is R4: each answer and each notification the tests see is validated.

use std::borrow::Cow;
use std::sync::LazyLock;

use sofa::fhir::definition::registry::Registry;
use sofa::fhir::json::{Doc, Limits};
use sofa::fhir::outcome::Severity;
use sofa::fhir::tree::Tree;
use sofa::fhir::validate::{Options, Validator};
use sofa::fhir::xml;

static VALIDATOR: LazyLock<Validator> =
    LazyLock::new(|| Validator::new(Registry::built_in(), Options { profiles: Vec::new(), ..Options::default() }));

/// Fails when `text`, which `asked` was answered with, is no valid R4 resource in JSON or XML.
#[track_caller]
pub fn assert_conforms(asked: &str, text: &str) {
    let read = || xml::read(text, &Limits::default()).unwrap_or_else(|issues| panic!("{asked}: {issues:#?}: {text}"));
    let json = if text.starts_with('<') { Cow::Owned(read()) } else { Cow::Borrowed(text) };
    let doc = Doc::parse(&json, &Limits::default()).unwrap_or_else(|error| panic!("{asked}: {error}: {text}"));
    let issues = VALIDATOR.check(&Tree::of_resource(&doc));
    let errors: Vec<_> = issues.iter().filter(|issue| issue.severity >= Severity::Error).collect();
    assert!(errors.is_empty(), "{asked}: the answer is not valid R4: {errors:#?}\n{text}");
}
