//! Request bodies: the right media type, within the size limit, UTF-8.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{StatusCode, header},
    response::IntoResponse,
};

use super::{RestState, error::RestError, negotiate};
use crate::{
    fhir::{
        outcome::{IssueType, Outcome},
        resource::Resource,
    },
    interaction::Failure,
};

/// A parsed resource of any type.
pub struct FhirBody(pub Resource);

impl FromRequest<RestState> for FhirBody {
    type Rejection = RestError;

    async fn from_request(request: Request, state: &RestState) -> Result<Self, RestError> {
        let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.unwrap_or_default().to_owned();
        if !negotiate::is_json(&media_type) {
            let text = format!("this server reads application/fhir+json (R4, 4.0), not '{media_type}'");
            return Err(RestError::UnsupportedMediaType(text));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE {
                RestError::TooLarge
            } else {
                Failure::bad_request(IssueType::Structure, "the body ended too early").into()
            }
        })?;
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let text = format!("the body is not UTF-8 from byte {} on", error.valid_up_to());
            RestError::from(Failure::bad_request(IssueType::Structure, text))
        })?;
        let limits = state.engine.limits();
        Resource::parse(text, &limits).map(Self).map_err(|issue| Failure::from(issue).into())
    }
}

/// The `Parameters` of an operation that may be called without a body.
pub struct OptionalBody(pub Option<Resource>);

impl FromRequest<RestState> for OptionalBody {
    type Rejection = RestError;

    async fn from_request(request: Request, state: &RestState) -> Result<Self, RestError> {
        let empty = request.headers().get(header::CONTENT_TYPE).is_none()
            && request.headers().get(header::CONTENT_LENGTH).is_none_or(|length| length == "0");
        if empty { Ok(Self(None)) } else { Ok(Self(Some(FhirBody::from_request(request, state).await?.0))) }
    }
}

impl FhirBody {
    /// The resource, if it has the type of the URL; 400 otherwise (FHIR R4 http.html#create).
    pub fn of_type(self, kind: &str) -> Result<Resource, RestError> {
        if self.0.type_name() == kind {
            return Ok(self.0);
        }
        let text = format!("the URL is for {kind}, the body is a {}", self.0.type_name());
        Err(Failure::BadRequest(Outcome::error(IssueType::Invalid, text).at(self.0.type_name())).into())
    }
}
