//! One look into a table of the index, as a condition on its rows.

use uuid::Uuid;

use super::{filter::push_either, statement::Statement};
use crate::fhir::search::{Comparison, Digest, Lookup, Part, Prefix, UnitTest};

pub fn uuid(digest: Digest) -> Uuid {
    Uuid::from_bytes(digest.0)
}

/// The tables of the index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    Token,
    String,
    Time,
    Quantity,
    Reference,
}

impl Table {
    pub const ALL: [Self; 5] = [Self::Token, Self::String, Self::Time, Self::Quantity, Self::Reference];

    pub const fn of(lookup: &Lookup) -> Self {
        match lookup {
            Lookup::Tokens(_) | Lookup::Present(Part::Token(_)) => Self::Token,
            Lookup::Begins { .. }
            | Lookup::Contains { .. }
            | Lookup::Exact { .. }
            | Lookup::Uri { .. }
            | Lookup::Below { .. }
            | Lookup::Above { .. }
            | Lookup::Present(Part::String(_)) => Self::String,
            Lookup::Time { .. } | Lookup::Span { .. } | Lookup::Present(Part::Time(_)) => Self::Time,
            Lookup::Quantity { .. } | Lookup::Present(Part::Quantity(_)) => Self::Quantity,
            Lookup::References { .. } | Lookup::Present(Part::Reference(_)) => Self::Reference,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "search_token",
            Self::String => "search_string",
            Self::Time => "search_time",
            Self::Quantity => "search_quantity",
            Self::Reference => "search_reference",
        }
    }
}

pub fn push_lookups(sql: &mut Statement, table: Table, s: &str, lookups: &[&Lookup]) {
    if table == Table::Token {
        let digests = lookups.iter().flat_map(|lookup| match lookup {
            Lookup::Tokens(digests) => digests.iter().copied().map(uuid).collect::<Vec<_>>(),
            Lookup::Present(Part::Token(digest)) => vec![uuid(*digest)],
            _ => Vec::new(),
        });
        push_digests(sql, s, digests.collect());
        return;
    }
    push_either(sql, lookups, |sql, lookup| push_lookup(sql, s, lookup));
}

fn push_digests(sql: &mut Statement, s: &str, digests: Vec<Uuid>) {
    match digests.as_slice() {
        // The planner knows how often one is there.
        [one] => sql.push(s).push(".digest = ").bind(*one),
        _ => sql.push(s).push(".digest = any(").bind(digests).push(")"),
    };
}

/// The condition of one lookup on a row of its table.
pub fn push_lookup(sql: &mut Statement, s: &str, lookup: &Lookup) {
    match lookup {
        Lookup::Tokens(digests) => push_digests(sql, s, digests.iter().copied().map(uuid).collect()),
        Lookup::Begins { parameter, folded } => {
            push_parameter(sql, s, *parameter);
            push_prefix(sql, s, folded);
        }
        Lookup::Contains { parameter, folded } => {
            push_parameter(sql, s, *parameter);
            sql.push(" and ").push(s).push(".folded like ").bind(format!("%{}%", escaped(folded)));
        }
        Lookup::Exact { parameter, folded, exact } => {
            push_parameter(sql, s, *parameter);
            sql.push(" and ").push(s).push(".folded = ").bind(folded.clone());
            sql.push(" and ").push(s).push(".exact = ").bind(exact.clone());
        }
        Lookup::Uri { parameter, uri } => {
            push_parameter(sql, s, *parameter);
            sql.push(" and ").push(s).push(".folded = ").bind(uri.clone());
        }
        Lookup::Below { parameter, uri } => {
            let separator = if uri.starts_with("urn:") { ":" } else { "/" };
            push_parameter(sql, s, *parameter);
            sql.push(" and (").push(s).push(".folded = ").bind(uri.clone()).push(" or (true");
            push_prefix(sql, s, &format!("{uri}{separator}"));
            sql.push("))");
        }
        Lookup::Above { parameter, uris } => {
            push_parameter(sql, s, *parameter);
            sql.push(" and ").push(s).push(".folded = any(").bind(uris.clone()).push(")");
        }
        Lookup::Time { parameter, comparison } => {
            push_parameter(sql, s, *parameter);
            sql.push(" and ");
            push_comparison(sql, s, comparison, |sql, value| {
                sql.bind(*value);
            });
        }
        Lookup::Span { parameter, comparisons } => {
            push_parameter(sql, s, *parameter);
            push_between(sql, s, comparisons);
            for comparison in comparisons {
                sql.push(" and ");
                push_comparison(sql, s, comparison, |sql, value| {
                    sql.bind(*value);
                });
            }
        }
        Lookup::Quantity { parameter, comparison, unit } => {
            push_parameter(sql, s, *parameter);
            push_unit(sql, s, unit);
            sql.push(" and ");
            push_comparison(sql, s, comparison, |sql, value| {
                sql.bind(value.clone()).push("::numeric");
            });
        }
        Lookup::References { parameter, targets } => push_reference(sql, s, *parameter, targets),
        Lookup::Present(Part::Token(digest)) => {
            sql.push(s).push(".digest = ").bind(uuid(*digest));
        }
        Lookup::Present(
            Part::String(parameter) | Part::Time(parameter) | Part::Quantity(parameter) | Part::Reference(parameter),
        ) => push_parameter(sql, s, *parameter),
    }
}

