//! The login form and `POST /login`, where it goes.
//!
//! | situation | answer |
//! |---|---|
//! | right name and password | session cookie, and 303 to the app with what `/authorize` decides |
//! | wrong name, wrong password, disabled account | 403, the form again, the same text and about the same time |
//! | too many tries (see [`super::throttle`]) | 429, the form again |
//! | cancelled | 303 to the app with `access_denied` |
//! | form too old, sent before, or shown to another browser | 400, a page |

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, header::RETRY_AFTER};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use time::Duration;

use super::approval::{self, SignedIn};
use super::authorize::{AuthorizationRequest, Recipient, Refusal, find_client, refuse};
use super::form::Parameters;
use super::page::{self, Again, Login, Problem};
use super::password::Asker;
use super::throttle::{self, Attempt, Closed};
use super::visitor::{Visitor, record};
use super::{OauthState, cookie, strangers};
use crate::id::{random_token, token_digest};
use crate::secret::Secret;
use crate::store;
use crate::store::audit::Entry;
use crate::store::client::Client;
use crate::store::user::User;
use crate::web::peer;

/// How long a form waits for somebody to sign in.
const FORM_LIFE: Duration = Duration::minutes(10);

/// Keeps the authorization request and shows the form that names it.
pub async fn ask(
    state: &OauthState,
    visitor: &Visitor,
    request: &AuthorizationRequest,
    client: &Client,
) -> Result<Response, Refusal> {
    state.limits.sign_in(visitor.address).map_err(|_| Refusal::TooMany)?;
    let token = random_token();
    let (browser, new_cookie) = visitor.cookies.browser_or_new();
    let parameters = serde_json::to_value(request).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let mut tx = store::begin(&state.engine.pool).await?;
    let expires_at = state.now() + FORM_LIFE;
    store::flow::insert(&mut tx, &token_digest(&token), &browser, &parameters, expires_at).await?;
    store::flow::keep_the_newest(&mut tx, &browser).await?;
    tx.commit().await?;
    let form = Login {
        language: visitor.language,
        client: &client.name,
        redirect_uri: &request.redirect_uri,
        request: &token,
        name: "",
        again: None,
    };
    let mut response = page::login(&form);
    cookie::set(response.headers_mut(), new_cookie);
    Ok(response)
}

/// A form that came back, with the request that it names.
struct Submitted {
    token: String,
    request: AuthorizationRequest,
    recipient: Recipient,
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
        Ok((signed_in, cookies)) => finish(&state, &visitor, &submitted, &signed_in, cookies).await,
        Err(NotSignedIn::Again(again)) => show_again(&visitor, &submitted, again),
        Err(NotSignedIn::TooMany(seconds)) => {
            let mut response = show_again(&visitor, &submitted, Again::TooMany);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            response
        }
        Err(NotSignedIn::Refused(refusal)) => refuse(&state, &visitor, &submitted.recipient, &refusal, None).await,
    }
}

async fn find_submitted(state: &OauthState, visitor: &Visitor, form: &Parameters) -> Result<Submitted, Problem> {
    let field = |name| Ok(form.one(name).map_err(|_| Problem::Malformed)?.unwrap_or_default().to_owned());
    let token: String = field("request")?;
    let browser = visitor.cookies.browser_digest().ok_or(Problem::FormGone)?;
    let found = async {
        let mut conn = state.engine.pool.acquire().await?;
        store::flow::find(&mut conn, &token_digest(&token), &browser, state.now()).await
    };
    let parameters = found.await.map_err(|error| unavailable(&error))?.ok_or(Problem::FormGone)?;
    let request: AuthorizationRequest = serde_json::from_value(parameters).map_err(|_| Problem::FormGone)?;
    let client = find_client(state, &request.client_id).await?;
    Ok(Submitted {
        recipient: Recipient { client, redirect_uri: request.redirect_uri.clone(), state: Some(request.state.clone()) },
        token,
        request,
        name: field("name")?.trim().to_owned(),
        password: Secret::new(field("password")?),
        cancelled: field("action")? == "cancel",
    })
}

