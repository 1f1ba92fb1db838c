//! Index rows as columns: one array for each, so that any number of rows of any number of resources is one statement.

use sqlx::{Postgres, postgres::PgArguments, query::QueryScalar};
use uuid::Uuid;

use crate::fhir::search::Rows;

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
