//! The caller of a request: a verified token whose grant, client and context are alive.

use std::sync::Arc;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Rules, Walls, audit::Trail};
use crate::{
    smart::scope::ScopeSet,
    store::{self, Wall, audit::Entry, client::Role},
};

/// The launch that a token belongs to.
#[derive(Clone, Debug)]
pub struct LaunchContext {
    /// The context's row id.
    pub id: Uuid,
    /// The tenant of its PoC.
    pub tenant: i64,
    /// The PoC whose Subscriptions hear of changes.
    pub poc_client: String,
}

/// Who calls, as checked in the database at this request.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The registered client.
    pub client_id: String,
    /// What kind of client it is.
    pub role: Role,
    /// The PoC's organisation; 0 for apps outside a launch and services.
    pub tenant: i64,
    /// The signed-in user, if any.
    pub user_id: Option<Uuid>,
    /// The grant behind the token.
    pub grant_id: Uuid,
    /// What was granted.
    pub scopes: ScopeSet,
    /// The launch, for app tokens.
    pub launch: Option<LaunchContext>,
    /// Bare id of the Patient in context: the launch's, or the shared one that was picked.
    pub patient: Option<String>,
    /// The signed-in user as a resource, `Type/id`: what the ID token's `fhirUser` names.
    pub fhir_user: Option<String>,
    /// Of which shared patients `user/` scopes let anything through; `None`: of all.
    pub shared_patients: Option<Vec<String>>,
    /// What granular scopes are judged by; without, they give nothing.
    pub rules: Option<Arc<Rules>>,
    /// `X-Request-Id` of this request.
    pub request_id: Option<String>,
    /// The network address the request came from.
    pub address: Option<String>,
    /// Where what this caller is shown is noted.
    pub trail: Trail,
    /// What stands between this caller and others.
    pub walls: Walls,
}

impl Caller {
    /// The caller behind the grant id and scope of a verified token; `None` when its grant, client, user or context has
    /// ended.
    pub async fn identify(
        conn: &mut PgConnection,
        grant: Uuid,
        scope: &str,
        rules: &Arc<Rules>,
        now: OffsetDateTime,
    ) -> store::Result<Option<Self>> {
        let Some(grant) = store::grant::live(conn, grant, now).await? else { return Ok(None) };
        let launched = grant.launch.as_ref().and_then(|launch| launch.patient.clone());
        let patient = launched.or(grant.picked.map(|picked| picked.patient));
        let launch = grant.launch.map(|launch| LaunchContext {
            id: launch.context,
            tenant: grant.tenant,
            poc_client: launch.poc_client,
        });
        Ok(Some(Self {
            client_id: grant.client_id,
            role: grant.client_role,
            tenant: grant.tenant,
            user_id: grant.user_id,
            grant_id: grant.grant_id,
            // The token may carry less than the grant after a narrowed refresh.
            scopes: ScopeSet::parse(scope),
            launch,
            shared_patients: rules.shared_patients(grant.linked.as_deref(), patient.as_deref()),
            rules: Some(Arc::clone(rules)),
            patient,
            fhir_user: grant.fhir_user,
            request_id: None,
            address: None,
            trail: Trail::default(),
            walls: Walls::default(),
        }))
    }

    /// A signed-in user who looks for a patient on behalf of an app, before anything is granted: within a launch of theirs,
    /// or in the shared data. May search patients and their visits, and nothing else: of the shared ones those in
    /// `shared_patients`.
    pub fn looking_for_a_patient(
        client_id: String,
        user: Uuid,
        launch: Option<LaunchContext>,
        shared_patients: Option<Vec<String>>,
    ) -> Self {
        Self {
            client_id,
            role: Role::App,
            tenant: launch.as_ref().map_or(0, |launch| launch.tenant),
            user_id: Some(user),
            grant_id: Uuid::nil(),
            scopes: ScopeSet::parse("user/Patient.rs user/Encounter.rs"),
            launch,
            patient: None,
            fhir_user: None,
            shared_patients,
            rules: None,
            request_id: None,
            address: None,
            trail: Trail::default(),
            walls: Walls::default(),
        }
    }

    /// Who it is, for an audit row of something that succeeded.
    pub fn entry(&self) -> Entry<'_> {
        Entry {
            outcome: "success",
            client_id: Some(&self.client_id),
            user_id: self.user_id,
            context: self.launch.as_ref().map(|launch| launch.id),
            tenant: self.tenant,
            request_id: self.request_id.as_deref(),
            grant_id: Some(self.grant_id),
            address: self.address.as_deref(),
            ..Entry::default()
        }
    }

    /// From now on what this caller is shown is noted in `trail`.
    pub fn leave_trail(&mut self, trail: &Trail) {
        trail.is_of(self);
        self.trail = trail.clone();
    }

    /// What Postgres shows this caller: told by who it is, not by what it is permitted.
    pub fn wall(&self) -> Wall {
        match (&self.launch, self.role) {
            _ if self.walls.database_is_down() => Wall::All,
            (Some(launch), _) => Wall::Launch { tenant: launch.tenant, context: launch.id },
            (None, Role::Poc) => Wall::Poc { tenant: self.tenant, client: self.client_id.clone() },
            (None, Role::Service) => Wall::Service,
            (None, Role::App) => Wall::Shared,
        }
    }
}
