//! `POST /revoke` (RFC 7009): an access or refresh token ends, and with it its whole grant.
//!
//! | situation | answer |
//! |---|---|
//! | the client's own token, whatever `token_type_hint` says | 200, and no token of the grant works any more |
//! | unknown, ended, or another client's | 200, nothing happens |
//! | the client is not believed | 401 `invalid_client` |

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use time::OffsetDateTime;
use uuid::Uuid;

use super::OauthState;
use super::client_auth::authenticate;
use super::error::{Failure, NO_STORE};
use super::form::Form;
use super::refusal::{self, Sender};
use super::visitor::request_id;
use crate::id::token_digest;
use crate::store;
use crate::store::audit::Entry;
use crate::store::client::Client;
use crate::token::key_set::VerifyError;

/// The route of this endpoint.
pub fn routes() -> Router<OauthState> {
    Router::new().route("/revoke", post(handler))
}

/// Ends a token.
async fn handler(
    State(state): State<OauthState>,
    sender: Sender,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Failure> {
    let client = match authenticate(&state, &headers, &form).await {
        Ok(client) => client,
        Err(failure) => {
            refusal::note(&state, &sender, &headers, Some(&form), "token-revoke", &failure).await;
            return Err(failure);
        }
    };
    let token = form.required("token")?;
    let now = state.now();
    if let Some(grant) = find_grant(&state, &client, token, now).await? {
        end(&state, &client, grant, request_id(&headers), now).await?;
    }
    Ok((StatusCode::OK, NO_STORE).into_response())
}

/// The grant of one of this client's tokens.
async fn find_grant(
    state: &OauthState,
    client: &Client,
    token: &str,
    now: OffsetDateTime,
) -> Result<Option<Uuid>, Failure> {
    let mut conn = state.engine.pool.acquire().await?;
    if let Some(refresh) = store::grant::find_refresh(&mut conn, &token_digest(token)).await? {
        return Ok((refresh.client_id == client.client_id).then_some(refresh.grant_id));
    }
    drop(conn);
    match state.keys.verify_access(token, &state.engine.config.server.fhir_base(), now).await {
        Ok(claims) => Ok((claims.client_id == client.client_id).then_some(claims.gid)),
        Err(VerifyError::Invalid(_) | VerifyError::Expired) => Ok(None),
        Err(VerifyError::Unavailable(error)) => Err(error.into()),
    }
}

async fn end(
    state: &OauthState,
    client: &Client,
    grant: Uuid,
    request_id: Option<&str>,
    now: OffsetDateTime,
) -> Result<(), Failure> {
    let mut tx = store::begin(&state.engine.pool).await?;
    if store::grant::revoke(&mut tx, grant, now).await? {
        let entry = Entry {
            action: "token-revoke",
            outcome: "success",
            client_id: Some(&client.client_id),
            tenant: client.tenant,
            request_id,
            ..Entry::default()
        };
        store::audit::append(tx.conn(), &entry, now).await?;
    }
    Ok(tx.commit().await?)
}
