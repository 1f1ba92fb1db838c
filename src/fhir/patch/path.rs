//! FHIRPath Patch (FHIR R4 fhirpatch.html): operations whose targets are found by FHIRPath.

use std::borrow::Cow;

use super::{
    MOST_OPERATIONS, Refused, malformed, unfitting,
    value::{Step, Value},
};
use crate::fhir::{
    definition::types::{Field, Kind as TypeKind, TypeId},
    json::{Kind, Limits, Ref},
    outcome::IssueType,
    path::{Expression, Scope},
    resource::Resource,
    tree::{Node, Tree},
};

/// A FHIRPath Patch.
#[derive(Clone, Debug)]
pub struct PathPatch {
    operations: Vec<Operation>,
    length: usize,
}

#[derive(Clone, Debug)]
struct Operation {
    kind: OperationKind,
    path: String,
    /// FHIRPath in the Parameters, for issues.
    at: String,
}

#[derive(Clone, Debug)]
enum OperationKind {
    Add { name: String, content: Content },
    Insert { index: usize, content: Content },
    Delete,
    Replace { content: Content },
    Move { source: usize, destination: usize },
}

/// A value: of a data type, or the parts of a backbone element.
#[derive(Clone, Debug)]
enum Content {
    /// The type as the name of `value[x]` says it (`Quantity`), and the value.
    Value {
        suffix: String,
        value: Value,
    },
    Parts(Vec<(String, Content)>),
}

impl PathPatch {
    /// Reads the Parameters.
    pub fn read(parameters: &Resource) -> Result<Self, Refused> {
        if parameters.type_name() != "Parameters" {
            let text = format!("a FHIRPath Patch is a Parameters resource, not a {}", parameters.type_name());
            return Err(malformed(text, parameters.type_name()));
        }
        let mut operations = Vec::new();
        for (index, one) in parameters.root().get("parameter").into_iter().flat_map(Ref::items).enumerate() {
            let at = format!("Parameters.parameter[{index}]");
            if one.str("name").as_deref() != Some("operation") {
                return Err(malformed("expected the name operation", at));
            }
            operations.push(operation(one, at)?);
        }
        if operations.is_empty() {
            return Err(malformed("a patch has at least one operation", "Parameters"));
        }
        if operations.len() > MOST_OPERATIONS {
            return Err(malformed(format!("a patch has at most {MOST_OPERATIONS} operations"), "Parameters"));
        }
        Ok(Self { operations, length: parameters.text().len() })
    }

    pub(super) const fn len(&self) -> usize {
        self.length
    }

    /// The resource after all operations.
    pub(super) fn apply(&self, resource: &Resource, limits: &Limits, budget: usize) -> Result<Value, Refused> {
        let mut current = resource.clone();
        let mut value = Value::of(current.root());
        for operation in &self.operations {
            apply(&current, &mut value, operation)?;
            let text = value.text();
            if text.len() > budget {
                return Err(unfitting(IssueType::TooLong, "the patched resource would be too large"));
            }
            current = Resource::parse(&text, limits).map_err(Refused::Unfitting)?;
            let tree = Tree::of_resource(current.doc());
            if let Some(found) = tree.faults().first() {
                let text =
                    format!("the patched resource has no such element: {}", tree.path_to(found.node, &found.member));
                return Err(refused(operation, IssueType::Structure, text));
            }
        }
        Ok(value)
    }
}

fn refused(operation: &Operation, code: IssueType, text: impl Into<String>) -> Refused {
    match unfitting(code, text) {
        Refused::Unfitting(issue) => Refused::Unfitting(issue.at(operation.at.clone())),
        other => other,
    }
}

