//! FHIRPath Patch (FHIR R4 fhirpatch.html): operations whose targets are found by FHIRPath.
//!
//! | operation | target | what else |
//! |---|---|---|
//! | `add` | the element that gets the content, one | `name` of its child; what does not repeat must not be there |
//! | `insert` | a whole list; nothing, for `index` 0 of an empty one | `index` up to the list's length |
//! | `delete` | one element, or nothing | |
//! | `replace` | one element, with all that it has | the value may be of another type of a choice |
//! | `move` | a whole list | `source` and `destination` in it |
//!
//! What is left without content is no element of FHIR, so it goes along with the last that was in it.

use std::{borrow::Cow, sync::Arc};

use super::{
    Budget, MOST_OPERATIONS, Refused,
    content::Content,
    list::{Item, List},
    malformed, unfitting,
    value::Value,
};
use crate::fhir::{
    definition::types::{Field, Kind, TypeId},
    json::{Limits, Ref},
    outcome::IssueType,
    path::{Expression, Scope},
    resource::Resource,
    tree::{Node, Tree},
    validate::misshapen,
};

/// How much dearer a byte that is parsed, given its types and searched by FHIRPath is than one that is copied.
const PARSED: usize = 4;

/// A FHIRPath Patch.
#[derive(Clone, Debug)]
pub struct PathPatch {
    operations: Arc<[Operation]>,
    length: usize,
}

#[derive(Debug)]
struct Operation {
    kind: OperationKind,
    path: Expression,
    /// For an insert: `path` as a parent and the name of its child, which finds a list without items too.
    child: Option<(Expression, String)>,
    /// FHIRPath in the Parameters, for issues.
    at: String,
}

#[derive(Debug)]
enum OperationKind {
    Add { name: String, content: Content },
    Insert { index: usize, content: Content },
    Delete,
    Replace { content: Content },
    Move { source: usize, destination: usize },
}

/// What an operation takes.
const PARTS: [&str; 7] = ["type", "path", "name", "value", "index", "source", "destination"];

impl PathPatch {
    /// Reads the Parameters.
    pub fn read(parameters: &Resource) -> Result<Self, Refused> {
        if parameters.type_name() != "Parameters" {
            let text = format!("a FHIRPath Patch is a Parameters resource, not a {}", parameters.type_name());
            return Err(malformed(text, parameters.type_name()));
        }
        let tree = Tree::of_resource(parameters.doc());
        if let Some(fault) = misshapen(&tree) {
            return Err(Refused::Malformed(fault));
        }
        let given: Vec<_> = tree.named(tree.root(), "parameter").collect();
        if given.len() > MOST_OPERATIONS {
            return Err(malformed(format!("a patch has at most {MOST_OPERATIONS} operations"), "Parameters"));
        }
        let operations = given.into_iter().map(|one| operation(&tree, one));
        Ok(Self { operations: operations.collect::<Result<_, _>>()?, length: parameters.text().len() })
    }

    /// The length of its Parameters, in bytes of JSON.
    pub(super) const fn len(&self) -> usize {
        self.length
    }

    /// The resource after all operations; none has happened when one of them cannot.
    pub(super) fn apply(&self, resource: &Resource, limits: &Limits, budget: &mut Budget) -> Result<Value, Refused> {
        let mut current = resource.clone();
        let mut value = Value::of(current.root());
        for operation in &*self.operations {
            budget.pay(PARSED * current.text().len())?;
            operation.apply(&current, &mut value)?;
            let text = value.text();
            budget.check_size(text.len())?;
            current = Resource::parse(&text, limits).map_err(Refused::Unfitting)?;
            if let Some(fault) = misshapen(&Tree::of_resource(current.doc())) {
                return Err(Refused::Unfitting(fault));
            }
        }
        Ok(value)
    }
}

fn operation(tree: &Tree<'_>, one: Node) -> Result<Operation, Refused> {
    let at = tree.path(one);
    if tree.str(one, "name").as_deref() != Some("operation") {
        return Err(malformed("expected the name operation", at));
    }
    let parts: Vec<_> =
        tree.named(one, "part").map(|part| (tree.str(part, "name").unwrap_or_default(), part)).collect();
    for (index, (name, part)) in parts.iter().enumerate() {
        if !PARTS.contains(&&**name) {
            return Err(malformed(format!("an operation has no part '{name}'"), tree.path(*part)));
        }
        if parts[..index].iter().any(|(before, _)| before == name) {
            return Err(malformed(format!("the part {name} stands twice"), tree.path(*part)));
        }
    }
    let part = |name: &str| parts.iter().find(|(own, _)| own == name).map(|(_, part)| *part);
    let value = |name: &str| part(name).and_then(|part| tree.child(part, "value")).and_then(|value| tree.value(value));
    let text = |name: &str| {
        let text = value(name).and_then(Ref::as_str);
        text.map(Cow::into_owned).ok_or_else(|| malformed(format!("expected the part {name}"), &at))
    };
    let number = |name: &str| {
        let number = value(name).and_then(|value| value.raw().parse::<usize>().ok());
        number.ok_or_else(|| malformed(format!("expected the part {name} with a valueInteger from 0"), &at))
    };
    let content = || {
        let part = part("value").ok_or_else(|| malformed("expected the part value", &at))?;
        Content::read(tree, part)
    };
    let kind = match &*text("type")? {
        "add" => OperationKind::Add { name: text("name")?, content: content()? },
        "insert" => OperationKind::Insert { index: number("index")?, content: content()? },
        "delete" => OperationKind::Delete,
        "replace" => OperationKind::Replace { content: content()? },
        "move" => OperationKind::Move { source: number("source")?, destination: number("destination")? },
        other => {
            let text = format!("expected the type add, insert, delete, replace or move, not '{other}'");
            return Err(malformed(text, at));
        }
    };
    let path = text("path")?;
    let child = if matches!(kind, OperationKind::Insert { .. }) { child(&path) } else { None };
    let path = Expression::parse(&path).map_err(|error| malformed(format!("'{path}' is no FHIRPath: {error}"), &at))?;
    Ok(Operation { kind, path, child, at })
}

