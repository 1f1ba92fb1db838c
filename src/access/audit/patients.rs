//! Which patients a resource concerns, found without reading it as a document: a page of a search has many.

use std::collections::BTreeSet;

use crate::fhir::{compartment, json::Limits, resource::Resource, types::is_id};

/// Ids of patients: of those whose record was seen, and those that it refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patients(BTreeSet<String>);

impl Patients {
    /// Adds one that is known.
    pub fn add(&mut self, id: &str) {
        if !self.0.contains(id) {
            self.0.insert(id.to_owned());
        }
    }

    /// Adds those of a resource of type `kind` that is stored under `id`. Types that belong to no patient concern none.
    pub fn of(&mut self, kind: &str, id: &str, body: &str, base: &str) {
        if !compartment::has_patients(kind) {
            return;
        }
        if kind == "Patient" {
            return self.add(id);
        }
        if body.contains("\\/") || body.contains("\\u00") {
            // Written in a way that hides references from a look at the text.
            if let Ok(resource) = Resource::parse(body, &Limits { depth: usize::from(u8::MAX) }) {
                compartment::patients(&resource, id, base).iter().for_each(|patient| self.add(patient));
            }
            return;
        }
        for (at, _) in body.match_indices("Patient/") {
            let (before, after) = (&body[..at], &body[at + "Patient/".len()..]);
            let is_value = before.ends_with('"') && !before.ends_with("\\\"");
            if is_value || before.strip_suffix('/').is_some_and(|before| before.ends_with(base)) {
                let end = after.find(['"', '/', '?', '#']).unwrap_or(after.len());
                if is_id(&after[..end]) {
                    self.add(&after[..end]);
                }
            }
        }
    }
}

impl From<Patients> for Vec<String> {
    fn from(patients: Patients) -> Self {
        patients.0.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: &str, body: &str) -> Vec<String> {
        let mut patients = Patients::default();
        patients.of(kind, "own", body, "http://h/fhir");
        patients.into()
    }

    #[test]
    fn patients_are_those_that_a_resource_refers_to() {
        for (kind, body, expected) in [
            ("Patient", r#"{"link":[{"other":{"reference":"Patient/q"}}]}"#, &["own"][..]),
            ("Observation", r#"{"subject":{"reference":"Patient/a"}}"#, &["a"]),
            (
                "Observation",
                r#"{"subject":{"reference":"Patient/a"},"focus":[{"reference":"Patient/b/_history/2"}]}"#,
                &["a", "b"],
            ),
            ("Observation", r#"{"subject":{"reference":"http://h/fhir/Patient/a"}}"#, &["a"]),
            ("Observation", r#"{"resourceType":"Observation","subject":{"reference":"Patient\/a"}}"#, &["a"]),
            ("Observation", r#"{"resourceType":"Observation","subject":{"reference":"\u0050atient/a"}}"#, &["a"]),
            ("Observation", r#"{"subject":{"reference":"http://other/fhir/Patient/a"}}"#, &[]),
            ("Observation", r#"{"text":{"div":"<a href=\"Patient/a\">x</a>"}}"#, &[]),
            ("Observation", r#"{"subject":{"reference":"Patient/not an id"}}"#, &[]),
            ("Observation", r#"{"subject":{"reference":"Patient?identifier=x"}}"#, &[]),
            ("Observation", r#"{"note":[{"text":"the Patient/a came"}]}"#, &[]),
            ("Observation", "not JSON \\/", &[]),
            ("Practitioner", r#"{"extension":[{"valueReference":{"reference":"Patient/a"}}]}"#, &[]),
        ] {
            assert_eq!(of(kind, body), expected, "{kind} {body}");
        }
    }
}
