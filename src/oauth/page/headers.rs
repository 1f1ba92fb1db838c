//! How pages are sent: kept by no cache, framed by nobody, and with forms that end here or at the app.

use askama::Template;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use url::Url;

/// A page as an answer. `redirect_uri` is where the app will be told what comes of its form, if it has one.
pub fn show(status: StatusCode, page: &impl Template, redirect_uri: Option<&str>) -> Response {
    let Ok(html) = page.render() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let mut response = (status, Html(html)).into_response();
    let headers = response.headers_mut();
    for (name, value) in PAGE_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&content_policy(redirect_uri)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

const PAGE_HEADERS: [(HeaderName, &str); 4] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// Browsers apply `form-action` to the redirect that follows a form too, so the app's own origin must be in it.
fn content_policy(redirect_uri: Option<&str>) -> String {
    let app = redirect_uri.and_then(|uri| Url::parse(uri).ok()).map(|url| match url.origin() {
        url::Origin::Tuple(..) => format!(" {}", url.origin().ascii_serialization()),
        url::Origin::Opaque(_) => format!(" {}:", url.scheme()),
    });
    format!(
        "default-src 'none'; style-src 'self'; form-action 'self'{}; frame-ancestors 'none'; base-uri 'none'",
        app.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_lets_the_form_end_at_the_app_and_nowhere_else() {
        assert!(content_policy(Some("https://app.example/cb?x=1")).contains("form-action 'self' https://app.example;"));
        assert!(content_policy(Some("http://127.0.0.1:9000/cb")).contains("form-action 'self' http://127.0.0.1:9000;"));
        assert!(content_policy(Some("com.example.app:/cb")).contains("form-action 'self' com.example.app:;"));
        assert!(content_policy(None).contains("form-action 'self';"));
    }
}
