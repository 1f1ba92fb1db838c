//! Instants as FHIR and HTTP write them.

use time::{
    Date, Duration, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset, format_description::BorrowedFormatItem,
    macros::format_description,
};

const INSTANT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const HTTP_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// A FHIR `instant` in UTC with milliseconds, such as `2026-01-02T03:04:05.678Z`.
pub fn format(at: OffsetDateTime) -> String {
    at.to_offset(UtcOffset::UTC).format(INSTANT).unwrap_or_default()
}

/// An HTTP date (RFC 9110 section 5.6.7), such as `Fri, 02 Jan 2026 03:04:05 GMT`.
pub fn http_date(at: OffsetDateTime) -> String {
    at.to_offset(UtcOffset::UTC).format(HTTP_DATE).unwrap_or_default()
}

/// Reads a FHIR `instant` (a full date-time with zone).
pub fn parse(text: &str) -> Option<OffsetDateTime> {
    let at = OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
    // At the edges of time some zones lead out of it.
    at.checked_to_offset(UtcOffset::UTC)
}

/// The time that a FHIR `date`, `dateTime` or `instant` stands for by its precision, `[low, high)`: a year, a month, a day, a
/// minute, a second or a part of one. Without a zone it is UTC.
pub fn interval(text: &str) -> Option<(OffsetDateTime, OffsetDateTime)> {
    let (date, time) = text.split_once('T').map_or((text, None), |(date, time)| (date, Some(time)));
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next(), parts.next());
    let is_date = year.len() == 4 && month.or(day).into_iter().chain(day).all(|part| part.len() == 2);
    if !is_date || parts.next().is_some() || time.is_some() && day.is_none() {
        return None;
    }
    let number = |part: Option<&str>| part.map_or(Some(1), digits::<u8>);
    let month_number = Month::try_from(number(month)?).ok()?;
    let first = Date::from_calendar_date(digits(year)?, month_number, number(day)?).ok()?;
    let Some(time) = time else {
        let next = match (month, day) {
            (None, _) => Date::from_calendar_date(first.year() + 1, Month::January, 1).ok()?,
            (Some(_), None) => first.checked_add(Duration::days(31))?.replace_day(1).ok()?,
            (Some(_), Some(_)) => first.next_day()?,
        };
        return Some((first.midnight().assume_utc(), next.midnight().assume_utc()));
    };
    let (clock, offset) = zone(time)?;
    let (time, precision) = time_of_day(clock)?;
    let low = PrimitiveDateTime::new(first, time).assume_offset(offset).checked_to_offset(UtcOffset::UTC)?;
    Some((low, low.checked_add(precision)?))
}

/// `hh:mm`, `hh:mm:ss` or `hh:mm:ss.fff`, and how long it stands for.
fn time_of_day(clock: &str) -> Option<(Time, Duration)> {
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(clock, fraction)| (clock, Some(fraction)));
    let parts: Vec<_> = clock.split(':').collect();
    if parts.iter().any(|part| part.len() != 2) {
        return None;
    }
    let (hour, minute) = (digits(parts.first()?)?, digits(parts.get(1)?)?);
    match (parts.get(2), fraction) {
        (None, None) => Some((Time::from_hms(hour, minute, 0).ok()?, Duration::MINUTE)),
        (Some(second), None) if parts.len() == 3 => {
            Some((Time::from_hms(hour, minute, digits(second)?).ok()?, Duration::SECOND))
        }
        (Some(second), Some(fraction)) if parts.len() == 3 && (1..=9).contains(&fraction.len()) => {
            let unit = 10_i64.pow(9 - u32::try_from(fraction.len()).ok()?);
            let nanos = digits::<i64>(fraction)? * unit;
            let time = Time::from_hms_nano(hour, minute, digits(second)?, u32::try_from(nanos).ok()?).ok()?;
            Some((time, Duration::nanoseconds(unit)))
        }
        _ => None,
    }
}

