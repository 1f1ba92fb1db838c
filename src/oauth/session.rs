//! Browser sessions: how they begin, and what ends with them.
//!
//! | what happens | the session of the browser | what was granted in it |
//! |---|---|---|
//! | its person signs in again | goes on: another cookie, the same `sid` | stays |
//! | another person signs in | ends | ends, but for `offline_access` |
//! | sign-out, here or at the upstream provider | ends | ends, but for `offline_access` |
//! | the account is disabled, its password reset | ends | ends |
//! | no page is asked for during `oauth.session_idle` | lasts, but nobody counts as signed in for a page | stays |
//! | `oauth.session_ttl` after the sign-in | ends | `online_access` can be renewed no longer |
//!
//! Decided: what an app does in the background does not keep a browser signed in, and a person who works in an app without
//! coming by here is not thrown out of it. So the idle time counts visits of our pages and nothing else, and says only when
//! a browser must ask again; `online_access` ends with the session.
//!
//! Clients that were granted something in the session and are registered with a `backchannel_logout_uri` are told that it
//! ended (OpenID Connect Back-Channel Logout 1.0), once each and without a second try; the audit trail says whether they
//! took it. Ends that no request brings about (by the command line, by their time) are not told.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use form_urlencoded::Serializer;
use time::OffsetDateTime;
use uuid::Uuid;

use super::approval::SignedIn;
use super::visitor::{Visitor, record};
use super::{OauthState, cookie};
use crate::id::{new_uuid, random_token, token_digest};
use crate::store::audit::Entry;
use crate::store::grant::Told;
use crate::store::login::{NewSession, Session, Upstream};
use crate::store::user::User;
use crate::store::{self, Tx};
use crate::token::logout_token::LogoutClaims;

/// Visits are noted no more often than this.
const SEEN_AT_MOST_EVERY: time::Duration = time::Duration::MINUTE;
/// A logout token is of no use after that.
const LOGOUT_TOKEN_LIFE: time::Duration = time::Duration::minutes(2);

/// A sign-in at an upstream provider.
pub struct SignedInUpstream {
    /// Its id in the configuration.
    pub provider: String,
    pub issuer: String,
    pub subject: String,
    pub sid: Option<String>,
    /// As it came: it is sent back there to sign out.
    pub id_token: String,
}

/// A session that has begun.
pub struct Started {
    pub signed_in: SignedIn,
    pub cookie: Option<HeaderValue>,
    /// Another person's session, which ended with it: [`tell`] it after the commit.
    pub ended: Option<Ended>,
}

/// A session that has ended.
pub struct Ended {
    session: Uuid,
    user: Uuid,
    told: Vec<Told>,
}

/// Begins a session in this browser, in place of the one it had.
pub async fn start(
    state: &OauthState,
    tx: &mut Tx,
    visitor: &Visitor,
    user: User,
    upstream: Option<&SignedInUpstream>,
) -> store::Result<Started> {
    let now = state.now();
    let former = match visitor.cookies.session_digest() {
        Some(digest) => store::login::take(tx, &digest).await?,
        None => None,
    };
    let (id, ended) = match former {
        Some(former) if former.user_id == user.id && former.expires_at > now => (former.id, None),
        Some(former) => {
            (new_uuid(), Some(end(tx, &former, visitor.request_id.as_deref(), "another sign-in", now).await?))
        }
        None => (new_uuid(), None),
    };
    let value = random_token();
    let digest = token_digest(&value);
    let sealed = upstream.map(|upstream| state.engine.sealer.seal(&purpose(id), upstream.id_token.as_bytes()));
    let upstream = upstream.zip(sealed.as_deref()).map(|(upstream, sealed_id_token)| Upstream {
        provider: &upstream.provider,
        issuer: &upstream.issuer,
        subject: &upstream.subject,
        sid: upstream.sid.as_deref(),
        sealed_id_token,
    });
    let expires_at = now + state.engine.config.oauth.session_ttl;
    let session = NewSession { digest: &digest, id, user: user.id, expires_at, upstream };
    store::login::insert(tx, &session, now).await?;
    let signed_in = SignedIn { user, session_id: id, session_digest: digest, since: now };
    Ok(Started { signed_in, cookie: visitor.cookies.start_session(&value), ended })
}

