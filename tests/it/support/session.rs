//! Requests to a FHIR base with or without a token.

use std::fmt::Display;

use reqwest::{Method, redirect};

use super::answer::Answer;

/// A client that follows no redirects and keeps no cookies: what an answer says is what a test sees.
pub fn http() -> reqwest::Client {
    sofa::server::install_crypto();
    // Each test has a runtime of its own, and pooled connections belong to a runtime: so no client is shared.
    reqwest::Client::builder().redirect(redirect::Policy::none()).no_proxy().build().expect("an HTTP client")
}

/// Someone who talks to the FHIR base; a caller without a token is a stranger.
#[derive(Clone)]
pub struct Session {
    pub http: reqwest::Client,
    /// The FHIR base, without a slash at the end.
    pub fhir: String,
    pub token: Option<String>,
}

impl Session {
    /// One request. `path` is relative to the FHIR base, or an absolute URL.
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<String>) -> Answer {
        let asked = format!("{method} {path}");
        let request = self.request(method, path, headers, body);
        let response = request.send().await.unwrap_or_else(|error| panic!("{asked}: {error:?}"));
        Answer::read(asked, response).await
    }

    /// One request that may fail below HTTP, as when the server is killed meanwhile.
    pub async fn try_send(&self, method: &str, path: &str, body: &impl Display) -> Option<Answer> {
        let response = self.request(method, path, &[], Some(body.to_string())).send().await.ok()?;
        Some(Answer::read(format!("{method} {path}"), response).await)
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> reqwest::RequestBuilder {
        let url = match (path.starts_with("http://"), path) {
            (true, _) => path.to_owned(),
            (false, "") => self.fhir.clone(),
            (false, _) => format!("{}/{path}", self.fhir),
        };
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.http.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                request = request.header("content-type", "application/fhir+json");
            }
            request = request.body(body);
        }
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None).await
    }

    pub async fn post(&self, path: &str, body: &impl Display) -> Answer {
        self.send("POST", path, &[], Some(body.to_string())).await
    }

    pub async fn put(&self, path: &str, body: &impl Display) -> Answer {
        self.send("PUT", path, &[], Some(body.to_string())).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], None).await
    }

    /// The same caller with another token.
    #[must_use]
    pub fn with_token(&self, token: Option<&str>) -> Self {
        Self { token: token.map(str::to_owned), ..self.clone() }
    }
}
