//! Signing out: `GET` and `POST /logout` (OpenID Connect RP-Initiated Logout 1.0), and its form, `POST /sign-out`.
//!
//! | situation | answer |
//! |---|---|
//! | `id_token_hint` of the session of this browser | signed out; then as below |
//! | no hint, or one of another session, and somebody is signed in | 200, "sign out?": any page could send a person here |
//! | nobody is signed in | as after a sign-out |
//! | signed out, `post_logout_redirect_uri` of that client given | 303 there, with `state` |
//! | signed out, none given | 200, a page that says so |
//! | `post_logout_redirect_uri` without a client, or not registered for it, character by character | 400, a page; nobody is signed out |
//! | `client_id` other than the hint's; a parameter repeated | 400, a page |
//! | `POST` without the session's cookie | 303 to the same as `GET`: a form from an app's page brings no cookie along, the redirect does |
//!
//! A hint may have expired: who it is about does not. What ends with the session, and who is told: [`super::session`]. When
//! the person came through an upstream provider that knows how to sign out, the browser is sent there first
//! ([`super::federation`]).

use axum::Router;
use axum::extract::{FromRequest, FromRequestParts};
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use form_urlencoded::Serializer;
use serde::{Deserialize, Serialize};

use super::OauthState;
use super::authorize::find_client;
use super::flow::{self, Purpose};
use super::form::{Parameters, is_form};
use super::page::{self, Farewell, Problem};
use super::visitor::{Language, Visitor};
use super::{cookie, federation, session};
use crate::id::token_digest;
use crate::store;
use crate::store::flow::{Stage, Step};
use crate::store::login::Session;

/// Where it is.
pub const PATH: &str = "/logout";
/// It is kept while somebody is asked.
const LONGEST_STATE: usize = 2048;

/// What an ID token that comes back says. Whether it has expired does not matter.
#[derive(Deserialize)]
struct Hint {
    iss: String,
    sub: String,
    aud: String,
    sid: Option<String>,
}

/// Where to go after the sign-out: a registered address of a client.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct After {
    client_id: Option<String>,
    uri: Option<String>,
    state: Option<String>,
}

/// The endpoint, which pages of anywhere may send people to.
pub fn routes() -> Router<OauthState> {
    Router::new().route(PATH, get(by_get).post(by_post))
}

/// The form of its page, which only that may send.
pub fn form_routes() -> Router<OauthState> {
    Router::new().route("/sign-out", post(answer))
}

/// `GET /logout`.
async fn by_get(State(state): State<OauthState>, visitor: Visitor, RawQuery(query): RawQuery) -> Response {
    begin(&state, visitor, &Parameters::parse(query.unwrap_or_default().as_bytes())).await
}

/// `POST /logout`.
async fn by_post(State(state): State<OauthState>, request: Request) -> Response {
    let is_form = is_form(&request);
    let (mut parts, body) = request.into_parts();
    let Ok(visitor) = Visitor::from_request_parts(&mut parts, &state).await;
    let body = match Bytes::from_request(Request::from_parts(parts, body), &state).await {
        Ok(body) if is_form => body,
        _ => return page::problem(visitor.language, Problem::Malformed),
    };
    let parameters = Parameters::parse(&body);
    if visitor.cookies.session_digest().is_some() {
        return begin(&state, visitor, &parameters).await;
    }
    let mut query = Serializer::new(String::new());
    for name in ["id_token_hint", "client_id", "post_logout_redirect_uri", "state", "ui_locales"] {
        match parameters.one(name) {
            Ok(Some(value)) => query.append_pair(name, value),
            Ok(None) => &mut query,
            Err(_) => return page::problem(visitor.language, Problem::Malformed),
        };
    }
    see_other(&format!("{}{PATH}?{}", state.public_url(), query.finish()))
}

async fn begin(state: &OauthState, mut visitor: Visitor, parameters: &Parameters) -> Response {
    if let Some(asked) = parameters.one("ui_locales").ok().flatten().and_then(Language::first) {
        visitor.speak(Some(asked));
    }
    match proceed(state, &visitor, parameters).await {
        Ok(response) => response,
        Err(problem) => page::problem(visitor.language, problem),
    }
}

async fn proceed(state: &OauthState, visitor: &Visitor, parameters: &Parameters) -> Result<Response, Problem> {
    let (hint, after) = read(state, parameters).await?;
    let Some(session) = session::of_browser(state, visitor).await.map_err(|error| unavailable(&error))? else {
        return Ok(leave(visitor, &after));
    };
    let is_meant = hint.is_some_and(|hint| match hint.sid {
        Some(sid) => sid == session.id.to_string(),
        None => hint.sub == session.user_id.to_string(),
    });
    match is_meant {
        true => sign_out(state, visitor, &after).await,
        false => ask(state, visitor, &session, after).await.map_err(|error| unavailable(&error)),
    }
}

