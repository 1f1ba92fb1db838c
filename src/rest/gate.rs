//! What every request below the FHIR base passes, whatever its route: a sender that does not ask too often, an address that
//! can be read, a type that exists, an end in time, and an OperationOutcome for whatever goes wrong on the way.

use std::{any::Any, time::Duration};

use axum::{
    extract::{MatchedPath, RawPathParams, Request, State, rejection::RawPathParamsRejection},
    http::{HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{RestState, error::RestError, extract::encoded, reply, routes};
use crate::{
    access::audit::AUDIT_EVENT,
    fhir::{
        outcome::{IssueType, Outcome},
        types,
    },
    interaction::Failure,
    web::peer,
};

/// The longest path and query, in bytes. hyper itself refuses what is longer than 65,534.
const MAX_URL: usize = 32 << 10;

/// The variable segments of the path; a fallback has none.
type Params = Result<RawPathParams, RawPathParamsRejection>;

/// Lets through what can be routed.
pub async fn middleware(
    State(state): State<RestState>,
    matched: Option<MatchedPath>,
    params: Params,
    request: Request,
    next: Next,
) -> Response {
    let method = request.method().clone();
    let sender = peer::network(peer::of(request.extensions()));
    let in_measure = state.limit.admit(&sender).map_err(RestError::Throttled);
    let path = request.uri().path();
    let is_none_of_audit = is_none_of_audit(path.strip_prefix(state.path).unwrap_or(path));
    let may_pass = in_measure
        .and_then(|()| readable(request.uri()))
        .and_then(|()| if is_none_of_audit { Err(no_versions().into()) } else { known(&params, &method) });
    let mut response = match may_pass {
        Ok(()) => in_time(state.engine.config.server.request_timeout, next.run(request)).await,
        Err(error) => error.into_response(),
    };
    if response.status() == StatusCode::METHOD_NOT_ALLOWED
        && let Some(matched) = matched
    {
        let methods = if is_none_of_audit { Vec::new() } else { routes::methods(state.path, matched.as_str()) };
        allow(&mut response, &method, &methods);
    }
    // What is answered here is about patients: no cache keeps it, unless the route knows better.
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Whether a path is one that other types have and the audit trail has not.
fn is_none_of_audit(path: &str) -> bool {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    parts.next() == Some(AUDIT_EVENT)
        && match (parts.next(), parts.next()) {
            (None, _) | (Some("_search" | "$validate"), None) => false,
            (Some(id), None) => id.starts_with(['_', '$']),
            _ => true,
        }
}

fn no_versions() -> Failure {
    let text = "AuditEvents are read and searched, and nothing else: they have neither versions nor operations";
    Failure::NotAllowed(Outcome::error(IssueType::NotSupported, text))
}

async fn in_time(limit: Duration, answer: impl Future<Output = Response>) -> Response {
    tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| {
        let outcome = Outcome::error(IssueType::Timeout, "this took longer than the server allows");
        reply::outcome(StatusCode::GATEWAY_TIMEOUT, &outcome)
    })
}

/// 404 for a type that R4 has not, whatever was to be done there; and for an id that nothing can have, or 400 where it was
/// to be given to something. Case matters.
fn known(params: &Params, method: &Method) -> Result<(), RestError> {
    for (name, value) in params.iter().flatten() {
        match name {
            "kind" if !types::is_resource(value) => return Err(Failure::NotFound.into()),
            "id" if types::is_id(value) => {}
            "id" if *method == Method::PUT => {
                return Err(Failure::bad_request(IssueType::Value, "an id is 1 to 64 of A-Z a-z 0-9 - .").into());
            }
            "id" => return Err(Failure::NotFound.into()),
            _ => {}
        }
    }
    Ok(())
}

/// 414 for an address that is too long, 400 for one that is not percent-encoded UTF-8 (RFC 3986; FHIR R4 http.html#general).
fn readable(uri: &Uri) -> Result<(), RestError> {
    let (path, query) = (uri.path(), uri.query().unwrap_or_default());
    if path.len() + query.len() > MAX_URL {
        return Err(RestError::UrlTooLong(MAX_URL));
    }
    encoded("path", path.as_bytes())?;
    encoded("query", query.as_bytes())?;
    Ok(())
}

/// Tells which methods there are instead: not the one that was refused, which may exist for other resources of the path.
fn allow(response: &mut Response, refused: &Method, methods: &[Method]) {
    let others: Vec<_> = methods.iter().filter(|method| *method != refused).map(Method::as_str).collect();
    if let Ok(value) = HeaderValue::from_str(&others.join(", ")) {
        response.headers_mut().insert(header::ALLOW, value);
    }
}

/// What a handler that panicked is answered with. The panic itself was printed where it happened; it is not told.
pub fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a request ended in a panic");
    RestError::from(Failure::Internal).into_response()
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::to_bytes, routing::get};
    use tower::ServiceExt;
    use tower_http::catch_panic::CatchPanicLayer;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered_and_not_told() {
        async fn broken() {
            panic!("secret")
        }
        let router: Router = Router::new().route("/", get(broken)).layer(CatchPanicLayer::custom(panicked));
        let request: Request = Request::default();
        let (status, body) = told(router.oneshot(request).await.unwrap()).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(body.contains("OperationOutcome") && !body.contains("secret"), "{body}");
    }

    #[tokio::test]
    async fn what_takes_too_long_is_answered_in_time() {
        let (status, body) = told(in_time(Duration::from_millis(1), std::future::pending()).await).await;
        assert_eq!(status, StatusCode::GATEWAY_TIMEOUT);
        assert!(body.contains("OperationOutcome") && body.contains("\"timeout\""), "{body}");
    }

    async fn told(response: Response) -> (StatusCode, String) {
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.into()).unwrap())
    }
}