pub fn push_parameter(sql: &mut Statement, s: &str, parameter: i32) {
    sql.push(s).push(".parameter = ").bind(parameter);
}

/// `folded` begins with `prefix`, as a range of the index: the column compares bytes.
fn push_prefix(sql: &mut Statement, s: &str, prefix: &str) {
    if prefix.is_empty() {
        return;
    }
    sql.push(" and ").push(s).push(".folded >= ").bind(prefix.to_owned());
    if let Some(end) = after_prefix(prefix) {
        sql.push(" and ").push(s).push(".folded < ").bind(end);
    }
}

/// The least text that is greater than every text that begins with `prefix`.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // UTF-8 keeps the order of the code points; the surrogates are no characters.
        let next = match u32::from(last) + 1 {
            0xD800..=0xDFFF => char::from_u32(0xE000),
            code => char::from_u32(code),
        };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

/// `text` as a literal part of a LIKE pattern.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

fn push_unit(sql: &mut Statement, s: &str, unit: &UnitTest) {
    match unit {
        UnitTest::Any => {}
        UnitTest::CodeOrUnit(text) => {
            sql.push(" and (").push(s).push(".code = ").bind(text.clone());
            sql.push(" or ").push(s).push(".unit = ").bind(text.clone()).push(")");
        }
        UnitTest::Coded { system, code } => {
            sql.push(" and ").push(s).push(".code = ").bind(code.clone());
            sql.push(" and ").push(s).push(".system = ").bind(system.clone());
        }
        UnitTest::System(system) => {
            sql.push(" and ").push(s).push(".system = ").bind(system.clone());
        }
    }
}

/// Compares `[low, high)` of the row with that of the search (see [`Comparison`]). Where both ends are looked at, the range
/// of the index that must hold it comes first.
fn push_comparison<T: PartialEq>(
    sql: &mut Statement,
    s: &str,
    comparison: &Comparison<T>,
    bind: impl Fn(&mut Statement, &T),
) {
    let (low, high) = (&comparison.low, &comparison.high);
    // A search for one point (a number with gt, say) is a closed interval; the rows' points are closed as well.
    let term = |sql: &mut Statement, column: &'static str, operator: &'static str, value: &T| {
        sql.push(s).push(column).push(operator);
        bind(sql, value);
    };
    sql.push("(");
    match comparison.prefix {
        Prefix::Eq => {
            term(sql, ".low", " >= ", low);
            sql.push(" and ");
            term(sql, ".high", " <= ", high);
            sql.push(" and ");
            // Implied by the others; it bounds the range of the index.
            term(sql, ".low", " <= ", high);
            if low != high {
                sql.push(" and ");
                // [low, high) does not hold the point high.
                term(sql, ".low", " < ", high);
            }
        }
        Prefix::Ne => {
            term(sql, ".low", " < ", low);
            sql.push(" or ");
            term(sql, ".high", " > ", high);
            if low != high {
                sql.push(" or ");
                term(sql, ".low", " >= ", high);
            }
        }
        Prefix::Gt => term(sql, ".high", " > ", high),
        Prefix::Lt => term(sql, ".low", " < ", low),
        Prefix::Ge => {
            term(sql, ".high", " >= ", low);
            sql.push(" and (");
            term(sql, ".high", " > ", high);
            sql.push(" or ");
            term(sql, ".low", " >= ", low);
            sql.push(")");
        }
        Prefix::Le => {
            term(sql, ".low", " <= ", high);
            sql.push(" and (");
            term(sql, ".low", " < ", low);
            sql.push(" or ");
            term(sql, ".high", " <= ", high);
            sql.push(")");
        }
        Prefix::Sa => {
            term(sql, ".low", " >= ", high);
            if low == high {
                sql.push(" and ");
                term(sql, ".low", " > ", high);
            }
        }
        Prefix::Eb => {
            term(sql, ".high", " <= ", low);
            if low == high {
                sql.push(" and ");
                term(sql, ".high", " < ", low);
            }
        }
        Prefix::Ap => {
            term(sql, ".high", " >= ", low);
            sql.push(" and ");
            term(sql, ".low", " <= ", high);
        }
    }
    sql.push(")");
}

