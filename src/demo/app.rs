//! A SMART app without a browser: discovery, PKCE, authorization with the login form, token, reads and writes.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use reqwest::Method;
use reqwest::header::{COOKIE, HeaderMap, LOCATION, SET_COOKIE};
use serde_json::Value;
use url::Url;

use super::form::HtmlForm;
use super::http::{Answer, FHIR_JSON, Http};
use super::sample_app::SCOPE;
use crate::id;

/// The most pages and redirects between the authorize request and the code.
const HOPS: usize = 8;

/// A public app that was launched.
pub struct App {
    http: Http,
    /// The FHIR base it was given as `iss`.
    pub iss: String,
    client_id: String,
    redirect_uri: String,
    verifier: String,
    state: String,
    nonce: String,
    cookies: BTreeMap<String, String>,
    discovery: Value,
    /// The token answer.
    pub tokens: Value,
}

/// Where an authorization led.
pub enum Landing {
    /// The login page is shown.
    Login(Page),
    /// Back at the app, with a code.
    Code(String),
    /// Back at the app, with an error: `error` and `error_description`.
    Refused(String),
}

/// A page of the SoFA with a form.
pub struct Page {
    url: Url,
    form: HtmlForm,
}

impl App {
    /// An app that was opened with `iss`; reads its discovery document (SMART App Launch section "App launch: EHR launch").
    pub async fn launched(http: Http, iss: &str, client_id: &str, redirect_uri: &str) -> Result<Self> {
        let url = format!("{iss}/.well-known/smart-configuration");
        let discovery = http.send(http.request(Method::GET, &url)).await?.expect(200)?.json()?;
        let methods = &discovery["code_challenge_methods_supported"];
        if methods.as_array().is_none_or(|methods| !methods.contains(&"S256".into())) {
            bail!("discovery does not offer PKCE with S256: {methods}");
        }
        Ok(Self {
            http,
            iss: iss.to_owned(),
            client_id: client_id.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            verifier: id::random_token(),
            state: id::random_token(),
            nonce: id::random_token(),
            cookies: BTreeMap::new(),
            discovery,
            tokens: Value::Null,
        })
    }

    /// An address from the discovery document.
    pub fn endpoint(&self, name: &str) -> Result<&str> {
        self.discovery[name].as_str().with_context(|| format!("discovery names no {name}"))
    }

