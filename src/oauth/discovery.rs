//! `GET [base]/.well-known/smart-configuration` (SMART App Launch 2.1.0, "Conformance") and
//! `GET [issuer]/.well-known/openid-configuration` (OpenID Connect Discovery 1.0 section 4).
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

/// The routes of both documents.
pub fn routes() -> Router<OauthState> {
    Router::new()
        .route("/.well-known/openid-configuration", get(openid))
        .route("/fhir/.well-known/smart-configuration", get(smart))
}

/// The SMART document.
async fn smart(State(state): State<OauthState>) -> Json<Value> {
    Json(discovery::smart_configuration(state.public_url(), state.engine.config.standalone.enabled))
}

/// The OpenID Connect document.
async fn openid(State(state): State<OauthState>) -> Json<Value> {
    Json(discovery::openid_configuration(state.public_url()))
}
