//! Dates, times and dateTimes of partial precision: reading, comparing, calendar arithmetic (FHIRPath sections 4.1.5 to
//! 4.1.7, 6.2, 6.6).
//!
//! Seconds and fractions of seconds are one precision. Where one of two dateTimes names a zone and the other does not, they
//! compare as if the other were in any zone from -12:00 to +14:00: the answer is definite when it is the same for all of
//! them, and empty otherwise.

use std::{cmp::Ordering, fmt};

/// How much of a date, time or dateTime is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
}

/// A calendar date: a year, a month of a year, or a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Date {
    pub year: u16,
    /// 1 to 12; 0: not given.
    pub month: u8,
    /// 1 to 31; 0: not given.
    pub day: u8,
}

/// A time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Time {
    /// Nanoseconds since midnight; what is not given is zero.
    nanos: u64,
    precision: Precision,
    /// Digits of the fraction of a second, as written.
    digits: u8,
}

/// A date, maybe with a time, maybe with a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DateTime {
    pub date: Date,
    pub time: Option<Time>,
    /// Minutes east of UTC.
    pub zone: Option<i16>,
}

/// A calendar duration's unit, or the definite UCUM unit it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    Year,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
}

const NANOS_PER_MILLI: i128 = 1_000_000;
const NANOS_PER_SECOND: u64 = 1_000_000_000;
const NANOS_PER_MINUTE: u64 = 60 * NANOS_PER_SECOND;
const NANOS_PER_HOUR: u64 = 60 * NANOS_PER_MINUTE;
const NANOS_PER_DAY: u64 = 24 * NANOS_PER_HOUR;

impl Unit {
    /// The unit a FHIRPath keyword names: `year`, `years`.
    pub fn word(word: &str) -> Option<Self> {
        Some(match word.strip_suffix('s').unwrap_or(word) {
            "year" => Self::Year,
            "month" => Self::Month,
            "week" => Self::Week,
            "day" => Self::Day,
            "hour" => Self::Hour,
            "minute" => Self::Minute,
            "second" => Self::Second,
            "millisecond" => Self::Millisecond,
            _ => return None,
        })
    }

    /// The unit a UCUM code means.
    pub fn ucum(code: &str) -> Option<Self> {
        Some(match code {
            "a" => Self::Year,
            "mo" => Self::Month,
            "wk" => Self::Week,
            "d" => Self::Day,
            "h" => Self::Hour,
            "min" => Self::Minute,
            "s" => Self::Second,
            "ms" => Self::Millisecond,
            _ => return None,
        })
    }

    /// The keyword in the singular.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Year => "year",
            Self::Month => "month",
            Self::Week => "week",
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Minute => "minute",
            Self::Second => "second",
            Self::Millisecond => "millisecond",
        }
    }

    /// The unit's length, for those that always have the same.
    pub const fn nanos(self) -> Option<u64> {
        Some(match self {
            Self::Year | Self::Month => return None,
            Self::Week => 7 * NANOS_PER_DAY,
            Self::Day => NANOS_PER_DAY,
            Self::Hour => NANOS_PER_HOUR,
            Self::Minute => NANOS_PER_MINUTE,
            Self::Second => NANOS_PER_SECOND,
            Self::Millisecond => 1_000_000,
        })
    }
}

/// Reads a fixed number of digits.
fn digits(text: &[u8], at: usize, count: usize) -> Option<u32> {
    let part = text.get(at..at + count)?;
    part.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
}

fn number<T: TryFrom<u32>>(text: &[u8], at: usize, count: usize) -> Option<T> {
    digits(text, at, count).and_then(|value| T::try_from(value).ok())
}

