//! The parts of a URL, with rejections that are OperationOutcomes.

use axum::{
    extract::{
        FromRequestParts,
        rejection::{PathRejection, QueryRejection},
    },
    http::request::Parts,
};

use super::error::RestError;
use crate::{fhir::outcome::IssueType, interaction::Failure};

/// The variable segments of the path.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(RestError))]
pub struct Path<T>(pub T);

/// The query.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(RestError))]
pub struct Query<T>(pub T);

/// The query as it was sent, empty when there is none.
pub struct RawQuery(pub String);

impl<S: Send + Sync> FromRequestParts<S> for RawQuery {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, RestError> {
        Ok(Self(parts.uri.query().unwrap_or_default().to_owned()))
    }
}

/// The parameters of a query in their order, names repeated as they were.
pub type Parameters = Vec<(String, String)>;

impl From<PathRejection> for RestError {
    fn from(rejection: PathRejection) -> Self {
        tracing::debug!(%rejection, "a path was not understood");
        Failure::bad_request(IssueType::Value, "the address cannot be understood").into()
    }
}

impl From<QueryRejection> for RestError {
    fn from(rejection: QueryRejection) -> Self {
        tracing::debug!(%rejection, "a query was not understood");
        Failure::bad_request(IssueType::Value, "the query cannot be understood").into()
    }
}
