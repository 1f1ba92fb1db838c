//! Expiry: a context older than `context.ttl` is cleared by the server itself (HALO: shall), with the effect of
//! `$clear-context`, each context once among all replicas, also after a restart.

use super::clear;
use crate::{
    interaction::{Engine, Failure, page, write},
    store::{self, Wall, context, idempotency, intent, search_page},
};

/// Clears every context whose time is up, one transaction each, and forgets what is kept no longer. Returns how many
/// contexts were cleared.
pub async fn sweep(engine: &Engine) -> Result<usize, Failure> {
    let mut cleared = 0;
    while clear_oldest(engine).await? {
        cleared += 1;
    }
    let mut conn = engine.pool.acquire().await?;
    let now = engine.now();
    intent::forget_events(&mut conn, now).await?;
    idempotency::forget(&mut conn, now - super::set::KEPT).await?;
    search_page::forget(&mut conn, now - page::KEPT).await?;
    Ok(cleared)
}

async fn clear_oldest(engine: &Engine) -> Result<bool, Failure> {
    let now = engine.now();
    let mut tx = store::begin_behind(&engine.pool, &Wall::All).await?;
    // Locked rows are skipped: another replica, or a $clear-context, has them.
    let Some(id) = context::expired(&mut tx, now, 1).await?.pop() else { return Ok(false) };
    let Some(context) = context::find(tx.conn(), id).await? else { return Ok(false) };
    let ended = clear::end(&mut tx, engine, &context, None, now).await?;
    tx.commit().await?;
    write::tell_cleared(engine, &ended.intents);
    Ok(true)
}
