//! One condition on a resource, as SQL.
//!
//! A condition that at most one index row of a resource fulfils (one token, one reference, one URI) is a join: its index gives the
//! resources in the order of their keys, so a page is found without looking at the rest. Any other is a semi-join; where
//! several tables or types are asked, over the union of their keys, so that the planner may still start from them.

use super::{
    Reach,
    link::{push_chain, push_compartment, push_has, push_list},
    lookup::{Table, push_lookup, push_lookups, push_reference, push_updated, uuid},
    statement::{Statement, push_tenants},
};
use crate::fhir::search::{Filter, Lookup};

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
    pub fn push_key(&self, sql: &mut Statement, a: &str) {
        self.push_tenant(sql, a);
        sql.push(" and ").push(a).push(".key = ").push(self.r).push(".key");
    }

    /// `r.key in (`: one of those that follow as [`Place::push_keys`], up to the closing bracket. Nothing in there names
    /// `r`: only then can the planner begin with it.
    pub fn push_among(&self, sql: &mut Statement) {
        match self.tenant {
            Some(_) => sql.push(self.r).push(".key in ("),
            None => sql.push("(").push(self.r).push(".tenant, ").push(self.r).push(".key) in ("),
        };
    }

    /// `select a.key from `, to be followed by the table `a`.
    pub fn push_keys(&self, sql: &mut Statement, a: &str) {
        sql.push("select ");
        if self.tenant.is_none() {
            sql.push(a).push(".tenant, ");
        }
        sql.push(a).push(".key from ");
    }

    /// The condition that `a`, of [`Place::push_keys`], is of a tenant in question.
    pub fn push_within(&self, sql: &mut Statement, a: &str) {
        match self.tenant {
            Some(tenant) => sql.push(a).push(".tenant = ").bind(tenant),
            None => {
                push_tenants(sql, self.reach, a);
                sql
            }
        };
    }
}

/// Appends the joins that the filters need, each with its condition, and returns the filters that remain.
pub fn push_joins<'f>(
    sql: &mut Statement,
    place: Place<'_>,
    filters: impl IntoIterator<Item = &'f Filter>,
) -> Vec<&'f Filter> {
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
                [lookup @ Lookup::Uri { .. }] => {
                    let s = sql.alias("s");
                    sql.push(" join search_string ").push(&s).push(" on ");
                    place.push_key(sql, &s);
                    sql.push(" and ");
                    push_lookup(sql, &s, lookup);
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

pub fn push_either<T>(sql: &mut Statement, all: &[T], mut push: impl FnMut(&mut Statement, &T)) {
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
            place.push_among(sql);
            for (index, (table, lookups)) in several.iter().enumerate() {
                let s = sql.alias("s");
                sql.push(if index == 0 { "" } else { " union all " });
                place.push_keys(sql, &s);
                sql.push(table.name()).push(" ").push(&s).push(" where ");
                place.push_within(sql, &s);
                sql.push(" and ");
                push_lookups(sql, *table, &s, lookups);
            }
            sql.push(")");
        }
    }
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

fn push_words(sql: &mut Statement, place: Place<'_>, column: &'static str, words: &str) {
    let x = sql.alias("x");
    sql.push("exists (select 1 from search_text ").push(&x).push(" where ");
    place.push_key(sql, &x);
    sql.push(" and ").push(&x).push(".").push(column).push(" @@ websearch_to_tsquery('simple', ");
    sql.bind(words.to_owned()).push("))");
}
