//! One upstream provider: its metadata and keys, the way there, and what it says of a person.
//!
//! Metadata and keys are fetched when somebody wants to sign in, used for ten minutes, and for an hour while a fetch fails. A
//! signature of a key that is not among them leads to one more fetch, at most once a minute; a fetch that failed is tried
//! again after ten seconds. Everybody who needs one waits for the same.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod, CoreGenderClaim,
    CoreGrantType, CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm, CoreResponseMode, CoreResponseType,
    CoreSubjectIdentifierType, CoreTokenResponse,
};
use openidconnect::{
    AccessToken, AdditionalClaims, AdditionalProviderMetadata, AuthType, AuthenticationFlow, AuthorizationCode,
    ClaimsVerificationError, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet, EndpointSet,
    HttpRequest, HttpResponse, IssuerUrl, LanguageTag, LoginHint, Nonce, OAuth2TokenResponse, PkceCodeChallenge,
    PkceCodeVerifier, ProviderMetadata, RedirectUrl, Scope, SignatureVerificationError, SubjectIdentifier,
    TokenResponse, UserInfoClaims,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use url::Url;

use crate::config;
use crate::oauth::visitor::Language;
use crate::outbound::{self, Failed as NotAnswered};

const FRESH: time::Duration = time::Duration::minutes(10);
/// While a fetch fails.
const STALE: time::Duration = time::Duration::hours(1);
const BETWEEN_FORCED: time::Duration = time::Duration::MINUTE;
const AFTER_FAILURE: time::Duration = time::Duration::seconds(10);
/// Allowed difference of clocks for what lies in the future.
const SKEW: time::Duration = time::Duration::seconds(60);

/// With what a provider may sign. Not with our secret, which others may know, and never not at all.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Of the metadata, what the library does not know.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct More {
    /// OpenID Connect RP-Initiated Logout 1.0.
    pub end_session_endpoint: Option<Url>,
    /// RFC 9207.
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for More {}

type Metadata = ProviderMetadata<
    More,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;
type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

/// Every claim that has no name of its own in the library.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Others {
    #[serde(flatten)]
    all: Map<String, Value>,
}

impl AdditionalClaims for Others {}

/// Why a provider could not be asked, or is not believed. For the log and the audit trail.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error("its metadata or keys could not be fetched: {0}")]
    Discovery(String),
    #[error("one of its addresses may not be called: {0}")]
    Address(String),
    #[error("it did not exchange the code: {0}")]
    Exchange(String),
    #[error("it gave no ID token")]
    NoIdToken,
    #[error("its ID token is not good: {0}")]
    IdToken(ClaimsVerificationError),
    #[error("its ID token is not good: {0}")]
    Claims(&'static str),
    #[error("its UserInfo could not be used: {0}")]
    UserInfo(String),
}

/// A provider. Requests share what was fetched of it.
pub struct Upstream {
    pub config: config::Provider,
    secret: Option<ClientSecret>,
    http: outbound::Client,
    timeout: Duration,
    known: tokio::sync::Mutex<Known>,
}

#[derive(Default)]
struct Known {
    metadata: Option<Arc<Metadata>>,
    fetched_at: Option<OffsetDateTime>,
    failed_at: Option<OffsetDateTime>,
}

/// What a browser is sent there with.
pub struct Wanted<'a> {
    pub redirect_uri: String,
    pub state: &'a str,
    pub nonce: &'a str,
    pub verifier: &'a str,
    /// The person must sign in, whoever is signed in there.
    pub anew: bool,
    /// A sign-in of before this is of no use.
    pub max_age: Duration,
    pub login_hint: Option<&'a str>,
    pub language: Language,
}

/// What a browser came back with, and what was kept for it.
pub struct Returned<'a> {
    pub redirect_uri: String,
    pub code: &'a str,
    pub nonce: &'a str,
    pub verifier: &'a str,
    pub max_age: Duration,
}

/// What a provider says of a person.
pub struct Vouched {
    pub issuer: String,
    pub subject: String,
    /// Its session.
    pub sid: Option<String>,
    /// When the person signed in there, in seconds since 1970.
    pub auth_time: Option<i64>,
    /// Of the ID token and, where that lacks something we need, of UserInfo.
    pub claims: Map<String, Value>,
    /// As it came.
    pub id_token: String,
}

impl Upstream {
    pub fn new(
        config: config::Provider,
        secret: Option<ClientSecret>,
        http: outbound::Client,
        timeout: Duration,
    ) -> Self {
        Self { config, secret, http, timeout, known: tokio::sync::Mutex::default() }
    }

