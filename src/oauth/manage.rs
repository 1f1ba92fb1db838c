//! `GET /manage` and `POST /manage/end`: a person sees what clients may do for them, and ends it (SMART App Launch 2.1.0,
//! `management_endpoint`).
//!
//! | situation | answer |
//! |---|---|
//! | `GET`, signed in | 200, each client that holds a grant or has the person's consent |
//! | `GET`, not signed in | 200, the login form; it leads back here |
//! | `POST` of the page's form | the client's grants of this person end and the consent is forgotten; 303 back to the page |
//! | `POST` of a form too old, sent before, of another browser or session | 400, a page |
//!
//! What ends here ends at once: access tokens, refresh tokens and codes belong to a grant. The client itself stays
//! registered, and may ask again.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::approval::SignedIn;
use super::flow::{self, Purpose};
use super::form::Parameters;
use super::page::{self, Access, Manage, Problem, Use};
use super::register::shown_name;
use super::text::Scopes;
use super::visitor::Visitor;
use super::{OauthState, cookie, login, session};
use crate::id::token_digest;
use crate::store;
use crate::store::audit::Entry;
use crate::store::client::Source;
use crate::store::consent::Answered;
use crate::store::flow::{Stage, Step};
use crate::store::grant::Held;

/// Where the page is.
pub const PATH: &str = "/manage";

/// The routes of the page.
pub fn routes() -> Router<OauthState> {
    Router::new().route(PATH, get(show)).route("/manage/end", post(end))
}

/// `GET /manage`.
async fn show(State(state): State<OauthState>, visitor: Visitor) -> Response {
    match page_or_login(&state, &visitor).await {
        Ok(response) => response,
        Err(error) => unavailable(&visitor, &error),
    }
}

fn unavailable(visitor: &Visitor, error: &store::Error) -> Response {
    tracing::error!(%error, "the database failed the page of granted access");
    page::problem(visitor.language, Problem::Unavailable)
}

async fn page_or_login(state: &OauthState, visitor: &Visitor) -> store::Result<Response> {
    let Some(SignedIn { user, session_digest, .. }) = session::find(state, visitor).await? else {
        if state.limits.sign_in(visitor.address).is_err() {
            return Ok(page::problem(visitor.language, Problem::TooMany));
        }
        return login::ask(state, visitor, &Purpose::Manage, None).await;
    };
    let mut conn = state.engine.pool.acquire().await?;
    let held = store::grant::held_for(&mut conn, user.id, state.now()).await?;
    let answered = store::consent::of_user(&mut conn, user.id).await?;
    drop(conn);
    let clients = accesses(&visitor.language.texts().scopes, held, answered);
    let said = flow::nothing_said();
    let stage = Stage { step: Step::Manage, signed_in: Some((user.id, &session_digest)), choice: &said };
    let (token, new_cookie) = flow::keep(state, visitor, &Purpose::Manage, stage).await?;
    let mut response = page::manage(&Manage {
        language: visitor.language,
        person: &user.display_name,
        request: &token,
        clients: &clients,
    });
    cookie::set(response.headers_mut(), new_cookie);
    Ok(response)
}

/// What each client may do: by what it holds, and by what the person has agreed to.
fn accesses(scopes: &Scopes, mut held: Vec<Held>, mut answered: Vec<Answered>) -> Vec<Access> {
    let clients = held.iter_mut().map(|one| (&mut one.client_name, &one.client_source, &one.redirect_uris));
    let others = answered.iter_mut().map(|one| (&mut one.client_name, &one.client_source, &one.redirect_uris));
    for (name, source, redirect_uris) in clients.chain(others) {
        // A word that is not known vouches for nobody.
        *name = shown_name(name, Source::parse(source).unwrap_or(Source::Dynamic), redirect_uris);
    }
    let mut clients: BTreeMap<(String, String), (Vec<String>, Access)> = BTreeMap::new();
    let mut of = |name: &str, id: &str, scope: &str| {
        let (known, access) = clients.entry((name.to_owned(), id.to_owned())).or_default();
        for one in scope.split_ascii_whitespace() {
            if !known.iter().any(|other| other == one) {
                known.push(one.to_owned());
                access.may.push(scopes.sentence(one));
            }
        }
    };
    for one in &held {
        of(&one.client_name, &one.client_id, &one.scope);
    }
    for one in &answered {
        of(&one.client_name, &one.client_id, &one.scope);
    }
    for one in held {
        if let Some((_, access)) = clients.get_mut(&(one.client_name, one.client_id)) {
            let since = one.created_at.format(&Rfc3339).unwrap_or_default();
            access.uses.push(Use { since, launched_from: one.launched_from });
        }
    }
    for one in answered {
        if let Some((_, access)) = clients.get_mut(&(one.client_name, one.client_id)) {
            access.declined = one.refused.split_ascii_whitespace().map(|one| scopes.sentence(one)).collect();
        }
    }
    clients.into_iter().map(|((name, id), (_, access))| Access { id, name, ..access }).collect()
}

/// `POST /manage/end`.
async fn end(State(state): State<OauthState>, visitor: Visitor, body: Bytes) -> Response {
    let form = Parameters::parse(&body);
    let (token, waiting) = match flow::find(&state, &visitor, &form, Step::Manage).await {
        Ok((token, Purpose::Manage, waiting)) => (token, waiting),
        Ok(_) => return page::problem(visitor.language, Problem::FormGone),
        Err(problem) => return page::problem(visitor.language, problem),
    };
    let signed_in = match flow::signed_in(&state, &visitor, &waiting).await {
        Ok(signed_in) => signed_in,
        Err(problem) => return page::problem(visitor.language, problem),
    };
    let Ok(Some(client)) = form.one("client") else { return page::problem(visitor.language, Problem::Malformed) };
    match end_access(&state, &visitor, &token, signed_in.user.id, client).await {
        Ok(true) => see_page(&state),
        Ok(false) => page::problem(visitor.language, Problem::FormGone),
        Err(error) => unavailable(&visitor, &error),
    }
}

/// Ends what the client holds for the person; `false` when the form was used meanwhile.
async fn end_access(
    state: &OauthState,
    visitor: &Visitor,
    token: &str,
    user: Uuid,
    client: &str,
) -> store::Result<bool> {
    let now = state.now();
    let mut tx = store::begin(&state.engine.pool).await?;
    if !store::flow::end(&mut tx, &token_digest(token), Step::Manage).await? {
        return Ok(false);
    }
    // A code that is being made holds the account and the consent: either its grant is there to be ended, or it is made
    // without them and fails.
    store::user::lock(&mut tx, user).await?;
    let forgotten = store::consent::delete(&mut tx, user, client).await?;
    let grants = store::grant::revoke_by_user_and_client(&mut tx, user, client, now).await?;
    if grants > 0 || forgotten {
        let detail = format!("{grants} grants ended by their user");
        let entry = Entry {
            action: "access-end",
            outcome: "success",
            client_id: Some(client),
            user_id: Some(user),
            request_id: visitor.request_id.as_deref(),
            detail: Some(&detail),
            ..Entry::default()
        };
        store::audit::append(tx.conn(), &entry, now).await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// Back to the page.
pub fn see_page(state: &OauthState) -> Response {
    let address = HeaderValue::from_str(&format!("{}{PATH}", state.public_url()));
    let Ok(address) = address else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let headers = [(header::LOCATION, address), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (StatusCode::SEE_OTHER, headers).into_response()
}
