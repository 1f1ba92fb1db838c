//! Instance level: `[base]/[type]/[id]` and its history.

use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    RestState,
    body::FhirBody,
    caller::Authenticated,
    error::RestError,
    kind::{KnownKind, known},
    preference::Preference,
    reply,
};
use crate::{
    access::{Act, Caller, Permit, authorize},
    fhir::{instant, outcome::IssueType, types},
    interaction::{Failure, delete, history, read, update},
};

/// read, with `If-None-Match` (304).
pub async fn read(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Path((kind, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, RestError> {
    let permit = may_read(&caller, &kind, &id)?;
    let stored = read::read(&state.engine, &permit, &kind, &id).await?;
    let tag = format!("W/\"{}\"", stored.version);
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let unchanged = known.split(',').map(str::trim).any(|one| one == tag || one == tag.trim_start_matches("W/"));
    let mut response = reply::version(stored);
    if unchanged {
        let headers = std::mem::take(response.headers_mut());
        response = StatusCode::NOT_MODIFIED.into_response();
        response.headers_mut().extend(headers);
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    Ok(response)
}

/// vread
pub async fn vread(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Path((kind, id, version)): Path<(String, String, String)>,
) -> Result<Response, RestError> {
    let permit = may_read(&caller, &kind, &id)?;
    let stored = read::vread(&state.engine, &permit, &kind, &id, &version).await?;
    Ok(reply::version(stored))
}

/// Instance history with `_count` and `_since`.
pub async fn history(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Path((kind, id)): Path<(String, String)>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, RestError> {
    let permit = may_read(&caller, &kind, &id)?;
    let bundle = history::history(&state.engine, &permit, &kind, &id, window(&query)?).await?;
    Ok(reply::json(StatusCode::OK, bundle))
}

fn window(query: &[(String, String)]) -> Result<history::Window, Failure> {
    let mut window = history::Window::default();
    for (name, value) in query {
        let repeated = match name.as_str() {
            "_count" => {
                let count = value.parse().ok().filter(|count| *count >= 0);
                let count = count.ok_or_else(|| Failure::bad_request(IssueType::Value, "_count is a whole number"))?;
                window.count.replace(count).is_some()
            }
            "_since" => {
                // '+' of a time zone offset is often sent unescaped and arrives as a space.
                let since = instant::parse(&value.replace(' ', "+"));
                let since = since.ok_or_else(|| {
                    Failure::bad_request(IssueType::Value, "_since is an instant such as 2026-01-02T03:04:05Z")
                })?;
                window.since.replace(since).is_some()
            }
            _ => false,
        };
        if repeated {
            return Err(Failure::bad_request(IssueType::Value, format!("{name} may be given once")));
        }
    }
    Ok(window)
}

/// update
pub async fn update(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    _: KnownKind,
    Path((kind, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: FhirBody,
) -> Result<Response, RestError> {
    let permit = authorize(&caller, Act::Update { kind: &kind })?;
    if !types::is_id(&id) {
        return Err(Failure::bad_request(IssueType::Value, "an id is 1 to 64 of A-Z a-z 0-9 - .").into());
    }
    let if_match = if_match(&headers)?;
    let resource = body.of_type(&kind)?;
    let written = update::update(&state.engine, &caller, permit, &id, resource, if_match).await?;
    Ok(reply::written(&state.engine.base, written, &Preference::of(&headers)))
}

/// delete
pub async fn delete(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Path((kind, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, RestError> {
    known(&kind)?;
    let permit = authorize(&caller, Act::Delete { kind: &kind })?;
    let if_match = if_match(&headers)?;
    let written = delete::delete(&state.engine, &caller, permit, &kind, &id, if_match).await?;
    Ok(reply::written(&state.engine.base, written, &Preference::of(&headers)))
}

fn may_read(caller: &Caller, kind: &str, id: &str) -> Result<Permit, RestError> {
    known(kind)?;
    if !types::is_id(id) {
        return Err(Failure::NotFound.into());
    }
    Ok(authorize(caller, Act::Read { kind, id })?)
}

/// `If-Match: W/"3"`, compared weakly (FHIR R4 http.html#concurrency).
fn if_match(headers: &HeaderMap) -> Result<Option<i64>, Failure> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let version = value.to_str().ok().and_then(|text| {
        text.trim().trim_start_matches("W/").strip_prefix('"')?.strip_suffix('"')?.parse::<i64>().ok()
    });
    let text = "If-Match holds one version as an ETag, such as W/\"3\"";
    version.map(Some).ok_or_else(|| Failure::bad_request(IssueType::Value, text))
}
