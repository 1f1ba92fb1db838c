//! Removing what can never be used again: forms, sessions, attempts, assertions, leave to register, keys of no client, grants with their codes and tokens.

use sqlx::PgPool;
use time::{Duration, OffsetDateTime};

use crate::store;

/// Ended grants are kept for a day, so that a replay soon after is still recognised as one.
const KEEP_GRANTS: Duration = Duration::days(1);

/// Sweeps once; gives the number of grants removed.
pub async fn sweep(pool: &PgPool, now: OffsetDateTime) -> store::Result<usize> {
    let mut tx = store::begin(pool).await?;
    store::flow::sweep(&mut tx, now).await?;
    store::login::sweep(&mut tx, now).await?;
    store::attempt::sweep(&mut tx, now).await?;
    store::known_browser::sweep(&mut tx, now).await?;
    store::assertion::sweep(&mut tx, now).await?;
    store::initial_token::sweep(&mut tx, now).await?;
    store::upstream::sweep(&mut tx, now).await?;
    store::client_keys::forget_unused(&mut tx).await?;
    let grants = store::grant::sweep(&mut tx, now - KEEP_GRANTS).await?;
    tx.commit().await?;
    Ok(usize::try_from(grants).unwrap_or(usize::MAX))
}
