//! `X-Request-Id`: the client's, or one made here; returned with every answer (FHIR R4 http.html#custom).

use axum::http::{HeaderName, HeaderValue, Request};
use tower_http::request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};

use crate::id;

/// The header's name.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id that is kept for the audit trail; a longer one is cut.
const MAX_LENGTH: usize = 128;

/// Makes ids for requests that bring none.
#[derive(Clone, Copy)]
pub struct Fresh;

impl MakeRequestId for Fresh {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        HeaderValue::from_str(&id::new_uuid().to_string()).ok().map(RequestId::new)
    }
}

/// Gives every request an id.
pub const fn set() -> SetRequestIdLayer<Fresh> {
    SetRequestIdLayer::new(HEADER, Fresh)
}

/// Returns the id with the answer.
pub const fn propagate() -> PropagateRequestIdLayer {
    PropagateRequestIdLayer::new(HEADER)
}

/// The id of a request, for the audit trail.
pub fn of(headers: &axum::http::HeaderMap) -> Option<String> {
    let text = headers.get(HEADER)?.to_str().ok()?;
    Some(text.chars().take(MAX_LENGTH).collect())
}
