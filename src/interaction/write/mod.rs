//! The one write path: REST, batch, transaction and `$set-context` all end here.
//!
//! ```text
//! app ──POST──▶ 1 authorize, parse                       (before this module; no connection taken)
//!               2 STAGE    resolve to final changes, lock their keys, store the intent, number its events ── COMMIT
//!               3 DELIVER  notification to the PoC's active Subscriptions; no connection held
//!               4 APPLY    versions, search values, audit; event = delivered; intent and locks gone ── COMMIT
//! app ◀──201── 5 answer
//! ```
//!
//! A change carries the time at which everything else about it was decided, under the locks of its keys and, of a launch,
//! of its PoC's Subscriptions: times rise in the order of the versions of a resource, and in that of staging.
//!
//! Creates and updates by an app in a launch take this path ([`stage`], [`deliver`], [`apply`]); everything else commits
//! in one ordinary transaction ([`commit`]). A killed process leaves intents behind, which [`recover`] finishes.

mod apply;
mod deliver;
mod reason;
mod recover;
mod references;
mod resolve;
mod send;
mod stage;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use time::OffsetDateTime;
use tokio::{sync::oneshot, time::Instant};
use uuid::Uuid;

use super::{Engine, Failure, Stored, condition::Condition, read, subscription, validate::Verdict};
use crate::{
    access::{
        Caller, Permit,
        audit::{Patients, Seen},
    },
    fhir::{
        outcome::{Issue, IssueType, Outcome},
        resource::Resource,
    },
    id,
    store::{
        self, Tx, audit, intent,
        resource::{Audited, NewVersion},
    },
    subscription::change::{Change, Method},
};

pub use recover::recover;
pub use resolve::{Resolved, check_change, check_version, located, resolve};

/// One write as it was asked for.
#[derive(Clone, Debug)]
pub enum Op {
    /// create, conditional or not. What the condition finds is the answer; with `only_new` it overtakes the write.
    Create { resource: Resource, condition: Option<Box<Condition>>, only_new: bool },
    /// update, or update-as-create.
    Update { id: String, resource: Resource, expected: Option<Expected> },
    /// delete.
    Delete { kind: String, id: String, expected: Option<Expected> },
    /// A conditional delete that found nothing.
    Nothing,
}

/// What has to be stored for an update or delete to happen (FHIR R4 http.html#concurrency).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// `If-Match: W/"3"`: this version.
    Version(i64),
    /// `If-None-Match: *`: nothing, or nothing any more.
    Nothing,
    /// This version, on which the new content was decided: else [`Failure::Overtaken`].
    Seen(i64),
    /// An id that nothing has: else 409 (a conditional update that matched nothing).
    Unused,
}

/// One write with its leave, and where it stands in the request.
#[derive(Clone, Debug)]
pub struct Planned {
    pub permit: Permit,
    pub op: Op,
    /// The Bundle entry's `fullUrl`: references to it are rewritten.
    pub full_url: Option<String>,
    /// FHIRPath of the entry, for issues: `Bundle.entry[2]`.
    pub at: Option<String>,
    /// Its conditional references, by their text.
    pub lookups: BTreeMap<String, Condition>,
}

impl Planned {
    /// A write that is no Bundle entry.
    pub const fn alone(permit: Permit, op: Op) -> Self {
        Self { permit, op, full_url: None, at: None, lookups: BTreeMap::new() }
    }
}

/// What became of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A new resource.
    Created,
    /// A new version.
    Updated,
    /// A conditional create found this one.
    Found,
    /// Deleted now, or not there before.
    Deleted,
}

/// The result of one write.
#[derive(Clone, Debug)]
pub struct Written {
    pub fate: Fate,
    /// The stored version; `None` after a delete.
    pub stored: Option<Stored>,
    /// The tenant of the stored version.
    pub tenant: i64,
    /// What the client should know although the write succeeded.
    pub advice: Vec<Issue>,
    /// Whether the caller may see what is stored: leave to write alone shows nothing.
    pub is_shown: bool,
}

