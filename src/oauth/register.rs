//! `POST /register` (RFC 7591): a client registers itself, if the operator gave somebody leave to.
//!
//! | situation | answer |
//! |---|---|
//! | an initial access token that still holds, good metadata | 201 JSON with `client_id`, and `client_secret` for `client_secret_basic` |
//! | no token, or one that is unknown, used up or expired | 401 with a `Bearer` challenge; nothing else is looked at |
//! | a redirect URI that may not be used, or none for an app | 400 `invalid_redirect_uri` |
//! | a software statement | 400 `unapproved_software_statement` |
//! | anything else wrong | 400 `invalid_client_metadata`; the token is not used up |
//! | `registry.dynamic` is off | 404, and discovery does not name the endpoint |
//!
//! The token decides what the client is; its scope goes no further than `registry.dynamic_scope` (for an app) or what is
//! usual for its role. Decided: there is no registration management (RFC 7592). A client that lost its secret registers
//! again, and an operator removes the old one (`sofa client delete`), so no further credential has to be kept by anybody.
//!
//! Nobody looked at such a client's addresses. So people are asked each time what it may do, also a point-of-care system; its
//! name is shown together with where the browser goes back to; and an authorization that is refused before a person signed
//! in ends on a page here: otherwise anybody with leave to register could make this server redirect browsers anywhere
//! (RFC 9700 section 4.11.2).

use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::OauthState;
use super::bearer::bearer;
use super::error::{Code, Failure, NO_STORE};
use super::refusal::{self, Sender};
use super::visitor::request_id;
use crate::config::ConsentPolicy;
use crate::id::{random_token, token_digest};
use crate::outbound::Guard;
use crate::smart::client::{RegistrationError, Source, destination};
use crate::smart::jwks;
use crate::smart::registration::{Metadata, MetadataError, grant_types, origins_of, usual_scope};
use crate::smart::scope::ScopeSet;
use crate::store;
use crate::store::audit::Entry;
use crate::store::client::{AuthMethod, Client, Role};
use crate::store::initial_token::{self, InitialToken};

/// Why a registration is refused.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("an initial access token is needed")]
    NoToken,
    #[error("the initial access token is unknown, used up or has expired")]
    Token,
    #[error("the body must be application/json with client metadata, 64 KiB at most")]
    Body,
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// What exactly the rules are is the operator's business.
    #[error("{0} is an address that this server does not call")]
    NotCalled(&'static str),
}