/// A time of day and its zone: `Z`, `+hh:mm`, `-hh:mm` or none.
fn zone(time: &str) -> Option<(&str, UtcOffset)> {
    if let Some(clock) = time.strip_suffix('Z') {
        return Some((clock, UtcOffset::UTC));
    }
    let Some(at) = time.rfind(['+', '-']) else { return Some((time, UtcOffset::UTC)) };
    let (clock, offset) = time.split_at(at);
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) =
        offset[1..].split_once(':').filter(|(hours, minutes)| hours.len() == 2 && minutes.len() == 2)?;
    let (hours, minutes) = (digits::<i8>(hours)?, digits::<i8>(minutes)?);
    Some((clock, UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok().filter(|_| minutes < 60)?))
}

/// A number without sign or space.
fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Reads an HTTP date in any of the three forms that RFC 9110 section 5.6.7 demands of a recipient.
pub fn parse_http_date(text: &str) -> Option<OffsetDateTime> {
    httpdate::parse_http_date(text).ok().map(OffsetDateTime::from)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn both_forms_are_written() {
        let at = datetime!(2026-01-02 03:04:05.678 UTC);
        assert_eq!(format(at), "2026-01-02T03:04:05.678Z");
        assert_eq!(http_date(at), "Fri, 02 Jan 2026 03:04:05 GMT");
        assert_eq!(parse("2026-01-02T03:04:05.678Z"), Some(at));
        for text in ["Fri, 02 Jan 2026 03:04:05 GMT", "Friday, 02-Jan-26 03:04:05 GMT", "Fri Jan  2 03:04:05 2026"] {
            assert_eq!(parse_http_date(text), Some(datetime!(2026-01-02 03:04:05 UTC)), "{text}");
        }
        assert_eq!(parse_http_date("2026-01-02T03:04:05Z"), None);
    }

    #[test]
    fn a_partial_date_stands_for_all_of_its_time() {
        for (text, low, high) in [
            ("2024", "2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"),
            ("2024-02", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
            ("2024-12", "2024-12-01T00:00:00Z", "2025-01-01T00:00:00Z"),
            ("2024-01-31", "2024-01-31T00:00:00Z", "2024-02-01T00:00:00Z"),
            ("2024-02-29", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"),
            ("2024-02-29T10:20", "2024-02-29T10:20:00Z", "2024-02-29T10:21:00Z"),
            ("2024-02-29T10:20:30-05:00", "2024-02-29T15:20:30Z", "2024-02-29T15:20:31Z"),
            ("2024-02-29T10:20:30.5+05:30", "2024-02-29T04:50:30.5Z", "2024-02-29T04:50:30.6Z"),
            ("2024-02-29T10:20:30.678Z", "2024-02-29T10:20:30.678Z", "2024-02-29T10:20:30.679Z"),
        ] {
            assert_eq!(interval(text), parse(low).zip(parse(high)), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_stands_for_nothing() {
        for text in [
            "",
            "T",
            "24",
            "2024-",
            "2024-1",
            "2024-13",
            "2023-02-29",
            "2024-02-29-01",
            "gt2024",
            "+2024",
            "2024T10:20Z",
            "2024-02T10:20Z",
            "2024-02-29T",
            "2024-02-29T10",
            "2024-02-29T25:00",
            "2024-02-29T10:20:61Z",
            "2024-02-29T10:20:30.Z",
            "2024-02-29T10:20:30.1234567890Z",
            "2024-02-29T10:20:30:40Z",
            "2024-02-29T10:20+5:00",
            "2024-02-29T10:20+05:60",
            "2024-02-29 10:20",
            "é024",
            "9999-12-31T23:59:59-23:59",
        ] {
            assert_eq!(interval(text), None, "{text}");
        }
        for text in ["9999", "9999-12", "9999-12-31", "9999-12-31T23:59:59Z"] {
            assert_eq!(interval(text), None, "{text}: time ends");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[0-9T:.Z+é-]{0,30}") {
            let _maybe = interval(&text);
        }
    }
}
