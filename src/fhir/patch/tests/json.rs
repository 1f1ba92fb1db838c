use super::*;

#[test]
fn patches_do_what_rfc_6902_says() {
    let name = r#""name":[{"family":"A","given":["x","y"]},{"family":"B"}]"#;
    for (patch, from, to) in [
        (r#"[{"op":"replace","path":"/active","value":false}]"#, r#""active":true"#, r#""active":false"#),
        (r#"[{"op":"add","path":"/active","value":false}]"#, r#""active":true"#, r#""active":false"#),
        (r#"[{"op":"add","path":"/gender","value":"male"}]"#, r#"Integer":1}"#, r#"Integer":1,"gender":"male"}"#),
        (r#"[{"op":"remove","path":"/name/0"}]"#, name, r#""name":[{"family":"B"}]"#),
        (r#"[{"op":"remove","path":"/active"}]"#, r#""active":true,"#, ""),
        (r#"[{"op":"add","path":"/name/0/given/0","value":"m"}]"#, r#"["x","y"]"#, r#"["m","x","y"]"#),
        (r#"[{"op":"add","path":"/name/0/given/1","value":"m"}]"#, r#"["x","y"]"#, r#"["x","m","y"]"#),
        (r#"[{"op":"add","path":"/name/0/given/2","value":"m"}]"#, r#"["x","y"]"#, r#"["x","y","m"]"#),
        (r#"[{"op":"add","path":"/name/0/given/-","value":"z"}]"#, r#"["x","y"]"#, r#"["x","y","z"]"#),
        (r#"[{"op":"add","path":"/name/0/given/1","value":["m"]}]"#, r#"["x","y"]"#, r#"["x",["m"],"y"]"#),
        (r#"[{"op":"move","from":"/name/0/given/0","path":"/name/0/given/1"}]"#, r#"["x","y"]"#, r#"["y","x"]"#),
        (r#"[{"op":"move","from":"/name/0/given","path":"/name/0/given"}]"#, "", ""),
        (r#"[{"op":"copy","from":"/name/1/family","path":"/name/0/family"}]"#, r#""family":"A""#, r#""family":"B""#),
        (r#"[{"op":"add","path":"/a~1b~0~01","value":null}]"#, r#"Integer":1}"#, r#"Integer":1,"a/b~~1":null}"#),
        (
            r#"[{"op":"add","path":"/","value":{"":0}},{"op":"remove","path":"//"}]"#,
            r#"Integer":1}"#,
            r#"Integer":1,"":{}}"#,
        ),
        (
            r#"[{"op":"add","path":"/0","value":0},{"op":"test","path":"/0","value":0.0}]"#,
            r#"Integer":1}"#,
            r#"Integer":1,"0":0}"#,
        ),
        (r#"[{"op":"test","path":"/multipleBirthInteger","value":1.0}]"#, "", ""),
        (r#"[{"op":"test","path":"/name/1","value":{"family":"\u0042"}}]"#, "", ""),
        (r#"[{"op":"test","path":"/active","value":true,"odd":1}]"#, "", ""),
        ("[]", "", ""),
    ] {
        assert_eq!(json(PATIENT, patch).unwrap(), PATIENT.replace(from, to), "{patch}");
    }
}

#[test]
fn what_is_no_patch_is_told_from_what_does_not_fit() {
    for patch in [
        "",
        "{}",
        "[1]",
        r#"[{"op":"add","path":"name","value":1}]"#,
        r#"[{"op":"add","path":"/a~2","value":1}]"#,
        r#"[{"op":"add","path":"/a~","value":1}]"#,
        r#"[{"op":"add","path":"/a"}]"#,
        r#"[{"op":"test","path":"/a"}]"#,
        r#"[{"op":"move","path":"/a"}]"#,
        r#"[{"op":"copy","from":1,"path":"/a"}]"#,
        r#"[{"op":"merge","path":"/a","value":1}]"#,
        r#"[{"op":"remove"}]"#,
        r#"[{"path":"/a"}]"#,
        r#"[{"op":"add","path":"/a","value":1,"op":"add"}]"#,
    ] {
        malformed_text(json(PATIENT, patch));
    }
    for patch in [
        r#"[{"op":"test","path":"/active","value":false}]"#,
        r#"[{"op":"test","path":"/active","value":"true"}]"#,
        r#"[{"op":"test","path":"/name","value":[]}]"#,
        r#"[{"op":"test","path":"/nothing","value":null}]"#,
        r#"[{"op":"remove","path":"/nothing"}]"#,
        r#"[{"op":"remove","path":""}]"#,
        r#"[{"op":"remove","path":"/name/-"}]"#,
        r#"[{"op":"remove","path":"/name/2"}]"#,
        r#"[{"op":"replace","path":"/nothing","value":1}]"#,
        r#"[{"op":"replace","path":"/name/-","value":1}]"#,
        r#"[{"op":"add","path":"/nothing/a","value":1}]"#,
        r#"[{"op":"add","path":"/name/9","value":{}}]"#,
        r#"[{"op":"add","path":"/name/00","value":{}}]"#,
        r#"[{"op":"add","path":"/name/-1","value":{}}]"#,
        r#"[{"op":"add","path":"/name/+1","value":{}}]"#,
        r#"[{"op":"add","path":"/name/1e0","value":{}}]"#,
        r#"[{"op":"add","path":"/name/99999999999999999999","value":{}}]"#,
        r#"[{"op":"add","path":"/name/","value":{}}]"#,
        r#"[{"op":"add","path":"/active/x","value":1}]"#,
        r#"[{"op":"copy","from":"/nothing","path":"/a"}]"#,
        r#"[{"op":"move","from":"/name","path":"/name/0"}]"#,
        r#"[{"op":"move","from":"","path":"/a"}]"#,
    ] {
        unfitting_text(json(PATIENT, patch));
    }
    let told = unfitting_text(json(PATIENT, r#"[{"op":"test","path":"","value":{}},{"op":"remove","path":"/a~1b"}]"#));
    assert_eq!(told, "operation 0: the value at '' is not the one that was tested for");
    let told = unfitting_text(json(PATIENT, r#"[{"op":"add","path":"/x","value":{}},{"op":"remove","path":"/a~1b"}]"#));
    assert_eq!(told, "operation 1: there is nothing at '/a~1b'");
}

#[test]
fn numbers_and_texts_keep_every_character() {
    let before = r#"{"resourceType":"Observation","valueQuantity":{"value":1.500},"x":[12345678901234567890.10,-0.0,1E+3,"\/\u00e9"]}"#;
    let patch = r#"[{"op":"add","path":"/valueQuantity/unit","value":"kg"},{"op":"test","path":"/x/0","value":12345678901234567890.1}]"#;
    assert_eq!(json(before, patch).unwrap(), before.replace("1.500}", "1.500,\"unit\":\"kg\"}"));
    let patch =
        r#"[{"op":"replace","path":"/valueQuantity/value","value":0.10},{"op":"copy","from":"/x/2","path":"/x/-"}]"#;
    let after = before.replace("1.500", "0.10").replace(r#""\/\u00e9"]"#, r#""\/\u00e9",1E+3]"#);
    assert_eq!(json(before, patch).unwrap(), after);
}