impl Refused {
    /// RFC 7591 section 3.2.2; RFC 6750 section 3.1 for the token.
    const fn code(&self) -> &'static str {
        match self {
            Self::NoToken | Self::Token => "invalid_token",
            Self::Metadata(MetadataError::SoftwareStatement) => "unapproved_software_statement",
            Self::Registration(
                RegistrationError::Redirect(_) | RegistrationError::NoRedirect | RegistrationError::ServiceRedirect,
            ) => "invalid_redirect_uri",
            Self::Body | Self::Metadata(_) | Self::Registration(_) | Self::NotCalled(_) => "invalid_client_metadata",
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        // The text may repeat what the client sent: RFC 6749 allows printable ASCII but for these two.
        let is_plain = |c: char| (' '..='~').contains(&c) && !matches!(c, '"' | '\\');
        let description: String = self.to_string().chars().map(|c| if is_plain(c) { c } else { '\'' }).collect();
        // Who brought no token is told no error of it in the challenge.
        let challenge = match self {
            Self::NoToken => Some("Bearer realm=\"sofa\""),
            Self::Token => Some("Bearer realm=\"sofa\", error=\"invalid_token\""),
            _ => None,
        };
        let status = if challenge.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
        let body = axum::Json(json!({ "error": self.code(), "error_description": description }));
        let mut response = (status, NO_STORE, body).into_response();
        if let Some(challenge) = challenge {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// The route of this endpoint.
pub fn routes() -> Router<OauthState> {
    Router::new().route("/register", post(handler))
}

async fn handler(State(state): State<OauthState>, sender: Sender, request: Request) -> Response {
    let headers = request.headers().clone();
    match register(&state, request).await {
        Ok(Ok((client, secret))) => {
            (StatusCode::CREATED, NO_STORE, axum::Json(told(&client, secret, state.now()))).into_response()
        }
        Ok(Err(refused)) => {
            let failure = Failure::new(Code::InvalidToken, refused.code());
            refusal::note(&state, &sender, &headers, None, "client-add", &failure).await;
            refused.into_response()
        }
        Err(failure) => failure.into_response(),
    }
}

type Registered = (Client, Option<String>);

async fn register(state: &OauthState, request: Request) -> Result<Result<Registered, Refused>, Failure> {
    let headers = request.headers().clone();
    // Read before a connection is taken: the other side may be slow.
    let body = Bytes::from_request(request, state).await.map_err(|_| Refused::Body);
    let Some(digest) = bearer(&headers).map(token_digest) else { return Ok(Err(Refused::NoToken)) };
    let now = state.now();
    let mut tx = store::begin(&state.engine.pool).await?;
    let Some(leave) = initial_token::take(&mut tx, &digest, now).await? else { return Ok(Err(Refused::Token)) };
    let (client, secret) = match body.and_then(|body| read(state, &headers, &body, &leave)) {
        Ok(registered) => registered,
        // The transaction goes, and with it the use of the token.
        Err(refused) => return Ok(Err(refused)),
    };
    store::client::insert(&mut tx, &client, now).await?;
    let entry = Entry {
        action: "client-add",
        outcome: "success",
        client_id: Some(&client.client_id),
        tenant: client.tenant,
        request_id: request_id(&headers),
        detail: Some(&format!("registered itself with the token {}", leave.label)),
        ..Entry::default()
    };
    store::audit::append(tx.conn(), &entry, now).await?;
    tx.commit().await?;
    Ok(Ok((client, secret)))
}

fn read(state: &OauthState, headers: &HeaderMap, body: &[u8], leave: &InitialToken) -> Result<Registered, Refused> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Err(Refused::Body);
    }
    // By way of an object: a struct would be read from an array too.
    let members: Map<String, Value> = serde_json::from_slice(body).map_err(|_| Refused::Body)?;
    let metadata: Metadata = serde_json::from_value(members.into()).map_err(|_| Refused::Body)?;
    let (mut client, secret) = client(metadata, leave, &state.engine.config.registry.dynamic_scope)?;
    client.scope = state.enforceable(ScopeSet::parse(&client.scope)).to_string();
    if client.scope.is_empty() {
        return Err(MetadataError::Scope.into());
    }
    client.registration().check()?;
    // Of a stranger's document only what was looked at is kept.
    client.jwks = client.jwks.map(|set| jwks::usable(&set)).transpose().map_err(RegistrationError::from)?;
    let guard = Guard::new(&state.engine.config.registry);
    let refused = |uri: &Option<String>| uri.as_deref().is_some_and(|uri| guard.check(uri).is_err());
    if refused(&client.jwks_uri) {
        return Err(Refused::NotCalled("jwks_uri"));
    }
    if refused(&client.backchannel_logout_uri) {
        return Err(Refused::NotCalled("backchannel_logout_uri"));
    }
    Ok((client, secret))
}

/// The client that the metadata describe, and its new secret.
fn client(metadata: Metadata, leave: &InitialToken, app_scope: &str) -> Result<Registered, MetadataError> {
    metadata.check(leave.role)?;
    let auth_method = metadata.auth_method()?;
    let scope = metadata.scope_within(if leave.role == Role::App { app_scope } else { usual_scope(leave.role) })?;
    let secret = (auth_method == AuthMethod::ClientSecretBasic).then(random_token);
    let usual = Client::new(format!("dyn-{}", random_token()), leave.role);
    let client = Client {
        name: metadata.client_name.unwrap_or(usual.name),
        tenant: leave.tenant,
        auth_method,
        secret_digest: secret.as_deref().map(token_digest),
        jwks: metadata.jwks,
        jwks_uri: metadata.jwks_uri,
        origins: origins_of(&metadata.redirect_uris),
        redirect_uris: metadata.redirect_uris,
        launch_urls: metadata.initiate_login_uri.into_iter().collect(),
        post_logout_redirect_uris: metadata.post_logout_redirect_uris,
        backchannel_logout_uri: metadata.backchannel_logout_uri,
        scope,
        source: Source::Dynamic,
        // Nobody vetted it, so people decide, each time; of a service nobody is ever asked.
        consent: if leave.role == Role::Service { usual.consent } else { ConsentPolicy::Always },
        ..usual
    };
    Ok((client, secret))
}

/// What the client is told: everything that was registered (RFC 7591 section 3.2.1).
fn told(client: &Client, secret: Option<String>, now: OffsetDateTime) -> Value {
    let mut told = json!({
        "client_id": client.client_id,
        "client_id_issued_at": now.unix_timestamp(),
        "client_name": client.name,
        "redirect_uris": client.redirect_uris,
        "token_endpoint_auth_method": client.auth_method.as_str(),
        "grant_types": grant_types(client.role, client.auth_method),
        "response_types": if client.role == Role::Service { json!([]) } else { json!(["code"]) },
        "scope": client.scope,
    });
    let optional = [
        ("jwks", client.jwks.clone()),
        ("jwks_uri", client.jwks_uri.clone().map(Value::from)),
        ("initiate_login_uri", client.launch_urls.first().cloned().map(Value::from)),
        ("backchannel_logout_uri", client.backchannel_logout_uri.clone().map(Value::from)),
        ("client_secret_expires_at", secret.is_some().then(|| json!(0))),
        ("client_secret", secret.map(Value::from)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            told[name] = value;
        }
    }
    if !client.post_logout_redirect_uris.is_empty() {
        told["post_logout_redirect_uris"] = json!(client.post_logout_redirect_uris);
    }
    told
}

/// The name that people are shown. That of a client nobody vetted stands beside where the browser goes back to, or may.
pub fn shown_name(name: &str, source: Source, redirect_uris: &[String]) -> String {
    if source != Source::Dynamic {
        return name.to_owned();
    }
    let mut destinations: Vec<_> = redirect_uris.iter().map(|uri| destination(uri)).collect();
    destinations.sort();
    destinations.dedup();
    format!("{name} ({})", destinations.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nobody_vetted_stands_beside_its_host() {
        let shown = |source, uris: &[&str]| {
            shown_name("Bank", source, &uris.iter().map(|uri| (*uri).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(shown(Source::Dynamic, &["https://app.example/cb"]), "Bank (app.example)");
        assert_eq!(shown(Source::Dynamic, &["com.example.app:/cb"]), "Bank (com.example.app:)");
        assert_eq!(shown(Source::Dynamic, &["com.evil.app://hospital.example/cb"]), "Bank (com.evil.app:)");
        let several = ["https://b.example/1", "https://a.example/", "https://b.example/2"];
        assert_eq!(shown(Source::Dynamic, &several), "Bank (a.example, b.example)");
        assert_eq!(shown(Source::Cli, &["https://app.example/cb"]), "Bank");
    }

    #[test]
    fn a_refusal_is_plain_ascii_whatever_it_repeats() {
        let refused = Refused::Registration(RegistrationError::Redirect("http://é\"\\\n".into()));
        assert_eq!(refused.code(), "invalid_redirect_uri");
        assert_eq!(refused.into_response().status(), 400);
    }
}
