//! `fixed[x]`, `pattern[x]`, `minValue[x]`, `maxValue[x]` (R4 elementdefinition.html).

use super::{judge_by, package};

const OBSERVATION: &str = r#""resourceType":"Observation","status":"final""#;

#[test]
fn a_fixed_value_is_all_there_is() {
    let url = "http://x/fixed";
    let validator = package::profiles(&[package::profile(
        url,
        "Observation",
        r#"{"id":"Observation.code","path":"Observation.code","fixedCodeableConcept":{"coding":[{"system":"http://x","code":"a"}]}},
           {"id":"Observation.language","path":"Observation.language","fixedCode":"fr"},
           {"id":"Observation.value[x]","path":"Observation.value[x]","type":[{"code":"integer"}],"fixedInteger":1}"#,
    )]);
    let code = r#""code":{"coding":[{"system":"http://x","code":"a"}]}"#;
    judge_by(
        &validator,
        &[url],
        OBSERVATION,
        &[
            (code, &[]),
            (r#""code":{"coding":[{"code":"a","system":"http://x"}]}"#, &[]),
            (
                r#""code":{"coding":[{"system":"http://x","code":"a","display":"A"}]}"#,
                &["value Observation.code: expected {\"coding\":[{\"system\":\"http://x\",\"code\":\"a\"}]}"],
            ),
            (
                r#""code":{"coding":[{"system":"http://x","code":"a"}],"text":"A"}"#,
                &["value Observation.code: expected"],
            ),
            (
                r#""code":{"coding":[{"system":"http://x","code":"a"},{"system":"http://x","code":"b"}]}"#,
                &["value Observation.code: expected"],
            ),
            (r#""code":{"coding":[{"system":"http://x","code":"b"}]}"#, &["value Observation.code: expected"]),
            // What is not there is not wrong: that is what cardinality is for.
            (&format!(r#"{code},"language":"fr""#), &[]),
            (&format!(r#"{code},"language":"fr","_language":{{"id":"a"}}"#), &[]),
            (&format!(r#"{code},"language":"en""#), &["value Observation.language: expected \"fr\""]),
            (&format!(r#"{code},"valueInteger":1"#), &[]),
            (&format!(r#"{code},"valueInteger":2"#), &["value Observation.value: expected 1"]),
        ],
    );
}

#[test]
fn a_pattern_is_contained() {
    let url = "http://x/pattern";
    let validator = package::profiles(&[package::profile(
        url,
        "Observation",
        r#"{"id":"Observation.code","path":"Observation.code","patternCodeableConcept":{"coding":[{"system":"http://x","code":"a"}]}},
           {"id":"Observation.subject","path":"Observation.subject","patternReference":{"type":"Patient"}},
           {"id":"Observation.language","path":"Observation.language","patternCode":"fr"}"#,
    )]);
    let code = r#""code":{"coding":[{"system":"http://x","code":"a"}]}"#;
    judge_by(
        &validator,
        &[url],
        OBSERVATION,
        &[
            (code, &[]),
            (
                r#""code":{"text":"A","coding":[{"system":"http://y","code":"b"},{"system":"http://x","code":"a","display":"A"}]}"#,
                &[],
            ),
            (
                r#""code":{"coding":[{"system":"http://x","code":"b"}]}"#,
                &["value Observation.code: expected something that contains {\"coding\""],
            ),
            // Not half of it here and half there.
            (
                r#""code":{"coding":[{"system":"http://x","code":"b"},{"system":"http://y","code":"a"}]}"#,
                &["value Observation.code: something that contains"],
            ),
            (r#""code":{"text":"A"}"#, &["value Observation.code: something that contains"]),
            (&format!(r#"{code},"subject":{{"type":"Patient","display":"x"}}"#), &[]),
            (
                &format!(r#"{code},"subject":{{"display":"x"}}"#),
                &["value Observation.subject: something that contains {\"type\":\"Patient\"}"],
            ),
            (&format!(r#"{code},"language":"fr-CA""#), &["value Observation.language: something that contains \"fr\""]),
        ],
    );
}

#[test]
fn values_are_between_their_limits() {
    let url = "http://x/limited";
    let validator = package::profiles(&[package::profile(
        url,
        "RiskAssessment",
        r#"{"id":"RiskAssessment.occurrence[x]","path":"RiskAssessment.occurrence[x]","type":[{"code":"dateTime"}],"minValueDateTime":"2020-01-01","maxValueDateTime":"2020-12-31"},
           {"id":"RiskAssessment.prediction.probability[x]","path":"RiskAssessment.prediction.probability[x]","type":[{"code":"decimal"}],"minValueDecimal":0.5,"maxValueDecimal":10.0}"#,
    )]);
    let start = r#""resourceType":"RiskAssessment","status":"final","subject":{"reference":"Patient/1"}"#;
    let of = |probability: &str| format!(r#""prediction":[{{"probabilityDecimal":{probability}}}]"#);
    judge_by(
        &validator,
        &[url],
        start,
        &[
            (r#""occurrenceDateTime":"2020-01-01""#, &[]),
            (r#""occurrenceDateTime":"2020-12-31""#, &[]),
            (
                r#""occurrenceDateTime":"2019-12-31""#,
                &["value RiskAssessment.occurrence: expected at least \"2020-01-01\""],
            ),
            (
                r#""occurrenceDateTime":"2021-01-01""#,
                &["value RiskAssessment.occurrence: expected at most \"2020-12-31\""],
            ),
            (
                r#""occurrenceDateTime":"2021-01-01T10:00:00Z""#,
                &["value RiskAssessment.occurrence: expected at most \"2020-12-31\""],
            ),
            (r#""occurrenceDateTime":"2019""#, &["value RiskAssessment.occurrence: expected at least \"2020-01-01\""]),
            (r#""occurrenceDateTime":"2020-06-01T10:00:00Z""#, &[]),
            // Some of 2020 is within, some of it could be: it cannot be told.
            (r#""occurrenceDateTime":"2020""#, &[]),
            (&of("0.5"), &[]),
            (&of("9.99"), &[]),
            (&of("10"), &[]),
            (&of("0.49"), &["value RiskAssessment.prediction[0].probability: expected at least 0.5"]),
            (&of("10.01"), &["value RiskAssessment.prediction[0].probability: expected at most 10.0"]),
        ],
    );
}

#[test]
fn a_quantity_is_compared_with_a_limit_in_its_own_unit() {
    let url = "http://x/quantity";
    let validator = package::profiles(&[package::profile(
        url,
        "Observation",
        r#"{"id":"Observation.value[x]","path":"Observation.value[x]","type":[{"code":"Quantity"}],"maxValueQuantity":{"value":5,"system":"http://unitsofmeasure.org","code":"kg"}}"#,
    )]);
    let of = |value: &str, code: &str| {
        format!(
            r#""code":{{"text":"x"}},"valueQuantity":{{"value":{value},"system":"http://unitsofmeasure.org","code":"{code}"}}"#
        )
    };
    judge_by(
        &validator,
        &[url],
        OBSERVATION,
        &[
            (&of("5.0", "kg"), &[]),
            (&of("5.1", "kg"), &["value Observation.value: expected at most {"]),
            // Another unit cannot be compared here.
            (&of("600", "g"), &[]),
        ],
    );
}
