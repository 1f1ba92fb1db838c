//! `POST /introspect` (RFC 7662; SMART App Launch 2.1.0, "Token Introspection").
//!
//! | situation | answer |
//! |---|---|
//! | a live access token, asked by an authenticated client or with a live bearer token | 200, all that the token response told |
//! | the same, asked by a public client with its bare `client_id` | 200; tokens of other clients are not described |
//! | unknown, expired, revoked, of a cleared context; a refresh token or a code | 200 `{"active": false}` |
//! | nobody asks | 401 `invalid_client` |

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::json;

use super::bearer::{bearer, find_live};
use super::client_auth::authenticate;
use super::error::{Code, Failure, NO_STORE};
use super::form::Form;
use super::{OauthState, granted_values};
use crate::smart::launch::LaunchValues;
use crate::smart::scope::ScopeSet;
use crate::store;
use crate::store::client::AuthMethod;

/// A live token, described.
#[derive(Serialize)]
struct Description {
    active: bool,
    scope: String,
    client_id: String,
    token_type: &'static str,
    exp: i64,
    iat: i64,
    iss: String,
    sub: String,
    aud: String,
    jti: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(rename = "fhirUser", skip_serializing_if = "Option::is_none")]
    fhir_user: Option<String>,
    #[serde(flatten)]
    context: LaunchValues,
}

/// Who asks, as far as it decides what may be told.
enum Asker {
    /// Authenticated, or the holder of a live token.
    Trusted,
    /// A public client: its name proves nothing, so it learns only of its own tokens.
    Public(String),
}

/// The route of this endpoint.
pub fn routes() -> Router<OauthState> {
    Router::new().route("/introspect", post(handler))
}

/// Describes a token.
async fn handler(State(state): State<OauthState>, headers: HeaderMap, form: Form) -> Result<Response, Failure> {
    let asker = find_asker(&state, &headers, &form).await?;
    let described = describe(&state, form.required("token")?).await?;
    let described = described.filter(|description| match &asker {
        Asker::Trusted => true,
        Asker::Public(client_id) => description.client_id == *client_id,
    });
    Ok(match described {
        Some(description) => (NO_STORE, Json(description)).into_response(),
        None => (NO_STORE, Json(json!({ "active": false }))).into_response(),
    })
}

async fn find_asker(state: &OauthState, headers: &HeaderMap, form: &Form) -> Result<Asker, Failure> {
    if let Some(token) = bearer(headers) {
        let live = find_live(state, token, state.now()).await?;
        return match live {
            Some(_) => Ok(Asker::Trusted),
            None => Err(Failure::new(Code::InvalidClient, "the bearer token is not valid")),
        };
    }
    let client = authenticate(state, headers, form).await?;
    Ok(match client.auth_method {
        AuthMethod::None => Asker::Public(client.client_id),
        AuthMethod::ClientSecretBasic | AuthMethod::PrivateKeyJwt => Asker::Trusted,
    })
}

async fn describe(state: &OauthState, token: &str) -> Result<Option<Description>, Failure> {
    let Some((claims, grant)) = find_live(state, token, state.now()).await? else { return Ok(None) };
    let context = match grant.context() {
        Some(id) => store::context::find(&mut *state.engine.pool.acquire().await?, id).await?,
        None => None,
    };
    let values = granted_values(&grant, context.as_ref());
    Ok(Some(Description {
        active: true,
        fhir_user: state.fhir_user(&grant, &ScopeSet::parse(&grant.scope)),
        scope: claims.scope,
        client_id: claims.client_id,
        token_type: "Bearer",
        exp: claims.exp,
        iat: claims.iat,
        iss: claims.iss,
        sub: claims.sub,
        aud: claims.aud,
        jti: claims.jti,
        username: grant.user_name,
        context: values,
    }))
}
