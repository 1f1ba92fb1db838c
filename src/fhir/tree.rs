//! A document whose every element knows its R4 type, its place and its children.
//!
//! One pass over a [`Doc`] along the table of [`types`](super::definition::types) pairs each primitive with its `_` sibling,
//! flattens arrays, expands choices and notes everything whose *shape* is not R4's (json.html). Validation, FHIRPath,
//! search values and XML then walk elements and need to know nothing of JSON.

use std::{collections::HashMap, sync::OnceLock};

use super::{
    definition::types::{Field, FieldId, Kind, Type, TypeId, Types, r4},
    json::{self, Doc, Ref},
};

/// An element of a [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node(u32);

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Slot {
    ty: Option<TypeId>,
    field: Option<FieldId>,
    parent: u32,
    first_child: u32,
    next: u32,
    /// The `_` sibling's node.
    shadow: u32,
    /// Position in its array.
    position: u32,
}

const EMPTY: Slot =
    Slot { ty: None, field: None, parent: NONE, first_child: NONE, next: NONE, shadow: NONE, position: 0 };

/// What is wrong with the shape of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The type has no such element.
    UnknownElement { name: String },
    /// The element repeats, so JSON writes an array.
    ExpectedArray,
    /// The element does not repeat.
    UnexpectedArray,
    /// A complex element is a JSON object.
    ExpectedObject,
    /// A primitive is no JSON object.
    UnexpectedObject,
    /// An array inside an array.
    NestedArray,
    /// Arrays and objects have content, or are left out.
    Empty,
    /// `null` stands only in arrays of primitives, where the other array has something.
    Null,
    /// `_name` for an element that is not primitive.
    UnexpectedShadow { name: String },
    /// Two of the types of a choice.
    ChoiceTwice { name: String, other: String },
    /// A resource without `resourceType`.
    NoResourceType,
    /// Not a resource type of R4.
    UnknownResource { name: String },
}

/// A fault and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The element that is wrong, or that holds what is wrong.
    pub node: Node,
    /// The JSON member in that element, for [`Tree::path_to`]; empty: the element itself.
    pub member: String,
    pub fault: Fault,
}

/// A document with the type of its every element.
pub struct Tree<'d> {
    doc: &'d Doc,
    types: &'static Types,
    slots: Vec<Slot>,
    faults: Vec<Found>,
    /// Made when something first asks.
    links: OnceLock<Links>,
}

/// What references inside a document lead to, by the resource that holds it and its name there.
#[derive(Default)]
struct Links {
    contained: HashMap<Node, HashMap<Box<str>, Node>>,
    entries: HashMap<Node, HashMap<Box<str>, Node>>,
}

impl<'d> Tree<'d> {
    /// The tree of a resource. Whatever is not R4's is noted in [`Tree::faults`] and has no node.
    pub fn of_resource(doc: &'d Doc) -> Self {
        let mut builder = Builder::new(doc);
        builder.resource(doc.root());
        builder.tree
    }

    /// The tree of a value of a type that is not a resource, such as a fixed or pattern value.
    pub fn of_type(doc: &'d Doc, ty: TypeId) -> Self {
        let mut builder = Builder::new(doc);
        builder.value(doc.root(), ty);
        builder.tree
    }

    /// What is wrong with the document's shape.
    pub fn faults(&self) -> &[Found] {
        &self.faults
    }

