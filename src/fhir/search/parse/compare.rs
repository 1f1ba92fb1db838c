//! Values that have an order: numbers, dates, quantities, each with an optional prefix (FHIR R4 search.html#prefix).

use time::OffsetDateTime;

use super::{
    number::{Decimal, Fault},
    refusal::Refusal,
    split::{split, unescape},
};
use crate::fhir::search::{
    Comparison, Prefix, UnitTest,
    interval::{interval, tenth},
};

/// What a prefix may be.
const PREFIXES: &str = "eq, ne, gt, lt, ge, le, sa, eb, ap";

/// `ge2013` is `ge` and `2013`; no prefix is `eq`.
fn prefix(text: &str) -> (Prefix, &str) {
    let of = |letters: &str| {
        Some(match letters {
            "eq" => Prefix::Eq,
            "ne" => Prefix::Ne,
            "gt" => Prefix::Gt,
            "lt" => Prefix::Lt,
            "ge" => Prefix::Ge,
            "le" => Prefix::Le,
            "sa" => Prefix::Sa,
            "eb" => Prefix::Eb,
            "ap" => Prefix::Ap,
            _ => return None,
        })
    };
    let found = text.split_at_checked(2).and_then(|(letters, rest)| Some((of(letters)?, rest)));
    found.unwrap_or((Prefix::Eq, text))
}

/// `gt2013-01-14`, as [low, high) in microseconds. For `ap` the range reaches a tenth of the time between now and the date
/// further.
pub fn time(value: &str, now: OffsetDateTime) -> Result<Comparison<i64>, Refusal> {
    let (prefix, text) = prefix(value);
    // The plus sign of a zone became a space where the client did not escape it.
    let text = match text.split_once('T') {
        Some(_) if text.matches(' ').count() == 1 => text.replace(' ', "+"),
        _ => text.to_owned(),
    };
    let has_minutes = text.split_once('T').is_none_or(|(_, time)| time.as_bytes().get(2) == Some(&b':'));
    let Some((low, high)) = interval(&text).filter(|_| has_minutes) else {
        return Err(Refusal::value(
            &format!("a date such as 2013, 2013-01, 2013-01-14 or 2013-01-14T10:00:00Z, maybe after one of {PREFIXES}"),
            value,
        ));
    };
    let more = if prefix == Prefix::Ap { tenth(now, low, high) } else { 0 };
    Ok(Comparison { prefix, low: low.saturating_sub(more), high: high.saturating_add(more) })
}

/// `lt0.8`, as decimal texts. With `eq`, `ne` and `ap` the number stands for a range; with the others for itself: low and
/// high are the same.
pub fn number(value: &str) -> Result<Comparison<String>, Refusal> {
    let (prefix, text) = prefix(value);
    let number = Decimal::parse(text).map_err(|fault| match fault {
        Fault::NotANumber => {
            Refusal::value(&format!("a number such as 100 or 5.40e-3, maybe after one of {PREFIXES}"), value)
        }
        Fault::TooLong => Refusal::value("a number of at most 28 digits, with an exponent of at most 100", value),
    })?;
    let (low, high) = match prefix {
        Prefix::Eq | Prefix::Ne => number.range(),
        Prefix::Ap => number.about(),
        _ => (number, number),
    };
    Ok(Comparison { prefix, low: low.to_string(), high: high.to_string() })
}