impl Written {
    /// Shown to nobody yet.
    fn of(fate: Fate, stored: Option<Stored>, tenant: i64) -> Self {
        Self { fate, stored, tenant, advice: Vec::new(), is_shown: false }
    }

    /// What happened, for people, and the advice.
    pub fn outcome(&self) -> Outcome {
        let text = match self.fate {
            Fate::Created => "created",
            Fate::Updated => "updated",
            Fate::Found => "a matching resource existed already; nothing was created",
            Fate::Deleted => "deleted",
        };
        Outcome::from(Issue::information(text)).followed_by(self.advice.clone())
    }
}

/// Does one write.
pub async fn one(engine: &Engine, caller: &Caller, planned: Planned, verdict: Verdict) -> Result<Written, Failure> {
    write(engine, caller, vec![planned], verdict).await?.pop().ok_or(Failure::Internal)
}

/// Does all writes or none. The work goes on in a task of its own when the client hangs up: a write that the PoC may
/// have seen must be finished. `verdict` says that the validator has seen all of them.
pub async fn write(
    engine: &Engine,
    caller: &Caller,
    planned: Vec<Planned>,
    verdict: Verdict,
) -> Result<Vec<Written>, Failure> {
    let (own_engine, own_caller) = (engine.clone(), caller.clone());
    let task = tokio::spawn(async move { write_to_the_end(&own_engine, &own_caller, &planned).await });
    let mut written = task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a write ended without a result");
        Err(Failure::Internal)
    })?;
    for (written, advice) in written.iter_mut().zip(verdict.advice) {
        written.advice.extend(advice);
    }
    for one in &mut written {
        let tenant = one.tenant;
        one.is_shown = one.stored.as_ref().is_some_and(|stored| read::may_see(engine, caller, tenant, stored));
        if one.fate == Fate::Found
            && let Some(stored) = &one.stored
        {
            let mut patients = Patients::default();
            patients.of(&stored.kind, &stored.id, &stored.body, &engine.base);
            let target = format!("{}/{}", stored.kind, stored.id);
            caller.trail.note(Seen { action: "read", target, patients: patients.into(), ..Seen::default() });
        }
    }
    Ok(written)
}

async fn write_to_the_end(engine: &Engine, caller: &Caller, planned: &[Planned]) -> Result<Vec<Written>, Failure> {
    let mut patience = Patience::new(engine);
    loop {
        match attempt(engine, caller, planned).await? {
            Attempt::Done(written) => return Ok(written),
            Attempt::Locked => patience.wait(engine).await?,
        }
    }
}

/// Waiting for a key that another write holds, up to `delivery.lock_wait`.
pub struct Patience(Instant);

impl Patience {
    /// Begins to count.
    pub fn new(engine: &Engine) -> Self {
        Self(Instant::now() + engine.config.delivery.lock_wait)
    }

    /// Waits until it is worth another try; 409 when the time is up.
    pub async fn wait(&mut self, engine: &Engine) -> Result<(), Failure> {
        if Instant::now() >= self.0 {
            let text = "another write of the same resource is waiting for the point-of-care system; try again";
            return Err(Failure::Conflict(Outcome::error(IssueType::LockError, text)));
        }
        // The holder may be any replica, so its end is looked for, not only listened for.
        engine.waiters.any_end(Duration::from_millis(50)).await;
        Ok(())
    }
}

/// Tells waiting requests that their intents were ended by `$clear-context` or expiry.
pub fn tell_cleared(engine: &Engine, intents: &[Uuid]) {
    for intent in intents {
        engine.waiters.tell(*intent, Err(reason::Reason::Cleared.failure()));
    }
}

enum Attempt {
    Done(Vec<Written>),
    Locked,
}

