//! `GET [base]/.well-known/smart-configuration` (SMART App Launch 2.1.0, "Conformance") and
//! `GET [issuer]/.well-known/openid-configuration` (OpenID Connect Discovery 1.0 section 4).
//!
//! | situation | answer |
//! |---|---|
//! | any `Accept`, any origin, with or without credentials | 200 `application/json` |

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use super::OauthState;
use crate::smart::discovery;

/// The SMART document.
pub async fn smart(State(state): State<OauthState>) -> Json<Value> {
    Json(discovery::smart_configuration(state.public_url()))
}

/// The OpenID Connect document.
pub async fn openid(State(state): State<OauthState>) -> Json<Value> {
    Json(discovery::openid_configuration(state.public_url()))
}
