//! Attempts to sign in, counted by account and by address.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Result, Tx};

const INSERT: &str = "insert into login_attempt (kind, subject, at) values ('account', $1, $3), ('address', $2, $3)";
const COUNT: &str = "select
  count(*) filter (where kind = 'account' and subject = $1),
  count(*) filter (where kind = 'address' and subject = $2)
  from login_attempt where at > $3 and ((kind = 'account' and subject = $1) or (kind = 'address' and subject = $2))";
const FORGIVE: &str = "delete from login_attempt
  where (kind = 'account' and subject = $1) or (kind = 'address' and subject = $2 and at = $3)";
const SWEEP: &str = "delete from login_attempt where at < $1::timestamptz - interval '1 day'";

/// What is counted when somebody tries to sign in; both are digests.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// Of the account name in lower case, whether or not there is such an account.
    pub account: &'a [u8],
    /// Of the network address.
    pub address: &'a [u8],
    /// When.
    pub at: OffsetDateTime,
}

/// How often was tried since `since`, by account and by address.
pub async fn count(conn: &mut PgConnection, attempt: &Attempt<'_>, since: OffsetDateTime) -> Result<(i64, i64)> {
    Ok(sqlx::query_as(COUNT).bind(attempt.account).bind(attempt.address).bind(since).fetch_one(conn).await?)
}

/// Counts an attempt as failed until [`forgive`] says otherwise.
pub async fn record(tx: &mut Tx, attempt: &Attempt<'_>) -> Result<()> {
    sqlx::query(INSERT).bind(attempt.account).bind(attempt.address).bind(attempt.at).execute(tx.conn()).await?;
    Ok(())
}

/// The attempt succeeded: the account's count starts again, the address loses this one.
pub async fn forgive(tx: &mut Tx, attempt: &Attempt<'_>) -> Result<()> {
    sqlx::query(FORGIVE).bind(attempt.account).bind(attempt.address).bind(attempt.at).execute(tx.conn()).await?;
    Ok(())
}

/// Removes what is too old to be counted.
pub async fn sweep(tx: &mut Tx, now: OffsetDateTime) -> Result<()> {
    sqlx::query(SWEEP).bind(now).execute(tx.conn()).await?;
    Ok(())
}
