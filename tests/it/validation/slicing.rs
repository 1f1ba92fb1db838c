//! Slicing (R4 profiling.html#slicing): every kind of discriminator, rules, order, counts, slices in slices.

use super::{judge_by, package};

const PATIENT: &str = r#""resourceType":"Patient""#;

/// A profile on Patient with `identifier` sliced by `system`, with slices of these names; the system ends in the name.
fn by_system(url: &str, slicing: &str, slices: &[(&str, &str)]) -> serde_json::Value {
    let mut elements = vec![format!(
        r#"{{"id":"Patient.identifier","path":"Patient.identifier","slicing":{{"discriminator":[{{"type":"value","path":"system"}}],{slicing}}}}}"#
    )];
    for (name, members) in slices {
        elements.push(format!(
            r#"{{"id":"Patient.identifier:{name}","path":"Patient.identifier","sliceName":"{name}"{members}}},
               {{"id":"Patient.identifier:{name}.system","path":"Patient.identifier.system","min":1,"fixedUri":"http://{name}"}}"#
        ));
    }
    package::profile(url, "Patient", &elements.join(","))
}

fn identifiers(systems: &[&str]) -> String {
    let all: Vec<_> = systems.iter().map(|system| format!(r#"{{"system":"http://{system}","value":"1"}}"#)).collect();
    format!(r#""identifier":[{}]"#, all.join(","))
}

#[test]
fn slices_are_counted() {
    let url = "http://x/counted";
    let slices = [("a", r#","min":1,"max":"1""#), ("b", r#","min":0,"max":"2""#)];
    let validator = package::profiles(&[by_system(url, r#""rules":"open""#, &slices)]);
    judge_by(
        &validator,
        &[url],
        PATIENT,
        &[
            (&identifiers(&["a"]), &[]),
            (&identifiers(&["c", "b", "a", "b", "c"]), &[]),
            (
                &identifiers(&["b"]),
                &["required Patient.identifier: expected at least 1 identifier of the slice a, found 0"],
            ),
            ("", &["required Patient.identifier: at least 1 identifier of the slice a"]),
            (
                &identifiers(&["a", "a"]),
                &["structure Patient.identifier: expected at most 1 identifier of the slice a, found 2"],
            ),
            (
                &identifiers(&["b", "a", "b", "b"]),
                &["structure Patient.identifier: expected at most 2 identifier of the slice b, found 3"],
            ),
        ],
    );
}

#[test]
fn closed_slices_leave_no_room_for_others() {
    let url = "http://x/closed";
    let validator = package::profiles(&[by_system(url, r#""rules":"closed""#, &[("a", ""), ("b", "")])]);
    judge_by(
        &validator,
        &[url],
        PATIENT,
        &[
            ("", &[]),
            (&identifiers(&["b", "a", "b"]), &[]),
            (
                &identifiers(&["a", "c"]),
                &["structure Patient.identifier[1]: is none of the slices of identifier: a, b"],
            ),
            (r#""identifier":[{"value":"1"}]"#, &["structure Patient.identifier[0]: is none of the slices"]),
        ],
    );
}

#[test]
fn others_come_last_where_slices_are_open_at_the_end() {
    let url = "http://x/end";
    let validator = package::profiles(&[by_system(url, r#""rules":"openAtEnd""#, &[("a", ""), ("b", "")])]);
    judge_by(
        &validator,
        &[url],
        PATIENT,
        &[
            (&identifiers(&["b", "a", "c", "d"]), &[]),
            (&identifiers(&["a", "c", "b"]), &["structure Patient.identifier[2]: the slice b stands too late"]),
        ],
    );
}

#[test]
fn ordered_slices_stand_in_their_order() {
    let url = "http://x/ordered";
    let validator = package::profiles(&[by_system(url, r#""ordered":true,"rules":"open""#, &[("a", ""), ("b", "")])]);
    judge_by(
        &validator,
        &[url],
        PATIENT,
        &[
            (&identifiers(&["a", "a", "c", "b", "b"]), &[]),
            (&identifiers(&["b"]), &[]),
            (&identifiers(&["b", "a"]), &["structure Patient.identifier[1]: the slice a stands too late"]),
        ],
    );
}

#[test]
fn the_default_slice_takes_what_no_other_does() {
    let url = "http://x/default";
    let mut profile = by_system(url, r#""rules":"closed""#, &[("a", "")]);
    let elements = profile["differential"]["element"].as_array_mut().unwrap();
    for element in [
        r#"{"id":"Patient.identifier:@default","path":"Patient.identifier","sliceName":"@default","max":"1"}"#,
        r#"{"id":"Patient.identifier:@default.value","path":"Patient.identifier.value","min":1}"#,
    ] {
        elements.push(serde_json::from_str(element).unwrap());
    }
    judge_by(
        &package::profiles(&[profile]),
        &[url],
        PATIENT,
        &[
            (&identifiers(&["a", "c"]), &[]),
            (r#""identifier":[{"system":"http://a"}]"#, &[]),
            (r#""identifier":[{"system":"http://c"}]"#, &["required Patient.identifier[0].value: at least 1 value"]),
            (
                &identifiers(&["c", "d"]),
                &["structure Patient.identifier: expected at most 1 identifier of the slice @default, found 2"],
            ),
        ],
    );
}

#[test]
fn a_slice_has_its_own_rules_and_is_sliced_again() {
    let url = "http://x/again";
    let validator = package::profiles(&[package::profile(
        url,
        "Patient",
        r#"{"id":"Patient.identifier","path":"Patient.identifier","slicing":{"discriminator":[{"type":"value","path":"system"}],"rules":"open"}},
           {"id":"Patient.identifier:a","path":"Patient.identifier","sliceName":"a","slicing":{"discriminator":[{"type":"value","path":"use"}],"rules":"closed"}},
           {"id":"Patient.identifier:a.system","path":"Patient.identifier.system","min":1,"fixedUri":"http://a"},
           {"id":"Patient.identifier:a/old","path":"Patient.identifier","sliceName":"a/old","min":1},
           {"id":"Patient.identifier:a/old.use","path":"Patient.identifier.use","min":1,"fixedCode":"old"},
           {"id":"Patient.identifier:a/old.period","path":"Patient.identifier.period","min":1},
           {"id":"Patient.identifier:a/usual","path":"Patient.identifier","sliceName":"a/usual","max":"1"},
           {"id":"Patient.identifier:a/usual.use","path":"Patient.identifier.use","min":1,"fixedCode":"usual"}"#,
    )]);
    let old = r#"{"system":"http://a","use":"old","period":{"end":"2020"}}"#;
    let usual = r#"{"system":"http://a","use":"usual"}"#;
    let all = |identifiers: &[&str]| format!(r#""identifier":[{}]"#, identifiers.join(","));
    judge_by(
        &validator,
        &[url],
        PATIENT,
        &[
            (&all(&[old, usual, r#"{"system":"http://b"}"#]), &[]),
            (
                &all(&[usual]),
                &["required Patient.identifier: expected at least 1 identifier of the slice a/old, found 0"],
            ),
            (
                &all(&[old, usual, usual]),
                &["structure Patient.identifier: expected at most 1 identifier of the slice a/usual, found 2"],
            ),
            (
                &all(&[r#"{"system":"http://a","use":"old"}"#]),
                &["required Patient.identifier[0].period: at least 1 period"],
            ),
            (
                &all(&[old, r#"{"system":"http://a","use":"official"}"#]),
                &["structure Patient.identifier[1]: is none of the slices of identifier: a/old, a/usual"],
            ),
        ],
    );
}

/// A profile on Observation with `component` sliced by one discriminator; the slice `s` stands at most once.
fn components(kind: &str, path: &str, elements: &str) -> sofa::fhir::validate::Validator {
    package::profiles(&[
        package::profile(
            "http://x/components",
            "Observation",
            &format!(
                r#"{{"id":"Observation.component","path":"Observation.component","slicing":{{"discriminator":[{{"type":"{kind}","path":"{path}"}}],"rules":"open"}}}},
                   {{"id":"Observation.component:s","path":"Observation.component","sliceName":"s","max":"1"}},{elements}"#
            ),
        ),
        package::value_set("http://x/codes", "http://x", &["a", "b"]),
        package::extension(
            "http://x/mark",
            &[("element", "Element")],
            r#"{"id":"Extension.value[x]","path":"Extension.value[x]","min":1,"type":[{"code":"code"}]}"#,
        ),
        package::profile("http://x/target", "Patient", r#"{"id":"Patient.active","path":"Patient.active","min":1}"#),
        package::profile(
            "http://x/metric",
            "Quantity",
            r#"{"id":"Quantity.unit","path":"Quantity.unit","min":1,"fixedString":"m"}"#,
        ),
    ])
}

/// Whether two of these components count as two of the slice, and those as none.
fn members(validator: &sofa::fhir::validate::Validator, inside: &[&str], outside: &[&str]) {
    let start = r#""resourceType":"Observation","status":"final","code":{"text":"x"}"#;
    let twice = |component: &str| format!(r#""component":[{component},{component}]"#);
    for component in inside {
        judge_by(
            validator,
            &["http://x/components"],
            start,
            &[(
                &twice(component),
                &["structure Observation.component: expected at most 1 component of the slice s, found 2"],
            )],
        );
    }
    for component in outside {
        judge_by(validator, &["http://x/components"], start, &[(&twice(component), &[])]);
    }
}

#[test]
fn discriminators_by_value_look_at_fixed_values_patterns_and_sets() {
    let a = r#"{"code":{"coding":[{"system":"http://x","code":"a"}]}}"#;
    let shown = r#"{"code":{"coding":[{"system":"http://y","code":"c"},{"system":"http://x","code":"a","display":"A"}],"text":"A"}}"#;
    let c = r#"{"code":{"coding":[{"system":"http://x","code":"c"}]}}"#;
    let text = r#"{"code":{"text":"a"}}"#;
    let code = |members: &str| {
        format!(r#"{{"id":"Observation.component:s.code","path":"Observation.component.code",{members}}}"#)
    };
    let pattern = code(r#""patternCodeableConcept":{"coding":[{"system":"http://x","code":"a"}]}"#);
    members(&components("pattern", "code", &pattern), &[a, shown], &[c, text]);
    members(&components("value", "code", &pattern), &[a, shown], &[c, text]);
    members(
        &components("value", "code", &code(r#""binding":{"strength":"required","valueSet":"http://x/codes"}"#)),
        &[a, shown],
        &[c, text],
    );
    members(
        &components("value", "code", &code(r#""fixedCodeableConcept":{"coding":[{"system":"http://x","code":"a"}]}"#)),
        &[a],
        &[shown, c, text],
    );
    let deep = r#"{"id":"Observation.component:s.code.coding","path":"Observation.component.code.coding","min":1},
                  {"id":"Observation.component:s.code.coding.code","path":"Observation.component.code.coding.code","min":1,"fixedCode":"a"}"#;
    members(&components("value", "code.coding.code", deep), &[a], &[c, text]);
    members(&components("value", "code", deep), &[a], &[c, text]);
}

#[test]
fn discriminators_by_existence() {
    let with = r#"{"code":{"text":"x"},"valueInteger":1}"#;
    let without = r#"{"code":{"text":"x"}}"#;
    let value = |cardinality: &str| {
        format!(r#"{{"id":"Observation.component:s.value[x]","path":"Observation.component.value[x]",{cardinality}}}"#)
    };
    members(&components("exists", "value", &value(r#""min":1"#)), &[with], &[without]);
    members(&components("exists", "value", &value(r#""max":"0""#)), &[without], &[with]);
}

#[test]
fn discriminators_by_type() {
    let quantity = r#"{"code":{"text":"x"},"valueQuantity":{"value":1}}"#;
    let string = r#"{"code":{"text":"x"},"valueString":"x"}"#;
    let of = |ty: &str| {
        format!(
            r#"{{"id":"Observation.component:s.value[x]","path":"Observation.component.value[x]","min":1,"type":[{{"code":"{ty}"}}]}}"#
        )
    };
    members(&components("type", "value", &of("Quantity")), &[quantity], &[string]);
    members(&components("type", "value", &of("string")), &[string], &[quantity]);
}

#[test]
fn discriminators_by_profile() {
    let metric = r#"{"code":{"text":"x"},"valueQuantity":{"value":1,"unit":"m"}}"#;
    let imperial = r#"{"code":{"text":"x"},"valueQuantity":{"value":1,"unit":"ft"}}"#;
    let of = r#"{"id":"Observation.component:s.value[x]","path":"Observation.component.value[x]","min":1,"type":[{"code":"Quantity","profile":["http://x/metric"]}]}"#;
    members(&components("profile", "value", of), &[metric], &[imperial]);
}

#[test]
fn paths_go_through_choices_and_extensions() {
    let concept = |code: &str| {
        format!(
            r#"{{"code":{{"text":"x"}},"valueCodeableConcept":{{"coding":[{{"system":"http://x","code":"{code}"}}]}}}}"#
        )
    };
    let of_type = r#"{"id":"Observation.component:s.value[x]","path":"Observation.component.value[x]","type":[{"code":"CodeableConcept"}],"patternCodeableConcept":{"coding":[{"system":"http://x","code":"a"}]}}"#;
    let string = r#"{"code":{"text":"x"},"valueString":"a"}"#;
    members(&components("value", "value.ofType(CodeableConcept)", of_type), &[&concept("a")], &[&concept("b"), string]);
    let marked = |code: &str| {
        format!(r#"{{"code":{{"text":"x"}},"extension":[{{"url":"http://x/mark","valueCode":"{code}"}}]}}"#)
    };
    let mark = r#"{"id":"Observation.component:s.extension:mark","path":"Observation.component.extension","sliceName":"mark","min":1,"type":[{"code":"Extension","profile":["http://x/mark"]}]},
                  {"id":"Observation.component:s.extension:mark.value[x]","path":"Observation.component.extension.value[x]","min":1,"fixedCode":"a"}"#;
    members(&components("value", "extension('http://x/mark').value", mark), &[&marked("a")], &[&marked("b"), string]);
}

#[test]
fn paths_go_through_references() {
    let profile = |kind: &str, path: &str, target: &str| {
        package::profiles(&[
            package::profile(
                "http://x/list",
                "List",
                &format!(
                    r#"{{"id":"List.entry","path":"List.entry","slicing":{{"discriminator":[{{"type":"{kind}","path":"{path}"}}],"rules":"open"}}}},
                       {{"id":"List.entry:p","path":"List.entry","sliceName":"p","max":"1"}},
                       {{"id":"List.entry:p.item","path":"List.entry.item","type":[{{"code":"Reference","targetProfile":["{target}"]}}]}}"#
                ),
            ),
            package::profile(
                "http://x/active",
                "Patient",
                r#"{"id":"Patient.active","path":"Patient.active","min":1,"fixedBoolean":true}"#,
            ),
        ])
    };
    let start = r#""resourceType":"List","status":"current","mode":"working""#;
    let list = |items: &[&str]| {
        let items: Vec<_> = items.iter().map(|item| format!(r#"{{"item":{{"reference":"{item}"}}}}"#)).collect();
        format!(
            r##""entry":[{}],"contained":[{{"resourceType":"Patient","id":"a","active":true}},{{"resourceType":"Patient","id":"b"}},{{"resourceType":"Device","id":"d","owner":{{"reference":"#"}},"parent":{{"reference":"#d"}}}},{{"resourceType":"Basic","id":"x","code":{{"text":"x"}},"subject":{{"reference":"#"}},"extension":[{{"url":"http://x/e","valueReference":{{"reference":"#a"}}}},{{"url":"http://x/e","valueReference":{{"reference":"#b"}}}}]}}]"##,
            items.join(",")
        )
    };
    let most = "structure List.entry: expected at most 1 entry of the slice p, found 2";
    let owner = "structure List.contained[2].owner: expected a reference to Organization, not to List";
    let by_type = profile("type", "item.resolve()", "http://hl7.org/fhir/StructureDefinition/Patient");
    judge_by(
        &by_type,
        &["http://x/list"],
        start,
        &[
            (&list(&["#a", "#d", "Device/1"]), &[owner]),
            (&list(&["#a", "#b"]), &[owner, most]),
            // The text alone tells the type.
            (&list(&["Patient/1", "http://x/fhir/Patient/2"]), &[owner, most]),
        ],
    );
    let by_profile = profile("profile", "item.resolve()", "http://x/active");
    judge_by(
        &by_profile,
        &["http://x/list"],
        start,
        &[(&list(&["#a", "#b", "#b"]), &[owner]), (&list(&["#a", "#a"]), &[owner, most])],
    );
    let by_value = profile("value", "item.resolve().active", "http://x/active");
    judge_by(
        &by_value,
        &["http://x/list"],
        start,
        &[(&list(&["#a", "#b", "#b"]), &[owner]), (&list(&["#a", "#a"]), &[owner, most])],
    );
}

#[test]
fn several_discriminators_hold_together() {
    let url = "http://x/both";
    let validator = package::profiles(&[package::profile(
        url,
        "Patient",
        r#"{"id":"Patient.telecom","path":"Patient.telecom","slicing":{"discriminator":[{"type":"value","path":"system"},{"type":"value","path":"use"}],"rules":"open"}},
           {"id":"Patient.telecom:w","path":"Patient.telecom","sliceName":"w","max":"1"},
           {"id":"Patient.telecom:w.system","path":"Patient.telecom.system","min":1,"fixedCode":"phone"},
           {"id":"Patient.telecom:w.use","path":"Patient.telecom.use","min":1,"fixedCode":"work"}"#,
    )]);
    let telecom = |all: &[(&str, &str)]| {
        let all: Vec<_> = all
            .iter()
            .map(|(system, usage)| format!(r#"{{"system":"{system}","use":"{usage}","value":"1"}}"#))
            .collect();
        format!(r#""telecom":[{}]"#, all.join(","))
    };
    judge_by(
        &validator,
        &[url],
        PATIENT,
        &[
            (&telecom(&[("phone", "work"), ("phone", "home"), ("email", "work")]), &[]),
            (
                &telecom(&[("phone", "work"), ("phone", "work")]),
                &["structure Patient.telecom: expected at most 1 telecom of the slice w, found 2"],
            ),
        ],
    );
}