fn operation(one: Ref<'_>, at: String) -> Result<Operation, Refused> {
    let parts: Vec<Ref<'_>> = one.get("part").into_iter().flat_map(Ref::items).collect();
    let part = |name: &str| parts.iter().find(|part| part.str("name").as_deref() == Some(name)).copied();
    let known = ["type", "path", "name", "value", "index", "source", "destination"];
    if let Some(odd) = parts.iter().find(|part| !part.str("name").is_some_and(|name| known.contains(&&*name))) {
        let name = odd.str("name").unwrap_or_default().into_owned();
        return Err(malformed(format!("an operation has no part '{name}'"), at));
    }
    let text = |name: &str| {
        let value = part(name).and_then(|part| part.members().find(|(key, _)| key.starts_with("value")));
        value.and_then(|(_, value)| value.as_str()).map(Cow::into_owned)
    };
    let number = |name: &str| {
        let value = part(name).and_then(|part| part.get("valueInteger"));
        let number = value.and_then(|value| value.raw().parse::<usize>().ok());
        number.ok_or_else(|| malformed(format!("expected the part {name} with a valueInteger from 0"), &at))
    };
    let required = |name: &str| text(name).ok_or_else(|| malformed(format!("expected the part {name}"), &at));
    let content = || {
        let part = part("value").ok_or_else(|| malformed("expected the part value", &at))?;
        content(part).ok_or_else(|| malformed("expected the part value to have a value[x] or parts", &at))
    };
    let kind = match &*required("type")? {
        "add" => OperationKind::Add { name: required("name")?, content: content()? },
        "insert" => OperationKind::Insert { index: number("index")?, content: content()? },
        "delete" => OperationKind::Delete,
        "replace" => OperationKind::Replace { content: content()? },
        "move" => OperationKind::Move { source: number("source")?, destination: number("destination")? },
        other => {
            let text = format!("expected the type add, insert, delete, replace or move, not '{other}'");
            return Err(malformed(text, at));
        }
    };
    let path = required("path")?;
    Expression::parse(&path).map_err(|error| malformed(format!("'{path}' is no FHIRPath: {error}"), &at))?;
    Ok(Operation { kind, path, at })
}

/// The parser bounds how deep parts nest.
fn content(part: Ref<'_>) -> Option<Content> {
    if let Some(parts) = part.get("part").filter(|parts| parts.kind() == Kind::Array) {
        let named = parts.items().map(|one| Some((one.str("name")?.into_owned(), content(one)?)));
        return named.collect::<Option<Vec<_>>>().map(Content::Parts);
    }
    if let Some(resource) = part.get("resource") {
        return Some(Content::Value { suffix: String::new(), value: Value::of(resource) });
    }
    let (name, value) = part.members().find(|(name, _)| name.starts_with("value"))?;
    Some(Content::Value { suffix: name["value".len()..].to_owned(), value: Value::of(value) })
}

fn apply(current: &Resource, value: &mut Value, operation: &Operation) -> Result<(), Refused> {
    let tree = Tree::of_resource(current.doc());
    let fail = |text: String| refused(operation, IssueType::NotFound, text);
    let expression = Expression::parse(&operation.path).map_err(|error| fail(error.to_string()))?;
    let scope = Scope::new(&tree, tree.root());
    let found = expression.evaluate(&scope).map_err(|error| fail(format!("{}: {error:?}", operation.path)))?;
    let nodes: Vec<Node> = found.nodes().collect();
    if nodes.len() != found.len() {
        return Err(fail(format!("{} finds something that is no element of the resource", operation.path)));
    }
    let one = || match nodes.as_slice() {
        [node] => Ok(*node),
        [] => Err(fail(format!("{} finds nothing", operation.path))),
        _ => Err(fail(format!("{} finds {} elements; an operation has one target", operation.path, nodes.len()))),
    };
    let is_done = match &operation.kind {
        OperationKind::Delete if nodes.is_empty() => return Ok(()),
        OperationKind::Delete => delete(&tree, value, one()?),
        OperationKind::Add { name, content } => add(&tree, value, one()?, name, content),
        OperationKind::Replace { content } => replace(&tree, value, one()?, content),
        OperationKind::Insert { index, content } => insert(&tree, value, &nodes, *index, content),
        OperationKind::Move { source, destination } => reorder(&tree, value, &nodes, *source, *destination),
    };
    is_done.map_err(|text| refused(operation, IssueType::Value, text))
}

/// The way from the root to an element's JSON. For a primitive without a value, to where the value would be.
fn steps(tree: &Tree<'_>, node: Node) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut at = node;
    while let (Some(field), Some(parent)) = (tree.field(at), tree.parent(at)) {
        if field.is_array {
            steps.push(Step::Item(position(tree, parent, at)));
        }
        steps.push(Step::Member(field.name.to_string()));
        at = parent;
    }
    steps.reverse();
    steps
}

/// The element's place in its array.
fn position(tree: &Tree<'_>, parent: Node, node: Node) -> usize {
    let field = tree.field_id(node);
    tree.children(parent)
        .filter(|child| tree.field_id(*child) == field)
        .position(|child| child == node)
        .unwrap_or_default()
}

fn shadow_name(name: &str) -> String {
    format!("_{name}")
}

/// Takes out the value at the end of a path, and an array that became empty with it.
fn take_out(root: &mut Value, path: &[Step]) {
    match path {
        [parents @ .., Step::Member(name), Step::Item(index)] => {
            let Some(parent) = root.at_mut(parents) else { return };
            let mut is_empty = false;
            if let Some(Value::Array(items)) = parent.at_mut(&[Step::Member(name.clone())])
                && *index < items.len()
            {
                items.remove(*index);
                is_empty = items.iter().all(|item| matches!(item, Value::Scalar(raw) if &**raw == "null"));
            }
            if is_empty {
                parent.remove_member(name);
            }
        }
        [parents @ .., Step::Member(name)] => {
            if let Some(parent) = root.at_mut(parents) {
                parent.remove_member(name);
            }
        }
        _ => {}
    }
}

