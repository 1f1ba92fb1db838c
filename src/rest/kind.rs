//! Type level: `POST [base]/[type]`.

use axum::{
    extract::{FromRequestParts, Path, RawPathParams, State},
    http::{HeaderMap, request::Parts},
    response::Response,
};

use super::{RestState, body::FhirBody, caller::Authenticated, error::RestError, preference::Preference, reply};
use crate::{
    access::{Act, authorize},
    fhir::{outcome::IssueType, types},
    interaction::{Failure, condition::Condition, create},
};

/// create; conditional with `If-None-Exist`.
pub async fn create(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    _: KnownKind,
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

/// 404 for what is no R4 resource type; case matters.
pub(super) fn known(kind: &str) -> Result<(), RestError> {
    if types::is_resource(kind) { Ok(()) } else { Err(Failure::NotFound.into()) }
}

/// The path's type is known: stands before the body, so that an unknown type is 404 whatever was sent there.
pub(super) struct KnownKind;

impl FromRequestParts<RestState> for KnownKind {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, state: &RestState) -> Result<Self, RestError> {
        let path = RawPathParams::from_request_parts(parts, state).await.map_err(|_| Failure::NotFound)?;
        let kind = path.iter().find(|(name, _)| *name == "kind").map(|(_, kind)| kind);
        known(kind.unwrap_or_default()).map(|()| Self)
    }
}
