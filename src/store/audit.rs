//! The audit trail: append-only rows, kept when a context is cleared.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Result;

const APPEND: &str =
    "insert into audit (at, action, outcome, client_id, user_id, context, tenant, target, request_id, detail)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

const APPEND_MANY: &str =
    "insert into audit (at, action, outcome, client_id, user_id, context, tenant, target, request_id)
  select $1, a.action, $2, $3, $4, $5, $6, a.target, $7 from unnest($8::text[], $9::text[]) as a (action, target)";

/// One thing that happened (HALO R-006).
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry<'a> {
    /// `launch`, `login`, `token`, `context-set`, `context-clear`, `create`, …
    pub action: &'static str,
    /// `success`, `refused` or `failed`.
    pub outcome: &'static str,
    pub client_id: Option<&'a str>,
    pub user_id: Option<Uuid>,
    pub context: Option<Uuid>,
    pub tenant: i64,
    /// `Type/id`, with `/_history/v` where a version was made.
    pub target: Option<&'a str>,
    pub request_id: Option<&'a str>,
    /// Ids and counts only: never content of a resource, never a secret.
    pub detail: Option<&'a str>,
}

/// Appends one row.
pub async fn append(conn: &mut PgConnection, entry: &Entry<'_>, now: OffsetDateTime) -> Result<()> {
    sqlx::query(APPEND)
        .bind(now)
        .bind(entry.action)
        .bind(entry.outcome)
        .bind(entry.client_id)
        .bind(entry.user_id)
        .bind(entry.context)
        .bind(entry.tenant)
        .bind(entry.target)
        .bind(entry.request_id)
        .bind(entry.detail)
        .execute(conn)
        .await?;
    Ok(())
}

/// Appends one row per (action, target) in one statement; action and target of `entry` itself are not used.
pub async fn append_many(
    conn: &mut PgConnection,
    entry: &Entry<'_>,
    what: &[(&'static str, String)],
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query(APPEND_MANY)
        .bind(now)
        .bind(entry.outcome)
        .bind(entry.client_id)
        .bind(entry.user_id)
        .bind(entry.context)
        .bind(entry.tenant)
        .bind(entry.request_id)
        .bind(what.iter().map(|(action, _)| *action).collect::<Vec<_>>())
        .bind(what.iter().map(|(_, target)| target.as_str()).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    Ok(())
}
