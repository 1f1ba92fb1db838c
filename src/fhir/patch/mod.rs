//! Patches: JSON Patch (RFC 6902) and FHIRPath Patch (FHIR R4 fhirpatch.html), on a resource whose numbers keep their digits;
//! and the changes of `meta` by `$meta-add` and `$meta-delete`, which are patches as well.
//!
//! What comes out is a resource of the same type and id (FHIR R4 http.html#patch); whether it conforms is the validator's
//! to say. A narrative that was generated from the content is dropped when the content changed and it did not: it would
//! tell something else than the data (http.html#patch: servers keep the narrative clinically safe).
//!
//! A patch is a small program, and a hostile one must cost no more than its size: copies of copies double, moves nest one
//! skeleton into the next, inserts shift long arrays. So size, depth and steps are bounded ([`Budget`]) while it runs.
//! The library there is for JSON Patch, `json-patch`, bounds none of that, rebuilds numbers from serde_json's values, and
//! panics when it cannot undo what it began; hence [`json`].

mod content;
mod json;
mod list;
mod meta;
mod path;
#[cfg(test)]
mod tests;
mod value;

use super::{
    json::Limits,
    outcome::{Issue, IssueType},
    resource::Resource,
};
use value::Value;

/// Operations in one patch at most.
const MOST_OPERATIONS: usize = 1000;
/// The result is at most so many times as large as document and patch together, or this many bytes.
const MOST_GROWTH: usize = 4;
const ALWAYS_ALLOWED: usize = 1024 * 1024;
/// Bytes copied and children passed by all operations together, beyond those of document and patch: a second or so.
const MOST_STEPS: usize = 64 * 1024 * 1024;

/// A patch, understood. Cloning shares or is cheap.
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
        let mut budget = Budget::new(resource.text().len() + self.len(), limits);
        let mut after = match self {
            Self::Json(patch) => patch.apply(before.clone(), &mut budget)?,
            Self::Path(patch) => patch.apply(resource, limits, &mut budget)?,
            Self::Meta(patch) => patch.apply(before.clone()),
        };
        for name in ["resourceType", "id"] {
            if after.member(name) != before.member(name) {
                return Err(unfitting(IssueType::BusinessRule, format!("a patch cannot change {name}")));
            }
        }
        drop_stale_narrative(&before, &mut after);
        Resource::parse(&after.text(), limits).map_err(Refused::Unfitting)
    }

    /// The length of its text, in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Json(patch) => patch.len(),
            Self::Path(patch) => patch.len(),
            Self::Meta(patch) => patch.len(),
        }
    }

    /// Whether there is nothing; a patch always has a text.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What applying a patch may cost.
struct Budget {
    /// Bytes of the result.
    size: usize,
    /// Objects and arrays inside one another.
    depth: usize,
    /// Steps that are left.
    steps: usize,
}

impl Budget {
    /// For a document and a patch of so many bytes together.
    fn new(length: usize, limits: &Limits) -> Self {
        Self {
            size: ALWAYS_ALLOWED.max(MOST_GROWTH * length),
            depth: limits.depth,
            steps: MOST_STEPS + MOST_GROWTH * length,
        }
    }

    fn pay(&mut self, steps: usize) -> Result<(), Refused> {
        let too_costly = || unfitting(IssueType::TooCostly, "the patch takes more steps than this server allows");
        self.steps = self.steps.checked_sub(steps).ok_or_else(too_costly)?;
        Ok(())
    }

    fn check_size(&self, size: usize) -> Result<(), Refused> {
        if size <= self.size {
            return Ok(());
        }
        Err(unfitting(IssueType::TooLong, format!("the patched resource would be larger than {} bytes", self.size)))
    }

    /// A value with `above` objects and arrays around it.
    fn check_depth(&self, above: usize, value: &Value) -> Result<(), Refused> {
        if above + value.depth() <= self.depth {
            return Ok(());
        }
        Err(unfitting(IssueType::TooLong, format!("the patched resource would be deeper than {} levels", self.depth)))
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

/// `text.status` of narratives that hold nothing but what was generated from the content (valueset-narrative-status.html).
const GENERATED: [&str; 2] = ["generated", "extensions"];

fn drop_stale_narrative(before: &Value, after: &mut Value) {
    let narrative = after.member("text");
    let status = narrative.and_then(|text| text.member("status")).and_then(Value::string);
    let is_generated = status.is_some_and(|status| GENERATED.contains(&status.as_str()));
    if is_generated && narrative == before.member("text") && !before.same_beside(after, &["text", "meta"]) {
        after.remove_member("text");
    }
}