    /// The address to send a browser to.
    pub async fn authorize(&self, wanted: &Wanted<'_>, now: OffsetDateTime) -> Result<Url, Failed> {
        let metadata = self.metadata(now).await?;
        self.http
            .guard()
            .check(metadata.authorization_endpoint().url().as_str())
            .map_err(|refused| Failed::Address(refused.to_string()))?;
        let client = self.client(&metadata, wanted.redirect_uri.clone())?;
        let (state, nonce) = (wanted.state.to_owned(), wanted.nonce.to_owned());
        let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
        let verifier = PkceCodeVerifier::new(wanted.verifier.to_owned());
        let mut request = client
            .authorize_url(flow, || CsrfToken::new(state), || Nonce::new(nonce))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .add_scopes(self.config.scopes.iter().filter(|scope| *scope != "openid").cloned().map(Scope::new))
            .set_max_age(wanted.max_age)
            .add_ui_locale(LanguageTag::new(wanted.language.tag().to_owned()));
        if wanted.anew {
            request = request.add_prompt(CoreAuthPrompt::Login);
        }
        if let Some(name) = wanted.login_hint {
            request = request.set_login_hint(LoginHint::new(name.to_owned()));
        }
        Ok(request.url().0)
    }

    /// Whether an answer of this provider must name it (RFC 9207).
    pub async fn must_name_itself(&self, now: OffsetDateTime) -> Result<bool, Failed> {
        Ok(self.metadata(now).await?.additional_metadata().authorization_response_iss_parameter_supported)
    }

    /// Where browsers sign out, if there is such a place.
    pub async fn end_session_endpoint(&self, now: OffsetDateTime) -> Option<Url> {
        let url = self.metadata(now).await.ok()?.additional_metadata().end_session_endpoint.clone()?;
        self.http.guard().check(url.as_str()).ok()
    }

