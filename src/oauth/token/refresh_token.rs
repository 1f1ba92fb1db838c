//! `grant_type=refresh_token` (RFC 6749 section 6; rotation as in the OAuth security best practice).
//!
//! | situation | answer |
//! |---|---|
//! | good | new access token, new refresh token, the launch context again |
//! | public client without `client_id` | the same: the token says whose it is (npm fhirclient sends none) |
//! | `refresh_token` missing | 400 `invalid_request` |
//! | unknown, expired, of another client; grant ended; `online_access` and the user signed out | 400 `invalid_grant` |
//! | used before, within `oauth.refresh_grace`, and nothing given for it was used | another pair of tokens: the answer was lost, or two parts of one app asked at once |
//! | the same, once three more were given for it | 400 `invalid_grant` |
//! | used before otherwise, or passed over | 400 `invalid_grant`, and the whole grant ends: one of two holders is a thief |
//! | `scope` beyond the grant | 400 `invalid_scope`; equal or less is fine |
//!
//! Of the tokens given for one token, the first that is exchanged is the app's: the others are passed over, and one that is
//! sent nevertheless shows that two hold what only one should. A grant is renewed for `oauth.grant_lifetime` at most.

use std::time::Duration;

use axum::http::HeaderMap;
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::OauthState;
use super::super::client_auth::authenticate_if_named;
use super::super::error::{Code, Failure};
use super::super::form::Form;
use super::super::visitor::request_id;
use super::reply::{AccessToken, Reply};
use crate::id::{random_token, token_digest};
use crate::smart::scope::ScopeSet;
use crate::store::audit::Entry;
use crate::store::client::{AuthMethod, Client};
use crate::store::context::ContextRow;
use crate::store::grant::{self, Details, LiveGrant, NewRefresh, Refresh};
use crate::store::{self, Tx};

/// So often a token may be sent again.
const MOST_SENT_AGAIN: i64 = 3;

/// Why nothing is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error("client authentication is missing")]
    Client,
    #[error("the refresh token is unknown, expired or of another client")]
    Token,
    #[error("the refresh token was used before; the grant has ended")]
    Reuse,
    #[error("the refresh token was sent too often")]
    TooOften,
    #[error("the user has signed out")]
    SignedOut,
    #[error("what was granted has ended")]
    Ended,
    #[error("scope goes beyond what was granted")]
    Scope,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let code = match refused {
            Refused::Client => Code::InvalidClient,
            Refused::Token | Refused::Reuse | Refused::TooOften | Refused::SignedOut | Refused::Ended => {
                Code::InvalidGrant
            }
            Refused::Scope => Code::InvalidScope,
        };
        Self::new(code, refused.to_string())
    }
}

struct Renewed {
    grant: LiveGrant,
    scope: String,
    context: Option<ContextRow>,
    refresh_token: String,
}

/// Exchanges the refresh token for new tokens.
pub async fn exchange(state: &OauthState, headers: &HeaderMap, form: &Form) -> Result<Reply, Failure> {
    let client = authenticate_if_named(state, headers, form).await?;
    let token = form.required("refresh_token")?;
    let asked = form.optional("scope")?;
    let now = state.now();
    let renewed = renew(state, client.as_ref(), token, asked, request_id(headers), now).await?;
    let token = AccessToken {
        grant: &renewed.grant,
        scope: renewed.scope,
        context: renewed.context.as_ref(),
        now,
        lifetime: state.engine.config.oauth.access_token_ttl,
    };
    let mut reply = token.issue(state).await?;
    reply.refresh_token = Some(renewed.refresh_token);
    Ok(reply)
}

