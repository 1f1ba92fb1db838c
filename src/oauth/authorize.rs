//! `GET` and `POST /authorize` (RFC 6749 section 4.1.1; SMART App Launch 2.1.0, "Obtain authorization code"; OpenID Connect
//! Core 1.0 section 3.1.2).
//!
//! | situation | answer |
//! |---|---|
//! | good, the browser's user is signed in and owns the launch, and nothing is left to ask | 303 to the app with `code` and `state` |
//! | good otherwise | 200, the first page of [`super::flow`]: the login form, "continue as …?", the consent |
//! | `client_id` unknown, `redirect_uri` missing or not registered, either of them repeated | 400, a page; no redirect |
//! | anything else wrong, and the client registered itself | 400, a page; no redirect (see [`super::register`]) |
//! | anything else wrong | 303 to the app with `error`, `error_description` and `state` |
//! | `prompt=none` and nobody suitable is signed in | 303 with `login_required` |
//! | `prompt=none` and somebody is, but a page is needed | 303 with `interaction_required` or `consent_required` |
//! | posted by a page of another site | 303 here again, with the browser's cookies (see [`super::posted`]) |
//! | `HEAD` | 405 |
//! | a request object (OpenID Connect Core 1.0 section 6), by value or by reference | 303 with `request_not_supported`, `request_uri_not_supported` |
//!
//! Every answer to the app names this server (`iss`, RFC 9207), so that an app that talks to many does not take the code of
//! one to another. An `id_token_hint` that is not of the person who is signed in, or cannot be read, counts as nobody signed
//! in; when somebody else than the person it names signs in then, the app is told `login_required`. The pages speak the first
//! language of `ui_locales` that they know; a cookie carries it from page to page.
//!
//! A launch may be authorized again, by its owner, as long as the launch window is open: an app that is reloaded starts
//! over, so a launchID is not used up by its first use. The window is for beginning: who begins within it has the life of
//! the form, ten minutes, to answer the pages.
//!
//! An app that asks for a patient (`launch/patient`, or `patient/` scopes, which stand for it) without a launch begins one
//! itself: its user picks the patient ([`super::picker`]). Without either, an app can sign its user in (`openid`), but gets
//! no FHIR scope. A point-of-care system uses this flow without a launch, for its signed-in user.

use axum::Router;
use axum::extract::{FromRequest, FromRequestParts};
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::approval::{SignedIn, find_alive};
use super::flow::{self, Flow, May};
use super::form::{Parameters, Repeated, is_form};
use super::grantable::{Occasion, grantable, outside_a_launch};
use super::page::{self, Problem};
use super::recipient::{Recipient, Refusal, refuse};
use super::visitor::{Language, Visitor};
use super::{OauthState, cookie, launch_values, login, posted, session};
use crate::id::token_digest;
use crate::smart::client::redirect_is_registered;
use crate::smart::pkce;
use crate::smart::scope::ScopeSet;
use crate::store;
use crate::store::client::{Client, Role, Source};
use crate::store::context::ContextRow;

// What is kept while somebody signs in is bounded, in bytes: anybody can send it.
const LONGEST_STATE: usize = 2048;
const LONGEST_NONCE: usize = 512;
const LONGEST_REDIRECT_URI: usize = 2048;
const LONGEST_SCOPE: usize = 8192;

/// A good authorization request, kept while its user signs in and answers. It is judged again before a code is given.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    pub client_id: String,
    pub redirect_uri: String,
    pub state: String,
    /// The scope, as it was asked for.
    pub asked: String,
    /// Whether the app wants the user to be asked, whatever was agreed before (`prompt=consent`).
    pub ask_consent: bool,
    /// Whether the person must sign in for it, wherever they are signed in (`prompt=login`).
    #[serde(default)]
    pub sign_in_anew: bool,
    /// The context that the launchID named.
    pub context: Option<Uuid>,
    pub code_challenge: String,
    pub nonce: Option<String>,
    /// The user the app expects (`id_token_hint`).
    #[serde(default)]
    pub expected_user: Option<Uuid>,
}

/// Whether the user may be, or must be, asked to sign in (OpenID Connect `prompt`, `max_age`).
struct Prompt {
    never: bool,
    always: bool,
    consent: bool,
    max_age: Option<Duration>,
    /// An `id_token_hint` was sent: of this person, if it is a token of this server.
    hint: Option<Option<Uuid>>,
}