const fn days_in(year: u16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

impl Date {
    /// Reads `2015`, `2015-02` or `2015-02-04`.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, length) = Self::scan(text)?;
        (length == text.len()).then_some(date)
    }

    /// Reads a date at the start of a text; also how many bytes it takes.
    pub fn scan(text: &str) -> Option<(Self, usize)> {
        let text = text.as_bytes();
        let year = number::<u16>(text, 0, 4).filter(|year| *year > 0)?;
        let part = |at: usize| (text.get(at) == Some(&b'-')).then(|| number::<u8>(text, at + 1, 2)).flatten();
        let Some(month) = part(4) else { return Some((Self { year, month: 0, day: 0 }, 4)) };
        let Some(day) = part(7) else {
            return (1..=12).contains(&month).then_some((Self { year, month, day: 0 }, 7));
        };
        let valid = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
        valid.then_some((Self { year, month, day }, 10))
    }

    pub const fn precision(self) -> Precision {
        match (self.month, self.day) {
            (0, _) => Precision::Year,
            (_, 0) => Precision::Month,
            _ => Precision::Day,
        }
    }

    /// Days since an epoch; what is not given counts as the first.
    fn days(self) -> i64 {
        // Howard Hinnant's days_from_civil, for years from 1 on.
        let month = i64::from(self.month.max(1));
        let year = i64::from(self.year) - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let of_era = year.rem_euclid(400);
        let of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(self.day.max(1)) - 1;
        era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year
    }

    /// The date of a number of days; `None` outside of the years 1 to 9999.
    fn of_days(days: i64) -> Option<Self> {
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = u8::try_from(of_year - (153 * shifted + 2) / 5 + 1).ok()?;
        let month = u8::try_from(if shifted < 10 { shifted + 3 } else { shifted - 9 }).ok()?;
        let year = u16::try_from(era * 400 + year_of_era + i64::from(month <= 2)).ok()?;
        (1..=9999).contains(&year).then_some(Self { year, month, day })
    }

    /// This date cut to a precision.
    fn cut(self, precision: Precision) -> Self {
        Self {
            year: self.year,
            month: if precision >= Precision::Month { self.month } else { 0 },
            day: if precision >= Precision::Day { self.day } else { 0 },
        }
    }

    /// Moves by whole months, to the month's last day at most.
    fn plus_months(self, months: i64) -> Option<Self> {
        let months = (i64::from(self.year) * 12 + i64::from(self.month.max(1)) - 1).checked_add(months)?;
        let year = u16::try_from(months.div_euclid(12)).ok().filter(|year| (1..=9999).contains(year))?;
        let month = u8::try_from(months.rem_euclid(12) + 1).ok()?;
        let day = self.day.min(days_in(year, month));
        Some(Self { year, month: if self.month == 0 { 0 } else { month }, day })
    }

    /// Adds a duration of so many nanoseconds (for units of fixed length) or months (for years and months). Units finer
    /// than the date are turned into it, cut to whole ones.
    pub fn plus(self, amount: i128, unit: Unit) -> Option<Self> {
        let unit_is_long = matches!(unit, Unit::Year | Unit::Month);
        if unit_is_long {
            let months = i64::try_from(amount).ok()?;
            let whole = if self.month == 0 { months / 12 * 12 } else { months };
            return self.plus_months(whole);
        }
        let days = i64::try_from(amount / i128::from(NANOS_PER_DAY)).ok()?;
        match self.precision() {
            Precision::Year => self.plus_months(days / 365 * 12),
            Precision::Month => self.plus_months(days / 30),
            _ => Self::of_days(self.days().checked_add(days)?),
        }
    }

    /// Compares; `None` where precision runs out.
    pub fn compare(self, other: Self) -> Option<Ordering> {
        match self.year.cmp(&other.year) {
            Ordering::Equal => {}
            other => return Some(other),
        }
        for (a, b) in [(self.month, other.month), (self.day, other.day)] {
            match (a, b) {
                (0, 0) => return Some(Ordering::Equal),
                (0, _) | (_, 0) => return None,
                (a, b) if a != b => return Some(a.cmp(&b)),
                _ => {}
            }
        }
        Some(Ordering::Equal)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.year)?;
        if self.month > 0 {
            write!(f, "-{:02}", self.month)?;
        }
        if self.day > 0 {
            write!(f, "-{:02}", self.day)?;
        }
        Ok(())
    }
}

