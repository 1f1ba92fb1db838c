//! Tells the audit trail of every request with a route that needs a token, before it is answered ([`crate::access::audit`]).
//!
//! | situation | recorded |
//! |---|---|
//! | something was seen | what the interactions noted |
//! | a read that noted nothing (`$validate` of what was sent) | that it happened |
//! | 4xx or 5xx to somebody with a good token | what was asked for, and the status |
//! | 401 or 429 to anybody else | the first of its kind in a minute, then a number |
//! | a row that must be stored cannot be | the answer becomes 503 |

use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{RestState, error::RestError, negotiate};
use crate::{
    access::audit::{self, NotStored, Seen, Trail},
    store::audit::Entry,
    web::{peer, request_id},
};

/// What was asked for, and where from.
struct Asked {
    method: String,
    path: String,
    request_id: Option<String>,
    address: String,
    network: String,
}

/// Records the request and lets its answer go.
pub async fn middleware(State(state): State<RestState>, mut request: Request, next: Next) -> Response {
    let sender = peer::of(request.extensions());
    let path = request.uri().path();
    let asked = Asked {
        method: request.method().to_string(),
        path: path.strip_prefix(state.path).unwrap_or(path).to_owned(),
        request_id: request_id::of(request.headers()),
        address: sender.to_string(),
        network: peer::network(sender).to_string(),
    };
    let trail = Trail::default();
    request.extensions_mut().insert(trail.clone());
    let response = next.run(request).await;
    let told = Told::of(&response);
    match asked.record(&state, &trail, &told).await {
        Ok(()) => response,
        Err(NotStored) => RestError::NotRecorded.into_response(),
    }
}

/// What is answered.
struct Told {
    status: StatusCode,
    reads: bool,
    /// Whether a token is asked for, and none was there.
    has_no_token: bool,
}

impl Told {
    fn of(response: &Response) -> Self {
        let challenge = response.headers().get(header::WWW_AUTHENTICATE);
        Self {
            status: response.status(),
            reads: response.extensions().get::<negotiate::Read>().is_some(),
            has_no_token: challenge.is_some_and(|challenge| challenge == "Bearer"),
        }
    }
}

impl Asked {
    async fn record(&self, state: &RestState, trail: &Trail, told: &Told) -> Result<(), NotStored> {
        let status = told.status;
        let has_failed = status.is_client_error() || status.is_server_error();
        if !trail.is_known() {
            if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS) {
                self.refused(state, trail, told).await;
            }
            return Ok(());
        }
        let recorder = &state.engine.recorder;
        if has_failed {
            trail.note(audit::refusal(&self.method, &self.path, status.as_str()));
        } else if !recorder.records_reads() {
            return Ok(());
        } else if trail.is_empty() && told.reads {
            let action = audit::act(&self.method, &self.path);
            trail.note(Seen { action, target: audit::address(&self.path), ..Seen::default() });
        }
        let rows = trail.rows(state.engine.now(), self.request_id.as_deref(), Some(&self.address));
        recorder.record(rows).await
    }

    /// Somebody nobody knows, or does any more, was refused.
    async fn refused(&self, state: &RestState, trail: &Trail, told: &Told) {
        let ended = trail.ended();
        let detail = match told.status {
            StatusCode::TOO_MANY_REQUESTS => "too many requests",
            _ if ended.is_some() => "a token whose grant has ended",
            _ if told.has_no_token => "no token",
            _ => "a token that is not good",
        };
        let entry = Entry {
            action: "access",
            outcome: "refused",
            client_id: ended.as_ref().map(|(client, _)| client.as_str()),
            grant_id: ended.as_ref().map(|(_, grant)| *grant),
            request_id: self.request_id.as_deref(),
            address: Some(&self.network),
            detail: Some(detail),
            ..Entry::default()
        };
        state.engine.recorder.refused_stranger(&entry, state.engine.now()).await;
    }
}
