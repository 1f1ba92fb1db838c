//! One condition on a resource, as SQL.
//!
//! A condition that at most one index row of a resource fulfils (one token, one reference) is a join: its index gives the
//! resources in the order of their keys, so a page is found without looking at the rest. Any other is a semi-join; where
//! several tables or types are asked, over the union of their keys, so that the planner may still start from them.

use uuid::Uuid;

use super::{
    Reach,
    statement::{Statement, push_tenants, push_types, push_visible},
};
use crate::fhir::search::{
    Chain, Comparison, Compartment, Digest, Filter, Has, Lookup, Part, Prefix, UnitTest, parameter_id,
};

/// Where a condition stands: over the alias of which `resource`, of which tenant (`None`: of any visible).
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub reach: &'a Reach,
    pub r: &'a str,
    pub tenant: Option<i64>,
    /// The types that the row may have.
    pub types: &'a [String],
}

impl Place<'_> {
    /// `a.tenant = …`: of the same tenant as the resource.
    fn push_tenant(&self, sql: &mut Statement, a: &str) {
        sql.push(a).push(".tenant = ");
        match self.tenant {
            Some(tenant) => sql.bind(tenant),
            None => sql.push(self.r).push(".tenant"),
        };
    }

    /// `a.tenant = … and a.key = r.key`
    fn push_key(&self, sql: &mut Statement, a: &str) {
        self.push_tenant(sql, a);
        sql.push(" and ").push(a).push(".key = ").push(self.r).push(".key");
    }
}

/// Appends the joins that the filters need, each with its condition, and returns the filters that remain.
pub fn push_joins<'f>(sql: &mut Statement, place: Place<'_>, filters: &'f [Filter]) -> Vec<&'f Filter> {
    let mut rest = Vec::new();
    for filter in filters {
        match filter {
            Filter::Any(lookups) => match lookups.as_slice() {
                [Lookup::Tokens(digests)] if digests.len() == 1 => {
                    let s = sql.alias("s");
                    sql.push(" join search_token ").push(&s).push(" on ");
                    place.push_key(sql, &s);
                    sql.push(" and ").push(&s).push(".digest = ").bind(uuid(digests[0]));
                }
                [Lookup::References { parameter, targets }] if matches!(targets.as_slice(), [(Some(_), _)]) => {
                    let f = sql.alias("f");
                    sql.push(" join search_reference ").push(&f).push(" on ");
                    place.push_key(sql, &f);
                    sql.push(" and ");
                    push_reference(sql, &f, *parameter, targets);
                }
                _ => rest.push(filter),
            },
            _ => rest.push(filter),
        }
    }
    rest
}

/// Appends ` and …` for each filter.
pub fn push_filters<'f>(sql: &mut Statement, place: Place<'_>, filters: impl IntoIterator<Item = &'f Filter>) {
    for filter in filters {
        sql.push(" and ");
        push_filter(sql, place, filter);
    }
}

fn push_filter(sql: &mut Statement, place: Place<'_>, filter: &Filter) {
    let r = place.r;
    match filter {
        Filter::Nothing => {
            sql.push("false");
        }
        Filter::Ids(ids) => {
            sql.push(r).push(".id = any(").bind(ids.clone()).push(")");
        }
        Filter::OtherThan(ids) => {
            sql.push(r).push(".id <> all(").bind(ids.clone()).push(")");
        }
        Filter::Updated(comparisons) => {
            push_either(sql, comparisons, |sql, comparison| push_updated(sql, r, comparison));
        }
        Filter::Any(lookups) => push_any(sql, place, lookups),
        Filter::None(lookups) => {
            sql.push("not ");
            push_any(sql, place, lookups);
        }
        Filter::Composite(groups) => push_either(sql, groups, |sql, group| push_group(sql, place, group)),
        Filter::Chain(chain) => push_chain(sql, place, chain),
        Filter::Has(has) => push_has(sql, place, has),
        Filter::Text(words) => push_words(sql, place, "narrative", words),
        Filter::Content(words) => push_words(sql, place, "content", words),
        Filter::List(id) => push_list(sql, place, id),
        Filter::Compartment(compartment) => push_compartment(sql, place, compartment),
        Filter::Either(filters) => push_either(sql, filters, |sql, filter| push_filter(sql, place, filter)),
    }
}

fn push_either<T>(sql: &mut Statement, all: &[T], mut push: impl FnMut(&mut Statement, &T)) {
    if all.is_empty() {
        sql.push("false");
        return;
    }
    sql.push("(");
    for (index, one) in all.iter().enumerate() {
        sql.push(if index == 0 { "" } else { " or " });
        push(sql, one);
    }
    sql.push(")");
}

fn uuid(digest: Digest) -> Uuid {
    Uuid::from_bytes(digest.0)
}

/// The tables of the index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Table {
    Token,
    String,
    Time,
    Quantity,
    Reference,
}

impl Table {
    const ALL: [Self; 5] = [Self::Token, Self::String, Self::Time, Self::Quantity, Self::Reference];

