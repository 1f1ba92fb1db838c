//! Answers: bodies and the headers that go with a version.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::preference::{self, Preference, Return};
use crate::{
    fhir::{format::Format, instant, outcome::Outcome},
    interaction::{
        Stored,
        write::{Fate, Written},
    },
};

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// A FHIR document. What the client cannot read as JSON becomes XML on its way out: see [`super::negotiate`].
pub fn json(status: StatusCode, text: impl Into<Body>) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static(Format::Json.media_type()))], text.into()).into_response()
}

/// An OperationOutcome.
pub fn outcome(status: StatusCode, outcome: &Outcome) -> Response {
    json(status, outcome.to_json().to_string())
}

/// A Bundle of what was listed, with `Preference-Applied` for how unknown parameters were handled.
pub fn listing(bundle: String, preference: &Preference) -> Response {
    json_after(bundle, preference.handling.map(preference::applied))
}

/// What a Bundle of requests is answered with, with `Preference-Applied` for what its entries return.
pub fn entries(bundle: String, preference: &Preference) -> Response {
    json_after(bundle, preference.returns.map(Return::applied))
}

fn json_after(text: String, applied: Option<&'static str>) -> Response {
    let mut response = json(StatusCode::OK, text);
    tell_applied(&mut response, applied);
    response
}

fn tell_applied(response: &mut Response, applied: Option<&'static str>) {
    if let Some(applied) = applied {
        response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static(applied));
    }
}

/// A version that was read.
pub fn version(stored: Stored) -> Response {
    let headers = version_headers(&stored);
    let mut response = json(StatusCode::OK, stored.body);
    response.headers_mut().extend(headers);
    response
}

/// The answer to a create, update or delete, as `Prefer` asks for it (FHIR R4 http.html#return); minimal where the caller may
/// not see what is stored.
pub fn written(base: &str, written: Written, preference: &Preference) -> Response {
    let status = match (written.fate, preference.returns) {
        (Fate::Created, _) => StatusCode::CREATED,
        (Fate::Deleted, Some(Return::OperationOutcome)) | (Fate::Updated | Fate::Found, _) => StatusCode::OK,
        (Fate::Deleted, _) => StatusCode::NO_CONTENT,
    };
    let headers = written.stored.as_ref().map(version_headers).unwrap_or_default();
    let location = written
        .stored
        .as_ref()
        .map(|stored| format!("{base}/{}/{}/_history/{}", stored.kind, stored.id, stored.version));
    let told = written.outcome();
    let is_withheld = written.stored.is_some() && !written.is_shown;
    let mut response = match (preference.returns, written.stored.filter(|_| written.is_shown)) {
        (Some(Return::OperationOutcome), _) => outcome(status, &told),
        (Some(Return::Minimal), _) | (_, None) => status.into_response(),
        (Some(Return::Representation) | None, Some(stored)) => json(status, stored.body),
    };
    response.headers_mut().extend(headers);
    let sets_location = matches!(written.fate, Fate::Created | Fate::Found);
    if let Some(location) = location.and_then(|l| HeaderValue::from_str(&l).ok()).filter(|_| sets_location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    // Of what was deleted nothing can be represented; what may not be read is not.
    let has_none = is_withheld || status == StatusCode::NO_CONTENT;
    let applied = preference.returns.filter(|returns| !(has_none && *returns == Return::Representation));
    tell_applied(&mut response, applied.map(Return::applied));
    response
}

fn version_headers(stored: &Stored) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(etag) = HeaderValue::from_str(&format!("W/\"{}\"", stored.version)) {
        headers.insert(header::ETAG, etag);
    }
    if let Ok(updated) = HeaderValue::from_str(&instant::http_date(stored.updated)) {
        headers.insert(header::LAST_MODIFIED, updated);
    }
    headers
}
