//! The forms of R4's primitive types (datatypes.html#primitive): each regular expression and range of the standard, as
//! scanners that look at every byte once.

use std::borrow::Cow;

use crate::fhir::{
    definition::types::Primitive,
    json::{Kind, Ref},
};

/// The longest string, in characters (datatypes.html#string: 1MB).
const MAX_STRING: usize = 1024 * 1024;

/// Checks a primitive's value; the error says what was expected.
pub fn check(primitive: Primitive, value: Ref<'_>) -> Result<(), Cow<'static, str>> {
    let fits = match primitive {
        Primitive::Boolean => return json(value, Kind::Bool, "true or false, without quotes"),
        Primitive::Integer | Primitive::UnsignedInt | Primitive::PositiveInt => {
            json(value, Kind::Number, "a number, without quotes")?;
            return integer(primitive, value.raw());
        }
        // JSON's numbers are exactly R4's decimals.
        Primitive::Decimal => return json(value, Kind::Number, "a number, without quotes"),
        _ => {
            json(value, Kind::String, "a string in double quotes")?;
            value.as_str().unwrap_or_default()
        }
    };
    if fits.is_empty() {
        return Err("a value: strings are not empty, absent elements are left out".into());
    }
    text(primitive, &fits)
}

fn json(value: Ref<'_>, kind: Kind, expected: &'static str) -> Result<(), Cow<'static, str>> {
    if value.kind() == kind { Ok(()) } else { Err(expected.into()) }
}

fn integer(primitive: Primitive, raw: &str) -> Result<(), Cow<'static, str>> {
    let (least, expected) = match primitive {
        Primitive::PositiveInt => (1, "a whole number from 1 to 2147483647"),
        Primitive::UnsignedInt => (0, "a whole number from 0 to 2147483647"),
        _ => (i32::MIN, "a whole number from -2147483648 to 2147483647"),
    };
    let fits = raw != "-0" && raw.parse::<i32>().is_ok_and(|number| number >= least);
    if fits { Ok(()) } else { Err(expected.into()) }
}

/// Checks the text of a primitive that JSON writes as a string.
fn text(primitive: Primitive, text: &str) -> Result<(), Cow<'static, str>> {
    let (fits, expected) = match primitive {
        Primitive::String | Primitive::Markdown => return long_text(text),
        Primitive::Uri | Primitive::Url | Primitive::Canonical => {
            (!text.contains(char::is_whitespace), "a URI without white space")
        }
        Primitive::Code => (is_code(text), "a code: no white space at its ends, single spaces inside"),
        Primitive::Id => (crate::fhir::types::is_id(text), "an id: 1 to 64 of A-Z a-z 0-9 - ."),
        Primitive::Oid => (is_oid(text), "an OID: urn:oid: and numbers with dots"),
        Primitive::Uuid => (is_uuid(text), "a UUID: urn:uuid: and 32 lower-case hexadecimal digits with hyphens"),
        Primitive::Base64Binary => (is_base64(text), "base64: groups of four of A-Z a-z 0-9 + /, '=' only at the end"),
        Primitive::Date => {
            let rest = date(text.as_bytes());
            (rest.is_some_and(|(rest, _)| rest.is_empty()), "a date that exists: YYYY, YYYY-MM or YYYY-MM-DD")
        }
        Primitive::DateTime => {
            (is_date_time(text), "YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with a time zone")
        }
        Primitive::Instant => (is_instant(text), "YYYY-MM-DDThh:mm:ss with a time zone"),
        Primitive::Time => (time(text.as_bytes()).is_some_and(<[u8]>::is_empty), "a time of day: hh:mm:ss"),
        // XHTML has rules of its own; the others are no strings.
        Primitive::Xhtml
        | Primitive::Boolean
        | Primitive::Decimal
        | Primitive::Integer
        | Primitive::PositiveInt
        | Primitive::UnsignedInt => return Ok(()),
    };
    if fits { Ok(()) } else { Err(expected.into()) }
}

fn long_text(text: &str) -> Result<(), Cow<'static, str>> {
    if text.bytes().any(|b| b < b' ' && !matches!(b, b'\t' | b'\n' | b'\r')) {
        return Err("no control characters but tab, line feed and carriage return".into());
    }
    if text.len() > MAX_STRING && text.chars().count() > MAX_STRING {
        return Err(format!("at most {MAX_STRING} characters").into());
    }
    Ok(())
}

