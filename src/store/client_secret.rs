//! The secrets of clients, as digests. More than one holds while a new one takes the place of the old.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Result, Tx};

const INSERT: &str = "insert into client_secret (client_id, digest, created_at) values ($1, $2, $3)";
const HOLDS: &str = "select exists (select 1 from client_secret
    where client_id = $1 and digest = any ($2) and (expires_at is null or expires_at > $3))";
const END_ALL: &str = "update client_secret set expires_at = least(coalesce(expires_at, $2), $2) where client_id = $1";
const SWEEP: &str = "delete from client_secret where client_id = $1 and expires_at <= $2";

/// Stores a secret that holds until it is replaced.
pub async fn insert(tx: &mut Tx, client_id: &str, digest: &[u8], now: OffsetDateTime) -> Result<()> {
    sqlx::query(INSERT).bind(client_id).bind(digest).bind(now).execute(tx.conn()).await?;
    Ok(())
}

/// Whether one of `digests` is of a secret that this client has now. The secrets are random, so a look-up by digest tells
/// nothing by the time it takes.
pub async fn holds(conn: &mut PgConnection, client_id: &str, digests: &[Vec<u8>], now: OffsetDateTime) -> Result<bool> {
    Ok(sqlx::query_scalar(HOLDS).bind(client_id).bind(digests).bind(now).fetch_one(conn).await?)
}

/// Lets all secrets of a client end at `at`, if they do not end before, and removes those that ended by `now`.
pub async fn end_all(tx: &mut Tx, client_id: &str, at: OffsetDateTime, now: OffsetDateTime) -> Result<()> {
    sqlx::query(END_ALL).bind(client_id).bind(at).execute(tx.conn()).await?;
    sqlx::query(SWEEP).bind(client_id).bind(now).execute(tx.conn()).await?;
    Ok(())
}
