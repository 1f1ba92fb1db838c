//! What every answer tells browsers: to come back over TLS only (RFC 6797), and to believe its content type.

use axum::http::{HeaderName, HeaderValue, header};
use tower::layer::util::Stack;
use tower_http::set_header::SetResponseHeaderLayer;

/// A year. Not for subdomains: they may be somebody else's.
const COME_BACK_OVER_TLS: HeaderValue = HeaderValue::from_static("max-age=31536000");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

type Header = SetResponseHeaderLayer<Option<HeaderValue>>;

/// Adds the headers; `https`: whether clients reach this server over TLS.
pub fn headers(https: bool) -> Stack<Header, Header> {
    let add = |name: HeaderName, value| SetResponseHeaderLayer::if_not_present(name, value);
    Stack::new(
        add(header::STRICT_TRANSPORT_SECURITY, https.then_some(COME_BACK_OVER_TLS)),
        add(header::X_CONTENT_TYPE_OPTIONS, Some(NOSNIFF)),
    )
}

#[cfg(test)]
mod tests {
    use axum::{Router, extract::Request, routing::get};
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn only_a_server_behind_tls_demands_it() {
        for https in [true, false] {
            for path in ["/", "/nowhere"] {
                let router: Router = Router::new().route("/", get(|| async { "" })).layer(headers(https));
                let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
                let answer = router.oneshot(request).await.unwrap();
                let told = answer.headers().get(header::STRICT_TRANSPORT_SECURITY);
                assert_eq!(told.is_some_and(|value| value == "max-age=31536000"), https, "{path}");
                assert_eq!(answer.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            }
        }
    }
}
