//! STAGE: one short transaction makes a write durable as an intent, with its event numbers and locks.

use std::time::Duration;

use time::OffsetDateTime;
use tokio::{sync::oneshot, time::Instant};
use uuid::Uuid;

use super::{End, Resolved, deliver, reason::Reason};
use crate::{
    access::{Caller, LaunchContext},
    config::WithoutSubscriber,
    fhir::outcome::{IssueType, Outcome},
    interaction::{Engine, Failure},
    store::{
        Tx, context,
        intent::{self, Intent, IntentChange, Numbered, Subscriber},
    },
    subscription::{
        change::{Change, Method},
        request::Spec,
        trigger::{self, Subject},
    },
};

/// How often a waiter looks at the store for an end that another replica may bring about.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long after the PoC's time a waiter begins to look when its own process delivers: normally it never has to.
const GRACE: Duration = Duration::from_secs(1);

/// A durable intent: what [`finish`] needs once it is committed.
pub(super) struct Staged {
    intent: Intent,
    told: Told,
    /// Nobody else delivers to these Subscriptions: this request does.
    free: bool,
    /// This process delivers, by this request or another.
    here: bool,
    /// Nothing waits before it.
    at_once: bool,
}

/// The Subscriptions that a launch's changes are told to, locked: the changes of one PoC's launches are staged one after
/// another, in the order of the times that they are given under this lock. A later one that is stored already thus never
/// overtakes an earlier one that nobody sees waiting yet.
pub(super) struct Turn<'a> {
    launch: &'a LaunchContext,
    subscribers: Vec<Subscriber>,
}

impl<'a> Turn<'a> {
    /// Waits for it.
    pub async fn wait(tx: &mut Tx, launch: &'a LaunchContext, now: OffsetDateTime) -> Result<Self, Failure> {
        Ok(Self { launch, subscribers: intent::subscribers(tx, &launch.poc_client, now).await? })
    }
}

/// Makes the resolved changes durable as an intent, in the caller's transaction. `None` when nobody has to be told.
pub(super) async fn stage(
    engine: &Engine,
    caller: &Caller,
    turn: Turn<'_>,
    id: Uuid,
    tx: &mut Tx,
    resolved: &Resolved,
    now: OffsetDateTime,
) -> Result<Option<Staged>, Failure> {
    let Turn { launch, subscribers } = turn;
    if subscribers.is_empty() && engine.config.delivery.without_subscriber == WithoutSubscriber::Refuse {
        let text = "the point-of-care system has no active Subscription, so it cannot be told of this change; \
                    nothing was stored";
        return Err(Failure::Unavailable(Outcome::error(IssueType::Transient, text)));
    }
    let told = told(engine, subscribers, &resolved.changes)?;
    if told.events.is_empty() {
        // The PoC's own filters leave this change out, or the deployment accepts writes without a subscriber.
        return Ok(None);
    }
    let ids = told.ids();
    let free = told.subscribers.iter().all(|subscriber| subscriber.is_free(now));
    // Whoever finds the Subscriptions free delivers; a queue there was left by a process that died, and goes first.
    let at_once = free && !intent::has_queue(tx, launch.tenant, &ids).await?;
    let intent = Intent {
        id,
        tenant: launch.tenant,
        context: launch.id,
        client_id: caller.client_id.clone(),
        user_id: caller.user_id,
        grant_id: caller.grant_id,
        request_id: caller.request_id.clone(),
        address: caller.address.clone(),
        process: engine.process,
        orphaned: false,
        state: if at_once { "sending" } else { "staged" }.to_owned(),
        created_at: now,
        deadline: now + engine.config.delivery.timeout,
    };
    intent::insert(tx, &intent, &intent_changes(&resolved.changes), &told.events, &told.last).await?;
    if free {
        let until = now + engine.config.delivery.lease;
        intent::take_lease(tx, launch.tenant, &ids, engine.process, until).await?;
    }
    let here = free || told.subscribers.iter().all(|subscriber| subscriber.lease_owner == Some(engine.process));
    Ok(Some(Staged { intent, told, free, here, at_once }))
}

