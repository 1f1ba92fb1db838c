//! Bindings (R4 terminologies.html#strength).

use super::{judge, judge_by, package};

#[test]
fn a_code_is_of_its_required_set() {
    judge(
        r#""resourceType":"Patient""#,
        &[
            (r#""gender":"other""#, &[]),
            (
                r#""gender":"Male""#,
                &[
                    "code-invalid Patient.gender: 'Male' is not in the value set http://hl7.org/fhir/ValueSet/administrative-gender (required)",
                ],
            ),
            (r#""name":[{"use":"usual"}]"#, &[]),
            (
                r#""name":[{"use":"main"}]"#,
                &[
                    "code-invalid Patient.name[0].use: 'main' is not in the value set http://hl7.org/fhir/ValueSet/name-use",
                ],
            ),
            (
                r#""contact":[{"name":{"text":"x"},"gender":"f"}]"#,
                &["code-invalid Patient.contact[0].gender: 'f' is not"],
            ),
            // No value, no code.
            (r#""_gender":{"extension":[{"url":"http://x/e","valueCode":"unknown"}]}"#, &[]),
        ],
    );
}

#[test]
fn a_concept_has_one_coding_of_its_required_set() {
    const SET: &str = "http://hl7.org/fhir/ValueSet/condition-clinical";
    const SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/condition-clinical";
    judge(
        r#""resourceType":"Condition","subject":{"reference":"Patient/1"}"#,
        &[
            (
                r#""clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}]}"#,
                &[],
            ),
            (
                r#""clinicalStatus":{"coding":[{"system":"http://x","code":"1"},{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}]}"#,
                &[],
            ),
            (
                r#""clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"current"}]}"#,
                &[&format!(
                    "code-invalid Condition.clinicalStatus.coding[0]: {SYSTEM}#current is not in the value set {SET} (required)"
                )],
            ),
            (
                r#""clinicalStatus":{"coding":[{"system":"http://x","code":"active"},{"system":"http://y","code":"active"}]}"#,
                &["code-invalid Condition.clinicalStatus: http://x#active, http://y#active is not in the value set"],
            ),
            // A code means nothing without its system.
            (
                r#""clinicalStatus":{"coding":[{"code":"active"}]}"#,
                &["code-invalid Condition.clinicalStatus.coding[0]: 'active' is not in the value set"],
            ),
            (
                r#""clinicalStatus":{"text":"active"}"#,
                &[&format!("code-invalid Condition.clinicalStatus: expected a code of {SET} (required)")],
            ),
            (
                r#""clinicalStatus":{"coding":[{"display":"active"}]}"#,
                &["code-invalid Condition.clinicalStatus: expected a code of"],
            ),
        ],
    );
}

#[test]
fn outside_an_extensible_set_is_a_warning() {
    judge(
        r#""resourceType":"Patient""#,
        &[
            (
                r#""maritalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-MaritalStatus","code":"M"}]}"#,
                &[],
            ),
            (
                r#""maritalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-NullFlavor","code":"UNK"}]}"#,
                &[],
            ),
            (r#""maritalStatus":{"text":"married"}"#, &[]),
            (
                r#""maritalStatus":{"coding":[{"system":"http://x","code":"married"}]}"#,
                &[
                    "warning code-invalid Patient.maritalStatus.coding[0]: http://x#married is not in the value set http://hl7.org/fhir/ValueSet/marital-status (extensible)",
                ],
            ),
        ],
    );
    judge(
        r#""resourceType":"Encounter","status":"planned""#,
        &[
            (r#""class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB"}"#, &[]),
            (
                r#""class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"XYZ"}"#,
                &["warning code-invalid Encounter.class: is not in the value set"],
            ),
            (r#""class":{"display":"ambulatory"}"#, &[]),
        ],
    );
}

#[test]
fn a_maximum_set_binds_where_the_set_itself_is_only_preferred() {
    judge(
        r#""resourceType":"Patient""#,
        &[
            (r#""language":"fr-CA""#, &[]),
            (
                r#""language":"fr_CA""#,
                &[
                    "code-invalid Patient.language: 'fr_CA' is not in the value set http://hl7.org/fhir/ValueSet/all-languages (required)",
                ],
            ),
            (r#""communication":[{"language":{"coding":[{"system":"urn:ietf:bcp:47","code":"iu-Cans"}]}}]"#, &[]),
            (
                r#""communication":[{"language":{"coding":[{"system":"urn:ietf:bcp:47","code":"!"}]}}]"#,
                &["code-invalid Patient.communication[0].language.coding[0]: all-languages (required)"],
            ),
            (
                r#""communication":[{"language":{"coding":[{"system":"http://x","code":"fr"}]}}]"#,
                &["code-invalid Patient.communication[0].language.coding[0]: all-languages (required)"],
            ),
        ],
    );
}

#[test]
fn what_cannot_be_known_is_said_and_refuses_nothing() {
    judge(
        r#""resourceType":"Observation","status":"final","code":{"text":"x"}"#,
        &[
            // Example and preferred sets are not checked.
            (
                r#""category":[{"coding":[{"system":"http://x","code":"y"}]}],"bodySite":{"coding":[{"system":"http://x","code":"y"}]}"#,
                &[],
            ),
        ],
    );
    judge(
        r#""resourceType":"ImagingStudy","status":"available","subject":{"reference":"Patient/1"}"#,
        &[(
            r#""modality":[{"system":"http://dicom.nema.org/resources/ontology/DCM","code":"CT"}]"#,
            &[
                "information informational ImagingStudy.modality[0]: sect_CID_29.html is not loaded; not checked against it",
            ],
        )],
    );
    judge(
        r#""resourceType":"ValueSet","name":"X","status":"draft""#,
        &[(
            r#""jurisdiction":[{"coding":[{"system":"urn:iso:std:iso:3166","code":"CA"}]}]"#,
            &[
                "information informational ValueSet.jurisdiction[0].coding[0]: urn:iso:std:iso:3166#CA: not checked against",
            ],
        )],
    );
}

#[test]
fn grammars_decide_media_types_and_currencies() {
    judge(
        r#""resourceType":"Binary""#,
        &[
            (r#""contentType":"application/pdf""#, &[]),
            (
                r#""contentType":"pdf""#,
                &[
                    "code-invalid Binary.contentType: 'pdf' is not in the value set http://hl7.org/fhir/ValueSet/mimetypes",
                ],
            ),
        ],
    );
    judge(
        r#""resourceType":"Basic","code":{"text":"x"}"#,
        &[
            (r#""extension":[{"url":"http://x/e","valueMoney":{"value":1.00,"currency":"CAD"}}]"#, &[]),
            (
                r#""extension":[{"url":"http://x/e","valueMoney":{"value":1.00,"currency":"DOLLAR"}}]"#,
                &["code-invalid Basic.extension[0].value.currency: 'DOLLAR' is not"],
            ),
        ],
    );
}

#[test]
fn a_profile_binds_strings_quantities_and_codings() {
    let url = "http://x/bound";
    let validator = package::profiles(&[
        package::profile(
            url,
            "Observation",
            r#"{"id":"Observation.value[x]","path":"Observation.value[x]","binding":{"strength":"required","valueSet":"http://x/units"}},
               {"id":"Observation.method","path":"Observation.method","binding":{"strength":"extensible","valueSet":"http://x/units"}},
               {"id":"Observation.code.coding","path":"Observation.code.coding","binding":{"strength":"required","valueSet":"http://x/units"}}"#,
        ),
        package::value_set("http://x/units", "http://unitsofmeasure.org", &["mg", "kg"]),
    ]);
    const UCUM: &str = r#""system":"http://unitsofmeasure.org""#;
    judge_by(
        &validator,
        &[url],
        r#""resourceType":"Observation","status":"final""#,
        &[
            (&format!(r#""code":{{"text":"x"}},"valueQuantity":{{"value":1,{UCUM},"code":"mg"}}"#), &[]),
            (
                &format!(r#""code":{{"text":"x"}},"valueQuantity":{{"value":1,{UCUM},"code":"g"}}"#),
                &[
                    "code-invalid Observation.value: http://unitsofmeasure.org#g is not in the value set http://x/units (required)",
                ],
            ),
            (r#""code":{"text":"x"},"valueString":"kg""#, &[]),
            (
                r#""code":{"text":"x"},"valueString":"pound""#,
                &["code-invalid Observation.value: 'pound' is not in the value set http://x/units"],
            ),
            (&format!(r#""code":{{"text":"x"}},"valueCodeableConcept":{{"coding":[{{{UCUM},"code":"kg"}}]}}"#), &[]),
            (
                r#""code":{"text":"x"},"valueCodeableConcept":{"text":"kg"}"#,
                &["code-invalid Observation.value: expected a code of http://x/units"],
            ),
            // Types that have no codes are not bound.
            (r#""code":{"text":"x"},"valueInteger":1"#, &[]),
            (&format!(r#""code":{{"coding":[{{{UCUM},"code":"kg"}}]}}"#), &[]),
            (
                &format!(r#""code":{{"coding":[{{{UCUM},"code":"lb"}}]}}"#),
                &["code-invalid Observation.code.coding[0]: #lb is not in the value set http://x/units"],
            ),
            (
                r#""code":{"text":"x"},"method":{"coding":[{"system":"http://x","code":"y"}]}"#,
                &[
                    "warning code-invalid Observation.method.coding[0]: is not in the value set http://x/units (extensible)",
                ],
            ),
        ],
    );
}
