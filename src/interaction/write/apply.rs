//! APPLY: one short transaction ends the intents that were answered, and picks up what has queued up meanwhile.

use std::collections::BTreeSet;

use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    End,
    deliver::{Answer, Lease, Loaded, intent_ids},
    reason::Reason,
    recover,
    stage::open,
};
use crate::{
    interaction::{Engine, Failure, subscription},
    store::{
        self, Tx, Wall, audit, context, grant,
        intent::{self, Intent},
    },
    subscription::{delivery::Delivery, request::Spec},
};

/// Intents looked at for one round at most.
const LOOK_AHEAD: i64 = 200;

/// What the holder of a lease does next.
pub(super) enum Next {
    /// Deliver these; they are marked as sending.
    Batch(Vec<Loaded>),
    /// Go on with what it holds already.
    Again,
    /// Nothing waits, or the lease is lost: stop.
    Nothing,
}

/// Ends what was answered. With `choose`, picks the next batch or gives the leases up, in the same transaction: whoever
/// stages later finds the Subscriptions free, whoever staged before is in the batch.
///
/// While the database is away everything is left to recovery. A failure that would come again is not: the intents are
/// then ended one by one, and one that cannot be stored even alone is withdrawn, visibly, rather than block the rest.
pub(super) async fn apply(engine: &Engine, lease: &mut Lease, answers: Vec<Answer>, choose: bool) -> Next {
    let failure = match transaction(engine, lease, &answers, choose).await {
        Ok(next) => return next,
        Err(failure) => failure,
    };
    if answers.is_empty() || matches!(failure, Failure::Unavailable(_)) {
        return leave(engine, &answers, &failure);
    }
    for answer in &answers {
        let alone = std::slice::from_ref(answer);
        let ended = match transaction(engine, lease, alone, false).await {
            Err(failure) if !matches!(failure, Failure::Unavailable(_)) => give_up(engine, lease, answer).await,
            other => other,
        };
        match ended {
            Ok(Next::Nothing) => return Next::Nothing,
            Ok(_) => {}
            Err(failure) => return leave(engine, alone, &failure),
        }
    }
    match transaction(engine, lease, &[], choose).await {
        Ok(next) => next,
        Err(failure) => leave(engine, &[], &failure),
    }
}

fn leave(engine: &Engine, answers: &[Answer], failure: &Failure) -> Next {
    tracing::error!(?failure, "APPLY failed; recovery will finish the intents");
    for answer in answers {
        engine.waiters.tell(answer.loaded.intent.id, Err(open()));
    }
    Next::Nothing
}

/// One transaction: ends, and what is next. Requests are told after its commit only. [`Next::Nothing`] when the lease
/// was lost: its new holder finishes.
async fn transaction(engine: &Engine, lease: &mut Lease, answers: &[Answer], choose: bool) -> Result<Next, Failure> {
    let now = engine.now();
    let mut tx = store::begin_behind(&engine.pool, &Wall::All).await?;
    if !still_held(&mut tx, engine, lease).await? {
        tracing::warn!(tenant = lease.tenant, "a lease was lost; its new holder finishes the intents");
        return Ok(Next::Nothing);
    }
    let mut ends: Vec<(Uuid, End)> = Vec::with_capacity(answers.len());
    for answer in answers {
        ends.push((answer.loaded.intent.id, end(&mut tx, engine, answer, now).await?));
    }
    let stuck = answers.iter().any(|answer| answer.acknowledged().is_empty() && recover::must_wait(answer, now));
    let next = if stuck {
        shed(&mut tx, engine, lease, &mut ends).await?;
        Next::Nothing
    } else if choose {
        pick(&mut tx, engine, lease, now, &mut ends).await?
    } else {
        Next::Again
    };
    let own = lease.ids();
    if matches!(next, Next::Nothing) {
        intent::release_lease(&mut tx, lease.tenant, &own, engine.process).await?;
    } else {
        let until = now + engine.config.delivery.lease;
        intent::extend_lease(&mut tx, lease.tenant, &own, engine.process, until).await?;
    }
    tx.commit().await?;
    for (id, end) in ends {
        engine.waiters.tell(id, end);
    }
    Ok(next)
}

/// An intent that cannot be stored: its numbers are withdrawn and its Subscriptions go to `error`, so that the PoC
/// learns of it.
async fn give_up(engine: &Engine, lease: &mut Lease, answer: &Answer) -> Result<Next, Failure> {
    let now = engine.now();
    let intent = &answer.loaded.intent;
    tracing::error!(intent = %intent.id, "an intent cannot be stored and is withdrawn");
    let mut tx = store::begin_behind(&engine.pool, &Wall::All).await?;
    if !still_held(&mut tx, engine, lease).await? {
        return Ok(Next::Nothing);
    }
    drop_sent(&mut tx, answer, &Reason::NotStored).await?;
    for id in answer.said.keys() {
        let reason = "a change that was told could not be stored; it did not happen";
        subscription::fail(&mut tx, engine, intent.tenant, id, reason, now).await?;
    }
    tx.commit().await?;
    engine.waiters.tell(intent.id, Err(Reason::NotStored.failure()));
    Ok(Next::Again)
}

