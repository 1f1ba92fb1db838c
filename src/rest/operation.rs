//! Operations: `$set-context`, `$clear-context`, and `$status` and `$events` of Subscriptions.

use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::{
    RestState,
    body::{FhirBody, OptionalBody},
    caller::Authenticated,
    error::RestError,
    reply,
};
use crate::{
    access::{Act, authorize},
    context::{clear, set},
    fhir::{outcome::IssueType, types},
    interaction::{Failure, subscription},
};

/// Longest `Idempotency-Key`.
const MAX_KEY_LENGTH: usize = 255;

/// `POST [base]/$set-context`
pub async fn set_context(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
    FhirBody(body): FhirBody,
) -> Result<Response, RestError> {
    let permit = authorize(&caller, Act::SetContext)?;
    let idempotency_key = match headers.get("idempotency-key").map(|value| value.to_str()) {
        None => None,
        Some(Ok(key)) if (1..=MAX_KEY_LENGTH).contains(&key.len()) => Some(key),
        Some(_) => {
            let text = format!("an Idempotency-Key has 1 to {MAX_KEY_LENGTH} printable ASCII characters");
            return Err(Failure::bad_request(IssueType::Value, text).into());
        }
    };
    let answer = set::set(&state.engine, &caller, &permit, set::Request { body: &body, idempotency_key }).await?;
    Ok(reply::json(StatusCode::OK, answer))
}

/// `POST [base]/$clear-context`
pub async fn clear_context(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    FhirBody(body): FhirBody,
) -> Result<Response, RestError> {
    let permit = authorize(&caller, Act::ClearContext)?;
    Ok(reply::json(StatusCode::OK, clear::clear(&state.engine, &caller, &permit, &body).await?))
}

type Inputs = Vec<(String, String)>;

/// `GET [base]/Subscription/$status?id=…&status=…`
pub async fn statuses_get(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Query(inputs): Query<Inputs>,
) -> Result<Response, RestError> {
    let permit = authorize(&caller, Act::Read { kind: "Subscription", id: "" })?;
    Ok(reply::json(StatusCode::OK, subscription::statuses(&state.engine, &permit, &inputs).await?))
}

/// `POST [base]/Subscription/$status`
pub async fn statuses_post(
    state: State<RestState>,
    caller: Authenticated,
    body: OptionalBody,
) -> Result<Response, RestError> {
    statuses_get(state, caller, Query(inputs(body)?)).await
}

/// `GET|POST [base]/Subscription/[id]/$status`; parameters are ignored at this level.
pub async fn status(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
) -> Result<Response, RestError> {
    let permit = authorize(&caller, Act::Read { kind: "Subscription", id: known(&id)? })?;
    Ok(reply::json(StatusCode::OK, subscription::status(&state.engine, &permit, &id).await?))
}

/// `GET [base]/Subscription/[id]/$events?eventsSinceNumber=…&eventsUntilNumber=…&content=…`
pub async fn events_get(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    Query(inputs): Query<Inputs>,
) -> Result<Response, RestError> {
    let permit = authorize(&caller, Act::Read { kind: "Subscription", id: known(&id)? })?;
    Ok(reply::json(StatusCode::OK, subscription::events(&state.engine, &permit, &id, &inputs).await?))
}

/// `POST [base]/Subscription/[id]/$events`
pub async fn events_post(
    state: State<RestState>,
    caller: Authenticated,
    id: Path<String>,
    body: OptionalBody,
) -> Result<Response, RestError> {
    events_get(state, caller, id, Query(inputs(body)?)).await
}

fn inputs(OptionalBody(body): OptionalBody) -> Result<Inputs, Failure> {
    body.as_ref().map_or_else(|| Ok(Vec::new()), subscription::inputs)
}

fn known(id: &str) -> Result<&str, Failure> {
    if types::is_id(id) { Ok(id) } else { Err(Failure::NotFound) }
}
