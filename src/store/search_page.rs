//! What paging links are about, where it is too long to stand in them.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Result, Tx};

const KEEP: &str = "insert into search_page (digest, sealed, context, used_at) values ($1, $2, $3, $4)
  on conflict (digest) do update set used_at = greatest(search_page.used_at, excluded.used_at)";
const USE: &str = "update search_page set used_at = greatest(used_at, $2) where digest = $1 and used_at > $3
  returning sealed";
const FORGET: &str = "delete from search_page where used_at <= $1";
const FORGET_CONTEXT: &str = "delete from search_page where context = $1";

/// Keeps what a caller asked, sealed, under its digest; of a launch, with its context.
pub async fn keep(
    conn: &mut PgConnection,
    digest: &[u8],
    sealed: &[u8],
    context: Option<Uuid>,
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query(KEEP).bind(digest).bind(sealed).bind(context).bind(now).execute(conn).await?;
    Ok(())
}

/// What is kept under a digest and was used after `since`. That counts as a use.
pub async fn take_up(
    conn: &mut PgConnection,
    digest: &[u8],
    now: OffsetDateTime,
    since: OffsetDateTime,
) -> Result<Option<Vec<u8>>> {
    Ok(sqlx::query_scalar(USE).bind(digest).bind(now).bind(since).fetch_optional(conn).await?)
}

/// Removes what was last used before `since`.
pub async fn forget(conn: &mut PgConnection, since: OffsetDateTime) -> Result<u64> {
    Ok(sqlx::query(FORGET).bind(since).execute(conn).await?.rows_affected())
}

/// Removes what a launch asked.
pub async fn forget_context(tx: &mut Tx, context: Uuid) -> Result<()> {
    sqlx::query(FORGET_CONTEXT).bind(context).execute(tx.conn()).await?;
    Ok(())
}
