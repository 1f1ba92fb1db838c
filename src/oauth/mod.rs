//! The authorization server (RFC 6749, OpenID Connect Core 1.0, SMART App Launch 2.1.0): one endpoint per file, with its
//! request, its handler and every way it can refuse.
//!
//! | endpoint | file |
//! |---|---|
//! | `GET /.well-known/openid-configuration`, `GET [base]/.well-known/smart-configuration` | [`discovery`] |
//! | `GET /jwks` | [`jwks`] |
//! | `GET`, `POST /authorize` | [`authorize`], [`posted`], and what comes of it in [`approval`] |
//! | `POST /login`, `/continue`, `/choose`, `/consent` | [`login`], [`continue_as`], [`picker`], [`consent`]: the pages in between, see [`flow`] |
//! | `GET /manage`, `POST /manage/end` | [`manage`] |
//! | `POST /token` | [`token`], one file per grant type |
//! | `POST /introspect`, `POST /revoke` | [`introspect`], [`revoke`] |
//! | `POST /second-factor`, `/enrol`, `/new-password` | [`second_factor`], [`new_password`], and when, in [`local`] |
//! | `GET`, `POST /logout`, `POST /sign-out` | [`logout`], and what ends with it in [`session`] |
//! | `POST /login-with`, `GET /callback-<id>`, `GET /signed-out`, `POST /backchannel-logout-<id>` | [`federation`] |
//! | `GET`, `POST /userinfo` | [`userinfo`] |
//! | `POST /register` | [`register`] |
//!
//! It meets `$set-context` only in the database: `/authorize` reads the context that a launchID names.

mod approval;
mod authorize;
mod bearer;
mod client_auth;
mod client_keys;
pub mod configured;
mod consent;
mod continue_as;
mod cookie;
mod discovery;
mod error;
mod federation;
mod flow;
mod form;
mod grantable;
mod introspect;
mod jwks;
mod limits;
mod local;
mod login;
mod logout;
mod manage;
mod new_password;
mod page;
mod password;
mod picker;
mod posted;
mod recipient;
mod refusal;
mod register;
mod revoke;
mod rotation;
mod second_factor;
mod session;
mod strangers;
mod sweep;
mod text;
mod throttle;
mod token;
mod userinfo;
mod visitor;

#[doc = include_str!("threats.md")]
pub mod threats {}

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use time::OffsetDateTime;
use tower_http::csrf::CsrfLayer;

use crate::interaction::Engine;
use crate::outbound::{self, Guard};
use crate::smart::launch::LaunchValues;
use crate::smart::scope::ScopeSet;
use crate::store::context::ContextRow;
use crate::store::grant::{LiveGrant, Picked};
use crate::token::key_set::KeySet;
use crate::web::cors;

pub use federation::Error;
pub use rotation::rotate_old_keys;
pub use sweep::sweep;

/// No request to these endpoints is larger; 8 kB of scopes fit many times.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// What the endpoints share.
#[derive(Clone)]
pub struct OauthState {
    engine: Engine,
    keys: Arc<KeySet>,
    client_keys: client_keys::ClientKeys,
    passwords: password::Checker,
    federation: federation::Federation,
    /// Tells clients that a session has ended.
    http: outbound::Client,
    limits: Arc<limits::Limits>,
}

impl OauthState {
    /// The endpoints' share of the program's parts. Fails where the system's certificates, or the secrets of
    /// upstream providers, cannot be read.
    pub fn new(engine: Engine, keys: Arc<KeySet>) -> Result<Self, Error> {
        let (pool, clock) = (engine.pool.clone(), engine.clock.clone());
        let client_keys = client_keys::ClientKeys::new(pool, clock, &engine.config.registry)?;
        let federation = federation::Federation::new(&engine.config.federation)?;
        let http = outbound::Client::new(Guard::new(&engine.config.registry))?;
        let limits = Arc::new(limits::Limits::new(&engine.config.limits));
        let passwords = password::Checker::new();
        Ok(Self { engine, keys, client_keys, passwords, federation, http, limits })
    }

    fn now(&self) -> OffsetDateTime {
        self.engine.now()
    }

