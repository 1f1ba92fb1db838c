//! STAGE: one short transaction makes a write durable as an intent, with its event numbers and locks.

use std::time::Duration;

use time::OffsetDateTime;
use tokio::{sync::oneshot, time::Instant};
use uuid::Uuid;

use super::{Attempt, End, Resolved, deliver};
use crate::{
    access::{Caller, LaunchContext},
    config::WithoutSubscriber,
    fhir::outcome::{IssueType, Outcome},
    id,
    interaction::{Engine, Failure},
    store::{
        Tx,
        intent::{self, Intent, IntentChange, Numbered, Subscriber},
    },
    subscription::{
        change::{Change, Method},
        request::Spec,
        trigger::{self, Subject},
    },
};

/// How often a waiter looks at the store for an end that another replica may have brought about.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Stages the resolved changes, sees to their delivery and waits for the end.
pub(super) async fn stage(
    engine: &Engine,
    caller: &Caller,
    launch: &LaunchContext,
    mut tx: Tx,
    resolved: Resolved,
    now: OffsetDateTime,
) -> Result<Attempt, Failure> {
    let subscribers = intent::subscribers(&mut tx, &launch.poc_client, now).await?;
    if subscribers.is_empty() && engine.config.delivery.without_subscriber == WithoutSubscriber::Refuse {
        let text = "the point-of-care system has no active Subscription, so it cannot be told of this change; \
                    nothing was stored";
        return Err(Failure::Unavailable(Outcome::error(IssueType::Transient, text)));
    }
    let told = told(engine, subscribers, &resolved.changes)?;
    if told.events.is_empty() {
        // Nobody asked to be told of this: the PoC's own filters leave it out.
        if !super::commit(&mut tx, engine, caller, &resolved, now).await? {
            return Ok(Attempt::Locked);
        }
        tx.commit().await?;
        return Ok(Attempt::Done(resolved.written));
    }
    let ids: Vec<String> = told.subscribers.iter().map(|subscriber| subscriber.id.clone()).collect();
    let free = told.subscribers.iter().all(|subscriber| subscriber.is_free(now));
    // Whoever finds the Subscriptions free delivers; a queue there was left by a process that died, and goes first.
    let at_once = free && !intent::has_queue(&mut tx, launch.tenant, &ids).await?;
    let intent = Intent {
        id: id::new_uuid(),
        tenant: launch.tenant,
        context: launch.id,
        client_id: caller.client_id.clone(),
        user_id: caller.user_id,
        grant_id: caller.grant_id,
        request_id: caller.request_id.clone(),
        state: if at_once { "sending" } else { "staged" }.to_owned(),
        created_at: now,
        deadline: now + engine.config.delivery.timeout,
    };
    intent::insert(&mut tx, &intent, &intent_changes(&resolved.changes), &told.events, &told.last).await?;
    for (tenant, keys) in &resolved.keys {
        if !intent::lock(&mut tx, *tenant, keys, Some(intent.id)).await? {
            return Ok(Attempt::Locked);
        }
    }
    if free {
        let until = now + engine.config.delivery.lease;
        intent::take_lease(&mut tx, launch.tenant, &ids, engine.process, until).await?;
    }
    let intent_id = intent.id;
    let end = engine.waiters.register(intent_id);
    if let Err(error) = tx.commit().await {
        engine.waiters.forget(intent_id);
        return Err(error.into());
    }
    if free {
        let lease = deliver::Lease::taken(launch.tenant, &told.subscribers);
        let loaded = deliver::Loaded { intent, changes: resolved.changes, events: told.events, resumed: false };
        let first = if at_once { vec![loaded] } else { Vec::new() };
        tokio::spawn(deliver::drain(engine.clone(), lease, first));
    }
    wait(engine, intent_id, end).await?;
    Ok(Attempt::Done(resolved.written))
}

/// Who is told of what, under which numbers.
struct Told {
    subscribers: Vec<Subscriber>,
    events: Vec<Numbered>,
    /// (Subscription, its new highest number)
    last: Vec<(String, i64)>,
}

fn told(engine: &Engine, subscribers: Vec<Subscriber>, changes: &[Change]) -> Result<Told, Failure> {
    let mut told = Told { subscribers: Vec::new(), events: Vec::new(), last: Vec::new() };
    for subscriber in subscribers {
        let spec = Spec::stored(&subscriber.spec).map_err(|error| {
            tracing::error!(%error, subscription = subscriber.id, "a stored Subscription is not readable");
            Failure::Internal
        })?;
        let mut number = subscriber.last_event;
        for (ord, change) in (0..).zip(changes) {
            if change.method != Method::Delete && trigger::matches(&spec, &Subject::of(change, &engine.base)) {
                number += 1;
                told.events.push(Numbered { subscription: subscriber.id.clone(), number, ord });
            }
        }
        let count = number - subscriber.last_event;
        let most = spec.max_count(engine.config.delivery.max_count);
        if usize::try_from(count).is_ok_and(|count| count > most) {
            // One notification must carry the whole transaction: acknowledged in parts, it could be half a phantom.
            let text =
                format!("this transaction has {count} changes, the point-of-care system takes at most {most} at once");
            return Err(Failure::Unprocessable(Outcome::error(IssueType::TooCostly, text)));
        }
        if count > 0 {
            told.last.push((subscriber.id.clone(), number));
            told.subscribers.push(subscriber);
        }
    }
    Ok(told)
}

fn intent_changes(changes: &[Change]) -> Vec<IntentChange> {
    (0..)
        .zip(changes)
        .map(|(ord, change)| IntentChange {
            ord,
            tenant: change.tenant,
            r#type: change.kind.clone(),
            id: change.id.clone(),
            version: change.version,
            updated: change.updated,
            method: change.method.as_str().to_owned(),
            body: change.body.clone(),
        })
        .collect()
}

/// Waits for the end of an intent, told by this process or found in the store.
async fn wait(engine: &Engine, intent: Uuid, mut end: oneshot::Receiver<End>) -> End {
    let give_up = Instant::now() + engine.config.delivery.timeout + engine.config.delivery.lease * 2;
    loop {
        match tokio::time::timeout(LOOK_EVERY, &mut end).await {
            Ok(Ok(end)) => return end,
            // The process that delivered is another one, or stopped before it could tell.
            Ok(Err(_)) | Err(_) => {}
        }
        if let Some(end) = ended_elsewhere(engine, intent).await {
            engine.waiters.forget(intent);
            return end;
        }
        if Instant::now() >= give_up {
            engine.waiters.forget(intent);
            return Err(open());
        }
    }
}

async fn ended_elsewhere(engine: &Engine, intent: Uuid) -> Option<End> {
    // While the database is away nothing can be known; the next look will tell.
    let mut conn = engine.pool.acquire().await.ok()?;
    if intent::exists(&mut conn, intent).await.ok()? {
        return None;
    }
    let states = intent::states(&mut conn, intent).await.ok()?;
    Some(if states.iter().any(|state| state == "delivered") {
        Ok(())
    } else {
        let text = "the point-of-care system did not take the change; nothing was stored";
        Err(Failure::Unavailable(Outcome::error(IssueType::Transient, text)))
    })
}

/// Nobody can know yet.
pub(super) fn open() -> Failure {
    let text = "the change was sent to the point-of-care system but could not be completed yet; \
                it will be completed or withdrawn: read before trying again";
    Failure::Unavailable(Outcome::error(IssueType::Transient, text))
}
