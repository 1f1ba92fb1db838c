//! What the index holds of a resource: its values under every search parameter of its type (FHIR R4 search.html).
//!
//! The values are found by the parameters' FHIRPath; what becomes of a value depends on the kind of the parameter and on
//! the type of the element. A value that cannot be indexed (a date that is none, a number beyond all measure) has no row;
//! that is never an error.

mod settle;
#[cfg(test)]
mod tests;
mod token;
mod value;
mod words;

use std::borrow::Cow;

use super::{Parameter, Parameters, ReferenceRow, Rows, StringRow, parameter_id};
use crate::fhir::{
    compartment,
    definition::{parameter::Kind, registry::Registry},
    json,
    path::{Collection, Expression, Item, Memo, Scope, Value},
    resource::Resource,
    tree::{Node, Tree},
};

pub use token::fold_token;

/// Longest folded text in the index, in characters: a B-tree entry has a limit.
pub(super) const FOLDED: usize = 200;
/// Longest text as it is.
pub(super) const EXACT: usize = 400;
/// Rows of one kind for one resource at most. What says that there is a value, and whom the resource belongs to, is not
/// counted.
const MOST_ROWS: usize = 10_000;
/// Rows that are made, some of them twice, before the index is full.
const MOST_MADE: usize = 8 * MOST_ROWS;

/// The number under which the index holds the patients that a resource belongs to (as [`ReferenceRow`]s to Patient).
pub fn patient_compartment() -> i32 {
    parameter_id("*", "compartment:Patient")
}

impl Parameters {
    /// Everything that the index holds of `resource`, stored under `id` on the server at `base`.
    pub fn extract(&self, resource: &Resource, id: &str, base: &str) -> Rows {
        let tree = Tree::of_resource(resource.doc());
        let memo = Memo::default();
        let (root, registry) = (tree.root(), self.registry());
        let mut finder = Finder { tree: &tree, base, registry, rows: Rows::default(), token: Found::default() };
        for parameter in self.of(resource.type_name()).filter(|parameter| parameter.has_rows()) {
            let first = parameter.first_elements();
            if first.is_empty() || first.iter().any(|name| tree.child(root, name).is_some()) {
                finder.parameter(parameter, &items(&tree, &memo, parameter.expression(), root), &memo);
            }
        }
        finder.words();
        let mut rows = finder.rows;
        settle::settle(&mut rows);
        let mut patients = compartment::patients(resource, id, base);
        patients.sort_unstable();
        patients.dedup();
        let (parameter, slot) = (patient_compartment(), 0);
        let member = |target_id| ReferenceRow { parameter, slot, target_type: "Patient".to_owned(), target_id };
        rows.references.extend(patients.into_iter().map(member));
        rows
    }
}

/// What an expression finds. One that cannot be evaluated on this document finds nothing.
fn items<'a>(tree: &Tree<'a>, memo: &Memo, expression: Option<&'a Expression>, focus: Node) -> Vec<Item<'a>> {
    let Some(expression) = expression else { return Vec::new() };
    let scope = Scope { memo: Some(memo), ..Scope::new(tree, tree.root()) }.at(focus);
    expression.evaluate(&scope).map(Collection::into_vec).unwrap_or_default()
}

/// Under which number a value stands.
#[derive(Clone, Copy)]
struct Place<'p> {
    id: i32,
    slot: i16,
    /// Whose texts and identifiers are indexed, too; not those of a composite's parts.
    of: Option<&'p Parameter>,
}

/// What has been found of one token parameter.
#[derive(Default)]
struct Found {
    any: bool,
    least_code: Option<String>,
    least_text: Option<String>,
}

struct Finder<'t, 'd> {
    tree: &'t Tree<'d>,
    base: &'t str,
    registry: &'t Registry,
    rows: Rows,
    token: Found,
}

impl<'d> Finder<'_, 'd> {
    fn parameter(&mut self, parameter: &Parameter, found: &[Item<'_>], memo: &Memo) {
        if parameter.kind == Kind::Composite {
            for (slot, node) in (1..i16::MAX).zip(found.iter().filter_map(Item::node)) {
                for part in &parameter.components {
                    let place = Place { id: part.id, slot, of: None };
                    for item in items(self.tree, memo, part.expression(), node) {
                        self.item(part.kind, place, &item);
                    }
                }
            }
            self.token = Found::default();
            return;
        }
        let place = Place { id: parameter.id, slot: 0, of: Some(parameter) };
        for item in found {
            self.item(parameter.kind, place, item);
        }
        if parameter.kind == Kind::Token {
            self.token_present(place);
        }
    }

    fn item(&mut self, kind: Kind, at: Place<'_>, item: &Item<'_>) {
        match item {
            Item::Element(node) => self.element(kind, at, *node),
            Item::Value(value) => self.computed(kind, at, value),
            Item::Target(_) | Item::Type(_) => {}
        }
    }

    fn element(&mut self, kind: Kind, at: Place<'_>, node: Node) {
        match kind {
            Kind::Token => self.token(at, node),
            Kind::String => self.string(at, node),
            Kind::Date => self.date(at, node),
            Kind::Number | Kind::Quantity => self.quantity(at, node),
            Kind::Reference => self.reference(at, node),
            Kind::Uri => self.uri(at, node),
            Kind::Composite | Kind::Special => {}
        }
    }

    /// `Patient.deceased.exists() and …`, and whatever an operator's expression computes.
    fn computed(&mut self, kind: Kind, at: Place<'_>, value: &Value<'_>) {
        let text: Cow<'_, str> = match value {
            Value::Boolean(is_so) if kind == Kind::Token => return self.boolean(at, *is_so),
            // JSON has no NUL here, an expression may; Postgres keeps none.
            Value::String(text) => text.replace('\0', "").into(),
            Value::Integer(number) => number.to_string().into(),
            Value::Decimal(number) => number.to_string().into(),
            Value::Date(date) => date.to_string().into(),
            Value::DateTime(date) => date.to_string().into(),
            Value::Boolean(_) | Value::Time(_) | Value::Quantity(_) => return,
        };
        match kind {
            Kind::Token => self.token_rows(at, "", &text),
            Kind::String => self.string_value(at, &text),
            Kind::Date => self.moment(at, &text),
            Kind::Number | Kind::Quantity => self.number(at, &text),
            Kind::Uri => self.uri_value(at, &text),
            Kind::Reference | Kind::Composite | Kind::Special => {}
        }
    }

    /// The element's type, by name.
    fn type_name(&self, node: Node) -> &'static str {
        self.tree.kind(node).map_or("", |kind| &kind.name)
    }

    /// The value of a primitive.
    fn text(&self, node: Node) -> Option<Cow<'d, str>> {
        let value = self.tree.value(node)?;
        match value.kind() {
            json::Kind::Object | json::Kind::Array => None,
            _ => Some(value.as_str().unwrap_or(Cow::Borrowed(value.raw()))),
        }
    }

    fn child_text(&self, node: Node, name: &str) -> Cow<'d, str> {
        self.tree.str(node, name).unwrap_or_default()
    }

    fn string_row(&mut self, at: Place<'_>, folded: String, exact: String) {
        if self.rows.strings.len() < MOST_MADE {
            let Place { id: parameter, slot, .. } = at;
            let row = StringRow { parameter, slot, folded, exact, is_least: false, is_greatest: false };
            self.rows.strings.push(row);
        }
    }
}
