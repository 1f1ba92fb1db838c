//! What the index holds of a resource: its values under every search parameter of its type (FHIR R4 search.html).
//!
//! The values are found by the parameters' FHIRPath; what becomes of a value depends on the kind of the parameter and on
//! the type of the element. A value that cannot be indexed (a date that is none, a number beyond all measure) has no row;
//! that is never an error.

use std::borrow::Cow;

use super::{
    Parameter, Parameters, QuantityRow, ReferenceRow, Rows, StringRow, TimeRow, TokenRow,
    fold::{cut, fold},
    interval::interval,
    parameter_id, token, token_of_type, token_present, token_system, token_value,
};
use crate::fhir::{
    compartment,
    definition::{parameter::Kind, types::TypeId},
    path::{Collection, Expression, Item, Memo, Scope, Value},
    reference,
    resource::Resource,
    tree::{Node, Tree},
};

/// Longest folded text in the index, in characters: a B-tree entry has a limit.
pub(super) const FOLDED: usize = 200;
/// Longest text as it is.
pub(super) const EXACT: usize = 400;
/// Rows of one kind for one resource at most.
const MOST_ROWS: usize = 10_000;
/// Bytes of text for `_text` and `_content`.
const MOST_TEXT: usize = 256 * 1024;
/// The code system of true and false.
const BOOLEANS: &str = "http://terminology.hl7.org/CodeSystem/special-values";
/// The code system of currencies.
const CURRENCIES: &str = "urn:iso:std:iso:4217";

/// The number under which the index holds the patients that a resource belongs to (as [`ReferenceRow`]s to Patient).
pub fn patient_compartment() -> i32 {
    parameter_id("*", "compartment:Patient")
}

/// Texts that are one to searches by a token: case matters, but not in e-mail addresses.
pub fn fold_token(text: &str) -> Cow<'_, str> {
    if text.contains('@') && text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

impl Parameters {
    /// Everything that the index holds of `resource`, stored under `id` on the server at `base`.
    pub fn extract(&self, resource: &Resource, id: &str, base: &str) -> Rows {
        let tree = Tree::of_resource(resource.doc());
        let memo = Memo::default();
        let mut finder = Finder { tree: &tree, base, rows: Rows::default(), least: None };
        for parameter in self.of(resource.type_name()).filter(|parameter| parameter.has_rows()) {
            let first = parameter.first_elements();
            if !first.is_empty() && !first.iter().any(|name| tree.child(tree.root(), name).is_some()) {
                continue;
            }
            let found = items(&tree, &memo, parameter.expression(), tree.root());
            finder.parameter(parameter, &found, &memo);
        }
        for patient in compartment::patients(resource, id, base) {
            finder.reference_row(patient_compartment(), 0, "Patient", &patient);
        }
        finder.texts();
        let mut rows = finder.rows;
        settle(&mut rows);
        rows
    }
}

/// What an expression finds. One that cannot be evaluated on this document finds nothing.
fn items<'a>(tree: &Tree<'a>, memo: &Memo, expression: Option<&'a Expression>, focus: Node) -> Vec<Item<'a>> {
    let Some(expression) = expression else { return Vec::new() };
    let scope = Scope { memo: Some(memo), ..Scope::new(tree, tree.root()) }.at(focus);
    expression.evaluate(&scope).map(Collection::into_vec).unwrap_or_default()
}

struct Finder<'t, 'd> {
    tree: &'t Tree<'d>,
    base: &'t str,
    rows: Rows,
    /// The least code of the token parameter at hand.
    least: Option<String>,
}

