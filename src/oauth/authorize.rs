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
//! in; when somebody else than the person it names signs in then, the app is told `login_required`. The pages speak the first language of `ui_locales` that they know; a cookie carries it from page to page.
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
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing;
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::approval::{SignedIn, find_alive};
use super::flow::{self, Flow, May};
use super::form::{Parameters, Repeated, is_form};
use super::page::{self, Problem};
use super::visitor::{Language, Visitor, record};
use super::{OauthState, cookie, launch_values, login, posted, register, session, strangers};
use crate::id::token_digest;
use crate::smart::client::redirect_is_registered;
use crate::smart::launch::LaunchValues;
use crate::smart::pkce;
use crate::smart::scope::{self, Level, ScopeSet};
use crate::store;
use crate::store::audit::Entry;
use crate::store::client::{Client, Role, Source};
use crate::store::context::ContextRow;
use crate::web::peer;

// What is kept while somebody signs in is bounded, in bytes: anybody can send it.
const LONGEST_STATE: usize = 2048;
const LONGEST_NONCE: usize = 512;
const LONGEST_REDIRECT_URI: usize = 2048;
const LONGEST_SCOPE: usize = 8192;

/// Why an authorization is refused, once it is known where to say so.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} is there more than once")]
    Repeated(&'static str),
    #[error("{0} is longer than this server takes")]
    TooLong(&'static str),
    #[error("response_type must be code")]
    ResponseType,
    #[error("this client may not use the authorization code flow")]
    Client,
    #[error("only an app can be launched")]
    NotAnApp,
    #[error("code_challenge_method must be S256")]
    ChallengeMethod,
    #[error("code_challenge must be a SHA-256 in base64url: 43 characters")]
    Challenge,
    #[error("aud must be the FHIR base URL of this server")]
    Audience,
    #[error("aud and resource differ")]
    TwoAudiences,
    #[error("the launch is unknown, has ended, or was made too long ago")]
    Launch,
    #[error("the launch parameter and the launch scope belong together")]
    LaunchScope,
    #[error("the launch is for another app")]
    OtherApp,
    #[error("this server gives apps FHIR scopes only for a patient: within a launch, or with launch/patient")]
    NoLaunch,
    #[error("nothing of the requested scope can be granted")]
    Scope,
    #[error("{0}")]
    Conditions(String),
    #[error("the launch belongs to another user")]
    NotOwner,
    #[error("the user belongs to another organisation")]
    OtherOrganisation,
    #[error("the user did not agree")]
    Cancelled,
    #[error("the user must sign in")]
    LoginRequired,
    #[error("request objects are not supported: send the parameters themselves")]
    RequestObject,
    #[error("request_uri is not supported: send the parameters themselves")]
    RequestUri,
    #[error("response_mode must be query")]
    ResponseMode,
    #[error("prompt must be none alone, or one or more of login, select_account and consent")]
    Prompt,
    #[error("max_age must be a number of seconds")]
    MaxAge,
    #[error("too many people sign in from there at the moment")]
    TooMany,
    #[error("what was picked was not offered")]
    NotOffered,
    #[error("patients cannot be listed at the moment")]
    NoList,
    #[error("the user must say who they are")]
    InteractionRequired,
    #[error("the user must be asked")]
    ConsentRequired,
    #[error("the server cannot do this at the moment")]
    Unavailable(#[from] store::Error),
}

impl Refusal {
    /// The error code (RFC 6749 section 4.1.2.1; OpenID Connect Core 1.0 section 3.1.2.6).
    fn code(&self) -> &'static str {
        match self {
            Self::Missing(_)
            | Self::Repeated(_)
            | Self::TooLong(_)
            | Self::ChallengeMethod
            | Self::Challenge
            | Self::Audience
            | Self::TwoAudiences
            | Self::Launch
            | Self::LaunchScope
            | Self::ResponseMode
            | Self::Prompt
            | Self::MaxAge => "invalid_request",
            Self::RequestObject => "request_not_supported",
            Self::RequestUri => "request_uri_not_supported",
            Self::ResponseType => "unsupported_response_type",
            Self::Client | Self::NotAnApp => "unauthorized_client",
            Self::NoLaunch | Self::Scope | Self::Conditions(_) => "invalid_scope",
            Self::OtherApp | Self::NotOwner | Self::OtherOrganisation | Self::NotOffered | Self::Cancelled => {
                "access_denied"
            }
            Self::LoginRequired => "login_required",
            Self::TooMany => "temporarily_unavailable",
            Self::InteractionRequired => "interaction_required",
            Self::ConsentRequired => "consent_required",
            Self::NoList => "temporarily_unavailable",
            Self::Unavailable(error) if error.is_transient() => "temporarily_unavailable",
            Self::Unavailable(_) => "server_error",
        }
    }
}

impl From<Repeated> for Refusal {
    fn from(Repeated(name): Repeated) -> Self {
        Self::Repeated(name)
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(error.into())
    }
}

/// Whom to answer, and where: known good before anything is sent there.
#[derive(Clone)]
pub struct Recipient {
    /// Who answers: this server.
    pub issuer: String,
    /// Origins that may show the pages in a frame: those of the point-of-care system that made the launch.
    pub frames: Vec<String>,
    pub client: Client,
    pub redirect_uri: String,
    pub state: Option<String>,
    /// The launch that is asked for, for the audit trail.
    pub context: Option<Uuid>,
}

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

/// Where the patient, if any, comes from.
#[derive(Debug)]
pub enum Occasion {
    /// A launch, which delivers this.
    Launch(LaunchValues),
    /// The user will pick.
    ToPick,
    /// The user has picked this, of a launch.
    PickedInLaunch(LaunchValues),
    /// The user has picked this, of the shared data.
    PickedShared(LaunchValues),
    /// There is none.
    NoPatient,
}

/// The occasion of a request that names no launch.
pub fn outside_a_launch(asked: &ScopeSet, client: &Client, standalone: bool) -> Occasion {
    let wanted = asked.within(&ScopeSet::parse(&client.scope));
    let wants_patient = wanted.has("launch/patient") || wanted.has_level(Level::Patient);
    let may_pick = standalone && client.role == Role::App;
    if may_pick && wants_patient { Occasion::ToPick } else { Occasion::NoPatient }
}

/// What of `asked` this client can be granted on this occasion. Of the shared data nobody gets more than to read the
/// compartment of the patient that was picked, so there are no `user/` scopes.
pub fn grantable(asked: &ScopeSet, client: &Client, occasion: &Occasion) -> Result<ScopeSet, Refusal> {
    let registered = ScopeSet::parse(&client.scope);
    let has_resource_scopes =
        [Level::Patient, Level::User, Level::System].into_iter().any(|level| asked.has_level(level));
    let levels: &[Level] = match occasion {
        _ if asked.has("launch") != matches!(occasion, Occasion::Launch(_)) => return Err(Refusal::LaunchScope),
        // Whoever registered it wants it to begin by itself, or not at all.
        Occasion::Launch(_) if !registered.has("launch") => return Err(Refusal::Scope),
        Occasion::NoPatient if client.role == Role::App && has_resource_scopes => return Err(Refusal::NoLaunch),
        Occasion::Launch(values) if values.patient.is_none() => &[Level::User],
        Occasion::NoPatient => &[Level::User],
        Occasion::Launch(_) | Occasion::ToPick | Occasion::PickedInLaunch(_) => &[Level::Patient, Level::User],
        Occasion::PickedShared(_) => &[Level::Patient],
    };
    let delivers = |kind: &str| match occasion {
        Occasion::Launch(values) | Occasion::PickedInLaunch(values) | Occasion::PickedShared(values) => {
            values.delivers(kind)
        }
        Occasion::ToPick => ["patient", "encounter"].contains(&kind),
        Occasion::NoPatient => false,
    };
    let granted =
        asked.within(&registered).only_levels(levels).only_plain(|plain| match plain.strip_prefix("launch/") {
            Some(kind) => delivers(kind),
            None => client.role == Role::Poc || !scope::is_operation(plain),
        });
    let granted = match occasion {
        Occasion::PickedShared(_) => {
            let limit = format!("{} patient/*.rs", granted.clone().only_levels(&[]));
            granted.within(&ScopeSet::parse(&limit))
        }
        _ => granted,
    };
    if granted.is_empty() { Err(Refusal::Scope) } else { Ok(granted) }
}

impl Recipient {
    /// The app's name as people are shown it.
    pub fn shown_name(&self) -> String {
        register::shown_name(&self.client.name, self.client.source, std::slice::from_ref(&self.redirect_uri))
    }

    /// Sends the browser back to the app, with `state` and `iss`. 303, so that a form is never posted again to another server.
    pub fn answer(&self, members: &[(&str, &str)]) -> Response {
        let mut location = self.redirect_uri.clone();
        let state = self.state.as_deref().map(|state| ("state", state));
        let members = members.iter().copied().chain(state).chain([("iss", self.issuer.as_str())]);
        for (name, value) in members {
            location.push(if location.contains('?') { '&' } else { '?' });
            location.push_str(name);
            location.push('=');
            location.extend(utf8_percent_encode(value, QUERY_VALUE));
        }
        let Ok(location) = HeaderValue::from_str(&location) else { return StatusCode::BAD_REQUEST.into_response() };
        let headers = [(header::LOCATION, location), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        (StatusCode::SEE_OTHER, headers).into_response()
    }
}

/// Everything but RFC 3986 "unreserved": safe for clients that read '+' either way.
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Tells the app, and the audit trail, that it was refused. `user` is whoever has signed in for it.
pub async fn refuse(
    state: &OauthState,
    visitor: &Visitor,
    recipient: &Recipient,
    refusal: &Refusal,
    user: Option<Uuid>,
) -> Response {
    if let Refusal::Unavailable(error) = refusal {
        tracing::error!(%error, "the database failed an authorization request");
    }
    let description = refusal.to_string();
    let address = peer::network(visitor.address).to_string();
    let entry = Entry {
        action: "authorize",
        outcome: if matches!(refusal, Refusal::Unavailable(_)) { "failed" } else { "refused" },
        client_id: Some(&recipient.client.client_id),
        user_id: user,
        context: recipient.context,
        address: Some(&address),
        tenant: recipient.client.tenant,
        request_id: visitor.request_id.as_deref(),
        detail: Some(&description),
        ..Entry::default()
    };
    // Who knows a launchID is no stranger.
    match (user, recipient.context) {
        (None, None) => strangers::refused(state, &entry).await,
        _ => record(state, &entry).await,
    }
    recipient.answer(&[("error", refusal.code()), ("error_description", &description)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(role: Role, scope: &str) -> Client {
        Client {
            tenant: i64::from(role == Role::Poc),
            redirect_uris: vec!["https://app.example/cb?keep=1".into()],
            scope: scope.into(),
            ..Client::new("c", role)
        }
    }

    fn granted(role: Role, asked: &str, launched: Option<&LaunchValues>) -> Result<String, &'static str> {
        let all = format!(
            "launch launch/patient launch/encounter openid fhirUser offline_access patient/*.* user/*.* system/*.* {}",
            scope::CONTEXT_ALIAS
        );
        let occasion = launched.map_or(Occasion::NoPatient, |values| Occasion::Launch(values.clone()));
        let scope = grantable(&ScopeSet::parse(asked), &client(role, &all), &occasion);
        scope.map(|scope| scope.to_string()).map_err(|refusal| refusal.code())
    }

    #[test]
    fn within_a_launch_only_what_it_delivers_is_granted() {
        let with_patient = LaunchValues { patient: Some("1".into()), ..Default::default() };
        let empty = LaunchValues::default();
        let asked = "launch launch/patient launch/encounter patient/*.rs user/*.rs system/*.rs Context.write openid";
        assert_eq!(
            granted(Role::App, asked, Some(&with_patient)).unwrap(),
            "launch launch/patient patient/*.rs user/*.rs openid"
        );
        assert_eq!(granted(Role::App, asked, Some(&empty)).unwrap(), "launch user/*.rs openid");
    }

    #[test]
    fn outside_a_launch_an_app_gets_no_data() {
        for scope in ["patient/*.rs", "user/*.rs openid", "system/*.rs"] {
            assert_eq!(granted(Role::App, scope, None), Err("invalid_scope"), "{scope}");
        }
        assert_eq!(granted(Role::App, "launch/patient", None), Err("invalid_scope"));
        assert_eq!(granted(Role::App, "openid fhirUser launch/patient", None).unwrap(), "openid fhirUser");
    }

    #[test]
    fn an_app_that_wants_a_patient_without_a_launch_has_one_picked() {
        let all = client(Role::App, "launch/patient patient/*.rs user/*.rs openid");
        let picks = |asked: &str, client: &Client, standalone| {
            matches!(outside_a_launch(&ScopeSet::parse(asked), client, standalone), Occasion::ToPick)
        };
        for asked in ["launch/patient", "patient/*.rs", "openid patient/Observation.cruds"] {
            assert!(picks(asked, &all, true), "{asked}");
            assert!(!picks(asked, &all, false), "{asked}");
            assert!(!picks(asked, &client(Role::Poc, &all.scope), true), "{asked}");
            assert!(!picks(asked, &client(Role::App, "user/*.rs openid"), true), "{asked}");
        }
        assert!(!picks("openid user/*.rs launch/encounter", &all, true));
    }

    #[test]
    fn what_is_picked_decides_what_can_be_granted() {
        let asked = "launch/patient launch/encounter launch/imagingstudy patient/*.rs user/*.rs system/*.rs openid";
        let app = client(Role::App, asked);
        let granted = |occasion| grantable(&ScopeSet::parse(asked), &app, &occasion).unwrap().to_string();
        let patient = LaunchValues { patient: Some("1".into()), ..Default::default() };
        let visit = LaunchValues { encounter: Some("2".into()), ..patient.clone() };
        let both = "launch/patient launch/encounter patient/*.rs user/*.rs openid";
        assert_eq!(granted(Occasion::ToPick), both);
        assert_eq!(granted(Occasion::PickedInLaunch(visit)), both);
        assert_eq!(granted(Occasion::PickedInLaunch(patient.clone())), "launch/patient patient/*.rs user/*.rs openid");
        assert_eq!(granted(Occasion::PickedShared(patient)), "launch/patient patient/*.rs openid");
        let wide = "launch/patient patient/*.cruds patient/Observation.c patient/*.read openid";
        let picked = Occasion::PickedShared(LaunchValues { patient: Some("1".into()), ..Default::default() });
        let read_only = grantable(&ScopeSet::parse(wide), &client(Role::App, wide), &picked).unwrap().to_string();
        assert_eq!(read_only, "launch/patient patient/*.rs patient/*.read openid");
        let launch = ScopeSet::parse("launch patient/*.rs");
        assert!(matches!(grantable(&launch, &app, &Occasion::ToPick), Err(Refusal::LaunchScope)));
    }

    #[test]
    fn a_point_of_care_system_acts_for_its_user_without_a_launch() {
        let asked = "Context.write user/*.cruds system/*.rs patient/*.rs openid";
        assert_eq!(granted(Role::Poc, asked, None).unwrap(), "Context.write user/*.cruds openid");
    }

    #[test]
    fn launch_scope_and_launch_parameter_come_together() {
        assert_eq!(granted(Role::App, "launch openid", None), Err("invalid_request"));
        assert_eq!(granted(Role::App, "patient/*.rs", Some(&LaunchValues::default())), Err("invalid_request"));
    }

    #[test]
    fn the_answer_keeps_the_query_and_returns_the_state_unchanged() {
        let recipient = Recipient {
            issuer: "https://s.example".into(),
            frames: Vec::new(),
            client: client(Role::App, "openid"),
            redirect_uri: "https://app.example/cb?keep=1".into(),
            state: Some("a b&c=d+é#".into()),
            context: None,
        };
        let response = recipient.answer(&[("code", "x")]);
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        let location = response.headers()[header::LOCATION].to_str().unwrap();
        assert_eq!(
            location,
            "https://app.example/cb?keep=1&code=x&state=a%20b%26c%3Dd%2B%C3%A9%23&iss=https%3A%2F%2Fs.example"
        );
    }

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
