//! Browser sessions: who has signed in where.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Result, Tx};

const INSERT: &str = "insert into login_session (digest, id, user_id, created_at, last_seen, expires_at, provider,
    upstream_issuer, upstream_subject, upstream_sid, sealed_id_token)
  values ($1, $2, $3, $4, $4, $5, $6, $7, $8, $9, $10)";
const FIND: &str = "select s.id, s.user_id, s.created_at, s.last_seen, s.expires_at, s.provider, s.sealed_id_token
  from login_session s join user_account u on u.id = s.user_id where s.digest = $1 and s.expires_at > $2 and u.enabled";
const LASTS: &str = "select exists (select 1 from login_session s join user_account u on u.id = s.user_id
  where s.id = $1 and s.expires_at > $2 and u.enabled)";
const SEE: &str = "update login_session set last_seen = $2 where digest = $1 and last_seen < $2";
// Two sign-ins that replace the same session: the second finds nothing to replace.
const TAKE: &str = "delete from login_session where digest = $1
  returning id, user_id, created_at, last_seen, expires_at, provider, sealed_id_token";
const OF_UPSTREAM: &str = "delete from login_session
  where upstream_issuer = $1 and ($2::text is null or upstream_subject = $2) and ($3::text is null or upstream_sid = $3)
  returning id, user_id, created_at, last_seen, expires_at, provider, sealed_id_token";
const END_SESSIONS_OF: &str = "delete from login_session where user_id = $1";
const SWEEP: &str = "delete from login_session where expires_at < $1";

/// A browser in which somebody is signed in.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Session {
    /// The `sid` of ID tokens.
    pub id: Uuid,
    /// Who.
    pub user_id: Uuid,
    /// Since when (`auth_time`).
    pub created_at: OffsetDateTime,
    /// When the browser last showed a page here.
    pub last_seen: OffsetDateTime,
    pub expires_at: OffsetDateTime,
    /// The upstream provider that vouched for the person.
    pub provider: Option<String>,
    /// Its ID token, sealed.
    pub sealed_id_token: Option<Vec<u8>>,
}

/// A sign-in at an upstream provider.
#[derive(Clone, Copy, Debug)]
pub struct Upstream<'a> {
    /// Its id in the configuration.
    pub provider: &'a str,
    pub issuer: &'a str,
    pub subject: &'a str,
    pub sid: Option<&'a str>,
    /// See [`Session::sealed_id_token`].
    pub sealed_id_token: &'a [u8],
}

/// A session as it is made.
#[derive(Clone, Copy, Debug)]
pub struct NewSession<'a> {
    /// SHA-256 of its cookie.
    pub digest: &'a [u8],
    pub id: Uuid,
    pub user: Uuid,
    pub expires_at: OffsetDateTime,
    pub upstream: Option<Upstream<'a>>,
}

/// Remembers that a browser's user has signed in.
pub async fn insert(tx: &mut Tx, session: &NewSession<'_>, now: OffsetDateTime) -> Result<()> {
    let upstream = session.upstream;
    sqlx::query(INSERT)
        .bind(session.digest)
        .bind(session.id)
        .bind(session.user)
        .bind(now)
        .bind(session.expires_at)
        .bind(upstream.map(|upstream| upstream.provider))
        .bind(upstream.map(|upstream| upstream.issuer))
        .bind(upstream.map(|upstream| upstream.subject))
        .bind(upstream.and_then(|upstream| upstream.sid))
        .bind(upstream.map(|upstream| upstream.sealed_id_token))
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The session of a cookie; `None` when it has ended or its user is disabled.
pub async fn find(conn: &mut PgConnection, digest: &[u8], now: OffsetDateTime) -> Result<Option<Session>> {
    Ok(sqlx::query_as(FIND).bind(digest).bind(now).fetch_optional(conn).await?)
}

/// Whether the session of that id has not ended, and its user is enabled.
pub async fn lasts(conn: &mut PgConnection, id: Uuid, now: OffsetDateTime) -> Result<bool> {
    Ok(sqlx::query_scalar(LASTS).bind(id).bind(now).fetch_one(conn).await?)
}

/// The browser has shown a page.
pub async fn see(conn: &mut PgConnection, digest: &[u8], now: OffsetDateTime) -> Result<()> {
    sqlx::query(SEE).bind(digest).bind(now).execute(conn).await?;
    Ok(())
}

/// Removes the session of a cookie, and gives what it was.
pub async fn take(tx: &mut Tx, digest: &[u8]) -> Result<Option<Session>> {
    Ok(sqlx::query_as(TAKE).bind(digest).fetch_optional(tx.conn()).await?)
}

/// Removes the sessions that began with this sign-in upstream: of that subject, of that upstream session, or both. With
/// neither nothing is removed.
pub async fn take_of_upstream(
    tx: &mut Tx,
    issuer: &str,
    subject: Option<&str>,
    sid: Option<&str>,
) -> Result<Vec<Session>> {
    if subject.is_none() && sid.is_none() {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_as(OF_UPSTREAM).bind(issuer).bind(subject).bind(sid).fetch_all(tx.conn()).await?)
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
