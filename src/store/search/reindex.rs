//! The index made anew: for search parameters that came, went or changed.
//!
//! Resources are walked in the order of (tenant, key), a batch in a transaction; where the walk stands is stored with each
//! batch, so that it goes on where it was stopped. Its rows are locked for the length of a batch: writes of these wait,
//! reads do not. What is written meanwhile is indexed by its own write.

use std::sync::LazyLock;

use sqlx::{AssertSqlSafe, PgConnection};
use time::OffsetDateTime;

use super::index;
use crate::{
    fhir::search::Rows,
    store::{Result, Tx},
};

const KNOWN: &str = "select parameter, type, code, definition from search_parameter";
const KEEP: &str = "insert into search_parameter (parameter, type, code, definition)
  select * from unnest($1::int[], $2::text[], $3::text[], $4::bytea[])";
const FORGET: &str = "delete from search_parameter";
const COUNT: &str = "select count(*) from resource where body is not null and (tenant, key) > ($1, $2)";
const STATE: &str = "select definitions, tenant, done from search_reindex";
const BEGIN: &str =
    "insert into search_reindex (definitions, tenant, done, started_at, updated_at) values ($1, -1, 0, $2, $2)
  on conflict (id) do update set definitions = $1, tenant = -1, done = 0, started_at = $2, updated_at = $2
  where search_reindex.definitions <> $1";
const MOVE_ON: &str = "update search_reindex set tenant = $1, done = $2, updated_at = $3";
const END: &str = "delete from search_reindex";
const BATCH: &str = "select tenant, key, id, body from resource
  where (tenant, key) > ($1, $2) and body is not null order by tenant, key limit $3 for update";

static REPLACE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "with placed as (
    select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) with ordinality
      as p (tenant, key, narrative, content, ord)),
  {},
  {}
  select count(*) from placed",
        index::deletes("placed"),
        index::inserts(5)
    )
});

/// A parameter as the index knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, sqlx::FromRow)]
pub struct Known {
    pub parameter: i32,
    pub r#type: String,
    pub code: String,
    /// SHA-256 of what decides about its rows.
    pub definition: Vec<u8>,
}

/// A resource to be indexed.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Stored {
    pub tenant: i64,
    pub key: i64,
    pub id: String,
    pub body: String,
}

/// The parameters that the index was made with; empty: as this program's own, R4's.
pub async fn known(conn: &mut PgConnection) -> Result<Vec<Known>> {
    Ok(sqlx::query_as(KNOWN).fetch_all(conn).await?)
}

/// Where a walk for these definitions stands, begun if there is none: (tenant, key) of the last resource done.
pub async fn begin(tx: &mut Tx, definitions: &[u8], now: OffsetDateTime) -> Result<(i64, i64)> {
    sqlx::query(BEGIN).bind(definitions).bind(now).execute(tx.conn()).await?;
    let (_, tenant, done): (Vec<u8>, i64, i64) = sqlx::query_as(STATE).fetch_one(tx.conn()).await?;
    Ok((tenant, done))
}

/// How many resources are left.
pub async fn left(conn: &mut PgConnection, after: (i64, i64)) -> Result<i64> {
    Ok(sqlx::query_scalar(COUNT).bind(after.0).bind(after.1).fetch_one(conn).await?)
}

/// The next resources, locked.
pub async fn batch(tx: &mut Tx, after: (i64, i64), size: i64) -> Result<Vec<Stored>> {
    Ok(sqlx::query_as(BATCH).bind(after.0).bind(after.1).bind(size).fetch_all(tx.conn()).await?)
}

/// Replaces the rows of resources, and notes that the walk came so far.
pub async fn replace(tx: &mut Tx, resources: &[(Stored, Rows)], now: OffsetDateTime) -> Result<()> {
    let query = sqlx::query_scalar::<_, i64>(AssertSqlSafe(REPLACE.as_str()))
        .bind(resources.iter().map(|(stored, _)| stored.tenant).collect::<Vec<_>>())
        .bind(resources.iter().map(|(stored, _)| stored.key).collect::<Vec<_>>())
        .bind(resources.iter().map(|(_, rows)| rows.narrative.as_str()).collect::<Vec<_>>())
        .bind(resources.iter().map(|(_, rows)| rows.content.as_str()).collect::<Vec<_>>());
    index::bind(query, resources.iter().map(|(_, rows)| rows)).fetch_one(tx.conn()).await?;
    if let Some((last, _)) = resources.last() {
        sqlx::query(MOVE_ON).bind(last.tenant).bind(last.key).bind(now).execute(tx.conn()).await?;
    }
    Ok(())
}

/// The walk is over: these are the parameters that the index was made with.
pub async fn end(tx: &mut Tx, parameters: &[Known]) -> Result<()> {
    sqlx::query(FORGET).execute(tx.conn()).await?;
    sqlx::query(KEEP)
        .bind(parameters.iter().map(|known| known.parameter).collect::<Vec<_>>())
        .bind(parameters.iter().map(|known| known.r#type.as_str()).collect::<Vec<_>>())
        .bind(parameters.iter().map(|known| known.code.as_str()).collect::<Vec<_>>())
        .bind(parameters.iter().map(|known| known.definition.as_slice()).collect::<Vec<_>>())
        .execute(tx.conn())
        .await?;
    sqlx::query(END).execute(tx.conn()).await?;
    Ok(())
}
