//! How the endpoints for clients refuse: JSON with `error` and `error_description` (RFC 6749 section 5.2).

use std::borrow::Cow;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::store;
use crate::token::key_set;
use crate::web::limit::TooMany;

/// The codes, each with its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    InvalidRequest,
    InvalidClient,
    InvalidGrant,
    UnauthorizedClient,
    UnsupportedGrantType,
    InvalidScope,
    /// A bearer token at an endpoint for clients (RFC 6750 section 3.1).
    InvalidToken,
    ServerError,
    TemporarilyUnavailable,
    /// Too many requests; RFC 6749 has no code of its own for it.
    TooMany,
}

impl Code {
    const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidToken => "invalid_token",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable | Self::TooMany => "temporarily_unavailable",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest
            | Self::InvalidGrant
            | Self::UnauthorizedClient
            | Self::UnsupportedGrantType
            | Self::InvalidScope => StatusCode::BAD_REQUEST,
            Self::InvalidClient | Self::InvalidToken => StatusCode::UNAUTHORIZED,
            Self::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
        }
    }
}

/// A refusal as the client is told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    code: Code,
    description: Cow<'static, str>,
    /// Seconds until it is worth another try.
    retry_after: Option<u64>,
}

impl Failure {
    /// `description` is for the developer of the client: ASCII, and nothing secret in it.
    pub fn new(code: Code, description: impl Into<Cow<'static, str>>) -> Self {
        Self { code, description: description.into(), retry_after: None }
    }

    /// Its code.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// What the client is told.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Whether it is this server that failed.
    pub const fn is_fault(&self) -> bool {
        matches!(self.code, Code::ServerError | Code::TemporarilyUnavailable)
    }
}

impl From<TooMany> for Failure {
    fn from(too_many: TooMany) -> Self {
        Self { retry_after: Some(too_many.retry_after), ..Self::new(Code::TooMany, too_many.to_string()) }
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        tracing::error!(%error, "the database failed an authorization request");
        if error.is_transient() {
            Self::new(Code::TemporarilyUnavailable, "try again shortly")
        } else {
            Self::new(Code::ServerError, "the request could not be completed")
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        store::Error::from(error).into()
    }
}

impl From<key_set::Error> for Failure {
    fn from(error: key_set::Error) -> Self {
        match error {
            key_set::Error::Store(error) => error.into(),
            error => {
                tracing::error!(%error, "the signing keys cannot be used");
                Self::new(Code::ServerError, "the request could not be completed")
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": self.code.as_str(), "error_description": self.description }));
        let mut response = (self.code.status(), NO_STORE, body).into_response();
        let challenge = match self.code {
            Code::InvalidClient => Some("Basic realm=\"sofa\", charset=\"UTF-8\""),
            Code::InvalidToken => Some("Bearer realm=\"sofa\", error=\"invalid_token\""),
            _ => None,
        };
        if let Some(challenge) = challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Tokens, and refusals to give them, are never kept by a cache (RFC 6749 section 5.1).
pub const NO_STORE: [(header::HeaderName, &str); 2] =
    [(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")];
