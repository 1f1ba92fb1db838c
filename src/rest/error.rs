//! Failures as HTTP: one exhaustive match from [`Failure`] to statuses, each with an OperationOutcome.

use axum::{
    http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

use super::reply;
use crate::{
    fhir::outcome::{IssueType, Outcome},
    interaction::Failure,
    web::limit::TooMany,
};

/// What went wrong on the way to or in an interaction.
#[derive(Debug)]
pub enum RestError {
    /// No token: 401 without an error code (RFC 6750 section 3.1).
    NoToken,
    /// A token that was good and is no longer: 401 `invalid_token`.
    ExpiredToken,
    /// A token that does not count, and why: 401 `invalid_token`.
    BadToken(&'static str),
    /// `Accept` or `_format` asks for something else: 406.
    NotAcceptable(String),
    /// The body's type is not spoken here: 415.
    UnsupportedMediaType(String),
    /// A patch of another kind: 415, with the kinds there are.
    UnsupportedPatch(String),
    /// The body is too large: 413.
    TooLarge,
    /// Path and query are longer than so many bytes: 414.
    UrlTooLong(usize),
    /// The sender asks too often: 429.
    Throttled(TooMany),
    /// It could be answered, but not recorded: 503.
    NotRecorded,
    /// The interaction failed.
    Failed(Failure),
}

impl From<Failure> for RestError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<crate::access::Denied> for RestError {
    fn from(denied: crate::access::Denied) -> Self {
        Self::Failed(denied.into())
    }
}

/// The status of a failure, also inside batch answers.
pub fn status(failure: &Failure) -> StatusCode {
    match failure {
        Failure::BadRequest(_) => StatusCode::BAD_REQUEST,
        Failure::Ended => StatusCode::UNAUTHORIZED,
        Failure::Forbidden(_) => StatusCode::FORBIDDEN,
        Failure::NotFound => StatusCode::NOT_FOUND,
        Failure::NotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
        Failure::Conflict(_) | Failure::Overtaken => StatusCode::CONFLICT,
        Failure::Gone => StatusCode::GONE,
        Failure::PreconditionFailed(_) => StatusCode::PRECONDITION_FAILED,
        Failure::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Failure::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
        Failure::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        Failure::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
        Failure::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The kinds of patches.
const ACCEPT_PATCH: &str = "application/json-patch+json, application/fhir+json, application/fhir+xml";

/// Seconds after which a 503 is worth another try.
const RETRY_AFTER: &str = "2";

impl IntoResponse for RestError {
    fn into_response(self) -> Response {
        let (status, outcome, challenge) = match &self {
            Self::NoToken => {
                let outcome = Outcome::error(IssueType::Login, "this needs an access token: Authorization: Bearer …");
                (StatusCode::UNAUTHORIZED, outcome, Some("Bearer"))
            }
            Self::ExpiredToken => (
                StatusCode::UNAUTHORIZED,
                Outcome::error(IssueType::Expired, "the token has expired"),
                Some("Bearer error=\"invalid_token\""),
            ),
            Self::BadToken(reason) => (
                StatusCode::UNAUTHORIZED,
                Outcome::error(IssueType::Login, *reason),
                Some("Bearer error=\"invalid_token\""),
            ),
            Self::NotAcceptable(text) => {
                (StatusCode::NOT_ACCEPTABLE, Outcome::error(IssueType::NotSupported, text), None)
            }
            Self::UnsupportedMediaType(text) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, Outcome::error(IssueType::NotSupported, text), None)
            }
            Self::UnsupportedPatch(media_type) => {
                let text = format!("a patch is {ACCEPT_PATCH}, not '{media_type}'");
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, Outcome::error(IssueType::NotSupported, text), None)
            }
            Self::TooLarge => {
                let outcome = Outcome::error(IssueType::TooLong, "the body is larger than this server takes");
                (StatusCode::PAYLOAD_TOO_LARGE, outcome, None)
            }
            Self::UrlTooLong(most) => {
                let text = format!("the address is longer than {most} bytes: use POST with _search");
                (StatusCode::URI_TOO_LONG, Outcome::error(IssueType::TooLong, text), None)
            }
            Self::Throttled(too_many) => {
                (StatusCode::TOO_MANY_REQUESTS, Outcome::error(IssueType::Throttled, too_many.to_string()), None)
            }
            Self::NotRecorded => {
                let text = "the audit trail cannot be written, so nothing is shown; try again";
                (StatusCode::SERVICE_UNAVAILABLE, Outcome::error(IssueType::Transient, text), None)
            }
            Self::Failed(failure) => {
                let challenge = match failure {
                    Failure::Ended => Some("Bearer error=\"invalid_token\""),
                    Failure::Forbidden(_) => Some("Bearer error=\"insufficient_scope\""),
                    _ => None,
                };
                (status(failure), failure.outcome(), challenge)
            }
        };
        let mut response = reply::outcome(status, &outcome);
        if matches!(self, Self::UnsupportedPatch(_)) {
            let name = HeaderName::from_static("accept-patch");
            response.headers_mut().insert(name, HeaderValue::from_static(ACCEPT_PATCH));
        }
        if let Some(challenge) = challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Self::Throttled(too_many) = self {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(too_many.retry_after));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        response
    }
}

/// No route has this path: 404 with an OperationOutcome.
pub async fn no_route(uri: Uri) -> Response {
    let text = format!("there is nothing at {}", uri.path());
    reply::outcome(StatusCode::NOT_FOUND, &Outcome::error(IssueType::NotFound, text))
}

/// The path exists, but not for this method: 405; [`super::gate`] adds `Allow`.
pub async fn wrong_method(method: Method, uri: Uri) -> Response {
    let text = format!("{method} is not offered at {}", uri.path());
    reply::outcome(StatusCode::METHOD_NOT_ALLOWED, &Outcome::error(IssueType::NotSupported, text))
}
