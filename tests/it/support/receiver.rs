//! A point-of-care system's notification receiver: a real HTTP server that does as it is told.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::serve::{IncomingStream, Listener};
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::conformance::assert_conforms;

/// How long a test waits for something that must happen, before it fails.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// What the receiver does with a notification.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// 200 without a body.
    Accept,
    /// A complete answer of this status, with this body as FHIR JSON or XML.
    Answer(u16, String),
    /// No answer, until the behaviour is changed; then that one is followed.
    Hang,
    /// The line is cut before a byte of the request is read.
    DropBeforeReading,
    /// The line is cut after the whole request was read.
    DropAfterReading,
}

impl Behaviour {
    /// A refusal with an OperationOutcome that says `text`.
    pub fn refuse(status: u16, text: &str) -> Self {
        let outcome = serde_json::json!({"resourceType": "OperationOutcome",
            "issue": [{"severity": "error", "code": "business-rule", "details": {"text": text}}]});
        Self::Answer(status, outcome.to_string())
    }

    /// An empty answer of this status.
    pub fn status(status: u16) -> Self {
        Self::Answer(status, String::new())
    }
}

/// A notification as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    pub at: Instant,
    pub headers: HeaderMap,
    pub text: String,
    pub body: Value,
    /// Whether it was answered 2xx.
    pub acknowledged: bool,
}

impl Received {
    /// The values of the status Parameters named `name`.
    pub fn parameters(&self, name: &str) -> Vec<&Value> {
        let all = self.body["entry"][0]["resource"]["parameter"].as_array();
        all.into_iter().flatten().filter(|parameter| parameter["name"] == name).collect()
    }

    /// `handshake`, `event-notification`, ….
    pub fn kind(&self) -> &str {
        self.parameters("type").first().and_then(|kind| kind["valueCode"].as_str()).unwrap_or_default()
    }

    /// The id of the Subscription it is for.
    pub fn subscription(&self) -> String {
        let reference =
            self.parameters("subscription").first().and_then(|one| one["valueReference"]["reference"].as_str());
        reference.and_then(|reference| reference.rsplit('/').next()).unwrap_or_default().to_owned()
    }

    /// (event number, focus) of each event.
    pub fn events(&self) -> Vec<(u64, Option<String>)> {
        let events = self.parameters("notification-event");
        let part = |event: &Value, name: &str| {
            event["part"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|part| part["name"] == name)
                .cloned()
                .unwrap_or_default()
        };
        let number =
            |event: &Value| part(event, "event-number")["valueString"].as_str().and_then(|text| text.parse().ok());
        events
            .into_iter()
            .map(|event| {
                let focus = part(event, "focus")["valueReference"]["reference"].as_str().map(str::to_owned);
                (number(event).expect("an event-number as a string"), focus)
            })
            .collect()
    }

    /// The event numbers.
    pub fn numbers(&self) -> Vec<u64> {
        self.events().into_iter().map(|(number, _)| number).collect()
    }

    /// The resources it carries besides the status.
    pub fn resources(&self) -> Vec<&Value> {
        let entries = self.body["entry"].as_array().into_iter().flatten().skip(1);
        entries.map(|entry| &entry["resource"]).filter(|resource| resource.is_object()).collect()
    }
}

struct Shared {
    script: Mutex<VecDeque<Behaviour>>,
    usual: watch::Sender<Behaviour>,
    log: watch::Sender<Vec<Received>>,
}

/// A running receiver; stops when dropped.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    running: Mutex<CancellationToken>,
}

