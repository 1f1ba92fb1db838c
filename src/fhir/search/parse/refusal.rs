//! Why a parameter is not used.

use crate::fhir::outcome::{Issue, IssueType};

/// Characters of a value that are told back.
const MAX_TOLD: usize = 80;

/// A parameter that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Whether lenient handling goes on without it.
    pub may_be_left_out: bool,
    code: IssueType,
    pub text: String,
}

impl Refusal {
    /// Not known here, or not to all types searched, or without a value: left out where the client lets it be.
    pub fn unknown(text: impl Into<String>) -> Self {
        Self { may_be_left_out: true, code: IssueType::NotSupported, text: text.into() }
    }

    /// Known, but not in this way (search.html#modifiers: "SHALL reject").
    pub fn unsupported(text: impl Into<String>) -> Self {
        Self { may_be_left_out: false, code: IssueType::NotSupported, text: text.into() }
    }

    /// Malformed.
    pub fn wrong(text: impl Into<String>) -> Self {
        Self { may_be_left_out: false, code: IssueType::Value, text: text.into() }
    }

    /// A malformed value, and what was expected.
    pub fn value(expected: &str, found: &str) -> Self {
        Self::wrong(format!("expected {expected}; found {}", told(found)))
    }

    /// A backslash that escapes nothing.
    pub fn escape(found: &str) -> Self {
        Self::value(r"a backslash only before one of , | $ \ (FHIR R4 search.html#escaping)", found)
    }

    /// More than this server looks up for one search.
    pub fn costly(text: impl Into<String>) -> Self {
        Self { may_be_left_out: false, code: IssueType::TooCostly, text: text.into() }
    }

    /// Whether it was too much: then no other type is tried.
    pub fn is_costly(&self) -> bool {
        self.code == IssueType::TooCostly
    }

    /// As an issue about the parameter `name`.
    pub fn issue(self, name: &str, is_warning: bool) -> Issue {
        let name: String = name.chars().take(MAX_TOLD).collect();
        let text = format!("{name}: {}", self.text);
        let issue = if is_warning { Issue::warning(self.code, text) } else { Issue::error(self.code, text) };
        issue.at(format!("http.{name}"))
    }
}

/// A value in quotes, not at any length.
pub fn told(value: &str) -> String {
    let cut: String = value.chars().take(MAX_TOLD).collect();
    let more = if cut.len() < value.len() { "…" } else { "" };
    format!("'{cut}{more}'")
}
