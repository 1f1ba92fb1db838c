//! JSON with line breaks and indentation, for people (`_pretty`, FHIR R4 http.html#pretty). Only white space is added or
//! taken away: every number keeps its digits.

/// The same JSON, one member or item a line, indented by two spaces for each level. `text` has to be JSON.
pub fn pretty(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut level = 0;
    let mut rest = text.trim_start();
    while let Some(char) = rest.chars().next() {
        // A string, or a run of characters that say nothing about the layout, goes over as it is.
        let length = match char {
            '"' => string_length(rest),
            '{' | '[' | '}' | ']' | ',' | ':' => 1,
            _ => rest.find(['{', '[', '}', ']', ',', ':', '"']).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(length);
        rest = after.trim_start();
        match char {
            '{' | '[' if rest.starts_with(['}', ']']) => {
                out.push_str(token);
                out.push_str(&rest[..1]);
                rest = rest[1..].trim_start();
            }
            '{' | '[' => {
                level += 1;
                out.push_str(token);
                break_line(&mut out, level);
            }
            '}' | ']' => {
                level = level.saturating_sub(1);
                break_line(&mut out, level);
                out.push_str(token);
            }
            ',' => {
                out.push(',');
                break_line(&mut out, level);
            }
            ':' => out.push_str(": "),
            _ => out.push_str(token.trim_end()),
        }
    }
    out.push('\n');
    out
}

/// The bytes of the string that `text` begins with, its quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !escaped => return at + 1,
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

fn break_line(out: &mut String, level: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", level));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_document_is_laid_out_and_numbers_stay_text() {
        let given = r#"{"a":[1.00,-0.0,1E+3 , "x,{}[]:\"\\"], "b" : {},"c":[ ],"d":{"e":null}}"#;
        let expected = "{\n  \"a\": [\n    1.00,\n    -0.0,\n    1E+3,\n    \"x,{}[]:\\\"\\\\\"\n  ],\n  \"b\": {},\n  \"c\": \
                        [],\n  \"d\": {\n    \"e\": null\n  }\n}\n";
        assert_eq!(pretty(given), expected);
        assert_eq!(pretty(expected), expected);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]{}:,\"\\\\ a1\u{e9}]*") {
            let _laid_out = pretty(&text);
        }

        #[test]
        fn the_content_is_the_same(text in "\\PC*", number in any::<i64>()) {
            let value = serde_json::json!({"k": [text, number, {text.clone(): []}], "e": {}});
            let parsed: serde_json::Value = serde_json::from_str(&pretty(&value.to_string())).unwrap();
            prop_assert_eq!(parsed, value);
        }
    }
}
