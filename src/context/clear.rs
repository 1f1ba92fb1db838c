//! `POST [base]/$clear-context` (HALO CA:SoFA-2).
//!
//! | situation | answer |
//! |---|---|
//! | done | 200, `Parameters` with `outcome`: how many resources of which types |
//! | parameter missing, repeated, of a wrong type | 400 |
//! | never known, or another PoC's | 404 |
//! | already cleared or expired | 410 |
//!
//! One transaction, all or nothing: context, resources with all versions, tokens, waiting writes. Nobody is notified.

use std::collections::BTreeMap;

use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    access::{Caller, Permit},
    fhir::{
        outcome::{Issue, IssueType, Outcome},
        resource::Resource,
    },
    id,
    interaction::{Engine, Failure, write},
    store::{self, Tx, Wall, audit, context::ContextRow, grant, intent, resource, search_page},
};

/// Clears the context named by the request's `launchID` and returns the answer's JSON text. The permit is the proof
/// that `$clear-context` was authorized.
pub async fn clear(engine: &Engine, caller: &Caller, _: &Permit, request: &Resource) -> Result<String, Failure> {
    let launch_id = launch_id(request)?;
    match clear_once(engine, caller, &launch_id).await {
        // Two contexts that link each other's resources and are cleared at the same moment: Postgres ends one of them.
        Err(Failure::Unavailable(_)) => clear_once(engine, caller, &launch_id).await,
        other => other,
    }
}

async fn clear_once(engine: &Engine, caller: &Caller, launch_id: &str) -> Result<String, Failure> {
    let now = engine.now();
    let mut tx = store::begin_behind(&engine.pool, &Wall::All).await?;
    let context = store::context::lock_for_clear(&mut tx, &id::token_digest(launch_id)).await?;
    let Some(context) = context.filter(|context| context.poc_client == caller.client_id) else {
        return Err(Failure::NotFound);
    };
    if context.cleared_at.is_some() {
        return Err(Failure::Gone);
    }
    let expired = !context.is_alive(now);
    let ended = end(&mut tx, engine, &context, if expired { None } else { Some(caller) }, now).await?;
    tx.commit().await?;
    write::tell_cleared(engine, &ended.intents);
    // Past its time it is swept all the same, but the answer is that of an expired one.
    if expired {
        return Err(Failure::Gone);
    }
    let outcome = Outcome::from(Issue::information(ended.text()));
    let answer = json!({
        "resourceType": "Parameters",
        "parameter": [{"name": "outcome", "resource": outcome.to_json()}],
    });
    Ok(answer.to_string())
}

fn launch_id(request: &Resource) -> Result<String, Failure> {
    let bad = |text: &str, at: &str| Err(Failure::BadRequest(Outcome::error(IssueType::Required, text).at(at)));
    if request.type_name() != "Parameters" {
        return bad("$clear-context takes a Parameters resource", request.type_name());
    }
    let parameters: Vec<_> = request.root().at("parameter");
    let [parameter] = parameters.as_slice() else {
        return bad("expected exactly one parameter, launchID", "Parameters.parameter");
    };
    if parameter.str("name").as_deref() != Some("launchID") {
        return bad("expected the parameter launchID", "Parameters.parameter[0].name");
    }
    match parameter.str("valueString") {
        Some(launch_id) if !launch_id.is_empty() => Ok(launch_id.into_owned()),
        _ => bad("launchID is given as valueString", "Parameters.parameter[0].value"),
    }
}

/// What ended with a context.
pub(super) struct Ended {
    /// Number of resources by type.
    purged: BTreeMap<String, usize>,
    /// Writes that waited for the PoC.
    pub intents: Vec<Uuid>,
}

impl Ended {
    fn text(&self) -> String {
        let total: usize = self.purged.values().sum();
        let by_type: Vec<_> = self.purged.iter().map(|(kind, count)| format!("{kind}: {count}")).collect();
        let list = if by_type.is_empty() { String::new() } else { format!(" ({})", by_type.join(", ")) };
        format!("the context was cleared; {total} resources were deleted{list}")
    }
}

/// Ends a context that this transaction has locked; `caller` is `None` when its time is up.
pub(super) async fn end(
    tx: &mut Tx,
    engine: &Engine,
    context: &ContextRow,
    caller: Option<&Caller>,
    now: OffsetDateTime,
) -> Result<Ended, Failure> {
    store::context::mark_cleared(tx, context.id, now).await?;
    let intents = intent::abandon(tx, context.id).await?;
    let gone = resource::purge(tx, context.id).await?;
    grant::revoke_by_context(tx, context.id, now).await?;
    search_page::forget_context(tx, context.id).await?;
    intent::keep_events(tx, context.id, now + engine.config.events.retention).await?;
    let mut purged = BTreeMap::new();
    for (kind, _) in &gone {
        *purged.entry(kind.clone()).or_insert(0) += 1;
    }
    let ended = Ended { purged, intents };
    let entry = audit::Entry {
        action: if caller.is_some() { "context-clear" } else { "context-expire" },
        outcome: "success",
        context: Some(context.id),
        tenant: context.tenant,
        ..caller.map(Caller::entry).unwrap_or_default()
    };
    let text = ended.text();
    audit::append(tx.conn(), &audit::Entry { detail: Some(&text), patients: context.patient.as_slice(), ..entry }, now)
        .await?;
    let purges: Vec<_> = gone.into_iter().map(|(kind, id)| ("purge", format!("{kind}/{id}"))).collect();
    audit::append_many(tx.conn(), &entry, &purges, now).await?;
    Ok(ended)
}
