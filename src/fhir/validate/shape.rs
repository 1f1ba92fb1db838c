//! What the tree found wrong with a document's shape (json.html), said to people.

use super::report::Report;
use crate::fhir::{
    outcome::{Issue, IssueType},
    tree::{Fault, Found, Tree},
};

/// Reports every fault of shape.
pub(super) fn check(tree: &Tree<'_>, report: &mut Report) {
    for found in tree.faults() {
        report.add(issue(tree, found));
    }
}

/// The first fault of shape.
pub fn misshapen(tree: &Tree<'_>) -> Option<Issue> {
    tree.faults().first().map(|found| issue(tree, found))
}

fn issue(tree: &Tree<'_>, found: &Found) -> Issue {
    Issue::error(IssueType::Structure, text(tree, found)).at(tree.path_to(found.node, &found.member))
}

fn text(tree: &Tree<'_>, found: &Found) -> String {
    let holder = tree.kind(found.node).map_or("this element", |ty| &ty.name);
    match &found.fault {
        Fault::UnknownElement { name } => format!("{holder} has no element '{name}'"),
        Fault::ExpectedArray => "expected a JSON array: the element may repeat".to_owned(),
        Fault::UnexpectedArray => "expected a single value, not a JSON array: the element does not repeat".to_owned(),
        Fault::ExpectedObject => "expected a JSON object".to_owned(),
        Fault::UnexpectedObject => {
            format!(
                "expected a {holder}, which JSON writes as a plain value; id and extension go into a member with _ before its name"
            )
        }
        Fault::NestedArray => "expected no array inside an array".to_owned(),
        Fault::Empty => "expected content: what is empty is left out".to_owned(),
        Fault::Null => {
            "expected a value: null stands only in an array of primitives, where the array with _ has an object"
                .to_owned()
        }
        Fault::UnexpectedShadow { name } => format!("'{name}': only primitives have a member with _ before its name"),
        Fault::ChoiceTwice { name, other } => {
            format!("expected one type of this choice, found both {other} and {name}")
        }
        Fault::NoResourceType => "expected a resource with a resourceType".to_owned(),
        Fault::UnknownResource { name } => format!("'{name}' is not a resource type of FHIR R4"),
    }
}