/// The same path to the `_` sibling of a primitive.
fn shadow_of(path: &[Step]) -> Vec<Step> {
    let mut path = path.to_vec();
    let at = if matches!(path.last(), Some(Step::Item(_))) {
        path.len().saturating_sub(2)
    } else {
        path.len().saturating_sub(1)
    };
    if let Some(Step::Member(name)) = path.get_mut(at) {
        *name = shadow_name(name);
    }
    path
}

fn delete(tree: &Tree<'_>, value: &mut Value, node: Node) -> Result<(), String> {
    let path = steps(tree, node);
    if path.is_empty() {
        return Err("the resource itself cannot be deleted by a patch".to_owned());
    }
    let is_primitive = tree.kind(node).is_some_and(|kind| matches!(kind.kind, TypeKind::Primitive(_)));
    // With both arrays of a primitive, an index means the same item in both.
    take_out(value, &path);
    if is_primitive {
        take_out(value, &shadow_of(&path));
    }
    // An element without content is no element.
    let parents = &path[..path.len() - 1 - usize::from(matches!(path.last(), Some(Step::Item(_))))];
    if let Some(Value::Object(members)) = value.at_mut(parents)
        && members.is_empty()
        && !parents.is_empty()
    {
        take_out(value, parents);
    }
    Ok(())
}

/// The field that a value of this type has under an element's name.
fn field<'t>(tree: &Tree<'t>, holder: TypeId, element: &str, content: &Content) -> Result<&'static Field, String> {
    let types = tree.types();
    let mut fields = types
        .fields(holder)
        .map(|(_, field)| field)
        .filter(|field| &*field.element == element || &*field.name == element);
    let wanted = match content {
        Content::Value { suffix, .. } => suffix.as_str(),
        Content::Parts(_) => "",
    };
    let candidates: Vec<&'static Field> = fields.by_ref().collect();
    let by_type = candidates.iter().find(|field| {
        field.is_choice
            && !wanted.is_empty()
            && field.name.len() > field.element.len()
            && &field.name[field.element.len()..] == wanted
    });
    match (by_type, candidates.as_slice()) {
        (Some(field), _) => Ok(field),
        (None, [only]) if !only.is_choice || &*only.name == element => Ok(only),
        (None, []) => Err(format!("{} has no element '{element}'", types.ty(holder).name)),
        (None, _) => Err(format!("'{element}' cannot hold a value of type {wanted}")),
    }
}

/// Whether a value of `value[x]` fits a field: the same type, or both texts or both numbers whose form the validator checks.
fn fits(tree: &Tree<'_>, field: &Field, content: &Content) -> bool {
    let ty = tree.types().ty(field.ty);
    match content {
        Content::Parts(_) => !matches!(ty.kind, TypeKind::Primitive(_)),
        Content::Value { suffix, value } if suffix.is_empty() => matches!(value, Value::Object(_)),
        Content::Value { suffix, value } => {
            let same = ty.name.eq_ignore_ascii_case(suffix);
            let both_primitive = matches!((ty.kind, value), (TypeKind::Primitive(_), Value::Scalar(_)));
            // A backbone element, and types like SimpleQuantity, are given as their base.
            same || both_primitive || (matches!(ty.kind, TypeKind::Complex) && matches!(value, Value::Object(_)))
        }
    }
}

fn built(tree: &Tree<'_>, field: &Field, content: &Content) -> Result<Value, String> {
    if !fits(tree, field, content) {
        return Err(format!("the value is not of the type of {}, {}", field.name, tree.types().ty(field.ty).name));
    }
    match content {
        Content::Value { value, .. } => Ok(value.clone()),
        Content::Parts(parts) => {
            let mut object = Value::Object(Vec::new());
            for (name, part) in parts {
                let inner = self::field(tree, field.ty, name, part)?;
                let value = built(tree, inner, part)?;
                if inner.is_array {
                    match object.at_mut(&[Step::Member(inner.name.to_string())]) {
                        Some(Value::Array(items)) => items.push(value),
                        _ => object.set_member(&inner.name, Value::Array(vec![value])),
                    }
                } else {
                    object.set_member(&inner.name, value);
                }
            }
            Ok(object)
        }
    }
}