    /// The issuer and the address of every endpoint but FHIR's, without a slash at the end.
    fn public_url(&self) -> &str {
        &self.engine.config.server.public_url
    }

    /// The user of a grant as an absolute URL without a slash at the end, when the scope `fhirUser` was granted.
    fn fhir_user(&self, grant: &LiveGrant, scope: &ScopeSet) -> Option<String> {
        let reference = grant.fhir_user.as_ref().filter(|_| scope.has("fhirUser"))?;
        Some(format!("{}/{reference}", self.engine.base))
    }

    /// What of a set can be granted as far as this server can enforce it.
    fn enforceable(&self, scopes: ScopeSet) -> ScopeSet {
        self.engine.rules.enforceable(scopes)
    }

    fn is_https(&self) -> bool {
        self.engine.config.server.is_https()
    }
}

/// The routes, from the root of the public URL: each module names its own.
pub fn router(state: OauthState) -> Router {
    let readable_by_anyone = Router::new().merge(discovery::routes()).merge(jwks::routes()).layer(cors::anyone());
    let for_clients = Router::new()
        .merge(token::routes())
        .merge(introspect::routes())
        .merge(revoke::routes())
        .merge(userinfo::routes())
        .merge(federation::provider_routes(&state));
    // Not there at all unless the operator wants it.
    let for_clients =
        if state.engine.config.registry.dynamic { for_clients.merge(register::routes()) } else { for_clients };
    let for_clients = for_clients
        .layer(from_fn_with_state(state.clone(), limits::clients))
        .layer(cors::registered_origins(state.engine.pool.clone()));
    // An app's page may post to /authorize and /logout from anywhere; the forms are posted from here alone.
    let forms = Router::new()
        .merge(login::routes())
        .merge(continue_as::routes())
        .merge(consent::routes())
        .merge(federation::form_routes())
        .merge(logout::form_routes())
        .merge(manage::routes())
        .merge(new_password::routes())
        .merge(picker::routes())
        .merge(second_factor::routes())
        .layer(from_this_site(&state));
    let for_people = Router::new()
        .merge(authorize::routes())
        .merge(federation::routes(&state))
        .merge(logout::routes())
        .merge(forms)
        .layer(from_fn_with_state(state.clone(), limits::people))
        .merge(page::routes());
    readable_by_anyone
        .merge(for_clients)
        .merge(for_people)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(state)
}

/// Refuses forms that another site's page sends: browsers say where a form comes from (`Sec-Fetch-Site`, `Origin`). It
/// stands beside the token of each form and the cookie of its browser, not in their place.
fn from_this_site(state: &OauthState) -> CsrfLayer {
    let origin = url::Url::parse(state.public_url()).map(|url| url.origin().ascii_serialization());
    // A gateway may have changed Host, so the origin is named.
    origin.ok().and_then(|origin| CsrfLayer::new().add_trusted_origin(origin).ok()).unwrap_or_default()
}

/// What an app is told of the context of its grant. Where the user picked a patient, that is all there is to tell: intent,
/// style and the like of the launch in which the patient was found were meant for another app.
fn granted_values(grant: &LiveGrant, context: Option<&ContextRow>) -> LaunchValues {
    match &grant.picked {
        Some(picked) => picked_values(picked),
        None => context.map(launch_values).unwrap_or_default(),
    }
}

/// What an app is told that began the launch itself.
fn picked_values(picked: &Picked) -> LaunchValues {
    LaunchValues {
        patient: Some(picked.patient.clone()),
        encounter: picked.encounter.clone(),
        ..LaunchValues::default()
    }
}

/// What an app is told of a launch's context.
fn launch_values(context: &ContextRow) -> LaunchValues {
    let mut values = LaunchValues {
        patient: context.patient.clone(),
        encounter: context.encounter.clone(),
        need_patient_banner: context.need_patient_banner,
        intent: context.intent.clone(),
        smart_style_url: context.smart_style_url.clone(),
        tenant: context.launch_tenant.clone(),
        ..LaunchValues::default()
    };
    values.set_fhir_context(&context.fhir_context);
    values
}