/// What lasts longer than twice this, in microseconds, stands in an index of its own (`search_time_long`): 16 days.
const LONG: i64 = 1_382_400_000_000;

/// Between both ends of what is asked, if it has both: implied by the comparisons, and what the index can look for. A
/// value that lasts long is found by its end, for it may begin long before.
fn push_between(sql: &mut Statement, s: &str, comparisons: &[Comparison<i64>]) {
    let from = comparisons.iter().filter(|one| matches!(one.prefix, Prefix::Gt | Prefix::Ge | Prefix::Sa));
    let to = comparisons.iter().filter(|one| matches!(one.prefix, Prefix::Lt | Prefix::Le | Prefix::Eb));
    let (Some(from), Some(to)) = (from.map(|one| one.low).max(), to.map(|one| one.high).min()) else { return };
    sql.push(" and (").push(s).push(".low >= ").bind(from.saturating_sub(2 * LONG + 2));
    sql.push(" and ").push(s).push(".low <= ").bind(to);
    // As it stands in the definition of the index.
    sql.push(&format!(" or {s}.high / 2 - {s}.low / 2 > {LONG} and {s}.high >= ")).bind(from).push(")");
}

/// `_lastUpdated`: a point in time, kept to the microsecond, told to the millisecond.
pub fn push_updated(sql: &mut Statement, r: &str, comparison: &Comparison<i64>) {
    let (low, high) = (comparison.low, comparison.high);
    let mut term = |operator: &'static str, micros: i64| {
        sql.push(r).push(".updated").push(operator).push("to_timestamp(").bind(seconds(micros)).push("::numeric)");
    };
    match comparison.prefix {
        Prefix::Eq | Prefix::Ap => {
            term(" >= ", low);
            sql.push(" and ");
            let mut term = |operator: &'static str, micros: i64| {
                sql.push(r)
                    .push(".updated")
                    .push(operator)
                    .push("to_timestamp(")
                    .bind(seconds(micros))
                    .push("::numeric)");
            };
            term(" < ", high);
        }
        Prefix::Ne => {
            sql.push("(").push(r).push(".updated < to_timestamp(").bind(seconds(low)).push("::numeric) or ");
            sql.push(r).push(".updated >= to_timestamp(").bind(seconds(high)).push("::numeric))");
        }
        Prefix::Gt | Prefix::Sa => term(" >= ", high),
        Prefix::Lt | Prefix::Eb => term(" < ", low),
        Prefix::Ge => term(" >= ", low),
        Prefix::Le => term(" < ", high),
    }
}

/// Microseconds as a decimal text of seconds.
fn seconds(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

pub fn push_reference(sql: &mut Statement, f: &str, parameter: i32, targets: &[(Option<String>, String)]) {
    push_parameter(sql, f, parameter);
    sql.push(" and ");
    push_either(sql, targets, |sql, (kind, id)| {
        sql.push(f).push(".target_id = ").bind(id.clone());
        match kind {
            Some(kind) => sql.push(" and ").push(f).push(".target_type = ").bind(kind.clone()),
            // What leads elsewhere is named by its whole URL.
            None => sql.push(" and ").push(f).push(".target_type <> ''"),
        };
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_with_a_prefix_is_below_its_end() {
        for (prefix, end) in [("a", "b"), ("az", "a{"), ("\u{D7FF}", "\u{E000}"), ("a\u{10FFFF}", "b")] {
            assert_eq!(after_prefix(prefix).as_deref(), Some(end));
        }
        assert_eq!(after_prefix("\u{10FFFF}"), None);
    }

    #[test]
    fn wildcards_of_a_value_are_letters() {
        assert_eq!(escaped(r"50%_\"), r"50\%\_\\");
    }

    #[test]
    fn microseconds_are_told_exactly() {
        assert_eq!(seconds(1_500_000), "1.500000");
        assert_eq!(seconds(-1), "-0.000001");
    }
}
