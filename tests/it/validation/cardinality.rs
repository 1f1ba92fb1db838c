//! Cardinality and length (R4 conformance-rules.html#cardinality). R4 itself knows no upper limit but 1 and "any number";
//! limits in between are a profile's.

use super::{judge, judge_by, package};

#[test]
fn what_is_required_is_there() {
    judge(
        r#""resourceType":"Observation""#,
        &[
            (r#""status":"final","code":{"text":"x"}"#, &[]),
            (r#""code":{"text":"x"}"#, &["required Observation.status: status is required"]),
            ("", &["required Observation.status: status is required", "required Observation.code: code is required"]),
            // Extensions can say why there is no value (R4 extensibility.html).
            (r#""_status":{"extension":[{"url":"http://x/e","valueCode":"unknown"}]},"code":{"text":"x"}"#, &[]),
            (
                r#""status":"final","code":{"text":"x"},"component":[{"valueInteger":1}]"#,
                &["required Observation.component[0].code: code is required"],
            ),
            (
                r#""status":"final","code":{"text":"x"},"valueSampledData":{"period":1,"dimensions":1}"#,
                &["required Observation.value.origin: origin is required"],
            ),
            (
                r#""status":"final","code":{"text":"x"},"note":[{"time":"2020"}]"#,
                &["required Observation.note[0].text: text is required"],
            ),
        ],
    );
}

#[test]
fn a_required_choice_has_one_of_its_types() {
    judge(
        r#""resourceType":"MedicationRequest","status":"active","intent":"order","subject":{"reference":"Patient/1"}"#,
        &[
            (r#""medicationReference":{"reference":"Medication/1"}"#, &[]),
            (r#""medicationCodeableConcept":{"text":"x"}"#, &[]),
            ("", &["required MedicationRequest.medication: medication is required"]),
        ],
    );
}

#[test]
fn an_element_that_is_defined_elsewhere_has_the_same_rules() {
    judge(
        r#""resourceType":"Questionnaire","status":"draft""#,
        &[
            (r#""item":[{"linkId":"1","type":"group","item":[{"linkId":"2","type":"string"}]}]"#, &[]),
            (
                r#""item":[{"linkId":"1","type":"group","item":[{"type":"string"}]}]"#,
                &["required Questionnaire.item[0].item[0].linkId: linkId is required"],
            ),
        ],
    );
}

#[test]
fn a_profile_sets_limits_in_between() {
    let url = "http://x/limits";
    let validator = package::profiles(&[package::profile(
        url,
        "Patient",
        r#"{"id":"Patient.name","path":"Patient.name","min":1,"max":"2"},
           {"id":"Patient.name.given","path":"Patient.name.given","min":1},
           {"id":"Patient.photo","path":"Patient.photo","max":"0"},
           {"id":"Patient.name.family","path":"Patient.name.family","maxLength":5}"#,
    )]);
    judge_by(
        &validator,
        &[url],
        r#""resourceType":"Patient""#,
        &[
            (r#""name":[{"given":["A"]}]"#, &[]),
            (r#""name":[{"given":["A"]},{"given":["B","C","D"],"family":"Gries"}]"#, &[]),
            ("", &["required Patient.name: expected at least 1 name, found 0"]),
            (r#""name":[{"text":"A"}]"#, &["required Patient.name[0].given: expected at least 1 given, found 0"]),
            (
                r#""name":[{"given":["A"]},{"given":["B"]},{"given":["C"]}]"#,
                &["structure Patient.name: expected at most 2 name, found 3"],
            ),
            (
                r#""name":[{"given":["A"]}],"photo":[{"url":"http://x"}]"#,
                &["structure Patient.photo: expected at most 0 photo, found 1"],
            ),
            (r#""name":[{"given":["A"],"family":"Grieß"}]"#, &[]),
            (
                r#""name":[{"given":["A"],"family":"Griess"}]"#,
                &["too-long Patient.name[0].family: expected at most 5 characters, found 6"],
            ),
        ],
    );
}
