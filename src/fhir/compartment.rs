//! The Patient compartment of R4 (compartmentdefinition-patient): which patients a resource belongs to.
//!
//! `Patient.link` is left out on purpose: a linked Patient record is another person's record as far as a `patient/`
//! scope is concerned (SMART App Launch 2.1, scopes-and-launch-context.html, on `Patient.link`).

use std::{collections::HashMap, sync::LazyLock};

use super::{json::Ref, reference, resource::Resource};

static PATHS: LazyLock<HashMap<&'static str, Vec<&'static str>>> = LazyLock::new(|| {
    include_str!("../../capability/r4/patient-compartment.txt")
        .lines()
        .filter_map(|line| line.split_once('|'))
        .map(|(name, paths)| (name, paths.split(',').filter(|path| !path.is_empty()).collect()))
        .collect()
});

/// Whether resources of this type can belong to a patient at all. Practitioner, Organization, Location and the like
/// cannot.
pub fn has_patients(type_name: &str) -> bool {
    PATHS.contains_key(type_name)
}

/// The ids of the patients whose compartment holds `resource`, which is stored under `id`.
pub fn patients(resource: &Resource, id: &str, base: &str) -> Vec<String> {
    if resource.type_name() == "Patient" {
        return vec![id.to_owned()];
    }
    let Some(paths) = PATHS.get(resource.type_name()) else { return Vec::new() };
    let references = paths.iter().flat_map(|path| resource.root().at(path));
    references.filter_map(|value| patient(value, base)).collect()
}

fn patient(value: Ref<'_>, base: &str) -> Option<String> {
    let (kind, id) = reference::local(&value.str("reference")?, base)?;
    (kind == "Patient").then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json::Limits;

    #[test]
    fn patients_are_found_by_the_compartment_definition() {
        let of = |text: &str| patients(&Resource::parse(text, &Limits::default()).unwrap(), "p", "http://h/fhir");
        assert_eq!(of(r#"{"resourceType":"Patient","link":[{"other":{"reference":"Patient/q"}}]}"#), ["p"]);
        assert_eq!(
            of(
                r#"{"resourceType":"Observation","subject":{"reference":"Patient/a"},"performer":[{"reference":"http://h/fhir/Patient/b"}]}"#
            ),
            ["a", "b"]
        );
        assert_eq!(of(r#"{"resourceType":"Appointment","participant":[{"actor":{"reference":"Patient/a"}}]}"#), ["a"]);
        assert!(of(r#"{"resourceType":"Observation","subject":{"reference":"Group/a"}}"#).is_empty());
        assert!(of(r#"{"resourceType":"Organization"}"#).is_empty());
        assert!(has_patients("Observation") && !has_patients("Practitioner"));
    }
}