impl<'d> Finder<'_, 'd> {
    fn parameter(&mut self, parameter: &Parameter, found: &[Item<'_>], memo: &Memo) {
        if parameter.kind != Kind::Composite {
            self.least = None;
            for item in found {
                match item {
                    Item::Element(node) => {
                        self.value(parameter.kind, parameter.id, 0, *node, Some(&parameter.code));
                    }
                    // `Patient.deceased.exists() and …`
                    Item::Value(Value::Boolean(is_so)) if parameter.kind == Kind::Token => {
                        self.token_rows(parameter.id, 0, BOOLEANS, if *is_so { "true" } else { "false" });
                    }
                    Item::Value(_) | Item::Target(_) | Item::Type(_) => {}
                }
            }
            if let (Kind::Token, Some(least)) = (parameter.kind, self.least.take()) {
                self.rows.tokens.push(TokenRow { digest: token_present(parameter.id), slot: 0, sort: Some(least) });
            }
            return;
        }
        for (slot, node) in (1_i16..).zip(found.iter().filter_map(Item::node)) {
            for part in &parameter.components {
                for value in items(self.tree, memo, part.expression(), node).iter().filter_map(Item::node) {
                    self.value(part.kind, part.id, slot, value, None);
                }
            }
        }
    }

    /// One value of one parameter; `code`: its texts and identifiers are indexed too.
    fn value(&mut self, kind: Kind, id: i32, slot: i16, node: Node, code: Option<&str>) {
        match kind {
            Kind::Token => self.token(id, slot, node, code),
            Kind::String => self.string(id, slot, node),
            Kind::Date => self.date(id, slot, node),
            Kind::Number | Kind::Quantity => self.quantity(id, slot, node),
            Kind::Reference => self.reference(id, slot, node, code),
            Kind::Uri => {
                if let Some(uri) = self.text(node) {
                    self.string_row(id, slot, cut(&uri, FOLDED * 4).to_owned(), &uri);
                }
            }
            Kind::Composite | Kind::Special => {}
        }
    }

    /// The element's type, by name.
    fn type_name(&self, node: Node) -> &'static str {
        self.tree.kind(node).map_or("", |kind| &kind.name)
    }

    fn text(&self, node: Node) -> Option<Cow<'d, str>> {
        let value = self.tree.value(node)?;
        Some(storable(value.as_str().unwrap_or(Cow::Borrowed(value.raw()))))
    }

    fn child_text(&self, node: Node, name: &str) -> Cow<'d, str> {
        storable(self.tree.str(node, name).unwrap_or_default())
    }

    // --- tokens

    fn token(&mut self, id: i32, slot: i16, node: Node, code: Option<&str>) {
        match self.type_name(node) {
            "CodeableConcept" => {
                let codings: Vec<_> = self.tree.named(node, "coding").collect();
                for coding in codings {
                    self.coding(id, slot, coding, code);
                }
                let text = self.child_text(node, "text");
                self.token_text(code, node, &text);
            }
            "Coding" => self.coding(id, slot, node, code),
            "Identifier" => self.identifier(id, slot, node, code),
            "ContactPoint" => {
                let (system, value) = (self.child_text(node, "system"), self.child_text(node, "value"));
                self.token_rows(id, slot, &system, &value);
            }
            "boolean" => {
                let value = self.text(node).unwrap_or_default();
                self.token_rows(id, slot, BOOLEANS, &value);
            }
            _ => {
                if let Some(value) = self.text(node) {
                    self.token_rows(id, slot, "", &value);
                }
            }
        }
    }

    fn coding(&mut self, id: i32, slot: i16, node: Node, code: Option<&str>) {
        let (system, value) = (self.child_text(node, "system"), self.child_text(node, "code"));
        self.token_rows(id, slot, &system, &value);
        let display = self.child_text(node, "display");
        self.token_text(code, node, &display);
    }

    fn identifier(&mut self, id: i32, slot: i16, node: Node, code: Option<&str>) {
        let (system, value) = (self.child_text(node, "system"), self.child_text(node, "value"));
        self.token_rows(id, slot, &system, &value);
        let Some(kind) = self.tree.child(node, "type") else { return };
        let codings: Vec<_> = self.tree.named(kind, "coding").collect();
        for coding in codings {
            let (system, of_type) = (self.child_text(coding, "system"), self.child_text(coding, "code"));
            if !value.is_empty() && !of_type.is_empty() {
                let digest = token_of_type(id, &system, &of_type, &fold_token(&value));
                self.rows.tokens.push(TokenRow { digest, slot, sort: None });
            }
        }
        let text = self.child_text(kind, "text");
        self.token_text(code, node, &text);
    }

    fn token_rows(&mut self, id: i32, slot: i16, system: &str, value: &str) {
        let value = fold_token(value);
        let row = |digest| TokenRow { digest, slot, sort: None };
        if !value.is_empty() {
            self.rows.tokens.extend([row(token(id, system, &value)), row(token_value(id, &value))]);
            let code = cut(&value, FOLDED);
            if self.least.as_deref().is_none_or(|least| code < least) {
                self.least = Some(code.to_owned());
            }
        }
        if !system.is_empty() {
            self.rows.tokens.push(row(token_system(id, system)));
        }
    }

    fn token_text(&mut self, code: Option<&str>, node: Node, text: &str) {
        if let (Some(code), false) = (code, text.is_empty()) {
            let type_name = self.type_name(self.tree.resource_of(node));
            let text_id = parameter_id(type_name, &format!("{code}:text"));
            let folded = fold(text);
            self.string_row(text_id, 0, cut(&folded, FOLDED).to_owned(), text);
        }
    }

    // --- strings

    fn string(&mut self, id: i32, slot: i16, node: Node) {
        let parts: &[&str] = match self.type_name(node) {
            "HumanName" => &["text", "family", "given", "prefix", "suffix"],
            "Address" => &["text", "line", "city", "district", "state", "postalCode", "country"],
            _ => {
                if let Some(text) = self.text(node) {
                    self.string_value(id, slot, &text);
                }
                return;
            }
        };
        let mut texts: Vec<Cow<'d, str>> = Vec::new();
        for part in parts {
            texts.extend(self.tree.named(node, part).filter_map(|part| self.text(part)));
        }
        for text in &texts {
            self.string_value(id, slot, text);
        }
    }

    fn string_value(&mut self, id: i32, slot: i16, text: &str) {
        let folded = fold(text);
        if !folded.is_empty() {
            self.string_row(id, slot, cut(&folded, FOLDED).to_owned(), text);
        }
    }

    fn string_row(&mut self, parameter: i32, slot: i16, folded: String, exact: &str) {
        let exact = cut(exact, EXACT).to_owned();
        self.rows.strings.push(StringRow { parameter, slot, folded, exact, is_least: false, is_greatest: false });
    }

    // --- dates

    fn date(&mut self, id: i32, slot: i16, node: Node) {
        let range = match self.type_name(node) {
            "Period" => self.period(node),
            "Timing" => self.timing(node),
            _ => self.text(node).and_then(|text| interval(&text)),
        };
        if let Some((low, high)) = range {
            let row = TimeRow { parameter: id, slot, low, high, is_least: false, is_greatest: false };
            self.rows.times.push(row);
        }
    }

    /// An end that is not given is open.
    fn period(&self, node: Node) -> Option<(i64, i64)> {
        let end = |name| self.tree.child(node, name).map(|end| self.text(end).and_then(|text| interval(&text)));
        let (start, end) = (end("start"), end("end"));
        if start.is_none() && end.is_none() {
            return None;
        }
        let low = start.map_or(Some(i64::MIN), |start| start.map(|(low, _)| low))?;
        let high = end.map_or(Some(i64::MAX), |end| end.map(|(_, high)| high))?;
        Some((low, high))
    }

    /// From its first to its last moment.
    fn timing(&self, node: Node) -> Option<(i64, i64)> {
        let events =
            self.tree.named(node, "event").filter_map(|event| self.text(event).and_then(|text| interval(&text)));
        let bounds = self.tree.child(node, "repeat").and_then(|repeat| self.tree.child(repeat, "bounds"));
        let bounds = bounds.filter(|bounds| self.type_name(*bounds) == "Period").and_then(|bounds| self.period(bounds));
        events.chain(bounds).reduce(|(low, high), (start, end)| (low.min(start), high.max(end)))
    }

    // --- numbers and quantities

    fn quantity(&mut self, id: i32, slot: i16, node: Node) {
        let decimal = |node: Option<Node>| node.and_then(|node| self.text(node)).filter(|text| is_measurable(text));
        let value = |node: Node| decimal(self.tree.child(node, "value"));
        let (low, high, of) = match self.type_name(node) {
            "Range" => {
                let (low, high) = (self.tree.child(node, "low"), self.tree.child(node, "high"));
                (low.and_then(value), high.and_then(value), low.or(high))
            }
            "Money" => (value(node), value(node), None),
            "integer" | "decimal" | "positiveInt" | "unsignedInt" => (decimal(Some(node)), decimal(Some(node)), None),
            _ => {
                let number = value(node);
                let (low, high) = match &*self.child_text(node, "comparator") {
                    "<" | "<=" => (None, number),
                    ">" | ">=" => (number, None),
                    _ => (number.clone(), number),
                };
                (low, high, Some(node))
            }
        };
        if low.is_none() && high.is_none() {
            return;
        }
        let text = |name: &str| of.map(|of| self.child_text(of, name).into_owned()).unwrap_or_default();
        let (mut system, mut code) = (text("system"), text("code"));
        let unit = text("unit");
        if self.type_name(node) == "Money" {
            (system, code) = (CURRENCIES.to_owned(), self.child_text(node, "currency").into_owned());
        }
        let limit = |text: String| cut(&text, FOLDED).to_owned();
        self.rows.quantities.push(QuantityRow {
            parameter: id,
            slot,
            low: low.map(Cow::into_owned),
            high: high.map(Cow::into_owned),
            system: limit(system),
            code: limit(code),
            unit: limit(unit),
            is_least: false,
            is_greatest: false,
        });
    }

    // --- references

    fn reference(&mut self, id: i32, slot: i16, node: Node, code: Option<&str>) {
        if self.type_name(node) != "Reference" {
            if let Some(url) = self.text(node) {
                self.canonical(id, slot, &url);
            }
            return;
        }
        if let (Some(code), Some(identifier)) = (code, self.tree.child(node, "identifier")) {
            let type_name = self.type_name(self.tree.resource_of(node));
            let (system, value) = (self.child_text(identifier, "system"), self.child_text(identifier, "value"));
            let of_identifier = parameter_id(type_name, &format!("{code}:identifier"));
            self.token_rows(of_identifier, 0, &system, &value);
        }
        let text = self.child_text(node, "reference");
        if text.is_empty() || text.starts_with('#') {
            return;
        }
        match reference::local(&text, self.base) {
            Some((kind, target)) => self.reference_row(id, slot, &kind, &target),
            None => self.reference_row(id, slot, "", &text),
        }
    }

    /// A canonical may name a version; without it, any is meant.
    fn canonical(&mut self, id: i32, slot: i16, url: &str) {
        if let Some((kind, target)) = reference::local(url, self.base) {
            self.reference_row(id, slot, &kind, &target);
            return;
        }
        self.reference_row(id, slot, "", url);
        if let Some((plain, _)) = url.split_once('|') {
            self.reference_row(id, slot, "", plain);
        }
    }

    fn reference_row(&mut self, parameter: i32, slot: i16, kind: &str, target: &str) {
        let (target_type, target_id) = (kind.to_owned(), cut(target, EXACT).to_owned());
        self.rows.references.push(ReferenceRow { parameter, slot, target_type, target_id });
    }

    // --- words

    fn texts(&mut self) {
        let root = self.tree.root();
        let div = self.tree.child(root, "text").and_then(|text| self.tree.str(text, "div")).unwrap_or_default();
        let narrative = fold(cut_bytes(&without_markup(&div), MOST_TEXT));
        let mut content = narrative.clone();
        let types = self.tree.types();
        let names = ["string", "markdown"].map(|name| types.named(name));
        let is_text = |ty: Option<TypeId>| ty.is_some() && names.contains(&ty);
        let mut open = vec![root];
        while let Some(node) = open.pop() {
            if is_text(self.tree.ty(node)) && content.len() < MOST_TEXT {
                if let Some(text) = self.text(node) {
                    content.push(' ');
                    content.push_str(&fold(cut_bytes(&text, MOST_TEXT - content.len().min(MOST_TEXT))));
                }
                continue;
            }
            open.extend(self.tree.children(node));
        }
        self.rows.narrative = narrative;
        self.rows.content = content;
    }
}

