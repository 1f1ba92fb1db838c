//! Launch values: what a token response tells an app about its context (SMART App Launch 2.1.0, "Launch Context").

use serde::Serialize;

/// The context members of a token response and of an introspection answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LaunchValues {
    /// Bare id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patient: Option<String>,
    /// Bare id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encounter: Option<String>,
    /// Everything else in context.
    #[serde(rename = "fhirContext", skip_serializing_if = "Vec::is_empty")]
    pub fhir_context: Vec<ContextReference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub need_patient_banner: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// Absolute URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smart_style_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// Whether `fhirUser` may be this reference (SMART App Launch 2.1.0, "Scopes for requesting identity data"): `Type/id` of a
/// person.
pub fn is_person(reference: &str) -> bool {
    let Some((kind, id)) = reference.split_once('/') else { return false };
    let shaped =
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    matches!(kind, "Practitioner" | "PractitionerRole" | "Patient" | "RelatedPerson" | "Person") && shaped
}

/// An item of `fhirContext`: since SMART 2.1.0 an object. Its role is always the default one, `launch`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ContextReference {
    /// `Type/id`.
    pub reference: String,
}

impl LaunchValues {
    /// Sets `fhirContext` from `Type/id` references. Patient and Encounter have members of their own and SMART forbids
    /// them here in the default role.
    pub fn set_fhir_context<'a>(&mut self, references: impl IntoIterator<Item = &'a String>) {
        let has_own_member = |reference: &str| reference.starts_with("Patient/") || reference.starts_with("Encounter/");
        self.fhir_context = references
            .into_iter()
            .filter(|reference| !has_own_member(reference))
            .map(|reference| ContextReference { reference: reference.clone() })
            .collect();
    }

    /// Whether what the scope `launch/<kind>` asks for is in the context. `kind` is a type name in lower case.
    pub fn delivers(&self, kind: &str) -> bool {
        match kind {
            "patient" => self.patient.is_some(),
            "encounter" => self.encounter.is_some(),
            _ => self.fhir_context.iter().any(|item| {
                item.reference
                    .split_once('/')
                    .is_some_and(|(resource_type, _)| resource_type.eq_ignore_ascii_case(kind))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_in_context_is_told() {
        assert_eq!(serde_json::to_value(LaunchValues::default()).unwrap(), json!({}));
        let mut values =
            LaunchValues { patient: Some("1".into()), need_patient_banner: Some(false), ..Default::default() };
        values.set_fhir_context(&["Patient/1".into(), "Encounter/2".into(), "ImagingStudy/3".into()]);
        let told =
            json!({"patient": "1", "fhirContext": [{"reference": "ImagingStudy/3"}], "need_patient_banner": false});
        assert_eq!(serde_json::to_value(&values).unwrap(), told);
    }

    #[test]
    fn a_hint_counts_as_delivered_only_when_its_type_is_there() {
        let mut values = LaunchValues { patient: Some("1".into()), ..Default::default() };
        values.set_fhir_context(&["ImagingStudy/3".into()]);
        assert!(values.delivers("patient") && values.delivers("imagingstudy"));
        assert!(!values.delivers("encounter") && !values.delivers("observation") && !values.delivers(""));
    }
}
