//! Every rule of validation, with documents that keep it and documents that break it, and for each the exact list of issues.
//!
//! | file | rules (R4 page) |
//! |---|---|
//! | `shape` | unknown elements, arrays and objects, `_` members, repeated names, choices, resource types (json.html) |
//! | `cardinality` | what is required, how often, how long (conformance-rules.html#cardinality) |
//! | `primitive` | the form and range of every primitive type (datatypes.html#primitive) |
//! | `narrative` | XHTML (narrative.html) |
//! | `contained` | dom-2 to dom-6, ids, `#` references (domainresource.html, references.html#contained) |
//! | `reference` | what a Reference leads to (references.html) |
//! | `binding` | value sets (terminologies.html#strength) |
//! | `extension` | known, unknown, nested, modifying extensions (extensibility.html) |
//! | `bundle` | Bundles, Parameters, the resources inside (bundle.html) |
//! | `invariant` | R4's invariants (conformance-rules.html#constraints) |
//! | `profile` | claimed, demanded and type-wide profiles (profiling.html) |
//! | `fixed` | fixed values, patterns, limits (elementdefinition.html) |
//! | `slicing` | discriminators, rules and order of slices (profiling.html#slicing) |
//! | `limits` | hostile documents |

mod binding;
mod bundle;
mod cardinality;
mod contained;
mod extension;
mod fixed;
mod invariant;
mod limits;
mod narrative;
mod package;
mod primitive;
mod profile;
mod reference;
mod shape;
mod slicing;

use sofa::fhir::definition::registry::Registry;
use sofa::fhir::json::{Doc, Limits};
use sofa::fhir::outcome::{Issue, Severity};
use sofa::fhir::tree::Tree;
use sofa::fhir::validate::{Options, Validator};

/// JSON members of a resource, and the issues expected of it, each as `severity code place: part of the text`. The
/// severity is `error` unless given as `warning` or `information`.
type Case<'c> = (&'c str, &'c [&'c str]);

/// Judges resources by R4 and the built-in definitions. `start` is what they have in common: the type and required members.
fn judge(start: &str, cases: &[Case<'_>]) {
    judge_by(&Validator::new(Registry::built_in(), Options::default()), &[], start, cases);
}

/// Judges resources by a validator and profiles.
fn judge_by(validator: &Validator, profiles: &[&str], start: &str, cases: &[Case<'_>]) {
    let mut wrong = Vec::new();
    for (members, expected) in cases {
        let comma = if members.is_empty() || start.is_empty() { "" } else { "," };
        let text = format!("{{{start}{comma}{members}}}");
        let found = issues(validator, profiles, &text);
        if found.len() != expected.len() || found.iter().zip(*expected).any(|(issue, wanted)| !is(issue, wanted)) {
            let found: Vec<_> = found.iter().map(said).collect();
            wrong.push(format!("{text}\n  expected {expected:#?}\n  found    {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// All issues but the recommendation to have a narrative (dom-6), which almost every document of these tables lacks.
fn issues(validator: &Validator, profiles: &[&str], text: &str) -> Vec<Issue> {
    let doc = Doc::parse(text, &Limits::default()).unwrap_or_else(|error| panic!("{error}: {text}"));
    let mut found = validator.check_against(&Tree::of_resource(&doc), profiles);
    found.retain(|issue| issue.severity != Severity::Warning || !issue.text.starts_with("dom-6:"));
    found
}

fn is(issue: &Issue, wanted: &str) -> bool {
    let is_plain = !["warning ", "information "].iter().any(|severity| wanted.starts_with(severity));
    let wanted = if is_plain { format!("error {wanted}") } else { wanted.to_owned() };
    let (head, fragment) = wanted.split_once(": ").unwrap_or_else(|| panic!("no text is expected by {wanted:?}"));
    said(issue).strip_prefix(head).and_then(|rest| rest.strip_prefix(": ")).is_some_and(|text| text.contains(fragment))
}

fn said(issue: &Issue) -> String {
    let severity = match issue.severity {
        Severity::Fatal => "fatal",
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Information => "information",
    };
    format!("{severity} {} {}: {}", issue.code.code(), issue.expression.as_deref().unwrap_or("nowhere"), issue.text)
}