async fn attempt(engine: &Engine, caller: &Caller, planned: &[Planned]) -> Result<Attempt, Failure> {
    let begun = engine.now();
    let keys = Keys::of(planned)?;
    let mut tx = store::begin_behind(&engine.pool, &caller.wall()).await?;
    let intent = caller.launch.as_ref().map(|_| id::new_uuid());
    if let Some(launch) = &caller.launch
        && !store::context::lock_alive(&mut tx, launch.id, begun).await?
    {
        return Err(Failure::Ended);
    }
    if !keys.lock(&mut tx, intent).await? {
        // Whether a key is held may be told only of what this caller may see.
        look_first(&mut tx, engine, planned).await?;
        return Ok(Attempt::Locked);
    }
    let (planned, mut accepted) = subscription::accept::accept(&mut tx, engine, planned, begun).await?;
    let prepared = resolve::prepare(&mut tx, engine, &planned, begun).await?;
    let turn = match caller.launch.as_ref().filter(|_| prepared.brings_content()) {
        Some(launch) => Some(stage::Turn::wait(&mut tx, launch, begun).await?),
        None => None,
    };
    // Of two writes of one resource, and of two of one PoC's launches, the later one has the later time.
    let now = engine.now();
    let mut resolved = prepared.at(engine, now)?;
    if let (Some(turn), Some(intent)) = (turn, intent) {
        let staged = stage::stage(engine, caller, turn, intent, &mut tx, &resolved, now).await?;
        if let Some(staged) = staged {
            stage::finish(engine, tx, staged, resolved.changes).await?;
            return Ok(Attempt::Done(resolved.written));
        }
    }
    commit(&mut tx, engine, caller, &resolved, &keys, now).await?;
    accepted.record(&mut tx, engine, &planned, &mut resolved.written, now).await?;
    tx.commit().await?;
    accepted.begin(engine);
    Ok(Attempt::Done(resolved.written))
}

/// Answers at once what does not depend on the holder of the keys: a resource that is not there for this caller.
async fn look_first(tx: &mut Tx, engine: &Engine, planned: &[Planned]) -> Result<(), Failure> {
    for plan in planned {
        let (kind, id) = match &plan.op {
            Op::Create { .. } | Op::Nothing => continue,
            Op::Update { id, resource, .. } => (resource.type_name(), id),
            Op::Delete { kind, id, .. } => (kind.as_str(), id),
        };
        if store::resource::current(tx.conn(), plan.permit.visible(), kind, id).await?.is_none() {
            // Its conditional references may lead to what the others make.
            let alone = Planned { lookups: BTreeMap::new(), ..plan.clone() };
            resolve(tx, engine, &[alone], engine.now()).await?;
        }
    }
    Ok(())
}

/// Writes resolved changes in the caller's transaction, which the caller commits, and frees their keys.
pub async fn commit(
    tx: &mut Tx,
    engine: &Engine,
    caller: &Caller,
    resolved: &Resolved,
    keys: &Keys,
    now: OffsetDateTime,
) -> Result<(), Failure> {
    let first = resolved.changes.first();
    let entry = audit::Entry {
        context: caller.launch.as_ref().map(|launch| launch.id).or(first.and_then(|change| change.context)),
        tenant: first.map_or(0, |change| change.tenant),
        ..caller.entry()
    };
    put(tx, engine, &resolved.changes, &entry, now).await?;
    keys.unlock(tx).await?;
    tracing::debug!(changes = resolved.changes.len(), process = %engine.process, "committed");
    Ok(())
}

/// What the writes of one request fight for: `Type/id`, or the condition of a conditional create. Held from before the
/// stored state is looked at until the end, so that two writers never both win.
pub struct Keys(BTreeMap<i64, BTreeSet<String>>);

impl Keys {
    /// The keys of planned writes; 400 when one stands twice (http.html#trules: one identity, once).
    pub fn of(planned: &[Planned]) -> Result<Self, Failure> {
        let mut keys: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
        for plan in planned {
            let key = match &plan.op {
                Op::Create { condition: None, .. } | Op::Nothing => continue,
                // Equal conditions fight where they look at the same data: within one launch, or one PoC.
                Op::Create { condition: Some(condition), .. } => {
                    let visible = plan.permit.visible();
                    let launch = visible.context.map(|context| context.to_string());
                    let among = launch.or_else(|| visible.poc_client.clone()).unwrap_or_default();
                    format!("{among} {}", condition.lock_key())
                }
                Op::Update { id, resource, .. } => format!("{}/{id}", resource.type_name()),
                Op::Delete { kind, id, .. } => format!("{kind}/{id}"),
            };
            if !keys.entry(plan.permit.owner().tenant).or_default().insert(key) {
                let outcome = Outcome::error(IssueType::Duplicate, "the same resource is written twice in one request");
                return Err(Failure::BadRequest(outcome.at(plan.at.clone().unwrap_or_default())));
            }
        }
        Ok(Self(keys))
    }

