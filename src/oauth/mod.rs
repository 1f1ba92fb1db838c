//! The authorization server (RFC 6749, OpenID Connect Core 1.0, SMART App Launch 2.1.0): one endpoint per file, with its
//! request, its handler and every way it can refuse.
//!
//! | endpoint | file |
//! |---|---|
//! | `GET /.well-known/openid-configuration`, `GET [base]/.well-known/smart-configuration` | [`discovery`] |
//! | `GET /jwks` | [`jwks`] |
//! | `GET`, `POST /authorize` | [`authorize`], and what comes of it in [`approval`] |
//! | `POST /login` | [`login`] |
//! | `POST /token` | [`token`], one file per grant type |
//! | `POST /introspect`, `POST /revoke` | [`introspect`], [`revoke`] |
//! | `GET`, `POST /userinfo` | [`userinfo`] |
//!
//! It meets `$set-context` only in the database: `/authorize` reads the context that a launchID names.

mod approval;
mod authorize;
mod bearer;
mod client_auth;
mod cookie;
mod discovery;
mod error;
mod form;
mod introspect;
mod jwks;
mod limits;
mod login;
mod page;
mod password;
mod revoke;
mod rotation;
mod strangers;
mod sweep;
mod text;
mod throttle;
mod token;
mod userinfo;
mod visitor;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use time::OffsetDateTime;

use crate::interaction::Engine;
use crate::smart::launch::LaunchValues;
use crate::smart::scope::ScopeSet;
use crate::store::context::ContextRow;
use crate::store::grant::LiveGrant;
use crate::token::key_set::KeySet;
use crate::web::cors;

pub use rotation::rotate_old_keys;
pub use strangers::write_counts;
pub use sweep::sweep;

/// No request to these endpoints is larger; 8 kB of scopes fit many times.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// What the endpoints share.
#[derive(Clone)]
pub struct OauthState {
    engine: Engine,
    keys: Arc<KeySet>,
    passwords: password::Checker,
    limits: Arc<limits::Limits>,
    strangers: Arc<strangers::Strangers>,
}

impl OauthState {
    /// The endpoints' share of the program's parts.
    pub fn new(engine: Engine, keys: Arc<KeySet>) -> Self {
        let limits = Arc::new(limits::Limits::new(&engine.config.limits));
        Self { engine, keys, passwords: password::Checker::new(), limits, strangers: Arc::default() }
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
        .layer(from_fn_with_state(state.clone(), limits::clients))
        .layer(cors::registered_origins(state.engine.pool.clone()));
    let for_people = Router::new().merge(authorize::routes()).merge(login::routes());
    let for_people = for_people.layer(from_fn_with_state(state.clone(), limits::people)).merge(page::routes());
    readable_by_anyone
        .merge(for_clients)
        .merge(for_people)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(state)
}

/// What an app is told of its context.
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
