//! What the server itself does to Subscriptions.

use time::OffsetDateTime;

use super::{Engine, Failure, read::parsed};
use crate::{
    fhir::json::quote,
    store::{
        Tx,
        resource::{self, NewVersion, Visible},
        subscription as store,
    },
    subscription::status::Status,
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
    let Some(client) = store::set_status(tx, tenant, id, status.as_str(), error).await? else { return Ok(()) };
    let visible = Visible { tenant, context: None, poc_client: Some(client) };
    let Some(row) = resource::current_for_update(tx, &visible, "Subscription", id).await? else { return Ok(()) };
    let Some(body) = row.body.as_deref() else { return Ok(()) };
    let set = [("status", Some(quote(status.as_str()))), ("error", error.map(quote))];
    let changed = parsed(engine, &parsed(engine, body)?.with_members(&set))?;
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
        identifiers: Vec::new(),
    };
    if resource::put(tx, &[version]).await? { Ok(()) } else { Err(Failure::Internal) }
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
