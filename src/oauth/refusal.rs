//! Tells the audit trail that an endpoint for clients refused: a guessed secret, a wrong code, a token that came back.
//!
//! The client is named when the request names a registered one: that it *is* that client nobody knows. What strangers cause
//! is counted ([`super::strangers`]).

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header::AUTHORIZATION};
use uuid::Uuid;

use super::OauthState;
use super::client_auth::decode_basic;
use super::error::{Code, Failure};
use super::form::Form;
use super::strangers;
use crate::id::token_digest;
use crate::store;
use crate::store::audit::Entry;
use crate::store::client::Client;
use crate::token::assertion::claimed_client;
use crate::web::{peer, request_id};

/// Who sent a request, as far as the network knows.
pub struct Sender {
    network: String,
    request_id: Option<String>,
}

impl FromRequestParts<OauthState> for Sender {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &OauthState) -> Result<Self, Infallible> {
        let network = peer::network(peer::of(&parts.extensions)).to_string();
        Ok(Self { network, request_id: request_id::of(&parts.headers) })
    }
}

/// Notes that `action` was refused.
pub async fn note(
    state: &OauthState,
    sender: &Sender,
    headers: &HeaderMap,
    form: Option<&Form>,
    action: &'static str,
    failure: &Failure,
) {
    let is_unbelieved = failure.code() == Code::InvalidClient;
    let client = claimed(state, headers, form).await;
    let context = named_launch(state, form).await;
    let entry = Entry {
        action: if is_unbelieved { "client-auth" } else { action },
        outcome: if failure.is_fault() { "failed" } else { "refused" },
        client_id: client.as_ref().map(|client| client.client_id.as_str()),
        context,
        tenant: client.as_ref().map_or(0, |client| client.tenant),
        request_id: sender.request_id.as_deref(),
        address: Some(&sender.network),
        detail: Some(failure.description()),
        ..Entry::default()
    };
    strangers::refused(state, &entry).await;
}

/// The launch that a code or refresh token was given for.
async fn named_launch(state: &OauthState, form: Option<&Form>) -> Option<Uuid> {
    let field = |name| form.and_then(|form| form.optional(name).ok().flatten());
    let token = field("code").or_else(|| field("refresh_token"))?;
    let mut conn = state.engine.pool.acquire().await.ok()?;
    store::grant::context_of(&mut conn, &token_digest(token)).await.ok().flatten()
}

/// The registered client that a request names.
async fn claimed(state: &OauthState, headers: &HeaderMap, form: Option<&Form>) -> Option<Client> {
    let basic = headers.get(AUTHORIZATION).and_then(|header| header.to_str().ok()).and_then(decode_basic);
    let by_basic = basic.and_then(|basic| basic.split_once(':').map(|(id, _)| id.to_owned()));
    let field = |name| form.and_then(|form| form.optional(name).ok().flatten());
    let by_assertion = || field("client_assertion").and_then(|jwt| claimed_client(jwt).ok());
    let id = by_basic.or_else(by_assertion).or_else(|| field("client_id").map(str::to_owned))?;
    if id.contains('\0') {
        return None;
    }
    let mut conn = state.engine.pool.acquire().await.ok()?;
    store::client::find(&mut conn, &id).await.ok().flatten()
}