impl Receiver {
    /// A receiver on a free port that accepts everything.
    pub async fn start() -> Self {
        let shared = Arc::new(Shared {
            script: Mutex::default(),
            usual: watch::Sender::new(Behaviour::Accept),
            log: watch::Sender::new(Vec::new()),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let running = CancellationToken::new();
        serve(listener, shared.clone(), running.clone());
        Self { address, shared, running: Mutex::new(running) }
    }

    /// Where notifications go.
    pub fn url(&self) -> String {
        format!("http://{}/notify", self.address)
    }

    /// From now on, and for requests that hang, do this.
    pub fn behave(&self, behaviour: Behaviour) {
        self.shared.usual.send_replace(behaviour);
    }

    /// Do these with the next notifications, one each, then go on as usual.
    pub fn next(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.shared.script.lock().expect("the script").extend(behaviours);
    }

    /// Nobody listens any more: connections are refused, those open are cut.
    pub fn go_away(&self) {
        self.running.lock().expect("the line").cancel();
    }

    /// Listens again at the same address.
    pub async fn come_back(&self) {
        let listener = TcpListener::bind(self.address).await.expect("the same port");
        let running = CancellationToken::new();
        serve(listener, self.shared.clone(), running.clone());
        *self.running.lock().expect("the line") = running;
    }

    /// Everything received so far.
    pub fn received(&self) -> Vec<Received> {
        let received = self.shared.log.borrow().clone();
        for one in received.iter().filter(|one| one.body.is_object()) {
            assert_conforms("a notification", &one.text);
        }
        received
    }

    /// The event notifications received so far.
    pub fn events(&self) -> Vec<Received> {
        self.received().into_iter().filter(|one| one.kind() == "event-notification").collect()
    }

    /// (number, focus) of every event in a notification that was answered 2xx, in order of arrival.
    pub fn acknowledged(&self) -> Vec<(u64, Option<String>)> {
        self.events().iter().filter(|one| one.acknowledged).flat_map(Received::events).collect()
    }

    /// Waits until `count` event notifications have arrived (answered or not) and returns them.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        self.wait_until(&format!("{count} event notifications"), |log| of_kind(log, "event-notification") >= count)
            .await;
        self.events()
    }

    /// Waits until `count` handshakes have arrived and returns them.
    pub async fn wait_for_handshakes(&self, count: usize) -> Vec<Received> {
        self.wait_until(&format!("{count} handshakes"), |log| of_kind(log, "handshake") >= count).await;
        self.received().into_iter().filter(|one| one.kind() == "handshake").collect()
    }

    async fn wait_until(&self, what: &str, done: impl Fn(&[Received]) -> bool) {
        let mut log = self.shared.log.subscribe();
        let waiting = log.wait_for(|log| done(log));
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("waited in vain for {what}; received: {:#?}", self.received());
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.go_away();
    }
}

fn of_kind(log: &[Received], kind: &str) -> usize {
    log.iter().filter(|one| one.kind() == kind).count()
}

fn serve(listener: TcpListener, shared: Arc<Shared>, running: CancellationToken) {
    let lines = Lines { listener, shared: shared.clone(), running: running.clone() };
    let router = axum::Router::new().fallback(answer).with_state(shared);
    let service = router.into_make_service_with_connect_info::<Line>();
    tokio::spawn(async move {
        tokio::select! {
            () = running.cancelled() => {}
            _ = axum::serve(lines, service) => {}
        }
    });
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    headers: HeaderMap,
    text: String,
) -> Response {
    let mut usual = shared.usual.subscribe();
    let body = read(&text).unwrap_or(Value::Null);
    let received = Received { at: Instant::now(), headers, text, body, acknowledged: false };
    let known = is_known(&shared.log.borrow(), &received);
    let place = record(&shared, received);
    let scripted = if known { Some(Behaviour::Accept) } else { shared.script.lock().expect("the script").pop_front() };
    let mut behaviour = scripted.unwrap_or_else(|| usual.borrow_and_update().clone());
    while matches!(behaviour, Behaviour::Hang) {
        if usual.changed().await.is_err() {
            break;
        }
        behaviour = usual.borrow_and_update().clone();
    }
    let (status, body) = match behaviour {
        Behaviour::Accept | Behaviour::Hang => (StatusCode::OK, String::new()),
        Behaviour::Answer(status, body) => (StatusCode::from_u16(status).expect("a status"), body),
        Behaviour::DropBeforeReading | Behaviour::DropAfterReading => {
            line.0.cancel();
            return std::future::pending().await;
        }
    };
    if status.is_success() {
        shared.log.send_modify(|log| log[place].acknowledged = true);
    }
    let kind = if body.starts_with('<') { "application/fhir+xml" } else { "application/fhir+json" };
    (status, [(header::CONTENT_TYPE, kind)], body).into_response()
}

/// A notification in either format.
fn read(text: &str) -> Option<Value> {
    if text.starts_with('<') {
        let json = sofa::fhir::xml::read(text, &sofa::fhir::json::Limits::default()).ok()?;
        return serde_json::from_str(&json).ok();
    }
    serde_json::from_str(text).ok()
}

/// What a PoC has acknowledged once it acknowledges again: it has the change.
fn is_known(log: &[Received], received: &Received) -> bool {
    let numbers = received.numbers();
    let before = log.iter().filter(|one| one.acknowledged && one.subscription() == received.subscription());
    let before: Vec<u64> = before.flat_map(Received::numbers).collect();
    !numbers.is_empty() && numbers.iter().all(|number| before.contains(number))
}

fn record(shared: &Shared, one: Received) -> usize {
    let mut place = 0;
    shared.log.send_modify(|log| {
        place = log.len();
        log.push(one);
    });
    place
}

/// Accepts connections, and cuts them at once where that is wanted.
struct Lines {
    listener: TcpListener,
    shared: Arc<Shared>,
    running: CancellationToken,
}

impl Listener for Lines {
    type Io = Cuttable;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Cuttable, SocketAddr) {
        loop {
            let Ok((stream, peer)) = self.listener.accept().await else { continue };
            let cut =
                matches!(self.shared.script.lock().expect("the script").front(), Some(Behaviour::DropBeforeReading));
            if cut {
                self.shared.script.lock().expect("the script").pop_front();
                continue;
            }
            if matches!(*self.shared.usual.borrow(), Behaviour::DropBeforeReading) {
                continue;
            }
            let line = self.running.child_token();
            let cut = Box::pin(line.clone().cancelled_owned());
            return (Cuttable { stream, line: Line(line), cut }, peer);
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// The handle by which a connection is cut.
#[derive(Clone)]
struct Line(CancellationToken);

impl Connected<IncomingStream<'_, Lines>> for Line {
    fn connect_info(stream: IncomingStream<'_, Lines>) -> Self {
        stream.io().line.clone()
    }
}

/// A connection that can be cut from outside.
struct Cuttable {
    stream: TcpStream,
    line: Line,
    cut: BoxFuture<'static, ()>,
}

impl AsyncRead for Cuttable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
