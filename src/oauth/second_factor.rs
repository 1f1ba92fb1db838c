//! `POST /second-factor` and `POST /enrol`: one-time passwords after the right password.
//!
//! | situation | answer |
//! |---|---|
//! | the one-time password of this moment, or a recovery code, not used before | the next page, or signed in |
//! | a wrong one, one that was used, a code that was used | 403, the page again |
//! | too many tries (see [`super::throttle`]; counted apart from passwords) | 429, the page again |
//! | the password of the device that is set up | 200, the recovery codes, once; then on |
//! | form too old, of another page or browser; a second factor was set up meanwhile | 400, a page |
//!
//! The secret is at rest sealed with the master key, recovery codes as digests. Decided: whoever has the password of an
//! account that needs a second factor and has none sets it up: the first to come. Where that is too little, the operator
//! hands out temporary passwords in person (`sofa user reset`).

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, header::RETRY_AFTER};
use axum::response::Response;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use uuid::Uuid;

use super::OauthState;
use super::form::Parameters;
use super::local::{self, Pending};
use super::login::{self, NotSignedIn, Waits};
use super::page::{self, Again, Enrol, Problem};
use super::recipient::Recipient;
use super::throttle::Attempt;
use super::visitor::Visitor;
use crate::id::token_digest;
use crate::secret::Secret;
use crate::store;
use crate::store::audit::Entry;
use crate::store::flow::Step;
use crate::store::second_factor::{NewFactor, purpose};
use crate::store::user::User;
use crate::token::one_time::{OneTime, normal_code, recovery_codes};

/// The routes of the two forms.
pub fn routes() -> Router<OauthState> {
    Router::new().route("/second-factor", post(show_it)).route("/enrol", post(set_up))
}

fn recipient(waits: &Waits) -> Option<&Recipient> {
    waits.app.as_ref().map(|(_, recipient)| recipient)
}

/// The page that asks for a one-time password.
pub fn page(visitor: &Visitor, waits: &Waits, again: Option<Again>) -> Response {
    let recipient = recipient(waits);
    let uri = recipient.map(|recipient| recipient.redirect_uri.as_str());
    let page = page::second_factor(visitor.language, &waits.token, uri, again);
    page::framed_by(page, recipient.map_or(&[], |recipient| &recipient.frames))
}

/// `POST /second-factor`.
async fn show_it(State(state): State<OauthState>, visitor: Visitor, body: Bytes) -> Response {
    let form = Parameters::parse(&body);
    let (waits, mut pending, user) = match local::find(&state, &visitor, &form, Step::SecondFactor).await {
        Ok(found) => found,
        Err(problem) => return page::problem(visitor.language, problem),
    };
    let field = |name| form.one(name).ok().flatten().unwrap_or_default();
    if field("action") == "cancel" {
        return login::cancel(&state, &visitor, &waits, Step::SecondFactor).await;
    }
    match try_it(&state, &visitor, &waits, &user, field("code")).await {
        Ok(attempt) => {
            pending.factor = true;
            local::go_on(&state, &visitor, waits, user, pending, (Step::SecondFactor, Some(&attempt))).await
        }
        Err(NotSignedIn::Again(again)) => page(&visitor, &waits, Some(again)),
        Err(NotSignedIn::TooMany(seconds)) => {
            let mut response = page(&visitor, &waits, Some(Again::TooMany));
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            response
        }
        Err(NotSignedIn::Refused(refusal)) => login::tell(&state, &visitor, &waits, &refusal).await,
    }
}

/// Counts the try, and takes the code if it is good.
async fn try_it(
    state: &OauthState,
    visitor: &Visitor,
    waits: &Waits,
    user: &User,
    code: &str,
) -> Result<Attempt, NotSignedIn> {
    // No account has such a name: what is guessed here does not count as guesses at the password, nor the other way round.
    let counted_as = format!("\0second factor of {}", user.id);
    let attempt = login::begin_attempt(state, visitor, waits, &counted_as, Some(user.id)).await?;
    if is_good(state, user, code).await? {
        return Ok(attempt);
    }
    login::record_refused(state, visitor, waits, Some("second factor")).await;
    Err(NotSignedIn::Again(Again::WrongCode))
}

async fn is_good(state: &OauthState, user: &User, code: &str) -> store::Result<bool> {
    let now = state.now();
    let mut tx = store::begin(&state.engine.pool).await?;
    let Some(sealed) = store::second_factor::find(tx.conn(), user.id).await? else { return Ok(false) };
    let step = match open(state, &purpose(user.id), &sealed) {
        Some(secret) => one_time(state, &secret, user).and_then(|one_time| one_time.check(code, now.unix_timestamp())),
        None => None,
    };
    let taken = match step {
        Some(step) => store::second_factor::use_step(&mut tx, user.id, step).await?,
        None => {
            let digest = token_digest(&normal_code(code));
            store::second_factor::use_code(&mut tx, user.id, &digest, now).await?
        }
    };
    if taken && step.is_none() {
        let left = store::second_factor::codes_left(tx.conn(), user.id).await?;
        let detail = format!("{left} recovery codes are left");
        audit(&mut tx, state, user, "recovery-code", Some(&detail)).await?;
    }
    tx.commit().await?;
    Ok(taken)
}

