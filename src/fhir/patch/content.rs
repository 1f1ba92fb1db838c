//! What an operation of a FHIRPath Patch brings: the part `value`.

use std::borrow::Cow;

use super::{
    Refused,
    list::{Item, List},
    malformed,
    value::Value,
};
use crate::fhir::{
    definition::types::{Field, Kind, Primitive, TypeId, Types},
    tree::{Node, Tree},
};

/// A value, as Parameters can carry it.
#[derive(Clone, Debug)]
pub enum Content {
    /// `value[x]`, with the `_` sibling of a primitive.
    Value { ty: TypeId, item: Item },
    /// `resource`, for what holds resources.
    Resource(Value),
    /// `part`: the children of a backbone element, or of any type that is not primitive, by name.
    Parts(Vec<(String, Content)>),
}

impl Content {
    /// Reads a part of Parameters. The document's depth bounds how deep parts nest.
    pub fn read(tree: &Tree<'_>, part: Node) -> Result<Self, Refused> {
        let (value, resource) = (tree.child(part, "value"), tree.child(part, "resource"));
        let parts: Vec<_> = tree.named(part, "part").collect();
        match (value, resource, parts.as_slice()) {
            (Some(value), None, []) => {
                let ty = tree.ty(value).ok_or_else(|| malformed("expected a value", tree.path(value)))?;
                let item = Item { value: tree.value(value).map(Value::of), shadow: tree.shadow(value).map(Value::of) };
                Ok(Self::Value { ty, item })
            }
            (None, Some(resource), []) => Ok(Self::Resource(Value::of(tree.json(resource)))),
            (None, None, [_, ..]) => {
                let named = parts.into_iter().map(|one| {
                    let name = tree.str(one, "name").map(Cow::into_owned).unwrap_or_default();
                    Ok((name, Self::read(tree, one)?))
                });
                Ok(Self::Parts(named.collect::<Result<_, Refused>>()?))
            }
            _ => Err(malformed("expected a value[x], a resource or parts", tree.path(part))),
        }
    }

    /// The field of `holder` that it goes into: `element`, or one of its types if it is a choice. JSON's names of fields
    /// (`valueQuantity`) are understood as well.
    pub fn field(&self, types: &'static Types, holder: TypeId, element: &str) -> Result<&'static Field, String> {
        let fields = types.fields(holder).map(|(_, field)| field);
        let named: Vec<_> = fields.filter(|field| &*field.element == element || &*field.name == element).collect();
        if named.is_empty() {
            return Err(format!("{} has no element '{element}'", types.ty(holder).name));
        }
        let is_same = |field: &&&Field| matches!(self, Self::Value { ty, .. } if *ty == field.ty);
        let mut fitting = named.iter().filter(|field| self.fits(types, field));
        match (named.iter().find(is_same), fitting.next(), fitting.next()) {
            (Some(field), _, _) | (None, Some(field), None) => Ok(field),
            (None, Some(_), Some(_)) => {
                Err(format!("'{element}' is of one of several types: name it with its type, such as {}", named[0].name))
            }
            (None, None, _) => Err(format!("'{element}' does not take {}", self.what(types))),
        }
    }

    /// Whether its type is the field's. A type also stands for those that are derived from it (`string` for `code`,
    /// `Quantity` for `Age`), for what it is derived from, and for what every value of it is too: an `integer` is a
    /// `decimal`. Parameters have no `xhtml`, so that is a `string`.
    fn fits(&self, types: &Types, field: &Field) -> bool {
        let kind = types.ty(field.ty).kind;
        match self {
            Self::Value { ty, .. } => {
                let pair = (types.primitive(*ty), types.primitive(field.ty));
                let is_wider = matches!(
                    pair,
                    (Some(Primitive::Integer), Some(Primitive::Decimal))
                        | (Some(Primitive::Date), Some(Primitive::DateTime))
                        | (Some(Primitive::String), Some(Primitive::Xhtml))
                );
                types.is_a(*ty, field.ty) || types.is_a(field.ty, *ty) || is_wider
            }
            Self::Resource(_) => kind == Kind::Resource,
            Self::Parts(_) => kind == Kind::Complex,
        }
    }

    fn what(&self, types: &Types) -> String {
        match self {
            Self::Value { ty, .. } => format!("a value of type {}", types.ty(*ty).name),
            Self::Resource(_) => "a resource".to_owned(),
            Self::Parts(_) => "parts".to_owned(),
        }
    }

    /// The item of `field` that it is.
    pub fn item(&self, types: &'static Types, field: &Field) -> Result<Item, String> {
        match self {
            Self::Value { item, .. } => Ok(item.clone()),
            Self::Resource(resource) => Ok(resource.clone().into()),
            Self::Parts(parts) => {
                let mut lists: Vec<(&Field, List)> = Vec::new();
                for (name, part) in parts {
                    let inner = part.field(types, field.ty, name)?;
                    let item = part.item(types, inner)?;
                    match lists.iter_mut().find(|(known, _)| known.name == inner.name) {
                        Some((_, list)) if inner.is_array => list.items.push(item),
                        Some(_) => return Err(format!("{name} stands twice, and it does not repeat")),
                        None => lists.push((inner, List::of(item, inner.is_array))),
                    }
                }
                let mut object = Value::Object(Vec::new());
                for (inner, list) in lists {
                    list.put(&mut object, &inner.name);
                }
                Ok(object.into())
            }
        }
    }
}
