//! Permission: the one place that decides whether an act may happen and what it may touch.
//!
//! | operation | needs |
//! |---|---|
//! | `$set-context`, `$clear-context` | HALO's scope for it, and a point-of-care system |
//! | `Patient/[id]/$everything` | `r` on Patient for that Patient, then a search of its compartment: `s` for each type found, `r` for each type brought along |
//! | `$meta` of a resource or version | `r` |
//! | `$meta-add`, `$meta-delete` | `u`; what is answered of the new version needs `r` or `s` |
//! | `$validate` of what is sent | any token: it tells nothing that was not sent |
//! | `$validate` of a stored resource | `r`; with `mode=delete` also `d` |
//! | `$status`, `$events` of a Subscription | `r` on Subscription, and the PoC that owns it |
//! | any other | is not there: 404 |
//!
//! A conditional interaction searches, so it needs `s` beside the letter of what it does: without, whether something
//! matched would be told to somebody who may not look.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    Caller, Rules,
    audit::{AUDIT_EVENT, Trail},
};
use crate::{
    fhir::{
        outcome::{IssueType, Outcome},
        resource::Resource,
        search::{Candidate, Limit, Share, Whose},
    },
    smart::scope::{Letter, Level},
    store::{Wall, client::Role, resource::Visible},
};

/// What a caller wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act<'a> {
    /// read, vread or history of one resource.
    Read { kind: &'a str, id: &'a str },
    /// create; a conditional create also searches.
    Create { kind: &'a str, conditional: bool },
    /// Looking resources up by a query: conditional references.
    Search { kind: &'a str },
    /// update, or the status operations of a Subscription by its owner.
    Update { kind: &'a str },
    /// delete.
    Delete { kind: &'a str },
    /// `$set-context`
    SetContext,
    /// `$clear-context`
    ClearContext,
}

/// Why an act is refused: status 403.
#[derive(Clone, Debug)]
pub struct Denied(pub Outcome);

/// Leave to do one act. Only [`authorize`] makes one, and every interaction demands one.
#[derive(Clone, Debug)]
pub struct Permit {
    visible: Visible,
    wall: Wall,
    limit: Limit,
    /// Of an update or delete: what may be read or found, and so is no secret where it may not be changed.
    known: Option<Limit>,
    rules: Option<Arc<Rules>>,
    owner: Owner,
    trail: Trail,
}

/// To whom a new resource belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// 0 = shared data.
    pub tenant: i64,
    /// The launch context, for what `$set-context` and apps create.
    pub context: Option<Uuid>,
    /// The PoC whose data it is.
    pub poc_client: Option<String>,
}

impl Permit {
    /// Where what is shown under this leave is noted.
    pub const fn trail(&self) -> &Trail {
        &self.trail
    }

    /// The rows that may be looked at.
    pub const fn visible(&self) -> &Visible {
        &self.visible
    }

    /// Behind which wall to look at them: the caller's own, which no decision made here moves.
    pub const fn wall(&self) -> &Wall {
        &self.wall
    }

    /// To whom a resource created under this permit belongs.
    pub const fn owner(&self) -> &Owner {
        &self.owner
    }

    /// What of the visible resources may be touched.
    pub const fn limit(&self) -> &Limit {
        &self.limit
    }

    /// Whether [`Permit::shows`] looks at content at all, of rows of this tenant.
    pub fn is_limited(&self, tenant: i64) -> bool {
        self.limit.is_limited(tenant == 0)
    }

    /// Whether a resource of `tenant` that is visible may also be shown: under `patient/` scopes only the patient's
    /// compartment and types that belong to no patient (Practitioner, Organization, Location), under granular scopes what
    /// fulfils their conditions.
    pub fn shows(&self, tenant: i64, resource: &Resource, id: &str, base: &str) -> bool {
        self.limit.shows(self.parameters(), &candidate(tenant, resource, id, base))
    }

    /// Whether a resource that this permit does not show may be read or found by its caller all the same.
    pub fn knows(&self, tenant: i64, resource: &Resource, id: &str, base: &str) -> bool {
        let candidate = candidate(tenant, resource, id, base);
        self.known.as_ref().is_some_and(|known| known.shows(self.parameters(), &candidate))
    }

    /// Whether this content may be written, as data of `tenant`: under `patient/` scopes only into the patient's
    /// compartment, under granular scopes what fulfils their conditions.
    pub fn may_write(&self, tenant: i64, resource: &Resource, id: &str, base: &str) -> bool {
        self.limit.takes(self.parameters(), &candidate(tenant, resource, id, base))
    }

    fn parameters(&self) -> Option<&crate::fhir::search::Parameters> {
        self.rules.as_deref().map(Rules::parameters)
    }

    /// Whether data of `tenant` may be changed: a launch and a PoC change their own, services the shared data.
    pub const fn may_change(&self, tenant: i64) -> bool {
        tenant == self.owner.tenant
    }

    /// The same leave for what a new context will own: `$set-context` creates its resources under this.
    #[must_use]
    pub fn for_context(mut self, context: Uuid) -> Self {
        self.owner.context = Some(context);
        self
    }
}

fn candidate<'a>(tenant: i64, resource: &'a Resource, id: &'a str, base: &'a str) -> Candidate<'a> {
    Candidate { resource, id, base, is_shared: tenant == 0 }
}

