//! Operations: `$set-context`, `$clear-context`, and `$status` and `$events` of Subscriptions.

use axum::{
    extract::{Path, RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::{RestState, body::FhirBody, caller::Authenticated, error::RestError, reply};
use crate::{
    access::{Act, Caller, authorize},
    context::{clear, set},
    fhir::{outcome::IssueType, resource::Resource},
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