/// Commits the intent, sees to its delivery and waits for the end.
pub(super) async fn finish(engine: &Engine, tx: Tx, staged: Staged, changes: Vec<Change>) -> End {
    let Staged { intent, told, free, here, at_once } = staged;
    let (id, context) = (intent.id, intent.context);
    let end = engine.waiters.register(id);
    if let Err(error) = tx.commit().await {
        tracing::error!(%error, "it is not known whether an intent was stored; if so, recovery finishes it");
        engine.waiters.forget(id);
        return Err(open());
    }
    if free {
        let lease = deliver::Lease::taken(intent.tenant, &told.subscribers);
        let loaded = deliver::Loaded { intent, changes, events: told.events, resumed: false, sent: false };
        let first = if at_once { vec![loaded] } else { Vec::new() };
        tokio::spawn(deliver::drain(engine.clone(), lease, first));
    }
    let first_look = if here { engine.config.delivery.timeout + GRACE } else { LOOK_EVERY };
    wait(engine, (id, context), end, first_look).await
}

/// Who is told of what, under which numbers.
struct Told {
    subscribers: Vec<Subscriber>,
    events: Vec<Numbered>,
    /// (Subscription, its new highest number)
    last: Vec<(String, i64)>,
}

impl Told {
    fn ids(&self) -> Vec<String> {
        self.subscribers.iter().map(|subscriber| subscriber.id.clone()).collect()
    }
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

/// Waits for the end of an intent, told by this process or (from `look` on) found in the store.
async fn wait(
    engine: &Engine,
    (intent, context): (Uuid, Uuid),
    mut end: oneshot::Receiver<End>,
    mut look: Duration,
) -> End {
    let give_up = Instant::now() + engine.config.delivery.timeout + engine.config.delivery.lease * 2;
    loop {
        match tokio::time::timeout(look, &mut end).await {
            Ok(Ok(end)) => return end,
            // Nobody here will ever tell.
            Ok(Err(_)) => return Err(open()),
            // The process that delivers is another one, or it stopped before it could tell.
            Err(_) => look = LOOK_EVERY,
        }
        if let Some(elsewhere) = ended_elsewhere(engine, intent, context).await {
            // It may have been told here while the store was looked at: that says more.
            let told = end.try_recv();
            engine.waiters.forget(intent);
            return told.unwrap_or(elsewhere);
        }
        if Instant::now() >= give_up {
            engine.waiters.forget(intent);
            return Err(open());
        }
    }
}

async fn ended_elsewhere(engine: &Engine, intent: Uuid, context: Uuid) -> Option<End> {
    // While the database is away nothing can be known; the next look will tell.
    let mut conn = engine.pool.acquire().await.ok()?;
    if intent::exists(&mut conn, intent).await.ok()? {
        return None;
    }
    let states = intent::states(&mut conn, intent).await.ok()?;
    if states.iter().any(|(state, _)| state == "delivered") {
        return Some(Ok(()));
    }
    // $clear-context may have been called at another replica, which cannot tell this one.
    if !context::find(&mut conn, context).await.ok()?.is_some_and(|context| context.is_alive(engine.now())) {
        return Some(Err(Reason::Cleared.failure()));
    }
    // Numbers that were given back left no row: nothing was sent.
    let reason = states.iter().filter_map(|(_, reason)| Reason::read(reason.as_ref()?)).max();
    Some(Err(reason.unwrap_or(Reason::OutOfReach).failure()))
}

/// Nobody can know yet.
pub(super) fn open() -> Failure {
    let text = "the change was sent to the point-of-care system but could not be completed yet; \
                it will be completed or withdrawn: read before trying again";
    Failure::Unavailable(Outcome::error(IssueType::Transient, text))
}
