//! Type level: `POST [base]/[type]`.

use axum::{extract::State, http::HeaderMap, response::Response};

use super::{
    RestState, body::FhirBody, caller::Authenticated, error::RestError, extract::Path, preference::Preference, reply,
};
use crate::{
    access::{Act, authorize},
    fhir::outcome::IssueType,
    interaction::{Failure, condition::Condition, create},
};

/// create; conditional with `If-None-Exist`.
pub async fn create(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Path(kind): Path<String>,
    headers: HeaderMap,
    body: FhirBody,
) -> Result<Response, RestError> {
    let condition = match headers.get("if-none-exist") {
        None => None,
        Some(value) => {
            let query = value
                .to_str()
                .map_err(|_| Failure::bad_request(IssueType::Value, "If-None-Exist is not a search query"))?;
            Some(Condition::parse(&state.engine, &caller, &kind, query)?)
        }
    };
    let permit = authorize(&caller, Act::Create { kind: &kind, conditional: condition.is_some() })?;
    let resource = body.of_type(&kind)?;
    let written = create::create(&state.engine, &caller, permit, resource, condition).await?;
    Ok(reply::written(&state.engine.base, written, &Preference::of(&headers)))
}