impl Time {
    /// Reads `14`, `14:34`, `14:34:28` or `14:34:28.123`.
    pub fn parse(text: &str) -> Option<Self> {
        let (time, length) = Self::scan(text)?;
        (length == text.len()).then_some(time)
    }

    /// Reads a time at the start of a text; also how many bytes it takes.
    pub fn scan(text: &str) -> Option<(Self, usize)> {
        let text = text.as_bytes();
        let hour = digits(text, 0, 2).filter(|hour| *hour < 24)?;
        let mut nanos = u64::from(hour) * NANOS_PER_HOUR;
        let mut found = (Precision::Hour, 2);
        for (at, unit, precision) in
            [(2, NANOS_PER_MINUTE, Precision::Minute), (5, NANOS_PER_SECOND, Precision::Second)]
        {
            if found.1 != at || text.get(at) != Some(&b':') {
                break;
            }
            // A leap second counts as the minute's last.
            let value = digits(text, at + 1, 2).filter(|value| *value < 60 || (*value == 60 && at == 5))?;
            nanos += u64::from(value.min(59)) * unit;
            found = (precision, at + 3);
        }
        let mut count = 0;
        if found.1 == 8 && text.get(8) == Some(&b'.') && text.get(9).is_some_and(u8::is_ascii_digit) {
            let fraction = text[9..].iter().take_while(|byte| byte.is_ascii_digit());
            let mut unit = NANOS_PER_SECOND / 10;
            for byte in fraction {
                nanos += u64::from(byte - b'0') * unit;
                unit /= 10;
                count += 1;
            }
            found = (Precision::Millisecond, 9 + count);
        }
        let digits = u8::try_from(count).unwrap_or(u8::MAX).min(9);
        Some((Self { nanos, precision: found.0, digits }, found.1))
    }

    pub const fn precision(self) -> Precision {
        self.precision
    }

    /// Length of what the precision leaves open: a minute for `14:34`.
    const fn grain(self) -> u64 {
        match self.precision {
            Precision::Year | Precision::Month | Precision::Day => NANOS_PER_DAY,
            Precision::Hour => NANOS_PER_HOUR,
            Precision::Minute => NANOS_PER_MINUTE,
            Precision::Second | Precision::Millisecond => 1,
        }
    }

    /// The same number for all times that are equal.
    pub const fn key(self) -> u64 {
        self.nanos
    }

    /// Compares; `None` where precision runs out.
    pub fn compare(self, other: Self) -> Option<Ordering> {
        let grain = self.grain().max(other.grain());
        match (self.nanos / grain).cmp(&(other.nanos / grain)) {
            Ordering::Equal if self.grain() != other.grain() => None,
            found => Some(found),
        }
    }

    /// Adds nanoseconds, around the clock.
    pub fn plus(self, nanos: i128) -> Self {
        let grain = i128::from(self.grain());
        let day = i128::from(NANOS_PER_DAY);
        let sum = (i128::from(self.nanos) + nanos / grain * grain).rem_euclid(day);
        self.at(u64::try_from(sum).unwrap_or_default())
    }

    fn at(self, nanos: u64) -> Self {
        let has_fraction = !nanos.is_multiple_of(NANOS_PER_SECOND);
        let to_fraction = has_fraction && self.precision == Precision::Second;
        let precision = if to_fraction { Precision::Millisecond } else { self.precision };
        Self { nanos, precision, digits: if to_fraction { 3 } else { self.digits } }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}", self.nanos / NANOS_PER_HOUR)?;
        if self.precision >= Precision::Minute {
            write!(f, ":{:02}", self.nanos / NANOS_PER_MINUTE % 60)?;
        }
        if self.precision >= Precision::Second {
            write!(f, ":{:02}", self.nanos / NANOS_PER_SECOND % 60)?;
        }
        if self.precision == Precision::Millisecond {
            let fraction = format!("{:09}", self.nanos % NANOS_PER_SECOND);
            write!(f, ".{}", fraction.get(..usize::from(self.digits.max(1))).unwrap_or("0"))?;
        }
        Ok(())
    }
}

