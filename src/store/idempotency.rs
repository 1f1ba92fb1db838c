//! First answers to requests that carry an `Idempotency-Key`, per PoC.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Result, Tx};

const FIND: &str = "select request_digest, answer from idempotency where client_id = $1 and key_digest = $2
  and created_at > $3";
const FORGET: &str = "delete from idempotency where created_at <= $1";
const FORGET_ONE: &str = "delete from idempotency where client_id = $1 and key_digest = $2 and created_at <= $3";
const INSERT: &str = "insert into idempotency (client_id, key_digest, request_digest, context, answer, created_at)
  values ($1, $2, $3, $4, $5, $6)";

/// A kept answer.
#[derive(Debug, sqlx::FromRow)]
pub struct Kept {
    pub request_digest: Vec<u8>,
    /// Sealed.
    pub answer: Vec<u8>,
}

/// The answer kept under a key since `since`.
pub async fn find(
    conn: &mut PgConnection,
    client: &str,
    key_digest: &[u8],
    since: OffsetDateTime,
) -> Result<Option<Kept>> {
    Ok(sqlx::query_as(FIND).bind(client).bind(key_digest).bind(since).fetch_optional(conn).await?)
}

/// Keeps an answer; a duplicate key is an error: another request was first. A kept answer older than `since` gives way.
#[expect(clippy::too_many_arguments, reason = "one column each")]
pub async fn insert(
    tx: &mut Tx,
    client: &str,
    key_digest: &[u8],
    request_digest: &[u8],
    context: Uuid,
    answer: &[u8],
    now: OffsetDateTime,
    since: OffsetDateTime,
) -> Result<()> {
    sqlx::query(FORGET_ONE).bind(client).bind(key_digest).bind(since).execute(tx.conn()).await?;
    sqlx::query(INSERT)
        .bind(client)
        .bind(key_digest)
        .bind(request_digest)
        .bind(context)
        .bind(answer)
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Removes answers kept before `since`.
pub async fn forget(conn: &mut PgConnection, since: OffsetDateTime) -> Result<u64> {
    Ok(sqlx::query(FORGET).bind(since).execute(conn).await?.rows_affected())
}
