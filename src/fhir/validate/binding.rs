//! Bindings (R4 terminologies.html#strength): a code outside a required set is an error, outside an extensible one a
//! warning; what cannot be known here, because its code system is not loaded, is said as information.

use std::borrow::Cow;

use super::{Run, report::Report};
use crate::fhir::{
    definition::{
        expansion::Membership,
        structure::{Binding, Strength},
        types::TypeId,
    },
    json::Ref,
    outcome::{Issue, IssueType},
    tree::{Node, Tree},
};

/// How many codes of one element a message names.
const NAMED: usize = 3;

/// One code as an element gives it.
pub(super) struct Code<'d> {
    node: Node,
    /// None for a primitive, whose system is the value set's; empty where a Coding lacks one, so that no system fits.
    pub system: Option<Cow<'d, str>>,
    pub code: Cow<'d, str>,
}

impl std::fmt::Display for Code<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.system {
            Some(system) if !system.is_empty() => write!(f, "{system}#{}", self.code),
            _ => write!(f, "'{}'", self.code),
        }
    }
}

impl Run<'_, '_, '_> {
    /// Checks an element against its binding.
    pub(super) fn binding(&mut self, node: Node, ty: TypeId, binding: &Binding) {
        let codes = codes(self.tree, node, ty);
        let is_concept = ty == self.tree.types().known.codeable_concept;
        if let Some(set) = &binding.max_value_set {
            self.within(node, &codes, set, Strength::Required, is_concept);
        }
        if let Some(set) = binding.value_set.as_ref().filter(|_| binding.strength >= Strength::Extensible) {
            self.within(node, &codes, set, binding.strength, is_concept);
        }
    }

    fn within(&mut self, node: Node, codes: &[Code<'_>], set: &str, strength: Strength, is_concept: bool) {
        let name = set.split_once('|').map_or(set, |(name, _)| name);
        let Some(expansion) = self.validator.registry.expansion(set) else {
            if !codes.is_empty() {
                let text = format!("the value set {name} is not loaded; not checked against it");
                inform(self.tree, node, &mut self.report, text);
            }
            return;
        };
        if codes.is_empty() {
            // Text alone is allowed where the set may be extended; an element without a value is none at all.
            if is_concept && strength == Strength::Required {
                let text = format!("expected a code of {name} (required)");
                self.report.error(self.tree, node, IssueType::CodeInvalid, text);
            }
            return;
        }
        let mut unknown = false;
        for code in codes {
            match expansion.contains(code.system.as_deref(), &code.code) {
                Membership::Member => return,
                Membership::NotMember => {}
                Membership::Unknown(_) => unknown = true,
            }
        }
        let mut found: Vec<_> = codes.iter().take(NAMED).map(ToString::to_string).collect();
        if codes.len() > NAMED {
            found.push("…".to_owned());
        }
        let found = found.join(", ");
        let at = if codes.len() == 1 { codes[0].node } else { node };
        if unknown {
            let text = format!("{found}: not checked against {name}, whose code systems are not all loaded");
            inform(self.tree, at, &mut self.report, text);
        } else if strength == Strength::Required {
            let text = format!("{found} is not in the value set {name} (required)");
            self.report.error(self.tree, at, IssueType::CodeInvalid, text);
        } else {
            let text = format!("{found} is not in the value set {name} (extensible): use one of its codes if one fits");
            self.report.warning(self.tree, at, IssueType::CodeInvalid, text);
        }
    }
}

/// The codes an element has: those of a CodeableConcept's codings, of a Coding, a Quantity, or a primitive.
pub(super) fn codes<'d>(tree: &Tree<'d>, node: Node, ty: TypeId) -> Vec<Code<'d>> {
    let known = &tree.types().known;
    if ty == known.codeable_concept {
        tree.named(node, "coding").filter_map(|coding| code(tree, coding)).collect()
    } else if tree.types().primitive(ty).is_some() {
        let code = tree.value(node).and_then(Ref::as_str);
        code.map(|code| Code { node, system: None, code }).into_iter().collect()
    } else {
        // Coding and Quantity alike have a system and a code.
        code(tree, node).into_iter().collect()
    }
}

fn code<'d>(tree: &Tree<'d>, node: Node) -> Option<Code<'d>> {
    Some(Code { node, system: Some(tree.str(node, "system").unwrap_or_default()), code: tree.str(node, "code")? })
}

fn inform(tree: &Tree<'_>, node: Node, report: &mut Report, text: String) {
    report.add(Issue::information(text).at(tree.path(node)));
}
