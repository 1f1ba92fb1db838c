//! The login form and `POST /login`, where it goes.
//!
//! | situation | answer |
//! |---|---|
//! | right name and password | session cookie, and the next page of [`super::flow`] or 303 to the app |
//! | wrong name, wrong password, disabled account | 403, the form again, the same text and about the same time |
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

use super::approval::SignedIn;
use super::authorize::{AuthorizationRequest, Recipient, Refusal, refuse};
use super::flow::{self, Flow, Purpose};
use super::form::Parameters;
use super::page::{self, Again, Login, Problem};
use super::password::Asker;
use super::throttle::{self, Attempt, Closed};
use super::visitor::{Visitor, record};
use super::{OauthState, cookie, manage, session, strangers};
use crate::id::token_digest;
use crate::secret::Secret;
use crate::store;
use crate::store::audit::Entry;
use crate::store::flow::{Stage, Step};
use crate::store::user::User;
use crate::web::peer;

/// Keeps what the person signs in for and shows the form that names it.
pub async fn ask(
    state: &OauthState,
    visitor: &Visitor,
    purpose: &Purpose,
    recipient: Option<&Recipient>,
) -> store::Result<Response> {
    let stage = Stage { step: Step::SignIn, signed_in: None, choice: &flow::nothing_said() };
    let (token, new_cookie) = flow::keep(state, visitor, purpose, stage).await?;
    let mut response = form(visitor, recipient, &token, "", None);
    cookie::set(response.headers_mut(), new_cookie);
    Ok(response)
}

/// The form. `name` is what was typed before.
pub fn form(
    visitor: &Visitor,
    recipient: Option<&Recipient>,
    token: &str,
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
    });
    page::framed_by(page, recipient.map_or(&[], |recipient| &recipient.frames))
}

/// A form that came back, with what it is for.
struct Submitted {
    token: String,
    /// The app that waits; none where the person wants to see what apps may do.
    app: Option<(AuthorizationRequest, Recipient)>,
    name: String,
    password: Secret<String>,
    cancelled: bool,
}

/// The headers that start a session, and make the browser known.
type Cookies = [Option<HeaderValue>; 2];

/// Why nobody is signed in.
enum NotSignedIn {
    Again(Again),
    /// For so many seconds.
    TooMany(u64),
    /// The form was used meanwhile.
    Gone,
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
        return cancel(&state, &visitor, &submitted).await;
    }
    match sign_in(&state, &visitor, &submitted).await {
        Ok((signed_in, cookies)) => finish(&state, &visitor, submitted, signed_in, cookies).await,
        Err(NotSignedIn::Again(again)) => show_again(&visitor, &submitted, again),
        Err(NotSignedIn::TooMany(seconds)) => {
            let mut response = show_again(&visitor, &submitted, Again::TooMany);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            response
        }
        Err(NotSignedIn::Gone) => page::problem(visitor.language, Problem::FormGone),
        Err(NotSignedIn::Refused(refusal)) => tell(&state, &visitor, &submitted, &refusal).await,
    }
}

async fn find_submitted(state: &OauthState, visitor: &Visitor, form: &Parameters) -> Result<Submitted, Problem> {
    let field = |name| Ok(form.one(name).map_err(|_| Problem::Malformed)?.unwrap_or_default().to_owned());
    let (token, purpose, _) = flow::find(state, visitor, form, Step::SignIn).await?;
    let app = match purpose {
        Purpose::Authorize(request) => Some((flow::recipient(state, &request).await?, request)),
        Purpose::Manage => None,
        Purpose::Logout(_) => return Err(Problem::FormGone),
    };
    Ok(Submitted {
        token,
        app: app.map(|(recipient, request)| (request, recipient)),
        name: field("name")?.trim().to_owned(),
        password: Secret::new(field("password")?),
        cancelled: field("action")? == "cancel",
    })
}

async fn cancel(state: &OauthState, visitor: &Visitor, submitted: &Submitted) -> Response {
    let refusal = match use_up(state, submitted).await {
        Ok(true) => Refusal::Cancelled,
        Ok(false) => return page::problem(visitor.language, Problem::FormGone),
        Err(refusal) => refusal,
    };
    tell(state, visitor, submitted, &refusal).await
}

/// Tells the app that it was refused; without one, the person.
async fn tell(state: &OauthState, visitor: &Visitor, submitted: &Submitted, refusal: &Refusal) -> Response {
    match (&submitted.app, refusal) {
        (Some((_, recipient)), _) => refuse(state, visitor, recipient, refusal, None).await,
        (None, Refusal::Unavailable(error)) => {
            tracing::error!(%error, "the database failed a sign-in");
            page::problem(visitor.language, Problem::Unavailable)
        }
        (None, _) => page::problem(visitor.language, Problem::FormGone),
    }
}