fn unavailable(error: &store::Error) -> Problem {
    tracing::error!(%error, "a login form could not be looked up");
    Problem::Unavailable
}

async fn cancel(state: &OauthState, visitor: &Visitor, submitted: &Submitted) -> Response {
    let refusal = match use_up(state, submitted).await {
        Ok(()) => Refusal::Cancelled,
        Err(refusal) => refusal,
    };
    refuse(state, visitor, &submitted.recipient, &refusal, None).await
}

async fn use_up(state: &OauthState, submitted: &Submitted) -> Result<(), Refusal> {
    let mut tx = store::begin(&state.engine.pool).await?;
    store::flow::end(&mut tx, &token_digest(&submitted.token)).await?;
    Ok(tx.commit().await?)
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
    let password_hash = user.as_ref().map(|user| user.password_hash.clone());
    let asker = Asker { network: peer::network(visitor.address), is_known: attempt.is_known };
    let right = state.passwords.is_right(asker, submitted.password.clone(), password_hash).await;
    let Some(user) = user.filter(|_| matches!(right, Ok(true))) else {
        if right.is_err() {
            throttle::withdraw(state, &attempt).await?;
            return Err(NotSignedIn::Again(Again::Busy));
        }
        record_login(state, visitor, submitted, None).await;
        return Err(NotSignedIn::Again(Again::Wrong));
    };
    let session = random_token();
    let session_digest = token_digest(&session);
    let mut tx = store::begin(&state.engine.pool).await?;
    throttle::forgive(&mut tx, &attempt, now).await?;
    let (browser, known) = visitor.cookies.known_or_new();
    store::known_browser::remember(&mut tx, &browser, user.id, now + cookie::KNOWN_FOR).await?;
    store::flow::end(&mut tx, &token_digest(&submitted.token)).await?;
    let expires_at = now + state.engine.config.oauth.session_ttl;
    store::login::insert_session(&mut tx, &session_digest, user.id, now, expires_at).await?;
    tx.commit().await?;
    record_login(state, visitor, submitted, Some(&user)).await;
    let cookies = [visitor.cookies.start_session(&session), known];
    Ok((SignedIn { user, session_digest, since: now }, cookies))
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
                client_id: Some(&submitted.request.client_id),
                request_id: visitor.request_id.as_deref(),
                detail: Some("throttled"),
                ..Entry::default()
            };
            strangers::refused(state, &entry).await;
            Err(NotSignedIn::TooMany(retry_after))
        }
    }
}

async fn record_login(state: &OauthState, visitor: &Visitor, submitted: &Submitted, user: Option<&User>) {
    let entry = Entry {
        action: "login",
        outcome: if user.is_some() { "success" } else { "refused" },
        client_id: Some(&submitted.request.client_id),
        user_id: user.map(|user| user.id),
        context: submitted.request.context,
        tenant: user.map_or(0, |user| user.tenant),
        request_id: visitor.request_id.as_deref(),
        ..Entry::default()
    };
    record(state, &entry).await;
}

/// The person has signed in; whether the app gets a code is another question. The session begins either way.
async fn finish(
    state: &OauthState,
    visitor: &Visitor,
    submitted: &Submitted,
    signed_in: &SignedIn,
    cookies: Cookies,
) -> Response {
    let recipient = &submitted.recipient;
    let request_id = visitor.request_id.as_deref();
    let mut response =
        match approval::approve(state, &submitted.request, &recipient.client, signed_in, request_id).await {
            Ok(code) => recipient.answer(&[("code", &code)]),
            Err(refusal) => refuse(state, visitor, recipient, &refusal, Some(signed_in.user.id)).await,
        };
    for cookie in cookies {
        cookie::set(response.headers_mut(), cookie);
    }
    response
}

fn show_again(visitor: &Visitor, submitted: &Submitted, again: Again) -> Response {
    page::login(&Login {
        language: visitor.language,
        client: &submitted.recipient.client.name,
        redirect_uri: &submitted.request.redirect_uri,
        request: &submitted.token,
        name: &submitted.name,
        again: Some(again),
    })
}
