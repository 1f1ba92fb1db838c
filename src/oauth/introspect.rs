//! `POST /introspect` (RFC 7662; SMART App Launch 2.1.0, "Token Introspection").
//!
//! | situation | answer |
//! |---|---|
//! | a live access token, asked by an authenticated client, or with the live bearer token of a client that is registered to introspect | 200, all that the token response told |
//! | the same, asked with a live token of the same grant | the same: it tells its holder of itself |
//! | the same, asked by a public client with its bare `client_id` | 200; tokens of other clients are not described |
//! | unknown, expired, revoked, of a cleared context; a refresh token or a code | 200 `{"active": false}` |
//! | asked with a live bearer token of another client, or from another organisation | 200 `{"active": false}` |
//! | nobody asks | 401 `invalid_client` |
//! | with a bearer token that is not good | 401 `invalid_token`, with a challenge for another one (RFC 6750 section 3) |
//!
//! An app's token is lent to the app for FHIR; that it described every other token of the server to its holder would be a
//! gift. The name people sign in with is told with `profile` only, as by the ID token.

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
use crate::store::client::AuthMethod;
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
    /// Authenticated, or registered to introspect and with a live token; of an organisation, 0 for any.
    Trusted { tenant: i64 },
    /// The holder of another live token: it learns of the tokens of its own grant.
    Bearer { grant: Uuid },
    /// A public client: its name proves nothing, so it learns only of its own tokens.
    Public(String),
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
        Asker::Public(client_id) => claims.client_id == *client_id,
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
    Ok(match client.auth_method {
        AuthMethod::None => Asker::Public(client.client_id),
        AuthMethod::ClientSecretBasic | AuthMethod::PrivateKeyJwt => Asker::Trusted { tenant: client.tenant },
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
