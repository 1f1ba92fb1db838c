//! Profiles (R4 profiling.html): those a resource claims, those it is asked to conform to, those that belong to types.

use sofa::fhir::definition::registry::Registry;
use sofa::fhir::json::{Doc, Limits};
use sofa::fhir::tree::Tree;
use sofa::fhir::validate::{Enforcement, Options, Validator};

use super::{judge, judge_by, package};

const VITAL: &str = r#""system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs""#;

fn rate(category: &str, more: &str) -> String {
    format!(
        r#""meta":{{"profile":["http://hl7.org/fhir/StructureDefinition/heartrate"]}},"status":"final","category":[{{"coding":[{{{category}}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"8867-4"}}]}}{more}"#
    )
}

const SUBJECT: &str = r#","subject":{"reference":"Patient/1"}"#;
const WHEN: &str = r#","effectiveDateTime":"2020-01-01""#;
const VALUE: &str = r#","valueQuantity":{"value":80,"unit":"/min","system":"http://unitsofmeasure.org","code":"/min"}"#;

#[test]
fn a_resource_conforms_to_the_profiles_it_claims() {
    let all = |parts: &[&str]| rate(VITAL, &parts.concat());
    judge(
        r#""resourceType":"Observation""#,
        &[
            (&all(&[SUBJECT, WHEN, VALUE]), &[]),
            (&all(&[SUBJECT, WHEN, r#","dataAbsentReason":{"text":"x"}"#]), &[]),
            (&all(&[SUBJECT, WHEN]), &["invariant Observation: vs-2"]),
            (
                &all(&[WHEN, VALUE]),
                &[
                    "required Observation.subject: expected at least 1 subject, found 0 (profile http://hl7.org/fhir/StructureDefinition/heartrate)",
                ],
            ),
            (&all(&[SUBJECT, VALUE]), &["required Observation.effective: expected at least 1 effective, found 0"]),
            (
                &all(&[r#","subject":{"reference":"Group/1"}"#, WHEN, VALUE]),
                &["structure Observation.subject: expected a reference to Patient, not to Group"],
            ),
            (
                &all(&[SUBJECT, WHEN, &VALUE.replace("\"/min\"}", "\"bpm\"}")]),
                &["value Observation.value.code: expected \"/min\""],
            ),
            (
                &all(&[SUBJECT, WHEN, r#","valueQuantity":{"value":80}"#]),
                &[
                    "required Observation.value.unit: at least 1 unit",
                    "required Observation.value.system: at least 1 system",
                    "required Observation.value.code: at least 1 code",
                ],
            ),
            (
                &all(&[SUBJECT, WHEN, r#","valueString":"80""#]),
                &[
                    "structure Observation.value: expected Quantity, found string",
                    "structure Observation.value: is none of the slices of value: valueQuantity",
                ],
            ),
            (
                &rate(r#""system":"http://x","code":"y""#, &[SUBJECT, WHEN, VALUE].concat()),
                &["required Observation.category: expected at least 1 category of the slice VSCat, found 0"],
            ),
        ],
    );
}

#[test]
fn blood_pressure_has_both_components() {
    let component = |code: &str, members: &str| {
        format!(r#"{{"code":{{"coding":[{{"system":"http://loinc.org","code":"{code}"}}]}}{members}}}"#)
    };
    let value = r#","valueQuantity":{"value":80,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}"#;
    let bp = |components: &[String]| {
        format!(
            r#""meta":{{"profile":["http://hl7.org/fhir/StructureDefinition/bp"]}},"status":"final","category":[{{"coding":[{{{VITAL}}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"85354-9"}}]}}{SUBJECT}{WHEN},"component":[{}]"#,
            components.join(",")
        )
    };
    let (systolic, diastolic) = (component("8480-6", value), component("8462-4", value));
    judge(
        r#""resourceType":"Observation""#,
        &[
            (&bp(&[systolic.clone(), diastolic.clone()]), &[]),
            (&bp(&[diastolic.clone(), component("8478-0", value), systolic.clone()]), &[]),
            (
                &bp(std::slice::from_ref(&systolic)),
                &[
                    "required Observation.component: expected at least 2 component, found 1",
                    "required Observation.component: expected at least 1 component of the slice DiastolicBP, found 0",
                ],
            ),
            (
                &bp(&[systolic.clone(), diastolic.clone(), systolic.clone()]),
                &["structure Observation.component: expected at most 1 component of the slice SystolicBP, found 2"],
            ),
            (&bp(&[systolic, component("8462-4", "")]), &["invariant Observation.component[1]: vs-3"]),
        ],
    );
}

#[test]
fn a_profile_is_for_its_type() {
    judge(
        r#""resourceType":"Patient""#,
        &[
            (r#""meta":{"profile":["http://hl7.org/fhir/StructureDefinition/Patient"]}"#, &[]),
            (
                r#""meta":{"profile":["http://hl7.org/fhir/StructureDefinition/Observation"]}"#,
                &[
                    "structure Patient: the profile http://hl7.org/fhir/StructureDefinition/Observation is for Observation, this is Patient",
                ],
            ),
            (
                r#""meta":{"profile":["http://hl7.org/fhir/StructureDefinition/lipidprofile"]}"#,
                &["structure Patient: is for DiagnosticReport, this is Patient"],
            ),
            // Twice claimed, once judged.
            (
                r#""meta":{"profile":["http://hl7.org/fhir/StructureDefinition/bp","http://hl7.org/fhir/StructureDefinition/bp","http://hl7.org/fhir/StructureDefinition/bp|4.0.1"]}"#,
                &["structure Patient: bp is for Observation"],
            ),
            // An extension's definition is no profile of a resource.
            (
                r#""meta":{"profile":["http://hl7.org/fhir/StructureDefinition/patient-birthTime"]}"#,
                &["structure Patient: is for Extension, this is Patient"],
            ),
        ],
    );
}

#[test]
fn the_deployment_decides_about_profiles_that_are_not_loaded() {
    let claim = r#""meta":{"profile":["http://x/unknown"]}"#;
    let patient = r#""resourceType":"Patient""#;
    judge(
        patient,
        &[(claim, &["warning not-found Patient.meta.profile[0]: the profile http://x/unknown is not loaded"])],
    );
    judge(
        patient,
        &[(
            r#""meta":{"profile":["http://hl7.org/fhir/StructureDefinition/bp|9.0.0"]}"#,
            &["warning not-found Patient.meta.profile[0]: bp|9.0.0 is not loaded"],
        )],
    );
    let strict = Validator::new(Registry::built_in(), Options { reject_unknown_profiles: true, ..Options::default() });
    judge_by(
        &strict,
        &[],
        patient,
        &[(claim, &["not-found Patient.meta.profile[0]: the profile http://x/unknown is not loaded"])],
    );
    // Who asks for a profile gets an answer.
    let lenient = Validator::new(Registry::built_in(), Options::default());
    judge_by(
        &lenient,
        &["http://x/unknown"],
        patient,
        &[("", &["not-found Patient: the profile http://x/unknown is not loaded"])],
    );
}

#[test]
fn the_profile_of_a_type_is_enforced_warned_about_or_left_alone() {
    let url = "http://x/named";
    let registry = package::registry(&[package::profile(
        url,
        "Patient",
        r#"{"id":"Patient.name","path":"Patient.name","min":1}"#,
    )]);
    let by = |type_profiles| {
        let profiles = vec![("Patient".to_owned(), url.to_owned())];
        Validator::new(registry.clone(), Options { type_profiles, profiles, ..Options::default() })
    };
    let start = r#""resourceType":"Patient""#;
    let said = "required Patient.name: expected at least 1 name, found 0 (profile http://x/named)";
    judge_by(&by(Enforcement::Enforce), &[], start, &[("", &[said]), (r#""name":[{"text":"x"}]"#, &[])]);
    judge_by(
        &by(Enforcement::Warn),
        &[],
        start,
        &[
            ("", &[&format!("warning {said}")]),
            (r#""gender":"x""#, &["code-invalid Patient.gender: 'x'", &format!("warning {said}")]),
        ],
    );
    judge_by(&by(Enforcement::Off), &[], start, &[("", &[])]);
    // Claimed, it is enforced whatever is done about the type.
    judge_by(&by(Enforcement::Off), &[], start, &[(r#""meta":{"profile":["http://x/named"]}"#, &[said])]);
    // It is for resources in Bundles, not for contained ones.
    let bundle = r#""resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient"}}]"#;
    judge_by(
        &by(Enforcement::Enforce),
        &[],
        bundle,
        &[("", &["required Bundle.entry[0].resource.name: at least 1 name"])],
    );
    let contained = r##""resourceType":"Basic","code":{"text":"x"},"subject":{"reference":"#p"},"contained":[{"resourceType":"Patient","id":"p"}]"##;
    judge_by(&by(Enforcement::Enforce), &[], contained, &[("", &[])]);
}

#[test]
fn a_profile_on_a_profile_demands_both() {
    let validator = package::profiles(&[
        package::profile("http://x/a", "Patient", r#"{"id":"Patient.name","path":"Patient.name","min":1}"#),
        package::derived(
            "http://x/b",
            "Patient",
            "http://x/a",
            r#"{"id":"Patient.gender","path":"Patient.gender","min":1}"#,
        ),
    ]);
    judge_by(
        &validator,
        &["http://x/b"],
        r#""resourceType":"Patient""#,
        &[
            (r#""name":[{"text":"x"}],"gender":"male""#, &[]),
            (r#""gender":"male""#, &["required Patient.name: at least 1 name"]),
            (r#""name":[{"text":"x"}]"#, &["required Patient.gender: at least 1 gender"]),
        ],
    );
}

#[test]
fn an_invariant_of_a_profile_is_an_error_or_a_warning_as_it_says() {
    let validator = package::profiles(&[package::profile(
        "http://x/i",
        "Patient",
        r#"{"id":"Patient","path":"Patient","constraint":[{"key":"x-1","severity":"error","human":"A","expression":"name.exists()"},{"key":"x-2","severity":"warning","human":"B","expression":"gender.exists()"}]},
           {"id":"Patient.name","path":"Patient.name","constraint":[{"key":"x-3","severity":"error","human":"C","expression":"family.exists() or text.exists()"}]}"#,
    )]);
    judge_by(
        &validator,
        &["http://x/i"],
        r#""resourceType":"Patient""#,
        &[
            (r#""name":[{"text":"x"}],"gender":"male""#, &[]),
            ("", &["invariant Patient: x-1: A", "warning invariant Patient: x-2: B"]),
            (r#""name":[{"text":"x"},{"given":["x"]}],"gender":"male""#, &["invariant Patient.name[1]: x-3: C"]),
        ],
    );
}

#[test]
fn a_document_is_judged_by_many_profiles_at_once() {
    let doc = Doc::parse(r#"{"resourceType":"Patient"}"#, &Limits::default()).unwrap();
    let validator = package::profiles(&[
        package::profile("http://x/a", "Patient", r#"{"id":"Patient.name","path":"Patient.name","min":1}"#),
        package::profile("http://x/b", "Patient", r#"{"id":"Patient.gender","path":"Patient.gender","min":1}"#),
    ]);
    let issues = validator.check_against(&Tree::of_resource(&doc), &["http://x/a", "http://x/b", "http://x/a"]);
    let places: Vec<_> = issues.iter().filter_map(|issue| issue.expression.as_deref()).collect();
    assert_eq!(places, ["Patient", "Patient.name", "Patient.gender"]);
}
