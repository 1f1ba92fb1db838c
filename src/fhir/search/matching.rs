//! Whether a resource fulfils conditions, decided without the store: for what is not stored yet, as when a transaction
//! makes what its own references look for.
//!
//! The answer is what `store::search` would give once the resource is stored. What depends on other resources, or on the
//! words that Postgres makes of a text, stays open: nothing is guessed.

mod number;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use self::number::Number;
use super::{
    Comparison, Digest, Filter, Lookup, Part, Prefix, QuantityRow, ReferenceRow, Rows, StringRow, TimeRow, UnitTest,
};

/// A resource as it will be stored.
#[derive(Clone, Copy, Debug)]
pub struct Unstored<'a> {
    pub id: &'a str,
    /// `meta.lastUpdated`, in microseconds since 1970.
    pub updated: i64,
    /// What the index will hold of it.
    pub rows: &'a Rows,
}

impl Unstored<'_> {
    /// Whether all filters hold; `None`: only the store could tell.
    pub fn fulfils(&self, filters: &[Filter]) -> Option<bool> {
        let mut fulfilled = Some(true);
        for filter in filters {
            match self.holds(filter) {
                Some(false) => return Some(false),
                Some(true) => {}
                None => fulfilled = None,
            }
        }
        fulfilled
    }

    fn holds(&self, filter: &Filter) -> Option<bool> {
        Some(match filter {
            Filter::Nothing => false,
            Filter::Ids(ids) => ids.iter().any(|id| id == self.id),
            Filter::OtherThan(ids) => ids.iter().all(|id| id != self.id),
            Filter::Updated(times) => times.iter().any(|time| is_updated(time, self.updated)),
            Filter::Any(lookups) => self.has_any(lookups),
            Filter::None(lookups) => !self.has_any(lookups),
            Filter::Composite(groups) => groups.iter().any(|group| self.has_in_one_slot(group)),
            Filter::Either(filters) => return self.either(filters),
            Filter::Chain(_)
            | Filter::Has(_)
            | Filter::Text(_)
            | Filter::Content(_)
            | Filter::List(_)
            | Filter::Compartment(_) => return None,
        })
    }

    fn either(&self, filters: &[Filter]) -> Option<bool> {
        let mut found = Some(false);
        for filter in filters {
            match self.holds(filter) {
                Some(true) => return Some(true),
                Some(false) => {}
                None => found = None,
            }
        }
        found
    }

    fn has_any(&self, lookups: &[Lookup]) -> bool {
        lookups.iter().any(|lookup| slots(lookup, self.rows).next().is_some())
    }

    fn has_in_one_slot(&self, group: &[Lookup]) -> bool {
        let mut common: Option<HashSet<i16>> = None;
        for lookup in group {
            let is_common = |slot: &i16| common.as_ref().is_none_or(|common| common.contains(slot));
            common = Some(slots(lookup, self.rows).filter(is_common).collect());
        }
        common.is_some_and(|common| !common.is_empty())
    }
}

type Slots<'a> = Box<dyn Iterator<Item = i16> + 'a>;