fn add(tree: &Tree<'_>, value: &mut Value, node: Node, name: &str, content: &Content) -> Result<(), String> {
    let holder = tree.ty(node).ok_or("the target has no known type")?;
    let field = field(tree, holder, name, content)?;
    let new = built(tree, field, content)?;
    let is_there = tree.children(node).any(|child| tree.field(child).is_some_and(|own| own.element == field.element));
    if is_there && !field.is_array {
        return Err(format!("there is a {name} already, and it does not repeat; use replace"));
    }
    let target = value.at_mut(&steps(tree, node)).ok_or("the target cannot be found")?;
    if !matches!(target, Value::Object(_)) {
        return Err("nothing can be added to a primitive value".to_owned());
    }
    if !field.is_array {
        target.set_member(&field.name, new);
        return Ok(());
    }
    append(target, &field.name, new);
    Ok(())
}

/// Appends to an array; the `_` sibling, where there is one, keeps the same length.
fn append(target: &mut Value, name: &str, new: Value) {
    let sibling = shadow_name(name);
    match target.at_mut(&[Step::Member(name.to_owned())]) {
        Some(Value::Array(items)) => items.push(new),
        _ => target.set_member(name, Value::Array(vec![new])),
    }
    if let Some(Value::Array(items)) = target.at_mut(&[Step::Member(sibling)]) {
        items.push(Value::Scalar("null".into()));
    }
}

fn replace(tree: &Tree<'_>, value: &mut Value, node: Node, content: &Content) -> Result<(), String> {
    let (Some(own), Some(parent)) = (tree.field(node), tree.parent(node)) else {
        return Err("the resource itself cannot be replaced by a patch".to_owned());
    };
    let holder = tree.ty(parent).ok_or("the target has no known type")?;
    let field = field(tree, holder, &own.element, content)?;
    let new = built(tree, field, content)?;
    let path = steps(tree, node);
    if field.name == own.name {
        if let Some(old) = value.at_mut(&path) {
            *old = new;
        } else {
            // A primitive that had extensions only.
            let parent = value.at_mut(&path[..path.len() - 1]).ok_or("the target cannot be found")?;
            parent.set_member(&field.name, new);
        }
        return Ok(());
    }
    // Another type of a choice.
    take_out(value, &path);
    take_out(value, &shadow_of(&path));
    let parent = value.at_mut(&path[..path.len() - 1]).ok_or("the target cannot be found")?;
    parent.set_member(&field.name, new);
    Ok(())
}

/// The array that a list of elements stands in, whole: (field, path of its holder).
fn list(tree: &Tree<'_>, nodes: &[Node]) -> Result<(&'static Field, Vec<Step>, TypeId), String> {
    let first = nodes.first().ok_or("the path finds no list")?;
    let (Some(field), Some(parent)) = (tree.field(*first), tree.parent(*first)) else {
        return Err("the path finds no list".to_owned());
    };
    let id = tree.field_id(*first);
    let all = tree.children(parent).filter(|child| tree.field_id(*child) == id);
    if !field.is_array || !all.eq(nodes.iter().copied()) {
        return Err("the path does not find one whole list".to_owned());
    }
    let holder = tree.ty(parent).ok_or("the target has no known type")?;
    Ok((field, steps(tree, parent), holder))
}

fn insert(tree: &Tree<'_>, value: &mut Value, nodes: &[Node], index: usize, content: &Content) -> Result<(), String> {
    let (own, holder_path, holder) = list(tree, nodes)?;
    if index > nodes.len() {
        return Err(format!("index {index} is beyond the end of the list of {}", nodes.len()));
    }
    let field = field(tree, holder, &own.element, content)?;
    let new = built(tree, field, content)?;
    let target = value.at_mut(&holder_path).ok_or("the target cannot be found")?;
    for (name, item) in [(own.name.to_string(), new), (shadow_name(&own.name), Value::Scalar("null".into()))] {
        if let Some(Value::Array(items)) = target.at_mut(&[Step::Member(name)])
            && index <= items.len()
        {
            items.insert(index, item);
        }
    }
    Ok(())
}

fn reorder(
    tree: &Tree<'_>,
    value: &mut Value,
    nodes: &[Node],
    source: usize,
    destination: usize,
) -> Result<(), String> {
    let (own, holder_path, _) = list(tree, nodes)?;
    if source >= nodes.len() || destination >= nodes.len() {
        return Err(format!("the list has {} elements, from 0", nodes.len()));
    }
    let target = value.at_mut(&holder_path).ok_or("the target cannot be found")?;
    for name in [own.name.to_string(), shadow_name(&own.name)] {
        if let Some(Value::Array(items)) = target.at_mut(&[Step::Member(name)])
            && source < items.len()
            && destination < items.len()
        {
            let item = items.remove(source);
            items.insert(destination, item);
        }
    }
    Ok(())
}
