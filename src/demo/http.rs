//! The demonstration's HTTP client: the PoC and the app use the public interfaces, and nothing else.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

/// The media type of FHIR in JSON.
pub const FHIR_JSON: &str = "application/fhir+json";

/// Sends requests; with `verbose`, prints each with its answer to standard error.
#[derive(Clone)]
pub struct Http {
    client: reqwest::Client,
    verbose: bool,
}

/// An answer, read to its end.
pub struct Answer {
    request: String,
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub body: String,
    /// When the status line and headers were here.
    pub at: Instant,
}

impl Http {
    /// A client that follows no redirects (each is a step of its own) and uses no proxy (everything is on this machine).
    pub fn new(verbose: bool) -> Result<Self> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(Duration::from_secs(30))
            .build()?;
        Ok(Self { client, verbose })
    }

    /// Begins a request.
    pub fn request(&self, method: Method, url: &str) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// Reads a FHIR resource.
    pub async fn read(&self, url: &str, token: &str) -> Result<Answer> {
        self.send(self.request(Method::GET, url).header(ACCEPT, FHIR_JSON).header(AUTHORIZATION, bearer(token))).await
    }

    /// Sends a FHIR resource, by POST or PUT.
    pub async fn write(&self, method: Method, url: &str, token: &str, resource: &Value) -> Result<Answer> {
        let request = self
            .request(method, url)
            .header(CONTENT_TYPE, FHIR_JSON)
            .header(ACCEPT, FHIR_JSON)
            .header(AUTHORIZATION, bearer(token))
            .header("prefer", "return=representation");
        self.send(request.body(resource.to_string())).await
    }

    /// Sends a form.
    pub async fn form(&self, url: &str, fields: &[(&str, &str)]) -> Result<Answer> {
        self.send(self.request(Method::POST, url).form(fields)).await
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        let request = request.build()?;
        let name = format!("{} {}", request.method(), request.url());
        if self.verbose {
            let body = request.body().and_then(|body| body.as_bytes()).map(String::from_utf8_lossy);
            eprintln!("> {name}\n{}", body.unwrap_or_default());
        }
        let begun = Instant::now();
        let response = self.client.execute(request).await.with_context(|| name.clone())?;
        let at = Instant::now();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.text().await.with_context(|| name.clone())?;
        if self.verbose {
            eprintln!("< {status} in {} ms\n{body}", begun.elapsed().as_millis());
        }
        Ok(Answer { request: name, status, headers, body, at })
    }
}

impl Answer {
    /// Fails unless the status is `wanted`; the failure says what came instead.
    pub fn expect(self, wanted: u16) -> Result<Self> {
        if self.status != wanted {
            let shown: String = self.body.chars().take(600).collect();
            bail!("{}: {wanted} expected, {} came: {shown}", self.request, self.status);
        }
        Ok(self)
    }

    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("{}: the answer is not JSON", self.request))
    }

    /// A header as text; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// The value of `Authorization` for a token.
pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}
