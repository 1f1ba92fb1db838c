//! `GET [base]/.well-known/smart-configuration` (SMART App Launch 2.1.0, "Conformance") and
//! `GET [issuer]/.well-known/openid-configuration` (OpenID Connect Discovery 1.0 section 4), which is also at
//! `/.well-known/oauth-authorization-server` (RFC 8414 section 3), for clients that know no OpenID Connect.
//!
//! | situation | answer |
//! |---|---|
//! | any `Accept`, any origin, with or without credentials | 200 `application/json` |

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value;

use super::OauthState;
use crate::smart::discovery;

/// The routes of the documents.
pub fn routes() -> Router<OauthState> {
    Router::new()
        .route("/.well-known/openid-configuration", get(openid))
        .route("/.well-known/oauth-authorization-server", get(openid))
        .route("/fhir/.well-known/smart-configuration", get(smart))
}

/// The SMART document.
async fn smart(State(state): State<OauthState>) -> Json<Value> {
    let document = discovery::smart_configuration(state.public_url(), state.engine.config.standalone.enabled);
    Json(with_registration(&state, document))
}

/// The OpenID Connect document.
async fn openid(State(state): State<OauthState>) -> Json<Value> {
    Json(with_registration(&state, discovery::openid_configuration(state.public_url())))
}

/// Names the registration endpoint where there is one.
fn with_registration(state: &OauthState, mut document: Value) -> Value {
    if state.engine.config.registry.dynamic {
        document["registration_endpoint"] = format!("{}/register", state.public_url()).into();
    }
    document
}
