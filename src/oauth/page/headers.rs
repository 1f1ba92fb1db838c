//! How pages are sent: kept by no cache, with forms that end here or at the app, and framed by nobody but the point-of-care
//! system from which the launch came, where that is registered with the origins of its pages (`frame_ancestors`).

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

/// Lets pages of these origins show the page in a frame; without any, nobody may.
pub fn framed_by(mut response: Response, origins: &[String]) -> Response {
    let headers = response.headers_mut();
    if origins.is_empty() {
        return response;
    }
    let policy = headers.get(header::CONTENT_SECURITY_POLICY).and_then(|policy| policy.to_str().ok());
    let policy =
        policy.unwrap_or_default().replace(FRAMED_BY_NOBODY, &format!("frame-ancestors {}", origins.join(" ")));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        // It knows no list of origins.
        headers.remove(header::X_FRAME_OPTIONS);
    }
    response
}

const FRAMED_BY_NOBODY: &str = "frame-ancestors 'none'";

const PAGE_HEADERS: [(HeaderName, &str); 4] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // Not "no-referrer": browsers then say of our own forms that they come from nowhere.
    (header::REFERRER_POLICY, "same-origin"),
];

/// Browsers apply `form-action` to the redirect that follows a form too, so the app's own origin must be in it.
fn content_policy(redirect_uri: Option<&str>) -> String {
    let app = redirect_uri.and_then(|uri| Url::parse(uri).ok()).map(|url| match url.origin() {
        url::Origin::Tuple(..) => format!(" {}", url.origin().ascii_serialization()),
        url::Origin::Opaque(_) => format!(" {}:", url.scheme()),
    });
    format!(
        "default-src 'none'; style-src 'self'; form-action 'self'{}; {FRAMED_BY_NOBODY}; base-uri 'none'",
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

    #[test]
    fn only_the_named_origins_may_frame_the_page() {
        let page = || {
            let policy = [(header::CONTENT_SECURITY_POLICY, content_policy(None))];
            (policy, [(header::X_FRAME_OPTIONS, "DENY")], "").into_response()
        };
        let told =
            |response: &Response| response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        let alone = framed_by(page(), &[]);
        assert!(told(&alone).contains("frame-ancestors 'none';"));
        assert_eq!(alone.headers()[header::X_FRAME_OPTIONS], "DENY");
        let framed = framed_by(page(), &["https://emr.example".to_owned(), "https://b.example:8443".to_owned()]);
        assert!(told(&framed).contains("frame-ancestors https://emr.example https://b.example:8443; base-uri"));
        assert!(!told(&framed).contains("'none';  frame") && !framed.headers().contains_key(header::X_FRAME_OPTIONS));
    }
}
