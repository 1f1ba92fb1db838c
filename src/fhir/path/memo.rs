//! What the evaluations over one document have in common.
//!
//! An invariant such as ref-1 (`… in %rootResource.contained.id`) is evaluated for every reference: together they would
//! look at each contained resource as often. With a memo, they look once.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use super::{equality::Set, item::Collection};
use crate::fhir::tree::Node;

/// What expressions gave for a document, for the next evaluations over the same document. One for each tree: it knows
/// its elements by their numbers.
#[derive(Default)]
pub struct Memo {
    kept: RefCell<HashMap<Key, Rc<Kept<'static>>>>,
    /// For each Bundle, its entries' resources by full URL; for each container, the contained resources by id.
    resources: RefCell<HashMap<Node, Rc<Resources>>>,
}

/// Expression, place in it, `%resource` and `%rootResource`.
pub type Key = (u64, usize, Node, Node);

/// Resources by how references name them.
pub type Resources = HashMap<Box<str>, Node>;

/// What an expression gave.
pub struct Kept<'a> {
    pub items: Collection<'a>,
    /// The same as a set, where items are looked up in it.
    pub set: Option<Set<'a>>,
}

impl Kept<'_> {
    pub fn into_owned(self) -> Kept<'static> {
        let items = self.items.into_vec().into_iter().map(super::Item::into_owned).collect();
        Kept { items, set: self.set.map(Set::into_owned) }
    }
}

impl Memo {
    pub(super) fn kept<'a>(&self, key: &Key) -> Option<Rc<Kept<'a>>> {
        self.kept.borrow().get(key).map(|kept| Rc::clone(kept) as Rc<Kept<'a>>)
    }

    pub(super) fn keep<'a>(&self, key: Key, kept: Kept<'static>) -> Rc<Kept<'a>> {
        let kept = Rc::new(kept);
        self.kept.borrow_mut().insert(key, Rc::clone(&kept));
        kept
    }

    /// The resources in a Bundle or container, listed by `list` when they are first asked for.
    pub(super) fn resources(&self, of: Node, list: impl FnOnce() -> Resources) -> Rc<Resources> {
        Rc::clone(self.resources.borrow_mut().entry(of).or_insert_with(|| Rc::new(list())))
    }
}
