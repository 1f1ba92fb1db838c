//! Patches: JSON Patch (RFC 6902) and FHIRPath Patch (FHIR R4 fhirpatch.html), on a resource whose numbers keep their digits.
//!
//! What comes out is a resource of the same type and id (FHIR R4 http.html#patch); whether it conforms is the validator's
//! to say. A narrative that was generated from the content is dropped when the content changed and it did not: it would
//! tell something else than the data (http.html#patch: servers keep the narrative clinically safe).

mod json;
mod meta;
mod path;
mod value;

use super::{
    json::Limits,
    outcome::{Issue, IssueType},
    resource::Resource,
};
use value::Value;

/// Operations in one patch at most.
const MOST_OPERATIONS: usize = 1000;
/// The result is at most so many times as large as document and patch together, or this many bytes: copies of copies grow
/// without measure.
const MOST_GROWTH: usize = 4;
const ALWAYS_ALLOWED: usize = 1024 * 1024;

/// A patch, understood.
#[derive(Clone, Debug)]
pub enum Patch {
    Json(json::JsonPatch),
    Path(path::PathPatch),
    Meta(meta::MetaPatch),
}

/// Why a patch cannot be applied.
#[derive(Clone, Debug)]
pub enum Refused {
    /// It is no patch: 400.
    Malformed(Issue),
    /// It does not fit this resource: 422.
    Unfitting(Issue),
}

impl Patch {
    /// Reads a JSON Patch document.
    pub fn json(text: &str, limits: &Limits) -> Result<Self, Refused> {
        json::JsonPatch::read(text, limits).map(Self::Json)
    }

    /// Reads a FHIRPath Patch: a Parameters resource.
    pub fn path(parameters: &Resource) -> Result<Self, Refused> {
        path::PathPatch::read(parameters).map(Self::Path)
    }

    /// Reads the Parameters of `$meta-add` or `$meta-delete`.
    pub fn meta(parameters: &Resource, adds: bool) -> Result<Self, Refused> {
        meta::MetaPatch::read(parameters, adds).map(Self::Meta)
    }

    /// The resource after the patch.
    pub fn apply(&self, resource: &Resource, limits: &Limits) -> Result<Resource, Refused> {
        let before = Value::of(resource.root());
        let budget = ALWAYS_ALLOWED.max(MOST_GROWTH * (resource.text().len() + self.len()));
        let mut after = match self {
            Self::Json(patch) => patch.apply(before.clone(), budget)?,
            Self::Path(patch) => patch.apply(resource, limits, budget)?,
            Self::Meta(patch) => patch.apply(before.clone()),
        };
        for name in ["resourceType", "id"] {
            if after.member(name) != before.member(name) {
                return Err(unfitting(IssueType::BusinessRule, format!("a patch cannot change {name}")));
            }
        }
        drop_stale_narrative(&before, &mut after);
        let parsed = Resource::parse(&after.text(), limits);
        parsed.map_err(Refused::Unfitting)
    }

    fn len(&self) -> usize {
        match self {
            Self::Json(patch) => patch.len(),
            Self::Path(patch) => patch.len(),
            Self::Meta(patch) => patch.len(),
        }
    }
}

fn malformed(text: impl Into<String>, at: impl Into<String>) -> Refused {
    let (issue, at) = (Issue::error(IssueType::Structure, text), at.into());
    // A JSON Patch is no resource: what is wrong with the whole has no place in one.
    Refused::Malformed(if at.is_empty() { issue } else { issue.at(at) })
}

fn unfitting(code: IssueType, text: impl Into<String>) -> Refused {
    Refused::Unfitting(Issue::error(code, text))
}

fn drop_stale_narrative(before: &Value, after: &mut Value) {
    let narrative = after.member("text").cloned();
    let is_generated =
        narrative.as_ref().and_then(|text| text.member("status")).is_some_and(|status| status.is_string("generated"));
    if !is_generated || narrative.as_ref() != before.member("text") {
        return;
    }
    let without = |value: &Value| {
        let mut rest = value.clone();
        rest.remove_member("text");
        rest.remove_member("meta");
        rest
    };
    if without(before) != without(after) {
        after.remove_member("text");
    }
}

#[cfg(test)]
mod tests;
