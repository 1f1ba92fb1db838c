use super::*;

const BEFORE: &str = r#"{"resourceType":"Patient","meta":{"versionId":"3","profile":["urn:a"],"_profile":[{"id":"i"}],"tag":[{"system":"s","code":"c","display":"D"},{"code":"c"}]},"text":{"status":"generated","div":"<div/>"},"active":true}"#;

fn changed(before: &str, meta: &str, adds: bool) -> String {
    let parameters = format!(r#"{{"resourceType":"Parameters","parameter":[{{"name":"meta","valueMeta":{meta}}}]}}"#);
    let patch = Patch::meta(&resource(&parameters), adds).unwrap();
    let after = patch.apply(&resource(before), &Limits::default()).unwrap();
    after.text().to_owned()
}

#[test]
fn labels_are_added_once() {
    for (meta, from, to) in [
        (r#"{"profile":["urn:a"]}"#, "", ""),
        (r#"{"tag":[{"system":"s","code":"c","version":"2","display":"other"}]}"#, "", ""),
        (
            r#"{"profile":["urn:b","urn:b"]}"#,
            r#"["urn:a"],"_profile":[{"id":"i"}]"#,
            r#"["urn:a","urn:b"],"_profile":[{"id":"i"},null]"#,
        ),
        (r#"{"tag":[{"system":"t","code":"c"}]}"#, r#"{"code":"c"}]"#, r#"{"code":"c"},{"system":"t","code":"c"}]"#),
        (
            r#"{"security":[{"system":"s","code":"c"}]}"#,
            r#"{"code":"c"}]"#,
            r#"{"code":"c"}],"security":[{"system":"s","code":"c"}]"#,
        ),
        // Version and time are the server's.
        (r#"{"versionId":"9","lastUpdated":"2020-01-01T00:00:00Z","source":"urn:x","profile":["urn:a"]}"#, "", ""),
    ] {
        assert_eq!(changed(BEFORE, meta, true), BEFORE.replace(from, to), "{meta}");
    }
    let bare = r#"{"resourceType":"Patient"}"#;
    let after = r#"{"resourceType":"Patient","meta":{"tag":[{"code":"c"}]}}"#;
    assert_eq!(changed(bare, r#"{"tag":[{"code":"c"}]}"#, true), after);
}

#[test]
fn labels_are_deleted_whatever_their_display() {
    for (meta, from, to) in [
        (r#"{"profile":["urn:b"],"security":[{"code":"c"}]}"#, "", ""),
        (r#"{"profile":["urn:a"]}"#, r#""profile":["urn:a"],"_profile":[{"id":"i"}],"#, ""),
        (r#"{"tag":[{"system":"s","code":"c"}]}"#, r#"{"system":"s","code":"c","display":"D"},"#, ""),
        (
            r#"{"tag":[{"code":"c"},{"system":"s","code":"c","display":"E"}]}"#,
            r#","tag":[{"system":"s","code":"c","display":"D"},{"code":"c"}]"#,
            "",
        ),
    ] {
        assert_eq!(changed(BEFORE, meta, false), BEFORE.replace(from, to), "{meta}");
    }
}

#[test]
fn what_names_no_label_is_refused() {
    for parameters in [
        r#"{"resourceType":"Parameters"}"#,
        r#"{"resourceType":"Patient"}"#,
        r#"{"resourceType":"Parameters","parameter":[{"name":"tag","valueMeta":{"tag":[{"code":"c"}]}}]}"#,
        r#"{"resourceType":"Parameters","parameter":[{"name":"meta","valueCoding":{"code":"c"}}]}"#,
        r#"{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"versionId":"1"}}]}"#,
        r#"{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tags":[{"code":"c"}]}}]}"#,
        r#"{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":{"code":"c"}}}]}"#,
    ] {
        assert!(matches!(Patch::meta(&resource(parameters), true), Err(Refused::Malformed(_))), "{parameters}");
    }
}
