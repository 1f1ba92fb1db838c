//! A backend service that writes and reads the jurisdiction's shared data.

use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method};
use sofa::clock::{Clock, SystemClock};
use sofa::store::client::{Client as Registered, Role};
use sofa::store::{self, client};

use super::key::Key;
use super::row::Ask;
use super::stage::Stage;

const SCOPE: &str = "system/*.cruds";

/// Before a token's five minutes are over.
const RENEW_AFTER: Duration = Duration::from_secs(200);

/// A registered client with a token that is renewed in time.
#[derive(Clone)]
pub struct Service {
    http: Client,
    url: String,
    /// Where its tokens come from.
    issuer: String,
    client_id: String,
    key: Key,
    scope: &'static str,
    token: Arc<RwLock<(String, Instant)>>,
}

/// What was answered.
pub struct Answer {
    pub status: u16,
    pub body: String,
    /// From sending the request to the end of the body.
    pub took: Duration,
}

impl Service {
    /// Registers it in the database, as the operator would.
    pub async fn register(stage: &Stage) -> Result<Self> {
        Self::register_for(stage, SCOPE).await
    }

    /// One that may do no more than this scope says.
    pub async fn register_for(stage: &Stage, scope: &'static str) -> Result<Self> {
        let key = Key::es384("bench");
        let client_id = format!("bench-{}", sofa::id::new_uuid());
        let registered = Registered {
            name: "The benchmark".to_owned(),
            jwks: Some(key.jwks.clone()),
            scope: scope.to_owned(),
            ..Registered::new(client_id.clone(), Role::Service)
        };
        let mut tx = store::begin(&stage.owner).await?;
        client::insert(&mut tx, &registered, SystemClock.now()).await?;
        tx.commit().await?;
        let this = Self {
            http: http()?,
            url: stage.url.clone(),
            issuer: stage.url.clone(),
            client_id,
            key,
            scope,
            token: Arc::new(RwLock::new((String::new(), Instant::now()))),
        };
        this.renew().await?;
        Ok(this)
    }

    /// The same with connections of its own.
    pub fn beside(&self) -> Result<Self> {
        Ok(Self { http: http()?, ..self.clone() })
    }

    /// The same at another process of the server.
    pub fn at(&self, url: &str) -> Result<Self> {
        Ok(Self { url: url.to_owned(), ..self.beside()? })
    }

    /// Gets a new token if this one will end soon.
    pub async fn keep_alive(&self) -> Result<()> {
        let since = self.token.read().map_or(Duration::MAX, |token| token.1.elapsed());
        if since > RENEW_AFTER { self.renew().await } else { Ok(()) }
    }

    async fn renew(&self) -> Result<()> {
        let endpoint = format!("{}/token", self.issuer);
        let assertion = self.key.assertion(&self.client_id, &endpoint, SystemClock.now());
        let form = [
            ("grant_type", "client_credentials"),
            ("scope", self.scope),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion.as_str()),
        ];
        let answer = self.http.post(&endpoint).form(&form).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "no token: {status}: {text}");
        let token: serde_json::Value = serde_json::from_str(&text)?;
        let token = token["access_token"].as_str().context("an access token")?.to_owned();
        if let Ok(mut current) = self.token.write() {
            *current = (token, Instant::now());
        }
        Ok(())
    }

    /// Asks and reads the answer to its end.
    pub async fn ask(&self, ask: &Ask) -> Result<Answer> {
        let url = match ask.path.strip_prefix('/') {
            _ if ask.path.starts_with("http://") => ask.path.clone(),
            Some(beside_fhir) => format!("{}/{beside_fhir}", self.url),
            None => format!("{}/fhir/{}", self.url, ask.path),
        };
        let token = self.token.read().map(|token| token.0.clone()).unwrap_or_default();
        let mut request = self.http.request(Method::from_bytes(ask.method.as_bytes())?, url).bearer_auth(token);
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        if let Some(body) = &ask.body {
            request = request.body(body.clone());
        }
        let begun = Instant::now();
        let response = request.send().await?;
        let status = response.status().as_u16();
        let body = response.text().await?;
        Ok(Answer { status, body, took: begun.elapsed() })
    }
}

fn http() -> Result<Client> {
    let builder = Client::builder().no_proxy().tcp_nodelay(true).timeout(Duration::from_secs(90));
    Ok(builder.build()?)
}
