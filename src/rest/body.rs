//! Request bodies: JSON or XML, within the size limit, UTF-8. From here on a resource is JSON.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
};
use http_body::Body as _;

use super::{RestState, error::RestError};
use crate::{
    fhir::{
        format::{Format, JSON_PATCH, is_json_patch},
        outcome::{IssueType, Outcome},
        patch::Patch,
        resource::Resource,
        xml,
    },
    interaction::Failure,
};

/// The media type of forms.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// A parsed resource of any type.
pub struct FhirBody(pub Resource);

impl FromRequest<RestState> for FhirBody {
    type Rejection = RestError;

    async fn from_request(request: Request, state: &RestState) -> Result<Self, RestError> {
        let media_type = media_type(request.headers()).to_owned();
        let Some(format) = Format::of_content_type(&media_type) else {
            let text = format!(
                "this server reads application/fhir+json and application/fhir+xml (R4, 4.0, UTF-8), not '{media_type}'"
            );
            return Err(RestError::UnsupportedMediaType(text));
        };
        let bytes = whole(request, state).await?;
        let text = utf8(&bytes)?;
        let limits = state.engine.limits();
        let resource = match format {
            Format::Json => Resource::parse(text, &limits),
            Format::Xml => {
                let json = xml::read(text, &limits)
                    .map_err(|issues| Outcome::of(issues).map_or(Failure::Internal, Failure::BadRequest))?;
                Resource::parse(&json, &limits)
            }
        };
        resource.map(Self).map_err(|issue| Failure::from(issue).into())
    }
}

/// What `Content-Type` says; empty when it says nothing.
pub fn media_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The type and subtype of a media type, without its parameters.
pub fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The whole body; 413 when it is larger than the limit.
pub async fn whole(request: Request, state: &RestState) -> Result<Bytes, RestError> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        if rejection.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE {
            RestError::TooLarge
        } else {
            Failure::bad_request(IssueType::Structure, "the body ended too early").into()
        }
    })
}

fn utf8(bytes: &[u8]) -> Result<&str, RestError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let text = format!("the body is not UTF-8 from byte {} on", error.valid_up_to());
        Failure::bad_request(IssueType::Structure, text).into()
    })
}

/// The `Parameters` of an operation that may be called without a body.
pub struct OptionalBody(pub Option<Resource>);

impl FromRequest<RestState> for OptionalBody {
    type Rejection = RestError;

    async fn from_request(request: Request, state: &RestState) -> Result<Self, RestError> {
        let is_empty = request.headers().get(header::CONTENT_TYPE).is_none() && request.body().is_end_stream();
        if is_empty { Ok(Self(None)) } else { Ok(Self(Some(FhirBody::from_request(request, state).await?.0))) }
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

/// A patch: JSON Patch, or FHIRPath Patch as a FHIR resource in JSON or XML; 415 with `Accept-Patch` for anything else
/// (RFC 5789 section 2.2).
pub struct PatchBody(pub Patch);

impl FromRequest<RestState> for PatchBody {
    type Rejection = RestError;

    async fn from_request(request: Request, state: &RestState) -> Result<Self, RestError> {
        let media_type = media_type(request.headers()).to_owned();
        let read = match essence(&media_type).as_str() {
            JSON_PATCH if is_json_patch(&media_type) => {
                let bytes = whole(request, state).await?;
                Patch::json(utf8(&bytes)?, &state.engine.limits())
            }
            "application/fhir+json" | "application/fhir+xml" if Format::of_content_type(&media_type).is_some() => {
                Patch::path(&FhirBody::from_request(request, state).await?.0)
            }
            _ => return Err(RestError::UnsupportedPatch(media_type)),
        };
        read.map(Self).map_err(|refused| Failure::from(refused).into())
    }
}
