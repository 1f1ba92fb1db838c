//! `X-Request-Id`: the client's, or one made here; returned with every answer (FHIR R4 http.html#custom).
//!
//! A client's id that is not fit for logs and the audit trail is not used; then the answer's `X-Request-Id` is this
//! server's, and the client's comes back as `X-Correlation-Id`.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};

use crate::id;

/// The header's name.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a client that did not become the request's.
pub const CORRELATION: HeaderName = HeaderName::from_static("x-correlation-id");

/// Longest id of a client that is used.
const MAX_LENGTH: usize = 128;

/// Gives every request an id, and returns it with the answer.
pub async fn middleware(mut request: Request, next: Next) -> Response {
    let given = request.headers_mut().remove(HEADER);
    let used = given.clone().filter(is_fit).or_else(|| HeaderValue::try_from(id::new_uuid().to_string()).ok());
    if let Some(used) = &used {
        request.headers_mut().insert(HEADER, used.clone());
    }
    let mut response = next.run(request).await;
    if let Some(given) = given.filter(|given| Some(given) != used.as_ref()) {
        response.headers_mut().insert(CORRELATION, given);
    }
    if let Some(used) = used {
        response.headers_mut().insert(HEADER, used);
    }
    response
}

/// 1 to 128 visible ASCII characters.
fn is_fit(id: &HeaderValue) -> bool {
    (1..=MAX_LENGTH).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// The id of a request, for the audit trail.
pub fn of(headers: &HeaderMap) -> Option<String> {
    headers.get(HEADER)?.to_str().ok().map(str::to_owned)
}