/// Who is signed in with this browser, and has shown it lately.
pub async fn find(state: &OauthState, visitor: &Visitor) -> store::Result<Option<SignedIn>> {
    let Some(session_digest) = visitor.cookies.session_digest() else { return Ok(None) };
    let now = state.now();
    let mut conn = state.engine.pool.acquire().await?;
    let Some(session) = store::login::find(&mut conn, &session_digest, now).await? else { return Ok(None) };
    if now - session.last_seen >= state.engine.config.oauth.session_idle {
        return Ok(None);
    }
    if now - session.last_seen >= SEEN_AT_MOST_EVERY {
        store::login::see(&mut conn, &session_digest, now).await?;
    }
    let user = store::user::find(&mut conn, session.user_id).await?;
    Ok(user.map(|user| SignedIn { user, session_id: session.id, session_digest, since: session.created_at }))
}

/// The session of this browser, however long nobody has come by.
pub async fn of_browser(state: &OauthState, visitor: &Visitor) -> store::Result<Option<Session>> {
    let Some(digest) = visitor.cookies.session_digest() else { return Ok(None) };
    store::login::find(&mut *state.engine.pool.acquire().await?, &digest, state.now()).await
}

/// Ends what was granted in a session that was just removed. `why` is for the audit trail.
pub async fn end(
    tx: &mut Tx,
    session: &Session,
    request_id: Option<&str>,
    why: &'static str,
    now: OffsetDateTime,
) -> store::Result<Ended> {
    let told = store::grant::told_of_session(tx.conn(), session.id).await?;
    store::grant::revoke_by_session(tx, session.id, now).await?;
    let entry = Entry {
        action: "logout",
        outcome: "success",
        user_id: Some(session.user_id),
        request_id,
        detail: Some(why),
        ..Entry::default()
    };
    store::audit::append(tx.conn(), &entry, now).await?;
    Ok(Ended { session: session.id, user: session.user_id, told })
}

/// The upstream provider's ID token of a session.
pub fn id_token(state: &OauthState, session: &Session) -> Option<String> {
    let sealed = session.sealed_id_token.as_deref()?;
    String::from_utf8(state.engine.sealer.open(&purpose(session.id), sealed).ok()?).ok()
}

/// Signs this browser out: the cookie that takes its session away.
pub fn forget(visitor: &Visitor, headers: &mut HeaderMap) {
    cookie::set(headers, visitor.cookies.end_session());
}

/// Tells the clients of a session that it has ended, without letting anybody wait for them.
pub fn tell(state: &OauthState, ended: Ended) {
    for client in ended.told {
        let state = state.clone();
        let (session, user) = (ended.session, ended.user);
        tokio::spawn(async move {
            let outcome = match tell_one(&state, &client, session, user).await {
                Ok(()) => "success",
                Err(reason) => {
                    tracing::warn!(
                        client_id = client.client_id,
                        reason,
                        "a client was not told that its user signed out"
                    );
                    "failed"
                }
            };
            let entry = Entry {
                action: "logout-notify",
                outcome,
                client_id: Some(&client.client_id),
                user_id: Some(user),
                ..Entry::default()
            };
            record(&state, &entry).await;
        });
    }
}

async fn tell_one(state: &OauthState, client: &Told, session: Uuid, user: Uuid) -> Result<(), String> {
    let now = state.now();
    let (sub, sid) = (user.to_string(), session.to_string());
    let until = (now + LOGOUT_TOKEN_LIFE).unix_timestamp();
    let claims = LogoutClaims::new(state.keys.issuer(), &client.client_id, &sub, &sid, now.unix_timestamp(), until);
    let token = state.keys.sign_logout(&claims).await.map_err(|error| error.to_string())?;
    let body = Serializer::new(String::new()).append_pair("logout_token", &token).finish();
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, form)]);
    let timeout: Duration = state.engine.config.registry.fetch_timeout;
    let answer = state.http.post(&client.uri, headers, body, timeout).await.map_err(|failed| failed.to_string())?;
    if answer.status.is_success() { Ok(()) } else { Err(format!("the answer was {}", answer.status.as_u16())) }
}

fn purpose(id: Uuid) -> String {
    format!("login_session.{id}")
}
