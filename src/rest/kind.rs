//! Type level: `POST [base]/[type]`, and the interactions whose resource is named by a condition: `PUT`, `PATCH` and
//! `DELETE [base]/[type]?…` (FHIR R4 http.html#cond-update).

use axum::response::Response;

use super::{
    body::{FhirBody, PatchBody},
    error::RestError,
    extract::{Path, RawQuery},
    writing::Writing,
};
use crate::{
    access::{Act, authorize},
    fhir::outcome::IssueType,
    interaction::{
        Failure, create,
        settle::{Ask, Target},
        validate::{self, Verdict},
    },
};

/// create; conditional with `If-None-Exist`.
pub async fn create(writing: Writing, Path(kind): Path<String>, body: FhirBody) -> Result<Response, RestError> {
    let mut queries = writing.headers.get_all("if-none-exist").iter();
    let condition = match (queries.next(), queries.next()) {
        (None, _) => None,
        (Some(query), None) if let Ok(query) = query.to_str() => Some(writing.condition(&kind, query)?),
        _ => return Err(Failure::bad_request(IssueType::Value, "If-None-Exist is one search query").into()),
    };
    let permit = authorize(&writing.caller, Act::Create { kind: &kind, conditional: condition.is_some() })?;
    let resource = body.of_type(&kind)?;
    let written = create::create(&writing.state.engine, &writing.caller, permit, resource, condition).await?;
    Ok(writing.answer(written))
}

/// Conditional update.
pub async fn update(
    writing: Writing,
    Path(kind): Path<String>,
    RawQuery(query): RawQuery,
    body: FhirBody,
) -> Result<Response, RestError> {
    let permit = authorize(&writing.caller, Act::Update { kind: &kind })?;
    let (condition, if_match) = (writing.condition(&kind, &query)?, writing.if_match()?);
    let resource = body.of_type(&kind)?;
    let verdict = validate::one(&writing.state.engine, &resource).await?;
    writing.settle(permit, Ask::Update { condition, resource, if_match }, verdict).await
}

/// Conditional patch.
pub async fn patch(
    writing: Writing,
    Path(kind): Path<String>,
    RawQuery(query): RawQuery,
    PatchBody(patch): PatchBody,
) -> Result<Response, RestError> {
    let permit = authorize(&writing.caller, Act::Update { kind: &kind })?;
    let target = Target::Condition(Box::new(writing.condition(&kind, &query)?));
    let ask = Ask::Patch { kind, target, patch: Box::new(patch), if_match: writing.if_match()? };
    writing.settle(permit, ask, Verdict::of_settled_content()).await
}

/// Conditional delete, of one resource.
pub async fn delete(
    writing: Writing,
    Path(kind): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, RestError> {
    let permit = authorize(&writing.caller, Act::Delete { kind: &kind })?;
    let (condition, if_match) = (writing.condition(&kind, &query)?, writing.if_match()?);
    writing.settle(permit, Ask::Delete { condition, kind, if_match }, Verdict::of_a_delete()).await
}
