//! Changes of `meta` (FHIR R4 resource-operation-meta-add.html, -meta-delete.html): profiles, tags and security labels are
//! sets; two tags are one when their system and code are.

use super::{Refused, malformed, value::Value};
use crate::fhir::{json::Ref, resource::Resource};

const SETS: [&str; 3] = ["profile", "tag", "security"];

/// What is added to, or taken out of, `meta`.
#[derive(Clone, Debug)]
pub struct MetaPatch {
    adds: bool,
    meta: Value,
}

impl MetaPatch {
    /// Reads the operation's Parameters: one `meta`.
    pub fn read(parameters: &Resource, adds: bool) -> Result<Self, Refused> {
        let named: Vec<_> = parameters.root().get("parameter").into_iter().flat_map(Ref::items).collect();
        let meta = match named.as_slice() {
            [one] if one.str("name").as_deref() == Some("meta") => one.get("valueMeta"),
            _ => None,
        };
        let meta = meta.ok_or_else(|| malformed("expected one parameter, meta, with a valueMeta", "Parameters"))?;
        Ok(Self { adds, meta: Value::of(meta) })
    }

    pub(super) fn len(&self) -> usize {
        self.meta.size()
    }

    pub(super) fn apply(&self, mut resource: Value) -> Value {
        let mut meta = resource.member("meta").cloned().unwrap_or(Value::Object(Vec::new()));
        for name in SETS {
            let Some(Value::Array(given)) = self.meta.member(name) else { continue };
            let mut own = match meta.member(name) {
                Some(Value::Array(own)) => own.clone(),
                _ => Vec::new(),
            };
            own.retain(|one| self.adds || !given.iter().any(|other| same(one, other)));
            if self.adds {
                for one in given {
                    if !own.iter().any(|other| same(one, other)) {
                        own.push(one.clone());
                    }
                }
            }
            if own.is_empty() {
                meta.remove_member(name);
            } else {
                meta.set_member(name, Value::Array(own));
            }
        }
        resource.set_member("meta", meta);
        resource
    }
}

fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Object(_), Value::Object(_)) => {
            left.member("system") == right.member("system") && left.member("code") == right.member("code")
        }
        _ => left == right,
    }
}
