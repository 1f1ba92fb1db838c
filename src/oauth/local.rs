//! What a person who knows their password has still to do before they are signed in.
//!
//! | page | shown when | file |
//! |---|---|---|
//! | one-time password | the account has a second factor | [`super::second_factor`] |
//! | setting up a second factor | it has none and needs one (`accounts.second_factor`, `sofa user set --second-factor`) | [`super::second_factor`] |
//! | another password | an operator has set the present one (`sofa user reset`) | [`super::new_password`] |
//!
//! The form stays the one of the sign-in, under another page; nobody is signed in before the last of them. Who comes through
//! an upstream provider sees none of them: how people sign in there is the provider's affair (`require_amr`).

use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::login::{self, Shown, Waits};
use super::page::{self, Problem};
use super::throttle::{self, Attempt};
use super::visitor::Visitor;
use super::{OauthState, new_password, second_factor};
use crate::config::SecondFactor;
use crate::id::token_digest;
use crate::store;
use crate::store::flow::{Stage, Step};
use crate::store::user::{FactorRule, User};

/// Who is at it, and what is done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pending {
    pub user: Uuid,
    /// The second factor was shown, set up, or is not needed.
    pub factor: bool,
    /// A secret that is being set up, sealed, base64.
    pub secret: Option<String>,
    /// The recovery codes are on the page.
    pub codes_shown: bool,
}

impl Pending {
    pub const fn new(user: Uuid) -> Self {
        Self { user, factor: false, secret: None, codes_shown: false }
    }
}

/// A form of one of these pages that came back, with its person: still enabled, and still with a password.
pub async fn find(
    state: &OauthState,
    visitor: &Visitor,
    form: &super::form::Parameters,
    step: Step,
) -> Result<(Waits, Pending, User), Problem> {
    let (waits, said) = login::find_waiting(state, visitor, form, step).await?;
    let pending: Pending = serde_json::from_value(said).map_err(|_| Problem::FormGone)?;
    let user = find_user(state, pending.user).await.map_err(|error| {
        tracing::error!(%error, "a person could not be looked up");
        Problem::Unavailable
    })?;
    Ok((waits, pending, user.ok_or(Problem::FormGone)?))
}

async fn find_user(state: &OauthState, id: Uuid) -> store::Result<Option<User>> {
    let user = store::user::find(&mut *state.engine.pool.acquire().await?, id).await?;
    Ok(user.filter(|user| user.enabled && user.password_hash.is_some() && !state.federation.is_exclusive(user.tenant)))
}

/// The next page, or in. `attempt` was a success.
pub async fn go_on(
    state: &OauthState,
    visitor: &Visitor,
    waits: Waits,
    user: User,
    mut pending: Pending,
    (from, attempt): (Step, Option<&Attempt>),
) -> Response {
    if !pending.factor {
        let has_one = match has_factor(state, user.id).await {
            Ok(has_one) => has_one,
            Err(error) => return login::tell(state, visitor, &waits, &error.into()).await,
        };
        match (needs_factor(state, &user, has_one), has_one) {
            (false, _) => pending.factor = true,
            (true, true) => {
                return stand(state, visitor, &waits, &pending, (from, Step::SecondFactor), attempt, |_| {
                    second_factor::page(visitor, &waits, None)
                })
                .await;
            }
            (true, false) => {
                let Some(secret) = second_factor::new_secret(state, &user) else {
                    return page::problem(visitor.language, Problem::Unavailable);
                };
                pending.secret = Some(secret);
                return stand(state, visitor, &waits, &pending, (from, Step::Enrol), attempt, |pending| {
                    second_factor::enrol_page(state, visitor, &waits, &user, pending, false)
                })
                .await;
            }
        }
    }
    if user.must_change {
        return stand(state, visitor, &waits, &pending, (from, Step::Password), attempt, |_| {
            new_password::page(state, visitor, &waits, None)
        })
        .await;
    }
    login::admit(state, visitor, waits, Shown { user, attempt, upstream: None, present: true, from }).await
}

async fn has_factor(state: &OauthState, user: Uuid) -> store::Result<bool> {
    let mut conn = state.engine.pool.acquire().await?;
    Ok(store::second_factor::find(&mut conn, user).await?.is_some())
}

fn needs_factor(state: &OauthState, user: &User, has_one: bool) -> bool {
    match (user.second_factor, state.engine.config.accounts.second_factor) {
        (FactorRule::Off, _) => false,
        (FactorRule::Required, _) | (FactorRule::Usual, SecondFactor::Required) => true,
        (FactorRule::Usual, SecondFactor::Optional) => has_one,
    }
}

/// Takes the form to a page, and shows it.
pub async fn stand(
    state: &OauthState,
    visitor: &Visitor,
    waits: &Waits,
    pending: &Pending,
    (from, to): (Step, Step),
    attempt: Option<&Attempt>,
    show: impl FnOnce(&Pending) -> Response,
) -> Response {
    let said = serde_json::to_value(pending).unwrap_or_default();
    match move_form(state, waits, (from, to), &said, attempt).await {
        Ok(true) => show(pending),
        Ok(false) => page::problem(visitor.language, Problem::FormGone),
        Err(error) => login::tell(state, visitor, waits, &error.into()).await,
    }
}

/// `false` when the form was used meanwhile.
async fn move_form(
    state: &OauthState,
    waits: &Waits,
    (from, to): (Step, Step),
    said: &Value,
    attempt: Option<&Attempt>,
) -> store::Result<bool> {
    let mut tx = store::begin(&state.engine.pool).await?;
    if let Some(attempt) = attempt {
        throttle::forgive(&mut tx, attempt).await?;
    }
    let stage = Stage { step: to, signed_in: None, choice: said };
    let moved = store::flow::move_on(&mut tx, &token_digest(&waits.token), from, stage).await?;
    tx.commit().await?;
    Ok(moved)
}
