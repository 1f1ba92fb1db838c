//! DELIVER, the inward side: who delivers, what goes together, and in which order.
//!
//! The holder of the leases of some Subscriptions takes what has queued up for them, in the order of its staging, sends
//! it, applies it, and goes on until nothing waits. What has queued up goes out together in one notification; a combined
//! notification that is refused is tried one by one, so that one bad change does not fail its neighbours.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use futures_util::{StreamExt, stream::FuturesUnordered};
use uuid::Uuid;

use super::{apply, send::send};
use crate::{
    interaction::Engine,
    store::intent::{Intent, Numbered, Subscriber},
    subscription::{change::Change, delivery::Delivery, notification::Event},
};

/// An intent with everything needed to finish it.
pub(super) struct Loaded {
    pub intent: Intent,
    pub changes: Vec<Change>,
    pub events: Vec<Numbered>,
    /// Taken over from another holder: its bytes may have left before.
    pub resumed: bool,
    /// Its bytes have left, in a notification that was refused as a whole.
    pub sent: bool,
}

impl Loaded {
    /// What one Subscription is told of this intent.
    pub fn events_for<'a>(&'a self, subscription: &'a str) -> impl Iterator<Item = Event<'a>> {
        let own = self.events.iter().filter(move |event| event.subscription == subscription);
        own.filter_map(|event| {
            let change = self.changes.get(usize::try_from(event.ord).ok()?)?;
            Some(Event {
                number: event.number,
                occurred_at: self.intent.created_at,
                type_name: &change.kind,
                id: &change.id,
                version: change.version,
                method: change.method,
                body: change.body.as_deref(),
                withdrawn: false,
            })
        })
    }

    /// The Subscriptions that are told of it.
    pub fn subscriptions(&self) -> BTreeSet<&str> {
        self.events.iter().map(|event| event.subscription.as_str()).collect()
    }
}

/// The Subscriptions that this process delivers to at present.
pub(super) struct Lease {
    pub tenant: i64,
    /// By id, with the epoch under which each was taken.
    pub held: BTreeMap<String, (i64, Subscriber)>,
}

impl Lease {
    /// Subscriptions just taken: their epoch is one more than what was read under the row lock.
    pub fn taken(tenant: i64, subscribers: &[Subscriber]) -> Self {
        let held = subscribers.iter().map(|one| (one.id.clone(), (one.lease_epoch + 1, one.clone())));
        Self { tenant, held: held.collect() }
    }

    /// The ids of all held Subscriptions, sorted.
    pub fn ids(&self) -> Vec<String> {
        self.held.keys().cloned().collect()
    }
}

/// What all told Subscriptions said to one intent.
pub(super) struct Answer {
    pub loaded: Loaded,
    /// By Subscription id.
    pub said: BTreeMap<String, Delivery>,
}

impl Answer {
    /// The Subscriptions that acknowledged it. One is enough to apply.
    pub fn acknowledged(&self) -> Vec<String> {
        let yes = self.said.iter().filter(|(_, said)| matches!(said, Delivery::Acknowledged));
        yes.map(|(id, _)| id.clone()).collect()
    }
}

/// Delivers `first`, then whatever has queued up, until nothing is left; then gives the leases up.
pub(super) async fn drain(engine: Engine, mut lease: Lease, first: Vec<Loaded>) {
    let mut waiting: VecDeque<Vec<Loaded>> = VecDeque::new();
    if !first.is_empty() {
        waiting.push_back(first);
    }
    loop {
        let answers = match waiting.pop_front() {
            Some(batch) => match together(&engine, &lease, batch).await {
                Round::Answered(answers) => answers,
                Round::OneByOne(batch) => {
                    waiting.extend(batch.into_iter().map(|loaded| vec![Loaded { sent: true, ..loaded }]));
                    continue;
                }
            },
            None => Vec::new(),
        };
        match apply::apply(&engine, &mut lease, answers, waiting.is_empty()).await {
            apply::Next::Batch(batch) => waiting.push_back(batch),
            apply::Next::Again if !waiting.is_empty() => {}
            apply::Next::Again | apply::Next::Nothing => return,
        }
    }
}

enum Round {
    Answered(Vec<Answer>),
    OneByOne(Vec<Loaded>),
}

/// Sends one batch to all its Subscriptions in parallel.
async fn together(engine: &Engine, lease: &Lease, batch: Vec<Loaded>) -> Round {
    let said = {
        let batch: Vec<&Loaded> = batch.iter().collect();
        let told: BTreeSet<&str> = batch.iter().flat_map(|loaded| loaded.subscriptions()).collect();
        let sends: FuturesUnordered<_> = told
            .into_iter()
            .filter_map(|id| lease.held.get(id))
            .map(|(_, subscriber)| {
                let batch = &batch;
                async move { (subscriber.id.clone(), send(engine, subscriber, batch).await) }
            })
            .collect();
        sends.collect::<BTreeMap<String, Delivery>>().await
    };
    let refused = said.values().any(|said| matches!(said, Delivery::Refused { .. }));
    let acknowledged = said.values().any(|said| matches!(said, Delivery::Acknowledged));
    if batch.len() > 1 && refused && !acknowledged {
        return Round::OneByOne(batch);
    }
    let answers = batch.into_iter().map(|loaded| {
        let own = loaded.subscriptions();
        let said = said.iter().filter(|(id, _)| own.contains(id.as_str()));
        let said = said.map(|(id, said)| (id.clone(), said.clone())).collect();
        Answer { loaded, said }
    });
    Round::Answered(answers.collect())
}

/// The intents of a batch, for statements.
pub(super) fn intent_ids(batch: &[Loaded]) -> Vec<Uuid> {
    batch.iter().map(|loaded| loaded.intent.id).collect()
}
