//! `POST /new-password`: choosing another password in place of one that an operator has set.
//!
//! | situation | answer |
//! |---|---|
//! | twice the same new password, good enough | signed in |
//! | the two differ, it is the present one, too short, like the name, or easily guessed | 422, the page again, which says so |
//! | form too old, of another page or browser | 400, a page |

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;

use super::OauthState;
use super::form::Parameters;
use super::local;
use super::login::{self, Waits};
use super::page::{self, Unfit};
use super::password::Asker;
use super::visitor::Visitor;
use crate::secret::Secret;
use crate::store;
use crate::store::audit::Entry;
use crate::store::flow::Step;
use crate::store::user::User;
use crate::token::password::{self, Weak};
use crate::web::peer;

/// The route of the form.
pub fn routes() -> Router<OauthState> {
    Router::new().route("/new-password", post(handler))
}

/// The page.
pub fn page(state: &OauthState, visitor: &Visitor, waits: &Waits, unfit: Option<Unfit>) -> Response {
    let recipient = waits.app.as_ref().map(|(_, recipient)| recipient);
    let shortest = state.engine.config.accounts.shortest_password;
    let uri = recipient.map(|recipient| recipient.redirect_uri.as_str());
    let page = page::new_password(visitor.language, &waits.token, uri, shortest, unfit);
    page::framed_by(page, recipient.map_or(&[], |recipient| &recipient.frames))
}

/// `POST /new-password`.
async fn handler(State(state): State<OauthState>, visitor: Visitor, body: Bytes) -> Response {
    let form = Parameters::parse(&body);
    let (waits, pending, mut user) = match local::find(&state, &visitor, &form, Step::Password).await {
        Ok(found) => found,
        Err(problem) => return page::problem(visitor.language, problem),
    };
    let field = |name| form.one(name).ok().flatten().unwrap_or_default();
    if field("action") == "cancel" {
        return login::cancel(&state, &visitor, &waits, Step::Password).await;
    }
    let chosen = Secret::new(field("password").to_owned());
    if field("again") != chosen.expose() {
        return page(&state, &visitor, &waits, Some(Unfit::Differ));
    }
    if let Err(weak) = password::check(&chosen, state.engine.config.accounts.shortest_password, &user.about()) {
        return page(&state, &visitor, &waits, Some(unfit(weak)));
    }
    let asker = Asker { network: peer::network(visitor.address), is_known: false };
    match state.passwords.is_right(asker, chosen.clone(), user.password_hash.clone()).await {
        Ok(false) => {}
        Ok(true) => return page(&state, &visitor, &waits, Some(Unfit::Same)),
        Err(_busy) => return page(&state, &visitor, &waits, Some(Unfit::Busy)),
    }
    match change(&state, &user, chosen).await {
        Ok(hash) => {
            user.must_change = false;
            user.password_hash = Some(hash);
            local::go_on(&state, &visitor, waits, user, pending, (Step::Password, None)).await
        }
        Err(error) => login::tell(&state, &visitor, &waits, &error.into()).await,
    }
}

const fn unfit(weak: Weak) -> Unfit {
    match weak {
        Weak::Length => Unfit::Length,
        Weak::Name => Unfit::Name,
        Weak::Guessable => Unfit::Guessable,
    }
}

/// The hash that is kept from now on.
async fn change(state: &OauthState, user: &User, chosen: Secret<String>) -> store::Result<String> {
    let now = state.now();
    let hash = password::hash(chosen).await.map_err(|error| sqlx::Error::Encode(error.into()))?;
    let mut tx = store::begin(&state.engine.pool).await?;
    store::user::set_password(&mut tx, user.id, &hash, false, now).await?;
    let entry = Entry {
        action: "user-passwd",
        outcome: "success",
        user_id: Some(user.id),
        tenant: user.tenant,
        detail: Some("by the person"),
        ..Entry::default()
    };
    store::audit::append(tx.conn(), &entry, now).await?;
    tx.commit().await?;
    Ok(hash)
}
