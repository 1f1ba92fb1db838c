//! What is special about `Subscription`: how one is accepted, asked whether it listens, shown, and asked for its state.
//!
//! | file | says |
//! |---|---|
//! | [`accept`] | create, update and delete by its owner |
//! | [`handshake`] | `requested` → `active` or `error` |
//! | [`show`] | headers for the owner, masked for everyone else |
//! | [`status`], [`events`] | `$status`, `$events` |

pub(super) mod accept;
mod events;
mod handshake;
mod inputs;
pub(super) mod show;
mod status;

use time::OffsetDateTime;

pub use events::events;
pub use handshake::resume_handshakes;
pub use inputs::inputs;
pub use status::{status, statuses};

use super::{Engine, Failure, read::parsed};
use crate::{
    store::{
        self, Tx, Wall, audit,
        resource::{self, NewVersion, Visible},
        subscription::Row,
    },
    subscription::{document, request::Spec, status::Status},
};

/// Sets the status of a Subscription, in its row and as a new version of the resource. `error` is told by `$status`.
pub async fn set_status(
    tx: &mut Tx,
    engine: &Engine,
    tenant: i64,
    id: &str,
    status: Status,
    error: Option<&str>,
    now: OffsetDateTime,
) -> Result<(), Failure> {
    let set = store::subscription::set_status(tx, tenant, id, status.as_str(), error).await?;
    let Some(client) = set else { return Ok(()) };
    let visible = Visible::of(tenant, None, Some(client));
    let Some(row) = resource::current_for_update(tx, &visible, "Subscription", id).await? else { return Ok(()) };
    let Some(body) = row.body.as_deref() else { return Ok(()) };
    let changed = parsed(engine, &document::stored(&parsed(engine, body)?, status, error))?;
    let version = NewVersion {
        tenant,
        type_name: row.r#type,
        id: row.id,
        version: row.version + 1,
        updated: now,
        method: "PUT",
        context: None,
        poc_client: row.poc_client,
        body: Some(changed.stamped(id, row.version + 1, now)),
        rows: engine.parameters.extract(&changed, id, &engine.base),
    };
    let entry = audit::Entry { tenant, ..audit::Entry::default() };
    let target = format!("Subscription/{id}/_history/{}", version.version);
    let told = resource::Audited { action: "subscription-status", target, patients: Vec::new() };
    let stored = resource::put(tx, &[version], &entry, &[told], now).await?;
    if stored { Ok(()) } else { Err(Failure::Internal) }
}

/// Puts a Subscription in `error`: only its owner re-activates it (Backport guide, errors).
pub async fn fail(
    tx: &mut Tx,
    engine: &Engine,
    tenant: i64,
    id: &str,
    reason: &str,
    now: OffsetDateTime,
) -> Result<(), Failure> {
    tracing::warn!(tenant, subscription = id, reason, "a Subscription goes to error");
    set_status(tx, engine, tenant, id, Status::Error, Some(reason), now).await
}

/// Switches off what is past its `end`. Called at intervals; sending stops at the `end` itself. Returns how many.
pub async fn switch_off_ended(engine: &Engine) -> Result<usize, Failure> {
    let now = engine.now();
    let ended = store::subscription::ended(&mut *engine.pool.acquire().await?, now).await?;
    for (tenant, id) in &ended {
        let mut tx = store::begin_behind(&engine.pool, &Wall::All).await?;
        set_status(&mut tx, engine, *tenant, id, Status::Off, None, now).await?;
        tx.commit().await?;
    }
    Ok(ended.len())
}

/// The status a Subscription has at this moment: past its `end` it is off, also before somebody wrote that down.
fn status_of(row: &Row, now: OffsetDateTime) -> Status {
    if row.ends_at.is_some_and(|end| end <= now) {
        return Status::Off;
    }
    Status::parse(&row.status).unwrap_or(Status::Off)
}

fn spec_of(row: &Row) -> Result<Spec, Failure> {
    Spec::stored(&row.spec).map_err(|error| {
        tracing::error!(%error, subscription = row.id, "a stored Subscription is not readable");
        Failure::Internal
    })
}
