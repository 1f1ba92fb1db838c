//! What one request saw, noted by whoever saw it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;
use uuid::Uuid;

use super::super::Caller;
use crate::store::audit::Row;

/// The notes of one request; its copies are one trail.
#[derive(Clone, Debug, Default)]
pub struct Trail(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    who: Option<Who>,
    seen: Vec<Seen>,
}

/// Who sent the request.
#[derive(Clone, Debug)]
struct Who {
    client_id: String,
    user_id: Option<Uuid>,
    grant_id: Uuid,
    context: Option<Uuid>,
    tenant: i64,
    /// A token that was good once: its bearer is nobody any more.
    is_ended: bool,
}

/// One thing that was seen, or refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// `read`, `search`, …
    pub action: &'static str,
    /// `success` when empty.
    pub outcome: &'static str,
    /// `Type/id`, or the path of what was listed; empty: the system.
    pub target: String,
    /// The context that what was seen belongs to.
    pub context: Option<Uuid>,
    /// Ids of the patients concerned.
    pub patients: Vec<String>,
    /// See [`super::without_content`].
    pub query: Option<String>,
    /// How many resources or versions.
    pub found: Option<usize>,
    /// Of a refusal, the status.
    pub detail: Option<String>,
}

impl Trail {
    /// The request is this caller's.
    pub(crate) fn is_of(&self, caller: &Caller) {
        self.notes().who = Some(Who {
            client_id: caller.client_id.clone(),
            user_id: caller.user_id,
            grant_id: caller.grant_id,
            context: caller.launch.as_ref().map(|launch| launch.id),
            tenant: caller.tenant,
            is_ended: false,
        });
    }

    /// The request came with a token of this client whose grant has ended.
    pub fn is_of_ended(&self, client_id: &str, grant_id: Uuid) {
        let client_id = client_id.to_owned();
        self.notes().who = Some(Who { client_id, user_id: None, grant_id, context: None, tenant: 0, is_ended: true });
    }

    /// Whether it is known who sent the request, and may.
    pub fn is_known(&self) -> bool {
        self.notes().who.as_ref().is_some_and(|who| !who.is_ended)
    }

    /// The client and grant of a token that has ended.
    pub fn ended(&self) -> Option<(String, Uuid)> {
        let notes = self.notes();
        notes.who.as_ref().filter(|who| who.is_ended).map(|who| (who.client_id.clone(), who.grant_id))
    }

    /// Notes something. The same twice is one: a transaction looks before it writes, and after.
    pub fn note(&self, seen: Seen) {
        let mut notes = self.notes();
        if !notes.seen.contains(&seen) {
            notes.seen.push(seen);
        }
    }

    /// Whether something was noted.
    pub fn is_empty(&self) -> bool {
        self.notes().seen.is_empty()
    }

    /// Takes what was noted out, as rows.
    pub fn rows(&self, at: OffsetDateTime, request_id: Option<&str>, address: Option<&str>) -> Vec<Row> {
        let mut notes = self.notes();
        let seen = std::mem::take(&mut notes.seen);
        let who = notes.who.clone();
        let row = |seen: Seen| Row {
            at,
            action: seen.action,
            outcome: if seen.outcome.is_empty() { "success" } else { seen.outcome },
            client_id: who.as_ref().map(|who| who.client_id.clone()),
            user_id: who.as_ref().and_then(|who| who.user_id),
            context: who.as_ref().and_then(|who| who.context).or(seen.context),
            tenant: who.as_ref().map_or(0, |who| who.tenant),
            target: Some(seen.target).filter(|target| !target.is_empty()),
            request_id: request_id.map(str::to_owned),
            detail: seen.detail,
            patients: seen.patients,
            // A user who picks a patient has no grant yet.
            grant_id: who.as_ref().map(|who| who.grant_id).filter(|grant| !grant.is_nil()),
            address: address.map(str::to_owned),
            query: seen.query,
            found: seen.found.and_then(|found| i32::try_from(found).ok()),
        };
        seen.into_iter().map(row).collect()
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
