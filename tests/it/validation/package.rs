//! Packages of these tests: profiles written as differentials, value sets, extensions.

use serde_json::{Value, json};
use sofa::fhir::definition::{registry::Registry, source::Definitions};
use sofa::fhir::validate::{Options, Validator};

/// A profile on a type: its differential's elements as JSON text.
pub fn profile(url: &str, of: &str, elements: &str) -> Value {
    let base = format!("http://hl7.org/fhir/StructureDefinition/{of}");
    derived(url, of, &base, elements)
}

/// A profile on another definition.
pub fn derived(url: &str, of: &str, base: &str, elements: &str) -> Value {
    let elements: Value =
        serde_json::from_str(&format!("[{elements}]")).unwrap_or_else(|error| panic!("{error}: {elements}"));
    let is_resource = !["Extension", "Quantity", "Identifier", "CodeableConcept", "HumanName"].contains(&of);
    json!({
        "resourceType": "StructureDefinition", "url": url, "name": "Test", "status": "draft", "abstract": false,
        "kind": if is_resource { "resource" } else { "complex-type" },
        "type": of, "baseDefinition": base, "derivation": "constraint",
        "differential": {"element": elements},
    })
}

/// An extension that may stand in `contexts`.
pub fn extension(url: &str, contexts: &[(&str, &str)], elements: &str) -> Value {
    let url_element = format!(r#"{{"id":"Extension.url","path":"Extension.url","fixedUri":"{url}"}}"#);
    let mut extension = profile(url, "Extension", &[elements, &url_element].join(","));
    extension["context"] =
        contexts.iter().map(|(kind, expression)| json!({"type": kind, "expression": expression})).collect();
    extension
}

/// A value set of these codes.
pub fn value_set(url: &str, system: &str, codes: &[&str]) -> Value {
    let concepts: Vec<_> = codes.iter().map(|code| json!({"code": code})).collect();
    json!({"resourceType": "ValueSet", "url": url, "status": "draft",
        "compose": {"include": [{"system": system, "concept": concepts}]}})
}

/// A registry with one package of these definitions.
pub fn registry(definitions: &[Value]) -> std::sync::Arc<Registry> {
    let manifest = json!({"name": "a.test", "version": "1.0.0", "fhirVersions": ["4.0.1"]});
    let files = definitions.iter().enumerate().map(|(at, one)| (format!("package/{at}.json"), one.to_string()));
    let files = files.chain([("package/package.json".to_owned(), manifest.to_string())]);
    let package = Definitions::from_files(files).unwrap().package().unwrap();
    Registry::with(vec![package]).unwrap()
}

/// A validator with one package of these definitions.
pub fn profiles(definitions: &[Value]) -> Validator {
    Validator::new(registry(definitions), Options::default())
}
