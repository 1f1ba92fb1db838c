//! Second factors: shared secrets for one-time passwords, and recovery codes.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Result, Tx};

const INSERT: &str =
    "insert into second_factor (user_id, sealed_secret, confirmed_at, last_step) values ($1, $2, $3, $4)
  on conflict do nothing";
const FIND: &str = "select sealed_secret from second_factor where user_id = $1";
// Of two that come with the same password, one gets it.
const USE_STEP: &str = "update second_factor set last_step = $2 where user_id = $1 and last_step < $2";
const DELETE: &str = "delete from second_factor where user_id = $1";
const DELETE_CODES: &str = "delete from recovery_code where user_id = $1";
const INSERT_CODES: &str = "insert into recovery_code (user_id, digest) select $1, * from unnest($2::bytea[])";
const USE_CODE: &str = "update recovery_code set used_at = $3 where user_id = $1 and digest = $2 and used_at is null";
const LEFT: &str = "select count(*) from recovery_code where user_id = $1 and used_at is null";

/// A person's second factor as it is made.
#[derive(Clone, Copy, Debug)]
pub struct NewFactor<'a> {
    pub user: Uuid,
    /// Sealed for [`purpose`].
    pub sealed_secret: &'a [u8],
    /// The time step of the one-time password that confirmed it.
    pub step: i64,
    /// SHA-256 of each recovery code.
    pub codes: &'a [Vec<u8>],
}

/// What a secret is sealed for.
pub fn purpose(user: Uuid) -> String {
    format!("second_factor.{user}")
}

/// Stores a second factor with its recovery codes; `false` when the person has one already.
pub async fn insert(tx: &mut Tx, factor: &NewFactor<'_>, now: OffsetDateTime) -> Result<bool> {
    let query = sqlx::query(INSERT).bind(factor.user).bind(factor.sealed_secret).bind(now).bind(factor.step);
    if query.execute(tx.conn()).await?.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query(DELETE_CODES).bind(factor.user).execute(tx.conn()).await?;
    sqlx::query(INSERT_CODES).bind(factor.user).bind(factor.codes).execute(tx.conn()).await?;
    Ok(true)
}

/// The sealed secret of a person.
pub async fn find(conn: &mut PgConnection, user: Uuid) -> Result<Option<Vec<u8>>> {
    Ok(sqlx::query_scalar(FIND).bind(user).fetch_optional(conn).await?)
}

/// Takes the one-time password of a time step; `false` when that step, or a later one, was taken before.
pub async fn use_step(tx: &mut Tx, user: Uuid, step: i64) -> Result<bool> {
    Ok(sqlx::query(USE_STEP).bind(user).bind(step).execute(tx.conn()).await?.rows_affected() == 1)
}

/// Takes a recovery code; `false` when there is none like it, or it was used before.
pub async fn use_code(tx: &mut Tx, user: Uuid, digest: &[u8], now: OffsetDateTime) -> Result<bool> {
    Ok(sqlx::query(USE_CODE).bind(user).bind(digest).bind(now).execute(tx.conn()).await?.rows_affected() == 1)
}

/// How many recovery codes are left.
pub async fn codes_left(conn: &mut PgConnection, user: Uuid) -> Result<i64> {
    Ok(sqlx::query_scalar(LEFT).bind(user).fetch_one(conn).await?)
}

/// Forgets a person's second factor; `false` when there was none.
pub async fn delete(tx: &mut Tx, user: Uuid) -> Result<bool> {
    sqlx::query(DELETE_CODES).bind(user).execute(tx.conn()).await?;
    Ok(sqlx::query(DELETE).bind(user).execute(tx.conn()).await?.rows_affected() == 1)
}
