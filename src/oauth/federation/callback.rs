//! `GET /callback-<id>`: a browser comes back from a provider.
//!
//! | situation | answer |
//! |---|---|
//! | the provider vouches for a person who has an account here | session cookie, and the next page or 303 to the app, as after a password |
//! | it does, and there is no account | 403, the sign-in form, which says so |
//! | it refuses, its answer or its ID token is not good, it cannot be reached | 403, the sign-in form, which says so |
//! | `state` missing, unknown, used, too old, of another browser or of another provider | 400, a page |

use axum::extract::RawQuery;
use axum::response::Response;
use serde_json::Value;
use time::Duration;

use super::person::{self, Nobody};
use super::provider::{Failed, Returned, Upstream, Vouched};
use super::{Luggage, callback_uri, unpack};
use crate::id::token_digest;
use crate::oauth::form::Parameters;
use crate::oauth::login::{self, Shown, Waits};
use crate::oauth::page::{self, Again, Problem};
use crate::oauth::session::SignedInUpstream;
use crate::oauth::visitor::Visitor;
use crate::oauth::{OauthState, strangers};
use crate::store::audit::Entry;
use crate::store::flow::Step;
use crate::store::upstream::Journey;
use crate::store::user::User;

/// A sign-in there this long ago is one for this very form.
const JUST_NOW: Duration = Duration::minutes(5);

/// Why nobody comes in.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the provider refused: {0}")]
    ByProvider(String),
    #[error("the answer is of another issuer")]
    Issuer,
    #[error("the answer has no code")]
    NoCode,
    #[error("the person did not sign in there anew")]
    NotAnew,
    #[error(transparent)]
    Provider(#[from] Failed),
    #[error(transparent)]
    Nobody(#[from] Nobody),
}

/// `GET /callback-<id>`.
pub async fn handler(state: OauthState, visitor: Visitor, RawQuery(query): RawQuery, id: String) -> Response {
    let parameters = Parameters::parse(query.unwrap_or_default().as_bytes());
    let Some(upstream) = state.federation.find(&id) else {
        return page::problem(visitor.language, Problem::FormGone);
    };
    let (luggage, waits) = match arrive(&state, &visitor, &parameters, upstream).await {
        Ok(arrived) => arrived,
        Err(problem) => return page::problem(visitor.language, problem),
    };
    match identify(&state, &parameters, upstream, &luggage).await {
        Ok((user, vouched)) => {
            let present = is_just_now(&state, &vouched);
            let upstream = SignedInUpstream {
                provider: upstream.config.id.clone(),
                issuer: vouched.issuer,
                subject: vouched.subject,
                sid: vouched.sid,
                id_token: vouched.id_token,
            };
            let shown = Shown { user, attempt: None, upstream: Some(&upstream), present, from: Step::SignIn };
            login::admit(&state, &visitor, waits, shown).await
        }
        Err(refused) => refuse(&state, &visitor, &waits, upstream, &refused).await,
    }
}

/// What was kept for this browser, and the form that waits. The journey ends here, whatever comes of it.
async fn arrive(
    state: &OauthState,
    visitor: &Visitor,
    parameters: &Parameters,
    upstream: &Upstream,
) -> Result<(Luggage, Waits), Problem> {
    let sent_state = parameters.one("state").map_err(|_| Problem::Malformed)?.ok_or(Problem::FormGone)?;
    let browser_digest = visitor.cookies.browser_digest().ok_or(Problem::FormGone)?;
    let digest = token_digest(sent_state);
    let journey = Journey { state_digest: &digest, browser_digest: &browser_digest, provider: &upstream.config.id };
    let packed = unpack(state, journey).await.map_err(|error| {
        tracing::error!(%error, "the database failed a sign-in through a provider");
        Problem::Unavailable
    })?;
    let luggage: Luggage = packed.and_then(|packed| serde_json::from_slice(&packed).ok()).ok_or(Problem::FormGone)?;
    let form = Parameters::of_form(&luggage.form);
    let (waits, _) = login::find_waiting(state, visitor, &form, Step::SignIn).await?;
    Ok((luggage, waits))
}

async fn identify(
    state: &OauthState,
    parameters: &Parameters,
    upstream: &Upstream,
    luggage: &Luggage,
) -> Result<(User, Vouched), Refused> {
    let now = state.now();
    let one = |name| parameters.one(name).map_err(|_| Refused::ByProvider("a parameter is repeated".to_owned()));
    // Who answers is asked before anything it says is used (RFC 9207 section 2.4).
    match one("iss")? {
        Some(issuer) if issuer != upstream.config.issuer => return Err(Refused::Issuer),
        None if upstream.must_name_itself(now).await? => return Err(Refused::Issuer),
        _ => {}
    }
    if let Some(error) = one("error")? {
        // Its own words are a stranger's: the code alone, if it looks like one.
        let is_code = error.len() <= 64 && error.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        return Err(Refused::ByProvider(if is_code { error.to_owned() } else { "without a known reason".to_owned() }));
    }
    let returned = Returned {
        redirect_uri: callback_uri(state, upstream),
        code: one("code")?.ok_or(Refused::NoCode)?,
        nonce: &luggage.nonce,
        verifier: &luggage.verifier,
        max_age: state.engine.config.oauth.session_ttl,
    };
    let vouched = upstream.finish(&returned, now).await?;
    if luggage.anew && vouched.auth_time.is_some() && !is_just_now(state, &vouched) {
        return Err(Refused::NotAnew);
    }
    let user = person::resolve(state, upstream, &vouched).await?;
    Ok((user, vouched))
}

fn is_just_now(state: &OauthState, vouched: &Vouched) -> bool {
    let at = vouched.claims.get("auth_time").and_then(Value::as_i64);
    at.is_some_and(|at| at >= (state.now() - JUST_NOW).unix_timestamp())
}

async fn refuse(
    state: &OauthState,
    visitor: &Visitor,
    waits: &Waits,
    upstream: &Upstream,
    refused: &Refused,
) -> Response {
    let again = match refused {
        Refused::Nobody(Nobody::Store(error)) => {
            tracing::error!(%error, "the database failed a sign-in through a provider");
            return page::problem(visitor.language, Problem::Unavailable);
        }
        Refused::Nobody(_) => Again::NoAccount,
        _ => Again::ProviderRefused,
    };
    tracing::info!(provider = upstream.config.id, %refused, "a sign-in through a provider came to nothing");
    // Of a fixed set: the audit trail takes no words of strangers.
    let reason = match refused {
        Refused::Nobody(nobody) => nobody.to_string(),
        Refused::Provider(Failed::IdToken(_) | Failed::Claims(_)) => "the ID token is not good".to_owned(),
        Refused::Provider(_) => "the provider could not be used".to_owned(),
        other => other.to_string(),
    };
    let detail = format!("{}: {reason}", upstream.config.id);
    let entry = Entry {
        action: "login",
        outcome: "refused",
        client_id: waits.app.as_ref().map(|(request, _)| request.client_id.as_str()),
        request_id: visitor.request_id.as_deref(),
        detail: Some(&detail),
        ..Entry::default()
    };
    strangers::refused(state, &entry).await;
    login::show(state, visitor, waits, "", Some(again))
}