    /// Takes all keys, in a fixed order; `false` when one is held: the transaction must be rolled back.
    pub async fn lock(&self, tx: &mut Tx, intent: Option<Uuid>) -> Result<bool, Failure> {
        for (tenant, keys) in &self.0 {
            let keys: Vec<_> = keys.iter().cloned().collect();
            if !intent::lock(tx, *tenant, &keys, intent).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn unlock(&self, tx: &mut Tx) -> Result<(), Failure> {
        for (tenant, keys) in &self.0 {
            intent::unlock(tx, *tenant, &keys.iter().cloned().collect::<Vec<_>>()).await?;
        }
        Ok(())
    }
}

/// The only place where versions are stored, with what the index holds of them and their audit rows: one round trip.
async fn put(
    tx: &mut Tx,
    engine: &Engine,
    changes: &[Change],
    entry: &audit::Entry<'_>,
    now: OffsetDateTime,
) -> Result<(), Failure> {
    if changes.is_empty() {
        return Ok(());
    }
    let versions: Vec<_> = changes.iter().map(|change| new_version(engine, change)).collect();
    if store::resource::put(tx, &versions, entry, &audited(engine, changes), now).await? {
        Ok(())
    } else {
        Err(Failure::Conflict(Outcome::error(IssueType::Conflict, "another write was first; read and try again")))
    }
}

fn new_version(engine: &Engine, change: &Change) -> NewVersion {
    let rows = |after| engine.parameters.extract(after, &change.id, &engine.base);
    NewVersion {
        tenant: change.tenant,
        type_name: change.kind.clone(),
        id: change.id.clone(),
        version: change.version,
        updated: change.updated,
        method: change.method.as_str(),
        context: change.context,
        poc_client: change.poc_client.clone(),
        body: change.body.clone(),
        rows: change.after.as_ref().map(rows).unwrap_or_default(),
    }
}

/// What the audit trail is told of each change. A resource that moves from one patient to another concerns both.
fn audited(engine: &Engine, changes: &[Change]) -> Vec<Audited> {
    let of = |change: &Change| {
        let action = match change.method {
            Method::Post => "create",
            Method::Put => "update",
            Method::Delete => "delete",
        };
        let mut patients = Patients::default();
        let bodies = change.before.iter().map(Resource::text).chain(change.after.iter().map(Resource::text));
        bodies.for_each(|body| patients.of(&change.kind, &change.id, body, &engine.base));
        let target = format!("{}/{}/_history/{}", change.kind, change.id, change.version);
        Audited { action, target, patients: patients.into() }
    };
    changes.iter().map(of).collect()
}

/// How an intent ended.
pub(crate) type End = Result<(), Failure>;

/// Requests of this process that wait for the end of an intent.
#[derive(Default)]
pub(crate) struct Waiters {
    waiting: Mutex<HashMap<Uuid, oneshot::Sender<End>>>,
    ended: tokio::sync::Notify,
}

impl Waiters {
    fn register(&self, intent: Uuid) -> oneshot::Receiver<End> {
        let (tell, end) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(intent, tell);
        end
    }

    fn forget(&self, intent: Uuid) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&intent);
    }

    /// Tells the waiting request, if it is one of this process, and everyone who waits for a lock.
    fn tell(&self, intent: Uuid, end: End) {
        if let Some(waiter) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&intent) {
            // The request may have been dropped with its task at shutdown; nobody is left to tell.
            let _ = waiter.send(end);
        }
        self.ended.notify_waiters();
    }

    /// Waits until some intent ends here, or for `at_most`.
    async fn any_end(&self, at_most: Duration) {
        let _ = tokio::time::timeout(at_most, self.ended.notified()).await;
    }
}
