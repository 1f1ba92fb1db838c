//! FHIRPath (N1, version 2.0.0, with the additions of FHIR R4's fhirpath.html): parsed once, then evaluated over a
//! [`Tree`].
//!
//! - [`lex`], [`parse`], [`expr`]: from text to steps whose names are numbers.
//! - [`item`], [`temporal`], [`equality`]: what expressions work on.
//! - [`eval`]: items are pushed from step to step; only what must be kept together is collected, and whoever has seen
//!   enough says so.
//! - [`memo`]: what evaluations over one document have in common.
//!
//! What is the same for every item of a loop (`%resource.descendants()…`) is computed once, membership in it is a look-up,
//! and every item that is looked at is paid for out of a budget: an evaluation takes time in proportion to its document.
//!
//! Where the texts leave room:
//! - `as()` filters collections, as `ofType()` does; R4's own expressions rely on it.
//! - `x is Boolean` is true of a FHIR `boolean` (que-7 needs it), `x.is(Boolean)` is not.
//! - `resolve()` finds contained resources and Bundle entries. Of another reference it gives an item that only knows its
//!   type, where the text tells it (`Patient/1`) or `Reference.type` does: enough for `resolve() is Patient`.
//! - `matches()` finds its pattern anywhere in the text; `.` matches line ends too.
//! - Quantities of different UCUM units do not compare: the answer is empty.
//! - Decimals have 28 digits. Arithmetic beyond that, or beyond 32 bits for integers, gives empty.
//! - An unknown element name is an empty path, not an error.

use std::sync::atomic::{AtomicU64, Ordering};

use time::OffsetDateTime;

use super::tree::{Node, Tree};

mod equality;
mod eval;
mod expr;
mod item;
mod lex;
mod memo;
mod names;
mod parse;
mod temporal;

pub use eval::EvalError;
pub use expr::Step;
pub use item::{Collection, Item, Measure, Quantity, System, TypeName, Value};
pub use memo::Memo;
pub use temporal::{Date, DateTime, Precision, Time, Unit};

/// Why a text is no expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}, at byte {at}")]
pub struct ParseError {
    pub message: String,
    /// Byte of the text.
    pub at: usize,
}

/// A compiled expression.
#[derive(Debug)]
pub struct Expression {
    text: Box<str>,
    expr: expr::Expr,
    /// How many [`expr::Once`] it has.
    slots: usize,
    /// Its own, for [`Memo`].
    number: u64,
}

/// The next expression's number.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// What an expression may ask of its surroundings.
pub trait Hooks {
    /// `memberOf()`: whether the code, Coding or CodeableConcept is in the value set; `None`: not known.
    fn member_of(&self, _tree: &Tree<'_>, _item: &Item<'_>, _value_set: &str) -> Option<bool> {
        None
    }

    /// `conformsTo()`: whether the element conforms to the profile; `None`: not known.
    fn conforms_to(&self, _tree: &Tree<'_>, _node: Node, _profile: &str) -> Option<bool> {
        None
    }

    /// `trace()`
    fn trace(&self, _name: &str, _item: &Item<'_>) {}
}

/// What an expression is evaluated on, and what it may cost.
#[derive(Clone, Copy)]
pub struct Scope<'t, 'd> {
    pub tree: &'t Tree<'d>,
    /// `$this` and `%context`
    pub focus: Node,
    /// `%resource`
    pub resource: Node,
    /// `%rootResource`: what contains `resource`, or `resource` itself.
    pub root: Node,
    /// How many items may be looked at.
    pub budget: u64,
    /// `now()` and what derives from it; without it they are errors.
    pub now: Option<OffsetDateTime>,
    pub hooks: Option<&'t dyn Hooks>,
    /// `%name` for other names than the standard's.
    pub variables: &'t [(&'t str, Collection<'d>)],
    /// What other evaluations over the same tree have found out: for whoever evaluates many.
    pub memo: Option<&'t Memo>,
}

impl<'t, 'd> Scope<'t, 'd> {
    /// The scope of an element: `%resource` is the nearest resource, `%rootResource` the one that contains it. The
    /// budget is in proportion to the document.
    pub fn new(tree: &'t Tree<'d>, focus: Node) -> Self {
        let resource = tree.resource_of(focus);
        let is_contained = tree.field(resource).is_some_and(|field| &*field.name == "contained");
        let root = tree.parent(resource).filter(|_| is_contained).map_or(resource, |parent| tree.resource_of(parent));
        let budget = 10_000 + 256 * tree.len() as u64 + tree.doc().text().len() as u64;
        Self { tree, focus, resource, root, budget, now: None, hooks: None, variables: &[], memo: None }
    }

    /// The same with another focus in the same resource.
    #[must_use]
    pub const fn at(self, focus: Node) -> Self {
        Self { focus, ..self }
    }
}

impl Expression {
    /// Compiles an expression.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let (expr, slots) = parse::parse(text)?;
        Ok(Self { text: text.into(), expr, slots, number: NUMBER.fetch_add(1, Ordering::Relaxed) })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The items it gives.
    pub fn evaluate<'a>(&'a self, scope: &Scope<'_, 'a>) -> Result<Collection<'a>, EvalError> {
        eval::Machine::new(scope, self).evaluate(&self.expr)
    }

    /// What it says as a condition: `None` for nothing, a boolean as it is, `true` for any other single item
    /// (FHIRPath N1 section 4.5). Several items are an error.
    pub fn test(&self, scope: &Scope<'_, '_>) -> Result<Option<bool>, EvalError> {
        eval::Machine::new(scope, self).test(&self.expr)
    }

    /// The steps of a plain path such as a slicing discriminator; `None` for anything else.
    pub fn steps(&self) -> Option<Vec<Step>> {
        self.expr.steps()
    }
}

#[cfg(test)]
mod tests;
