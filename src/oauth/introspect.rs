//! `POST /introspect` (RFC 7662; SMART App Launch 2.1.0, "Token Introspection").
//!
//! | situation | answer |
//! |---|---|
//! | a live access token, asked by a client that is registered to introspect, as itself or with a live bearer token | 200, all that the token response told |
//! | a token of its own, asked by any client: as itself, or with a live token of the same grant | the same |
//! | a token of a launch within its organisation, asked by a point-of-care system as itself | the same |
//! | unknown, expired, revoked, of a cleared context; a refresh token or a code | 200 `{"active": false}` |
//! | anybody else's | 200 `{"active": false}` |
//! | nobody asks | 401 `invalid_client` |
//! | with a bearer token that is not good | 401 `invalid_token`, with a challenge for another one (RFC 6750 section 3) |
//!
//! To prove who one is does not make one a resource server: that every app could have every other token described would be
//! a gift. A public client proves nothing, and is told of its own tokens as their holder could read them. The name people sign in with is told with `profile` only, as by the ID token.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::bearer::{bearer, find_live};
use super::client_auth::authenticate;
use super::error::{Code, Failure, NO_STORE};
use super::form::Form;
use super::refusal::{self, Sender};
use super::{OauthState, granted_values};
use crate::smart::launch::LaunchValues;
use crate::smart::scope::ScopeSet;
use crate::store;
use crate::store::client::{AuthMethod, Role};
use crate::store::grant::LiveGrant;
use crate::token::access_token::AccessClaims;

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
    /// A resource server: registered to introspect; of an organisation, 0 for any.
    Trusted { tenant: i64 },
    /// The holder of another live token: it learns of the tokens of its own grant.
    Bearer { grant: Uuid },
    /// A client: it learns of its own tokens, and a PoC of those of launches within its organisation.
    Client { client_id: String, launches_of: Option<i64> },
}

/// The route of this endpoint.
pub fn routes() -> Router<OauthState> {
    Router::new().route("/introspect", post(handler))
}

/// Describes a token.
async fn handler(
    State(state): State<OauthState>,
    sender: Sender,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Failure> {
    let asker = match find_asker(&state, &headers, &form).await {
        Ok(asker) => asker,
        Err(failure) => {
            refusal::note(&state, &sender, &headers, Some(&form), "introspect", &failure).await;
            return Err(failure);
        }
    };
    let found = find_live(&state, form.required("token")?, state.now()).await?;
    let found = found.filter(|(claims, grant)| match &asker {
        Asker::Trusted { tenant } => [0, grant.tenant].contains(tenant) || grant.tenant == 0,
        Asker::Bearer { grant } => claims.gid == *grant,
        Asker::Client { client_id, launches_of } => {
            claims.client_id == *client_id || (grant.launch.is_some() && *launches_of == Some(grant.tenant))
        }
    });
    let described = match found {
        Some((claims, grant)) => Some(describe(&state, claims, grant).await?),
        None => None,
    };
    Ok(match described {
        Some(description) => (NO_STORE, Json(description)).into_response(),
        None => (NO_STORE, Json(json!({ "active": false }))).into_response(),
    })
}

async fn find_asker(state: &OauthState, headers: &HeaderMap, form: &Form) -> Result<Asker, Failure> {
    if let Some(token) = bearer(headers) {
        let live = find_live(state, token, state.now()).await?;
        return match live {
            Some((claims, grant)) if may_introspect(state, &claims.client_id).await? => {
                Ok(Asker::Trusted { tenant: grant.tenant })
            }
            Some((claims, _)) => Ok(Asker::Bearer { grant: claims.gid }),
            None => Err(Failure::new(Code::InvalidToken, "the bearer token is not valid")),
        };
    }
    let client = authenticate(state, headers, form).await?;
    let proves_itself = client.auth_method != AuthMethod::None;
    Ok(match client.may_introspect && proves_itself {
        true => Asker::Trusted { tenant: client.tenant },
        false => Asker::Client {
            launches_of: (client.role == Role::Poc && proves_itself).then_some(client.tenant),
            client_id: client.client_id,
        },
    })
}

/// Whether a client is registered as a resource server.
async fn may_introspect(state: &OauthState, client_id: &str) -> Result<bool, Failure> {
    let client = store::client::find(&mut *state.engine.pool.acquire().await?, client_id).await?;
    Ok(client.is_some_and(|client| client.may_introspect))
}

async fn describe(state: &OauthState, claims: AccessClaims, grant: LiveGrant) -> Result<Description, Failure> {
    let context = match grant.context() {
        Some(id) => store::context::find(&mut *state.engine.pool.acquire().await?, id).await?,
        None => None,
    };
    let granted = ScopeSet::parse(&grant.scope);
    let values = granted_values(&grant, context.as_ref());
    Ok(Description {
        active: true,
        fhir_user: state.fhir_user(&grant, &granted),
        scope: claims.scope,
        client_id: claims.client_id,
        token_type: "Bearer",
        exp: claims.exp,
        iat: claims.iat,
        iss: claims.iss,
        sub: claims.sub,
        aud: claims.aud,
        jti: claims.jti,
        username: grant.user_name.filter(|_| granted.has("profile")),
        context: values,
    })
}