/// Of an ID token that comes back, what counts.
#[derive(Deserialize)]
struct Hint {
    sub: Uuid,
}

/// The route of this endpoint.
pub fn routes() -> Router<OauthState> {
    // Whoever only looks (HEAD) must not get a code, or own a launch.
    Router::new().route("/authorize", routing::get(get).post(post).head(async || StatusCode::METHOD_NOT_ALLOWED))
}

/// `GET /authorize`.
async fn get(State(state): State<OauthState>, visitor: Visitor, RawQuery(query): RawQuery) -> Response {
    let parameters = Parameters::parse(query.unwrap_or_default().as_bytes());
    match (parameters.one(posted::TOKEN), parameters.one("client_id")) {
        (Ok(Some(token)), Ok(None)) => match posted::take(&state, token).await {
            Ok(kept) => begin(&state, visitor, &Parameters::parse(kept.as_bytes())).await,
            Err(problem) => page::problem(visitor.language, problem),
        },
        _ => begin(&state, visitor, &parameters).await,
    }
}

/// `POST /authorize`.
async fn post(State(state): State<OauthState>, request: Request) -> Response {
    let is_form = is_form(&request);
    let (mut parts, body) = request.into_parts();
    let Ok(visitor) = Visitor::from_request_parts(&mut parts, &state).await;
    let is_from_elsewhere = posted::is_from_elsewhere(&parts.headers, &visitor);
    match Bytes::from_request(Request::from_parts(parts, body), &state).await {
        Ok(body) if is_form && is_from_elsewhere => {
            let kept = posted::keep(&state, &visitor, &body).await;
            kept.unwrap_or_else(|problem| page::problem(visitor.language, problem))
        }
        Ok(body) if is_form => begin(&state, visitor, &Parameters::parse(&body)).await,
        _ => page::problem(visitor.language, Problem::Malformed),
    }
}

async fn begin(state: &OauthState, mut visitor: Visitor, parameters: &Parameters) -> Response {
    let asked = parameters.one("ui_locales").ok().flatten().and_then(Language::first);
    visitor.speak(asked);
    let mut response = answer(state, &visitor, parameters).await;
    cookie::set(response.headers_mut(), visitor.cookies.set_language(asked));
    response
}

async fn answer(state: &OauthState, visitor: &Visitor, parameters: &Parameters) -> Response {
    let recipient = match find_recipient(state, parameters).await {
        Ok(recipient) => recipient,
        Err(problem) => return page::problem(visitor.language, problem),
    };
    match proceed(state, visitor, parameters, &recipient).await {
        Ok(response) => response,
        Err(refusal) => {
            let context = named_launch(state, parameters).await;
            let recipient = Recipient { context, ..recipient };
            let answer = refuse(state, visitor, &recipient, &refusal, None).await;
            // No person has done anything yet, and nobody vetted this address: see `register`.
            let unvetted = recipient.client.source == Source::Dynamic;
            if unvetted { page::problem(visitor.language, Problem::Refused) } else { answer }
        }
    }
}

/// The launch that a refused request names, if there ever was one.
async fn named_launch(state: &OauthState, parameters: &Parameters) -> Option<Uuid> {
    let launch = parameters.one("launch").ok().flatten()?;
    let mut conn = state.engine.pool.acquire().await.ok()?;
    let found = store::context::find_by_launch(&mut conn, &token_digest(launch)).await.ok()?;
    found.map(|context| context.id)
}

async fn find_recipient(state: &OauthState, parameters: &Parameters) -> Result<Recipient, Problem> {
    let one = |name| parameters.one(name).map_err(|_| Problem::Malformed);
    let client_id = one("client_id")?.ok_or(Problem::UnknownClient)?;
    let redirect_uri =
        one("redirect_uri")?.filter(|uri| uri.len() <= LONGEST_REDIRECT_URI).ok_or(Problem::RedirectUri)?;
    let client = find_client(state, client_id).await?;
    if !redirect_is_registered(redirect_uri, &client.redirect_uris, client.loopback_redirects) {
        return Err(Problem::RedirectUri);
    }
    let issuer = state.public_url().to_owned();
    // A repeated or too long state is refused below, and then there is none to give back.
    let state = parameters.one("state").ok().flatten().filter(|state| state.len() <= LONGEST_STATE).map(str::to_owned);
    Ok(Recipient { issuer, frames: Vec::new(), client, redirect_uri: redirect_uri.to_owned(), state, context: None })
}

