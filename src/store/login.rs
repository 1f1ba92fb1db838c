//! Signing in: requests that wait for a form, browser sessions, attempts, and assertions already seen.

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Result, Tx};

const INSERT_REQUEST: &str =
    "insert into login_request (digest, browser_digest, parameters, expires_at) values ($1, $2, $3, $4)";
const FIND_REQUEST: &str =
    "select parameters from login_request where digest = $1 and browser_digest = $2 and expires_at > $3";
const END_REQUEST: &str = "delete from login_request where digest = $1";
const INSERT_SESSION: &str =
    "insert into login_session (digest, user_id, created_at, expires_at) values ($1, $2, $3, $4)";
const FIND_SESSION: &str = "select s.user_id, s.created_at from login_session s join user_account u on u.id = s.user_id
  where s.digest = $1 and s.expires_at > $2 and u.enabled";
const END_SESSION: &str = "delete from login_session where digest = $1";
const END_SESSIONS_OF: &str = "delete from login_session where user_id = $1";
const INSERT_ATTEMPT: &str =
    "insert into login_attempt (kind, subject, at) values ('account', $1, $3), ('address', $2, $3)";
const COUNT_ATTEMPTS: &str = "select
  count(*) filter (where kind = 'account' and subject = $1),
  count(*) filter (where kind = 'address' and subject = $2)
  from login_attempt where at > $3 and ((kind = 'account' and subject = $1) or (kind = 'address' and subject = $2))";
const FORGIVE: &str = "delete from login_attempt
  where (kind = 'account' and subject = $1) or (kind = 'address' and subject = $2 and at = $3)";
const SEE_ASSERTION: &str = "insert into assertion_seen (client_id, jti_digest, expires_at) values ($1, $2, $3)
  on conflict (client_id, jti_digest) do nothing";
const SWEEP: [&str; 4] = [
    "delete from login_request where expires_at < $1",
    "delete from login_session where expires_at < $1",
    "delete from login_attempt where at < $1 - interval '1 day'",
    "delete from assertion_seen where expires_at < $1",
];

/// Keeps an authorization request until its login form comes back from the same browser.
pub async fn insert_request(
    tx: &mut Tx,
    digest: &[u8],
    browser_digest: &[u8],
    parameters: &Value,
    expires_at: OffsetDateTime,
) -> Result<()> {
    sqlx::query(INSERT_REQUEST)
        .bind(digest)
        .bind(browser_digest)
        .bind(parameters)
        .bind(expires_at)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The authorization request of a login form that this browser was shown.
pub async fn find_request(
    conn: &mut PgConnection,
    digest: &[u8],
    browser_digest: &[u8],
    now: OffsetDateTime,
) -> Result<Option<Value>> {
    Ok(sqlx::query_scalar(FIND_REQUEST).bind(digest).bind(browser_digest).bind(now).fetch_optional(conn).await?)
}

/// Uses a login form up. `false` when it already was.
pub async fn end_request(tx: &mut Tx, digest: &[u8]) -> Result<bool> {
    Ok(sqlx::query(END_REQUEST).bind(digest).execute(tx.conn()).await?.rows_affected() == 1)
}

/// A browser in which somebody is signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Session {
    /// Who.
    pub user_id: Uuid,
    /// Since when (`auth_time`).
    pub created_at: OffsetDateTime,
}

/// Remembers that a browser's user has signed in.
pub async fn insert_session(
    tx: &mut Tx,
    digest: &[u8],
    user: Uuid,
    now: OffsetDateTime,
    expires_at: OffsetDateTime,
) -> Result<()> {
    sqlx::query(INSERT_SESSION).bind(digest).bind(user).bind(now).bind(expires_at).execute(tx.conn()).await?;
    Ok(())
}

/// The session of a cookie; `None` when it has ended or its user is disabled.
pub async fn find_session(conn: &mut PgConnection, digest: &[u8], now: OffsetDateTime) -> Result<Option<Session>> {
    Ok(sqlx::query_as(FIND_SESSION).bind(digest).bind(now).fetch_optional(conn).await?)
}

/// Signs a browser out.
pub async fn end_session(tx: &mut Tx, digest: &[u8]) -> Result<()> {
    sqlx::query(END_SESSION).bind(digest).execute(tx.conn()).await?;
    Ok(())
}

/// Signs a person out everywhere (a new password, a disabled account).
pub async fn end_sessions_of(tx: &mut Tx, user: Uuid) -> Result<()> {
    sqlx::query(END_SESSIONS_OF).bind(user).execute(tx.conn()).await?;
    Ok(())
}

/// What is counted when somebody tries to sign in; both are digests.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// Of the account name in lower case, whether or not there is such an account.
    pub account: &'a [u8],
    /// Of the network address.
    pub address: &'a [u8],
    /// When.
    pub at: OffsetDateTime,
}

/// How often was tried since `since`, by account and by address.
pub async fn count_attempts(
    conn: &mut PgConnection,
    attempt: &Attempt<'_>,
    since: OffsetDateTime,
) -> Result<(i64, i64)> {
    Ok(sqlx::query_as(COUNT_ATTEMPTS).bind(attempt.account).bind(attempt.address).bind(since).fetch_one(conn).await?)
}

/// Counts an attempt as failed until [`forgive`] says otherwise.
pub async fn record_attempt(tx: &mut Tx, attempt: &Attempt<'_>) -> Result<()> {
    sqlx::query(INSERT_ATTEMPT).bind(attempt.account).bind(attempt.address).bind(attempt.at).execute(tx.conn()).await?;
    Ok(())
}

/// The attempt succeeded: the account's count starts again, the address loses this one.
pub async fn forgive(tx: &mut Tx, attempt: &Attempt<'_>) -> Result<()> {
    sqlx::query(FORGIVE).bind(attempt.account).bind(attempt.address).bind(attempt.at).execute(tx.conn()).await?;
    Ok(())
}

/// Notes an assertion's `jti`. `false` when this client has used it before: a replay.
pub async fn see_assertion(
    tx: &mut Tx,
    client_id: &str,
    jti_digest: &[u8],
    expires_at: OffsetDateTime,
) -> Result<bool> {
    let done = sqlx::query(SEE_ASSERTION).bind(client_id).bind(jti_digest).bind(expires_at).execute(tx.conn()).await?;
    Ok(done.rows_affected() == 1)
}

/// Removes what has expired: requests, sessions, attempts, assertions.
pub async fn sweep(tx: &mut Tx, now: OffsetDateTime) -> Result<()> {
    for statement in SWEEP {
        sqlx::query(statement).bind(now).execute(tx.conn()).await?;
    }
    Ok(())
}
