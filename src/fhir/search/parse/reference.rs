//! Values of reference parameters (FHIR R4 search.html#reference).

use super::refusal::Refusal;
use crate::fhir::{
    reference::local,
    search::{Parameter, extract::EXACT, fold::cut},
    types::{is_id, is_resource},
};

/// What a reference may lead to: (type, id); with the empty type a URL; `None`: any type.
pub type Reached = (Option<String>, String);

/// The types that a reference parameter may lead to; none: any. R4 gives `patient` of all clinical types the targets Patient
/// and Group; its expression says which: `Observation.subject.where(resolve() is Patient)`.
pub fn types_of(parameter: &Parameter) -> &[String] {
    let all = parameter.targets.as_slice();
    if all.len() < 2 {
        return all;
    }
    let only = parameter.expression().and_then(|expression| {
        let text = expression.text();
        let (_, condition) = text.split_once(".where(resolve() is ").filter(|_| !text.contains('|'))?;
        let wanted = condition.strip_suffix(')')?;
        all.iter().find(|one| *one == wanted)
    });
    only.map_or(all, std::slice::from_ref)
}

/// Whether a reference parameter may lead to resources of a type; one that names no types, to all.
pub fn may_lead_to(targets: &[String], type_name: &str) -> bool {
    targets.is_empty() || targets.iter().any(|target| target == type_name || target == "Resource")
}

/// Reads `23`, `Patient/23`, `Patient/23/_history/1`, an absolute URL, a canonical with or without version. `wanted` is the
/// type of the modifier `:Patient`; `types` are those that the parameter may lead to.
pub fn target(base: &str, types: &[String], wanted: Option<&str>, value: &str) -> Result<Reached, Refusal> {
    if is_id(value) {
        let only = match types {
            [one] => Some(one.as_str()),
            _ => None,
        };
        return Ok((wanted.or(only).map(ToOwned::to_owned), value.to_owned()));
    }
    if let Some((kind, id)) = local(value, base) {
        if wanted.is_some_and(|wanted| wanted != kind) {
            return Err(Refusal::wrong(format!("the modifier names another type than the reference to {kind}/{id}")));
        }
        return Ok((Some(kind), id));
    }
    if is_absolute(value) {
        return Ok((Some(String::new()), cut(value, EXACT).to_owned()));
    }
    let expected = match value.split_once('/') {
        Some((kind, _)) if !is_resource(kind) => "the type before the slash to be one of R4's resource types",
        _ => "[id], [type]/[id] or an absolute URL",
    };
    Err(Refusal::value(expected, value))
}

/// Whether it begins with a scheme (RFC 3986 section 3.1).
fn is_absolute(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    let mut bytes = scheme.bytes();
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic()) && bytes.all(is_inner) && !rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "http://h/fhir";

    fn read(types: &[&str], wanted: Option<&str>, value: &str) -> Result<Reached, Refusal> {
        let types: Vec<String> = types.iter().map(|one| (*one).to_owned()).collect();
        target(BASE, &types, wanted, value)
    }

    #[test]
    fn every_form_leads_to_its_target() {
        let several = ["Patient", "Group"];
        for (types, wanted, value, expected) in [
            (&several[..], None, "23", (None, "23")),
            (&several[..1], None, "23", (Some("Patient"), "23")),
            (&several[..], Some("Group"), "23", (Some("Group"), "23")),
            (&several[..], Some("Group"), "Group/23", (Some("Group"), "23")),
            (&several[..], None, "Patient/23", (Some("Patient"), "23")),
            (&several[..], None, "Patient/23/_history/4", (Some("Patient"), "23")),
            (&several[..], None, "http://h/fhir/Patient/23", (Some("Patient"), "23")),
            (&several[..], None, "http://other/Patient/23", (Some(""), "http://other/Patient/23")),
            (&several[..], None, "urn:uuid:1", (Some(""), "urn:uuid:1")),
            (&[][..], None, "http://x/q|1.0", (Some(""), "http://x/q|1.0")),
        ] {
            let (kind, id) = read(types, wanted, value).unwrap();
            assert_eq!((kind.as_deref(), id.as_str()), expected, "{value}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        for value in
            ["Patient/a_b", "Foo/1", "#contained", "Patient/", "/1", "a b", "Patient/1/x", ":", "http:", "1a:x y/"]
        {
            assert!(!read(&["Patient"], None, value).unwrap_err().may_be_left_out, "{value}");
        }
        assert!(read(&["Patient", "Group"], Some("Group"), "Patient/1").unwrap_err().text.contains("another type"));
    }
}
