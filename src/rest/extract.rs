//! The parts of a URL, and what must hold of them, with rejections that are OperationOutcomes.

use axum::{
    extract::{
        FromRequestParts,
        rejection::{PathRejection, QueryRejection},
    },
    http::request::Parts,
};
use percent_encoding::percent_decode;

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

/// 400 unless every `%` of `part` begins an octet of UTF-8 (RFC 3986 section 2.1; FHIR R4 http.html#general). `name` says
/// which part it is.
pub fn encoded(name: &str, part: &[u8]) -> Result<(), Failure> {
    if is_encoded(part) {
        return Ok(());
    }
    let text = format!("in the {name}, '%' has to be followed by two hexadecimal digits of UTF-8");
    Err(Failure::bad_request(IssueType::Value, text))
}

fn is_encoded(part: &[u8]) -> bool {
    let mut at = 0;
    while let Some(found) = part[at..].iter().position(|byte| *byte == b'%') {
        at += found + 1;
        let digits = part.get(at..at + 2);
        if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            return false;
        }
    }
    percent_decode(part).decode_utf8().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_percent_encoded_utf8() {
        for (part, good) in [
            ("", true),
            ("/Patient/1", true),
            ("name=M%C3%BCller%20x+y", true),
            ("%41", true),
            ("%", false),
            ("%4", false),
            ("%4g", false),
            ("%%41", false),
            ("100%25", true),
            ("name=100%", false),
            ("%C3", false),
            ("%FF", false),
            ("%C3%28", false),
        ] {
            assert_eq!(is_encoded(part.as_bytes()), good, "{part}");
        }
    }
}
