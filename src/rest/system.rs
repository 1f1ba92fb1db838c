//! System level: `POST [base]` with a transaction or batch Bundle.

use axum::{extract::State, http::HeaderMap, response::Response};

use super::{
    RestState,
    body::FhirBody,
    caller::Authenticated,
    error,
    error::RestError,
    preference::{Preference, Return},
    reply,
};
use crate::interaction::bundle::{self, Detail};

/// transaction or batch, by `Bundle.type`.
pub async fn bundle(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
    body: FhirBody,
) -> Result<Response, RestError> {
    let resource = body.of_type("Bundle")?;
    let preference = Preference::of(&headers);
    let detail = match preference.returns {
        Some(Return::Representation) => Detail::Resources,
        Some(Return::OperationOutcome) => Detail::Outcomes,
        Some(Return::Minimal) | None => Detail::Nothing,
    };
    let status = |failure: &_| error::status(failure).to_string();
    let answer = bundle::process(&state.engine, &caller, &resource, detail, &status).await?;
    Ok(reply::entries(answer, &preference))
}
