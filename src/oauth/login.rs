//! The login form and `POST /login`, where it goes; and what comes of every sign-in, whatever showed who somebody is.
//!
//! | situation | answer |
//! |---|---|
//! | right name and password, and nothing of [`super::local`] left to do | session cookie, and the next page of [`super::flow`] or 303 to the app |
//! | wrong name, wrong password, disabled account, one whose organisation signs in upstream only | 403, the form again, the same text and about the same time |
//! | a name at a domain of an upstream provider | 200, the page that leads there; the password is not looked at |
//! | too many tries (see [`super::throttle`]) | 429, the form again |
//! | the same, to see what apps may do | session cookie, and 303 to that page |
//! | cancelled | 303 to the app with `access_denied` |
//! | form too old, sent before, or shown to another browser | 400, a page |

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, header::RETRY_AFTER};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use serde_json::Value;
use uuid::Uuid;

use super::authorize::AuthorizationRequest;
use super::flow::{self, Flow, Purpose};
use super::form::Parameters;
use super::local::Pending;
use super::page::{self, Again, Login, Problem};
use super::password::Asker;
use super::recipient::{Recipient, Refusal, refuse};
use super::session::{self, SignedInUpstream, Started};
use super::throttle::{self, Attempt, Closed};
use super::visitor::{Visitor, record};
use super::{OauthState, cookie, federation, local, manage, strangers};
use crate::id::token_digest;
use crate::secret::Secret;
use crate::store;
use crate::store::audit::Entry;
use crate::store::flow::{Stage, Step};
use crate::store::user::User;
use crate::web::peer;

/// A form that waits for its person to show who they are.
pub struct Waits {
    pub token: String,
    /// The app that waits; none where the person wants to see what apps may do.
    pub app: Option<(AuthorizationRequest, Recipient)>,
    /// The organisation whose launch it is for.
    pub tenant: Option<i64>,
}

/// A person who has shown who they are.
pub struct Shown<'a> {
    pub user: User,
    /// The attempt that was counted, if one was.
    pub attempt: Option<&'a Attempt>,
    /// The upstream provider that vouches for the person.
    pub upstream: Option<&'a SignedInUpstream>,
    /// For this very form: whoever was signed in already at a provider may have left.
    pub present: bool,
    /// The page that the form stands on.
    pub from: Step,
}

/// Keeps what the person signs in for and shows the form that names it.
pub async fn ask(
    state: &OauthState,
    visitor: &Visitor,
    purpose: &Purpose,
    recipient: Option<&Recipient>,
) -> store::Result<Response> {
    let stage = Stage { step: Step::SignIn, signed_in: None, choice: &flow::nothing_said() };
    let tenant = federation::tenant_of(state, purpose).await?;
    let (token, new_cookie) = flow::keep(state, visitor, purpose, stage).await?;
    let mut response = form(state, visitor, recipient, (&token, tenant), "", None);
    cookie::set(response.headers_mut(), new_cookie);
    Ok(response)
}

/// The form, once more. `name` is what was typed before.
pub fn show(state: &OauthState, visitor: &Visitor, waits: &Waits, name: &str, again: Option<Again>) -> Response {
    let recipient = waits.app.as_ref().map(|(_, recipient)| recipient);
    form(state, visitor, recipient, (&waits.token, waits.tenant), name, again)
}

fn form(
    state: &OauthState,
    visitor: &Visitor,
    recipient: Option<&Recipient>,
    (token, tenant): (&str, Option<i64>),
    name: &str,
    again: Option<Again>,
) -> Response {
    let client = recipient.map(Recipient::shown_name);
    let page = page::login(&Login {
        language: visitor.language,
        client: client.as_deref(),
        redirect_uri: recipient.map(|recipient| recipient.redirect_uri.as_str()),
        request: token,
        name,
        again,
        offer: &state.federation.offer(tenant, visitor.language),
    });
    page::framed_by(page, recipient.map_or(&[], |recipient| &recipient.frames))
}

/// What was typed.
struct Submitted {
    waits: Waits,
    name: String,
    password: Secret<String>,
    cancelled: bool,
}

/// Why nobody is signed in.
pub enum NotSignedIn {
    Again(Again),
    /// For so many seconds.
    TooMany(u64),
    Refused(Refusal),
}

