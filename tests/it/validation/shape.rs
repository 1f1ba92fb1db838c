//! Shape: R4's JSON (json.html) read along the table of types.

use sofa::fhir::json::{Doc, Limits};

use super::judge;

const PATIENT: &str = r#""resourceType":"Patient""#;

#[test]
fn an_element_that_the_type_does_not_have_is_refused() {
    judge(
        PATIENT,
        &[
            (r#""active":true"#, &[]),
            (r#""foo":1"#, &["structure Patient.foo: Patient has no element 'foo'"]),
            (r#""Active":true"#, &["structure Patient.Active: Patient has no element 'Active'"]),
            (
                r#""name":[{"family":"A","surname":"B"}]"#,
                &["structure Patient.name[0].surname: HumanName has no element 'surname'"],
            ),
            (
                r#""contact":[{"gender":"male","birthDate":"1970"}]"#,
                &[
                    "structure Patient.contact[0].birthDate: Patient.contact has no element 'birthDate'",
                    "invariant Patient.contact[0]: pat-1",
                ],
            ),
            (r#""_foo":{"id":"a"}"#, &["structure Patient._foo: Patient has no element '_foo'"]),
            (r#""fhir_comments":["x"]"#, &["structure Patient.fhir_comments: no element"]),
            // The names of R5 and STU3 are none of R4's.
            (r#""animal":{}"#, &["structure Patient.animal: no element 'animal'"]),
            // A resource type is said once, of resources only.
            (
                r#""name":[{"resourceType":"HumanName","family":"A"}]"#,
                &["structure Patient.name[0].resourceType: HumanName has no element"],
            ),
        ],
    );
}

#[test]
fn a_resource_says_a_type_that_r4_has() {
    judge(
        "",
        &[
            (r#""resourceType":"Basic","code":{"text":"x"}"#, &[]),
            ("", &["structure Resource: expected a resource with a resourceType"]),
            (r#""id":"x""#, &["structure Resource: expected a resource with a resourceType"]),
            (r#""resourceType":1"#, &["structure Resource: expected a resource with a resourceType"]),
            (r#""resourceType":"patient""#, &["structure Resource.resourceType: 'patient' is not a resource type"]),
            (r#""resourceType":"HumanName""#, &["structure Resource.resourceType: 'HumanName' is not a resource type"]),
            (
                r#""resourceType":"DomainResource""#,
                &["structure Resource.resourceType: 'DomainResource' is not a resource type"],
            ),
            (r#""resourceType":"Resource""#, &["structure Resource.resourceType: 'Resource' is not a resource type"]),
            (
                r#""resourceType":"SubscriptionStatus""#,
                &["structure Resource.resourceType: 'SubscriptionStatus' is not a resource type"],
            ),
        ],
    );
}

#[test]
fn an_element_is_an_array_exactly_where_it_repeats() {
    judge(
        PATIENT,
        &[
            (r#""name":[{"family":"A"},{"family":"B"}],"gender":"male""#, &[]),
            (r#""name":{"family":"A"}"#, &["structure Patient.name: expected a JSON array"]),
            (r#""name":"A""#, &["structure Patient.name: expected a JSON array"]),
            (r#""gender":["male"]"#, &["structure Patient.gender: expected a single value"]),
            (r#""maritalStatus":[{"text":"x"}]"#, &["structure Patient.maritalStatus: expected a single value"]),
            (r#""name":[{"given":"A"}]"#, &["structure Patient.name[0].given: expected a JSON array"]),
            (r#""name":[{"given":[["A"]]}]"#, &["structure Patient.name[0].given[0]: no array inside an array"]),
            (r#""name":[[{"family":"A"}]]"#, &["structure Patient.name[0]: no array inside an array"]),
        ],
    );
}

#[test]
fn complex_elements_are_objects_and_primitives_are_not() {
    judge(
        PATIENT,
        &[
            (r#""maritalStatus":{"text":"x"},"birthDate":"1970""#, &[]),
            (r#""maritalStatus":"M""#, &["structure Patient.maritalStatus: expected a JSON object"]),
            (r#""name":["A"]"#, &["structure Patient.name[0]: expected a JSON object"]),
            (
                r#""name":[1,{"family":"A"},true]"#,
                &[
                    "structure Patient.name[0]: expected a JSON object",
                    "structure Patient.name[2]: expected a JSON object",
                ],
            ),
            (
                r#""gender":{"value":"male"}"#,
                &["structure Patient.gender: expected a code, which JSON writes as a plain value"],
            ),
            (r#""name":[{"given":[{"value":"A"}]}]"#, &["structure Patient.name[0].given[0]: expected a string"]),
            (
                r#""contained":["x"]"#,
                &["structure Patient.contained[0]: expected a JSON object", "invariant Patient.contained[0]: dom-3"],
            ),
        ],
    );
}

#[test]
fn what_is_empty_or_null_is_left_out() {
    judge(
        PATIENT,
        &[
            (r#""name":[]"#, &["structure Patient.name: what is empty is left out"]),
            (r#""name":[{}]"#, &["structure Patient.name[0]: what is empty is left out"]),
            (r#""maritalStatus":{}"#, &["structure Patient.maritalStatus: what is empty is left out"]),
            (r#""gender":null"#, &["structure Patient.gender: expected a value"]),
            (r#""maritalStatus":null"#, &["structure Patient.maritalStatus: expected a value"]),
            (r#""name":null"#, &["structure Patient.name: expected"]),
            (r#""name":[null]"#, &["structure Patient.name[0]: expected a value"]),
            (r#""name":[{"given":[null]}]"#, &["structure Patient.name[0].given[0]: expected a value"]),
            (r#""name":[{"given":["A",null]}]"#, &["structure Patient.name[0].given[1]: expected a value"]),
            (
                r#""gender":"""#,
                &["value Patient.gender: strings are not empty", "code-invalid Patient.gender: '' is not in"],
            ),
            (r#""_birthDate":{}"#, &["structure Patient.birthDate: what is empty is left out"]),
            (r#""_birthDate":null"#, &["structure Patient.birthDate: expected a value"]),
        ],
    );
}

#[test]
fn a_member_with_an_underscore_carries_id_and_extensions_of_a_primitive() {
    judge(
        PATIENT,
        &[
            (
                r#""birthDate":"1970-03-30","_birthDate":{"id":"b","extension":[{"url":"http://x/e","valueString":"v"}]}"#,
                &[],
            ),
            // A primitive may have extensions alone.
            (r#""_birthDate":{"extension":[{"url":"http://x/e","valueString":"v"}]}"#, &[]),
            (
                r#""name":[{"given":["A",null,"C"],"_given":[null,{"extension":[{"url":"http://x/e","valueString":"v"}]},null]}]"#,
                &[],
            ),
            (r#""name":[{"given":["A","B"],"_given":[{"id":"a"},{"id":"b"}]}]"#, &[]),
            // The shorter array counts as if filled up with null.
            (r#""name":[{"given":["A","B"],"_given":[{"id":"a"}]}]"#, &[]),
            (r#""_birthDate":{"id":"b"}"#, &["invariant Patient.birthDate: ele-1"]),
            (r#""name":[{"given":[null],"_given":[{"id":"b"}]}]"#, &["invariant Patient.name[0].given[0]: ele-1"]),
            (
                r#""name":[{"given":["A",null],"_given":[{"id":"b"},null]}]"#,
                &["structure Patient.name[0].given[1]: expected a value"],
            ),
            (r#""_birthDate":"1970""#, &["structure Patient.birthDate: expected a JSON object"]),
            (r#""_birthDate":["1970"]"#, &["structure Patient.birthDate: expected a single value"]),
            (
                r#""birthDate":"1970","_birthDate":{"value":"1971"}"#,
                &["structure Patient.birthDate.value: date has no element 'value'"],
            ),
            (
                r#""name":[{"given":["A"],"_given":{"id":"b"}}]"#,
                &["structure Patient.name[0].given: expected a JSON array"],
            ),
            (
                r#""name":[{"given":["A"],"_given":[[{"id":"b"}]]}]"#,
                &["structure Patient.name[0].given[0]: no array inside an array"],
            ),
            (r#""name":[{"family":"A"}],"_name":[{"id":"a"}]"#, &["structure Patient._name: only primitives"]),
            (r#""_maritalStatus":{"id":"a"}"#, &["structure Patient._maritalStatus: only primitives"]),
            (r#""_resourceType":{"id":"a"}"#, &["structure Patient._resourceType: no element"]),
            (r#""__birthDate":{"id":"a"}"#, &["structure Patient.__birthDate: no element"]),
        ],
    );
}

#[test]
fn of_a_choice_one_type_stands() {
    judge(
        PATIENT,
        &[
            (r#""deceasedBoolean":false"#, &[]),
            (r#""deceasedDateTime":"2020""#, &[]),
            (r#""deceasedBoolean":true,"_deceasedBoolean":{"id":"a"}"#, &[]),
            (
                r#""deceasedBoolean":true,"deceasedDateTime":"2020""#,
                &["structure Patient.deceasedDateTime: found both deceasedBoolean and deceasedDateTime"],
            ),
            (
                r#""deceasedBoolean":true,"_deceasedDateTime":{"id":"a"}"#,
                &["structure Patient._deceasedDateTime: one type of this choice"],
            ),
            (r#""deceased":true"#, &["structure Patient.deceased: no element 'deceased'"]),
            (r#""deceased[x]":true"#, &["structure Patient.deceased[x]: no element"]),
            (r#""deceasedString":"x""#, &["structure Patient.deceasedString: no element"]),
            (r#""deceasedboolean":true"#, &["structure Patient.deceasedboolean: no element"]),
        ],
    );
}

#[test]
fn a_name_stands_once_in_an_object() {
    for text in [
        r#"{"resourceType":"Patient","active":true,"active":true}"#,
        r#"{"resourceType":"Patient","name":[{"family":"A","\u0066amily":"B"}]}"#,
        r#"{"resourceType":"Patient","resourceType":"Patient"}"#,
    ] {
        let error = Doc::parse(text, &Limits::default()).unwrap_err();
        assert!(error.message.contains("each name once"), "{text}: {error}");
    }
    judge(PATIENT, &[(r#""name":[{"family":"A"},{"family":"A"}]"#, &[])]);
}