    /// Exchanges the code, and believes the ID token if everything about it is right.
    pub async fn finish(&self, returned: &Returned<'_>, now: OffsetDateTime) -> Result<Vouched, Failed> {
        let metadata = self.metadata(now).await?;
        let client = self.client(&metadata, returned.redirect_uri.clone())?;
        let http = self.caller();
        let exchanged: CoreTokenResponse = client
            .exchange_code(AuthorizationCode::new(returned.code.to_owned()))
            .map_err(|error| Failed::Exchange(error.to_string()))?
            .set_pkce_verifier(PkceCodeVerifier::new(returned.verifier.to_owned()))
            .request_async(&http)
            .await
            .map_err(|error| Failed::Exchange(error.to_string()))?;
        let token = exchanged.id_token().ok_or(Failed::NoIdToken)?;
        let metadata = match self.verify(&metadata, token, returned, now) {
            Err(ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey)) => {
                let newer = self.metadata_after_an_unknown_key(now).await?;
                self.verify(&newer, token, returned, now).map_err(Failed::IdToken)?;
                newer
            }
            checked => {
                checked.map_err(Failed::IdToken)?;
                metadata
            }
        };
        let id_token = token.to_string();
        // Its signature and claims are checked; this reads what the library has no names for.
        let mut claims: Map<String, Value> = jsonwebtoken::dangerous::insecure_decode(&id_token)
            .map_err(|_| Failed::Claims("its claims are no object"))?
            .claims;
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        let subject = text("sub").ok_or(Failed::Claims("it has no subject"))?;
        if claims.get("azp").is_some_and(|azp| azp.as_str() != Some(&self.config.client_id)) {
            return Err(Failed::Claims("it was made for another client (azp)"));
        }
        if self.lacks_something(&claims) && metadata.userinfo_endpoint().is_some() {
            self.add_user_info(&client, exchanged.access_token().clone(), &subject, &mut claims).await?;
        }
        Ok(Vouched {
            issuer: self.config.issuer.clone(),
            sid: claims.get("sid").and_then(Value::as_str).map(str::to_owned),
            auth_time: claims.get("auth_time").and_then(Value::as_i64),
            subject,
            claims,
            id_token,
        })
    }

    fn verify(
        &self,
        metadata: &Metadata,
        token: &CoreIdToken,
        returned: &Returned<'_>,
        now: OffsetDateTime,
    ) -> Result<(), ClaimsVerificationError> {
        let oldest = (now - SKEW - returned.max_age).unix_timestamp();
        let newest = (now + SKEW).unix_timestamp();
        let nonce = Nonce::new(returned.nonce.to_owned());
        // The secret is not given to it, so that it cannot check with it.
        let verifier = CoreIdTokenVerifier::new_public_client(
            ClientId::new(self.config.client_id.clone()),
            metadata.issuer().clone(),
            metadata.jwks().clone(),
        )
        .set_allowed_algs(ALGORITHMS)
        .set_time_fn(move || chrono::DateTime::from_timestamp(now.unix_timestamp(), 0).unwrap_or_default())
        .set_issue_time_verifier_fn(move |made| {
            if made.timestamp() <= newest { Ok(()) } else { Err("it is of a time to come".to_owned()) }
        })
        .set_auth_time_verifier_fn(move |at| match at.map(|at| at.timestamp()) {
            Some(at) if at < oldest => Err("the person signed in there too long ago".to_owned()),
            Some(at) if at > newest => Err("the person signed in there in a time to come".to_owned()),
            _ => Ok(()),
        });
        token.claims(&verifier, &nonce).map(|_| ())
    }

    /// Whether a claim that is needed is not in the ID token: many providers tell them by UserInfo.
    fn lacks_something(&self, claims: &Map<String, Value>) -> bool {
        let config = &self.config;
        let needed = [&config.identifier_claim, &config.fhir_user_claim, &config.tenant_claim];
        needed.into_iter().flatten().chain([&config.name_claim]).any(|claim| !claims.contains_key(claim))
    }

    async fn add_user_info(
        &self,
        client: &Client,
        access_token: AccessToken,
        subject: &str,
        claims: &mut Map<String, Value>,
    ) -> Result<(), Failed> {
        let http = self.caller();
        let wrong = |error: String| Failed::UserInfo(error);
        // The library demands that it is of the same subject.
        let told: UserInfoClaims<Others, CoreGenderClaim> = client
            .user_info(access_token, Some(SubjectIdentifier::new(subject.to_owned())))
            .map_err(|error| wrong(error.to_string()))?
            .request_async(&http)
            .await
            .map_err(|error| wrong(error.to_string()))?;
        let Ok(Value::Object(told)) = serde_json::to_value(&told) else {
            return Err(wrong("it is no object".to_owned()));
        };
        for (name, value) in told {
            // What is signed counts.
            claims.entry(name).or_insert(value);
        }
        Ok(())
    }

    /// The keys, for tokens that the library does not read.
    pub async fn keys(&self, now: OffsetDateTime, anew: bool) -> Result<JwkSet, Failed> {
        let metadata = match anew {
            true => self.metadata_after_an_unknown_key(now).await?,
            false => self.metadata(now).await?,
        };
        let keys = serde_json::to_value(metadata.jwks()).ok().and_then(|keys| serde_json::from_value(keys).ok());
        keys.ok_or_else(|| Failed::Discovery("its keys cannot be read".to_owned()))
    }

    async fn metadata(&self, now: OffsetDateTime) -> Result<Arc<Metadata>, Failed> {
        self.fetched(now, FRESH).await
    }

    async fn metadata_after_an_unknown_key(&self, now: OffsetDateTime) -> Result<Arc<Metadata>, Failed> {
        self.fetched(now, BETWEEN_FORCED).await
    }

    /// The metadata and keys, fetched again when they are as old as `age`.
    async fn fetched(&self, now: OffsetDateTime, age: time::Duration) -> Result<Arc<Metadata>, Failed> {
        let mut known = self.known.lock().await;
        let is_younger = |age| known.fetched_at.is_some_and(|at| now - at < age);
        if let Some(metadata) = known.metadata.clone().filter(|_| is_younger(age)) {
            return Ok(metadata);
        }
        let stale = known.metadata.clone().filter(|_| is_younger(STALE));
        if known.failed_at.is_some_and(|at| now - at < AFTER_FAILURE) {
            return stale.ok_or_else(|| Failed::Discovery("it failed a moment ago".to_owned()));
        }
        let http = self.caller();
        let issuer = IssuerUrl::new(self.config.issuer.clone());
        let issuer = issuer.map_err(|error| Failed::Discovery(error.to_string()))?;
        match Metadata::discover_async(issuer, &http).await {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                *known = Known { metadata: Some(metadata.clone()), fetched_at: Some(now), failed_at: None };
                Ok(metadata)
            }
            Err(error) => {
                known.failed_at = Some(now);
                tracing::warn!(provider = self.config.id, %error, "a provider's metadata or keys could not be fetched");
                stale.ok_or_else(|| Failed::Discovery(error.to_string()))
            }
        }
    }

    fn client(&self, metadata: &Metadata, redirect_uri: String) -> Result<Client, Failed> {
        let redirect = RedirectUrl::new(redirect_uri).map_err(|error| Failed::Address(error.to_string()))?;
        let id = ClientId::new(self.config.client_id.clone());
        let client = CoreClient::from_provider_metadata(metadata.clone(), id, self.secret.clone());
        // Basic is the default of OpenID Connect Discovery 1.0, section 3.
        let by_header = metadata
            .token_endpoint_auth_methods_supported()
            .is_none_or(|methods| methods.contains(&CoreClientAuthMethod::ClientSecretBasic));
        let auth = if by_header { AuthType::BasicAuth } else { AuthType::RequestBody };
        Ok(client.set_redirect_uri(redirect).set_auth_type(auth))
    }

    /// The library's calls, by our own guarded client.
    fn caller(&self) -> impl Fn(HttpRequest) -> Call + use<> {
        let (http, timeout) = (self.http.clone(), self.timeout);
        move |request| Box::pin(call(http.clone(), request, timeout))
    }
}

type Call = std::pin::Pin<Box<dyn Future<Output = Result<HttpResponse, NotAnswered>> + Send>>;

async fn call(http: outbound::Client, request: HttpRequest, timeout: Duration) -> Result<HttpResponse, NotAnswered> {
    let (parts, body) = request.into_parts();
    let url = parts.uri.to_string();
    let answer = match parts.method == axum::http::Method::POST {
        true => {
            let body =
                String::from_utf8(body).map_err(|_| NotAnswered::NeverSent("a body that is no text".to_owned()))?;
            http.post(&url, parts.headers, body, timeout).await?
        }
        false => http.get(&url, parts.headers, timeout).await?,
    };
    let mut response = HttpResponse::new(answer.body.to_vec());
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    Ok(response)
}
