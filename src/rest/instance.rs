//! Instance level: `[base]/[type]/[id]` and its versions.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};

use super::{
    RestState,
    body::{FhirBody, PatchBody},
    caller::Authenticated,
    error::RestError,
    extract::{Parameters, Path, Query},
    reply,
    unchanged::unless_changed,
    writing::Writing,
};
use crate::{
    access::{Act, authorize},
    fhir::outcome::IssueType,
    interaction::{
        Failure, delete,
        read::{self, version_of_tag},
        settle::{Ask, Target},
        update,
        validate::Verdict,
        write::Expected,
    },
};

/// read, with `If-None-Match` and `If-Modified-Since` (304).
pub async fn read(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Path((kind, id)): Path<(String, String)>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Result<Response, RestError> {
    let permit = authorize(&caller, Act::Read { kind: &kind, id: &id })?;
    let stored = read::read(&state.engine, &permit, &kind, &id).await?;
    let stored = read::part(&state.engine, stored, &query)?;
    Ok(unless_changed(&headers, reply::version(stored)))
}

/// vread, with the same conditions.
pub async fn vread(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Path((kind, id, version)): Path<(String, String, String)>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Result<Response, RestError> {
    let permit = authorize(&caller, Act::Read { kind: &kind, id: &id })?;
    let stored = read::vread(&state.engine, &permit, &kind, &id, &version).await?;
    let stored = read::part(&state.engine, stored, &query)?;
    Ok(unless_changed(&headers, reply::version(stored)))
}

/// update, with `If-Match`, or `If-None-Match: *` to create only.
pub async fn update(
    writing: Writing,
    Path((kind, id)): Path<(String, String)>,
    body: FhirBody,
) -> Result<Response, RestError> {
    let permit = authorize(&writing.caller, Act::Update { kind: &kind })?;
    let expected = expected(&writing.headers)?;
    let resource = body.of_type(&kind)?;
    let written = update::update(&writing.state.engine, &writing.caller, permit, &id, resource, expected).await?;
    Ok(writing.answer(written))
}

/// delete, with `If-Match`.
pub async fn delete(writing: Writing, Path((kind, id)): Path<(String, String)>) -> Result<Response, RestError> {
    let permit = authorize(&writing.caller, Act::Delete { kind: &kind })?;
    let if_match = writing.if_match()?;
    let written = delete::delete(&writing.state.engine, &writing.caller, permit, &kind, &id, if_match).await?;
    Ok(writing.answer(written))
}

/// patch, by JSON Patch or FHIRPath Patch, with `If-Match`.
pub async fn patch(
    writing: Writing,
    Path((kind, id)): Path<(String, String)>,
    PatchBody(patch): PatchBody,
) -> Result<Response, RestError> {
    let permit = authorize(&writing.caller, Act::Update { kind: &kind })?;
    let ask = Ask::Patch { kind, target: Target::Id(id), patch: Box::new(patch), if_match: writing.if_match()? };
    writing.settle(permit, ask, Verdict::of_settled_content()).await
}

/// `If-Match` or `If-None-Match: *` of an update.
fn expected(headers: &HeaderMap) -> Result<Option<Expected>, Failure> {
    let version = if_match(headers)?.map(Expected::Version);
    let mut values = headers.get_all(header::IF_NONE_MATCH).iter().map(HeaderValue::as_bytes);
    match values.next() {
        None => Ok(version),
        Some(b"*") if version.is_none() && values.next().is_none() => Ok(Some(Expected::Nothing)),
        Some(_) => {
            let text = "with an update, If-None-Match is * (only if nothing is there), and stands without If-Match";
            Err(Failure::bad_request(IssueType::Value, text))
        }
    }
}

/// `If-Match: W/"3"`, compared weakly (FHIR R4 http.html#concurrency).
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<i64>, Failure> {
    let mut values = headers.get_all(header::IF_MATCH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let only = values.next().is_none().then(|| value.to_str().ok()).flatten();
    let version = only.and_then(version_of_tag);
    let text = "If-Match holds one version as an ETag, such as W/\"3\"";
    version.map(Some).ok_or_else(|| Failure::bad_request(IssueType::Value, text))
}
