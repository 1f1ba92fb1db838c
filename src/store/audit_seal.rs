//! Seals of the audit trail: one for some thousand rows, each holding the digest of the one before it.

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Result, Tx};

// Held to the end of the transaction: one process at a time seals.
const LOCK: &str = "select pg_try_advisory_xact_lock(hashtextextended('sofa.audit_seal', 0))";
const COLUMNS: &str = "number, first_seq, last_seq, rows, previous, digest, jws, public_key, proof, sealed_at";
const INSERT: &str = "insert into audit_seal
    (number, first_seq, last_seq, rows, previous, digest, jws, public_key, proof, sealed_at)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const HIGHEST: &str = "select coalesce(max(seq), 0) from audit";
// Whoever inserts into the table holds this lock from before it takes a number until its transaction ends.
const WRITERS: &str = "select virtualtransaction from pg_locks
  where locktype = 'relation' and relation = 'audit'::regclass and mode = 'RowExclusiveLock'
    and database = (select oid from pg_database where datname = current_database())";

/// A seal as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Seal {
    /// 1, 2, 3, …
    pub number: i64,
    /// The first number it seals, whether there is such a row or not: one after the last of the seal before.
    pub first_seq: i64,
    pub last_seq: i64,
    /// How many rows there are.
    pub rows: i64,
    /// SHA-256: 32 bytes.
    pub previous: Vec<u8>,
    pub digest: Vec<u8>,
    pub jws: String,
    /// As a JWK.
    pub public_key: Value,
    /// The digest, sealed with the master key.
    pub proof: Vec<u8>,
    pub sealed_at: OffsetDateTime,
}

/// Whether nobody else seals until this transaction ends.
pub async fn lock(tx: &mut Tx) -> Result<bool> {
    Ok(sqlx::query_scalar(LOCK).fetch_one(tx.conn()).await?)
}

/// The newest.
pub async fn last(conn: &mut PgConnection) -> Result<Option<Seal>> {
    let sql = sqlx::AssertSqlSafe(format!("select {COLUMNS} from audit_seal order by number desc limit 1"));
    Ok(sqlx::query_as(sql).fetch_optional(conn).await?)
}

/// The first that seals a row of this number or a higher one, of those after number `after`.
pub async fn next(conn: &mut PgConnection, after: i64, seq: i64) -> Result<Option<Seal>> {
    let sql = sqlx::AssertSqlSafe(format!(
        "select {COLUMNS} from audit_seal where number > $1 and last_seq >= $2 order by number limit 1"
    ));
    Ok(sqlx::query_as(sql).bind(after).bind(seq).fetch_optional(conn).await?)
}

/// Adds one.
pub async fn insert(tx: &mut Tx, seal: &Seal) -> Result<()> {
    sqlx::query(INSERT)
        .bind(seal.number)
        .bind(seal.first_seq)
        .bind(seal.last_seq)
        .bind(seal.rows)
        .bind(&seal.previous)
        .bind(&seal.digest)
        .bind(&seal.jws)
        .bind(&seal.public_key)
        .bind(&seal.proof)
        .bind(seal.sealed_at)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The highest number of a row that is seen.
pub async fn highest(conn: &mut PgConnection) -> Result<i64> {
    Ok(sqlx::query_scalar(HIGHEST).fetch_one(conn).await?)
}

/// Transactions that are adding rows at this moment.
pub async fn writers(conn: &mut PgConnection) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(WRITERS).fetch_all(conn).await?)
}