async fn renew(
    state: &OauthState,
    client: Option<&Client>,
    token: &str,
    asked: Option<&str>,
    request_id: Option<&str>,
    now: OffsetDateTime,
) -> Result<Renewed, Failure> {
    let digest = token_digest(token);
    let mut tx = store::begin(&state.engine.pool).await?;
    let refresh = grant::lock_refresh(&mut tx, &digest).await?.ok_or(Refused::Token)?;
    check_client(&mut tx, client, &refresh).await?;
    match judge(&refresh, state.engine.config.oauth.refresh_grace, now) {
        Verdict::Good => {}
        Verdict::TooOften => return Err(Refused::TooOften.into()),
        Verdict::Replay => return Err(end(tx, &refresh, request_id, now).await?),
    }
    if refresh.expires_at <= now {
        return Err(Refused::Token.into());
    }
    let details = grant::details(tx.conn(), refresh.grant_id).await?.ok_or(Refused::Ended)?;
    check_still_online(&mut tx, &details, now).await?;
    let grant = grant::live(tx.conn(), refresh.grant_id, now).await?.ok_or(Refused::Ended)?;
    let scope = narrow(&grant.scope, asked, |set| state.enforceable(set))?;
    let context = match grant.context() {
        Some(id) => store::context::find(tx.conn(), id).await?,
        None => None,
    };
    grant::use_refresh(&mut tx, &digest, now).await?;
    let next = Next { grant: refresh.grant_id, granted_at: details.created_at, parent: Some(&digest) };
    let refresh_token = insert(state, &mut tx, &next, now).await?;
    let entry = Entry {
        action: "token",
        outcome: "success",
        client_id: Some(&grant.client_id),
        user_id: grant.user_id,
        context: grant.context(),
        tenant: grant.tenant,
        request_id,
        detail: Some("refresh_token"),
        ..Entry::default()
    };
    store::audit::append(tx.conn(), &entry, now).await?;
    tx.commit().await?;
    Ok(Renewed { grant, scope, context, refresh_token })
}

/// What a token that comes in is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    TooOften,
    Replay,
}

fn judge(refresh: &Refresh, grace: Duration, now: OffsetDateTime) -> Verdict {
    match refresh.used_at {
        _ if refresh.sibling_used => Verdict::Replay,
        None => Verdict::Good,
        Some(used_at) if refresh.child_used || now >= used_at + grace => Verdict::Replay,
        Some(_) if refresh.children > MOST_SENT_AGAIN => Verdict::TooOften,
        Some(_) => Verdict::Good,
    }
}

/// The token's client, authenticated; only a public one may stay silent.
async fn check_client(tx: &mut Tx, client: Option<&Client>, refresh: &Refresh) -> Result<(), Failure> {
    match client {
        Some(client) if client.client_id == refresh.client_id => Ok(()),
        Some(_) => Err(Refused::Token.into()),
        None => {
            let owner = store::client::find(tx.conn(), &refresh.client_id).await?;
            let is_public = owner.is_some_and(|owner| owner.auth_method == AuthMethod::None);
            if is_public { Ok(()) } else { Err(Refused::Client.into()) }
        }
    }
}

async fn end(mut tx: Tx, refresh: &Refresh, request_id: Option<&str>, now: OffsetDateTime) -> Result<Failure, Failure> {
    // Once: who has an old token can send it for ever, and the trail never shrinks.
    if !grant::revoke(&mut tx, refresh.grant_id, now).await? {
        return Ok(Refused::Reuse.into());
    }
    let entry = Entry {
        action: "token",
        outcome: "refused",
        client_id: Some(&refresh.client_id),
        request_id,
        detail: Some("a refresh token was used twice: its grant is revoked"),
        ..Entry::default()
    };
    store::audit::append(tx.conn(), &entry, now).await?;
    tx.commit().await?;
    Ok(Refused::Reuse.into())
}

/// A grant with `online_access` is renewed only while its user's browser session lasts.
async fn check_still_online(tx: &mut Tx, details: &Details, now: OffsetDateTime) -> Result<(), Failure> {
    if !details.only_online {
        return Ok(());
    }
    match details.session_id {
        Some(session) if store::login::lasts(tx.conn(), session, now).await? => Ok(()),
        _ => Err(Refused::SignedOut.into()),
    }
}

/// What the new access token may do: everything granted, or the part of it that is asked for.
fn narrow(
    granted: &str,
    asked: Option<&str>,
    enforceable: impl FnOnce(ScopeSet) -> ScopeSet,
) -> Result<String, Refused> {
    let Some(asked) = asked else { return Ok(granted.to_owned()) };
    let set = ScopeSet::parse_all(asked).ok_or(Refused::Scope)?;
    let is_enforceable = enforceable(set.clone()).to_string() == set.to_string();
    let fits = is_enforceable && !set.is_empty() && set.is_within(&ScopeSet::parse(granted));
    if fits { Ok(set.to_string()) } else { Err(Refused::Scope) }
}

