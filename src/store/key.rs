//! The keys this server signs tokens with. Private parts are stored sealed; this file never opens them.

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Result, Tx};

// Held to the end of the transaction: one process at a time makes, rotates or withdraws keys.
const LOCK: &str = "select pg_advisory_xact_lock(hashtextextended('sofa.signing_key', 0))";
const LIST: &str = "select kid, algorithm, state, private_key, public_key, created_at, active_since, published_until
  from signing_key where published_until is null or published_until > $1 order by created_at, active_since nulls last, kid";
const INSERT: &str = "insert into signing_key
    (kid, algorithm, state, private_key, public_key, created_at, active_since, published_until)
  values ($1, $2, $3, $4, $5, $6, $7, $8)";
const RETIRE: &str =
    "update signing_key set state = 'retired', retired_at = coalesce(retired_at, $2), published_until = $3
  where kid = $1";
const ACTIVATE: &str =
    "update signing_key set state = 'active', active_since = $2 where state = 'next' and algorithm = $1";
const FORGET: &str = "delete from signing_key where state = 'retired' and published_until < $1";

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Published, so that others know it before it signs.
    Next,
    /// Signs.
    Active,
    /// Only verifies what it signed.
    Retired,
}

impl State {
    /// The word stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }
}

/// A stored key.
#[derive(Clone, Debug)]
pub struct StoredKey {
    /// RFC 7638 thumbprint of the public key.
    pub kid: String,
    /// What it signs with: its name in RFC 7518.
    pub algorithm: String,
    pub state: State,
    /// PKCS#8 DER, sealed.
    pub private_key: Vec<u8>,
    /// As published.
    pub public_key: Value,
    pub created_at: OffsetDateTime,
    /// Since when it signs, or signed.
    pub active_since: Option<OffsetDateTime>,
    /// A retired key is believed until then.
    pub published_until: Option<OffsetDateTime>,
}

#[derive(sqlx::FromRow)]
struct Row {
    kid: String,
    algorithm: String,
    state: String,
    private_key: Vec<u8>,
    public_key: Value,
    created_at: OffsetDateTime,
    active_since: Option<OffsetDateTime>,
    published_until: Option<OffsetDateTime>,
}

/// Waits until no other process makes or rotates keys, and keeps it so until the transaction ends.
pub async fn lock(tx: &mut Tx) -> Result<()> {
    sqlx::query(LOCK).execute(tx.conn()).await?;
    Ok(())
}

/// All keys that are believed at this moment, oldest first.
pub async fn list(conn: &mut PgConnection, now: OffsetDateTime) -> Result<Vec<StoredKey>> {
    let rows: Vec<Row> = sqlx::query_as(LIST).bind(now).fetch_all(conn).await?;
    let state = |word: &str| match word {
        "next" => State::Next,
        "active" => State::Active,
        _ => State::Retired,
    };
    let key = |row: Row| StoredKey {
        kid: row.kid,
        algorithm: row.algorithm,
        state: state(&row.state),
        private_key: row.private_key,
        public_key: row.public_key,
        created_at: row.created_at,
        active_since: row.active_since,
        published_until: row.published_until,
    };
    Ok(rows.into_iter().map(key).collect())
}

/// Adds a key.
pub async fn insert(tx: &mut Tx, key: &StoredKey) -> Result<()> {
    sqlx::query(INSERT)
        .bind(&key.kid)
        .bind(&key.algorithm)
        .bind(key.state.as_str())
        .bind(&key.private_key)
        .bind(&key.public_key)
        .bind(key.created_at)
        .bind(key.active_since)
        .bind(key.published_until)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// A key signs no more, and is believed until `published_until`.
pub async fn retire(tx: &mut Tx, kid: &str, now: OffsetDateTime, published_until: OffsetDateTime) -> Result<()> {
    sqlx::query(RETIRE).bind(kid).bind(now).bind(published_until).execute(tx.conn()).await?;
    Ok(())
}

/// The waiting key of an algorithm signs from now on. The one before it must have retired.
pub async fn activate(tx: &mut Tx, algorithm: &str, now: OffsetDateTime) -> Result<()> {
    sqlx::query(ACTIVATE).bind(algorithm).bind(now).execute(tx.conn()).await?;
    Ok(())
}

/// Removes keys that are believed no longer.
pub async fn forget(tx: &mut Tx, now: OffsetDateTime) -> Result<()> {
    sqlx::query(FORGET).bind(now).execute(tx.conn()).await?;
    Ok(())
}