/// `Patient.contact.telecom` as `Patient.contact` and `telecom`.
fn child(path: &str) -> Option<(Expression, String)> {
    let (parent, name) = path.rsplit_once('.')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_name.then(|| Some((Expression::parse(parent).ok()?, name.to_owned())))?
}

impl Operation {
    fn refused(&self, code: IssueType, text: impl Into<String>) -> Refused {
        match unfitting(code, text) {
            Refused::Unfitting(issue) => Refused::Unfitting(issue.at(self.at.clone())),
            other => other,
        }
    }

    fn apply(&self, current: &Resource, value: &mut Value) -> Result<(), Refused> {
        let tree = Tree::of_resource(current.doc());
        let nodes = self.found(&tree, &self.path)?;
        let done = match &self.kind {
            OperationKind::Delete if nodes.is_empty() => Ok(()),
            OperationKind::Delete => delete(&tree, value, self.one(&self.path, &nodes)?),
            OperationKind::Add { name, content } => add(&tree, value, self.one(&self.path, &nodes)?, name, content),
            OperationKind::Replace { content } => replace(&tree, value, self.one(&self.path, &nodes)?, content),
            OperationKind::Insert { index, content } => match &self.child {
                Some((parent, name)) if nodes.is_empty() && *index == 0 => {
                    let parents = self.found(&tree, parent)?;
                    begin(&tree, value, self.one(parent, &parents)?, name, content)
                }
                _ => insert(&tree, value, &nodes, *index, content),
            },
            OperationKind::Move { source, destination } => reorder(&tree, value, &nodes, *source, *destination),
        };
        done.map_err(|text| self.refused(IssueType::Value, text))
    }

    fn found(&self, tree: &Tree<'_>, path: &Expression) -> Result<Vec<Node>, Refused> {
        let found = path.evaluate(&Scope::new(tree, tree.root()));
        let found = found.map_err(|error| self.refused(IssueType::Processing, format!("{}: {error}", path.text())))?;
        let nodes: Vec<_> = found.nodes().collect();
        if nodes.len() != found.len() {
            let text = format!("{} finds something that is no element of the resource", path.text());
            return Err(self.refused(IssueType::Value, text));
        }
        Ok(nodes)
    }

    fn one(&self, path: &Expression, nodes: &[Node]) -> Result<Node, Refused> {
        match nodes {
            [node] => Ok(*node),
            [] => Err(self.refused(IssueType::NotFound, format!("{} finds nothing", path.text()))),
            _ => {
                let text = format!("{} finds {} elements; an operation has one target", path.text(), nodes.len());
                Err(self.refused(IssueType::MultipleMatches, text))
            }
        }
    }
}

/// One element on the way from the root.
struct Stop {
    field: &'static Field,
    position: usize,
    /// Its children are in the `_` sibling.
    is_primitive: bool,
}

fn way(tree: &Tree<'_>, node: Node) -> Vec<Stop> {
    let mut way = Vec::new();
    let mut at = node;
    while let (Some(field), Some(parent)) = (tree.field(at), tree.parent(at)) {
        way.push(Stop { field, position: tree.position(at), is_primitive: is_primitive(tree, at) });
        at = parent;
    }
    way.reverse();
    way
}

fn is_primitive(tree: &Tree<'_>, node: Node) -> bool {
    tree.kind(node).is_some_and(|ty| matches!(ty.kind, Kind::Primitive(_)))
}

/// Changes the object of the element that a way leads to. What has no content afterwards goes, up to the root; a way is
/// no longer than the document is deep.
fn change(object: &mut Value, way: &[Stop], edit: impl FnOnce(&mut Value) -> Result<(), String>) -> Result<(), String> {
    let Some((stop, rest)) = way.split_first() else { return edit(object) };
    let mut list = List::take(object, &stop.field.name, stop.field.is_array);
    let item = list.items.get_mut(stop.position).ok_or("the target cannot be found")?;
    let part = if stop.is_primitive { &mut item.shadow } else { &mut item.value };
    let mut inner = part.take().unwrap_or_else(|| Value::Object(Vec::new()));
    change(&mut inner, rest, edit)?;
    *part = (inner.width() > 0).then_some(inner);
    list.put(object, &stop.field.name);
    Ok(())
}