/// `[^\s]+(\s[^\s]+)*`, where `\s` is the white space of regular expressions, not all of Unicode's.
fn is_code(text: &str) -> bool {
    let mut before = true;
    for b in text.bytes() {
        let space = matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
        if (space && before) || (b < b' ' && !space) {
            return false;
        }
        before = space;
    }
    !before
}

fn is_oid(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("urn:oid:") else { return false };
    let mut arcs = rest.split('.');
    matches!(arcs.next(), Some("0" | "1" | "2"))
        && rest.contains('.')
        && arcs.all(|arc| {
            arc == "0" || (!arc.is_empty() && !arc.starts_with('0') && arc.bytes().all(|b| b.is_ascii_digit()))
        })
}

fn is_uuid(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("urn:uuid:") else { return false };
    rest.len() == 36
        && rest.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
        })
}

fn is_base64(text: &str) -> bool {
    let (mut count, mut padding) = (0_usize, 0_usize);
    for b in text.bytes() {
        match b {
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            b'=' => padding += 1,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if padding == 0 => {}
            _ => return false,
        }
        count += 1;
    }
    count > 0 && count % 4 == 0 && padding <= 2
}

fn digits(bytes: &[u8], count: usize) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_at_checked(count)?;
    let mut value = 0;
    for b in number {
        value = value * 10 + u32::from(b.checked_sub(b'0').filter(|digit| *digit < 10)?);
    }
    Some((value, rest))
}

/// The parts of a date that were given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Precision {
    Year,
    Month,
    Day,
}

/// Reads a date that exists; what follows it.
fn date(bytes: &[u8]) -> Option<(&[u8], Precision)> {
    let (year, rest) = digits(bytes, 4)?;
    if year == 0 {
        return None;
    }
    let Some(rest) = rest.strip_prefix(b"-") else { return Some((rest, Precision::Year)) };
    let (month, rest) = digits(rest, 2)?;
    let month = time::Month::try_from(u8::try_from(month).ok()?).ok()?;
    let Some(rest) = rest.strip_prefix(b"-") else { return Some((rest, Precision::Month)) };
    let (day, rest) = digits(rest, 2)?;
    let year = i32::try_from(year).ok()?;
    (1..=u32::from(month.length(year))).contains(&day).then_some((rest, Precision::Day))
}

/// Reads a time of day with seconds; what follows it.
fn time(bytes: &[u8]) -> Option<&[u8]> {
    let (hour, rest) = digits(bytes, 2)?;
    let (minute, rest) = digits(rest.strip_prefix(b":")?, 2)?;
    let (second, rest) = digits(rest.strip_prefix(b":")?, 2)?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let Some(fraction) = rest.strip_prefix(b".") else { return Some(rest) };
    let length = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
    (length > 0).then(|| &fraction[length..])
}

fn is_zone(bytes: &[u8]) -> bool {
    if bytes == b"Z" {
        return true;
    }
    let Some(rest) = bytes.strip_prefix(b"+").or_else(|| bytes.strip_prefix(b"-")) else { return false };
    let Some((hours, rest)) = digits(rest, 2) else { return false };
    let Some((minutes, rest)) = rest.strip_prefix(b":").and_then(|rest| digits(rest, 2)) else { return false };
    rest.is_empty() && ((hours <= 13 && minutes <= 59) || (hours == 14 && minutes == 0))
}

fn is_instant(text: &str) -> bool {
    let Some((rest, Precision::Day)) = date(text.as_bytes()) else { return false };
    rest.strip_prefix(b"T").and_then(time).is_some_and(is_zone)
}