    const fn of(lookup: &Lookup) -> Self {
        match lookup {
            Lookup::Tokens(_) | Lookup::Present(Part::Token(_)) => Self::Token,
            Lookup::Begins { .. }
            | Lookup::Contains { .. }
            | Lookup::Exact { .. }
            | Lookup::Uri { .. }
            | Lookup::Below { .. }
            | Lookup::Above { .. }
            | Lookup::Present(Part::String(_)) => Self::String,
            Lookup::Time { .. } | Lookup::Present(Part::Time(_)) => Self::Time,
            Lookup::Quantity { .. } | Lookup::Present(Part::Quantity(_)) => Self::Quantity,
            Lookup::References { .. } | Lookup::Present(Part::Reference(_)) => Self::Reference,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Token => "search_token",
            Self::String => "search_string",
            Self::Time => "search_time",
            Self::Quantity => "search_quantity",
            Self::Reference => "search_reference",
        }
    }
}

/// Any of the lookups finds something: one semi-join, over the union of the tables where they are several.
fn push_any(sql: &mut Statement, place: Place<'_>, lookups: &[Lookup]) {
    let tables: Vec<_> = Table::ALL
        .into_iter()
        .map(|table| (table, lookups.iter().filter(|lookup| Table::of(lookup) == table).collect::<Vec<_>>()))
        .filter(|(_, lookups)| !lookups.is_empty())
        .collect();
    match tables.as_slice() {
        [] => {
            sql.push("false");
        }
        [(table, lookups)] => {
            let s = sql.alias("s");
            sql.push("exists (select 1 from ").push(table.name()).push(" ").push(&s).push(" where ");
            place.push_key(sql, &s);
            sql.push(" and ");
            push_lookups(sql, *table, &s, lookups);
            sql.push(")");
        }
        several => {
            sql.push(place.r).push(".key in (");
            for (index, (table, lookups)) in several.iter().enumerate() {
                let s = sql.alias("s");
                sql.push(if index == 0 { "select " } else { " union all select " });
                sql.push(&s).push(".key from ").push(table.name()).push(" ").push(&s).push(" where ");
                place.push_tenant(sql, &s);
                sql.push(" and ");
                push_lookups(sql, *table, &s, lookups);
            }
            sql.push(")");
        }
    }
}

fn push_lookups(sql: &mut Statement, table: Table, s: &str, lookups: &[&Lookup]) {
    if table == Table::Token {
        let digests = lookups.iter().flat_map(|lookup| match lookup {
            Lookup::Tokens(digests) => digests.iter().copied().map(uuid).collect::<Vec<_>>(),
            Lookup::Present(Part::Token(digest)) => vec![uuid(*digest)],
            _ => Vec::new(),
        });
        let digests: Vec<Uuid> = digests.collect();
        match digests.as_slice() {
            [one] => sql.push(s).push(".digest = ").bind(*one),
            _ => sql.push(s).push(".digest = any(").bind(digests).push(")"),
        };
        return;
    }
    push_either(sql, lookups, |sql, lookup| push_lookup(sql, s, lookup));
}