/// Postgres keeps no NUL in a text.
fn storable(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "")) } else { text }
}

/// Whether Postgres takes the number: no exponent beyond reason.
fn is_measurable(text: &str) -> bool {
    let exponent = text.split_once(['e', 'E']).map_or(Some(0), |(_, exponent)| exponent.parse::<i32>().ok());
    text.len() <= 1000 && exponent.is_some_and(|exponent| exponent.unsigned_abs() <= 1000)
}

fn cut_bytes(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The text of a narrative: its tags become spaces; the few entities that XML knows are read.
fn without_markup(div: &str) -> String {
    let mut text = String::with_capacity(div.len());
    let mut in_tag = false;
    for char in div.chars() {
        match char {
            '<' => {
                in_tag = true;
                text.push(' ');
            }
            '>' if in_tag => in_tag = false,
            char if !in_tag => text.push(char),
            _ => {}
        }
    }
    for (entity, char) in
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#160;", " "), ("&amp;", "&")]
    {
        if text.contains(entity) {
            text = text.replace(entity, char);
        }
    }
    text
}

/// No row twice; the least and the greatest of each parameter marked.
fn settle(rows: &mut Rows) {
    unique(&mut rows.tokens);
    unique(&mut rows.strings);
    unique(&mut rows.times);
    unique(&mut rows.quantities);
    unique(&mut rows.references);
    mark(
        &mut rows.strings,
        |row| (row.parameter, row.slot),
        |a, b| a.folded.cmp(&b.folded),
        |a, b| a.folded.cmp(&b.folded),
        |row, least, greatest| {
            row.is_least = least;
            row.is_greatest = greatest;
        },
    );
    mark(
        &mut rows.times,
        |row| (row.parameter, row.slot),
        |a, b| a.low.cmp(&b.low),
        |a, b| a.high.cmp(&b.high),
        |row, least, greatest| {
            row.is_least = least;
            row.is_greatest = greatest;
        },
    );
    let number =
        |text: &Option<String>, open: f64| text.as_ref().and_then(|text| text.parse::<f64>().ok()).unwrap_or(open);
    mark(
        &mut rows.quantities,
        |row| (row.parameter, row.slot),
        |a, b| number(&a.low, f64::NEG_INFINITY).total_cmp(&number(&b.low, f64::NEG_INFINITY)),
        |a, b| number(&a.high, f64::INFINITY).total_cmp(&number(&b.high, f64::INFINITY)),
        |row, least, greatest| {
            row.is_least = least;
            row.is_greatest = greatest;
        },
    );
}

fn unique<R: Clone + Eq + std::hash::Hash>(rows: &mut Vec<R>) {
    let mut seen = std::collections::HashSet::with_capacity(rows.len());
    rows.retain(|row| seen.insert(row.clone()));
    rows.truncate(MOST_ROWS);
}

/// Marks one least and one greatest row of each parameter (slot 0 only: composites are not sorted by).
fn mark<R>(
    rows: &mut [R],
    group: impl Fn(&R) -> (i32, i16),
    by_low: impl Fn(&R, &R) -> std::cmp::Ordering,
    by_high: impl Fn(&R, &R) -> std::cmp::Ordering,
    set: impl Fn(&mut R, bool, bool),
) {
    let mut ends: std::collections::HashMap<i32, (usize, usize)> = std::collections::HashMap::new();
    for (at, row) in rows.iter().enumerate() {
        let (parameter, slot) = group(row);
        if slot != 0 {
            continue;
        }
        let (least, greatest) = ends.entry(parameter).or_insert((at, at));
        if by_low(row, &rows[*least]).is_lt() {
            *least = at;
        }
        if by_high(row, &rows[*greatest]).is_gt() {
            *greatest = at;
        }
    }
    for (least, greatest) in ends.into_values() {
        if least == greatest {
            set(&mut rows[least], true, true);
        } else {
            set(&mut rows[least], true, false);
            set(&mut rows[greatest], false, true);
        }
    }
}