/// What a refresh token is made for.
pub struct Next<'a> {
    pub grant: Uuid,
    /// When that was granted.
    pub granted_at: OffsetDateTime,
    /// The digest of the token it is given for.
    pub parent: Option<&'a [u8]>,
}

/// Makes the next refresh token of a grant.
pub async fn insert(state: &OauthState, tx: &mut Tx, next: &Next<'_>, now: OffsetDateTime) -> Result<String, Failure> {
    let config = &state.engine.config.oauth;
    let token = random_token();
    let expires_at = (now + config.refresh_token_ttl).min(next.granted_at + config.grant_lifetime);
    let stored = NewRefresh { digest: &token_digest(&token), grant: next.grant, parent: next.parent, expires_at };
    grant::insert_refresh(tx, &stored, now).await?;
    // The grant lives as long as it can be renewed, and then as long as the last access token.
    grant::extend(tx, next.grant, expires_at + config.access_token_ttl).await?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_token_is_forgiven_a_second_time_only_soon_and_while_nothing_came_of_it() {
        let now = datetime!(2026-01-01 12:00 UTC);
        let fresh = Refresh {
            grant_id: Uuid::nil(),
            client_id: String::new(),
            expires_at: now,
            used_at: None,
            children: 0,
            child_used: false,
            sibling_used: false,
        };
        let used =
            |seconds| Refresh { used_at: Some(now - Duration::from_secs(seconds)), children: 1, ..fresh.clone() };
        let verdict = |refresh: &Refresh| judge(refresh, Duration::from_secs(10), now);
        assert_eq!(verdict(&fresh), Verdict::Good);
        assert_eq!(verdict(&used(0)), Verdict::Good);
        assert_eq!(verdict(&used(9)), Verdict::Good);
        assert_eq!(verdict(&used(10)), Verdict::Replay);
        assert_eq!(verdict(&Refresh { child_used: true, ..used(0) }), Verdict::Replay);
        assert_eq!(verdict(&Refresh { sibling_used: true, ..fresh.clone() }), Verdict::Replay);
        assert_eq!(verdict(&Refresh { sibling_used: true, ..used(0) }), Verdict::Replay);
        assert_eq!(verdict(&Refresh { children: 3, ..used(0) }), Verdict::Good);
        assert_eq!(verdict(&Refresh { children: 4, ..used(0) }), Verdict::TooOften);
        assert_eq!(verdict(&Refresh { children: 4, child_used: true, ..used(0) }), Verdict::Replay);
        assert_eq!(judge(&used(0), Duration::ZERO, now), Verdict::Replay, "without a grace nothing is forgiven");
    }

    #[test]
    fn a_refresh_keeps_or_narrows_the_scope_and_never_widens_it() {
        let granted = "launch patient/*.rs offline_access";
        let narrow =
            |granted, asked| narrow(granted, asked, |set| set.only_enforceable(|_, it| it.as_str() != "bogus=1"));
        assert_eq!(narrow(granted, None).unwrap(), granted);
        assert_eq!(narrow(granted, Some(granted)).unwrap(), granted);
        assert_eq!(narrow(granted, Some("patient/Observation.r")).unwrap(), "patient/Observation.r");
        let lab = "patient/Observation.r?category=lab";
        assert_eq!(narrow(granted, Some(lab)).unwrap(), lab);
        assert_eq!(narrow(lab, Some("patient/Observation.r?category=lab&status=final")).unwrap().len(), lab.len() + 13);
        for bad in
            ["patient/Observation.r", "patient/Observation.r?status=final", "patient/Observation.rs?category=lab"]
        {
            assert_eq!(narrow(lab, Some(bad)), Err(Refused::Scope), "{bad}");
        }
        for bad in [
            "patient/Observation.r?bogus=1",
            "patient/*.cruds",
            "user/*.rs",
            "patient/*.rs openid",
            "patient/*.rs nonsense",
            "nonsense",
            " ",
        ] {
            assert_eq!(narrow(granted, Some(bad)), Err(Refused::Scope), "{bad}");
        }
    }
}