/// The condition of one lookup on a row of its table (tokens aside).
fn push_lookup(sql: &mut Statement, s: &str, lookup: &Lookup) {
    match lookup {
        Lookup::Tokens(digests) => {
            sql.push(s).push(".digest = any(").bind(digests.iter().copied().map(uuid).collect::<Vec<_>>()).push(")");
        }
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

fn push_parameter(sql: &mut Statement, s: &str, parameter: i32) {
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

/// `_lastUpdated`: a point in time, kept to the microsecond, told to the millisecond.
fn push_updated(sql: &mut Statement, r: &str, comparison: &Comparison<i64>) {
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

fn push_reference(sql: &mut Statement, f: &str, parameter: i32, targets: &[(Option<String>, String)]) {
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

/// All lookups of a composite, in one slot.
fn push_group(sql: &mut Statement, place: Place<'_>, group: &[Lookup]) {
    let mut first: Option<String> = None;
    let mut wheres: Vec<(String, &Lookup)> = Vec::new();
    sql.push("exists (select 1 from ");
    for lookup in group {
        let s = sql.alias("s");
        sql.push(if first.is_some() { ", " } else { "" });
        sql.push(Table::of(lookup).name()).push(" ").push(&s);
        first.get_or_insert_with(|| s.clone());
        wheres.push((s, lookup));
    }
    sql.push(" where true");
    let first = first.unwrap_or_default();
    for (s, lookup) in wheres {
        sql.push(" and ");
        place.push_key(sql, &s);
        sql.push(" and (");
        push_lookup(sql, &s, lookup);
        sql.push(")");
        if s != first {
            sql.push(" and ").push(&s).push(".slot = ").push(&first).push(".slot");
        }
    }
    sql.push(")");
}

/// The keys of the resources whose reference leads to a visible resource that fulfils the conditions.
fn push_chain(sql: &mut Statement, place: Place<'_>, chain: &Chain) {
    let reach = place.reach;
    let targets: Vec<_> = chain.targets.iter().filter(|target| reach.types.contains_key(&target.type_name)).collect();
    if targets.is_empty() {
        sql.push("false");
        return;
    }
    sql.push(place.r).push(".key in (");
    for (index, target) in targets.into_iter().enumerate() {
        let (f, t) = (sql.alias("f"), sql.alias("t"));
        let types = [target.type_name.clone()];
        let inner = Place { reach, r: &t, tenant: None, types: &types };
        sql.push(if index == 0 { "select " } else { " union all select " });
        sql.push(&f).push(".key from resource ").push(&t);
        let rest = push_joins(sql, inner, &target.filters);
        sql.push(" join search_reference ").push(&f).push(" on ").push(&f).push(".target_id = ").push(&t).push(".id");
        sql.push(" and ").push(&f).push(".target_type = ").bind(target.type_name.clone()).push(" and ");
        place.push_tenant(sql, &f);
        sql.push(" and ");
        push_parameter(sql, &f, chain.parameter);
        sql.push(" where ");
        push_visible(sql, reach, &t);
        sql.push(" and ");
        push_types(sql, reach, &types, &t, None);
        push_filters(sql, inner, rest);
    }
    sql.push(")");
}

/// The ids of the resources that a visible resource refers to which fulfils the conditions.
fn push_has(sql: &mut Statement, place: Place<'_>, has: &Has) {
    let reach = place.reach;
    if !reach.types.contains_key(&has.type_name) {
        sql.push("false");
        return;
    }
    let (f, t) = (sql.alias("f"), sql.alias("t"));
    let types = [has.type_name.clone()];
    let inner = Place { reach, r: &t, tenant: None, types: &types };
    sql.push("(").push(place.r).push(".type = ").bind(has.target_type.clone()).push(" and ");
    sql.push(place.r).push(".id in (select ").push(&f).push(".target_id from search_reference ").push(&f);
    sql.push(" join resource ").push(&t).push(" on ").push(&t).push(".tenant = ").push(&f).push(".tenant and ");
    sql.push(&t).push(".key = ").push(&f).push(".key");
    let rest = push_joins(sql, inner, &has.filters);
    sql.push(" where ");
    push_tenants(sql, reach, &f);
    sql.push(" and ");
    push_parameter(sql, &f, has.parameter);
    sql.push(" and ").push(&f).push(".target_type = ").bind(has.target_type.clone()).push(" and ");
    push_visible(sql, reach, &t);
    sql.push(" and ");
    push_types(sql, reach, &types, &t, None);
    push_filters(sql, inner, rest);
    sql.push("))");
}

fn push_words(sql: &mut Statement, place: Place<'_>, column: &'static str, words: &str) {
    let x = sql.alias("x");
    sql.push("exists (select 1 from search_text ").push(&x).push(" where ");
    place.push_key(sql, &x);
    sql.push(" and ").push(&x).push(".").push(column).push(" @@ websearch_to_tsquery('simple', ");
    sql.bind(words.to_owned()).push("))");
}

/// The items of a visible List.
fn push_list(sql: &mut Statement, place: Place<'_>, id: &str) {
    let reach = place.reach;
    if !reach.types.contains_key("List") {
        sql.push("false");
        return;
    }
    let (f, l) = (sql.alias("f"), sql.alias("l"));
    let types = ["List".to_owned()];
    sql.push("(").push(place.r).push(".type, ").push(place.r).push(".id) in (select ");
    sql.push(&f).push(".target_type, ").push(&f).push(".target_id from resource ").push(&l);
    sql.push(" join search_reference ").push(&f).push(" on ").push(&f).push(".tenant = ").push(&l).push(".tenant and ");
    sql.push(&f).push(".key = ").push(&l).push(".key and ");
    push_parameter(sql, &f, parameter_id("List", "item"));
    sql.push(" where ");
    push_tenants(sql, reach, &l);
    sql.push(" and ");
    sql.push(&l).push(".type = 'List' and ").push(&l).push(".id = ").bind(id.to_owned()).push(" and ");
    push_visible(sql, reach, &l);
    sql.push(" and ");
    push_types(sql, reach, &types, &l, None);
    sql.push(")");
}

/// Members of a compartment: they refer to its resource under one of the parameters, or are that resource.
fn push_compartment(sql: &mut Statement, place: Place<'_>, compartment: &Compartment) {
    let of_types = compartment.parameters.iter().filter(|(name, _)| place.types.contains(name));
    let mut parameters: Vec<i32> = Vec::new();
    let mut is_itself = false;
    for (name, numbers) in of_types {
        parameters.extend(numbers);
        is_itself |= *name == compartment.type_name;
    }
    let f = sql.alias("f");
    sql.push("(exists (select 1 from search_reference ").push(&f).push(" where ");
    place.push_key(sql, &f);
    sql.push(" and ").push(&f).push(".parameter = any(").bind(parameters).push(") and ");
    sql.push(&f).push(".target_type = ").bind(compartment.type_name.clone()).push(" and ");
    sql.push(&f).push(".target_id = ").bind(compartment.id.clone()).push(")");
    if is_itself {
        sql.push(" or (").push(place.r).push(".type = ").bind(compartment.type_name.clone());
        sql.push(" and ").push(place.r).push(".id = ").bind(compartment.id.clone()).push(")");
    }
    sql.push(")");
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