fn is_date_time(text: &str) -> bool {
    date(text.as_bytes()).is_some_and(|(rest, _)| rest.is_empty()) || is_instant(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::json::{Doc, Limits};

    fn fits(primitive: Primitive, json: &str) -> bool {
        let doc = Doc::parse(json, &Limits::default()).unwrap();
        check(primitive, doc.root()).is_ok()
    }

    #[test]
    fn each_primitive_has_its_form() {
        let cases: [(Primitive, &[&str], &[&str]); 18] = [
            (Primitive::Boolean, &["true", "false"], &["\"true\"", "1", "\"\""]),
            (
                Primitive::Integer,
                &["0", "-1", "2147483647", "-2147483648"],
                &["2147483648", "-2147483649", "1.0", "1e3", "\"1\"", "-0", "true"],
            ),
            (Primitive::UnsignedInt, &["0", "1"], &["-1", "2147483648"]),
            (Primitive::PositiveInt, &["1", "2147483647"], &["0", "-1", "1.5"]),
            (Primitive::Decimal, &["0", "-1.50", "1e-7", "12345678901234567890.1"], &["\"1\"", "true"]),
            (Primitive::String, &["\"a b\"", "\" \\n\"", "\"é\""], &["\"\"", "\"\\u0001\"", "1"]),
            (Primitive::Markdown, &["\"# a\\n\"", "\" \""], &["\"\"", "\"\\u0008\""]),
            (
                Primitive::Code,
                &["\"a\"", "\"a b\"", "\"é x\""],
                &["\" a\"", "\"a \"", "\"a  b\"", "\"a\\t\\tb\"", "\"\"", "\"é \""],
            ),
            (Primitive::Uri, &["\"urn:x\"", "\"http://a/b?c#d\"", "\"x\""], &["\"a b\"", "\"a\\n\"", "\"\""]),
            (Primitive::Id, &["\"a-1.B\""], &["\"a_b\"", "\"\"", "\"a b\""]),
            (
                Primitive::Oid,
                &["\"urn:oid:1.2.840\"", "\"urn:oid:0.0\""],
                &["\"1.2\"", "\"urn:oid:3.1\"", "\"urn:oid:1.02\"", "\"urn:oid:1\"", "\"urn:oid:1.\""],
            ),
            (
                Primitive::Uuid,
                &["\"urn:uuid:c757873d-ec9a-4326-a141-556f43239520\""],
                &[
                    "\"c757873d-ec9a-4326-a141-556f43239520\"",
                    "\"urn:uuid:C757873D-EC9A-4326-A141-556F43239520\"",
                    "\"urn:uuid:x\"",
                ],
            ),
            (
                Primitive::Base64Binary,
                &["\"YWJj\"", "\"YW Jj\\nYWI=\"", "\"YQ==\""],
                &["\"YWJ\"", "\"=YWJ\"", "\"YW=j\"", "\"Y===\"", "\"YW-_\"", "\" \""],
            ),
            (
                Primitive::Date,
                &["\"2024\"", "\"2024-02\"", "\"2024-02-29\"", "\"0001-01-01\""],
                &[
                    "\"2023-02-29\"",
                    "\"2023-02-30\"",
                    "\"2023-13\"",
                    "\"2023-1\"",
                    "\"0000\"",
                    "\"23\"",
                    "\"2023-01-01T00:00:00Z\"",
                    "\"2023-\"",
                ],
            ),
            (
                Primitive::DateTime,
                &[
                    "\"2024\"",
                    "\"2024-02-29T23:59:60Z\"",
                    "\"2024-02-29T00:00:00.123+14:00\"",
                    "\"2024-02-29T00:00:00-13:59\"",
                ],
                &[
                    "\"2024-02-29T24:00:00Z\"",
                    "\"2024-02-29T10:00:00\"",
                    "\"2024-02-29T10:00Z\"",
                    "\"2024-02T10:00:00Z\"",
                    "\"2024-02-29T00:00:00+14:01\"",
                    "\"2024-02-29T00:00:00.Z\"",
                ],
            ),
            (
                Primitive::Instant,
                &["\"2015-02-07T13:28:17.239+02:00\""],
                &["\"2015-02-07\"", "\"2015-02-07T13:28:17\"", "\"2015-02-07 13:28:17Z\""],
            ),
            (
                Primitive::Time,
                &["\"13:28:17\"", "\"00:00:00.5\""],
                &["\"13:28\"", "\"24:00:00\"", "\"13:28:17Z\"", "\"1:28:17\""],
            ),
            (Primitive::Canonical, &["\"http://a|1.0#x\""], &["\"a b\""]),
        ];
        for (primitive, good, bad) in cases {
            for json in good {
                assert!(fits(primitive, json), "{primitive:?} {json}");
            }
            for json in bad {
                assert!(!fits(primitive, json), "{primitive:?} {json}");
            }
        }
    }

    #[test]
    fn a_string_has_at_most_a_million_characters() {
        let long = |count: usize| format!("\"{}\"", "é".repeat(count));
        assert!(fits(Primitive::String, &long(MAX_STRING)));
        assert!(!fits(Primitive::String, &long(MAX_STRING + 1)));
    }
}