/// The enabled client of that id.
pub async fn find_client(state: &OauthState, client_id: &str) -> Result<Client, Problem> {
    let found = async {
        let mut conn = state.engine.pool.acquire().await?;
        store::client::find(&mut conn, client_id).await
    };
    let found = found.await.map_err(|error| {
        tracing::error!(%error, "a client could not be looked up");
        Problem::Unavailable
    })?;
    found.filter(|client| client.enabled).ok_or(Problem::UnknownClient)
}

async fn proceed(
    state: &OauthState,
    visitor: &Visitor,
    parameters: &Parameters,
    recipient: &Recipient,
) -> Result<Response, Refusal> {
    check_supported(parameters)?;
    let prompt = read_prompt(state, parameters).await?;
    let mut conn = state.engine.pool.acquire().await?;
    let request = read_request(state, &mut conn, parameters, recipient, &prompt).await?;
    let frames = store::client::frame_ancestors(&mut conn, request.context).await?;
    let recipient = &Recipient { frames, context: request.context, ..recipient.clone() };
    drop(conn);
    let signed_in = if prompt.always { None } else { session::find(state, visitor).await? };
    let is_meant = |signed_in: &SignedIn| {
        prompt.max_age.is_none_or(|max_age| state.now() - signed_in.since <= max_age)
            && prompt.hint.is_none_or(|hint| hint == Some(signed_in.user.id))
    };
    if let Some(signed_in) = signed_in.filter(is_meant) {
        let may = if prompt.never { May::OnlyAnswer } else { May::Ask };
        let mut flow = Flow::begin(request.clone(), recipient.clone(), signed_in);
        match flow::advance(state, visitor, &mut flow, may).await {
            Ok(response) => return Ok(response),
            // Somebody else is still signed in on a shared computer: let the right person sign in.
            Err(Refusal::NotOwner | Refusal::OtherOrganisation) if !prompt.never => {}
            Err(refusal) => return Err(refusal),
        }
    }
    if prompt.never {
        return Err(Refusal::LoginRequired);
    }
    state.limits.sign_in(visitor.address).map_err(|_| Refusal::TooMany)?;
    Ok(login::ask(state, visitor, &flow::Purpose::Authorize(request), Some(recipient)).await?)
}

/// What this server does not do must not be passed over: the app relies on it.
fn check_supported(parameters: &Parameters) -> Result<(), Refusal> {
    if parameters.one("request")?.is_some() {
        return Err(Refusal::RequestObject);
    }
    if parameters.one("request_uri")?.is_some() {
        return Err(Refusal::RequestUri);
    }
    match parameters.one("response_mode")? {
        None | Some("query") => Ok(()),
        Some(_) => Err(Refusal::ResponseMode),
    }
}

async fn read_prompt(state: &OauthState, parameters: &Parameters) -> Result<Prompt, Refusal> {
    let words: Vec<_> = parameters.one("prompt")?.unwrap_or_default().split_ascii_whitespace().collect();
    let known = words.iter().all(|word| ["none", "login", "select_account", "consent"].contains(word));
    let never = words.contains(&"none");
    if !known || (never && words.len() > 1) {
        return Err(Refusal::Prompt);
    }
    let max_age = match parameters.one("max_age")? {
        Some(seconds) => Some(Duration::seconds(seconds.parse::<u32>().map_err(|_| Refusal::MaxAge)?.into())),
        None => None,
    };
    let hint = match parameters.one("id_token_hint")? {
        Some(token) => Some(state.keys.verify::<Hint>("JWT", token).await.ok().map(|hint| hint.sub)),
        None => None,
    };
    let always = words.contains(&"login") || words.contains(&"select_account");
    Ok(Prompt { never, always, consent: words.contains(&"consent"), max_age, hint })
}

