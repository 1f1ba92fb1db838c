//! The pass that makes a [`Tree`] of a document: pairs, flattens, expands, and notes what is not R4's.

use super::{EMPTY, Fault, Found, NONE, Node, Tree};
use crate::fhir::{
    definition::types::{Field, FieldId, Kind, TypeId, r4},
    json::{self, Doc, Ref},
};

pub(super) struct Builder<'d> {
    tree: Tree<'d>,
    /// Members of the objects being read that wait to be paired: field, value's node, shadow's node.
    pending: Vec<Pending>,
}

#[derive(Clone, Copy)]
struct Pending {
    field: FieldId,
    value: u32,
    shadow: u32,
    /// Position in an array.
    position: u32,
}

/// Appends to the list of one element's children.
struct Family {
    parent: Node,
    last: u32,
}

impl<'d> Builder<'d> {
    pub fn of_resource(doc: &'d Doc) -> Tree<'d> {
        let mut builder = Self::new(doc);
        builder.resource(doc.root());
        builder.tree
    }

    pub fn of_type(doc: &'d Doc, ty: TypeId) -> Tree<'d> {
        let mut builder = Self::new(doc);
        builder.value(doc.root(), ty);
        builder.tree
    }

    fn new(doc: &'d Doc) -> Self {
        let tree = Tree { doc, types: r4(), slots: vec![EMPTY; doc.len()], faults: Vec::new() };
        Self { tree, pending: Vec::new() }
    }

    fn fault(&mut self, node: Node, member: &str, fault: Fault) {
        self.tree.faults.push(Found { node, member: member.to_owned(), fault });
    }

    /// Reads a resource; its node is that of its object.
    fn resource(&mut self, value: Ref<'d>) {
        let node = Node(value.index());
        if value.kind() != json::Kind::Object {
            return self.fault(node, "", Fault::ExpectedObject);
        }
        match value.str("resourceType") {
            None => self.fault(node, "", Fault::NoResourceType),
            Some(name) => match self.tree.types.resource(&name) {
                Some(ty) => {
                    self.tree.slots[node.index()].ty = Some(ty);
                    self.object(value, ty);
                }
                None => self.fault(node, "resourceType", Fault::UnknownResource { name: name.into_owned() }),
            },
        }
    }

    /// Reads the value of an element whose node is known to its parent.
    fn value(&mut self, value: Ref<'d>, ty: TypeId) {
        let node = Node(value.index());
        let types = self.tree.types;
        if types.ty(ty).kind == Kind::Resource {
            return self.resource(value);
        }
        self.tree.slots[node.index()].ty = Some(ty);
        let is_object = value.kind() == json::Kind::Object;
        match (types.primitive(ty), is_object) {
            (Some(_), true) => self.fault(node, "", Fault::UnexpectedObject),
            (Some(_), false) => {}
            (None, true) => self.object(value, ty),
            (None, false) => self.fault(node, "", Fault::ExpectedObject),
        }
    }

    /// Reads the members of an object of type `ty`: a complex element, a resource, or a primitive's shadow.
    fn object(&mut self, value: Ref<'d>, ty: TypeId) {
        let node = Node(value.index());
        let first = self.pending.len();
        let mut is_empty = true;
        let is_resource = self.tree.types.ty(ty).kind == Kind::Resource;
        for member in value.values() {
            is_empty = false;
            if is_resource && member.key() == "resourceType" {
                continue;
            }
            self.member(node, ty, member, first);
        }
        if is_empty {
            self.fault(node, "", Fault::Empty);
        }
        let mut family = Family { parent: node, last: NONE };
        self.adopt(&mut family, first);
    }

    /// Notes one member, to be read when its `_` sibling is known.
    fn member(&mut self, node: Node, ty: TypeId, member: Ref<'d>, first: usize) {
        let types = self.tree.types;
        let name = &*member.key();
        let (plain, is_shadow, field) = match name.strip_prefix('_') {
            Some(plain) => (plain, true, types.field_named(ty, plain)),
            None => (name, false, types.field_printed(ty, member.key_print(), name)),
        };
        let Some(field) = field else {
            return self.fault(node, name, Fault::UnknownElement { name: name.to_owned() });
        };
        if is_shadow && types.primitive(types.field(field).ty).is_none() {
            return self.fault(node, name, Fault::UnexpectedShadow { name: name.to_owned() });
        }
        let (value, shadow) = if is_shadow { (NONE, member.index()) } else { (member.index(), NONE) };
        if let Some(known) = self.pending[first..].iter_mut().find(|known| known.field == field) {
            if is_shadow {
                known.shadow = shadow;
            } else {
                known.value = value;
            }
            return;
        }
        let described = types.field(field);
        if described.is_choice {
            let mut others = self.pending[first..].iter().map(|known| types.field(known.field));
            if let Some(other) = others.find(|other| other.element == described.element) {
                let other = other.name.to_string();
                return self.fault(node, name, Fault::ChoiceTwice { name: plain.to_owned(), other });
            }
        }
        self.pending.push(Pending { field, value, shadow, position: 0 });
    }

    /// Makes the noted members children.
    fn adopt(&mut self, family: &mut Family, first: usize) {
        let last = self.pending.len();
        for index in first..last {
            let one = self.pending[index];
            let field = self.tree.types.field(one.field);
            if field.is_array {
                self.array(family, one, field);
            } else {
                self.single(family, one, field);
            }
        }
        self.pending.truncate(first);
    }

    fn single(&mut self, family: &mut Family, one: Pending, field: &'static Field) {
        for index in [one.value, one.shadow].into_iter().filter(|index| *index != NONE) {
            let kind = self.tree.doc.at(index).kind();
            if kind == json::Kind::Array || kind == json::Kind::Null {
                let fault = if kind == json::Kind::Null { Fault::Null } else { Fault::UnexpectedArray };
                return self.fault(family.parent, &field.element, fault);
            }
        }
        self.child(family, one, field);
    }

    fn array(&mut self, family: &mut Family, one: Pending, field: &'static Field) {
        let array = self.tree.doc.at(if one.value == NONE { one.shadow } else { one.value });
        if one.shadow == NONE && array.kind() == json::Kind::Array {
            return self.plain_array(family, one.field, array, field);
        }
        let mut lists = [Vec::new(), Vec::new()];
        for (list, index) in lists.iter_mut().zip([one.value, one.shadow]) {
            if index == NONE {
                continue;
            }
            let array = self.tree.doc.at(index);
            if array.kind() != json::Kind::Array {
                return self.fault(family.parent, &field.element, Fault::ExpectedArray);
            }
            list.extend(array.items().map(Ref::index));
            if list.is_empty() {
                self.fault(family.parent, &field.element, Fault::Empty);
            }
        }
        let [values, shadows] = lists;
        for (position, index) in (0..).zip(0..values.len().max(shadows.len())) {
            let at = |list: &[u32]| list.get(index).copied().filter(|item| !self.is_null(*item)).unwrap_or(NONE);
            let item = Pending { field: one.field, value: at(&values), shadow: at(&shadows), position };
            if item.value == NONE && item.shadow == NONE {
                let member = format!("{}[{position}]", field.element);
                self.fault(family.parent, &member, Fault::Null);
            } else if [item.value, item.shadow].into_iter().any(|index| self.is_array(index)) {
                let member = format!("{}[{position}]", field.element);
                self.fault(family.parent, &member, Fault::NestedArray);
            } else {
                self.child(family, item, field);
            }
        }
    }

    /// An array without a `_` sibling.
    fn plain_array(&mut self, family: &mut Family, id: FieldId, array: Ref<'d>, field: &'static Field) {
        let mut count = 0;
        for item in array.items() {
            let one = Pending { field: id, value: item.index(), shadow: NONE, position: count };
            match item.kind() {
                json::Kind::Null | json::Kind::Array => {
                    let fault = if item.kind() == json::Kind::Null { Fault::Null } else { Fault::NestedArray };
                    self.fault(family.parent, &format!("{}[{count}]", field.element), fault);
                }
                _ => self.child(family, one, field),
            }
            count += 1;
        }
        if count == 0 {
            self.fault(family.parent, &field.element, Fault::Empty);
        }
    }

    fn is_null(&self, index: u32) -> bool {
        self.tree.doc.at(index).kind() == json::Kind::Null
    }

    fn is_array(&self, index: u32) -> bool {
        index != NONE && self.tree.doc.at(index).kind() == json::Kind::Array
    }

    /// Makes one element of a value, a shadow, or both. An element without a value has its shadow's node.
    fn child(&mut self, family: &mut Family, one: Pending, field: &'static Field) {
        let index = if one.value == NONE { one.shadow } else { one.value };
        let slot = &mut self.tree.slots[index as usize];
        slot.parent = family.parent.0;
        slot.field = Some(one.field);
        slot.shadow = one.shadow;
        slot.position = one.position;
        slot.ty = Some(field.ty);
        let before = if family.last == NONE { family.parent.0 } else { family.last };
        if family.last == NONE {
            self.tree.slots[before as usize].first_child = index;
        } else {
            self.tree.slots[before as usize].next = index;
        }
        family.last = index;
        if one.value != NONE {
            self.value(self.tree.doc.at(one.value), field.ty);
        }
        if one.shadow != NONE {
            self.shadow(Node(index), one.shadow, field.ty);
        }
    }

    /// Reads the `id` and `extension` of a primitive into its node.
    fn shadow(&mut self, node: Node, shadow: u32, ty: TypeId) {
        let value = self.tree.doc.at(shadow);
        if value.kind() != json::Kind::Object {
            return self.fault(node, "", Fault::ExpectedObject);
        }
        let first = self.pending.len();
        let mut is_empty = true;
        for member in value.values() {
            is_empty = false;
            self.member(node, ty, member, first);
        }
        if is_empty {
            self.fault(node, "", Fault::Empty);
        }
        let mut family = Family { parent: node, last: NONE };
        self.adopt(&mut family, first);
    }
}
