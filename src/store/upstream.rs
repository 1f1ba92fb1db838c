//! Upstream providers: browsers on their way there, and whom a provider knows a person as.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Result, Tx};

const INSERT_JOURNEY: &str = "insert into upstream_login (state_digest, browser_digest, provider, sealed, expires_at) values ($1, $2, $3, $4, $5)";
const KEEP_THE_NEWEST: &str = "delete from upstream_login where browser_digest = $1 and state_digest in
  (select state_digest from upstream_login where browser_digest = $1 order by expires_at desc offset $2)";
const TAKE_JOURNEY: &str = "delete from upstream_login
  where state_digest = $1 and browser_digest = $2 and provider = $3 and expires_at > $4 returning sealed";
const FIND_USER: &str =
    "update upstream_identity set last_seen = $3 where issuer = $1 and subject = $2 returning user_id";
const LINK: &str = "insert into upstream_identity (issuer, subject, user_id, provider, first_seen, last_seen)
  values ($1, $2, $3, $4, $5, $5)";
const UNLINK: &str = "delete from upstream_identity where user_id = $1";
const OF_USER: &str = "select issuer, subject, provider, first_seen, last_seen from upstream_identity
  where user_id = $1 order by issuer, subject";
const SEE_LOGOUT: &str = "insert into upstream_logout_seen (issuer, jti_digest, expires_at) values ($1, $2, $3)
  on conflict do nothing";
const SWEEP_JOURNEYS: &str = "delete from upstream_login where expires_at < $1";
const SWEEP_LOGOUTS: &str = "delete from upstream_logout_seen where expires_at < $1";

/// So many journeys of one browser are kept at most.
const MOST_OF_A_BROWSER: i64 = 20;

/// A browser that is sent to a provider.
#[derive(Clone, Copy, Debug)]
pub struct Journey<'a> {
    /// SHA-256 of the `state` that travels along.
    pub state_digest: &'a [u8],
    /// SHA-256 of the browser's cookie.
    pub browser_digest: &'a [u8],
    /// The provider's id in the configuration.
    pub provider: &'a str,
}

/// Remembers a journey, with what is needed at its end.
pub async fn insert_journey(
    tx: &mut Tx,
    journey: Journey<'_>,
    sealed: &[u8],
    expires_at: OffsetDateTime,
) -> Result<()> {
    sqlx::query(INSERT_JOURNEY)
        .bind(journey.state_digest)
        .bind(journey.browser_digest)
        .bind(journey.provider)
        .bind(sealed)
        .bind(expires_at)
        .execute(tx.conn())
        .await?;
    sqlx::query(KEEP_THE_NEWEST).bind(journey.browser_digest).bind(MOST_OF_A_BROWSER).execute(tx.conn()).await?;
    Ok(())
}

/// Ends a journey, once: what was kept for it.
pub async fn take_journey(
    conn: &mut PgConnection,
    journey: Journey<'_>,
    now: OffsetDateTime,
) -> Result<Option<Vec<u8>>> {
    let query = sqlx::query_scalar(TAKE_JOURNEY).bind(journey.state_digest).bind(journey.browser_digest);
    Ok(query.bind(journey.provider).bind(now).fetch_optional(conn).await?)
}

/// The person of an identity, who has just come by.
pub async fn find_user(tx: &mut Tx, issuer: &str, subject: &str, now: OffsetDateTime) -> Result<Option<Uuid>> {
    Ok(sqlx::query_scalar(FIND_USER).bind(issuer).bind(subject).bind(now).fetch_optional(tx.conn()).await?)
}

/// From now on this identity is this person. Fails with [`super::Error::is_duplicate`] when it is somebody already.
pub async fn link(
    tx: &mut Tx,
    (issuer, subject): (&str, &str),
    user: Uuid,
    provider: &str,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query(LINK).bind(issuer).bind(subject).bind(user).bind(provider).bind(now).execute(tx.conn()).await?;
    Ok(())
}

/// Forgets every identity of a person; gives their number.
pub async fn unlink(tx: &mut Tx, user: Uuid) -> Result<u64> {
    Ok(sqlx::query(UNLINK).bind(user).execute(tx.conn()).await?.rows_affected())
}

/// Whom a provider knows a person as.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Identity {
    pub issuer: String,
    pub subject: String,
    /// The provider's id in the configuration, when it was linked.
    pub provider: String,
    pub first_seen: OffsetDateTime,
    pub last_seen: OffsetDateTime,
}

/// The identities of a person.
pub async fn of_user(conn: &mut PgConnection, user: Uuid) -> Result<Vec<Identity>> {
    Ok(sqlx::query_as(OF_USER).bind(user).fetch_all(conn).await?)
}

/// Takes a provider's logout token once; `false` when it was taken before.
pub async fn see_logout(tx: &mut Tx, issuer: &str, jti_digest: &[u8], expires_at: OffsetDateTime) -> Result<bool> {
    let done = sqlx::query(SEE_LOGOUT).bind(issuer).bind(jti_digest).bind(expires_at).execute(tx.conn()).await?;
    Ok(done.rows_affected() == 1)
}

/// Removes what can never be used again.
pub async fn sweep(tx: &mut Tx, now: OffsetDateTime) -> Result<()> {
    sqlx::query(SWEEP_JOURNEYS).bind(now).execute(tx.conn()).await?;
    sqlx::query(SWEEP_LOGOUTS).bind(now).execute(tx.conn()).await?;
    Ok(())
}
