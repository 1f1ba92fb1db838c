//! `GET` and `POST /userinfo` (OpenID Connect Core 1.0 section 5.3): who the user of an access token is.
//!
//! | situation | answer |
//! |---|---|
//! | a live access token with scope `openid` | 200: `sub`, and by scope `fhirUser`, `name`, `preferred_username` |
//! | no token | 401 with `WWW-Authenticate: Bearer` |
//! | a token that is not good, or not any more | 401 with `error="invalid_token"` |
//! | a token without `openid`, or without a user | 403 with `error="insufficient_scope"` |

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use uuid::Uuid;

use super::OauthState;
use super::bearer::{bearer, find_live};
use super::error::{Code, Failure, NO_STORE};
use super::refusal::{self, Sender};
use crate::smart::scope::ScopeSet;
use crate::store;

#[derive(Serialize)]
struct UserInfo {
    /// As in the ID token.
    sub: Uuid,
    #[serde(rename = "fhirUser", skip_serializing_if = "Option::is_none")]
    fhir_user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preferred_username: Option<String>,
}

/// Why the user is not told (RFC 6750 section 3.1).
enum Refused {
    NoToken,
    InvalidToken,
    InsufficientScope,
    Failed(Failure),
}

impl Refused {
    /// For the audit trail.
    const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::NoToken => Some("no token"),
            Self::InvalidToken => Some("a token that is not good"),
            Self::InsufficientScope => Some("a token without openid"),
            Self::Failed(_) => None,
        }
    }
}

impl<E: Into<Failure>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, challenge) = match self {
            Self::NoToken => (StatusCode::UNAUTHORIZED, "Bearer realm=\"sofa\""),
            Self::InvalidToken => (StatusCode::UNAUTHORIZED, "Bearer realm=\"sofa\", error=\"invalid_token\""),
            Self::InsufficientScope => {
                (StatusCode::FORBIDDEN, "Bearer realm=\"sofa\", error=\"insufficient_scope\", scope=\"openid\"")
            }
            Self::Failed(failure) => return failure.into_response(),
        };
        (status, NO_STORE, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
    }
}

/// The route of this endpoint.
pub fn routes() -> Router<OauthState> {
    Router::new().route("/userinfo", get(handler).post(handler))
}

/// Describes the user.
async fn handler(State(state): State<OauthState>, sender: Sender, headers: HeaderMap) -> Response {
    match describe(&state, &headers).await {
        Ok(user) => (NO_STORE, Json(user)).into_response(),
        Err(refused) => {
            if let Some(reason) = refused.reason() {
                let failure = Failure::new(Code::InvalidToken, reason);
                refusal::note(&state, &sender, &headers, None, "userinfo", &failure).await;
            }
            refused.into_response()
        }
    }
}

async fn describe(state: &OauthState, headers: &HeaderMap) -> Result<UserInfo, Refused> {
    let token = bearer(headers).ok_or(Refused::NoToken)?;
    let (claims, grant) = find_live(state, token, state.now()).await?.ok_or(Refused::InvalidToken)?;
    let scope = ScopeSet::parse(&claims.scope);
    let sub = grant.user_id.filter(|_| scope.has("openid")).ok_or(Refused::InsufficientScope)?;
    let profile = match scope.has("profile") {
        true => store::user::find(&mut *state.engine.pool.acquire().await?, sub).await?,
        false => None,
    };
    Ok(UserInfo {
        sub,
        fhir_user: state.fhir_user(&grant, &scope),
        name: profile.as_ref().map(|user| user.display_name.clone()),
        preferred_username: profile.map(|user| user.name),
    })
}
