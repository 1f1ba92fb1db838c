//! The rows of a resource as the index wants them: none twice, not too many, the ends of each parameter marked.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    hash::Hash,
};

use super::MOST_ROWS;
use crate::fhir::search::{QuantityRow, Rows, StringRow, TimeRow};

/// Removes what stands twice and what is too much, and marks the least and the greatest of each parameter.
pub(super) fn settle(rows: &mut Rows) {
    unique(&mut rows.tokens, |row| row.sort.is_some());
    unique(&mut rows.strings, |_| false);
    unique(&mut rows.times, |_| false);
    unique(&mut rows.quantities, |_| false);
    unique(&mut rows.references, |_| false);
    mark(
        &mut rows.strings,
        |row: &StringRow| (row.parameter, row.slot),
        |a, b| a.folded.cmp(&b.folded),
        |a, b| a.folded.cmp(&b.folded),
    );
    mark(
        &mut rows.times,
        |row: &TimeRow| (row.parameter, row.slot),
        |a, b| a.low.cmp(&b.low),
        |a, b| a.high.cmp(&b.high),
    );
    let number = |text: &Option<String>, open: f64| text.as_ref().and_then(|text| text.parse().ok()).unwrap_or(open);
    let low = |row: &QuantityRow| number(&row.low, f64::NEG_INFINITY);
    let high = |row: &QuantityRow| number(&row.high, f64::INFINITY);
    mark(
        &mut rows.quantities,
        |row: &QuantityRow| (row.parameter, row.slot),
        |a, b| low(a).total_cmp(&low(b)),
        |a, b| high(a).total_cmp(&high(b)),
    );
}

/// Keeps the first of equal rows, and of them only so many; what is `free` is not counted.
fn unique<R: Eq + Hash>(rows: &mut Vec<R>, free: impl Fn(&R) -> bool) {
    let mut count = 0;
    let keep: Vec<bool> = {
        let mut seen = HashSet::with_capacity(rows.len());
        let is_kept = |row| {
            let is_free = free(row);
            let is_kept = seen.insert(row) && (is_free || count < MOST_ROWS);
            count += usize::from(is_kept && !is_free);
            is_kept
        };
        rows.iter().map(is_kept).collect()
    };
    let mut keep = keep.into_iter();
    rows.retain(|_| keep.next().unwrap_or_default());
}

/// Rows that can be the ends of what a resource has under a parameter.
trait Marked {
    fn mark(&mut self, is_least: bool, is_greatest: bool);
}

macro_rules! marked {
    ($($row:ty),*) => {
        $(impl Marked for $row {
            fn mark(&mut self, is_least: bool, is_greatest: bool) {
                self.is_least |= is_least;
                self.is_greatest |= is_greatest;
            }
        })*
    };
}

marked!(StringRow, TimeRow, QuantityRow);

/// Marks one least and one greatest row of each parameter; composites (in slots from 1 on) are not sorted by.
fn mark<R: Marked>(
    rows: &mut [R],
    place: impl Fn(&R) -> (i32, i16),
    by_low: impl Fn(&R, &R) -> Ordering,
    by_high: impl Fn(&R, &R) -> Ordering,
) {
    let mut ends: HashMap<i32, (usize, usize)> = HashMap::new();
    for (at, row) in rows.iter().enumerate() {
        let (parameter, 0) = place(row) else { continue };
        let (least, greatest) = ends.entry(parameter).or_insert((at, at));
        if by_low(row, &rows[*least]).is_lt() {
            *least = at;
        }
        if by_high(row, &rows[*greatest]).is_gt() {
            *greatest = at;
        }
    }
    for (least, greatest) in ends.into_values() {
        rows[least].mark(true, false);
        rows[greatest].mark(false, true);
    }
}
