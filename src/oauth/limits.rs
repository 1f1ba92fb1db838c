//! How much one address, or one client, may ask of the authorization server in a minute (`[limits]`).
//!
//! Addresses are counted before anything else is done for a request: no client is looked up and no signature checked for
//! whoever asks too often. A client is counted once it has proved who it is; the name alone, which anybody can send, would
//! let strangers use up its allowance.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::OauthState;
use super::error::Failure;
use super::page::{self, Problem};
use super::visitor::Language;
use crate::config;
use crate::web::limit::{Limiter, TooMany};
use crate::web::peer;

/// So many times the sign-in forms of a minute may be opened at once: a clinic begins its day together.
const SIGN_IN_BURST: u32 = 5;

/// The counts of this process.
pub struct Limits {
    by_address: Limiter<IpAddr>,
    by_client: Limiter<String>,
    sign_ins: Limiter<IpAddr>,
}

impl Limits {
    /// Counts that begin now.
    pub fn new(config: &config::Limits) -> Self {
        let sign_ins = config.sign_ins_per_address;
        Self {
            by_address: Limiter::per_minute(config.oauth_per_address),
            by_client: Limiter::per_minute(config.oauth_per_client),
            sign_ins: Limiter::new(sign_ins, sign_ins.saturating_mul(SIGN_IN_BURST)),
        }
    }

    /// One more request of a client that proved who it is.
    pub fn client(&self, client_id: &str) -> Result<(), TooMany> {
        self.by_client.admit(&client_id.to_owned())
    }

    /// One more authorization request is kept for its form to come back.
    pub fn sign_in(&self, address: IpAddr) -> Result<(), TooMany> {
        self.sign_ins.admit(&peer::network(address))
    }

    fn address(&self, request: &Request) -> Result<(), TooMany> {
        self.by_address.admit(&peer::network(peer::of(request.extensions())))
    }
}

/// Before the endpoints for clients: 429 JSON.
pub async fn clients(State(state): State<OauthState>, request: Request, next: Next) -> Response {
    match state.limits.address(&request) {
        Ok(()) => next.run(request).await,
        Err(too_many) => Failure::from(too_many).into_response(),
    }
}

/// Before the pages: 429, a page.
pub async fn people(State(state): State<OauthState>, request: Request, next: Next) -> Response {
    match state.limits.address(&request) {
        Ok(()) => next.run(request).await,
        Err(TooMany { retry_after }) => {
            let mut response = page::problem(Language::of(request.headers()), Problem::TooMany);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
            response
        }
    }
}
