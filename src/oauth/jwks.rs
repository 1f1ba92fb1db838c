//! `GET /jwks`: the public keys that verify what this server signs (RFC 7517 section 5).
//!
//! | situation | answer |
//! |---|---|
//! | always | 200, the active, the next and the recently retired keys, without private members |

use axum::extract::State;
use axum::http::{HeaderName, header::CACHE_CONTROL};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value;

use super::OauthState;
use super::error::Failure;

/// The next key is published long before it signs, so that keeping this for minutes is harmless.
const CACHE: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "public, max-age=300")];

/// The route of this endpoint.
pub fn routes() -> Router<OauthState> {
    Router::new().route("/jwks", get(handler))
}

/// The set.
async fn handler(State(state): State<OauthState>) -> Result<([(HeaderName, &'static str); 1], Json<Value>), Failure> {
    Ok((CACHE, Json(state.keys.published().await?)))
}
