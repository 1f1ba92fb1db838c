//! Chains and reverse chains.

use super::*;
use crate::fhir::search::{Chain, Has, Target, token_value};

fn chain(type_name: &str, query: &str) -> Chain {
    match filter(type_name, query) {
        Filter::Chain(chain) => chain,
        other => panic!("{query}: {other:?}"),
    }
}

fn types(chain: &Chain) -> Vec<&str> {
    chain.targets.iter().map(|target| target.type_name.as_str()).collect()
}

fn begins(type_name: &str, code: &str, folded: &str) -> Filter {
    Filter::Any(vec![Lookup::Begins { parameter: id(type_name, code), folded: folded.to_owned() }])
}

#[test]
fn a_chain_leads_to_the_types_that_know_what_follows() {
    let found = chain("Observation", "subject:Patient.name=x");
    let target = Target { type_name: "Patient".to_owned(), filters: vec![begins("Patient", "name", "x")] };
    assert_eq!(found, Chain { parameter: id("Observation", "subject"), targets: vec![target] });
    let mut known = chain("Observation", "subject.name=x");
    known.targets.sort_by(|a, b| a.type_name.cmp(&b.type_name));
    // A Device has a device-name, a Group has none.
    assert_eq!(types(&known), ["Location", "Patient"]);
    assert_eq!(types(&chain("Observation", "subject._id=1")).len(), 4);
    assert_eq!(types(&chain("Observation", "patient.birthdate=gt2000,lt1980")), ["Patient"]);
}

#[test]
fn what_stands_at_the_end_may_have_a_modifier_or_be_common_to_all_types() {
    for (query, expected) in [
        ("patient.gender:missing=true", None),
        ("patient.name:exact=Eve", None),
        ("patient._id=1,2", Some(Filter::Ids(vec!["1".to_owned(), "2".to_owned()]))),
        ("patient._text=x", Some(Filter::Text("x".to_owned()))),
        ("patient._tag=x", Some(Filter::Any(vec![tokens(&[token_value(id("Patient", "_tag"), "x")])]))),
        ("patient._lastUpdated:missing=true", Some(Filter::Nothing)),
    ] {
        let found = chain("Observation", query);
        assert_eq!(found.targets[0].filters.len(), 1, "{query}");
        if let Some(expected) = expected {
            assert_eq!(found.targets[0].filters, [expected], "{query}");
        }
    }
}

#[test]
fn a_chain_may_have_several_links() {
    let found = chain("DiagnosticReport", "result:Observation.patient.organization.name=x");
    let [Filter::Chain(patient)] = found.targets[0].filters.as_slice() else { panic!() };
    let [Filter::Chain(organization)] = patient.targets[0].filters.as_slice() else { panic!() };
    assert_eq!(organization.targets[0].filters, [begins("Organization", "name", "x")]);
    let composite = chain("DiagnosticReport", "result.code-value-quantity=http://loinc.org|2823-3$gt5.4");
    assert!(matches!(composite.targets[0].filters[..], [Filter::Composite(_)]));
}

#[test]
fn a_reverse_chain_looks_at_what_refers_to_the_resource() {
    let code = id("Observation", "code");
    let either = tokens(&[token_value(code, "123"), token_value(code, "456")]);
    let has = Has {
        type_name: "Observation".to_owned(),
        parameter: id("Observation", "patient"),
        target_type: "Patient".to_owned(),
        filters: vec![Filter::Any(vec![either])],
    };
    assert_eq!(filter("Patient", "_has:Observation:patient:code=123,456"), Filter::Has(has));
    let Filter::Has(outer) = filter("Patient", "_has:Observation:patient:_has:AuditEvent:entity:agent=x") else {
        panic!()
    };
    let [Filter::Has(inner)] = outer.filters.as_slice() else { panic!() };
    assert_eq!((inner.type_name.as_str(), inner.target_type.as_str()), ("AuditEvent", "Observation"));
    let Filter::Has(chained) = filter("Patient", "_has:Observation:patient:performer:Practitioner.name=x") else {
        panic!()
    };
    assert!(matches!(chained.filters[..], [Filter::Chain(_)]));
    let Filter::Chain(to) = filter("Observation", "patient._has:Group:member:_id=g") else { panic!() };
    assert!(matches!(to.targets[0].filters[..], [Filter::Has(_)]));
}

#[test]
fn what_nothing_knows_is_unknown() {
    left_out("Observation", "subject.nothing=x", "has no search parameter 'nothing'");
    left_out("Observation", "nothing.name=x", "has no search parameter 'nothing'");
    left_out("Patient", "_has:Foo:patient:code=x", "'Foo' is not a resource type");
    left_out("Patient", "_has:Observation:nothing:code=x", "has no search parameter 'nothing'");
    left_out("Patient", "_has:Observation:patient:nothing=x", "has no search parameter 'nothing'");
}

#[test]
fn what_cannot_be_followed_is_refused() {
    refused("Observation", "code.name=x", "is no reference");
    refused("Observation", "subject:Practitioner.name=x", "does not lead to 'Practitioner'");
    refused("Observation", "subject:identifier.name=x", "does not lead to 'identifier'");
    refused("Observation", "subject:Patient.name:in=x", "does not take the modifier 'in'");
    refused("Observation", "patient.birthdate=abc", "a date such as");
    // Any type: each would be a search of its own.
    refused("Observation", "focus.code=x", "may lead to any type; name one, as in focus:Patient");
    assert_eq!(types(&chain("Observation", "focus:Patient.name=x")), ["Patient"]);
    refused("Patient", "_has:Observation:encounter:code=x", "does not lead to what is searched");
    refused("Patient", "_has:Observation:code:code=x", "is no reference");
    for name in ["_has", "_has:Observation", "_has:Observation:patient"] {
        refused("Patient", &format!("{name}=x"), "_has:[type]:[reference]:[parameter]");
    }
}

#[test]
fn a_value_counts_for_the_types_that_understand_it() {
    // subject may be a Device, whose status is a token, and has no birthdate.
    assert_eq!(types(&chain("Observation", "subject.birthdate=2000")), ["Patient"]);
}
