//! The time that a date stands for by its precision (FHIR R4 search.html#date): `2013-03` is the whole month.

use time::{Date, Duration, Month, PrimitiveDateTime, Time, UtcOffset};

/// `[low, high)` in microseconds since 1970 (UTC) of a date, dateTime or instant; also of the hours and minutes that
/// searches may give. Without a zone it is UTC. `None`: no date of the calendar.
pub fn interval(text: &str) -> Option<(i64, i64)> {
    let (date, time) = text.split_once('T').map_or((text, None), |(date, time)| (date, Some(time)));
    let mut parts = date.split('-');
    let year: i32 = number(parts.next()?, 4)?;
    let month = parts.next().map(|part| number::<u8>(part, 2)).map_or(Some(None), |month| month.map(Some))?;
    let day = parts.next().map(|part| number::<u8>(part, 2)).map_or(Some(None), |day| day.map(Some))?;
    if parts.next().is_some() {
        return None;
    }
    let first = Date::from_calendar_date(year, Month::January, 1).ok()?;
    let Some(month) = month else {
        return time.is_none().then(|| between(first, Date::from_calendar_date(year + 1, Month::January, 1).ok()))?;
    };
    let month: Month = month.try_into().ok()?;
    let Some(day) = day else {
        let next = if month == Month::December { year + 1 } else { year };
        let (first, next) =
            (Date::from_calendar_date(year, month, 1).ok()?, Date::from_calendar_date(next, month.next(), 1).ok());
        return time.is_none().then(|| between(first, next))?;
    };
    let date = Date::from_calendar_date(year, month, day).ok()?;
    match time {
        None => between(date, date.next_day()),
        Some(time) => moment(date, time),
    }
}

fn number<N: std::str::FromStr>(text: &str, digits: usize) -> Option<N> {
    (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

fn micros(at: PrimitiveDateTime) -> i64 {
    i64::try_from(at.assume_utc().unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX)
}

fn between(low: Date, high: Option<Date>) -> Option<(i64, i64)> {
    // After the last day of the calendar there is no end.
    let high = high.map_or(i64::MAX, |high| micros(high.midnight()));
    Some((micros(low.midnight()), high))
}

/// `hh`, `hh:mm`, `hh:mm:ss`, `hh:mm:ss.fff`, each with an optional zone.
fn moment(date: Date, text: &str) -> Option<(i64, i64)> {
    let (clock, offset) = zone(text)?;
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(clock, fraction)| (clock, Some(fraction)));
    let mut parts = clock.split(':');
    let hour: u8 = number(parts.next()?, 2)?;
    let minute: Option<u8> = parts.next().map(|part| number(part, 2)).map_or(Some(None), |part| part.map(Some))?;
    let second: Option<u8> = parts.next().map(|part| number(part, 2)).map_or(Some(None), |part| part.map(Some))?;
    if parts.next().is_some() || (fraction.is_some() && second.is_none()) {
        return None;
    }
    // A leap second is the last one of its minute here.
    let time = Time::from_hms(hour, minute.unwrap_or(0), second.unwrap_or(0).min(59)).ok()?;
    if second.is_some_and(|second| second > 60) {
        return None;
    }
    let mut low =
        micros(PrimitiveDateTime::new(date, time)).checked_sub(i64::from(offset.whole_seconds()) * 1_000_000)?;
    let mut length: i64 = match (minute, second) {
        (None, _) => 3_600_000_000,
        (Some(_), None) => 60_000_000,
        (Some(_), Some(_)) => 1_000_000,
    };
    if let Some(fraction) = fraction {
        if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits: String = fraction.chars().chain("000000".chars()).take(6).collect();
        low += digits.parse::<i64>().ok()?;
        length = 10_i64.pow(6 - u32::try_from(fraction.len().min(6)).ok()?);
    }
    Some((low, low.checked_add(length)?))
}

fn zone(text: &str) -> Option<(&str, UtcOffset)> {
    if let Some(clock) = text.strip_suffix('Z') {
        return Some((clock, UtcOffset::UTC));
    }
    let Some(at) = text.rfind(['+', '-']) else { return Some((text, UtcOffset::UTC)) };
    let (hours, minutes) = text[at + 1..].split_once(':')?;
    let (hours, minutes): (i8, i8) = (number(hours, 2)?, number(minutes, 2)?);
    if hours > 14 || minutes > 59 {
        return None;
    }
    let sign = if text[at..].starts_with('-') { -1 } else { 1 };
    Some((&text[..at], UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()?))
}

/// A tenth of the time between `now` and the nearer end of an interval, in microseconds, and a second at least: how far
/// `ap` reaches beyond it.
pub fn tenth(now: time::OffsetDateTime, low: i64, high: i64) -> i64 {
    let now = i64::try_from(now.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX);
    let gap = now.saturating_sub(low).saturating_abs().min(now.saturating_sub(high).saturating_abs());
    (gap / 10).max(i64::try_from(Duration::seconds(1).whole_microseconds()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;
    const DAY: i64 = 86_400 * SECOND;

    #[test]
    fn precision_decides_about_the_length() {
        for (text, low, length) in [
            ("1970", 0, 365 * DAY),
            ("1970-02", 31 * DAY, 28 * DAY),
            ("1972-02", (730 + 31) * DAY, 29 * DAY),
            ("1970-12", 334 * DAY, 31 * DAY),
            ("1970-01-02", DAY, DAY),
            ("1970-01-01T01", 3600 * SECOND, 3600 * SECOND),
            ("1970-01-01T00:01", 60 * SECOND, 60 * SECOND),
            ("1970-01-01T00:00:01Z", SECOND, SECOND),
            ("1970-01-01T00:00:01.5Z", 1_500_000, 100_000),
            ("1970-01-01T00:00:01.123456789Z", 1_123_456, 1),
            ("1970-01-01T02:00:00+02:00", 0, SECOND),
            ("1969-12-31T19:00:00-05:00", 0, SECOND),
        ] {
            assert_eq!(interval(text), Some((low, low + length)), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_has_no_interval() {
        for text in [
            "",
            "abc",
            "197",
            "1970-13",
            "1970-02-30",
            "1970-1",
            "1970-01-01T",
            "1970-01-01T25:00",
            "1970-01-01T00:00:61Z",
            "1970-01T00:00",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00+2",
            "1970-01-01T00:00:00+15:00",
            "+970",
            "1970-01-01-01",
        ] {
            assert_eq!(interval(text), None, "{text}");
        }
        assert!(interval("9999-12-31").is_some());
    }
}