/// `le5.4|http://unitsofmeasure.org|mg`, `5.4||mg`, `5.4`.
pub fn quantity(value: &str) -> Result<(Comparison<String>, UnitTest), Refusal> {
    let expected = || Refusal::value("a quantity: [number], [number]|[system]|[code] or [number]||[code]", value);
    let parts: Option<Vec<String>> = split(value, '|').map(unescape).collect();
    let parts = parts.ok_or_else(|| Refusal::escape(value))?;
    let (text, system, code) = match parts.as_slice() {
        [text] => (text, "", ""),
        [text, system, code] => (text, system.as_str(), code.as_str()),
        _ => return Err(expected()),
    };
    let unit = match (system, code) {
        ("", "") => UnitTest::Any,
        ("", code) => UnitTest::CodeOrUnit(code.to_owned()),
        (system, "") => UnitTest::System(system.to_owned()),
        (system, code) => UnitTest::Coded { system: system.to_owned(), code: code.to_owned() },
    };
    Ok((number(text)?, unit))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::{super::tests::PREFIXES, *};

    const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

    fn micros(at: OffsetDateTime) -> i64 {
        i64::try_from(at.unix_timestamp_nanos() / 1000).unwrap()
    }

    #[test]
    fn a_date_with_any_prefix_stands_for_its_precision() {
        let (low, high) = (datetime!(2013-03-01 00:00 UTC), datetime!(2013-04-01 00:00 UTC));
        for (text, prefix) in PREFIXES {
            let found = time(&format!("{text}2013-03"), NOW).unwrap();
            assert_eq!(found.prefix, prefix);
            if prefix == Prefix::Ap {
                let more = (micros(NOW) - micros(high)) / 10;
                assert_eq!((found.low, found.high), (micros(low) - more, micros(high) + more));
            } else {
                assert_eq!((found.low, found.high), (micros(low), micros(high)), "{text}");
            }
        }
    }

    #[test]
    fn zones_count_even_if_their_plus_became_a_space() {
        let at = micros(datetime!(2013-01-14 08:00 UTC));
        for text in [
            "2013-01-14T10:00:00+02:00",
            "2013-01-14T10:00:00 02:00",
            "2013-01-14T03:00:00-05:00",
            "2013-01-14T08:00:00Z",
        ] {
            let found = time(text, NOW).unwrap();
            assert_eq!((found.low, found.high), (at, at + 1_000_000), "{text}");
        }
        let minute = time("2013-01-14T10:00 02:00", NOW).unwrap();
        assert_eq!((minute.low, minute.high), (at, at + 60_000_000));
    }

    #[test]
    fn what_is_no_date_is_refused_with_what_was_expected() {
        for text in [
            "",
            "abc",
            "gt",
            "2013-02-30",
            "2013-13",
            "13-01-01",
            "2013-1-1",
            "2013-01-14T10",
            "2013-01-14T25:00",
            "gtgt2013",
            "2013 01 14",
            "2013-01-14 10:00",
            "xx2013",
            "GT2013",
            "2013-01-14T10:00:00  02:00",
            "é2013",
            "2013-01-14T",
            "2013-01-14T10Z",
        ] {
            let refusal = time(text, NOW).unwrap_err();
            assert!(!refusal.may_be_left_out && refusal.text.contains("a date such as"), "{text}");
        }
    }

    #[test]
    fn a_number_is_a_range_or_itself_by_its_prefix() {
        for (text, prefix) in PREFIXES {
            let found = number(&format!("{text}100")).unwrap();
            let (low, high) = match prefix {
                Prefix::Eq | Prefix::Ne => ("99.5", "100.5"),
                Prefix::Ap => ("90.0", "110.0"),
                _ => ("100", "100"),
            };
            assert_eq!(found, Comparison { prefix, low: low.to_owned(), high: high.to_owned() }, "{text}");
        }
        assert!(number("gt").unwrap_err().text.contains("a number such as"));
        assert!(number(&"1".repeat(29)).unwrap_err().text.contains("28 digits"));
    }

    #[test]
    fn a_quantity_says_of_its_unit_what_it_knows() {
        let unit = |text: &str| quantity(text).unwrap().1;
        assert_eq!(unit("5.4"), UnitTest::Any);
        assert_eq!(unit("le5.4||"), UnitTest::Any);
        assert_eq!(unit("ap5.4||mg"), UnitTest::CodeOrUnit("mg".to_owned()));
        assert_eq!(unit("5.4|http://u|"), UnitTest::System("http://u".to_owned()));
        assert_eq!(
            unit(r"5.4|http://u|a\|b"),
            UnitTest::Coded { system: "http://u".to_owned(), code: "a|b".to_owned() }
        );
        assert_eq!(quantity("5.4|http://u|mg").unwrap().0.low, "5.35");
        for text in ["5.4|mg", "5.4|", "|http://u|mg", "5.4|a|b|c", "five||mg", r"5.4||m\g", ""] {
            assert!(!quantity(text).unwrap_err().may_be_left_out, "{text}");
        }
    }
}
