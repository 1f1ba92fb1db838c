//! Browsers in which a person has signed in before.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Result, Tx};

const IS_KNOWN: &str =
    "select exists (select 1 from known_browser where digest = $1 and user_id = $2 and expires_at > $3)";
const REMEMBER: &str = "insert into known_browser (digest, user_id, expires_at) values ($1, $2, $3)
  on conflict (digest, user_id) do update set expires_at = excluded.expires_at";
const KEEP_THE_LATEST: &str = "delete from known_browser where user_id = $1 and digest in
  (select digest from known_browser where user_id = $1 order by expires_at desc offset $2)";
const SWEEP: &str = "delete from known_browser where expires_at < $1";

/// So many browsers of one person are known at most.
const MOST: i64 = 50;

/// Whether this person has signed in there.
pub async fn is_known(conn: &mut PgConnection, digest: &[u8], user: Uuid, now: OffsetDateTime) -> Result<bool> {
    Ok(sqlx::query_scalar(IS_KNOWN).bind(digest).bind(user).bind(now).fetch_one(conn).await?)
}

/// Remembers that this person has signed in there.
pub async fn remember(tx: &mut Tx, digest: &[u8], user: Uuid, expires_at: OffsetDateTime) -> Result<()> {
    sqlx::query(REMEMBER).bind(digest).bind(user).bind(expires_at).execute(tx.conn()).await?;
    sqlx::query(KEEP_THE_LATEST).bind(user).bind(MOST).execute(tx.conn()).await?;
    Ok(())
}

/// Removes what is known no longer.
pub async fn sweep(tx: &mut Tx, now: OffsetDateTime) -> Result<()> {
    sqlx::query(SWEEP).bind(now).execute(tx.conn()).await?;
    Ok(())
}