/// Changes the items of one element of `holder`.
fn change_list(
    root: &mut Value,
    tree: &Tree<'_>,
    holder: Node,
    field: &Field,
    edit: impl FnOnce(&mut Vec<Item>) -> Result<(), String>,
) -> Result<(), String> {
    change(root, &way(tree, holder), |object| {
        let mut list = List::take(object, &field.name, field.is_array);
        edit(&mut list.items)?;
        list.put(object, &field.name);
        Ok(())
    })
}

/// An element's field, and the element that holds it.
fn place(tree: &Tree<'_>, node: Node, what: &str) -> Result<(&'static Field, Node, TypeId), String> {
    let place = tree.field(node).zip(tree.parent(node));
    let (field, parent) = place.ok_or_else(|| format!("the resource itself cannot be {what} by a patch"))?;
    let holder = tree.ty(parent).ok_or("the type of what holds the target is not known")?;
    Ok((field, parent, holder))
}

fn add(tree: &Tree<'_>, root: &mut Value, node: Node, name: &str, content: &Content) -> Result<(), String> {
    let holder = tree.ty(node).ok_or("the target's type is not known")?;
    let field = content.field(tree.types(), holder, name)?;
    if !field.is_array && tree.named(node, &field.element).next().is_some() {
        return Err(format!("there is {} already, and it does not repeat; use replace", field.element));
    }
    let item = content.item(tree.types(), field)?;
    change_list(root, tree, node, field, |items| {
        items.push(item);
        Ok(())
    })
}

fn delete(tree: &Tree<'_>, root: &mut Value, node: Node) -> Result<(), String> {
    let (field, parent, _) = place(tree, node, "deleted")?;
    change_list(root, tree, parent, field, |items| {
        *items.get_mut(tree.position(node)).ok_or("the target cannot be found")? = Item::default();
        Ok(())
    })
}

fn replace(tree: &Tree<'_>, root: &mut Value, node: Node, content: &Content) -> Result<(), String> {
    let (own, parent, holder) = place(tree, node, "replaced")?;
    let field = content.field(tree.types(), holder, &own.element)?;
    let item = content.item(tree.types(), field)?;
    if field.name != own.name {
        // Another type of the choice.
        return change(root, &way(tree, parent), |object| {
            List::default().put(object, &own.name);
            let mut list = List::take(object, &field.name, field.is_array);
            list.items.push(item);
            list.put(object, &field.name);
            Ok(())
        });
    }
    change_list(root, tree, parent, field, |items| {
        *items.get_mut(tree.position(node)).ok_or("the target cannot be found")? = item;
        Ok(())
    })
}

/// The first item of a list that has none.
fn begin(tree: &Tree<'_>, root: &mut Value, parent: Node, name: &str, content: &Content) -> Result<(), String> {
    let holder = tree.ty(parent).ok_or("the target's type is not known")?;
    if !content.field(tree.types(), holder, name)?.is_array {
        return Err(format!("{name} is no list; use add"));
    }
    add(tree, root, parent, name, content)
}

fn insert(tree: &Tree<'_>, root: &mut Value, nodes: &[Node], index: usize, content: &Content) -> Result<(), String> {
    let (own, parent, holder) = list(tree, nodes)?;
    let field = content.field(tree.types(), holder, &own.element)?;
    let item = content.item(tree.types(), field)?;
    change_list(root, tree, parent, field, |items| {
        if index > items.len() {
            return Err(format!("index {index} is beyond the end of the list of {}", items.len()));
        }
        items.insert(index, item);
        Ok(())
    })
}

fn reorder(tree: &Tree<'_>, root: &mut Value, nodes: &[Node], source: usize, destination: usize) -> Result<(), String> {
    let (field, parent, _) = list(tree, nodes)?;
    change_list(root, tree, parent, field, |items| {
        if source.max(destination) >= items.len() {
            return Err(format!("the list has the indices 0 to {}", items.len() - 1));
        }
        let item = items.remove(source);
        items.insert(destination, item);
        Ok(())
    })
}

/// The list that elements are the whole of.
fn list(tree: &Tree<'_>, nodes: &[Node]) -> Result<(&'static Field, Node, TypeId), String> {
    let first = nodes.first().ok_or("the path finds no list")?;
    let (field, parent, holder) = place(tree, *first, "moved")?;
    let id = tree.field_id(*first);
    let all = tree.children(parent).filter(|child| tree.field_id(*child) == id);
    if !field.is_array || !all.eq(nodes.iter().copied()) {
        return Err("the path does not find one whole list".to_owned());
    }
    Ok((field, parent, holder))
}
