//! Authorization requests that wait for a person: for a form to come back from the browser it was shown to.

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Result, Tx};

const INSERT: &str =
    "insert into login_request (digest, browser_digest, parameters, expires_at) values ($1, $2, $3, $4)";
const FIND: &str = "select parameters from login_request where digest = $1 and browser_digest = $2 and expires_at > $3";
const END: &str = "delete from login_request where digest = $1";
const SWEEP: &str = "delete from login_request where expires_at < $1";

/// Keeps an authorization request until its login form comes back from the same browser.
pub async fn insert(
    tx: &mut Tx,
    digest: &[u8],
    browser_digest: &[u8],
    parameters: &Value,
    expires_at: OffsetDateTime,
) -> Result<()> {
    sqlx::query(INSERT).bind(digest).bind(browser_digest).bind(parameters).bind(expires_at).execute(tx.conn()).await?;
    Ok(())
}

/// The authorization request of a login form that this browser was shown.
pub async fn find(
    conn: &mut PgConnection,
    digest: &[u8],
    browser_digest: &[u8],
    now: OffsetDateTime,
) -> Result<Option<Value>> {
    Ok(sqlx::query_scalar(FIND).bind(digest).bind(browser_digest).bind(now).fetch_optional(conn).await?)
}

/// Uses a login form up. `false` when it already was.
pub async fn end(tx: &mut Tx, digest: &[u8]) -> Result<bool> {
    Ok(sqlx::query(END).bind(digest).execute(tx.conn()).await?.rows_affected() == 1)
}

/// Removes what nobody came back for.
pub async fn sweep(tx: &mut Tx, now: OffsetDateTime) -> Result<()> {
    sqlx::query(SWEEP).bind(now).execute(tx.conn()).await?;
    Ok(())
}

const KEEP_THE_NEWEST: &str = "delete from login_request where browser_digest = $1 and digest in (select digest
  from login_request where browser_digest = $1 order by created desc offset $2)";
/// So many forms of one browser are kept at most.
const MOST_OF_A_BROWSER: i64 = 20;

/// Removes the oldest forms of a browser that has too many.
pub async fn keep_the_newest(tx: &mut Tx, browser_digest: &[u8]) -> Result<()> {
    sqlx::query(KEEP_THE_NEWEST).bind(browser_digest).bind(MOST_OF_A_BROWSER).execute(tx.conn()).await?;
    Ok(())
}