    /// Opens the authorization endpoint in its browser, so to say.
    pub async fn authorize(&mut self, launch: &str) -> Result<Landing> {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, self.verifier.as_bytes()));
        let mut url = Url::parse(self.endpoint("authorization_endpoint")?)?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("launch", launch)
            .append_pair("scope", &format!("{SCOPE} offline_access"))
            .append_pair("state", &self.state)
            .append_pair("nonce", &self.nonce)
            .append_pair("aud", &self.iss)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        let answer = self.browse(Method::GET, &url, None).await?;
        self.follow(url, answer).await
    }

    /// Fills the login form and presses its first button, and any consent form after it.
    pub async fn sign_in(&mut self, page: Page, user: &str, password: &str) -> Result<Landing> {
        let mut page = page;
        for attempt in 0..HOPS {
            if attempt > 0 && page.form.asks_for_a_password() {
                bail!("the login page came again: name and password were not accepted");
            }
            let fields = page.form.filled(user, password);
            let target =
                if page.form.action.is_empty() { page.url.clone() } else { page.url.join(&page.form.action)? };
            let answer = self.browse(Method::POST, &target, Some(&fields)).await?;
            match self.follow(target, answer).await? {
                Landing::Login(next) => page = next,
                landed => return Ok(landed),
            }
        }
        bail!("too many forms")
    }

    /// Follows redirects to the next page with a form, or back to the app.
    async fn follow(&mut self, mut url: Url, mut answer: Answer) -> Result<Landing> {
        for _ in 0..HOPS {
            self.keep_cookies(&answer.headers);
            if !matches!(answer.status, 302 | 303) {
                let answer = answer.expect(200)?;
                return Ok(Landing::Login(Page { url, form: HtmlForm::find(&answer.body)? }));
            }
            let next = url.join(answer.header(LOCATION.as_str()))?;
            if next.as_str().starts_with(&self.redirect_uri) {
                return self.landed(&next);
            }
            url = next;
            answer = self.browse(Method::GET, &url, None).await?;
        }
        bail!("too many redirects")
    }

    fn landed(&self, url: &Url) -> Result<Landing> {
        let query: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        if query.get("state") != Some(&self.state) {
            bail!("the state did not come back unchanged");
        }
        Ok(match (query.get("code"), query.get("error")) {
            (Some(code), None) => Landing::Code(code.clone()),
            (None, Some(error)) => {
                let why = query.get("error_description").map(|why| format!(": {why}"));
                Landing::Refused(format!("{error}{}", why.unwrap_or_default()))
            }
            _ => bail!("neither a code nor an error came back"),
        })
    }

    /// Exchanges the code for tokens.
    pub async fn exchange(&mut self, code: &str) -> Result<()> {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("client_id", &self.client_id),
            ("code_verifier", &self.verifier),
        ];
        self.tokens = self.http.form(self.endpoint("token_endpoint")?, &fields).await?.expect(200)?.json()?;
        Ok(())
    }

    /// Tries the refresh token.
    pub async fn refresh(&self) -> Result<Answer> {
        let token = self.tokens["refresh_token"].as_str().context("no refresh_token was issued")?;
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", &self.client_id)];
        self.http.form(self.endpoint("token_endpoint")?, &fields).await
    }

    /// The ID token's claims, its signature, audience, expiry and nonce checked with the published keys.
    pub async fn id_token(&self) -> Result<Value> {
        let token = self.tokens["id_token"].as_str().context("no id_token came")?;
        let keys = self.http.request(Method::GET, self.endpoint("jwks_uri")?);
        let keys: JwkSet = serde_json::from_value(self.http.send(keys).await?.expect(200)?.json()?)?;
        let kid = decode_header(token)?.kid.context("an id_token without kid")?;
        let key = keys.find(&kid).context("the id_token's key is not published")?;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&[&self.client_id]);
        validation.set_issuer(&[self.endpoint("issuer")?]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let claims = decode::<Value>(token, &DecodingKey::from_jwk(key)?, &validation)?.claims;
        if claims["nonce"] != self.nonce.as_str() {
            bail!("the id_token's nonce is not ours");
        }
        Ok(claims)
    }

    /// A text of the token answer.
    pub fn token_text(&self, name: &str) -> Result<&str> {
        self.tokens[name].as_str().with_context(|| format!("the token answer has no {name}"))
    }

    /// Reads a path under the FHIR base.
    pub async fn read(&self, path: &str) -> Result<Answer> {
        self.http.read(&format!("{}/{path}", self.iss), self.token_text("access_token")?).await
    }

    /// Writes a resource: POST to its type, PUT to its id.
    pub async fn write(&self, method: Method, path: &str, resource: &Value) -> Result<Answer> {
        self.http.write(method, &format!("{}/{path}", self.iss), self.token_text("access_token")?, resource).await
    }

    async fn browse(&self, method: Method, url: &Url, form: Option<&[(String, String)]>) -> Result<Answer> {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request =
            self.http.request(method, url.as_str()).header("accept", format!("text/html, {FHIR_JSON};q=0.1"));
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        if let Some(form) = form {
            // A browser says where the form came from; the server may use it against forged submissions.
            request = request.form(form).header("origin", url.origin().ascii_serialization());
        }
        self.http.send(request).await
    }

    fn keep_cookies(&mut self, headers: &HeaderMap) {
        for cookie in headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok()) {
            if let Some((name, value)) = cookie.split(';').next().and_then(|pair| pair.split_once('=')) {
                self.cookies.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
    }
}
