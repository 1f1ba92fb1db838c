//! Permission: the one place that decides whether an act may happen and what it may touch.

use uuid::Uuid;

use super::{
    Caller,
    audit::{AUDIT_EVENT, Trail},
};
use crate::{
    fhir::{
        compartment,
        outcome::{IssueType, Outcome},
        resource::Resource,
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
    patient: Option<String>,
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

    /// Under `patient/` scopes: the patient whose compartment is the limit, for types that belong to patients.
    pub fn patient(&self) -> Option<&str> {
        self.patient.as_deref()
    }

    /// Whether [`Permit::shows`] looks at content at all.
    pub const fn is_limited(&self) -> bool {
        self.patient.is_some()
    }

    /// Whether a resource that is visible may also be shown: under `patient/` scopes only the patient's compartment and
    /// types that belong to no patient (Practitioner, Organization, Location).
    pub fn shows(&self, resource: &Resource, id: &str, base: &str) -> bool {
        self.patient.as_ref().is_none_or(|patient| {
            !compartment::has_patients(resource.type_name())
                || compartment::patients(resource, id, base).contains(patient)
        })
    }

    /// Whether this content may be written: under `patient/` scopes only into the patient's compartment.
    pub fn may_write(&self, resource: &Resource, id: &str, base: &str) -> bool {
        self.patient.as_ref().is_none_or(|patient| compartment::patients(resource, id, base).contains(patient))
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

/// Decides. A refusal says which scope would be needed, and nothing about data.
pub fn authorize(caller: &Caller, act: Act<'_>) -> Result<Permit, Denied> {
    match act {
        Act::SetContext => operation(caller, caller.scopes.allows_set_context(), "set-context"),
        Act::ClearContext => operation(caller, caller.scopes.allows_clear_context(), "clear-context"),
        Act::Read { kind, id } => {
            // The launching user's own record is readable whatever the resource scopes are (SMART App Launch 2.1,
            // scopes-and-launch-context: apps fetch the fhirUser URL with the launch token).
            let own = caller.scopes.has("fhirUser")
                && caller.launch.as_ref().and_then(|l| l.fhir_user.as_deref()) == Some(&format!("{kind}/{id}"));
            if own { Ok(permit(caller, None)) } else { by_scope(caller, kind, &[Letter::Read]) }
        }
        Act::Create { kind, conditional: false } => by_scope(caller, kind, &[Letter::Create]),
        // It tells whether something matched, so it needs leave to search as well.
        Act::Create { kind, conditional: true } => by_scope(caller, kind, &[Letter::Create, Letter::Search]),
        Act::Search { kind } => by_scope(caller, kind, &[Letter::Search]),
        Act::Update { kind } => by_scope(caller, kind, &[Letter::Update]),
        Act::Delete { kind } => by_scope(caller, kind, &[Letter::Delete]),
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
    Ok(permit(caller, None))
}

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
    let has = |level| letters.iter().all(|letter| caller.scopes.allows(level, kind, *letter));
    let broad = match caller.role {
        Role::Service => has(Level::System),
        Role::Poc => has(Level::System) || (caller.user_id.is_some() && has(Level::User)),
        Role::App => has(Level::User),
    };
    if broad {
        return Ok(permit(caller, None));
    }
    let patient = caller.patient.clone();
    if let Some(patient) = patient.filter(|_| caller.role == Role::App && has(Level::Patient)) {
        return Ok(permit(caller, Some(patient)));
    }
    let letters: String = letters.iter().map(|letter| letter.as_char()).collect();
    Err(denied(format!("the token's scopes do not allow this: it needs one that holds {kind}.{letters}")))
}

fn permit(caller: &Caller, patient: Option<String>) -> Permit {
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
        patient,
        owner: Owner { tenant, context, poc_client },
        trail: caller.trail.clone(),
    }
}

fn denied(text: String) -> Denied {
    Denied(Outcome::error(IssueType::Forbidden, text))
}
