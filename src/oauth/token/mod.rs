//! `POST /token` (RFC 6749 section 3.2): one file per grant type.
//!
//! | situation | answer |
//! |---|---|
//! | good | 200 JSON, never cached |
//! | `grant_type` missing, a parameter repeated, not a form | 400 `invalid_request` |
//! | another `grant_type` | 400 `unsupported_grant_type` |
//! | the client is not believed | 401 `invalid_client` with `WWW-Authenticate` |

mod authorization_code;
mod client_credentials;
mod refresh_token;
mod reply;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use super::OauthState;
use super::error::{Code, Failure, NO_STORE};
use super::form::Form;
use super::refusal::{self, Sender};
use reply::Reply;

/// The route of this endpoint.
pub fn routes() -> Router<OauthState> {
    Router::new().route("/token", post(handler))
}

/// The token endpoint.
async fn handler(
    State(state): State<OauthState>,
    sender: Sender,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Failure> {
    match dispatch(&state, &headers, &form).await {
        Ok(reply) => Ok((NO_STORE, axum::Json(reply)).into_response()),
        Err(failure) => {
            refusal::note(&state, &sender, &headers, Some(&form), "token-refused", &failure).await;
            Err(failure)
        }
    }
}

async fn dispatch(state: &OauthState, headers: &HeaderMap, form: &Form) -> Result<Reply, Failure> {
    match form.required("grant_type")? {
        "authorization_code" => authorization_code::exchange(state, headers, form).await,
        "refresh_token" => refresh_token::exchange(state, headers, form).await,
        "client_credentials" => client_credentials::issue(state, headers, form).await,
        _ => Err(Failure::new(Code::UnsupportedGrantType, "this grant type is not supported")),
    }
}
