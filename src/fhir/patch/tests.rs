use super::*;

fn resource(text: &str) -> Resource {
    Resource::parse(text, &Limits::default()).unwrap()
}

fn json(before: &str, patch: &str) -> Result<String, Refused> {
    let patch = Patch::json(patch, &Limits::default())?;
    Ok(patch.apply(&resource(before), &Limits::default())?.text().to_owned())
}

/// Operations as (type, path, further parts as JSON).
fn path(before: &str, operations: &[(&str, &str, &str)]) -> Result<String, Refused> {
    let one = |(kind, path, parts): &(&str, &str, &str)| {
        let path = crate::fhir::json::quote(path);
        let parts = if parts.is_empty() { String::new() } else { format!(",{parts}") };
        format!(
            r#"{{"name":"operation","part":[{{"name":"type","valueCode":"{kind}"}},{{"name":"path","valueString":{path}}}{parts}]}}"#
        )
    };
    let operations: Vec<_> = operations.iter().map(one).collect();
    let text = format!(r#"{{"resourceType":"Parameters","parameter":[{}]}}"#, operations.join(","));
    let patch = Patch::path(&resource(&text))?;
    Ok(patch.apply(&resource(before), &Limits::default())?.text().to_owned())
}

fn is_malformed(result: &Result<String, Refused>) -> bool {
    matches!(result, Err(Refused::Malformed(_)))
}

fn is_unfitting(result: &Result<String, Refused>) -> bool {
    matches!(result, Err(Refused::Unfitting(_)))
}

const PATIENT: &str = r#"{"resourceType":"Patient","id":"p","active":true,"name":[{"family":"A","given":["x","y"]},{"family":"B"}],"multipleBirthInteger":1}"#;

#[test]
fn json_patches_do_what_rfc_6902_says() {
    let name = r#""name":[{"family":"A","given":["x","y"]},{"family":"B"}]"#;
    for (patch, from, to) in [
        (r#"[{"op":"replace","path":"/active","value":false}]"#, r#""active":true"#, r#""active":false"#),
        (r#"[{"op":"add","path":"/gender","value":"male"}]"#, r#"Integer":1}"#, r#"Integer":1,"gender":"male"}"#),
        (r#"[{"op":"remove","path":"/name/0"}]"#, name, r#""name":[{"family":"B"}]"#),
        (r#"[{"op":"add","path":"/name/0/given/1","value":"m"}]"#, r#"["x","y"]"#, r#"["x","m","y"]"#),
        (r#"[{"op":"add","path":"/name/0/given/-","value":"z"}]"#, r#"["x","y"]"#, r#"["x","y","z"]"#),
        (r#"[{"op":"move","from":"/name/0/given/0","path":"/name/0/given/1"}]"#, r#"["x","y"]"#, r#"["y","x"]"#),
        (r#"[{"op":"copy","from":"/name/1/family","path":"/name/0/family"}]"#, r#""family":"A""#, r#""family":"B""#),
        (r#"[{"op":"test","path":"/multipleBirthInteger","value":1.0}]"#, "", ""),
        (r#"[{"op":"test","path":"/name/1","value":{"family":"\u0042"}}]"#, "", ""),
        ("[]", "", ""),
    ] {
        assert_eq!(json(PATIENT, patch).unwrap(), PATIENT.replace(from, to), "{patch}");
    }
}

#[test]
fn json_patches_that_are_none_are_told_from_those_that_do_not_fit() {
    for patch in [
        "{}",
        "[1]",
        r#"[{"op":"add","path":"name","value":1}]"#,
        r#"[{"op":"add","path":"/a~2","value":1}]"#,
        r#"[{"op":"add","path":"/a"}]"#,
        r#"[{"op":"move","path":"/a"}]"#,
        r#"[{"op":"merge","path":"/a","value":1}]"#,
        r#"[{"op":"remove"}]"#,
    ] {
        assert!(is_malformed(&json(PATIENT, patch)), "{patch}");
    }
    for patch in [
        r#"[{"op":"test","path":"/active","value":false}]"#,
        r#"[{"op":"test","path":"/nothing","value":1}]"#,
        r#"[{"op":"remove","path":"/nothing"}]"#,
        r#"[{"op":"replace","path":"/nothing","value":1}]"#,
        r#"[{"op":"add","path":"/name/9","value":{}}]"#,
        r#"[{"op":"add","path":"/name/00","value":{}}]"#,
        r#"[{"op":"add","path":"/active/x","value":1}]"#,
        r#"[{"op":"move","from":"/name","path":"/name/0"}]"#,
        r#"[{"op":"replace","path":"/id","value":"q"}]"#,
        r#"[{"op":"replace","path":"/resourceType","value":"Group"}]"#,
        r#"[{"op":"replace","path":"","value":{"resourceType":"Patient"}}]"#,
        r#"[{"op":"replace","path":"","value":1}]"#,
    ] {
        assert!(is_unfitting(&json(PATIENT, patch)), "{patch}");
    }
}

#[test]
fn numbers_keep_their_digits() {
    let before = r#"{"resourceType":"Observation","valueQuantity":{"value":1.500},"x":12345678901234567890.10}"#;
    let after = json(before, r#"[{"op":"add","path":"/valueQuantity/unit","value":"kg"}]"#).unwrap();
    assert_eq!(after, before.replace("1.500}", "1.500,\"unit\":\"kg\"}"));
}

#[test]
fn copies_of_copies_are_stopped() {
    let copies: Vec<_> = (0..60).map(|n| format!(r#"{{"op":"copy","from":"/extension","path":"/a{n}"}},{{"op":"copy","from":"","path":"/extension/b{n}"}}"#)).collect();
    let before = r#"{"resourceType":"Patient","extension":{"x":1}}"#;
    assert!(is_unfitting(&json(before, &format!("[{}]", copies.join(",")))));
}

#[test]
fn a_narrative_of_old_content_goes() {
    let before = r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div/>"},"active":true}"#;
    let change = r#"{"op":"replace","path":"/active","value":false}"#;
    assert_eq!(json(before, &format!("[{change}]")).unwrap(), r#"{"resourceType":"Patient","active":false}"#);
    let both = format!(r#"[{change},{{"op":"replace","path":"/text/div","value":"<div>n</div>"}}]"#);
    assert!(json(before, &both).unwrap().contains("<div>n</div>"));
    let own = before.replace("generated", "additional");
    assert!(json(&own, &format!("[{change}]")).unwrap().contains("additional"));
}

#[test]
fn path_patches_do_what_fhir_says() {
    let value = |json: &str| format!(r#"{{"name":"value",{json}}}"#);
    let named = |name: &str, json: &str| format!(r#"{{"name":"name","valueString":"{name}"}},{}"#, value(json));
    let index = |index: usize, json: &str| format!(r#"{{"name":"index","valueInteger":{index}}},{}"#, value(json));
    let between = |from: usize, to: usize| {
        format!(r#"{{"name":"source","valueInteger":{from}}},{{"name":"destination","valueInteger":{to}}}"#)
    };
    for (kind, at, parts, from, to) in [
        ("replace", "Patient.active", value(r#""valueBoolean":false"#), r#""active":true"#, r#""active":false"#),
        ("replace", "Patient.name[0].family", value(r#""valueString":"C""#), r#""A""#, r#""C""#),
        ("delete", "Patient.active", String::new(), r#""active":true,"#, ""),
        ("delete", "Patient.gender", String::new(), "", ""),
        ("delete", "Patient.name.where(family = 'A')", String::new(), r#"{"family":"A","given":["x","y"]},"#, ""),
        ("delete", "Patient.name[0].given[0]", String::new(), r#"["x","y"]"#, r#"["y"]"#),
        (
            "add",
            "Patient",
            named("gender", r#""valueCode":"male""#),
            "Integer\":1}",
            "Integer\":1,\"gender\":\"male\"}",
        ),
        (
            "add",
            "Patient.name[1]",
            named("given", r#""valueString":"z""#),
            r#"{"family":"B"}"#,
            r#"{"family":"B","given":["z"]}"#,
        ),
        (
            "add",
            "Patient",
            named(
                "contact",
                r#""part":[{"name":"name","valueHumanName":{"text":"n"}},{"name":"telecom","valueContactPoint":{"value":"1"}}]"#,
            ),
            "Integer\":1}",
            "Integer\":1,\"contact\":[{\"name\":{\"text\":\"n\"},\"telecom\":[{\"value\":\"1\"}]}]}",
        ),
        (
            "add",
            "Patient",
            named("deceased", r#""valueBoolean":true"#),
            "Integer\":1}",
            "Integer\":1,\"deceasedBoolean\":true}",
        ),
        (
            "replace",
            "Patient.multipleBirth",
            value(r#""valueBoolean":true"#),
            r#""multipleBirthInteger":1"#,
            r#""multipleBirthBoolean":true"#,
        ),
        ("insert", "Patient.name[0].given", index(1, r#""valueString":"m""#), r#"["x","y"]"#, r#"["x","m","y"]"#),
        (
            "insert",
            "Patient.name",
            index(2, r#""valueHumanName":{"family":"C"}"#),
            r#"{"family":"B"}]"#,
            r#"{"family":"B"},{"family":"C"}]"#,
        ),
        ("move", "Patient.name[0].given", between(0, 1), r#"["x","y"]"#, r#"["y","x"]"#),
    ] {
        let after = path(PATIENT, &[(kind, at, &parts)]).unwrap_or_else(|refused| panic!("{kind} {at}: {refused:?}"));
        assert_eq!(after, PATIENT.replace(from, to), "{kind} {at}");
    }
}

#[test]
fn path_patches_that_do_not_fit_change_nothing() {
    let value = |json: &str| format!(r#"{{"name":"value",{json}}}"#);
    let named = |name: &str, json: &str| format!(r#"{{"name":"name","valueString":"{name}"}},{}"#, value(json));
    for (kind, at, parts) in [
        ("replace", "Patient.gender", value(r#""valueCode":"male""#)),
        ("replace", "Patient.name", value(r#""valueHumanName":{"family":"C"}"#)),
        ("delete", "Patient.name", String::new()),
        ("add", "Patient", named("active", r#""valueBoolean":true"#)),
        ("add", "Patient", named("bogus", r#""valueBoolean":true"#)),
        ("add", "Patient", named("deceased", r#""valueQuantity":{"value":1}"#)),
        ("add", "Patient.active", named("x", r#""valueString":"y""#)),
        ("replace", "Patient", value(r#""valueString":"y""#)),
        ("replace", "Patient.id", value(r#""valueId":"other""#)),
        (
            "insert",
            "Patient.name",
            format!(r#"{{"name":"index","valueInteger":9}},{}"#, value(r#""valueHumanName":{"family":"C"}"#)),
        ),
        (
            "move",
            "Patient.name",
            r#"{"name":"source","valueInteger":0},{"name":"destination","valueInteger":2}"#.to_owned(),
        ),
        ("replace", "1 + 1", value(r#""valueInteger":2"#)),
    ] {
        assert!(is_unfitting(&path(PATIENT, &[(kind, at, &parts)])), "{kind} {at}");
    }
    for (kind, at, parts) in [
        ("merge", "Patient.gender", String::new()),
        ("replace", "Patient.gender", String::new()),
        ("replace", "Patient..", value(r#""valueCode":"male""#)),
        ("add", "Patient", value(r#""valueCode":"male""#)),
        ("insert", "Patient.name", value(r#""valueCode":"male""#)),
        ("delete", "Patient.name", r#"{"name":"bogus","valueString":"x"}"#.to_owned()),
    ] {
        assert!(is_malformed(&path(PATIENT, &[(kind, at, &parts)])), "{kind} {at}");
    }
}

#[test]
fn the_siblings_of_primitives_follow() {
    let before = r#"{"resourceType":"Patient","name":[{"given":["x","y"],"_given":[null,{"id":"g"}]}]}"#;
    assert_eq!(
        path(before, &[("delete", "Patient.name.given[0]", "")]).unwrap(),
        r#"{"resourceType":"Patient","name":[{"given":["y"],"_given":[{"id":"g"}]}]}"#
    );
    assert_eq!(
        path(before, &[("delete", "Patient.name.given[1]", "")]).unwrap(),
        r#"{"resourceType":"Patient","name":[{"given":["x"]}]}"#
    );
    assert_eq!(
        path(before, &[("delete", "Patient.name.given[1]", ""), ("delete", "Patient.name.given[0]", "")]).unwrap(),
        r#"{"resourceType":"Patient"}"#
    );
}

#[test]
fn meta_is_a_set() {
    let before =
        r#"{"resourceType":"Patient","meta":{"versionId":"1","tag":[{"system":"s","code":"a","display":"A"}]}}"#;
    let parameters = |meta: &str| {
        resource(&format!(r#"{{"resourceType":"Parameters","parameter":[{{"name":"meta","valueMeta":{meta}}}]}}"#))
    };
    let change = |meta: &str, adds| {
        let patch = Patch::meta(&parameters(meta), adds).unwrap();
        patch.apply(&resource(before), &Limits::default()).unwrap().text().to_owned()
    };
    assert_eq!(change(r#"{"tag":[{"system":"s","code":"a"}]}"#, true), before);
    assert!(
        change(r#"{"tag":[{"code":"a"}],"profile":["http://p"]}"#, true)
            .contains(r#""display":"A"},{"code":"a"}],"profile":["http://p"]"#)
    );
    assert_eq!(
        change(r#"{"tag":[{"system":"s","code":"a"}]}"#, false),
        r#"{"resourceType":"Patient","meta":{"versionId":"1"}}"#
    );
    assert!(matches!(Patch::meta(&resource(r#"{"resourceType":"Parameters"}"#), true), Err(Refused::Malformed(_))));
}
