//! Invariants: FHIRPath that must hold at an element, compiled once.
//!
//! Six of R4's stand on every element or would cost more than the document's size when taken literally; they are
//! answered by the walk itself and named here ([`NATIVE`]). All others are evaluated.

use std::{collections::HashMap, sync::Arc};

use super::report::Report;
use crate::fhir::{
    definition::structure::Constraint,
    outcome::{Issue, IssueType, Severity},
    path::{Expression, Scope},
};

/// What the walk checks without FHIRPath.
///
/// - ele-1 and ext-1 stand on every element and every extension.
/// - ref-1 and dom-3 look through all contained resources for each reference, and through the whole resource for each
///   contained one: quadratic, where sets make it linear.
/// - txt-1 and txt-2 are about XHTML.
pub(super) const NATIVE: [&str; 6] = ["ele-1", "ext-1", "ref-1", "dom-3", "txt-1", "txt-2"];

/// A compiled invariant.
#[derive(Debug)]
pub(super) struct Invariant {
    key: String,
    human: String,
    is_error: bool,
    /// Whether an empty result fails. A rule holds when it is true, so what is empty fails, as que-13 where `repeats` is
    /// absent. Guidelines do not ask for what is absent, and values without an order, such as dates of different
    /// precision, say nothing against an element (R4 datatypes.html#Period: an end of `2020` includes all of 2020).
    is_strict: bool,
    expression: Expression,
}

/// Compiles invariants; equal expressions share their code.
#[derive(Default)]
pub(super) struct Compiler {
    known: HashMap<(String, bool, String), Arc<Invariant>>,
}

impl Compiler {
    /// The invariants that are to be evaluated. One whose FHIRPath cannot be read is left out here: it is told when
    /// its package is loaded.
    pub fn compile<'c>(&mut self, constraints: impl IntoIterator<Item = &'c Arc<Constraint>>) -> Vec<Arc<Invariant>> {
        let wanted = constraints.into_iter().filter(|one| !NATIVE.contains(&one.key.as_str()));
        wanted.filter_map(|one| self.one(one)).collect()
    }

    fn one(&mut self, constraint: &Constraint) -> Option<Arc<Invariant>> {
        let text = constraint.expression.as_ref()?;
        let key = (constraint.key.clone(), constraint.is_error, text.clone());
        if let Some(known) = self.known.get(&key) {
            return Some(known.clone());
        }
        let invariant = Arc::new(Invariant {
            key: constraint.key.clone(),
            human: constraint.human.clone(),
            is_error: constraint.is_error,
            is_strict: constraint.is_error && !orders_values(text),
            expression: Expression::parse(text).ok()?,
        });
        self.known.insert(key, invariant.clone());
        Some(invariant)
    }
}

impl Invariant {
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Evaluates at the scope's focus.
    pub fn check(&self, scope: &Scope<'_, '_>, report: &mut Report) {
        let (tree, node) = (scope.tree, scope.focus);
        match self.expression.test(scope) {
            Ok(Some(true)) => {}
            Ok(None) if !self.is_strict => {}
            Ok(Some(false) | None) => {
                let severity = if self.is_error { Severity::Error } else { Severity::Warning };
                let text = format!("{}: {}", self.key, self.human);
                let issue = Issue { severity, ..Issue::error(IssueType::Invariant, text) };
                report.add(issue.at(tree.path(node)));
            }
            Err(error) => {
                let text = format!("{}: could not be evaluated: {error}", self.key);
                report.warning(tree, node, IssueType::Processing, text);
            }
        }
    }
}

/// Whether an expression puts values in order: has a `<` or `>` that is not about a `count()`.
fn orders_values(expression: &str) -> bool {
    let mut signs = expression.match_indices(['<', '>']);
    signs.any(|(at, _)| !expression[..at].trim_end().ends_with("count()"))
}
