//! What the statement says of searches: the parameters that are indexed, and what may be included.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::access::audit::AUDIT_EVENT;
use crate::fhir::{
    definition::parameter::Kind,
    search::{Parameter, Parameters},
    types,
};

/// Described by R4's text; there is no SearchParameter to point to.
const WITHOUT_DEFINITION: [&str; 2] = ["_has", "_list"];

/// `searchParam`
pub fn parameters<'p>(parameters: impl Iterator<Item = &'p Parameter>) -> Vec<Value> {
    let tell = |parameter: &Parameter| {
        let mut told = json!({"name": parameter.code});
        if !WITHOUT_DEFINITION.contains(&&*parameter.code) {
            told["definition"] = json!(parameter.url);
        }
        told["type"] = json!(parameter.kind.code());
        told
    };
    parameters.map(tell).collect()
}

/// `searchParam` of a type; `includes` is its `searchRevInclude`: to what nothing leads, `_has` finds nothing.
pub fn of_type(all: &Parameters, kind: &str, includes: &[Value]) -> Vec<Value> {
    let is_led_to = includes.iter().any(|include| include != "*");
    parameters(all.of(kind).filter(|parameter| parameter.code != "_has" || is_led_to))
}

/// `searchInclude` of every type.
pub fn includes(parameters: &Parameters, kind: &str) -> Vec<Value> {
    let own = parameters.of(kind).filter(|parameter| parameter.kind == Kind::Reference);
    std::iter::once(json!("*")).chain(own.map(|parameter| json!(named(parameter)))).collect()
}

/// `searchRevInclude` by type.
pub fn reverse_includes(parameters: &Parameters) -> BTreeMap<&'static str, Vec<Value>> {
    let mut by_type: BTreeMap<_, _> = types::resource_types().map(|kind| (kind, vec![json!("*")])).collect();
    // Nothing is found by way of the audit trail.
    let of_all = types::resource_types().filter(|kind| *kind != AUDIT_EVENT).flat_map(|kind| parameters.of(kind));
    for parameter in of_all.filter(|parameter| parameter.kind == Kind::Reference) {
        for (kind, includes) in &mut by_type {
            if parameter.targets.is_empty() || parameter.targets.iter().any(|target| target == kind) {
                includes.push(json!(named(parameter)));
            }
        }
    }
    by_type
}

fn named(parameter: &Parameter) -> String {
    format!("{}:{}", parameter.type_name, parameter.code)
}
