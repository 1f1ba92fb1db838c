//! Index rows as columns: one array for each, so that any number of rows of any number of resources is one statement.

use sqlx::{Postgres, postgres::PgArguments, query::QueryScalar};
use uuid::Uuid;

use crate::fhir::search::Rows;

/// The tables of the index, each with its columns besides tenant and key, in the order of [`bind`].
const TABLES: [(&str, &[(&str, &str)]); 5] = [
    ("search_token", &[("slot", "smallint"), ("digest", "uuid"), ("sort", "text")]),
    (
        "search_string",
        &[
            ("slot", "smallint"),
            ("parameter", "int"),
            ("folded", "text"),
            ("exact", "text"),
            ("is_least", "boolean"),
            ("is_greatest", "boolean"),
        ],
    ),
    (
        "search_time",
        &[
            ("slot", "smallint"),
            ("parameter", "int"),
            ("low", "bigint"),
            ("high", "bigint"),
            ("is_least", "boolean"),
            ("is_greatest", "boolean"),
        ],
    ),
    (
        "search_quantity",
        &[
            ("slot", "smallint"),
            ("parameter", "int"),
            ("low", "text"),
            ("high", "text"),
            ("system", "text"),
            ("code", "text"),
            ("unit", "text"),
            ("is_least", "boolean"),
            ("is_greatest", "boolean"),
        ],
    ),
    ("search_reference", &[("slot", "smallint"), ("parameter", "int"), ("target_type", "text"), ("target_id", "text")]),
];

/// The parts of a statement that insert the rows bound from `$first` on, for the resources in its part
/// `placed (ord, tenant, key, narrative, content)`.
pub(in crate::store) fn inserts(first: usize) -> String {
    let mut next = first;
    let mut bound = |ty: &str| {
        next += 1;
        format!("${}::{ty}[]", next - 1)
    };
    let mut parts: Vec<String> = Vec::new();
    for (table, columns) in TABLES {
        let arrays: Vec<_> = std::iter::once(bound("bigint")).chain(columns.iter().map(|(_, ty)| bound(ty))).collect();
        let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
        let value = |name: &&str| match (table, *name) {
            ("search_quantity", "low") => "coalesce(v.low::numeric, '-infinity')".to_owned(),
            ("search_quantity", "high") => "coalesce(v.high::numeric, 'infinity')".to_owned(),
            _ => format!("v.{name}"),
        };
        let values: Vec<_> = names.iter().map(value).collect();
        let (names, values, arrays) = (names.join(", "), values.join(", "), arrays.join(", "));
        parts.push(format!(
            "{table}_in as (insert into {table} (tenant, key, {names}) select p.tenant, p.key, {values}
    from unnest({arrays}) as v (ord, {names}) join placed p using (ord))"
        ));
    }
    parts.push(
        "search_text_in as (insert into search_text (tenant, key, narrative, content)
    select tenant, key, to_tsvector('simple', narrative), to_tsvector('simple', content) from placed
    where narrative <> '' or content <> '')"
            .to_owned(),
    );
    parts.join(",\n  ")
}

/// The parts of a statement that delete the rows of the resources in its part `from (tenant, key)`.
pub(in crate::store) fn deletes(from: &str) -> String {
    let tables = TABLES.iter().map(|(table, _)| *table).chain(["search_text"]);
    let parts = tables.map(|table| {
        format!("{table}_out as (delete from {table} s using {from} o where s.tenant = o.tenant and s.key = o.key)")
    });
    parts.collect::<Vec<_>>().join(",\n  ")
}

type Query<'q, O> = QueryScalar<'q, Postgres, O, PgArguments>;

/// Every row of one kind, with the place (from 1) of its resource among those that are written.
fn numbered<'r, R: 'r>(rows: &[&'r Rows], of: fn(&'r Rows) -> &'r [R]) -> Vec<(i64, &'r R)> {
    (1..).zip(rows).flat_map(|(ord, rows)| of(rows).iter().map(move |row| (ord, row))).collect()
}

fn column<'r, R, T>(rows: &[(i64, &'r R)], get: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(|(_, row)| get(row)).collect()
}

fn ords<R>(rows: &[(i64, &R)]) -> Vec<i64> {
    rows.iter().map(|(ord, _)| *ord).collect()
}

/// Binds the index rows of these resources: tokens, strings, times, quantities, references, in the order of the columns
/// of [`Rows`].
pub(in crate::store) fn bind<'q, O>(query: Query<'q, O>, rows: impl Iterator<Item = &'q Rows>) -> Query<'q, O> {
    let rows: Vec<_> = rows.collect();
    let query = {
        let tokens = numbered(&rows, |rows| &rows.tokens);
        query
            .bind(ords(&tokens))
            .bind(column(&tokens, |row| row.slot))
            .bind(column(&tokens, |row| Uuid::from_bytes(row.digest.0)))
            .bind(column(&tokens, |row| row.sort.as_deref()))
    };
    let query = {
        let strings = numbered(&rows, |rows| &rows.strings);
        query
            .bind(ords(&strings))
            .bind(column(&strings, |row| row.slot))
            .bind(column(&strings, |row| row.parameter))
            .bind(column(&strings, |row| row.folded.as_str()))
            .bind(column(&strings, |row| row.exact.as_str()))
            .bind(column(&strings, |row| row.is_least))
            .bind(column(&strings, |row| row.is_greatest))
    };
    let query = {
        let times = numbered(&rows, |rows| &rows.times);
        query
            .bind(ords(&times))
            .bind(column(&times, |row| row.slot))
            .bind(column(&times, |row| row.parameter))
            .bind(column(&times, |row| row.low))
            .bind(column(&times, |row| row.high))
            .bind(column(&times, |row| row.is_least))
            .bind(column(&times, |row| row.is_greatest))
    };
    let query = {
        let quantities = numbered(&rows, |rows| &rows.quantities);
        query
            .bind(ords(&quantities))
            .bind(column(&quantities, |row| row.slot))
            .bind(column(&quantities, |row| row.parameter))
            .bind(column(&quantities, |row| row.low.as_deref()))
            .bind(column(&quantities, |row| row.high.as_deref()))
            .bind(column(&quantities, |row| row.system.as_str()))
            .bind(column(&quantities, |row| row.code.as_str()))
            .bind(column(&quantities, |row| row.unit.as_str()))
            .bind(column(&quantities, |row| row.is_least))
            .bind(column(&quantities, |row| row.is_greatest))
    };
    let references = numbered(&rows, |rows| &rows.references);
    query
        .bind(ords(&references))
        .bind(column(&references, |row| row.slot))
        .bind(column(&references, |row| row.parameter))
        .bind(column(&references, |row| row.target_type.as_str()))
        .bind(column(&references, |row| row.target_id.as_str()))
}
