//! Tokens (FHIR R4 search.html#token): what a value is found by.
//!
//! | element | system | code |
//! |---|---|---|
//! | Coding, CodeableConcept | that of the coding | its code |
//! | Identifier | its system | its value; `:of-type` by each coding of its type |
//! | ContactPoint | its own: `phone`; R4 names none, and asks without | its value |
//! | code | that of its required value set, and none | the code |
//! | boolean | special-values | `true`, `false` |
//! | id, string, uri and other primitives | none | the value |

use std::borrow::Cow;

use super::{EXACT, FOLDED, Finder, Found, MOST_MADE, Place};
use crate::fhir::{
    definition::structure::Strength,
    search::{
        TokenRow,
        fold::{cut, fold},
        token, token_of_type, token_present, token_system, token_value,
    },
    tree::Node,
};

/// The code system of true and false.
const BOOLEANS: &str = "http://terminology.hl7.org/CodeSystem/special-values";

/// Texts that are one to searches by a token: case matters, but not in e-mail addresses.
pub fn fold_token(text: &str) -> Cow<'_, str> {
    if text.contains('@') && text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

impl Finder<'_, '_> {
    /// The rows of an element, by its type: see the table above. Other types than those have their text.
    pub(super) fn token(&mut self, at: Place<'_>, node: Node) {
        match self.type_name(node) {
            "CodeableConcept" => {
                let tree = self.tree;
                for coding in tree.named(node, "coding") {
                    self.coding(at, coding);
                }
                self.token_text(at, &self.child_text(node, "text"));
            }
            "Coding" => self.coding(at, node),
            "Identifier" => self.identifier(at, node),
            "ContactPoint" => {
                let (system, value) = (self.child_text(node, "system"), self.child_text(node, "value"));
                // A system without a value is no way to reach anybody.
                if !value.is_empty() {
                    self.token_rows(at, &system, &value);
                }
            }
            "boolean" => match self.text(node).as_deref() {
                Some("true") => self.boolean(at, true),
                Some("false") => self.boolean(at, false),
                _ => {}
            },
            "code" => self.code(at, node),
            _ => {
                if let Some(value) = self.text(node) {
                    self.token_rows(at, "", &value);
                }
            }
        }
    }

    /// The rows of true or false.
    pub(super) fn boolean(&mut self, at: Place<'_>, is_so: bool) {
        self.token_rows(at, BOOLEANS, if is_so { "true" } else { "false" });
    }

    /// Of a code, the value set that it must be of tells the system.
    fn code(&mut self, at: Place<'_>, node: Node) {
        let Some(value) = self.text(node) else { return };
        self.token_rows(at, "", &value);
        let binding = self.tree.field(node).and_then(|field| field.binding.as_ref());
        let binding = binding.filter(|binding| binding.strength == Strength::Required);
        let set = binding.and_then(|binding| self.registry.expansion(binding.value_set.as_deref()?));
        if let Some(system) = set.as_deref().and_then(|set| set.system_of(&value)) {
            self.push_token(at, || token(at.id, system, &fold_token(&value)));
            self.push_token(at, || token_system(at.id, system));
        }
    }

    fn coding(&mut self, at: Place<'_>, node: Node) {
        self.token_rows(at, &self.child_text(node, "system"), &self.child_text(node, "code"));
        self.token_text(at, &self.child_text(node, "display"));
    }

    fn identifier(&mut self, at: Place<'_>, node: Node) {
        let value = self.child_text(node, "value");
        self.token_rows(at, &self.child_text(node, "system"), &value);
        let tree = self.tree;
        let Some(kind) = tree.child(node, "type") else { return };
        for coding in tree.named(kind, "coding").filter(|_| !value.is_empty()) {
            let (system, code) = (self.child_text(coding, "system"), self.child_text(coding, "code"));
            if !code.is_empty() {
                self.push_token(at, || token_of_type(at.id, &system, &code, &fold_token(&value)));
            }
        }
        self.token_text(at, &self.child_text(kind, "text"));
    }

    /// The ways to ask for a value: with its system, by itself, and for any value of the system.
    pub(super) fn token_rows(&mut self, at: Place<'_>, system: &str, value: &str) {
        let value = fold_token(value);
        self.token.any |= !(value.is_empty() && system.is_empty());
        if !value.is_empty() {
            self.push_token(at, || token(at.id, system, &value));
            self.push_token(at, || token_value(at.id, &value));
            least(&mut self.token.least_code, cut(&value, FOLDED));
        }
        if !system.is_empty() {
            self.push_token(at, || token_system(at.id, system));
        }
    }

    fn push_token(&mut self, at: Place<'_>, digest: impl FnOnce() -> super::super::Digest) {
        if self.rows.tokens.len() < MOST_MADE {
            self.rows.tokens.push(TokenRow { digest: digest(), slot: at.slot, sort: None });
        }
    }

    fn token_text(&mut self, at: Place<'_>, text: &str) {
        let folded = fold(text);
        if let (Some(parameter), false) = (at.of, folded.is_empty()) {
            self.token.any = true;
            least(&mut self.token.least_text, cut(&folded, FOLDED));
            let at = Place { id: parameter.text_id(), ..at };
            self.string_row(at, cut(&folded, FOLDED).to_owned(), cut(text, EXACT).to_owned());
        }
    }

    /// That there is a value; a concept that is only text is one. Forgets what has been found.
    pub(super) fn token_present(&mut self, at: Place<'_>) {
        let found = std::mem::take(&mut self.token);
        if found.any {
            // Whoever sorts has to find something to go by.
            let sort = found.least_code.or(found.least_text).unwrap_or_default();
            self.rows.tokens.push(TokenRow { digest: token_present(at.id), slot: 0, sort: Some(sort) });
        }
    }

    /// The token of a reference that names its target by an identifier.
    pub(super) fn identified(&mut self, at: Place<'_>, identifier: Node) {
        if let Some(parameter) = at.of {
            let at = Place { id: parameter.identifier_id(), of: None, ..at };
            self.token_rows(at, &self.child_text(identifier, "system"), &self.child_text(identifier, "value"));
            self.token = Found::default();
        }
    }
}

fn least(known: &mut Option<String>, text: &str) {
    if known.as_deref().is_none_or(|known| text < known) {
        *known = Some(text.to_owned());
    }
}
