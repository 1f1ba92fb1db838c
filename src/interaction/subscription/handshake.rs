//! The handshake: a Subscription in `requested` becomes `active` when its receiver answers with 2xx, else `error` (Backport
//! guide, channels: REST-Hook). There is one attempt; the owner asks for another by an update.

use super::{fail, set_status, spec_of, status_of};
use crate::{
    id,
    interaction::{Engine, Failure},
    store::{
        self, Wall,
        audit::{self, Entry},
        resource::{self, Visible},
        subscription::Row,
    },
    subscription::{
        channel::rest_hook::{self, Target},
        delivery::Delivery,
        header::Headers,
        notification::{self, About},
        status::Status,
    },
};

/// A Subscription that waits for its handshake.
pub(super) struct Handshake {
    pub(super) tenant: i64,
    pub(super) client: String,
    pub(super) id: String,
    /// The version of the resource that asked for it: a later one asks for its own.
    pub(super) version: i64,
}

/// Sends it, and sets the status by its answer.
pub(super) async fn run(engine: Engine, handshake: Handshake) {
    // What fails here is the database: the Subscription stays `requested`, and `resume_handshakes` tries again.
    if let Err(failure) = attempt(&engine, &handshake).await {
        let text = failure.outcome().summary();
        tracing::warn!(subscription = handshake.id, text, "a handshake could not be completed");
    }
}

/// Sends the handshakes that a process which died has left behind. Called at start and then at intervals. Returns how
/// many.
pub async fn resume_handshakes(engine: &Engine) -> Result<usize, Failure> {
    let since = engine.now() - engine.config.delivery.timeout * 2;
    let left = store::subscription::waiting_for_handshake(&mut *engine.reader(&Wall::All).await?, since).await?;
    let count = left.len();
    for (tenant, client, id, version) in left {
        run(engine.clone(), Handshake { tenant, client, id, version }).await;
    }
    Ok(count)
}

async fn attempt(engine: &Engine, handshake: &Handshake) -> Result<(), Failure> {
    let Handshake { tenant, client, id, .. } = handshake;
    let row = store::subscription::find(&mut *engine.pool.acquire().await?, *tenant, client, id).await?;
    let Some(row) = row.filter(|row| status_of(row, engine.now()) == Status::Requested) else { return Ok(()) };
    let delivery = deliver(engine, &row).await?;
    let now = engine.now();
    let mut tx = store::begin_behind(&engine.pool, &Wall::All).await?;
    let row = store::subscription::find_for_update(&mut tx, *tenant, client, id).await?;
    let requested = row.is_some_and(|row| row.status == Status::Requested.as_str());
    let visible = Visible::of(*tenant, None, Some(client.clone()));
    let current = resource::current_for_update(&mut tx, &visible, "Subscription", id).await?;
    if !requested || current.is_none_or(|current| current.version != handshake.version) {
        // Changed, switched off or deleted while the receiver was asked.
        return Ok(());
    }
    let fault = delivery.fault();
    match &fault {
        None => set_status(&mut tx, engine, *tenant, id, Status::Active, None, now).await?,
        Some(reason) => fail(&mut tx, engine, *tenant, id, reason, now).await?,
    }
    let target = format!("Subscription/{id}");
    let entry = Entry {
        action: "notification",
        outcome: if fault.is_none() { "success" } else { "failed" },
        client_id: Some(client),
        tenant: *tenant,
        target: Some(&target),
        detail: Some("handshake"),
        ..Entry::default()
    };
    audit::append(tx.conn(), &entry, now).await?;
    tx.commit().await?;
    Ok(())
}

async fn deliver(engine: &Engine, row: &Row) -> Result<Delivery, Failure> {
    let spec = spec_of(row)?;
    let Some(headers) = Headers::stored(&engine.sealer, row.tenant, &row.id, row.headers.as_deref()) else {
        return Ok(Delivery::NeverSent { reason: "the Subscription's headers cannot be opened".to_owned() });
    };
    let about = About {
        base: &engine.base,
        subscription: &row.id,
        topic: &spec.topic,
        content: spec.content,
        last_event: row.last_event,
        now: engine.now(),
        notification: id::new_uuid(),
    };
    let time = spec.timeout(engine.config.delivery.timeout);
    let target = Target::new(&spec, &headers);
    let body = match notification::in_format(notification::handshake(&about), spec.format(), &engine.limits()) {
        Ok(body) => body,
        Err(not) => return Ok(Delivery::NeverSent { reason: not.to_string() }),
    };
    Ok(rest_hook::send(&engine.outbound, &target, body, time).await)
}