/// `false` when the form was used meanwhile.
async fn use_up(state: &OauthState, submitted: &Submitted) -> Result<bool, Refusal> {
    let mut tx = store::begin(&state.engine.pool).await?;
    let ended = store::flow::end(&mut tx, &token_digest(&submitted.token), Step::SignIn).await?;
    tx.commit().await?;
    Ok(ended)
}

/// Checks the password and starts a session; gives the person and the cookies to set.
async fn sign_in(
    state: &OauthState,
    visitor: &Visitor,
    submitted: &Submitted,
) -> Result<(SignedIn, Cookies), NotSignedIn> {
    let now = state.now();
    let (user, attempt) = begin_attempt(state, visitor, submitted).await?;
    let user = user.filter(|user| user.enabled);
    let password_hash = user.as_ref().and_then(|user| user.password_hash.clone());
    let asker = Asker { network: peer::network(visitor.address), is_known: attempt.is_known };
    let right = state.passwords.is_right(asker, submitted.password.clone(), password_hash).await;
    let Some(user) = user.filter(|_| matches!(right, Ok(true))) else {
        if right.is_err() {
            throttle::withdraw(state, &attempt).await?;
            return Err(NotSignedIn::Again(Again::Busy));
        }
        record(state, &entry(visitor, &visitor.address.to_string(), submitted, None)).await;
        return Err(NotSignedIn::Again(Again::Wrong));
    };
    let mut tx = store::begin(&state.engine.pool).await?;
    throttle::forgive(&mut tx, &attempt).await?;
    let (browser, known) = visitor.cookies.known_or_new();
    store::known_browser::remember(&mut tx, &browser, user.id, now + cookie::KNOWN_FOR).await?;
    let started = session::start(state, &mut tx, visitor, user, None).await?;
    let (form, said) = (token_digest(&submitted.token), flow::after_sign_in());
    let signed_in = Some((started.signed_in.user.id, started.signed_in.session_digest.as_slice()));
    let stage = Stage { step: flow::AFTER_SIGN_IN, signed_in, choice: &said };
    let was_open = match submitted.app {
        Some(_) => store::flow::move_on(&mut tx, &form, Step::SignIn, stage).await?,
        None => store::flow::end(&mut tx, &form, Step::SignIn).await?,
    };
    if !was_open {
        return Err(NotSignedIn::Gone);
    }
    let address = visitor.address.to_string();
    store::audit::append(tx.conn(), &entry(visitor, &address, submitted, Some(&started.signed_in.user)), now).await?;
    tx.commit().await?;
    if let Some(ended) = started.ended {
        session::tell(state, ended);
    }
    Ok((started.signed_in, [started.cookie, known]))
}

/// Whose account it is, and the attempt, if one may be made now.
async fn begin_attempt(
    state: &OauthState,
    visitor: &Visitor,
    submitted: &Submitted,
) -> Result<(Option<User>, Attempt), NotSignedIn> {
    let user = store::user::find_by_name(&mut *state.engine.pool.acquire().await?, &submitted.name).await?;
    match throttle::begin(state, visitor, &submitted.name, user.as_ref().map(|user| user.id)).await? {
        Ok(attempt) => Ok((user, attempt)),
        Err(Closed { retry_after }) => {
            let entry = Entry {
                action: "login",
                outcome: "refused",
                client_id: submitted.app.as_ref().map(|(request, _)| request.client_id.as_str()),
                request_id: visitor.request_id.as_deref(),
                detail: Some("throttled"),
                ..Entry::default()
            };
            strangers::refused(state, &entry).await;
            Err(NotSignedIn::TooMany(retry_after))
        }
    }
}

/// A sign-in for the audit trail.
fn entry<'a>(visitor: &'a Visitor, address: &'a str, submitted: &'a Submitted, user: Option<&User>) -> Entry<'a> {
    Entry {
        action: "login",
        outcome: if user.is_some() { "success" } else { "refused" },
        client_id: submitted.app.as_ref().map(|(request, _)| request.client_id.as_str()),
        user_id: user.map(|user| user.id),
        context: submitted.app.as_ref().and_then(|(request, _)| request.context),
        tenant: user.map_or(0, |user| user.tenant),
        request_id: visitor.request_id.as_deref(),
        address: Some(address),
        ..Entry::default()
    }
}

/// The person has signed in; whether the app gets a code is another question. The session begins either way.
async fn finish(
    state: &OauthState,
    visitor: &Visitor,
    submitted: Submitted,
    signed_in: SignedIn,
    cookies: Cookies,
) -> Response {
    let mut response = match submitted.app {
        Some((request, recipient)) => {
            flow::go_on(state, visitor, Flow::signed_in(submitted.token, request, recipient, signed_in)).await
        }
        None => manage::see_page(state),
    };
    for cookie in cookies {
        cookie::set(response.headers_mut(), cookie);
    }
    response
}

fn show_again(visitor: &Visitor, submitted: &Submitted, again: Again) -> Response {
    let recipient = submitted.app.as_ref().map(|(_, recipient)| recipient);
    form(visitor, recipient, &submitted.token, &submitted.name, Some(again))
}