/// Whether no other holder took over meanwhile: then this one must not apply anything. What is known of the held
/// Subscriptions is read anew: their owner may have changed them.
async fn still_held(tx: &mut Tx, engine: &Engine, lease: &mut Lease) -> Result<bool, Failure> {
    let rows = intent::held(tx, lease.tenant, &lease.ids(), engine.process, engine.now()).await?;
    let held = rows.len() == lease.held.len()
        && rows.iter().all(|row| lease.held.get(&row.id).is_some_and(|(epoch, _)| *epoch == row.lease_epoch));
    if held {
        lease.held = rows.into_iter().map(|row| (row.id.clone(), (row.lease_epoch, row))).collect();
    }
    Ok(held)
}

/// Ends one intent: applied, withdrawn, or (after a takeover, while the PoC is away) left for a later try.
async fn end(tx: &mut Tx, engine: &Engine, answer: &Answer, now: OffsetDateTime) -> Result<End, Failure> {
    let intent = &answer.loaded.intent;
    // The order of locks is that of $clear-context: first the context, then its intents.
    let alive = context::lock_alive(tx, intent.context, now).await?;
    if !intent::lock_intent(tx, intent.id).await? {
        return Ok(Err(Reason::Cleared.failure()));
    }
    let acknowledged = answer.acknowledged();
    if acknowledged.is_empty() && recover::must_wait(answer, now) {
        return Ok(Err(open()));
    }
    if acknowledged.is_empty() {
        return Ok(Err(refuse(tx, engine, answer, now).await?));
    }
    if !alive {
        drop_sent(tx, answer, &Reason::Cleared).await?;
        return Ok(Err(Reason::Cleared.failure()));
    }
    // Only what was taken back counts: that a token ran out while the PoC was answering undoes nothing.
    if grant::was_revoked(tx.conn(), intent.grant_id, &intent.client_id, intent.user_id).await? {
        drop_sent(tx, answer, &Reason::Revoked).await?;
        return Ok(Err(Reason::Revoked.failure()));
    }
    super::put(tx, engine, &answer.loaded.changes, &audit_entry(intent), now).await?;
    intent::settle(tx, intent.id, &acknowledged).await?;
    intent::end(tx, intent.id).await?;
    for (id, said) in &answer.said {
        if let Some(reason) = said.fault() {
            subscription::fail(tx, engine, intent.tenant, id, &reason, now).await?;
        }
    }
    Ok(Ok(()))
}

/// The PoC may know these numbers: they stay, and say that nothing happened.
async fn drop_sent(tx: &mut Tx, answer: &Answer, reason: &Reason) -> Result<(), Failure> {
    let told: Vec<_> = answer.said.keys().cloned().collect();
    intent::withdraw(tx, answer.loaded.intent.id, &told, &reason.stored()).await?;
    Ok(intent::end(tx, answer.loaded.intent.id).await?)
}

async fn refuse(tx: &mut Tx, engine: &Engine, answer: &Answer, now: OffsetDateTime) -> Result<Failure, Failure> {
    let reason = reason(answer);
    let intent = &answer.loaded.intent;
    for (id, said) in &answer.said {
        match said {
            Delivery::NeverSent { .. } if !answer.loaded.resumed && !answer.loaded.sent => {
                intent::give_back(tx, intent.tenant, id, intent.id).await?;
            }
            Delivery::Unknown { reason } => {
                subscription::fail(tx, engine, intent.tenant, id, reason, now).await?;
            }
            Delivery::NeverSent { reason } => {
                subscription::fail(tx, engine, intent.tenant, id, reason, now).await?;
            }
            Delivery::Refused { .. } | Delivery::Acknowledged => {}
        }
    }
    audit::append(tx.conn(), &audit_entry(intent), now).await?;
    // What could not be given back is withdrawn.
    drop_sent(tx, answer, &reason).await?;
    Ok(reason.failure())
}

/// Why it was not acknowledged: the gravest answer counts; none, when no Subscription could be asked.
fn reason(answer: &Answer) -> Reason {
    let of = |said: &Delivery| match said {
        Delivery::Acknowledged => None,
        Delivery::NeverSent { .. } => Some(Reason::OutOfReach),
        Delivery::Refused { status, .. } if *status >= 500 => Some(Reason::Failed),
        Delivery::Refused { text, .. } => Some(Reason::Refused(text.clone())),
        Delivery::Unknown { .. } => Some(Reason::Silent),
    };
    answer.said.values().filter_map(of).max().unwrap_or(Reason::OutOfReach)
}

fn audit_entry(intent: &Intent) -> audit::Entry<'_> {
    audit::Entry {
        action: "notification",
        outcome: "failed",
        client_id: Some(&intent.client_id),
        user_id: intent.user_id,
        context: Some(intent.context),
        tenant: intent.tenant,
        request_id: intent.request_id.as_deref(),
        grant_id: Some(intent.grant_id),
        address: intent.address.as_deref(),
        ..audit::Entry::default()
    }
}

