//! References (R4 references.html): what a Reference leads to, as far as the document itself can tell, and whether its
//! element allows that type.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use super::Run;
use crate::fhir::{
    definition::types::TypeId,
    json::Ref,
    outcome::IssueType,
    tree::{Node, Tree},
};

/// What a reference leads to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub ty: TypeId,
    /// The resource itself, where the document holds it.
    pub node: Option<Node>,
}

/// What can be referred to inside one document.
#[derive(Default)]
pub(super) struct Inside<'d> {
    /// Bundle entries by `fullUrl`.
    entries: HashMap<Cow<'d, str>, Node>,
    /// Contained resources by the resource that holds them and their `id`.
    contained: HashMap<Node, HashMap<Cow<'d, str>, Node>>,
}

impl<'d> Inside<'d> {
    /// Looks through the whole document once.
    pub fn of(tree: &Tree<'d>) -> Self {
        let mut inside = Self::default();
        inside.look(tree, tree.root());
        inside
    }

    fn look(&mut self, tree: &Tree<'d>, resource: Node) {
        let known = &tree.types().known;
        let Some(ty) = tree.ty(resource) else { return };
        if ty == known.bundle {
            for entry in tree.named(resource, "entry") {
                let Some(held) = tree.child(entry, "resource") else { continue };
                if let Some(url) = tree.str(entry, "fullUrl") {
                    self.entries.insert(url, held);
                }
                self.look(tree, held);
            }
        } else if &*tree.types().ty(ty).name == "Parameters" {
            self.look_into_parameters(tree, resource);
        } else {
            let mut contained = tree.named(resource, "contained").peekable();
            if contained.peek().is_some() {
                let by_id = contained.filter_map(|one| Some((tree.str(one, "id")?, one))).collect();
                self.contained.insert(resource, by_id);
            }
        }
    }

    /// `Parameters.parameter`, and `part` as deep as the document goes.
    fn look_into_parameters(&mut self, tree: &Tree<'d>, resource: Node) {
        let mut open: Vec<_> = tree.named(resource, "parameter").collect();
        while let Some(parameter) = open.pop() {
            if let Some(held) = tree.child(parameter, "resource") {
                self.look(tree, held);
            }
            open.extend(tree.named(parameter, "part"));
        }
    }

    /// What `#id` leads to in the resource that holds it.
    pub fn contained(&self, holder: Node, id: &str) -> Option<Node> {
        self.contained.get(&holder).and_then(|by_id| by_id.get(id)).copied()
    }

    /// The ids of the contained resources of `holder`.
    pub fn contained_in(&self, holder: Node) -> Option<&HashMap<Cow<'d, str>, Node>> {
        self.contained.get(&holder)
    }
}

