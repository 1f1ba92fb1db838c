//! Type level: `POST [base]/[type]`, and the interactions whose resource is named by a condition: `PUT`, `PATCH` and
//! `DELETE [base]/[type]?…` (FHIR R4 http.html#cond-update).

use axum::{extract::State, http::HeaderMap, response::Response};

use super::{
    RestState,
    body::{FhirBody, PatchBody},
    caller::Authenticated,
    error::RestError,
    extract::{Path, RawQuery},
    instance::if_match,
    preference::Preference,
    reply,
};
use crate::{
    access::{Act, authorize},
    fhir::outcome::IssueType,
    interaction::{
        Failure,
        condition::Condition,
        create,
        settle::{self, Ask, Asked, Target},
        validate::{self, Verdict},
    },
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

/// Conditional update.
pub async fn update(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Path(kind): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: FhirBody,
) -> Result<Response, RestError> {
    let permit = authorize(&caller, Act::Update { kind: &kind })?;
    let condition = Condition::parse(&state.engine, &caller, &kind, &query)?;
    let if_match = if_match(&headers)?;
    let resource = body.of_type(&kind)?;
    let verdict = validate::one(&state.engine, &resource).await?;
    let asked = Asked::alone(permit, Ask::Update { condition, resource, if_match });
    let written = settle::write(&state.engine, &caller, asked, verdict).await?;
    Ok(reply::written(&state.engine.base, written, &Preference::of(&headers)))
}

/// Conditional patch.
pub async fn patch(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Path(kind): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    PatchBody(patch): PatchBody,
) -> Result<Response, RestError> {
    let permit = authorize(&caller, Act::Update { kind: &kind })?;
    let target = Target::Condition(Box::new(Condition::parse(&state.engine, &caller, &kind, &query)?));
    let ask = Ask::Patch { kind, target, patch: Box::new(patch), if_match: if_match(&headers)? };
    let asked = Asked::alone(permit, ask);
    let written = settle::write(&state.engine, &caller, asked, Verdict::of_settled_content()).await?;
    Ok(reply::written(&state.engine.base, written, &Preference::of(&headers)))
}

/// Conditional delete, of one resource.
pub async fn delete(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Path(kind): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, RestError> {
    let permit = authorize(&caller, Act::Delete { kind: &kind })?;
    let condition = Condition::parse(&state.engine, &caller, &kind, &query)?;
    let asked = Asked::alone(permit, Ask::Delete { condition, kind, if_match: if_match(&headers)? });
    let written = settle::write(&state.engine, &caller, asked, Verdict::of_a_delete()).await?;
    Ok(reply::written(&state.engine.base, written, &Preference::of(&headers)))
}
