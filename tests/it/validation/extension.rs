//! Extensions (R4 extensibility.html, defining-extensions.html): known ones are checked, unknown ones are allowed, unknown
//! modifiers are not.

use super::{judge, judge_by, package};

const PATIENT: &str = r#""resourceType":"Patient""#;
const R4: &str = "http://hl7.org/fhir/StructureDefinition";

#[test]
fn an_extension_has_a_value_or_extensions() {
    judge(
        PATIENT,
        &[
            (r#""extension":[{"url":"http://x/e","valueString":"a"}]"#, &[]),
            (r#""extension":[{"url":"http://x/e","extension":[{"url":"a","valueString":"a"}]}]"#, &[]),
            (r#""extension":[{"url":"http://x/e"}]"#, &["invariant Patient.extension[0]: ext-1"]),
            (
                r#""extension":[{"url":"http://x/e","valueString":"a","extension":[{"url":"a","valueString":"a"}]}]"#,
                &["invariant Patient.extension[0]: ext-1"],
            ),
            (r#""extension":[{"valueString":"a"}]"#, &["required Patient.extension[0].url: url is required"]),
            (
                r#""extension":[{"url":"http://x/e","valueString":"a","valueCode":"a"}]"#,
                &["structure Patient.extension[0].valueCode: one type of this choice"],
            ),
            (
                r#""extension":[{"url":"http://x/e","valueFoo":"a"}]"#,
                &[
                    "structure Patient.extension[0].valueFoo: Extension has no element",
                    "invariant Patient.extension[0]: ext-1",
                ],
            ),
            (
                r#""extension":{"url":"http://x/e","valueString":"a"}"#,
                &["structure Patient.extension: expected a JSON array"],
            ),
        ],
    );
}

#[test]
fn an_extension_is_named_by_an_absolute_url_unless_it_is_a_part() {
    judge(
        PATIENT,
        &[
            (r#""extension":[{"url":"urn:oid:1.2.3","valueString":"a"}]"#, &[]),
            (
                r#""extension":[{"url":"e","valueString":"a"}]"#,
                &["extension Patient.extension[0]: the extension's url 'e' is not absolute"],
            ),
            (
                r#""extension":[{"url":"/fhir/e","valueString":"a"}]"#,
                &["extension Patient.extension[0]: is not absolute"],
            ),
            (
                r#""extension":[{"url":"http://x/e","extension":[{"url":"a","extension":[{"url":"b","valueCode":"c"}]}]}]"#,
                &[],
            ),
            (
                r#""name":[{"family":"A","_family":{"extension":[{"url":"e","valueString":"a"}]}}]"#,
                &["extension Patient.name[0].family.extension[0]: is not absolute"],
            ),
        ],
    );
}

#[test]
fn what_is_in_an_unknown_extension_is_r4_too() {
    judge(
        PATIENT,
        &[
            (r#""extension":[{"url":"http://x/e","valueQuantity":{"value":1,"unit":"mg"}}]"#, &[]),
            (
                r#""extension":[{"url":"http://x/e","valueQuantity":{"value":"1"}}]"#,
                &["value Patient.extension[0].value.value: a number, without quotes"],
            ),
            (
                r#""extension":[{"url":"http://x/e","valueQuantity":{"value":1,"code":"mg"}}]"#,
                &["invariant Patient.extension[0].value: qty-3"],
            ),
            (
                r#""extension":[{"url":"http://x/e","valuePeriod":{"start":"2021","end":"2020"}}]"#,
                &["invariant Patient.extension[0].value: per-1"],
            ),
        ],
    );
}

#[test]
fn a_modifier_that_is_not_known_is_refused() {
    judge(
        PATIENT,
        &[
            (
                r#""modifierExtension":[{"url":"http://x/e","valueBoolean":true}]"#,
                &["extension Patient.modifierExtension[0]: the modifier extension http://x/e is not known here"],
            ),
            (
                r#""contact":[{"name":{"text":"x"},"modifierExtension":[{"url":"http://x/e","valueBoolean":true}]}]"#,
                &["extension Patient.contact[0].modifierExtension[0]: is not known here"],
            ),
            // Data types and primitives have none (R4 extensibility.html#modifierExtension).
            (
                r#""name":[{"text":"x","modifierExtension":[{"url":"http://x/e","valueBoolean":true}]}]"#,
                &["structure Patient.name[0].modifierExtension: no element"],
            ),
        ],
    );
}

#[test]
fn an_extension_is_a_modifier_where_its_definition_says_so() {
    let order = r#""resourceType":"NutritionOrder","status":"active","intent":"order","patient":{"display":"x"},"dateTime":"2024","oralDiet":{"instruction":"x"}"#;
    let not_done = r#"[{"url":"http://hl7.org/fhir/StructureDefinition/request-doNotPerform","valueBoolean":true}]"#;
    let absent = r#"[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]"#;
    judge(
        order,
        &[
            (&format!(r#""modifierExtension":{not_done}"#), &[]),
            (&format!(r#""extension":{absent}"#), &[]),
            (
                &format!(r#""extension":{not_done}"#),
                &["extension NutritionOrder.extension[0]: is a modifier, so it may not stand in extension"],
            ),
            (
                &format!(r#""modifierExtension":{absent}"#),
                &[
                    "extension NutritionOrder.modifierExtension[0]: is no modifier, so it may not stand in modifierExtension",
                ],
            ),
        ],
    );
}

#[test]
fn hl7s_extensions_are_checked() {
    let on = |extension: &str| format!(r#""extension":[{{"url":"{R4}/{extension}}}]"#);
    judge(
        PATIENT,
        &[
            (&on(r#"patient-mothersMaidenName","valueString":"A""#), &[]),
            (
                &on(r#"patient-mothersMaidenName","valueCode":"A""#),
                &["structure Patient.extension[0].value: expected string, found code"],
            ),
            (
                &on(r#"patient-birthTime","valueDateTime":"2020-01-01T10:00:00Z""#),
                &["extension Patient.extension[0]: patient-birthTime stands in Patient.birthDate, not in Patient"],
            ),
            (
                r#""_birthDate":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/patient-birthTime","valueDateTime":"2020-01-01T10:00:00Z"}]}"#,
                &[],
            ),
            (
                &on(
                    r#"patient-citizenship","extension":[{"url":"code","valueCodeableConcept":{"text":"CA"}},{"url":"period","valuePeriod":{"start":"2020"}}]"#,
                ),
                &[],
            ),
            (
                &on(r#"patient-citizenship","extension":[{"url":"code","valueCode":"CA"}]"#),
                &["structure Patient.extension[0].extension[0].value: expected CodeableConcept, found code"],
            ),
            (
                &on(
                    r#"patient-citizenship","extension":[{"url":"period","valuePeriod":{"start":"2020"}},{"url":"period","valuePeriod":{"start":"2021"}}]"#,
                ),
                &[
                    "structure Patient.extension[0].extension: expected at most 1 extension of the slice period, found 2",
                ],
            ),
            (
                &on(r#"patient-citizenship","valueString":"CA""#),
                &["structure Patient.extension[0].value: expected at most 0 value, found 1"],
            ),
        ],
    );
}

#[test]
fn the_extensions_of_a_package_are_checked() {
    let simple = "http://x/simple";
    let part = |name: &str, min: u32, ty: &str| {
        format!(
            r#"{{"id":"Extension.extension:{name}","path":"Extension.extension","sliceName":"{name}","min":{min},"max":"1"}},
               {{"id":"Extension.extension:{name}.url","path":"Extension.extension.url","fixedUri":"{name}"}},
               {{"id":"Extension.extension:{name}.value[x]","path":"Extension.extension.value[x]","type":[{{"code":"{ty}"}}]}}"#
        )
    };
    let complex = [
        part("number", 1, "integer"),
        part("word", 0, "string"),
        r#"{"id":"Extension.value[x]","path":"Extension.value[x]","max":"0"}"#.to_owned(),
    ];
    let modifier = package::extension(
        "http://x/modifier",
        &[("element", "Patient")],
        r#"{"id":"Extension","path":"Extension","isModifier":true},{"id":"Extension.value[x]","path":"Extension.value[x]","min":1,"type":[{"code":"boolean"}]}"#,
    );
    let validator = package::profiles(&[
        package::extension(
            simple,
            &[("element", "Patient"), ("element", "Patient.contact"), ("extension", "http://x/outer")],
            r#"{"id":"Extension.value[x]","path":"Extension.value[x]","min":1,"type":[{"code":"code"}],"binding":{"strength":"required","valueSet":"http://hl7.org/fhir/ValueSet/administrative-gender"}}"#,
        ),
        package::extension("http://x/complex", &[("element", "Element")], &complex.join(",")),
        package::extension(
            "http://x/in-type",
            &[("element", "HumanName.family")],
            r#"{"id":"Extension.value[x]","path":"Extension.value[x]","type":[{"code":"string"}]}"#,
        ),
        modifier,
    ]);
    judge_by(
        &validator,
        &[],
        PATIENT,
        &[
            (r#""extension":[{"url":"http://x/simple","valueCode":"male"}]"#, &[]),
            (r#""contact":[{"name":{"text":"x"},"extension":[{"url":"http://x/simple","valueCode":"male"}]}]"#, &[]),
            (
                r#""extension":[{"url":"http://x/outer","extension":[{"url":"http://x/simple","valueCode":"male"}]}]"#,
                &[],
            ),
            (
                r#""extension":[{"url":"http://x/simple","valueCode":"m"}]"#,
                &["code-invalid Patient.extension[0].value: 'm' is not in the value set"],
            ),
            (
                r#""extension":[{"url":"http://x/simple","valueString":"male"}]"#,
                &["structure Patient.extension[0].value: expected code, found string (profile http://x/simple)"],
            ),
            (
                r#""name":[{"text":"x","extension":[{"url":"http://x/simple","valueCode":"male"}]}]"#,
                &[
                    "extension Patient.name[0].extension[0]: the extension http://x/simple stands in Patient or Patient.contact or http://x/outer, not in HumanName",
                ],
            ),
            (r#""extension":[{"url":"http://x/complex","extension":[{"url":"number","valueInteger":1}]}]"#, &[]),
            (
                r#""extension":[{"url":"http://x/complex","extension":[{"url":"number","valueInteger":1},{"url":"word","valueString":"a"}]}]"#,
                &[],
            ),
            (
                r#""extension":[{"url":"http://x/complex","extension":[{"url":"word","valueString":"a"}]}]"#,
                &[
                    "required Patient.extension[0].extension: expected at least 1 extension of the slice number, found 0",
                ],
            ),
            (
                r#""extension":[{"url":"http://x/complex","extension":[{"url":"number","valueInteger":1},{"url":"word","valueCode":"a"}]}]"#,
                &["structure Patient.extension[0].extension[1].value: expected string, found code"],
            ),
            (r#""name":[{"family":"A","_family":{"extension":[{"url":"http://x/in-type","valueString":"a"}]}}]"#, &[]),
            (
                r#""name":[{"given":["A"],"_given":[{"extension":[{"url":"http://x/in-type","valueString":"a"}]}]}]"#,
                &["extension Patient.name[0].given[0].extension[0]: stands in HumanName.family, not in string"],
            ),
            (r#""modifierExtension":[{"url":"http://x/modifier","valueBoolean":true}]"#, &[]),
            (
                r#""modifierExtension":[{"url":"http://x/modifier","valueString":"true"}]"#,
                &["structure Patient.modifierExtension[0].value: expected boolean, found string"],
            ),
        ],
    );
}
