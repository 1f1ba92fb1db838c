//! R4's element table: which type each element of each type has, and a walk of a document along it.
//!
//! The table (`capability/r4/elements.txt`) holds one line per type, `Type|name:type[*],…`, from the snapshots of R4
//! 4.0.1: choice elements expanded, backbone elements as types of their own (`Patient.contact`), content references
//! resolved, `*` where the element repeats.

use std::{collections::HashMap, sync::LazyLock};

use super::json::{Kind, Ref};

type Fields = HashMap<&'static str, &'static str>;

static TABLE: LazyLock<HashMap<&'static str, Fields>> = LazyLock::new(|| {
    include_str!("../../capability/r4/elements.txt")
        .lines()
        .filter_map(|line| line.split_once('|'))
        .map(|(name, fields)| {
            let fields = fields.split(',').filter_map(|field| field.split_once(':'));
            (name, fields.map(|(name, kind)| (name, kind.trim_end_matches('*'))).collect())
        })
        .collect()
});

/// Whether R4 has a resource, complex type or backbone element of this name.
pub fn is_type(name: &str) -> bool {
    TABLE.contains_key(name)
}

/// A primitive value met on a walk.
pub struct Leaf<'a, 'd> {
    /// FHIRPath from the resource, such as `Observation.subject.reference`.
    pub path: &'a str,
    /// The type that holds the element: `Reference`, `Patient.contact`.
    pub holder: &'a str,
    /// The element's name in its holder.
    pub name: &'a str,
    /// The element's R4 type: `string`, `uri`, `canonical`, `xhtml`.
    pub kind: &'static str,
    /// The value.
    pub value: Ref<'d>,
}

/// Calls `visit` for every primitive value of `resource` whose element R4 knows; contained resources and resources in
/// Bundles and Parameters included. The depth is bounded by the document's own limit.
pub fn walk<'d>(resource: Ref<'d>, visit: &mut dyn FnMut(&Leaf<'_, 'd>)) {
    if let Some(name) = resource.str("resourceType") {
        let mut path = name.to_string();
        walk_in(resource, &name, &mut path, visit);
    }
}

fn walk_in<'d>(value: Ref<'d>, holder: &str, path: &mut String, visit: &mut dyn FnMut(&Leaf<'_, 'd>)) {
    let Some(fields) = TABLE.get(holder) else { return };
    for (name, member) in value.members() {
        let Some(kind) = fields.get(name.as_ref()) else { continue };
        let length = path.len();
        path.push('.');
        path.push_str(&name);
        if member.kind() == Kind::Array {
            for (index, item) in member.items().enumerate() {
                let length = path.len();
                path.push_str(&format!("[{index}]"));
                walk_value(item, holder, &name, kind, path, visit);
                path.truncate(length);
            }
        } else {
            walk_value(member, holder, &name, kind, path, visit);
        }
        path.truncate(length);
    }
}

fn walk_value<'d>(
    value: Ref<'d>,
    holder: &str,
    name: &str,
    kind: &'static str,
    path: &mut String,
    visit: &mut dyn FnMut(&Leaf<'_, 'd>),
) {
    if value.kind() != Kind::Object {
        visit(&Leaf { path, holder, name, kind, value });
    } else if kind == "Resource" {
        if let Some(inner) = value.str("resourceType") {
            walk_in(value, &inner, path, visit);
        }
    } else {
        walk_in(value, kind, path, visit);
    }
}