impl<E: Into<Refusal>> From<E> for NotSignedIn {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

/// The route of this endpoint.
pub fn routes() -> Router<OauthState> {
    Router::new().route("/login", post(handler))
}

/// `POST /login`.
async fn handler(State(state): State<OauthState>, visitor: Visitor, body: Bytes) -> Response {
    let submitted = match find_submitted(&state, &visitor, &Parameters::parse(&body)).await {
        Ok(submitted) => submitted,
        Err(problem) => return page::problem(visitor.language, problem),
    };
    if submitted.cancelled {
        return cancel(&state, &visitor, &submitted.waits, Step::SignIn).await;
    }
    if let Some(upstream) = state.federation.of_name(&submitted.name) {
        return federation::send(&state, &visitor, &submitted.waits, upstream, Some(&submitted.name)).await;
    }
    let again = |again| show(&state, &visitor, &submitted.waits, &submitted.name, Some(again));
    match check_password(&state, &visitor, &submitted).await {
        Ok((user, attempt)) => {
            let (pending, at) = (Pending::new(user.id), (Step::SignIn, Some(&attempt)));
            local::go_on(&state, &visitor, submitted.waits, user, pending, at).await
        }
        Err(NotSignedIn::Again(reason)) => again(reason),
        Err(NotSignedIn::TooMany(seconds)) => {
            let mut response = again(Again::TooMany);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            response
        }
        Err(NotSignedIn::Refused(refusal)) => tell(&state, &visitor, &submitted.waits, &refusal).await,
    }
}

async fn find_submitted(state: &OauthState, visitor: &Visitor, form: &Parameters) -> Result<Submitted, Problem> {
    let field = |name| Ok(form.one(name).map_err(|_| Problem::Malformed)?.unwrap_or_default().to_owned());
    let (waits, _) = find_waiting(state, visitor, form, Step::SignIn).await?;
    Ok(Submitted {
        waits,
        name: field("name")?.trim().to_owned(),
        password: Secret::new(field("password")?),
        cancelled: field("action")? == "cancel",
    })
}

/// A form that came back before its person has signed in, with what was said on it so far.
pub async fn find_waiting(
    state: &OauthState,
    visitor: &Visitor,
    form: &Parameters,
    step: Step,
) -> Result<(Waits, Value), Problem> {
    let (token, purpose, waiting) = flow::find(state, visitor, form, step).await?;
    let tenant = federation::tenant_of(state, &purpose).await.map_err(|error| {
        tracing::error!(%error, "a form could not be looked up");
        Problem::Unavailable
    })?;
    let app = match purpose {
        Purpose::Authorize(request) => {
            let recipient = flow::recipient(state, &request).await?;
            Some((request, recipient))
        }
        Purpose::Manage => None,
        Purpose::Logout(_) => return Err(Problem::FormGone),
    };
    Ok((Waits { token, app, tenant }, waiting.choice))
}

/// Uses the form up, and tells the app that nobody agreed.
pub async fn cancel(state: &OauthState, visitor: &Visitor, waits: &Waits, step: Step) -> Response {
    let refusal = match use_up(state, waits, step).await {
        Ok(true) => Refusal::Cancelled,
        Ok(false) => return page::problem(visitor.language, Problem::FormGone),
        Err(refusal) => refusal,
    };
    tell(state, visitor, waits, &refusal).await
}

/// Tells the app that it was refused; without one, the person.
pub async fn tell(state: &OauthState, visitor: &Visitor, waits: &Waits, refusal: &Refusal) -> Response {
    match (&waits.app, refusal) {
        (Some((_, recipient)), _) => refuse(state, visitor, recipient, refusal, None).await,
        (None, Refusal::Unavailable(error)) => {
            tracing::error!(%error, "the database failed a sign-in");
            page::problem(visitor.language, Problem::Unavailable)
        }
        (None, _) => page::problem(visitor.language, Problem::FormGone),
    }
}

/// `false` when the form was used meanwhile.
async fn use_up(state: &OauthState, waits: &Waits, step: Step) -> Result<bool, Refusal> {
    let mut tx = store::begin(&state.engine.pool).await?;
    let ended = store::flow::end(&mut tx, &token_digest(&waits.token), step).await?;
    tx.commit().await?;
    Ok(ended)
}

/// The person whose name and password these are.
async fn check_password(
    state: &OauthState,
    visitor: &Visitor,
    submitted: &Submitted,
) -> Result<(User, Attempt), NotSignedIn> {
    let user = store::user::find_by_name(&mut *state.engine.pool.acquire().await?, &submitted.name).await?;
    let id = user.as_ref().map(|user| user.id);
    let attempt = begin_attempt(state, visitor, &submitted.waits, &submitted.name, id).await?;
    let user = user.filter(|user| user.enabled && !state.federation.is_exclusive(user.tenant));
    let password_hash = user.as_ref().and_then(|user| user.password_hash.clone());
    let asker = Asker { network: peer::network(visitor.address), is_known: attempt.is_known };
    let right = state.passwords.is_right(asker, submitted.password.clone(), password_hash).await;
    match user.filter(|_| matches!(right, Ok(true))) {
        Some(user) => Ok((user, attempt)),
        None if right.is_err() => {
            throttle::withdraw(state, &attempt).await?;
            Err(NotSignedIn::Again(Again::Busy))
        }
        None => {
            record_refused(state, visitor, &submitted.waits, None).await;
            Err(NotSignedIn::Again(Again::Wrong))
        }
    }
}

/// Counts an attempt on what `name` stands for, if one may be made now.
pub async fn begin_attempt(
    state: &OauthState,
    visitor: &Visitor,
    waits: &Waits,
    name: &str,
    user: Option<Uuid>,
) -> Result<Attempt, NotSignedIn> {
    match throttle::begin(state, visitor, name, user).await? {
        Ok(attempt) => Ok(attempt),
        Err(Closed { retry_after }) => {
            let entry = Entry {
                action: "login",
                outcome: "refused",
                client_id: waits.app.as_ref().map(|(request, _)| request.client_id.as_str()),
                request_id: visitor.request_id.as_deref(),
                detail: Some("throttled"),
                ..Entry::default()
            };
            strangers::refused(state, &entry).await;
            Err(NotSignedIn::TooMany(retry_after))
        }
    }
}

/// Notes a sign-in that was not let in.
pub async fn record_refused(state: &OauthState, visitor: &Visitor, waits: &Waits, detail: Option<&str>) {
    record(state, &entry(visitor, &visitor.address.to_string(), waits, None, detail)).await;
}

/// A sign-in for the audit trail.
fn entry<'a>(
    visitor: &'a Visitor,
    address: &'a str,
    waits: &'a Waits,
    user: Option<&User>,
    detail: Option<&'a str>,
) -> Entry<'a> {
    Entry {
        action: "login",
        outcome: if user.is_some() { "success" } else { "refused" },
        client_id: waits.app.as_ref().map(|(request, _)| request.client_id.as_str()),
        user_id: user.map(|user| user.id),
        context: waits.app.as_ref().and_then(|(request, _)| request.context),
        tenant: user.map_or(0, |user| user.tenant),
        request_id: visitor.request_id.as_deref(),
        address: Some(address),
        detail,
        ..Entry::default()
    }
}

