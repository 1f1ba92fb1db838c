mod json;
mod limits;
mod meta;
mod path;

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
    parameters(before, &format!(r#"{{"resourceType":"Parameters","parameter":[{}]}}"#, operations.join(",")))
}

fn parameters(before: &str, parameters: &str) -> Result<String, Refused> {
    let patch = Patch::path(&resource(parameters))?;
    Ok(patch.apply(&resource(before), &Limits::default())?.text().to_owned())
}

#[track_caller]
fn malformed_text(result: Result<String, Refused>) -> String {
    match result {
        Err(Refused::Malformed(issue)) => issue.text,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn unfitting_text(result: Result<String, Refused>) -> String {
    match result {
        Err(Refused::Unfitting(issue)) => issue.text,
        other => panic!("{other:?}"),
    }
}

const PATIENT: &str = r#"{"resourceType":"Patient","id":"p","active":true,"name":[{"family":"A","given":["x","y"]},{"family":"B"}],"multipleBirthInteger":1}"#;

#[test]
fn the_type_and_the_id_stay() {
    for patch in [
        r#"[{"op":"replace","path":"/id","value":"q"}]"#,
        r#"[{"op":"remove","path":"/id"}]"#,
        r#"[{"op":"replace","path":"/resourceType","value":"Group"}]"#,
        r#"[{"op":"replace","path":"","value":{"resourceType":"Patient"}}]"#,
        r#"[{"op":"replace","path":"","value":1}]"#,
    ] {
        assert!(unfitting_text(json(PATIENT, patch)).contains("cannot change"), "{patch}");
    }
    let whole = r#"[{"op":"replace","path":"","value":{"resourceType":"Patient","id":"\u0070"}}]"#;
    assert_eq!(json(PATIENT, whole).unwrap(), r#"{"resourceType":"Patient","id":"\u0070"}"#);
    let value = r#"{"name":"value","valueId":"other"}"#;
    assert!(unfitting_text(path(PATIENT, &[("replace", "Patient.id", value)])).contains("cannot change"));
    assert!(unfitting_text(path(PATIENT, &[("delete", "Patient.id", "")])).contains("cannot change"));
}

#[test]
fn a_narrative_of_old_content_goes() {
    let before = r#"{"resourceType":"Patient","meta":{"versionId":"1"},"text":{"status":"generated","div":"<div/>"},"active":true}"#;
    let change = r#"{"op":"replace","path":"/active","value":false}"#;
    let without = r#"{"resourceType":"Patient","meta":{"versionId":"1"},"active":false}"#;
    assert_eq!(json(before, &format!("[{change}]")).unwrap(), without);
    let from_extensions = before.replace("generated", "extensions");
    assert_eq!(json(&from_extensions, &format!("[{change}]")).unwrap(), without);
    let both = format!(r#"[{change},{{"op":"replace","path":"/text/div","value":"<div>n</div>"}}]"#);
    assert!(json(before, &both).unwrap().contains("<div>n</div>"));
    for kept in ["additional", "empty"] {
        assert!(json(&before.replace("generated", kept), &format!("[{change}]")).unwrap().contains(kept));
    }
    for nothing in [
        "[]",
        r#"[{"op":"replace","path":"/active","value":true}]"#,
        r#"[{"op":"add","path":"/meta/tag","value":[{"code":"t"}]}]"#,
    ] {
        assert!(json(before, nothing).unwrap().contains("<div/>"), "{nothing}");
    }
}
