//! `resolve()`: what references lead to (FHIR R4 references.html, bundle.html#references).

use std::borrow::Cow;

use super::{Flow, Item, Machine, Sink, Stop};
use crate::fhir::{
    definition::types::{R4, TypeId},
    path::{item::Value, memo::Resources},
    tree::Node,
};

impl<'a> Machine<'_, 'a> {
    pub(super) fn resolve(&self, item: &Item<'a>, sink: &mut Sink<'_, 'a>) -> Flow {
        let (from, reference) = match item {
            Item::Element(node) if self.primitive(*node).is_some() => match Value::of(self.tree, *node) {
                Some(Value::String(text)) => (*node, Some(text)),
                _ => return Ok(()),
            },
            Item::Element(node) => (*node, self.tree.str(*node, "reference")),
            Item::Value(Value::String(text)) => (self.scope.focus, Some(text.clone())),
            _ => return Ok(()),
        };
        let found = match &reference {
            Some(text) if text.starts_with('#') => return self.contained(from, &text[1..], sink),
            Some(text) => self.bundled(from, text)?,
            None => None,
        };
        if let Some(node) = found {
            return sink(Item::Element(node));
        }
        let named = reference.as_deref().and_then(|text| self.named_type(text));
        named.or_else(|| self.said_type(item)).map_or(Ok(()), |ty| sink(Item::Target(ty)))
    }

    /// The contained resource with this id, or their container for none.
    fn contained(&self, from: Node, id: &str, sink: &mut Sink<'_, 'a>) -> Flow {
        let resource = self.tree.resource_of(from);
        let is_contained = self.tree.field(resource).is_some_and(|field| &*field.name == "contained");
        let container = self.tree.parent(resource).filter(|_| is_contained).unwrap_or(resource);
        if id.is_empty() {
            return sink(Item::Element(container));
        }
        let listed = |child: Node| Some((self.tree.str(child, "id")?, child));
        let found = self.among(container, id, self.tree.named(container, "contained").filter_map(listed))?;
        found.map_or(Ok(()), |node| sink(Item::Element(node)))
    }

    /// The resource that one of the names of `listed` means; the first of several. A memo keeps the list.
    fn among(
        &self,
        of: Node,
        name: &str,
        listed: impl Iterator<Item = (Cow<'a, str>, Node)>,
    ) -> Result<Option<Node>, Stop> {
        if let Some(memo) = self.scope.memo {
            let by_name = memo.resources(of, || {
                let mut by_name = Resources::new();
                for (name, node) in listed {
                    by_name.entry(name.into()).or_insert(node);
                }
                by_name
            });
            self.spend(1)?;
            return Ok(by_name.get(name).copied());
        }
        for (known, node) in listed {
            self.spend(1)?;
            if known == name {
                return Ok(Some(node));
            }
        }
        Ok(None)
    }

    /// The resource in one of the Bundles around `from` that this reference leads to.
    fn bundled(&self, from: Node, reference: &str) -> Result<Option<Node>, Stop> {
        let plain = reference.split(['#', '|']).next().unwrap_or_default();
        let plain = plain.split_once("/_history/").map_or(plain, |(plain, _)| plain);
        let mut at = from;
        while let Some(parent) = self.tree.parent(at) {
            let is_entry = self.tree.field(parent).is_some_and(|field| &*field.name == "entry");
            let bundle = self.tree.parent(parent).filter(|above| self.is_bundle(*above) && is_entry);
            if let Some(bundle) = bundle {
                let base = self.tree.str(parent, "fullUrl").and_then(|url| rest_base(&url).map(str::to_owned));
                let wanted = match base {
                    _ if plain.contains(':') => Cow::Borrowed(plain),
                    Some(base) => Cow::Owned(format!("{base}{plain}")),
                    None => return Ok(None),
                };
                return self.entry(bundle, &wanted);
            }
            at = parent;
        }
        Ok(None)
    }

    fn is_bundle(&self, node: Node) -> bool {
        self.tree.ty(node) == Some(self.tree.types().known.bundle)
    }

    fn entry(&self, bundle: Node, full_url: &str) -> Result<Option<Node>, Stop> {
        let listed = |entry: Node| Some((self.tree.str(entry, "fullUrl")?, self.tree.child(entry, "resource")?));
        self.among(bundle, full_url, self.tree.named(bundle, "entry").filter_map(listed))
    }

    /// The type that a reference's text tells: `Patient/1`, `http://server/Patient/1/_history/2`, `Patient?name=x`.
    fn named_type(&self, reference: &str) -> Option<TypeId> {
        let plain = reference.split(['#', '|']).next()?;
        if let Some((name, _)) = plain.split_once('?') {
            return self.tree.types().resource(name.rsplit('/').next()?);
        }
        let plain = plain.split_once("/_history/").map_or(plain, |(plain, _)| plain);
        let mut parts = plain.rsplit('/');
        let (_id, name) = (parts.next()?, parts.next()?);
        self.tree.types().resource(name)
    }

    /// `Reference.type`
    fn said_type(&self, item: &Item<'a>) -> Option<TypeId> {
        let name = self.tree.str(item.node()?, "type")?;
        self.tree.types().resource(name.strip_prefix(R4).unwrap_or(&name))
    }
}

/// `http://server/` out of `http://server/Patient/1`.
fn rest_base(full_url: &str) -> Option<&str> {
    let (rest, _id) = full_url.rsplit_once('/')?;
    let slash = rest.rfind('/')?;
    full_url.starts_with("http").then(|| &rest[..=slash])
}
