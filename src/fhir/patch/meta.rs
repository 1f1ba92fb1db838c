//! What `$meta-add` and `$meta-delete` do to a resource (FHIR R4 resource-operation-meta-add.html, -delete.html): profiles,
//! tags and security labels are sets. A label is its system and code, whatever its version and display; a profile is its URL.

use std::collections::HashSet;

use super::{Refused, list::List, malformed, value::Value};
use crate::fhir::{
    json::{Kind, Ref},
    resource::Resource,
    tree::Tree,
    validate::misshapen,
};

/// The elements of `Meta` that these operations are for.
const SETS: [&str; 3] = ["profile", "security", "tag"];

/// Labels to be added or deleted.
#[derive(Clone, Debug)]
pub struct MetaPatch {
    /// By the index in [`SETS`].
    sets: [Vec<Value>; 3],
    adds: bool,
    length: usize,
}

impl MetaPatch {
    /// Reads the operation's Parameters: one parameter `meta`.
    pub(super) fn read(parameters: &Resource, adds: bool) -> Result<Self, Refused> {
        let metas: Vec<_> = parameters.root().at("parameter");
        let is_meta = |one: &Ref<'_>| one.str("name").as_deref() == Some("meta");
        let one = match metas.as_slice() {
            [one] if parameters.type_name() == "Parameters" && is_meta(one) => one.get("valueMeta"),
            _ => None,
        };
        let Some(meta) = one.filter(|meta| meta.kind() == Kind::Object) else {
            let text = "expected Parameters with one parameter: meta, a valueMeta with the labels";
            return Err(malformed(text, parameters.type_name()));
        };
        if let Some(fault) = misshapen(&Tree::of_resource(parameters.doc())) {
            return Err(Refused::Malformed(fault));
        }
        let sets = SETS.map(|name| meta.get(name).into_iter().flat_map(Ref::items).map(Value::of).collect());
        if sets.iter().all(Vec::is_empty) {
            return Err(malformed("expected a profile, tag or security label", "Parameters.parameter[0].value"));
        }
        Ok(Self { sets, adds, length: parameters.text().len() })
    }

    /// The length of its Parameters, in bytes of JSON.
    pub(super) const fn len(&self) -> usize {
        self.length
    }

    /// The resource with the labels, or without them. It always fits: a label that is there is not added, one that is not
    /// there not deleted.
    pub(super) fn apply(&self, mut root: Value) -> Value {
        if root.member("meta").is_none() {
            root.set_member("meta", Value::Object(Vec::new()));
        }
        if let Some(meta) = root.member_mut("meta") {
            for (name, labels) in SETS.into_iter().zip(&self.sets) {
                self.change(meta, name, labels);
            }
        }
        root
    }

    fn change(&self, meta: &mut Value, name: &str, labels: &[Value]) {
        let mut list = List::take(meta, name, true);
        let key = |label: Option<&Value>| label.and_then(key);
        if self.adds {
            let mut known: HashSet<_> = list.items.iter().filter_map(|item| key(item.value.as_ref())).collect();
            let new = labels.iter().filter(|label| known.insert(self::key(label).unwrap_or_default()));
            list.items.extend(new.cloned().map(Into::into));
        } else {
            let gone: HashSet<_> = labels.iter().filter_map(self::key).collect();
            list.items.retain(|item| key(item.value.as_ref()).is_none_or(|key| !gone.contains(&key)));
        }
        list.put(meta, name);
    }
}

/// What makes two labels or profiles the same.
fn key(label: &Value) -> Option<(String, String)> {
    let text = |value: Option<&Value>| value.and_then(Value::string).unwrap_or_default();
    match label {
        Value::Object(_) => Some((text(label.member("system")), text(label.member("code")))),
        Value::Scalar(_) => Some((label.string()?, String::new())),
        Value::Array(_) => None,
    }
}
