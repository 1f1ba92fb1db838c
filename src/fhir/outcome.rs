//! `OperationOutcome`: what went wrong, where, and what was expected.

use serde_json::{Value, json};

/// `OperationOutcome.issue.severity` (R4 value set issue-severity).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// `information`
    Information,
    /// `warning`
    Warning,
    /// `error`
    Error,
    /// `fatal`
    Fatal,
}

/// `OperationOutcome.issue.code` (the R4 value set issue-type, as far as this server uses it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssueType {
    Structure,
    Required,
    Value,
    Invalid,
    Security,
    Login,
    Expired,
    Forbidden,
    Suppressed,
    Incomplete,
    Processing,
    NotSupported,
    Duplicate,
    MultipleMatches,
    NotFound,
    Deleted,
    TooLong,
    CodeInvalid,
    Invariant,
    Extension,
    TooCostly,
    BusinessRule,
    Conflict,
    Transient,
    LockError,
    Exception,
    Timeout,
    Throttled,
    Informational,
}

impl IssueType {
    /// The code as FHIR writes it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Structure => "structure",
            Self::Required => "required",
            Self::Value => "value",
            Self::Invalid => "invalid",
            Self::Security => "security",
            Self::Login => "login",
            Self::Expired => "expired",
            Self::Forbidden => "forbidden",
            Self::Suppressed => "suppressed",
            Self::Incomplete => "incomplete",
            Self::Processing => "processing",
            Self::NotSupported => "not-supported",
            Self::Duplicate => "duplicate",
            Self::MultipleMatches => "multiple-matches",
            Self::NotFound => "not-found",
            Self::Deleted => "deleted",
            Self::TooLong => "too-long",
            Self::CodeInvalid => "code-invalid",
            Self::Invariant => "invariant",
            Self::Extension => "extension",
            Self::TooCostly => "too-costly",
            Self::BusinessRule => "business-rule",
            Self::Conflict => "conflict",
            Self::Transient => "transient",
            Self::LockError => "lock-error",
            Self::Exception => "exception",
            Self::Timeout => "timeout",
            Self::Throttled => "throttled",
            Self::Informational => "informational",
        }
    }
}

/// One issue of an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of fault it is.
    pub code: IssueType,
    /// For people: what was found and what was expected.
    pub text: String,
    /// FHIRPath of the element from the request's root.
    pub expression: Option<String>,
    /// More for people, such as what the PoC said.
    pub diagnostics: Option<String>,
}

impl Issue {
    /// An issue of severity `error`.
    pub fn error(code: IssueType, text: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, text: text.into(), expression: None, diagnostics: None }
    }

    /// An issue of severity `warning`.
    pub fn warning(code: IssueType, text: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, text) }
    }

    /// An issue of severity `information`.
    pub fn information(text: impl Into<String>) -> Self {
        Self { severity: Severity::Information, ..Self::error(IssueType::Informational, text) }
    }

    /// Says where: a FHIRPath from the request's root.
    #[must_use]
    pub fn at(mut self, expression: impl Into<String>) -> Self {
        self.expression = Some(expression.into());
        self
    }

    /// Adds `diagnostics`.
    #[must_use]
    pub fn with_diagnostics(mut self, diagnostics: Option<String>) -> Self {
        self.diagnostics = diagnostics;
        self
    }

    fn to_json(&self) -> Value {
        let severity = match self.severity {
            Severity::Information => "information",
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Fatal => "fatal",
        };
        let mut issue = json!({"severity": severity, "code": self.code.code(), "details": {"text": self.text}});
        if let Some(diagnostics) = &self.diagnostics {
            issue["diagnostics"] = json!(diagnostics);
        }
        if let Some(expression) = &self.expression {
            issue["expression"] = json!([expression]);
        }
        issue
    }
}

/// At least one issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    first: Issue,
    rest: Vec<Issue>,
}

impl Outcome {
    /// An outcome of one issue of severity `error`.
    pub fn error(code: IssueType, text: impl Into<String>) -> Self {
        Issue::error(code, text).into()
    }

    /// An outcome of several issues; `None` if there are none.
    pub fn of(issues: Vec<Issue>) -> Option<Self> {
        let mut issues = issues.into_iter();
        issues.next().map(|first| Self { first, rest: issues.collect() })
    }

    /// Says where the first issue is.
    #[must_use]
    pub fn at(mut self, expression: impl Into<String>) -> Self {
        self.first = self.first.at(expression);
        self
    }

    /// This outcome with `more` issues at its end.
    #[must_use]
    pub fn followed_by(mut self, more: impl IntoIterator<Item = Issue>) -> Self {
        self.rest.extend(more);
        self
    }

    /// All issues, in order.
    pub fn issues(&self) -> impl Iterator<Item = &Issue> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// The `OperationOutcome` resource.
    pub fn to_json(&self) -> Value {
        json!({"resourceType": "OperationOutcome", "issue": self.issues().map(Issue::to_json).collect::<Vec<_>>()})
    }

    /// The texts of all issues on one line, for logs and tests.
    pub fn summary(&self) -> String {
        self.issues().map(|issue| issue.text.as_str()).collect::<Vec<_>>().join("; ")
    }
}

impl From<Issue> for Outcome {
    fn from(first: Issue) -> Self {
        Self { first, rest: Vec::new() }
    }
}
