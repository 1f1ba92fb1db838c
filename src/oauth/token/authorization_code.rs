//! `grant_type=authorization_code` (RFC 6749 section 4.1.3, RFC 7636 section 4.5): a code becomes tokens, once.
//!
//! | situation | answer |
//! |---|---|
//! | code, redirect URI and verifier fit | tokens and launch context |
//! | `code`, `redirect_uri` or `code_verifier` missing | 400 `invalid_request` |
//! | code unknown, expired, of another client or redirect URI; wrong verifier; context cleared | 400 `invalid_grant` |
//! | code used before | 400 `invalid_grant`, and everything issued for it ends |

use axum::http::HeaderMap;
use time::OffsetDateTime;

use super::super::OauthState;
use super::super::client_auth::authenticate;
use super::super::error::{Code, Failure};
use super::super::form::Form;
use super::super::visitor::request_id;
use super::refresh_token::Next;
use super::reply::{AccessToken, Reply};
use crate::id::token_digest;
use crate::smart::pkce;
use crate::smart::scope::ScopeSet;
use crate::store::audit::Entry;
use crate::store::client::{Client, Role};
use crate::store::context::ContextRow;
use crate::store::grant::{self, Details, LiveGrant};
use crate::store::{self, Tx};
use crate::token::id_token::IdClaims;

/// Why a code is not exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error("this client may not use the authorization code flow")]
    Client,
    #[error("the code is unknown, expired or of another client")]
    Code,
    #[error("the code was used before; what was issued for it has ended")]
    Replay,
    #[error("redirect_uri is not the one the code was sent to")]
    RedirectUri,
    #[error("code_verifier does not fit the code_challenge")]
    Verifier,
    #[error("what was granted has ended")]
    Ended,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let code = match refused {
            Refused::Client => Code::UnauthorizedClient,
            Refused::Code | Refused::Replay | Refused::RedirectUri | Refused::Verifier | Refused::Ended => {
                Code::InvalidGrant
            }
        };
        Self::new(code, refused.to_string())
    }
}

/// What a request must bring.
struct Request<'a> {
    code: &'a str,
    redirect_uri: &'a str,
    code_verifier: &'a str,
}

/// A code that was exchanged.
struct Exchanged {
    grant: LiveGrant,
    details: Details,
    context: Option<ContextRow>,
    refresh_token: Option<String>,
}

/// Exchanges the code.
pub async fn exchange(state: &OauthState, headers: &HeaderMap, form: &Form) -> Result<Reply, Failure> {
    let client = authenticate(state, headers, form).await?;
    if client.role == Role::Service {
        return Err(Refused::Client.into());
    }
    let request = Request {
        code: form.required("code")?,
        redirect_uri: form.required("redirect_uri")?,
        code_verifier: form.required("code_verifier")?,
    };
    let now = state.now();
    let done = redeem(state, &client, &request, request_id(headers), now).await?;
    let token = AccessToken {
        grant: &done.grant,
        scope: done.grant.scope.clone(),
        context: done.context.as_ref(),
        now,
        lifetime: state.engine.config.oauth.access_token_ttl,
    };
    let mut reply = token.issue(state).await?;
    reply.id_token = id_token(state, &done, now).await?;
    reply.refresh_token = done.refresh_token;
    Ok(reply)
}

async fn redeem(
    state: &OauthState,
    client: &Client,
    request: &Request<'_>,
    request_id: Option<&str>,
    now: OffsetDateTime,
) -> Result<Exchanged, Failure> {
    let digest = token_digest(request.code);
    let mut tx = store::begin(&state.engine.pool).await?;
    let code = grant::lock_code(&mut tx, &digest).await?.filter(|code| code.client_id == client.client_id);
    let code = code.ok_or(Refused::Code)?;
    let mut entry = Entry {
        action: "token",
        outcome: "success",
        client_id: Some(&client.client_id),
        tenant: client.tenant,
        request_id,
        detail: Some("authorization_code"),
        ..Entry::default()
    };
    if code.used {
        // Once: who has an old code can send it for ever, and the trail never shrinks.
        if grant::revoke(&mut tx, code.grant_id, now).await? {
            entry.outcome = "refused";
            entry.detail = Some("a code was used twice: its grant is revoked");
            store::audit::append(tx.conn(), &entry, now).await?;
            tx.commit().await?;
        }
        return Err(Refused::Replay.into());
    }
    if code.expires_at <= now {
        return Err(Refused::Code.into());
    }
    if code.redirect_uri != request.redirect_uri {
        return Err(Refused::RedirectUri.into());
    }
    if !pkce::verifies(request.code_verifier, &code.code_challenge) {
        return Err(Refused::Verifier.into());
    }
    grant::use_code(&mut tx, &digest, now).await?;
    let done = take_grant(state, &mut tx, &code, now).await?;
    entry.user_id = done.grant.user_id;
    entry.context = done.grant.context();
    entry.tenant = done.grant.tenant;
    store::audit::append(tx.conn(), &entry, now).await?;
    tx.commit().await?;
    Ok(done)
}

async fn take_grant(
    state: &OauthState,
    tx: &mut Tx,
    code: &grant::Code,
    now: OffsetDateTime,
) -> Result<Exchanged, Failure> {
    let live = grant::live(tx.conn(), code.grant_id, now).await?.ok_or(Refused::Ended)?;
    let details = grant::details(tx.conn(), code.grant_id).await?.ok_or(Refused::Ended)?;
    let context = match live.context() {
        Some(id) => store::context::find(tx.conn(), id).await?,
        None => None,
    };
    grant::extend(tx, code.grant_id, now + state.engine.config.oauth.access_token_ttl).await?;
    let refresh_token = match ScopeSet::parse(&live.scope).wants_refresh() {
        true => {
            let first = Next { grant: code.grant_id, granted_at: details.created_at, parent: None };
            Some(super::refresh_token::insert(state, tx, &first, now).await?)
        }
        false => None,
    };
    Ok(Exchanged { grant: live, details, context, refresh_token })
}

/// An ID token, when `openid` was granted.
async fn id_token(state: &OauthState, done: &Exchanged, now: OffsetDateTime) -> Result<Option<String>, Failure> {
    let scope = ScopeSet::parse(&done.grant.scope);
    let Some(user) = done.grant.user_id.filter(|_| scope.has("openid")) else { return Ok(None) };
    let profile = match scope.has("profile") {
        true => store::user::find(&mut *state.engine.pool.acquire().await?, user).await?,
        false => None,
    };
    let claims = IdClaims {
        iss: state.keys.issuer().to_owned(),
        sub: user.to_string(),
        aud: done.grant.client_id.clone(),
        exp: (now + state.engine.config.oauth.access_token_ttl).unix_timestamp(),
        iat: now.unix_timestamp(),
        auth_time: done.details.auth_time.map(OffsetDateTime::unix_timestamp),
        nonce: done.details.nonce.clone(),
        sid: done.details.session_id.map(|session| session.to_string()),
        fhir_user: state.fhir_user(&done.grant, &scope),
        name: profile.as_ref().map(|user| user.display_name.clone()),
        preferred_username: profile.map(|user| user.name),
    };
    Ok(Some(state.keys.sign_id(&claims).await?))
}
