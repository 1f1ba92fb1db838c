//! A SMART app in a browser without JavaScript: authorize, sign in, exchange the code, then read and write.

use std::collections::BTreeMap;
use std::ops::Deref;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use url::Url;

use super::answer::Answer;
use super::form::Browser;

use super::session::Session;
use super::world::{PASSWORD, REDIRECT, World};

/// Everything an app may ask for.
pub const WIDEST: &str = "launch openid fhirUser offline_access patient/*.cruds user/*.cruds";

/// What most tests ask for.
pub const USUAL: &str = "launch openid fhirUser patient/*.cruds user/*.cruds";

/// A registered public app.
pub struct SampleApp {
    pub client_id: String,
    url: String,
    stranger: Session,
}

/// How an authorization ended that gave no code.
#[derive(Debug)]
pub enum Refused {
    /// The app was told: `error` and `error_description`.
    Told(String, String),
    /// The person was shown a page.
    Shown(#[expect(dead_code, reason = "failures print it")] Box<Answer>),
}

impl Refused {
    /// The error code the app was told; empty when it was not told.
    pub fn code(&self) -> &str {
        match self {
            Self::Told(code, text) => {
                assert!(!text.is_empty(), "{code} without a description");
                code
            }
            Self::Shown(_) => "",
        }
    }
}

/// An app within a launch.
pub struct Launched {
    pub session: Session,
    /// The token response.
    pub tokens: Value,
}

impl Deref for Launched {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Launched {
    /// The bare id of the patient in context.
    #[track_caller]
    pub fn patient(&self) -> &str {
        self.tokens["patient"].as_str().expect("a patient in the token response")
    }
}

impl SampleApp {
    pub fn new(server: &World, client_id: &str) -> Self {
        Self { client_id: client_id.to_owned(), url: server.url.clone(), stranger: server.stranger() }
    }

    /// Launches with the usual scopes; must succeed.
    pub async fn launch(&self, launch_id: &str, user: &str) -> Launched {
        self.launch_with(launch_id, user, USUAL).await.unwrap_or_else(|refused| panic!("launch: {refused:?}"))
    }

    /// Launches.
    pub async fn launch_with(&self, launch_id: &str, user: &str, scope: &str) -> Result<Launched, Refused> {
        let verifier = sofa::id::random_token();
        let code = self.authorize(&verifier, launch_id, user, scope).await?;
        let answer = self.exchange(&code, &verifier).await.expect(200);
        let tokens = answer.json();
        let session = self.stranger.with_token(tokens["access_token"].as_str());
        Ok(Launched { session, tokens })
    }

    /// The authorization request up to the code.
    pub async fn authorize(&self, verifier: &str, launch_id: &str, user: &str, scope: &str) -> Result<String, Refused> {
        let challenge = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()));
        let parameters = [
            ("response_type", "code"),
            ("client_id", &self.client_id),
            ("redirect_uri", REDIRECT),
            ("scope", scope),
            ("state", "st&te ✓"),
            ("aud", &self.stranger.fhir),
            ("launch", launch_id),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let url = Url::parse_with_params(&format!("{}/authorize", self.url), parameters).expect("a URL");
        let mut browser = Browser::new(self.stranger.http.clone());
        let answer = browser.get(&url).await;
        let end = browser.go_on(url, answer, user, PASSWORD).await;
        let back = end.map_err(|answer| Refused::Shown(Box::new(answer)))?;
        assert!(back.as_str().starts_with(REDIRECT), "sent to {back}");
        let said: BTreeMap<_, _> = back.query_pairs().into_owned().collect();
        assert_eq!(said.get("state").map(String::as_str), Some("st&te ✓"), "{back}");
        let get = |name: &str| said.get(name).cloned().unwrap_or_default();
        said.get("code").cloned().ok_or_else(|| Refused::Told(get("error"), get("error_description")))
    }

    /// The code for tokens.
    pub async fn exchange(&self, code: &str, verifier: &str) -> Answer {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("client_id", &self.client_id),
            ("code_verifier", verifier),
        ];
        self.token(&form).await
    }

    /// A refresh token for tokens.
    pub async fn refresh(&self, refresh_token: &str) -> Answer {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token), ("client_id", &self.client_id)])
            .await
    }

    async fn token(&self, form: &[(&str, &str)]) -> Answer {
        let response = self.stranger.http.post(format!("{}/token", self.url)).form(form).send().await;
        Answer::read(format!("POST /token ({})", form[0].1), response.expect("an answer")).await
    }
}
