//! Conditional reads (FHIR R4 http.html#cread; RFC 9110 section 13): 304 for who has the answer already.

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::fhir::instant;

/// `response`, or 304 with its headers when `request` says that the client has what its `ETag` and `Last-Modified` name.
pub fn unless_changed(request: &HeaderMap, mut response: Response) -> Response {
    if response.status() != StatusCode::OK || !has_it(request, response.headers()) {
        return response;
    }
    let headers = std::mem::take(response.headers_mut());
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    response.headers_mut().extend(headers);
    response.headers_mut().remove(header::CONTENT_TYPE);
    response
}

/// `If-None-Match` decides where there is one, else `If-Modified-Since` (RFC 9110 section 13.2.2).
fn has_it(request: &HeaderMap, answer: &HeaderMap) -> bool {
    let text = |headers: &HeaderMap, name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let known: Vec<_> = request.get_all(header::IF_NONE_MATCH).iter().collect();
    if !known.is_empty() {
        let tag = text(answer, header::ETAG).unwrap_or_default();
        let known = known.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        return known.map(str::trim).any(|one| one == "*" || opaque(one) == opaque(&tag));
    }
    let since = text(request, header::IF_MODIFIED_SINCE).and_then(|since| instant::parse_http_date(&since));
    let changed = text(answer, header::LAST_MODIFIED).and_then(|date| instant::parse_http_date(&date));
    matches!((since, changed), (Some(since), Some(changed)) if changed <= since)
}

/// An ETag for the weak comparison.
fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn answered(request: &[(HeaderName, &'static str)]) -> u16 {
        let headers = request.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        let mut response = "body".into_response();
        response.headers_mut().insert(header::ETAG, HeaderValue::from_static("W/\"3\""));
        response.headers_mut().insert(header::LAST_MODIFIED, HeaderValue::from_static("Fri, 02 Jan 2026 03:04:05 GMT"));
        unless_changed(&headers.collect(), response).status().as_u16()
    }

    #[test]
    fn who_has_the_version_is_told_so() {
        use header::{IF_MODIFIED_SINCE as SINCE, IF_NONE_MATCH as MATCH};
        for (request, status) in [
            (vec![], 200),
            (vec![(MATCH, "W/\"3\"")], 304),
            (vec![(MATCH, "\"3\"")], 304),
            (vec![(MATCH, "*")], 304),
            (vec![(MATCH, "W/\"1\", W/\"3\"")], 304),
            (vec![(MATCH, "W/\"1\"")], 200),
            (vec![(MATCH, "3")], 200),
            (vec![(SINCE, "Fri, 02 Jan 2026 03:04:05 GMT")], 304),
            (vec![(SINCE, "Fri, 02 Jan 2026 03:04:04 GMT")], 200),
            (vec![(SINCE, "Sat, 03 Jan 2026 00:00:00 GMT")], 304),
            (vec![(SINCE, "Friday, 02-Jan-26 03:04:05 GMT")], 304),
            (vec![(SINCE, "2026-01-02T03:04:05Z")], 200),
            (vec![(SINCE, "yesterday")], 200),
            // The tag goes before the date.
            (vec![(MATCH, "W/\"2\""), (SINCE, "Sat, 03 Jan 2026 00:00:00 GMT")], 200),
        ] {
            assert_eq!(answered(&request), status, "{request:?}");
        }
    }
}
