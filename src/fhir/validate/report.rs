//! The issues of one validation, in the order they were found.

use crate::fhir::{
    outcome::{Issue, IssueType, Severity},
    tree::{Node, Tree},
};

/// The most issues one document is told of; a hostile document has as many as it has bytes.
pub const MAX_ISSUES: usize = 1000;

/// Collects issues.
#[derive(Debug, Default)]
pub(super) struct Report {
    issues: Vec<Issue>,
    errors: usize,
    left_out: usize,
    /// How many issues at the end of a full list are errors.
    settled: usize,
    /// Whether errors count as warnings now.
    pub lenient: bool,
}

impl Report {
    /// Adds an issue.
    pub fn add(&mut self, issue: Issue) {
        let mut issue = issue;
        if issue.severity >= Severity::Error {
            self.errors += 1;
            if self.lenient {
                issue.severity = Severity::Warning;
            }
        }
        if self.issues.len() < MAX_ISSUES {
            self.issues.push(issue);
            return;
        }
        self.left_out += 1;
        if issue.severity >= Severity::Error && self.give_way() {
            self.issues.push(issue);
        }
    }

    /// Takes out the last issue that is no error, if there is one: however many warnings a document has, its errors are told.
    fn give_way(&mut self) -> bool {
        let before = &self.issues[..MAX_ISSUES - self.settled];
        let Some(mild) = before.iter().rposition(|issue| issue.severity < Severity::Error) else {
            self.settled = MAX_ISSUES;
            return false;
        };
        self.issues.remove(mild);
        self.settled = MAX_ISSUES - mild;
        true
    }

    /// Adds an error at an element.
    pub fn error(&mut self, tree: &Tree<'_>, node: Node, code: IssueType, text: impl Into<String>) {
        self.add(Issue::error(code, text).at(tree.path(node)));
    }

    /// Adds a warning at an element.
    pub fn warning(&mut self, tree: &Tree<'_>, node: Node, code: IssueType, text: impl Into<String>) {
        self.add(Issue::warning(code, text).at(tree.path(node)));
    }

    /// How many errors there are so far, those told as warnings included.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// All issues; the last one says how many were left out, if any.
    pub fn finish(mut self) -> Vec<Issue> {
        if self.left_out > 0 {
            let text = format!("{} more issues were found and left out", self.left_out);
            let mut issue = Issue::information(text);
            issue.code = IssueType::TooCostly;
            self.issues.push(issue);
        }
        self.issues
    }
}