impl DateTime {
    /// Reads a dateTime: a date, maybe `T` and a time, maybe a zone.
    pub fn parse(text: &str) -> Option<Self> {
        let (value, length) = Self::scan(text)?;
        (length == text.len()).then_some(value)
    }

    /// Reads a dateTime at the start of a text; also how many bytes it takes. The `T` may end it: `2015T`.
    pub fn scan(text: &str) -> Option<(Self, usize)> {
        let (date, length) = Date::scan(text)?;
        let mut found = Self { date, time: None, zone: None };
        let Some(rest) = text[length..].strip_prefix('T') else { return Some((found, length)) };
        let length = length + 1;
        if date.precision() != Precision::Day || !rest.starts_with(|first: char| first.is_ascii_digit()) {
            return Some((found, length));
        }
        let (time, taken) = Time::scan(rest)?;
        let (zone, more) = zone(&rest[taken..])?;
        (found.time, found.zone) = (Some(time), zone);
        Some((found, length + taken + more))
    }

    /// The dateTime of an instant, with milliseconds, in its zone.
    pub fn of(at: time::OffsetDateTime) -> Self {
        let year = u16::try_from(at.year()).unwrap_or(1);
        let date = Date { year, month: at.month().into(), day: at.day() };
        let seconds = u64::from(at.hour()) * 3600 + u64::from(at.minute()) * 60 + u64::from(at.second());
        let nanos = seconds * NANOS_PER_SECOND + u64::from(at.millisecond()) * 1_000_000;
        let time = Time { nanos, precision: Precision::Millisecond, digits: 3 };
        Self { date, time: Some(time), zone: Some(at.offset().whole_minutes()) }
    }

    pub fn precision(self) -> Precision {
        self.time.map_or(self.date.precision(), Time::precision)
    }

    /// The first nanosecond it may mean and the first it does not, its zone left out of account.
    fn span(self) -> (i128, i128) {
        let day = i128::from(NANOS_PER_DAY);
        let start = i128::from(self.date.days()) * day;
        match self.time {
            Some(time) => {
                let start = start + i128::from(time.nanos);
                (start, start + i128::from(time.grain()))
            }
            None => {
                let days: i64 = match self.date.precision() {
                    Precision::Year => 366,
                    Precision::Month => i64::from(days_in(self.date.year, self.date.month)),
                    _ => 1,
                };
                (start, start + i128::from(days) * day)
            }
        }
    }

    /// The same instant in UTC, for a dateTime that names a zone.
    fn utc(self) -> Option<Self> {
        let (Some(zone), Some(time)) = (self.zone, self.time) else { return Some(self) };
        let nanos = self.span().0 - i128::from(zone) * i128::from(NANOS_PER_MINUTE);
        Self { date: self.date, time: Some(time), zone: Some(0) }.at(nanos)
    }

    /// This precision at another point, in nanoseconds.
    fn at(self, nanos: i128) -> Option<Self> {
        let day = i128::from(NANOS_PER_DAY);
        let date = Date::of_days(i64::try_from(nanos.div_euclid(day)).ok()?)?;
        let of_day = u64::try_from(nanos.rem_euclid(day)).ok()?;
        Some(Self { date, time: self.time.map(|time| time.at(of_day)), zone: self.zone })
    }

