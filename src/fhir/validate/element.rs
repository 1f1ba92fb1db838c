//! The walk of R4's own rules over a document: cardinality, primitives, bindings, references, invariants.

use std::sync::Arc;

use super::{Run, invariant::Invariant, primitive};
use crate::fhir::{
    definition::types::{FieldId, Primitive, TypeId},
    json::Ref,
    outcome::{Issue, IssueType},
    tree::Node,
    xhtml,
};

impl Run<'_, '_, '_> {
    /// Checks a resource against R4, then against the profiles that apply to it.
    pub(super) fn resource(&mut self, node: Node) {
        let Some(ty) = self.tree.ty(node) else { return };
        self.complex(node, ty);
        if self.tree.types().is_a(ty, self.tree.types().known.domain_resource) {
            self.contained_are_used(node);
        }
        if ty == self.tree.types().known.bundle {
            let tree = self.tree;
            tree.named(node, "entry").for_each(|entry| self.entry(entry));
        }
        self.profiles_of(node, ty);
    }

    /// Checks what is inside an element of type `ty`.
    fn complex(&mut self, node: Node, ty: TypeId) {
        let (tree, types) = (self.tree, self.tree.types());
        let plan = self.validator.plan.ty(ty);
        for field in &plan.required {
            let element = &*types.field(*field).element;
            if tree.child(node, element).is_none() {
                let text = format!("{}.{element} is required", types.ty(ty).name);
                let issue = Issue::error(IssueType::Required, text);
                self.report.add(issue.at(tree.path_to(node, element)));
            }
        }
        self.invariants(node, &plan.invariants);
        let mut list: Option<(FieldId, u32)> = None;
        for child in tree.children(node) {
            let Some(field) = tree.field_id(child) else { continue };
            let count = match list {
                Some((known, count)) if known == field => count + 1,
                _ => 1,
            };
            list = Some((field, count));
            self.child(child, field, count);
        }
        if ty == types.known.extension {
            self.extension(node);
        }
    }

    /// Evaluates invariants at an element.
    pub(super) fn invariants(&mut self, node: Node, invariants: &[Arc<Invariant>]) {
        if invariants.is_empty() {
            return;
        }
        let scope = self.scope(node);
        for invariant in invariants {
            invariant.check(&scope, &mut self.report);
        }
    }

    /// Checks one element as the `count`th of its field.
    fn child(&mut self, node: Node, field: FieldId, count: u32) {
        let (tree, types) = (self.tree, self.tree.types());
        let described = types.field(field);
        if described.ty == types.known.resource {
            return self.resource(node);
        }
        let plan = self.validator.plan.field(field);
        if plan.most.is_some_and(|most| count == most.saturating_add(1)) {
            let text = format!("{} may stand at most {} times", described.element, described.max);
            self.report.error(tree, node, IssueType::Structure, text);
        }
        let primitive = types.primitive(described.ty);
        let has_value = primitive.is_some_and(|primitive| self.primitive(node, primitive, plan.is_id));
        if !has_value {
            self.has_content(node, field);
        }
        if tree.children(node).next().is_some() {
            self.complex(node, described.ty);
        }
        if described.ty == types.known.reference {
            self.reference(node, &plan.targets);
        }
        if let Some(binding) = &plan.binding {
            self.binding(node, described.ty, binding);
        }
        self.invariants(node, &plan.invariants);
        self.length(node, described.max_length);
        if !described.profiles.is_empty() {
            self.any_profile(node, &described.profiles);
        }
    }

    /// ele-1: an element has a value or children, its `id` aside. What is empty altogether was noted with the shape.
    fn has_content(&mut self, node: Node, field: FieldId) {
        let tree = self.tree;
        let mut children = tree.children(node).peekable();
        if children.peek().is_none() {
            return;
        }
        let is_id = |child: Node| tree.field_id(child).is_some_and(|field| self.validator.plan.field(field).is_id);
        if children.all(is_id) && tree.types().field(field).ty != tree.types().known.resource {
            self.report.error(
                tree,
                node,
                IssueType::Invariant,
                "ele-1: All FHIR elements must have a @value or children",
            );
        }
    }

    /// Checks a primitive's value; whether there is one.
    fn primitive(&mut self, node: Node, primitive: Primitive, is_id: bool) -> bool {
        let tree = self.tree;
        let Some(value) = tree.value(node) else { return false };
        if let Err(expected) = primitive::check(primitive, value) {
            let text = format!("{} is no {}: expected {expected}", shortened(value.raw()), self.name_of(node));
            self.report.error(tree, node, IssueType::Value, text);
        } else if primitive == Primitive::Xhtml {
            self.narrative(node, value);
        } else if is_id && value.raw().contains(char::is_whitespace) {
            self.report.error(tree, node, IssueType::Value, "an id has no white space (R4 element.html)");
        }
        true
    }

    fn name_of(&self, node: Node) -> &'static str {
        self.tree.kind(node).map_or("value", |ty| &ty.name)
    }

    fn narrative(&mut self, node: Node, value: Ref<'_>) {
        let text = match xhtml::check(&value.as_str().unwrap_or_default()) {
            Ok(()) => return,
            Err(xhtml::Wrong::Empty) => "txt-2: The narrative SHALL have some non-whitespace content".to_owned(),
            Err(xhtml::Wrong::Content(what)) => format!(
                "txt-1: The narrative SHALL contain only the basic html formatting elements and attributes described in \
                 narrative.html: {what}"
            ),
        };
        self.report.error(self.tree, node, IssueType::Invariant, text);
    }

    fn length(&mut self, node: Node, most: Option<u32>) {
        let Some(most) = most else { return };
        let value = self.tree.value(node).and_then(Ref::as_str).unwrap_or_default();
        let count = value.chars().count();
        if count > most as usize {
            let text = format!("expected at most {most} characters, found {count}");
            self.report.error(self.tree, node, IssueType::TooLong, text);
        }
    }

    /// Checks an extension: ext-1, its `url`, and its definition where that is loaded. A modifier extension whose
    /// definition is not known could change what the element means, so it is refused (R4 extensibility.html#modifierExtension).
    fn extension(&mut self, node: Node) {
        let tree = self.tree;
        let has = |name: &str| tree.child(node, name).is_some();
        if has("extension") == has("value") {
            let text = "ext-1: Must have either extensions or value[x], not both";
            self.report.error(tree, node, IssueType::Invariant, text);
        }
        let Some(url) = tree.str(node, "url") else { return };
        let is_modifier = tree.field(node).is_some_and(|field| &*field.element == "modifierExtension");
        let is_nested = tree.parent(node).and_then(|parent| tree.ty(parent)) == Some(tree.types().known.extension);
        let is_absolute = url.contains(':');
        if !is_absolute {
            if !is_nested {
                let text = format!("the extension's url '{url}' is not absolute");
                self.report.error(tree, node, IssueType::Extension, text);
            }
            return;
        }
        match self.validator.profile(&url) {
            Some(profile) => {
                self.context_of(node, &profile);
                self.conform(node, &profile);
            }
            None if is_modifier => {
                let text =
                    format!("the modifier extension {url} is not known here, so the element cannot be understood");
                self.report.error(tree, node, IssueType::Extension, text);
            }
            None => {}
        }
    }
}

/// A value for a message.
fn shortened(raw: &str) -> String {
    const MOST: usize = 60;
    match raw.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &raw[..at]),
        None => raw.to_owned(),
    }
}