/// Decides. A refusal says which scope would be needed, and nothing about data.
pub fn authorize(caller: &Caller, act: Act<'_>) -> Result<Permit, Denied> {
    match act {
        Act::SetContext => operation(caller, caller.scopes.allows_set_context(), "set-context"),
        Act::ClearContext => operation(caller, caller.scopes.allows_clear_context(), "clear-context"),
        Act::Read { kind, id } => {
            // The user's own record is readable whatever the resource scopes are (SMART App Launch 2.1,
            // scopes-and-launch-context: apps fetch the fhirUser URL with the launch token), where the wall shows it.
            let is_own = caller.scopes.has("fhirUser") && caller.fhir_user == Some(format!("{kind}/{id}"));
            if is_own { Ok(permit(caller, Limit::Everything)) } else { by_scope(caller, kind, &[Letter::Read]) }
        }
        Act::Create { kind, conditional: false } => by_scope(caller, kind, &[Letter::Create]),
        // It tells whether something matched, so it needs leave to search as well.
        Act::Create { kind, conditional: true } => by_scope(caller, kind, &[Letter::Create, Letter::Search]),
        Act::Search { kind } => by_scope(caller, kind, &[Letter::Search]),
        Act::Update { kind } => changing(caller, kind, Letter::Update),
        Act::Delete { kind } => changing(caller, kind, Letter::Delete),
    }
}

fn operation(caller: &Caller, has_scope: bool, name: &str) -> Result<Permit, Denied> {
    if caller.role != Role::Poc {
        return Err(denied(format!("${name} is for clients registered as a point-of-care system")));
    }
    if !has_scope {
        let scope = format!("{}/OperationDefinition/{name}", crate::fhir::HALO);
        return Err(denied(format!("${name} needs the scope {scope} (or Context.write)")));
    }
    Ok(permit(caller, Limit::Everything))
}

fn changing(caller: &Caller, kind: &str, letter: Letter) -> Result<Permit, Denied> {
    let permit = by_scope(caller, kind, &[letter])?;
    let mut known = [Letter::Read, Letter::Search].into_iter().filter_map(|letter| limit(caller, kind, letter));
    let first = known.next();
    Ok(Permit { known: first.map(|first| known.fold(first, Limit::or)), ..permit })
}

/// The first letter says what may be touched; the others have to be there.
fn by_scope(caller: &Caller, kind: &str, letters: &[Letter]) -> Result<Permit, Denied> {
    if kind == "Subscription" && caller.role != Role::Poc {
        return Err(denied("Subscriptions belong to point-of-care systems".to_owned()));
    }
    if kind == AUDIT_EVENT {
        return Err(denied("the audit trail is read at AuditEvent alone, and written by this server alone".to_owned()));
    }
    let writes = |letter: &Letter| matches!(letter, Letter::Create | Letter::Update | Letter::Delete);
    if caller.role == Role::App && caller.launch.is_none() && letters.iter().any(writes) {
        return Err(denied(
            "outside a launch an app reads only: there is nobody whose data it could change".to_owned(),
        ));
    }
    let limits: Option<Vec<Limit>> = letters.iter().map(|letter| limit(caller, kind, *letter)).collect();
    if let Some(first) = limits.and_then(|limits| limits.into_iter().next()) {
        return Ok(permit(caller, first));
    }
    let letters: String = letters.iter().map(|letter| letter.as_char()).collect();
    Err(denied(format!("the token's scopes do not allow this: it needs one that holds {kind}.{letters}")))
}

/// What the scopes that hold a letter give of a type, together; `None`: no scope holds it.
fn limit(caller: &Caller, kind: &str, letter: Letter) -> Option<Limit> {
    let user = || match &caller.shared_patients {
        None => Whose::Anybodys,
        Some(patients) => Whose::OfShared(patients.clone()),
    };
    let mut levels = Vec::new();
    match caller.role {
        Role::Service => levels.push((Level::System, Whose::Anybodys)),
        Role::Poc => {
            levels.push((Level::System, Whose::Anybodys));
            levels.extend(caller.user_id.map(|_| (Level::User, user())));
        }
        Role::App => {
            levels.push((Level::User, user()));
            levels.extend(caller.patient.clone().map(|patient| (Level::Patient, Whose::Patient(patient))));
        }
    }
    let mut shares = Vec::new();
    for (level, whose) in levels {
        for conditions in caller.scopes.granting(level, kind, letter) {
            let filters = match conditions {
                None => Some(Vec::new()),
                // What cannot be enforced gives nothing.
                Some(conditions) => {
                    let filters = caller.rules.as_ref().and_then(|rules| rules.filters(kind, conditions));
                    filters.map(|filters| filters.to_vec())
                }
            };
            shares.extend(filters.map(|filters| Share { whose: whose.clone(), filters }));
        }
    }
    (!shares.is_empty()).then(|| Limit::union(shares))
}

fn permit(caller: &Caller, limit: Limit) -> Permit {
    let (context, poc_client) = match (&caller.launch, caller.role) {
        (Some(launch), _) => (Some(launch.id), Some(launch.poc_client.clone())),
        (None, Role::Poc) => (None, Some(caller.client_id.clone())),
        (None, Role::App | Role::Service) => (None, None),
    };
    let tenant = caller.launch.as_ref().map_or(caller.tenant, |launch| launch.tenant);
    // A launch sees its own context only; a PoC sees all that its contexts hold.
    let seen_as_poc = if caller.launch.is_some() { None } else { poc_client.clone() };
    // An app outside a launch owns nothing and may change nothing: no row has this tenant.
    let tenant = if caller.role == Role::App && caller.launch.is_none() { -1 } else { tenant };
    let visible = Visible::of(tenant, context, seen_as_poc);
    Permit {
        visible: if caller.walls.code_is_down() { visible.everything() } else { visible },
        wall: caller.wall(),
        limit,
        known: None,
        rules: caller.rules.clone(),
        owner: Owner { tenant, context, poc_client },
        trail: caller.trail.clone(),
    }
}

fn denied(text: String) -> Denied {
    Denied(Outcome::error(IssueType::Forbidden, text))
}
