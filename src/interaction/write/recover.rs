//! Recovery: what a process that died left behind is finished by whoever finds it.
//!
//! An intent that was never sent is dropped when its time is up. One that may have been sent is finished forward:
//! delivered again with the same number and content, applied on 2xx, withdrawn on refusal. While the PoC is away it
//! waits, for [`WAIT`] at most.

use time::OffsetDateTime;
use uuid::Uuid;

use super::deliver::{self, Answer, Lease, Loaded};
use crate::{
    interaction::{Engine, Failure, read::parsed},
    store::{self, Tx, context, intent},
    subscription::{
        change::{Change, Method},
        delivery::Delivery,
    },
};

/// How long an intent that may have been sent waits for a PoC that cannot be reached. After that its number is
/// withdrawn and the Subscription goes to `error`: the visible exception of guarantee G4.
pub const WAIT: time::Duration = time::Duration::minutes(10);

/// Finishes the intents that nobody delivers. Called at start and then at intervals. Returns how many Subscriptions
/// were taken over.
pub async fn recover(engine: &Engine) -> Result<usize, Failure> {
    let orphans = {
        let mut conn = engine.pool.acquire().await?;
        intent::orphans(&mut conn, engine.now(), engine.process).await?
    };
    let mut taken = 0;
    for (tenant, id) in orphans {
        if let Some(lease) = take(engine, tenant, id).await? {
            taken += 1;
            // One PoC that is away or busy does not keep the others waiting.
            tokio::spawn(deliver::drain(engine.clone(), lease, Vec::new()));
        }
    }
    Ok(taken)
}

async fn take(engine: &Engine, tenant: i64, id: String) -> Result<Option<Lease>, Failure> {
    let now = engine.now();
    let mut tx = store::begin(&engine.pool).await?;
    let Some(row) = intent::lock_orphan(&mut tx, tenant, &id, now, engine.process).await? else { return Ok(None) };
    let until = now + engine.config.delivery.lease;
    intent::take_lease(&mut tx, tenant, &[id], engine.process, until).await?;
    tx.commit().await?;
    Ok(Some(Lease::taken(tenant, &[row])))
}

/// An intent out of the store, ready to be delivered.
pub(super) async fn load(tx: &mut Tx, engine: &Engine, id: Uuid) -> Result<Option<Loaded>, Failure> {
    let Some((intent, rows, events)) = intent::load(tx.conn(), id, engine.process).await? else { return Ok(None) };
    let poc_client = context::find(tx.conn(), intent.context).await?.map(|context| context.poc_client);
    let mut changes = Vec::with_capacity(rows.len());
    for row in rows {
        changes.push(Change {
            tenant: row.tenant,
            context: Some(intent.context),
            poc_client: poc_client.clone(),
            kind: row.r#type,
            id: row.id,
            version: row.version,
            updated: row.updated,
            method: Method::parse(&row.method),
            after: row.body.as_deref().map(|body| parsed(engine, body)).transpose()?,
            body: row.body,
            before: None,
        });
    }
    let resumed = intent.state == "sending";
    Ok(Some(Loaded { intent, changes, events, resumed, sent: false }))
}

/// Whether a taken-over intent must go on waiting: its first delivery may have arrived, and the PoC cannot be asked.
pub(super) fn must_wait(answer: &Answer, now: OffsetDateTime) -> bool {
    let out_of_reach =
        answer.said.values().all(|said| matches!(said, Delivery::NeverSent { .. } | Delivery::Unknown { .. }));
    answer.loaded.resumed && out_of_reach && now < answer.loaded.intent.created_at + WAIT
}
