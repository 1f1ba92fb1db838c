//! Which browser pages may call which endpoints (SMART App Launch 2.1.0, "CORS").
//!
//! SMART asks for the origins of the client. Here those of all clients count: a preflight says nothing of the client, and an
//! answer could be withheld from the page only after the work is done. Nothing is gained by another one's origin: no cookie
//! goes along, and who has a token, a secret or a code can send it from anywhere.
//!
//! So that a page can read refusals too, this stands before the limits: it asks the database once a second at most, however
//! many ask it.

use axum::http::{HeaderName, HeaderValue, Method, header, request::Parts};
use sqlx::PgPool;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use super::request_id;
use crate::store;
use crate::store::client::Origins;

/// How long a browser may remember a preflight answer.
const MAX_AGE: Duration = Duration::from_secs(600);

/// For so long the registered origins are not looked up again: also a new one waits so long.
const KNOWN_FOR: Duration = Duration::from_secs(1);

/// The registered origins, and when they were looked up.
struct Registered {
    pool: PgPool,
    last: Mutex<Option<(Instant, Origins)>>,
}

impl Registered {
    async fn hold(&self, origin: &str) -> bool {
        let mut last = self.last.lock().await;
        if last.as_ref().is_none_or(|(at, _)| at.elapsed() >= KNOWN_FOR) {
            // Where the database fails, what was known before counts on, and it is left alone as long.
            let before = last.take().map(|(_, origins)| origins).unwrap_or_default();
            *last = Some((Instant::now(), self.look_up().await.unwrap_or(before)));
        }
        last.as_ref().is_some_and(|(_, origins)| origins.hold(origin))
    }

    async fn look_up(&self) -> store::Result<Origins> {
        store::client::origins(&mut *self.pool.acquire().await?).await
    }
}

/// For what everybody may read without credentials: discovery, keys, the CapabilityStatement.
pub fn anyone() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET])
        .allow_headers(Any)
        .expose_headers([header::ETAG, request_id::HEADER, request_id::CORRELATION])
        .max_age(MAX_AGE)
}

/// For tokens and FHIR: only pages of an origin that an enabled client registered. Without cookies: whoever calls these
/// brings a token, a secret or a code.
pub fn registered_origins(pool: PgPool) -> CorsLayer {
    let registered = Arc::new(Registered { pool, last: Mutex::default() });
    let is_registered = move |origin: HeaderValue, _: &Parts| {
        let registered = registered.clone();
        async move {
            let Ok(origin) = origin.to_str() else { return false };
            registered.hold(origin).await
        }
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::async_predicate(is_registered))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::ACCEPT,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_MODIFIED_SINCE,
            header::IF_NONE_MATCH,
            HeaderName::from_static("if-none-exist"),
            HeaderName::from_static("prefer"),
            request_id::HEADER,
        ])
        .expose_headers([
            HeaderName::from_static("accept-patch"),
            header::CONTENT_LOCATION,
            header::ETAG,
            header::LAST_MODIFIED,
            header::LOCATION,
            header::RETRY_AFTER,
            header::WWW_AUTHENTICATE,
            HeaderName::from_static("preference-applied"),
            request_id::HEADER,
            request_id::CORRELATION,
        ])
        .max_age(MAX_AGE)
}