/// Who is meant to sign out, and where to go then.
async fn read(state: &OauthState, parameters: &Parameters) -> Result<(Option<Hint>, After), Problem> {
    let one = |name| parameters.one(name).map_err(|_| Problem::Malformed);
    let hint = match one("id_token_hint")? {
        Some(token) => {
            state.keys.verify::<Hint>("JWT", token).await.ok().filter(|hint| hint.iss == state.keys.issuer())
        }
        None => None,
    };
    let named = one("client_id")?;
    if let (Some(hint), Some(named)) = (&hint, named)
        && hint.aud != named
    {
        return Err(Problem::Malformed);
    }
    let client_id = named.or(hint.as_ref().map(|hint| hint.aud.as_str()));
    let client = match client_id {
        Some(client_id) => Some(find_client(state, client_id).await?),
        None => None,
    };
    let uri = one("post_logout_redirect_uri")?;
    let is_registered = |uri: &&str| {
        client.as_ref().is_some_and(|client| client.post_logout_redirect_uris.iter().any(|one| one == uri))
    };
    if uri.is_some_and(|uri| !is_registered(&uri)) {
        return Err(Problem::RedirectUri);
    }
    let sent_state = one("state")?;
    if sent_state.is_some_and(|state| state.len() > LONGEST_STATE) {
        return Err(Problem::Malformed);
    }
    let after = After {
        client_id: client.map(|client| client.client_id),
        uri: uri.map(str::to_owned),
        state: sent_state.map(str::to_owned),
    };
    Ok((hint, after))
}

async fn ask(state: &OauthState, visitor: &Visitor, session: &Session, after: After) -> store::Result<Response> {
    let Some(digest) = visitor.cookies.session_digest() else { return Ok(leave(visitor, &after)) };
    let user = store::user::find(&mut *state.engine.pool.acquire().await?, session.user_id).await?;
    let said = flow::nothing_said();
    let stage = Stage { step: Step::Logout, signed_in: Some((session.user_id, &digest)), choice: &said };
    let uri = after.uri.clone();
    let (token, new_cookie) = flow::keep(state, visitor, &Purpose::Logout(after), stage).await?;
    let person = user.map(|user| user.display_name).unwrap_or_default();
    let mut response = page::sign_out(visitor.language, &person, &token, uri.as_deref());
    cookie::set(response.headers_mut(), new_cookie);
    Ok(response)
}

/// `POST /sign-out`.
async fn answer(State(state): State<OauthState>, visitor: Visitor, body: Bytes) -> Response {
    match answered(&state, &visitor, &Parameters::parse(&body)).await {
        Ok(response) => response,
        Err(problem) => page::problem(visitor.language, problem),
    }
}

async fn answered(state: &OauthState, visitor: &Visitor, form: &Parameters) -> Result<Response, Problem> {
    let (token, Purpose::Logout(after), waiting) = flow::find(state, visitor, form, Step::Logout).await? else {
        return Err(Problem::FormGone);
    };
    if waiting.session_digest != visitor.cookies.session_digest() {
        return Err(Problem::FormGone);
    }
    let used_up = async {
        let mut tx = store::begin(&state.engine.pool).await?;
        let was_open = store::flow::end(&mut tx, &token_digest(&token), Step::Logout).await?;
        tx.commit().await?;
        store::Result::Ok(was_open)
    };
    if !used_up.await.map_err(|error| unavailable(&error))? {
        return Err(Problem::FormGone);
    }
    match form.one("action").ok().flatten() {
        Some("sign-out") => sign_out(state, visitor, &after).await,
        _ => Ok(page::farewell(visitor.language, Farewell::StillSignedIn)),
    }
}

async fn sign_out(state: &OauthState, visitor: &Visitor, after: &After) -> Result<Response, Problem> {
    let taken = async {
        let Some(digest) = visitor.cookies.session_digest() else { return Ok(None) };
        let mut tx = store::begin(&state.engine.pool).await?;
        let Some(session) = store::login::take(&mut tx, &digest).await? else { return Ok(None) };
        let ended = session::end(&mut tx, &session, visitor.request_id.as_deref(), "sign-out", state.now()).await?;
        tx.commit().await?;
        store::Result::Ok(Some((session, ended)))
    };
    let taken = taken.await.map_err(|error| unavailable(&error))?;
    let mut upstream = None;
    if let Some((session, ended)) = taken {
        session::tell(state, ended);
        upstream = federation::sign_out_upstream(state, visitor, &session, after).await;
    }
    let mut response = upstream.unwrap_or_else(|| leave(visitor, after));
    session::forget(visitor, response.headers_mut());
    Ok(response)
}

/// On to the app, or the last page.
pub fn leave(visitor: &Visitor, after: &After) -> Response {
    match &after.uri {
        Some(uri) => see_other(&with_state(uri, after.state.as_deref())),
        None => page::farewell(visitor.language, Farewell::SignedOut),
    }
}

fn with_state(uri: &str, state: Option<&str>) -> String {
    let Some(state) = state else { return uri.to_owned() };
    let pair = Serializer::new(String::new()).append_pair("state", state).finish();
    format!("{uri}{}{pair}", if uri.contains('?') { '&' } else { '?' })
}

fn see_other(location: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(location) else { return StatusCode::BAD_REQUEST.into_response() };
    let headers = [(header::LOCATION, location), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (StatusCode::SEE_OTHER, headers).into_response()
}

fn unavailable(error: &store::Error) -> Problem {
    tracing::error!(%error, "the database failed a sign-out");
    Problem::Unavailable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_goes_behind_what_the_address_has() {
        assert_eq!(with_state("https://a.example/out", None), "https://a.example/out");
        assert_eq!(with_state("https://a.example/out", Some("s&t")), "https://a.example/out?state=s%26t");
        assert_eq!(with_state("https://a.example/out?x=1", Some("é")), "https://a.example/out?x=1&state=%C3%A9");
    }
}