/// The next batch, marked as sending; Subscriptions that it needs and that are free are taken as well.
async fn pick(
    tx: &mut Tx,
    engine: &Engine,
    lease: &mut Lease,
    now: OffsetDateTime,
    ends: &mut Vec<(Uuid, End)>,
) -> Result<Next, Failure> {
    loop {
        let before = lease.held.len();
        let batch = gather(tx, engine, lease, now, ends).await?;
        // A Subscription just taken may have an older queue of its own, which goes first.
        if lease.held.len() > before {
            continue;
        }
        if batch.is_empty() {
            return Ok(Next::Nothing);
        }
        intent::mark_sending(tx, &intent_ids(&batch)).await?;
        return Ok(Next::Batch(batch));
    }
}

async fn gather(
    tx: &mut Tx,
    engine: &Engine,
    lease: &mut Lease,
    now: OffsetDateTime,
    ends: &mut Vec<(Uuid, End)>,
) -> Result<Vec<Loaded>, Failure> {
    let mut batch: Vec<Loaded> = Vec::new();
    for id in intent::next(tx, lease.tenant, &lease.ids(), LOOK_AHEAD).await? {
        let Some(loaded) = recover::load(tx, engine, id).await? else { continue };
        if !loaded.resumed && (loaded.intent.orphaned || loaded.intent.deadline < now) {
            ends.push((id, Err(expired(tx, lease, &loaded).await?)));
            continue;
        }
        let missing = loaded.subscriptions().into_iter().any(|id| !lease.held.contains_key(id));
        if missing {
            if batch.is_empty() {
                take_all(tx, engine, lease, &loaded, now).await?;
            }
            break;
        }
        // What another holder may have sent goes alone: with the same numbers and content as then.
        if (loaded.resumed && !batch.is_empty()) || !fits(engine, lease, &batch, &loaded) {
            break;
        }
        let alone = loaded.resumed;
        batch.push(loaded);
        if alone {
            break;
        }
    }
    Ok(batch)
}

/// Behind an intent that waits for an unreachable PoC nothing can be delivered: what was never sent is dropped.
async fn shed(tx: &mut Tx, engine: &Engine, lease: &Lease, ends: &mut Vec<(Uuid, End)>) -> Result<(), Failure> {
    for id in intent::next(tx, lease.tenant, &lease.ids(), LOOK_AHEAD).await? {
        if let Some(loaded) = recover::load(tx, engine, id).await?.filter(|loaded| !loaded.resumed) {
            ends.push((id, Err(expired(tx, lease, &loaded).await?)));
        }
    }
    Ok(())
}

/// It waited too long behind others, or nobody waits for it any more; it was never sent.
async fn expired(tx: &mut Tx, lease: &Lease, loaded: &Loaded) -> Result<Failure, Failure> {
    // Numbers of Subscriptions that another holder has locked are withdrawn, not waited for.
    for id in loaded.subscriptions().into_iter().filter(|id| lease.held.contains_key(*id)) {
        intent::give_back(tx, loaded.intent.tenant, id, loaded.intent.id).await?;
    }
    let told: Vec<_> = loaded.subscriptions().into_iter().map(ToOwned::to_owned).collect();
    intent::withdraw(tx, loaded.intent.id, &told, &Reason::Crowded.stored()).await?;
    intent::end(tx, loaded.intent.id).await?;
    Ok(Reason::Crowded.failure())
}

/// Takes the Subscriptions that an intent needs, if all of them are free.
async fn take_all(
    tx: &mut Tx,
    engine: &Engine,
    lease: &mut Lease,
    loaded: &Loaded,
    now: OffsetDateTime,
) -> Result<(), Failure> {
    let missing: Vec<String> =
        loaded.subscriptions().into_iter().filter(|id| !lease.held.contains_key(*id)).map(ToOwned::to_owned).collect();
    // Rows that others have locked are passed over: waiting for them while holding own ones could be a deadlock.
    let rows = intent::lock_free_subscribers(tx, lease.tenant, &missing, now).await?;
    if rows.len() != missing.len() {
        return Ok(());
    }
    let until = now + engine.config.delivery.lease;
    intent::take_lease(tx, lease.tenant, &missing, engine.process, until).await?;
    lease.held.extend(Lease::taken(lease.tenant, &rows).held);
    Ok(())
}

/// Whether one notification to each Subscription can carry this intent as well.
fn fits(engine: &Engine, lease: &Lease, batch: &[Loaded], more: &Loaded) -> bool {
    let told: BTreeSet<&str> = more.subscriptions();
    batch.is_empty()
        || told.into_iter().all(|id| {
            let most = lease
                .held
                .get(id)
                .and_then(|(_, row)| Spec::stored(&row.spec).ok())
                .map_or(1, |spec| spec.max_count(engine.config.delivery.max_count));
            let count: usize = batch.iter().chain([more]).map(|one| one.events_for(id).count()).sum();
            count <= most
        })
}
