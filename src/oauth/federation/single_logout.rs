//! Signing out in both directions.
//!
//! | what happens | what is done |
//! |---|---|
//! | a person who came through a provider signs out here, and the provider can be signed out of | the browser goes there with its own ID token, and comes back by `GET /signed-out` |
//! | the provider says that a session, or all of a subject, has ended (`POST /backchannel-logout-<id>`) | the sessions here that began with it end, with what was granted in them; 200 |
//! | what it sends is no good logout token, or was sent before | 400 `invalid_request` |
//!
//! Whoever comes back to `/signed-out` is already signed out here: that page only knows where to go on.

use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use time::OffsetDateTime;

use super::provider::Upstream;
use super::{Journey, pack, unpack};
use crate::id::{digest, random_token, token_digest};
use crate::oauth::error::{Code, Failure};
use crate::oauth::form::{Form, Parameters};
use crate::oauth::logout::{self, After};
use crate::oauth::visitor::Visitor;
use crate::oauth::{OauthState, page, session};
use crate::store;
use crate::store::login::Session;
use crate::token::upstream_logout::{self, LoggedOut, Refused};

/// The page that sends the browser to the provider of a session that has just ended here; `None` where there is no place to
/// go to.
pub async fn sign_out_upstream(
    state: &OauthState,
    visitor: &Visitor,
    session: &Session,
    after: &After,
) -> Option<Response> {
    let upstream = state.federation.find(session.provider.as_deref()?)?;
    let mut url = upstream.end_session_endpoint(state.now()).await?;
    let id_token = session::id_token(state, session)?;
    let browser_digest = visitor.cookies.browser_digest()?;
    let sent_state = random_token();
    let state_digest = token_digest(&sent_state);
    let journey = Journey { state_digest: &state_digest, browser_digest: &browser_digest, provider: "" };
    let packed = serde_json::to_vec(after).ok()?;
    if let Err(error) = pack(state, journey, &packed).await {
        tracing::error!(%error, "a browser's way out could not be kept");
        return None;
    }
    url.query_pairs_mut()
        .append_pair("id_token_hint", &id_token)
        .append_pair("client_id", &upstream.config.client_id)
        .append_pair("post_logout_redirect_uri", &format!("{}/signed-out", state.public_url()))
        .append_pair("state", &sent_state);
    Some(page::onward(visitor.language, &url))
}

/// `GET /signed-out`.
pub async fn came_back(State(state): State<OauthState>, visitor: Visitor, RawQuery(query): RawQuery) -> Response {
    let parameters = Parameters::parse(query.unwrap_or_default().as_bytes());
    let after = async {
        let sent_state = parameters.one("state").ok().flatten()?;
        let (state_digest, browser_digest) = (token_digest(sent_state), visitor.cookies.browser_digest()?);
        let journey = Journey { state_digest: &state_digest, browser_digest: &browser_digest, provider: "" };
        let packed = unpack(&state, journey).await.ok().flatten()?;
        serde_json::from_slice::<After>(&packed).ok()
    };
    logout::leave(&visitor, &after.await.unwrap_or_default())
}

/// `POST /backchannel-logout-<id>`.
pub async fn told(state: OauthState, form: Form, id: String) -> Response {
    let done = async {
        let token = form.required("logout_token")?;
        let upstream =
            state.federation.find(&id).ok_or_else(|| Failure::new(Code::InvalidRequest, "no such provider"))?;
        let now = state.now();
        let logged_out = check(upstream, token, now).await?;
        end(&state, upstream, &logged_out, now).await
    };
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    match done.await {
        Ok(()) => (StatusCode::OK, no_store).into_response(),
        Err(failure) => failure.into_response(),
    }
}

async fn check(upstream: &Upstream, token: &str, now: OffsetDateTime) -> Result<LoggedOut, Failure> {
    let config = &upstream.config;
    let unreachable = |error: super::provider::Failed| {
        tracing::warn!(provider = config.id, %error, "a logout of a provider cannot be checked");
        Failure::new(Code::TemporarilyUnavailable, "the provider's keys cannot be fetched")
    };
    let keys = upstream.keys(now, false).await.map_err(unreachable)?;
    let checked = match upstream_logout::check(token, &keys, &config.issuer, &config.client_id, now) {
        Err(Refused::Key) => {
            let keys = upstream.keys(now, true).await.map_err(unreachable)?;
            upstream_logout::check(token, &keys, &config.issuer, &config.client_id, now)
        }
        checked => checked,
    };
    checked.map_err(|refused| {
        tracing::warn!(provider = config.id, %refused, "a logout token of a provider is refused");
        Failure::new(Code::InvalidRequest, format!("the logout token is not good: {refused}"))
    })
}

async fn end(
    state: &OauthState,
    upstream: &Upstream,
    logged_out: &LoggedOut,
    now: OffsetDateTime,
) -> Result<(), Failure> {
    let issuer = &upstream.config.issuer;
    let mut tx = store::begin(&state.engine.pool).await?;
    if !store::upstream::see_logout(&mut tx, issuer, &digest(logged_out.jti.as_bytes()), logged_out.until).await? {
        return Err(Failure::new(Code::InvalidRequest, "the logout token was sent before"));
    }
    let (subject, sid) = (logged_out.subject.as_deref(), logged_out.sid.as_deref());
    let sessions = store::login::take_of_upstream(&mut tx, issuer, subject, sid).await?;
    let mut ended = Vec::with_capacity(sessions.len());
    for session in &sessions {
        ended.push(session::end(&mut tx, session, None, "sign-out upstream", now).await?);
    }
    tx.commit().await?;
    for ended in ended {
        session::tell(state, ended);
    }
    Ok(())
}
