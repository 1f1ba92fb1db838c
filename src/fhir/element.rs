//! A walk of a document along R4's table of types ([`super::definition::types`]).

use super::{
    definition::types::{self, Kind, TypeId, Types},
    json::{self, Ref},
};

/// A primitive value met on a walk.
pub struct Leaf<'a, 'd> {
    /// FHIRPath from the resource, such as `Observation.subject.reference`.
    pub path: &'a str,
    /// The type that holds the element: `Reference`, `Patient.contact`.
    pub holder: &'static str,
    /// The element's name in its holder, as JSON has it.
    pub name: &'static str,
    /// The element's R4 type: `string`, `uri`, `canonical`, `xhtml`.
    pub kind: &'static str,
    /// The value.
    pub value: Ref<'d>,
}

/// Calls `visit` for every primitive value of `resource` whose element R4 knows; contained resources and resources in
/// Bundles and Parameters included. The depth is bounded by the document's own limit.
pub fn walk<'d>(resource: Ref<'d>, visit: &mut dyn FnMut(&Leaf<'_, 'd>)) {
    let mut walk = Walk { types: types::r4(), path: String::new(), visit };
    if let Some(name) = resource.str("resourceType") {
        walk.path.push_str(&name);
        walk.resource(resource);
    }
}

struct Walk<'v, 'd> {
    types: &'static Types,
    path: String,
    visit: &'v mut dyn FnMut(&Leaf<'_, 'd>),
}

impl<'d> Walk<'_, 'd> {
    fn resource(&mut self, resource: Ref<'d>) {
        let found = resource.str("resourceType").and_then(|name| self.types.resource(&name));
        if let Some(found) = found {
            self.members(resource, found);
        }
    }

    fn members(&mut self, of: Ref<'d>, holder: TypeId) {
        for (name, member) in of.members() {
            let Some(field) = self.types.field_named(holder, &name) else { continue };
            let field = self.types.field(field);
            let length = self.path.len();
            self.path.push('.');
            self.path.push_str(&name);
            if member.kind() == json::Kind::Array {
                for (index, item) in member.items().enumerate() {
                    let length = self.path.len();
                    self.path.push_str(&format!("[{index}]"));
                    self.value(item, field);
                    self.path.truncate(length);
                }
            } else {
                self.value(member, field);
            }
            self.path.truncate(length);
        }
    }

    fn value(&mut self, value: Ref<'d>, field: &'static types::Field) {
        let ty = self.types.ty(field.ty);
        if value.kind() != json::Kind::Object {
            let holder = &self.types.ty(field.holder).name;
            (self.visit)(&Leaf { path: &self.path, holder, name: &field.name, kind: &ty.name, value });
        } else if ty.kind == Kind::Resource {
            self.resource(value);
        } else {
            self.members(value, field.ty);
        }
    }
}