/// Starts the session of a person who has shown who they are, and goes on: whether the app gets a code is another question.
pub async fn admit(state: &OauthState, visitor: &Visitor, waits: Waits, shown: Shown<'_>) -> Response {
    let present = shown.present;
    let (started, known) = match begin_session(state, visitor, &waits, shown).await {
        Ok(Some(started)) => started,
        Ok(None) => return page::problem(visitor.language, Problem::FormGone),
        Err(error) => return tell(state, visitor, &waits, &error.into()).await,
    };
    if let Some(ended) = started.ended {
        session::tell(state, ended);
    }
    let mut response = match waits.app {
        Some((request, recipient)) => {
            let flow = Flow::signed_in(waits.token, request, recipient, started.signed_in, present);
            flow::go_on(state, visitor, flow).await
        }
        None => manage::see_page(state),
    };
    for cookie in [started.cookie, known] {
        cookie::set(response.headers_mut(), cookie);
    }
    response
}

/// The session, and the cookie that makes the browser known; `None` when the form was used, or the account changed,
/// meanwhile.
async fn begin_session(
    state: &OauthState,
    visitor: &Visitor,
    waits: &Waits,
    shown: Shown<'_>,
) -> store::Result<Option<(Started, Option<HeaderValue>)>> {
    let now = state.now();
    let mut tx = store::begin(&state.engine.pool).await?;
    // Whoever was disabled, or given another password, while this one was looked at does not get in by the old one.
    let is_there = store::user::hold(&mut tx, shown.user.id).await?;
    let user = store::user::find(tx.conn(), shown.user.id).await?.filter(|_| is_there);
    if user.is_none_or(|user| user.password_hash != shown.user.password_hash) {
        return Ok(None);
    }
    let mut known = None;
    if let Some(attempt) = shown.attempt {
        throttle::forgive(&mut tx, attempt).await?;
    }
    if shown.upstream.is_none() {
        let (browser, cookie) = visitor.cookies.known_or_new();
        store::known_browser::remember(&mut tx, &browser, shown.user.id, now + cookie::KNOWN_FOR).await?;
        known = cookie;
    }
    let started = session::start(state, &mut tx, visitor, shown.user, shown.upstream).await?;
    let (form, said) = (token_digest(&waits.token), flow::after_sign_in(shown.present));
    let signed_in = Some((started.signed_in.user.id, started.signed_in.session_digest.as_slice()));
    let stage = Stage { step: flow::AFTER_SIGN_IN, signed_in, choice: &said };
    let was_open = match waits.app {
        Some(_) => store::flow::move_on(&mut tx, &form, shown.from, stage).await?,
        None => store::flow::end(&mut tx, &form, shown.from).await?,
    };
    if !was_open {
        return Ok(None);
    }
    let provider = shown.upstream.map(|upstream| upstream.provider.as_str());
    let address = visitor.address.to_string();
    let user = Some(&started.signed_in.user);
    store::audit::append(tx.conn(), &entry(visitor, &address, waits, user, provider), now).await?;
    tx.commit().await?;
    Ok(Some((started, known)))
}