fn open(state: &OauthState, purpose: &str, sealed: &[u8]) -> Option<Secret<Vec<u8>>> {
    let opened = state.engine.sealer.open(purpose, sealed);
    opened.inspect_err(|error| tracing::error!(%error, "a second factor cannot be used")).ok().map(Secret::new)
}

fn one_time(state: &OauthState, secret: &Secret<Vec<u8>>, user: &User) -> Option<OneTime> {
    let host = url::Url::parse(state.public_url()).ok()?.host_str()?.to_owned();
    OneTime::new(secret, &host, &user.name).ok()
}

/// A secret for a device that is not set up yet, as it is kept with the form.
pub fn new_secret(state: &OauthState, user: &User) -> Option<String> {
    let secret = OneTime::new_secret();
    one_time(state, &secret, user)?;
    Some(STANDARD.encode(state.engine.sealer.seal(&enrolling(user.id), secret.expose())))
}

fn enrolling(user: Uuid) -> String {
    format!("login_request.enrol.{user}")
}

fn kept_secret(state: &OauthState, user: &User, pending: &Pending) -> Option<Secret<Vec<u8>>> {
    let sealed = STANDARD.decode(pending.secret.as_deref()?).ok()?;
    open(state, &enrolling(user.id), &sealed)
}

/// The page that shows the secret to a device. `wrong`: what was typed was not its password.
pub fn enrol_page(
    state: &OauthState,
    visitor: &Visitor,
    waits: &Waits,
    user: &User,
    pending: &Pending,
    wrong: bool,
) -> Response {
    let device = kept_secret(state, user, pending).and_then(|secret| one_time(state, &secret, user));
    let Some((device, url)) = device.and_then(|device| device.url().ok().map(|url| (device, url))) else {
        return page::problem(visitor.language, Problem::Unavailable);
    };
    let recipient = recipient(waits);
    let page = page::enrol(&Enrol {
        language: visitor.language,
        request: &waits.token,
        redirect_uri: recipient.map(|recipient| recipient.redirect_uri.as_str()),
        url: &url,
        typed: &device.typed(),
        wrong,
    });
    page::framed_by(page, recipient.map_or(&[], |recipient| &recipient.frames))
}

/// `POST /enrol`.
async fn set_up(State(state): State<OauthState>, visitor: Visitor, body: Bytes) -> Response {
    let form = Parameters::parse(&body);
    let (waits, mut pending, user) = match local::find(&state, &visitor, &form, Step::Enrol).await {
        Ok(found) => found,
        Err(problem) => return page::problem(visitor.language, problem),
    };
    let field = |name| form.one(name).ok().flatten().unwrap_or_default();
    if field("action") == "cancel" {
        return login::cancel(&state, &visitor, &waits, Step::Enrol).await;
    }
    if pending.codes_shown {
        return local::go_on(&state, &visitor, waits, user, pending, (Step::Enrol, None)).await;
    }
    let Some(secret) = kept_secret(&state, &user, &pending) else {
        return page::problem(visitor.language, Problem::FormGone);
    };
    let device = one_time(&state, &secret, &user);
    let Some(step) = device.and_then(|device| device.check(field("code"), state.now().unix_timestamp())) else {
        return enrol_page(&state, &visitor, &waits, &user, &pending, true);
    };
    let codes = recovery_codes();
    match keep(&state, &user, &secret, step, &codes).await {
        Ok(true) => {}
        Ok(false) => return page::problem(visitor.language, Problem::FormGone),
        Err(error) => return login::tell(&state, &visitor, &waits, &error.into()).await,
    }
    pending = Pending { factor: true, secret: None, codes_shown: true, ..pending };
    local::stand(&state, &visitor, &waits, &pending, (Step::Enrol, Step::Enrol), None, |_| {
        let recipient = recipient(&waits);
        let uri = recipient.map(|recipient| recipient.redirect_uri.as_str());
        let page = page::recovery_codes(visitor.language, &waits.token, uri, &codes);
        page::framed_by(page, recipient.map_or(&[], |recipient| &recipient.frames))
    })
    .await
}

/// `false` when the person has a second factor already.
async fn keep(
    state: &OauthState,
    user: &User,
    secret: &Secret<Vec<u8>>,
    step: i64,
    codes: &[String],
) -> store::Result<bool> {
    let sealed_secret = state.engine.sealer.seal(&purpose(user.id), secret.expose());
    let digests: Vec<_> = codes.iter().map(|code| token_digest(&normal_code(code))).collect();
    let factor = NewFactor { user: user.id, sealed_secret: &sealed_secret, step, codes: &digests };
    let mut tx = store::begin(&state.engine.pool).await?;
    if !store::second_factor::insert(&mut tx, &factor, state.now()).await? {
        return Ok(false);
    }
    audit(&mut tx, state, user, "second-factor-add", None).await?;
    tx.commit().await?;
    Ok(true)
}

async fn audit(
    tx: &mut store::Tx,
    state: &OauthState,
    user: &User,
    action: &'static str,
    detail: Option<&str>,
) -> store::Result<()> {
    let entry =
        Entry { action, outcome: "success", user_id: Some(user.id), tenant: user.tenant, detail, ..Entry::default() };
    store::audit::append(tx.conn(), &entry, state.now()).await
}