async fn read_request(
    state: &OauthState,
    conn: &mut PgConnection,
    parameters: &Parameters,
    recipient: &Recipient,
    prompt: &Prompt,
) -> Result<AuthorizationRequest, Refusal> {
    let required = |name| parameters.one(name)?.ok_or(Refusal::Missing(name));
    for (name, longest) in [("state", LONGEST_STATE), ("nonce", LONGEST_NONCE), ("scope", LONGEST_SCOPE)] {
        if parameters.one(name)?.is_some_and(|value| value.len() > longest) {
            return Err(Refusal::TooLong(name));
        }
    }
    let sent_state = required("state")?;
    if required("response_type")? != "code" {
        return Err(Refusal::ResponseType);
    }
    if recipient.client.role == Role::Service {
        return Err(Refusal::Client);
    }
    let code_challenge = required("code_challenge")?;
    // An absent method means plain (RFC 7636 section 4.3).
    if parameters.one("code_challenge_method")? != Some(pkce::METHOD) {
        return Err(Refusal::ChallengeMethod);
    }
    if !pkce::is_challenge(code_challenge) {
        return Err(Refusal::Challenge);
    }
    check_audience(parameters, &state.engine.config.server.fhir_base())?;
    let asked = required("scope")?;
    let nonce = parameters.one("nonce")?;
    let context = match parameters.one("launch")? {
        Some(launch) => Some(find_launch(state, conn, launch, &recipient.client).await?),
        None => None,
    };
    let set = state.enforceable(ScopeSet::parse(asked));
    let occasion = match &context {
        Some(context) => Occasion::Launch(launch_values(context)),
        None => outside_a_launch(&set, &recipient.client, state.engine.config.standalone.enabled),
    };
    grantable(&set, &recipient.client, &occasion).map_err(|refusal| explained(state, asked, refusal))?;
    Ok(AuthorizationRequest {
        client_id: recipient.client.client_id.clone(),
        redirect_uri: recipient.redirect_uri.clone(),
        state: sent_state.to_owned(),
        asked: asked.to_owned(),
        ask_consent: prompt.consent,
        sign_in_anew: prompt.always,
        expected_user: prompt.hint.flatten(),
        context: context.map(|context| context.id),
        code_challenge: code_challenge.to_owned(),
        nonce: nonce.map(str::to_owned),
    })
}

/// Where nothing can be granted: why, if that is for conditions which cannot be enforced.
pub fn explained(state: &OauthState, asked: &str, refusal: Refusal) -> Refusal {
    match (refusal, state.engine.rules.explain(asked)) {
        (Refusal::Scope, Some(why)) => Refusal::Conditions(why),
        (refusal, _) => refusal,
    }
}

/// `aud` must name this FHIR base, so that an app led astray by a false `iss` sends no token to a stranger. `resource`
/// is a synonym (RFC 8707).
fn check_audience(parameters: &Parameters, fhir_base: &str) -> Result<(), Refusal> {
    let trimmed = |name| Ok::<_, Repeated>(parameters.one(name)?.map(|url| url.strip_suffix('/').unwrap_or(url)));
    match (trimmed("aud")?, trimmed("resource")?) {
        (None, None) => Err(Refusal::Missing("aud")),
        (Some(aud), Some(resource)) if aud != resource => Err(Refusal::TwoAudiences),
        (Some(url), _) | (None, Some(url)) if url != fhir_base => Err(Refusal::Audience),
        _ => Ok(()),
    }
}

async fn find_launch(
    state: &OauthState,
    conn: &mut PgConnection,
    launch: &str,
    client: &Client,
) -> Result<ContextRow, Refusal> {
    if client.role != Role::App {
        return Err(Refusal::NotAnApp);
    }
    let context = store::context::find_by_launch(conn, &token_digest(launch)).await?.ok_or(Refusal::Launch)?;
    let context = find_alive(state, conn, context.id).await?;
    if !window_is_open(&context, state.engine.config.context.launch_window, state.now()) {
        return Err(Refusal::Launch);
    }
    check_app(&context, client)?;
    Ok(context)
}

/// A launch may be for one app only.
pub fn check_app(context: &ContextRow, client: &Client) -> Result<(), Refusal> {
    match &context.app_id {
        Some(app_id) if *app_id != client.client_id => Err(Refusal::OtherApp),
        _ => Ok(()),
    }
}

fn window_is_open(context: &ContextRow, window: std::time::Duration, now: OffsetDateTime) -> bool {
    window.is_zero() || now < context.created_at + window
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audience_is_this_fhir_base_with_or_without_a_slash() {
        let check = |query: &str| check_audience(&Parameters::parse(query.as_bytes()), "https://s.example/fhir");
        for good in ["aud=https://s.example/fhir", "aud=https://s.example/fhir/", "resource=https://s.example/fhir"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "aud=https://s.example",
            "aud=https://s.example/fhir//",
            "aud=https://evil.example/fhir",
            "aud=https://s.example/fhir&resource=https://evil.example/fhir",
            "aud=https://s.example/fhir&aud=x",
            "resource=https://evil.example",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
