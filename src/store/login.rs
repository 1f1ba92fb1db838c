//! Browser sessions: who has signed in where.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Result, Tx};

const INSERT_SESSION: &str =
    "insert into login_session (digest, user_id, created_at, expires_at) values ($1, $2, $3, $4)";
const FIND_SESSION: &str = "select s.user_id, s.created_at from login_session s join user_account u on u.id = s.user_id
  where s.digest = $1 and s.expires_at > $2 and u.enabled";
const END_SESSION: &str = "delete from login_session where digest = $1";
const END_SESSIONS_OF: &str = "delete from login_session where user_id = $1";
const SWEEP: &str = "delete from login_session where expires_at < $1";

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

/// Removes sessions that have ended.
pub async fn sweep(tx: &mut Tx, now: OffsetDateTime) -> Result<()> {
    sqlx::query(SWEEP).bind(now).execute(tx.conn()).await?;
    Ok(())
}

const HOLD: &str = "select 1 from login_session where digest = $1 and user_id = $2 and expires_at > $3 for share";

/// Whether the person's session of that cookie lasts; if so it cannot be ended before this transaction ends.
pub async fn hold(tx: &mut Tx, digest: &[u8], user: Uuid, now: OffsetDateTime) -> Result<bool> {
    Ok(sqlx::query(HOLD).bind(digest).bind(user).bind(now).fetch_optional(tx.conn()).await?.is_some())
}
