//! The keys this server signs tokens with. Private parts are stored sealed; this file never opens them.

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Result, Tx};

// Held to the end of the transaction: one process at a time makes or rotates keys.
const LOCK: &str = "select pg_advisory_xact_lock(hashtextextended('sofa.signing_key', 0))";
const LIST: &str = "select kid, state, private_key, public_key from signing_key order by created_at";
const INSERT: &str =
    "insert into signing_key (kid, state, private_key, public_key, created_at) values ($1, $2, $3, $4, $5)";
const RETIRE: &str = "update signing_key set state = 'retired', retired_at = $1 where state = 'active'";
const ACTIVATE: &str = "update signing_key set state = 'active' where state = 'next'";
const FORGET: &str = "delete from signing_key where state = 'retired' and retired_at < $1";

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
    const fn as_str(self) -> &'static str {
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
    pub state: State,
    /// PKCS#8 DER, sealed.
    pub private_key: Vec<u8>,
    /// As published.
    pub public_key: Value,
}

/// Waits until no other process makes or rotates keys, and keeps it so until the transaction ends.
pub async fn lock(tx: &mut Tx) -> Result<()> {
    sqlx::query(LOCK).execute(tx.conn()).await?;
    Ok(())
}

/// All keys, oldest first.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<StoredKey>> {
    let rows: Vec<(String, String, Vec<u8>, Value)> = sqlx::query_as(LIST).fetch_all(conn).await?;
    let state = |word: &str| match word {
        "next" => State::Next,
        "active" => State::Active,
        _ => State::Retired,
    };
    Ok(rows
        .into_iter()
        .map(|(kid, word, private_key, public_key)| StoredKey { kid, state: state(&word), private_key, public_key })
        .collect())
}

/// Adds a key.
pub async fn insert(tx: &mut Tx, key: &StoredKey, now: OffsetDateTime) -> Result<()> {
    sqlx::query(INSERT)
        .bind(&key.kid)
        .bind(key.state.as_str())
        .bind(&key.private_key)
        .bind(&key.public_key)
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The active key retires and the next one becomes active. Keys that retired before `forget_before` are removed.
pub async fn rotate(tx: &mut Tx, now: OffsetDateTime, forget_before: OffsetDateTime) -> Result<()> {
    sqlx::query(RETIRE).bind(now).execute(tx.conn()).await?;
    sqlx::query(ACTIVATE).execute(tx.conn()).await?;
    sqlx::query(FORGET).bind(forget_before).execute(tx.conn()).await?;
    Ok(())
}
