//! `grant_type=client_credentials` (SMART Backend Services 2.1.0): a point-of-care system or a service acts for itself.
//!
//! | situation | answer |
//! |---|---|
//! | proved by a signed assertion, something of `scope` registered | an access token of at most five minutes, no refresh token |
//! | `scope` missing | 400 `invalid_request` |
//! | no scope of `system/` level and no operation scope within the registration | 400 `invalid_scope` |
//! | an app, or a client that proves itself with a secret | 400 `unauthorized_client` |

use std::time::Duration;

use axum::http::HeaderMap;
use serde_json::Value;
use uuid::Uuid;

use super::super::OauthState;
use super::super::approval::withheld;
use super::super::client_auth::authenticate;
use super::super::error::{Code, Failure};
use super::super::form::Form;
use super::super::visitor::request_id;
use super::reply::{AccessToken, Reply};
use crate::id::new_uuid;
use crate::smart::scope::{Level, ScopeSet, is_operation};
use crate::store;
use crate::store::audit::Entry;
use crate::store::client::{AuthMethod, Client, Role};
use crate::store::grant::{self, LiveGrant, NewGrant};

/// SMART: `expires_in` should not exceed this.
const LONGEST_LIFE: Duration = Duration::from_secs(300);

/// Why no token is issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error(
        "this client may not use client_credentials: it takes a point-of-care system or service with private_key_jwt"
    )]
    Client,
    #[error(
        "nothing of the requested scope can be granted: system/ scopes and operation scopes within the registration"
    )]
    Scope,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let code = match refused {
            Refused::Client => Code::UnauthorizedClient,
            Refused::Scope => Code::InvalidScope,
        };
        Self::new(code, refused.to_string())
    }
}

/// Issues a token.
pub async fn issue(state: &OauthState, headers: &HeaderMap, form: &Form) -> Result<Reply, Failure> {
    let client = authenticate(state, headers, form).await?;
    if client.role == Role::App || client.auth_method != AuthMethod::PrivateKeyJwt {
        return Err(Refused::Client.into());
    }
    let asked = form.required("scope")?;
    let scope = grantable(&state.enforceable(ScopeSet::parse(asked)), &client).map(|scope| state.enforceable(scope));
    let Some(scope) = scope.ok().filter(|scope| !scope.is_empty()) else {
        return Err(match state.engine.rules.explain(asked) {
            Some(why) => Failure::new(Code::InvalidScope, why),
            None => Refused::Scope.into(),
        });
    };
    let withheld = withheld(asked, &client.scope, &scope, &scope, &state.engine.rules);
    let scope = scope.to_string();
    let now = state.now();
    let lifetime = state.engine.config.oauth.service_token_ttl.min(LONGEST_LIFE);
    let grant = LiveGrant {
        grant_id: insert_grant(state, &client, (asked, &scope, &withheld), now + lifetime, request_id(headers)).await?,
        client_id: client.client_id,
        client_role: client.role,
        tenant: client.tenant,
        scope,
        user_id: None,
        user_name: None,
        fhir_user: None,
        linked: None,
        launch: None,
        picked: None,
    };
    AccessToken { scope: grant.scope.clone(), grant: &grant, context: None, now, lifetime }.issue(state).await
}

async fn insert_grant(
    state: &OauthState,
    client: &Client,
    (asked, scope, withheld): (&str, &str, &Value),
    expires_at: time::OffsetDateTime,
    request_id: Option<&str>,
) -> Result<Uuid, Failure> {
    let now = state.now();
    let id = new_uuid();
    let grant = NewGrant {
        id,
        client_id: &client.client_id,
        user_id: None,
        context: None,
        scope,
        session_id: None,
        only_online: false,
        auth_time: None,
        nonce: None,
        expires_at,
        picked: None,
        asked,
        withheld,
    };
    let entry = Entry {
        action: "token",
        outcome: "success",
        client_id: Some(&client.client_id),
        tenant: client.tenant,
        request_id,
        detail: Some("client_credentials"),
        ..Entry::default()
    };
    let mut tx = store::begin(&state.engine.pool).await?;
    grant::insert(&mut tx, &grant, now).await?;
    store::audit::append(tx.conn(), &entry, now).await?;
    tx.commit().await?;
    Ok(id)
}

/// What of `asked` can be granted without a user. Sign-in, launch and refresh scopes make no sense here.
fn grantable(asked: &ScopeSet, client: &Client) -> Result<ScopeSet, Refused> {
    let granted = asked
        .within(&ScopeSet::parse(&client.scope))
        .only_levels(&[Level::System])
        .only_plain(|plain| client.role == Role::Poc && is_operation(plain));
    if granted.is_empty() { Err(Refused::Scope) } else { Ok(granted) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(role: Role) -> Client {
        Client {
            tenant: i64::from(role == Role::Poc),
            scope: "system/*.rs user/*.rs patient/*.rs openid offline_access Context.write".into(),
            ..Client::new("c", role)
        }
    }

    #[test]
    fn only_system_scopes_are_granted_and_only_as_far_as_registered() {
        let grant = |asked| grantable(&ScopeSet::parse(asked), &client(Role::Service)).map(|scope| scope.to_string());
        assert_eq!(grant("system/Patient.cruds"), Ok("system/Patient.rs".into()));
        assert_eq!(grant("system/*.read user/*.rs openid offline_access"), Ok("system/*.read".into()));
        for bad in ["user/*.rs", "patient/*.rs", "system/Foo.rs", "system/*.c", "openid", "Context.write", "nonsense"] {
            assert_eq!(grant(bad), Err(Refused::Scope), "{bad}");
        }
    }

    #[test]
    fn only_a_point_of_care_system_gets_operation_scopes() {
        let scope = grantable(&ScopeSet::parse("Context.write"), &client(Role::Poc));
        assert_eq!(scope.map(|scope| scope.to_string()), Ok("Context.write".into()));
    }
}
