//! Narrative (R4 narrative.html): txt-1 (allowed XHTML), txt-2 (some content).

use super::{issues, said};
use sofa::fhir::definition::registry::Registry;
use sofa::fhir::validate::{Options, Validator};

#[test]
fn a_narrative_is_plain_formatting_with_some_content() {
    const DIV: &str = r#"<div xmlns="http://www.w3.org/1999/xhtml">"#;
    let validator = Validator::new(Registry::built_in(), Options::default());
    let mut wrong = Vec::new();
    for (inner, expected) in [
        ("x", ""),
        ("<p class=\"a\">a<br/><b>b</b> &lt; &#233;</p><table><tr><td colspan=\"2\">x</td></tr></table>", ""),
        ("<a href=\"http://x\">x</a>", ""),
        ("<img src=\"data:image/png;base64,AAAA\" alt=\"x\"/>", ""),
        ("", "txt-2"),
        (" <p/> \n", "txt-2"),
        ("<!-- x -->", "txt-2"),
        ("<script>x</script>", "txt-1: .*<script>"),
        // HTML 4.0 defines it in chapter 16, frames.
        ("<a href=\"#x\" target=\"_blank\">x</a>", "txt-1: .*target"),
        ("<p onclick=\"x()\">x</p>", "txt-1: .*onclick"),
        ("<a href=\"javascript:x()\">x</a>", "txt-1: .*script"),
        ("<a href=\"JavaScript:x()\">x</a>", "txt-1: .*script"),
        ("<a href=\"&#106;avascript:x()\">x</a>", "txt-1: .*script"),
        ("<a href=\"javascript&#x3a;x()\">x</a>", "txt-1: .*script"),
        ("<a href=\"java&#10;script:x()\">x</a>", "txt-1: .*script"),
        ("<form><input/></form>", "txt-1: .*<form>"),
        ("<iframe src=\"http://x\"/>", "txt-1: .*<iframe>"),
        ("<style>p{}</style>", "txt-1: .*<style>"),
        ("<svg xmlns=\"http://www.w3.org/2000/svg\"/>", "txt-1"),
        ("<P>x</P>", "txt-1: .*<P>"),
        ("<p>x", "txt-1"),
        ("a &nbsp; b", "txt-1: .*nbsp"),
        ("a & b", "txt-1"),
        ("x</div><div>y", "txt-1: .*nothing after the div"),
    ] {
        let div = serde_json::Value::from(format!("{DIV}{inner}</div>"));
        let text = format!(r#"{{"resourceType":"Patient","text":{{"status":"generated","div":{div}}}}}"#);
        let found: Vec<_> = issues(&validator, &[], &text).iter().map(said).collect();
        let (key, part) = expected.split_once(": .*").unwrap_or((expected, ""));
        let is_right = match &*found {
            [] => expected.is_empty(),
            [one] => one.starts_with(&format!("error invariant Patient.text.div: {key}:")) && one.contains(part),
            _ => false,
        };
        if !is_right {
            wrong.push(format!("{inner}: expected '{expected}', found {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_narrative_is_one_div_in_its_namespace() {
    super::judge(
        r#""resourceType":"Patient""#,
        &[
            (r#""text":{"status":"empty","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"}"#, &[]),
            (
                r#""text":{"status":"empty","div":"<div>x</div>"}"#,
                &["invariant Patient.text.div: expected the div to have xmlns"],
            ),
            (
                r#""text":{"status":"empty","div":"<p xmlns=\"http://www.w3.org/1999/xhtml\">x</p>"}"#,
                &["invariant Patient.text.div: expected a div, not <p>"],
            ),
            (r#""text":{"status":"empty","div":"x"}"#, &["invariant Patient.text.div: expected a div, not text"]),
            (r#""text":{"status":"empty","div":5}"#, &["value Patient.text.div: a string in double quotes"]),
            (r#""text":{"status":"empty"}"#, &["required Patient.text.div: div is required"]),
            (
                r#""text":{"status":"none","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"}"#,
                &[
                    "code-invalid Patient.text.status: 'none' is not in the value set http://hl7.org/fhir/ValueSet/narrative-status",
                ],
            ),
        ],
    );
}