/// The slots of the rows that a look-up finds.
fn slots<'a>(lookup: &'a Lookup, rows: &'a Rows) -> Slots<'a> {
    match lookup {
        Lookup::Tokens(digests) => tokens(rows, move |digest| digests.contains(digest)),
        Lookup::Begins { parameter, folded } => {
            strings(rows, *parameter, move |row| row.folded.starts_with(folded.as_str()))
        }
        Lookup::Contains { parameter, folded } => {
            strings(rows, *parameter, move |row| row.folded.contains(folded.as_str()))
        }
        Lookup::Exact { parameter, folded, exact } => {
            strings(rows, *parameter, move |row| row.folded == *folded && row.exact == *exact)
        }
        Lookup::Uri { parameter, uri } => strings(rows, *parameter, move |row| row.folded == *uri),
        Lookup::Below { parameter, uri } => strings(rows, *parameter, move |row| is_below(&row.folded, uri)),
        Lookup::Above { parameter, uris } => strings(rows, *parameter, move |row| uris.contains(&row.folded)),
        Lookup::Time { parameter, comparison } => {
            times(rows, *parameter, move |row| fits(comparison, &row.low, &row.high))
        }
        Lookup::Span { parameter, comparisons } => {
            times(rows, *parameter, move |row| comparisons.iter().all(|one| fits(one, &row.low, &row.high)))
        }
        Lookup::Quantity { parameter, comparison, unit } => {
            let (low, high) = (Number::of(&comparison.low), Number::of(&comparison.high));
            let comparison = Comparison { prefix: comparison.prefix, low, high };
            quantities(rows, *parameter, move |row| {
                let low = row.low.as_deref().map_or(Number::Least, Number::of);
                let high = row.high.as_deref().map_or(Number::Greatest, Number::of);
                has_unit(row, unit) && fits(&comparison, &low, &high)
            })
        }
        Lookup::References { parameter, targets } => {
            references(rows, *parameter, move |row| targets.iter().any(|target| leads_to(row, target)))
        }
        Lookup::Present(Part::Token(digest)) => tokens(rows, move |own| own == digest),
        Lookup::Present(Part::String(parameter)) => strings(rows, *parameter, |_| true),
        Lookup::Present(Part::Time(parameter)) => times(rows, *parameter, |_| true),
        Lookup::Present(Part::Quantity(parameter)) => quantities(rows, *parameter, |_| true),
        Lookup::Present(Part::Reference(parameter)) => references(rows, *parameter, |_| true),
    }
}

fn tokens<'a>(rows: &'a Rows, is_found: impl Fn(&Digest) -> bool + 'a) -> Slots<'a> {
    Box::new(rows.tokens.iter().filter(move |row| is_found(&row.digest)).map(|row| row.slot))
}

macro_rules! of_a_parameter {
    ($($name:ident: $row:ty),*) => {
        $(fn $name<'a>(rows: &'a Rows, parameter: i32, is_found: impl Fn(&$row) -> bool + 'a) -> Slots<'a> {
            let found = rows.$name.iter().filter(move |row| row.parameter == parameter && is_found(row));
            Box::new(found.map(|row| row.slot))
        })*
    };
}

of_a_parameter!(strings: StringRow, times: TimeRow, quantities: QuantityRow, references: ReferenceRow);

fn is_below(uri: &str, above: &str) -> bool {
    let separator = if above.starts_with("urn:") { ':' } else { '/' };
    uri.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with(separator))
}

fn has_unit(row: &QuantityRow, unit: &UnitTest) -> bool {
    match unit {
        UnitTest::Any => true,
        UnitTest::CodeOrUnit(text) => row.code == *text || row.unit == *text,
        UnitTest::Coded { system, code } => row.code == *code && row.system == *system,
        UnitTest::System(system) => row.system == *system,
    }
}

fn leads_to(row: &ReferenceRow, (kind, id): &(Option<String>, String)) -> bool {
    row.target_id == *id
        && match kind {
            Some(kind) => row.target_type == *kind,
            // What leads elsewhere is named by its whole URL.
            None => !row.target_type.is_empty(),
        }
}

/// Compares the range of a value with that of the search, as [`Comparison`] says; points are closed ranges.
fn fits<T: Ord>(comparison: &Comparison<T>, l: &T, h: &T) -> bool {
    let (low, high) = (&comparison.low, &comparison.high);
    let is_point = low == high;
    let is_inside = l >= low && h <= high && (is_point || l < high);
    match comparison.prefix {
        Prefix::Eq => is_inside,
        Prefix::Ne => !is_inside,
        Prefix::Gt => h > high,
        Prefix::Lt => l < low,
        Prefix::Ge => h >= low && (h > high || l >= low),
        Prefix::Le => l <= low && (l < low || h <= high),
        Prefix::Sa => l >= high && (!is_point || l > high),
        Prefix::Eb => h <= low && (!is_point || h < low),
        Prefix::Ap => h >= low && l <= high,
    }
}

/// `_lastUpdated` is a point in time.
const fn is_updated(comparison: &Comparison<i64>, at: i64) -> bool {
    let (low, high) = (comparison.low, comparison.high);
    match comparison.prefix {
        Prefix::Eq | Prefix::Ap => low <= at && at < high,
        Prefix::Ne => at < low || at >= high,
        Prefix::Gt | Prefix::Sa => at >= high,
        Prefix::Lt | Prefix::Eb => at < low,
        Prefix::Ge => at >= low,
        Prefix::Le => at < high,
    }
}
