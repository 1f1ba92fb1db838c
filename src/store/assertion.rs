//! Client assertions already seen: none is good twice.

use time::OffsetDateTime;

use super::{Result, Tx};

const SEE: &str = "insert into assertion_seen (client_id, jti_digest, expires_at) values ($1, $2, $3)
  on conflict (client_id, jti_digest) do nothing";
const SWEEP: &str = "delete from assertion_seen where expires_at < $1";

/// Notes an assertion's `jti`. `false` when this client has used it before: a replay.
pub async fn see(tx: &mut Tx, client_id: &str, jti_digest: &[u8], expires_at: OffsetDateTime) -> Result<bool> {
    let done = sqlx::query(SEE).bind(client_id).bind(jti_digest).bind(expires_at).execute(tx.conn()).await?;
    Ok(done.rows_affected() == 1)
}

/// Removes what has expired.
pub async fn sweep(tx: &mut Tx, now: OffsetDateTime) -> Result<()> {
    sqlx::query(SWEEP).bind(now).execute(tx.conn()).await?;
    Ok(())
}