    /// The document.
    pub const fn doc(&self) -> &'d Doc {
        self.doc
    }

    /// The table it was built along.
    pub const fn types(&self) -> &'static Types {
        self.types
    }

    /// The outermost element.
    pub const fn root(&self) -> Node {
        Node(0)
    }

    /// How many nodes the document has: an upper bound for [`Node::index`].
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is nothing; a document always has a root.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn slot(&self, node: Node) -> &Slot {
        &self.slots[node.0 as usize]
    }

    /// The element's type; `None` where a resource's type is unknown.
    pub fn ty(&self, node: Node) -> Option<TypeId> {
        self.slot(node).ty
    }

    /// The element's type in full.
    pub fn kind(&self, node: Node) -> Option<&'static Type> {
        self.ty(node).map(|ty| self.types.ty(ty))
    }

    /// The field it is in its parent; `None` at the root.
    pub fn field_id(&self, node: Node) -> Option<FieldId> {
        self.slot(node).field
    }

    /// The field it is in its parent; `None` at the root.
    pub fn field(&self, node: Node) -> Option<&'static Field> {
        self.field_id(node).map(|field| self.types.field(field))
    }

    /// The element that holds it; `None` at the root.
    pub fn parent(&self, node: Node) -> Option<Node> {
        some(self.slot(node).parent)
    }

    /// The elements in it, in the document's order. The children of a primitive are its `id` and `extension`.
    pub fn children(&self, node: Node) -> Children<'_> {
        Children { slots: &self.slots, next: self.slot(node).first_child }
    }

    /// The children that are the element `name`: `value` finds `valueQuantity` too.
    pub fn named<'t>(&'t self, node: Node, name: &'t str) -> impl Iterator<Item = Node> + 't {
        self.children(node).filter(move |child| self.field(*child).is_some_and(|field| &*field.element == name))
    }

    /// The first child that is the element `name`.
    pub fn child<'t>(&'t self, node: Node, name: &'t str) -> Option<Node> {
        self.named(node, name).next()
    }

    /// The string that the child `name` is.
    pub fn str<'t>(&'t self, node: Node, name: &'t str) -> Option<std::borrow::Cow<'d, str>> {
        self.child(node, name).and_then(|child| self.value(child)).and_then(Ref::as_str)
    }

    /// The JSON of the element: an object, or a primitive's value; `None` for a primitive that has only an `id` or
    /// extensions.
    pub fn value(&self, node: Node) -> Option<Ref<'d>> {
        let value = self.doc.at(node.0);
        let hidden = value.kind() == json::Kind::Null
            || (value.kind() == json::Kind::Object
                && self.ty(node).is_some_and(|ty| self.types.primitive(ty).is_some()));
        (!hidden).then_some(value)
    }

    /// The JSON of the element, whatever it is: for messages and spans.
    pub fn json(&self, node: Node) -> Ref<'d> {
        self.doc.at(node.0)
    }

    /// The `_` sibling of a primitive: an object with `id` and `extension`.
    pub fn shadow(&self, node: Node) -> Option<Ref<'d>> {
        some(self.slot(node).shadow).map(|shadow| self.doc.at(shadow.0))
    }

    /// The nearest element at or above `node` that is a resource.
    pub fn resource_of(&self, node: Node) -> Node {
        let up = std::iter::successors(Some(node), |node| self.parent(*node));
        up.into_iter().find(|node| self.is_resource(*node)).unwrap_or(self.root())
    }

    /// Whether the element is a resource.
    pub fn is_resource(&self, node: Node) -> bool {
        self.kind(node).is_some_and(|ty| ty.kind == Kind::Resource)
    }

    /// The resource with this `id` that `holder` contains.
    pub fn contained(&self, holder: Node, id: &str) -> Option<Node> {
        self.links().contained.get(&holder)?.get(id).copied()
    }

    /// The resource in the entry of `bundle` that has this `fullUrl`.
    pub fn entry(&self, bundle: Node, full_url: &str) -> Option<Node> {
        self.links().entries.get(&bundle)?.get(full_url).copied()
    }

    /// One look at every element, whatever is asked for later.
    #[expect(clippy::cast_possible_truncation, reason = "nodes are numbered in 32 bits")]
    fn links(&self) -> &Links {
        self.links.get_or_init(|| {
            let mut links = Links::default();
            for node in (0..self.slots.len() as u32).map(Node) {
                let (Some(field), Some(parent)) = (self.field(node), self.parent(node)) else { continue };
                match &*field.element {
                    "contained" => {
                        let Some(id) = self.str(node, "id") else { continue };
                        links.contained.entry(parent).or_default().entry(id.into()).or_insert(node);
                    }
                    "entry" if self.ty(parent) == Some(self.types.known.bundle) => {
                        let Some(url) = self.str(node, "fullUrl") else { continue };
                        let Some(held) = self.child(node, "resource") else { continue };
                        links.entries.entry(parent).or_default().entry(url.into()).or_insert(held);
                    }
                    _ => {}
                }
            }
            links
        })
    }

    /// Where the element is, as FHIRPath from the root: `Bundle.entry[1].resource.birthDate`. Elements that repeat have an
    /// index; a choice is named without its type.
    pub fn path(&self, node: Node) -> String {
        let mut steps = Vec::new();
        let mut at = node;
        while let (Some(parent), Some(field)) = (self.parent(at), self.field(at)) {
            if field.is_array {
                steps.push(format!("{}[{}]", field.element, self.slot(at).position));
            } else {
                steps.push(field.element.to_string());
            }
            at = parent;
        }
        steps.push(self.kind(at).map_or_else(|| "Resource".to_owned(), |ty| ty.name.to_string()));
        steps.reverse();
        steps.join(".")
    }

    /// Where something is that has no node of its own: a member of the element `node`.
    pub fn path_to(&self, node: Node, member: &str) -> String {
        let path = self.path(node);
        if member.is_empty() { path } else { format!("{path}.{member}") }
    }
}

impl Node {
    /// A number below [`Tree::len`], unique in its tree.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

fn some(index: u32) -> Option<Node> {
    (index != NONE).then_some(Node(index))
}

/// The children of an element.
pub struct Children<'t> {
    slots: &'t [Slot],
    next: u32,
}