    /// Compares; `None` where precision runs out or the zones leave it open.
    pub fn compare(self, other: Self) -> Option<Ordering> {
        if self.zone.is_some() != other.zone.is_some() && (self.time.is_some() && other.time.is_some()) {
            return self.compare_in_any_zone(other);
        }
        let (a, b) = if self.zone == other.zone { (self, other) } else { (self.utc()?, other.utc()?) };
        match a.date.compare(b.date)? {
            Ordering::Equal if a.date.precision() == Precision::Day => match (a.time, b.time) {
                (Some(a), Some(b)) => a.compare(b),
                (None, None) => Some(Ordering::Equal),
                _ => None,
            },
            found => Some(found),
        }
    }

    /// One names a zone and the other does not.
    fn compare_in_any_zone(self, other: Self) -> Option<Ordering> {
        let hour = i128::from(NANOS_PER_HOUR);
        let range = |one: Self| match one.zone {
            Some(_) => one.utc().map(Self::span),
            None => Some((one.span().0 - 14 * hour, one.span().1 + 12 * hour)),
        };
        let ((a_start, a_end), (b_start, b_end)) = (range(self)?, range(other)?);
        if a_end <= b_start {
            Some(Ordering::Less)
        } else if b_end <= a_start {
            Some(Ordering::Greater)
        } else {
            None
        }
    }

    /// A form that is the same for all dateTimes that are equal: in UTC, fractions aside.
    pub fn key(self) -> (Date, Option<u64>) {
        let utc = self.utc().unwrap_or(self);
        (utc.date, utc.time.map(|time| time.nanos))
    }

    /// Adds a duration: see [`Date::plus`].
    pub fn plus(self, amount: i128, unit: Unit) -> Option<Self> {
        let Some(time) = self.time.filter(|_| !matches!(unit, Unit::Year | Unit::Month)) else {
            return Some(Self { date: self.date.plus(amount, unit)?, ..self });
        };
        let grain = i128::from(time.grain());
        let nanos = self.span().0.checked_add(amount / grain * grain)?;
        self.at(nanos)
    }

    /// The part of it that is a date.
    pub const fn date(self) -> Date {
        self.date
    }

    /// This dateTime cut to a precision of at most a day.
    pub fn cut(self, precision: Precision) -> Self {
        Self { date: self.date.cut(precision), time: None, zone: None }
    }
}

/// Reads a zone at the start of a text, if there is one: minutes east of UTC and the bytes it takes.
fn zone(text: &str) -> Option<(Option<i16>, usize)> {
    let bytes = text.as_bytes();
    match bytes.first() {
        Some(b'Z') => Some((Some(0), 1)),
        Some(sign @ (b'+' | b'-')) if bytes.get(3) == Some(&b':') => {
            let hours = number::<i16>(bytes, 1, 2).filter(|hours| *hours <= 14)?;
            let minutes = number::<i16>(bytes, 4, 2).filter(|minutes| *minutes < 60)?;
            let east = hours * 60 + minutes;
            Some((Some(if *sign == b'-' { -east } else { east }), 6))
        }
        _ => Some((None, 0)),
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.date.fmt(f)?;
        if let Some(time) = self.time {
            write!(f, "T{time}")?;
        }
        match self.zone {
            None => Ok(()),
            Some(0) => f.write_str("Z"),
            Some(east) => {
                let sign = if east < 0 { '-' } else { '+' };
                write!(f, "{sign}{:02}:{:02}", east.abs() / 60, east.abs() % 60)
            }
        }
    }
}

/// The amount [`Date::plus`] takes: months for years and months, otherwise nanoseconds. `value` is in thousandths of
/// `unit`; everything above seconds is cut to whole units.
pub fn amount(thousandths: i128, unit: Unit) -> Option<i128> {
    match unit {
        Unit::Year => Some(thousandths / 1000 * 12),
        Unit::Month => Some(thousandths / 1000),
        Unit::Second => thousandths.checked_mul(NANOS_PER_MILLI),
        Unit::Millisecond => (thousandths / 1000).checked_mul(NANOS_PER_MILLI),
        Unit::Week | Unit::Day | Unit::Hour | Unit::Minute => {
            (thousandths / 1000).checked_mul(i128::from(unit.nanos()?))
        }
    }
}
