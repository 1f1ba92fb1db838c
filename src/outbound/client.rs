//! The HTTP client, and what is known after a call failed.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use reqwest::{Body, Method, StatusCode, header::HeaderMap, redirect};

use super::guard::{Guard, PublicOnly};

/// An answer is read up to here; the rest is left unread. It holds any OperationOutcome and any key set.
const MOST_ANSWER_BYTES: usize = 256 * 1024;
/// Idle connections end before those of common receivers (5 s), so that a call seldom meets one that is just closing.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// A complete answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status. Redirects are not followed: they are answers like others.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// The body, cut at 256 KiB.
    pub body: Bytes,
}

/// A call without a complete answer. The reasons are for the log and for the one who chose the URL; they hold no URL path
/// and no header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// No byte of the body has left: the URL is refused, its name does not resolve, the connection or TLS failed.
    #[error("{0}")]
    NeverSent(String),
    /// The receiver may have read the call; nobody can know what it did with it.
    #[error("{0}")]
    Unknown(String),
}

/// The guarded client. Cloning shares its connections.
#[derive(Clone)]
pub struct Client {
    guard: Guard,
    http: reqwest::Client,
}

impl Client {
    /// A client that obeys `guard`. Fails where the system's certificates cannot be read.
    pub fn new(guard: Guard) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .dns_resolver(PublicOnly(guard.clone()))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .pool_idle_timeout(POOL_IDLE)
            .user_agent(concat!("sofa/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { guard, http })
    }

    /// The rules this client obeys.
    pub const fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Sends `body` by POST. `timeout` covers everything from the name's resolution to the answer's last byte.
    pub async fn post(&self, url: &str, headers: HeaderMap, body: String, timeout: Duration) -> Result<Answer, Failed> {
        let taken = Arc::new(AtomicBool::new(false));
        let body = Watched { body: Some(Bytes::from(body)), taken: Arc::clone(&taken) };
        let request = self.request(Method::POST, url)?.headers(headers).body(Body::wrap(body));
        call(request, timeout).await.map_err(|failure| failure.after(taken.load(Ordering::Acquire)))
    }

    /// Fetches a document.
    pub async fn get(&self, url: &str, headers: HeaderMap, timeout: Duration) -> Result<Answer, Failed> {
        let request = self.request(Method::GET, url)?.headers(headers);
        call(request, timeout).await.map_err(|failure| failure.after(true))
    }

    fn request(&self, method: Method, url: &str) -> Result<reqwest::RequestBuilder, Failed> {
        let url = self.guard.check(url).map_err(|refused| Failed::NeverSent(refused.to_string()))?;
        Ok(self.http.request(method, url))
    }
}

/// What went wrong, before it is known whether anything had left.
struct Failure {
    reason: String,
    connected: bool,
}

impl Failure {
    fn after(self, body_taken: bool) -> Failed {
        if self.connected && body_taken { Failed::Unknown(self.reason) } else { Failed::NeverSent(self.reason) }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        let connected = !error.is_connect() && !error.is_builder();
        let error = error.without_url();
        let cause = innermost(&error);
        let reason =
            if connected { format!("the connection failed: {cause}") } else { format!("no connection: {cause}") };
        Self { reason, connected }
    }
}

/// The innermost error says what happened ("Connection refused"); those around it only where.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

async fn call(request: reqwest::RequestBuilder, timeout: Duration) -> Result<Answer, Failure> {
    let late = || Failure { reason: format!("no complete answer within {} ms", timeout.as_millis()), connected: true };
    let until = tokio::time::Instant::now() + timeout;
    let mut response = tokio::time::timeout_at(until, request.send()).await.map_err(|_| late())??;
    let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
    let mut body = Vec::new();
    match tokio::time::timeout_at(until, read(&mut response, &mut body)).await {
        Ok(Ok(())) => {}
        // A success has been said: what becomes of the text that follows takes nothing back.
        _ if status.is_success() => {}
        Ok(Err(error)) => return Err(error.into()),
        Err(_) => return Err(late()),
    }
    Ok(Answer { status, headers, body: body.into() })
}

async fn read(response: &mut reqwest::Response, body: &mut Vec<u8>) -> reqwest::Result<()> {
    while let Some(chunk) = response.chunk().await? {
        let room = MOST_ANSWER_BYTES - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    Ok(())
}

/// A body that notes when the connection takes it: until then nothing of it can have reached anybody, which no error of
/// the client says.
struct Watched {
    body: Option<Bytes>,
    taken: Arc<AtomicBool>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.taken.store(true, Ordering::Release);
        Poll::Ready(self.body.take().map(|body| Ok(Frame::data(body))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.as_ref().map_or(0, |body| body.len() as u64))
    }
}
