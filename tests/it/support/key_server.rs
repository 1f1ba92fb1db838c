//! A client's web server that publishes its key set, or takes messages, counts who asks and answers as it is told.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// What the server answers.
#[derive(Clone)]
pub enum Says {
    /// The whole answer.
    Answer { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// Nothing, ever.
    Nothing,
}

impl Says {
    /// A key set that may be kept for as long as `cache_control` says.
    pub fn keys(keys: &[&Value], cache_control: &str) -> Self {
        let headers =
            vec![("content-type", "application/json".to_owned()), ("cache-control", cache_control.to_owned())];
        Self::Answer { status: 200, headers, body: json!({ "keys": keys }).to_string() }
    }

    /// An answer of this status with this body.
    pub fn status(status: u16, body: &str) -> Self {
        Self::Answer { status, headers: Vec::new(), body: body.to_owned() }
    }
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: Method,
    pub headers: HeaderMap,
    pub body: String,
}

struct Shared {
    says: Mutex<Says>,
    asked: Mutex<Vec<Asked>>,
    arrived: Notify,
}

/// The server; it ends with the test's runtime.
pub struct KeyServer {
    /// Where the key set is.
    pub url: String,
    shared: Arc<Shared>,
}

impl KeyServer {
    pub async fn start(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let shared = Arc::new(Shared { says: Mutex::new(says), asked: Mutex::default(), arrived: Notify::new() });
        let router = Router::new().fallback(answer).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, shared }
    }

    /// Changes what it answers.
    pub fn say(&self, says: Says) {
        *self.shared.says.lock().unwrap() = says;
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// Waits until there were so many requests; gives them.
    pub async fn wait_for(&self, count: usize) -> Vec<Asked> {
        while self.count() < count {
            self.shared.arrived.notified().await;
        }
        self.asked()
    }

    /// How many requests there were.
    pub fn count(&self) -> usize {
        self.asked().len()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, method: Method, headers: HeaderMap, body: String) -> Response {
    shared.asked.lock().unwrap().push(Asked { method, headers, body });
    shared.arrived.notify_one();
    let says = shared.says.lock().unwrap().clone();
    match says {
        Says::Nothing => std::future::pending().await,
        Says::Answer { status, headers, body } => {
            let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
    }
}
