//! A document whose every element knows its R4 type, its place and its children.
//!
//! One pass over a [`Doc`] along the table of [`types`](super::definition::types) pairs each primitive with its `_` sibling,
//! flattens arrays, expands choices and notes everything whose *shape* is not R4's (json.html). Validation, FHIRPath,
//! search values and XML then walk elements and need to know nothing of JSON.

mod build;

use build::Builder;

use super::{
    definition::types::{Field, FieldId, Kind, Type, TypeId, Types},
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
}

impl<'d> Tree<'d> {
    /// The tree of a resource. Whatever is not R4's is noted in [`Tree::faults`] and has no node.
    pub fn of_resource(doc: &'d Doc) -> Self {
        Builder::of_resource(doc)
    }

    /// The tree of a value of a type that is not a resource, such as a fixed or pattern value.
    pub fn of_type(doc: &'d Doc, ty: TypeId) -> Self {
        Builder::of_type(doc, ty)
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

    /// Which of its array's items the element is, from 0.
    pub fn position(&self, node: Node) -> usize {
        self.slot(node).position as usize
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
