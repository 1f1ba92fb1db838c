//! Key sets that were fetched from where clients publish them.

use serde_json::Value;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};

use super::{Result, Tx};

const FIND: &str =
    "select jwks, fetched_at, fresh_until, forced_at, failed_at, failure from client_keys where jwks_uri = $1";
const KEEP: &str = "insert into client_keys (jwks_uri, jwks, fetched_at, fresh_until) values ($1, $2, $3, $4)
  on conflict (jwks_uri) do update
    set jwks = $2, fetched_at = $3, fresh_until = $4, failed_at = null, failure = null";
const FAIL: &str = "insert into client_keys (jwks_uri, failed_at, failure) values ($1, $2, $3)
  on conflict (jwks_uri) do update set failed_at = $2, failure = $3";
const FORCE: &str = "update client_keys set forced_at = $2
  where jwks_uri = $1 and (forced_at is null or forced_at <= $3)";
const FORGET: &str =
    "delete from client_keys k where not exists (select 1 from client c where c.jwks_uri = k.jwks_uri)";

/// What is known of a key set.
#[derive(Clone, Debug, Default, sqlx::FromRow)]
pub struct Kept {
    /// The keys of the last fetch that succeeded.
    pub jwks: Option<Value>,
    pub fetched_at: Option<OffsetDateTime>,
    /// Until when they may be used.
    pub fresh_until: Option<OffsetDateTime>,
    /// When they were last fetched before their time.
    pub forced_at: Option<OffsetDateTime>,
    /// When the last fetch failed, unless it succeeded.
    pub failed_at: Option<OffsetDateTime>,
    /// Why it failed.
    pub failure: Option<String>,
}

/// What is known of the key set at this address.
pub async fn find(conn: &mut PgConnection, jwks_uri: &str) -> Result<Option<Kept>> {
    Ok(sqlx::query_as(FIND).bind(jwks_uri).fetch_optional(conn).await?)
}

/// Keeps a fetched key set.
pub async fn keep(
    conn: &mut PgConnection,
    jwks_uri: &str,
    jwks: &Value,
    now: OffsetDateTime,
    fresh_until: OffsetDateTime,
) -> Result<()> {
    sqlx::query(KEEP).bind(jwks_uri).bind(jwks).bind(now).bind(fresh_until).execute(conn).await?;
    Ok(())
}

/// Notes that a fetch failed; what was fetched before stays.
pub async fn fail(conn: &mut PgConnection, jwks_uri: &str, failure: &str, now: OffsetDateTime) -> Result<()> {
    sqlx::query(FAIL).bind(jwks_uri).bind(now).bind(failure).execute(conn).await?;
    Ok(())
}

/// Asks for leave to fetch a key set before its time. Only one of all replicas gets it within `pause`.
pub async fn force(conn: &mut PgConnection, jwks_uri: &str, now: OffsetDateTime, pause: Duration) -> Result<bool> {
    let done = sqlx::query(FORCE).bind(jwks_uri).bind(now).bind(now - pause).execute(conn).await?;
    Ok(done.rows_affected() == 1)
}

/// Removes the key sets that no client names any more.
pub async fn forget_unused(tx: &mut Tx) -> Result<()> {
    sqlx::query(FORGET).execute(tx.conn()).await?;
    Ok(())
}