impl Iterator for Children<'_> {
    type Item = Node;

    fn next(&mut self) -> Option<Node> {
        let node = some(self.next)?;
        self.next = self.slots[node.0 as usize].next;
        Some(node)
    }
}

struct Builder<'d> {
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
    fn new(doc: &'d Doc) -> Self {
        let tree = Tree { doc, types: r4(), slots: vec![EMPTY; doc.len()], faults: Vec::new(), links: OnceLock::new() };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json::Limits;

    fn doc(text: &str) -> Doc {
        Doc::parse(text, &Limits::default()).unwrap()
    }

    #[test]
    fn a_primitive_and_its_sibling_are_one_element() {
        let doc = doc(
            r#"{"resourceType":"Patient","birthDate":"1970-03-30","_birthDate":{"id":"b"},"name":[{"given":["A",null],"_given":[null,{"id":"g"}]}]}"#,
        );
        let tree = Tree::of_resource(&doc);
        assert_eq!(tree.faults(), []);
        let birth = tree.child(tree.root(), "birthDate").unwrap();
        assert_eq!(tree.value(birth).and_then(Ref::as_str).as_deref(), Some("1970-03-30"));
        assert_eq!(tree.children(birth).map(|id| tree.path(id)).collect::<Vec<_>>(), ["Patient.birthDate.id"]);
        let name = tree.child(tree.root(), "name").unwrap();
        let given: Vec<_> = tree.named(name, "given").collect();
        assert_eq!(tree.path(given[1]), "Patient.name[0].given[1]");
        assert!(tree.value(given[1]).is_none() && tree.shadow(given[1]).is_some());
        assert_eq!(tree.str(given[1], "id").as_deref(), Some("g"));
    }

    #[test]
    fn a_choice_is_one_element_of_several_names() {
        let doc = doc(
            r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Observation","valueQuantity":{"value":1.50}}}]}"#,
        );
        let tree = Tree::of_resource(&doc);
        let entry = tree.child(tree.root(), "entry").unwrap();
        let observation = tree.child(entry, "resource").unwrap();
        let value = tree.child(observation, "value").unwrap();
        assert_eq!(&*tree.kind(value).unwrap().name, "Quantity");
        assert_eq!(tree.path(tree.child(value, "value").unwrap()), "Bundle.entry[0].resource.value.value");
        assert_eq!(tree.resource_of(value), observation);
    }

    #[test]
    fn every_fault_of_shape_is_noted_with_its_place() {
        for (text, path, fault) in [
            (r#"{"resourceType":"Patient","foo":1}"#, "Patient.foo", Fault::UnknownElement { name: "foo".into() }),
            (r#"{"resourceType":"Patient","name":{}}"#, "Patient.name", Fault::ExpectedArray),
            (r#"{"resourceType":"Patient","gender":["male"]}"#, "Patient.gender", Fault::UnexpectedArray),
            (r#"{"resourceType":"Patient","name":["x"]}"#, "Patient.name[0]", Fault::ExpectedObject),
            (r#"{"resourceType":"Patient","gender":{"a":1}}"#, "Patient.gender", Fault::UnexpectedObject),
            (r#"{"resourceType":"Patient","name":[[1]]}"#, "Patient.name[0]", Fault::NestedArray),
            (r#"{"resourceType":"Patient","name":[]}"#, "Patient.name", Fault::Empty),
            (r#"{"resourceType":"Patient","name":[{}]}"#, "Patient.name[0]", Fault::Empty),
            (r#"{"resourceType":"Patient","gender":null}"#, "Patient.gender", Fault::Null),
            (r#"{"resourceType":"Patient","name":[null]}"#, "Patient.name[0]", Fault::Null),
            (
                r#"{"resourceType":"Patient","_name":[{"id":"a"}]}"#,
                "Patient._name",
                Fault::UnexpectedShadow { name: "_name".into() },
            ),
            (
                r#"{"resourceType":"Patient","deceasedBoolean":true,"deceasedDateTime":"2020"}"#,
                "Patient.deceasedDateTime",
                Fault::ChoiceTwice { name: "deceasedDateTime".into(), other: "deceasedBoolean".into() },
            ),
            (r#"{"resourceType":"Patient","contained":[{"id":"a"}]}"#, "Patient.contained[0]", Fault::NoResourceType),
        ] {
            let doc = doc(text);
            let tree = Tree::of_resource(&doc);
            let found: Vec<_> =
                tree.faults().iter().map(|found| (tree.path_to(found.node, &found.member), &found.fault)).collect();
            assert_eq!(found, [(path.to_owned(), &fault)], "{text}");
        }
    }
}
