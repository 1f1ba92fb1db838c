//! Initial access tokens: leave to register clients over HTTP (RFC 7591 section 1.2).

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::client::{Role, role};
use super::{Result, Tx};

const INSERT: &str = "insert into initial_access_token (digest, label, role, tenant, uses_left, created_at, expires_at)
  values ($1, $2, $3, $4, $5, $6, $7)";
const LIST: &str =
    "select label, role, tenant, uses_left, created_at, expires_at from initial_access_token order by label";
const DELETE: &str = "delete from initial_access_token where label = $1";
const USE: &str = "update initial_access_token set uses_left = uses_left - 1
  where digest = $1 and uses_left > 0 and expires_at > $2
  returning label, role, tenant, uses_left, created_at, expires_at";
const SWEEP: &str = "delete from initial_access_token where expires_at <= $1";

/// What a token allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialToken {
    /// Whom it was given to.
    pub label: String,
    /// What its clients are.
    pub role: Role,
    /// Their organisation.
    pub tenant: i64,
    /// How many may still be registered.
    pub uses_left: i32,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

#[derive(sqlx::FromRow)]
struct Row {
    label: String,
    role: String,
    tenant: i64,
    uses_left: i32,
    created_at: OffsetDateTime,
    expires_at: OffsetDateTime,
}

impl TryFrom<Row> for InitialToken {
    type Error = super::Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            role: role(&row.role)?,
            label: row.label,
            tenant: row.tenant,
            uses_left: row.uses_left,
            created_at: row.created_at,
            expires_at: row.expires_at,
        })
    }
}

/// Stores a token. Fails with [`super::Error::is_duplicate`] when the label is taken.
pub async fn insert(tx: &mut Tx, digest: &[u8], token: &InitialToken) -> Result<()> {
    sqlx::query(INSERT)
        .bind(digest)
        .bind(&token.label)
        .bind(token.role.as_str())
        .bind(token.tenant)
        .bind(token.uses_left)
        .bind(token.created_at)
        .bind(token.expires_at)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// All tokens, by label.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<InitialToken>> {
    let rows: Vec<Row> = sqlx::query_as(LIST).fetch_all(conn).await?;
    rows.into_iter().map(InitialToken::try_from).collect()
}

/// Removes a token. `false` when there is none of that label.
pub async fn delete(tx: &mut Tx, label: &str) -> Result<bool> {
    Ok(sqlx::query(DELETE).bind(label).execute(tx.conn()).await?.rows_affected() == 1)
}

/// Uses a good token once, if the transaction is committed; `None` for any other.
pub async fn take(tx: &mut Tx, digest: &[u8], now: OffsetDateTime) -> Result<Option<InitialToken>> {
    let row: Option<Row> = sqlx::query_as(USE).bind(digest).bind(now).fetch_optional(tx.conn()).await?;
    row.map(InitialToken::try_from).transpose()
}

/// Removes what has expired.
pub async fn sweep(tx: &mut Tx, now: OffsetDateTime) -> Result<()> {
    sqlx::query(SWEEP).bind(now).execute(tx.conn()).await?;
    Ok(())
}