impl Run<'_, '_, '_> {
    /// Checks a Reference: ref-1, its `type`, and the type of what it leads to.
    pub(super) fn reference(&mut self, node: Node, allowed: &[TypeId]) {
        let tree = self.tree;
        let text = tree.str(node, "reference");
        if let Some(id) = text.as_deref().and_then(|text| text.strip_prefix('#')) {
            let holder = self.container(node);
            if !id.is_empty() && self.inside.contained(holder, id).is_none() {
                let text = format!(
                    "ref-1: SHALL have a contained resource if a local reference is provided: there is no contained resource '{id}'"
                );
                self.report.error(tree, node, IssueType::Invariant, text);
                return;
            }
        }
        if text.as_deref().is_some_and(|text| text.contains(char::is_whitespace)) {
            let text = "expected the reference to be a URL, which has no white space (R4 references.html#literal)";
            self.report.error(tree, node, IssueType::Value, text);
            return;
        }
        self.type_is_relative(node);
        let target = text.as_deref().and_then(|text| self.target(node, text));
        let named = self.named_target(node);
        if let (Some(target), Some(named)) = (target, named)
            && target.ty != named.ty
        {
            let found = &tree.types().ty(target.ty).name;
            let text =
                format!("the reference leads to a {found}, but its type says {}", tree.types().ty(named.ty).name);
            self.report.error(tree, node, IssueType::Structure, text);
        }
        let Some(Target { ty, .. }) = target.or(named) else { return };
        if !allowed.is_empty() && !allowed.iter().any(|one| tree.types().is_a(ty, *one)) {
            let names: Vec<_> = allowed.iter().map(|ty| &*tree.types().ty(*ty).name).collect();
            let text = format!("expected a reference to {}, not to {}", names.join(" or "), tree.types().ty(ty).name);
            self.report.error(tree, node, IssueType::Structure, text);
        }
    }

    /// `Reference.type` is relative to R4's own definitions: absolute URLs are for references in logical models, not in
    /// resources (R4 references.html#Reference).
    fn type_is_relative(&mut self, node: Node) {
        let tree = self.tree;
        let Some(at) = tree.child(node, "type") else { return };
        if tree.str(node, "type").is_some_and(|name| name.contains(':')) {
            self.report.error(tree, at, IssueType::Value, "expected the name of a resource type, not an absolute URL");
        }
    }

    /// The resource whose contained resources `#` references look into: the outermost one around `node` that is not itself
    /// contained.
    pub(super) fn container(&self, node: Node) -> Node {
        let mut resource = self.tree.resource_of(node);
        while self.tree.field(resource).is_some_and(|field| &*field.element == "contained")
            && let Some(parent) = self.tree.parent(resource)
        {
            resource = self.tree.resource_of(parent);
        }
        resource
    }

    /// What `Reference.type` says that it leads to.
    pub(super) fn named_target(&self, node: Node) -> Option<Target> {
        let ty = self.tree.types().resource(&self.tree.str(node, "type")?)?;
        Some(Target { ty, node: None })
    }

    /// What a literal reference leads to; `None` where only another server could tell.
    pub(super) fn target(&self, node: Node, reference: &str) -> Option<Target> {
        if let Some(id) = reference.strip_prefix('#') {
            let holder = self.container(node);
            let found = if id.is_empty() { holder } else { self.inside.contained(holder, id)? };
            return Some(Target { ty: self.tree.ty(found)?, node: Some(found) });
        }
        let plain = reference.split_once('#').map_or(reference, |(plain, _)| plain);
        let entry = self.inside.entries.get(plain).or_else(|| {
            // A relative reference is meant from the entry's own base (R4 bundle.html#references).
            let base = self.base(node)?;
            self.inside.entries.get(format!("{base}{plain}").as_str())
        });
        if let Some(found) = entry {
            return Some(Target { ty: self.tree.ty(*found)?, node: Some(*found) });
        }
        let ty = self.type_in(plain)?;
        Some(Target { ty, node: None })
    }

    /// The base of the entry that holds `node`, with its slash: `http://example.org/fhir/`.
    fn base(&self, node: Node) -> Option<String> {
        let entry = self.tree.parent(self.container(node))?;
        let url = self.tree.str(entry, "fullUrl")?;
        let (kind, _) = url.rsplit_once('/')?;
        let (base, _) = kind.rsplit_once('/')?;
        url.starts_with("http").then(|| format!("{base}/"))
    }

    /// The type a literal reference names: `Patient/1`, `http://h/fhir/Patient/1/_history/2`, `Patient?identifier=x`.
    fn type_in(&self, reference: &str) -> Option<TypeId> {
        let types = self.tree.types();
        if let Some((name, _)) = reference.split_once('?') {
            return types.resource(name);
        }
        let is_relative = !reference.contains(':');
        if !is_relative && !reference.starts_with("http://") && !reference.starts_with("https://") {
            return None;
        }
        let plain = reference.split_once("/_history/").map_or(reference, |(plain, _)| plain);
        let (rest, _) = plain.rsplit_once('/')?;
        types.resource(rest.rsplit_once('/').map_or(rest, |(_, name)| name))
    }

    /// Contained resources and what contains them share one space of ids (R4 references.html#contained).
    fn contained_ids_differ(&mut self, resource: Node) {
        let tree = self.tree;
        let mut known = HashSet::new();
        for id in tree.named(resource, "contained").filter_map(|one| tree.child(one, "id")) {
            let Some(text) = tree.value(id).and_then(Ref::as_str) else { continue };
            if known.contains(&text) {
                let text = format!("another contained resource has the id '{text}'");
                self.report.error(tree, id, IssueType::Structure, text);
            } else {
                known.insert(text);
            }
        }
    }

    /// dom-3: each contained resource is referred to from elsewhere in the resource, or refers to it. One walk over
    /// the resource, whatever it contains.
    pub(super) fn contained_are_used(&mut self, resource: Node) {
        self.contained_ids_differ(resource);
        let Some(contained) = self.inside.contained_in(resource) else { return };
        let tree = self.tree;
        let mut used: HashSet<String> = HashSet::new();
        let mut refers: HashSet<Node> = HashSet::new();
        let mut open = vec![(resource, None)];
        while let Some((node, within)) = open.pop() {
            let within = match tree.field(node) {
                Some(field) if &*field.element == "contained" && tree.parent(node) == Some(resource) => Some(node),
                _ => within,
            };
            if let Some(text) = link(tree, node) {
                match (text.strip_prefix('#'), within) {
                    (Some(""), Some(one)) => {
                        refers.insert(one);
                    }
                    (Some(id), _) => {
                        used.insert(id.to_owned());
                    }
                    (None, _) => {}
                }
            }
            open.extend(tree.children(node).map(|child| (child, within)));
        }
        let unused: Vec<_> = contained
            .iter()
            .filter(|(id, node)| !used.contains(&***id) && !refers.contains(node))
            .map(|(_, node)| *node)
            .collect();
        let unnamed = tree.named(resource, "contained").filter(|one| tree.child(*one, "id").is_none());
        let mut unused: Vec<_> = unused.into_iter().chain(unnamed.filter(|one| !refers.contains(one))).collect();
        unused.sort_unstable();
        for node in unused {
            let text = "dom-3: If the resource is contained in another resource, it SHALL be referred to from elsewhere in the resource or SHALL refer to the containing resource";
            self.report.error(tree, node, IssueType::Invariant, text);
        }
    }
}

/// The text of a `Reference.reference`, `canonical`, `uri` or `url`.
fn link<'d>(tree: &Tree<'d>, node: Node) -> Option<Cow<'d, str>> {
    let field = tree.field(node)?;
    let ty = tree.types().ty(field.ty);
    let is_link = matches!(&*ty.name, "canonical" | "uri" | "url") || &*field.element == "reference";
    tree.value(node).filter(|_| is_link).and_then(Ref::as_str)
}
