//! Values of search parameters: separators and escapes, prefixes, numbers, dates (FHIR R4 search.html#escaping, #prefix).

use rust_decimal::Decimal;
use time::OffsetDateTime;

use crate::fhir::search::{
    Comparison, Prefix,
    interval::{interval, tenth},
};

/// Splits at `separator` where it is not escaped by a backslash; the escapes stay.
pub fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (at, char) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if char == '\\' {
            escaped = true;
        } else if char == separator {
            parts.push(&text[start..at]);
            start = at + char.len_utf8();
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The text that is meant: `\,`, `\|`, `\$` and `\\` without their backslash.
pub fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match (char, chars.peek()) {
            ('\\', Some(',' | '|' | '$' | '\\')) => plain.extend(chars.next()),
            _ => plain.push(char),
        }
    }
    plain
}

/// The prefix in front of a value, and the rest.
fn prefix(text: &str) -> (Option<Prefix>, &str) {
    let prefix = match text.get(..2) {
        Some("eq") => Prefix::Eq,
        Some("ne") => Prefix::Ne,
        Some("gt") => Prefix::Gt,
        Some("lt") => Prefix::Lt,
        Some("ge") => Prefix::Ge,
        Some("le") => Prefix::Le,
        Some("sa") => Prefix::Sa,
        Some("eb") => Prefix::Eb,
        Some("ap") => Prefix::Ap,
        _ => return (None, text),
    };
    (Some(prefix), &text[2..])
}

/// A date with its prefix; a blank stands for the `+` of a zone that was not escaped.
pub fn date(text: &str, now: OffsetDateTime) -> Result<Comparison<i64>, String> {
    let (prefix, date) = prefix(text);
    let prefix = prefix.unwrap_or(Prefix::Eq);
    let wrong = || {
        format!(
            "'{text}' is no date: expected yyyy, yyyy-mm, yyyy-mm-dd or yyyy-mm-ddThh:mm[:ss][Z|+hh:mm], after eq ne gt lt ge le sa eb or ap"
        )
    };
    let (low, high) = interval(&date.replace(' ', "+")).ok_or_else(wrong)?;
    if prefix == Prefix::Ap {
        let reach = tenth(now, low, high);
        return Ok(Comparison { prefix, low: low.saturating_sub(reach), high: high.saturating_add(reach) });
    }
    Ok(Comparison { prefix, low, high })
}

/// A number with its prefix. By eq and ne it stands for the range of its precision (`2.0`: [1.95, 2.05)), by ap for ten
/// percent around it, by the others for itself (search.html#number).
pub fn number(text: &str) -> Result<Comparison<String>, String> {
    let (prefix, digits) = prefix(text);
    let prefix = prefix.unwrap_or(Prefix::Eq);
    let wrong = || {
        format!("'{text}' is no number: expected digits such as 5.40 or 5.4e-3, after eq ne gt lt ge le sa eb or ap")
    };
    let value = decimal(digits).ok_or_else(wrong)?;
    let reach = match prefix {
        Prefix::Eq | Prefix::Ne => half_of_the_last_digit(digits).ok_or_else(wrong)?,
        Prefix::Ap => value.abs() / Decimal::TEN,
        _ => Decimal::ZERO,
    };
    let (low, high) = value.checked_sub(reach).zip(value.checked_add(reach)).ok_or_else(wrong)?;
    Ok(Comparison { prefix, low: low.normalize().to_string(), high: high.normalize().to_string() })
}

/// A decimal of FHIR, of 28 digits at most.
fn decimal(text: &str) -> Option<Decimal> {
    let (mantissa, _) = parts(text)?;
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    if digits == 0 || digits > 28 {
        return None;
    }
    if text.contains(['e', 'E']) { Decimal::from_scientific(text).ok() } else { Decimal::from_str_exact(text).ok() }
}

/// Mantissa and exponent.
fn parts(text: &str) -> Option<(&str, i32)> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().ok()?),
        None => (text, 0),
    };
    let unsigned = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_digits(whole) && is_digits(fraction)).then_some((mantissa, exponent))
}

fn half_of_the_last_digit(text: &str) -> Option<Decimal> {
    let (mantissa, exponent) = parts(text)?;
    let places = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    // 10^(exponent - places) / 2; a whole number with an exponent counts one digit more (R4's example: 1e2 is [95, 105)).
    let more = i32::from(places == 0 && text.contains(['e', 'E']));
    let scale = i32::try_from(places).ok()?.checked_add(more)?.checked_sub(exponent)?;
    let five = Decimal::from(5);
    match scale {
        0..=26 => Some(Decimal::new(5, u32::try_from(scale + 1).ok()?)),
        -27..0 => {
            let mut value = five;
            for _ in 0..(-scale - 1) {
                value = value.checked_mul(Decimal::TEN)?;
            }
            Some(value)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_separators_do_not_separate() {
        assert_eq!(split(r"a\,b,c", ','), [r"a\,b", "c"]);
        assert_eq!(split(r"a\\,b", ','), [r"a\\", "b"]);
        assert_eq!(split("", ','), [""]);
        assert_eq!(unescape(r"a\,b\|c\$d\\e\f"), r"a,b|c$d\e\f");
    }

    #[test]
    fn numbers_cover_their_precision() {
        for (text, low, high) in [
            ("2.0", "1.95", "2.05"),
            ("100", "99.5", "100.5"),
            ("100.00", "99.995", "100.005"),
            ("-1", "-1.5", "-0.5"),
            ("5.40e-3", "0.005395", "0.005405"),
            ("1e2", "95", "105"),
            ("ap100", "90", "110"),
            ("gt5.4", "5.4", "5.4"),
            ("ne7", "6.5", "7.5"),
        ] {
            let found = number(text).unwrap();
            assert_eq!((found.low.as_str(), found.high.as_str()), (low, high), "{text}");
        }
        for text in
            ["", "gt", "abc", "1.", ".5", "1e", "--1", "1e99", "12345678901234567890123456789", "0x1", "1,5", "NaN"]
        {
            assert!(number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn dates_keep_their_zone() {
        let now = time::macros::datetime!(2026-01-01 00:00 UTC);
        let plus = date("ge1970-01-01T02:00:00 02:00", now).unwrap();
        assert_eq!((plus.prefix, plus.low), (Prefix::Ge, 0));
        assert!(date("gt", now).is_err());
        assert!(date("xx2020", now).is_err());
        let about = date("ap2025-01-01", now).unwrap();
        assert!(about.low < date("2025-01-01", now).unwrap().low - 30 * 86_400_000_000);
    }
}
