//! What becomes of a good authorization request once its user is known: the launch gets its owner, the client a code.
//!
//! | the launch's owner is | who may authorize it |
//! |---|---|
//! | known: the PoC called for this user, or this user was here before | that user |
//! | named by `fhirUser` | the user with an identifier of that person, or whose account is linked with that very resource |
//! | nobody yet | the first user, of the PoC's organisation where both have one; with `context.owner = "strict"` nobody |

use time::OffsetDateTime;
use uuid::Uuid;

use super::OauthState;
use super::authorize::{AuthorizationRequest, Refusal};
use crate::config::OwnerPolicy;
use crate::id::{new_uuid, random_token, token_digest};
use crate::smart::scope::ScopeSet;
use crate::store::audit::Entry;
use crate::store::client::Client;
use crate::store::context::ContextRow;
use crate::store::grant::{NewCode, NewGrant};
use crate::store::user::User;
use crate::store::{self, Tx};

/// A person who has signed in with this browser.
pub struct SignedIn {
    pub user: User,
    pub session_digest: Vec<u8>,
    pub since: OffsetDateTime,
}

/// Grants the request and gives the code to send to the app. Everything or nothing is stored.
pub async fn approve(
    state: &OauthState,
    request: &AuthorizationRequest,
    client: &Client,
    signed_in: &SignedIn,
    request_id: Option<&str>,
) -> Result<String, Refusal> {
    let now = state.now();
    let user = &signed_in.user;
    let mut tx = store::begin(&state.engine.pool).await?;
    let context = match request.context {
        Some(id) => Some(take_launch(&mut tx, id, user, state.engine.config.context.owner, now).await?),
        None if same_organisation(client.tenant, user.tenant) => None,
        None => return Err(Refusal::OtherOrganisation),
    };
    let scope = final_scope(&request.scope, context.as_ref(), user)?;
    let expires_at = now + state.engine.config.oauth.code_ttl;
    let grant = NewGrant {
        id: new_uuid(),
        client_id: &client.client_id,
        user_id: Some(user.id),
        context: request.context,
        scope: &scope.to_string(),
        session_digest: only_while_online(&scope).then_some(signed_in.session_digest.as_slice()),
        auth_time: Some(signed_in.since),
        nonce: request.nonce.as_deref(),
        expires_at,
    };
    store::grant::insert(&mut tx, &grant, now).await?;
    let code = random_token();
    let stored = NewCode {
        digest: &token_digest(&code),
        grant: grant.id,
        redirect_uri: &request.redirect_uri,
        code_challenge: &request.code_challenge,
        expires_at,
    };
    store::grant::insert_code(&mut tx, &stored).await?;
    let entry = Entry {
        action: if context.is_some() { "launch" } else { "authorize" },
        outcome: "success",
        client_id: Some(&client.client_id),
        user_id: Some(user.id),
        context: request.context,
        tenant: context.as_ref().map_or(client.tenant, |context| context.tenant),
        request_id,
        ..Entry::default()
    };
    store::audit::append(tx.conn(), &entry, now).await?;
    tx.commit().await?;
    Ok(code)
}

/// The launch's context, from now on this user's for good.
async fn take_launch(
    tx: &mut Tx,
    context: Uuid,
    user: &User,
    policy: OwnerPolicy,
    now: OffsetDateTime,
) -> Result<ContextRow, Refusal> {
    let context = store::context::find(tx.conn(), context).await?.ok_or(Refusal::Launch)?;
    if !context.is_alive(now) {
        return Err(Refusal::Launch);
    }
    check_owner(&context, user, policy)?;
    // Also locks the context against a clear until the code is stored, and fails where another user was faster.
    if !store::context::bind_owner(tx, context.id, user.id).await? {
        return Err(Refusal::NotOwner);
    }
    Ok(context)
}

fn check_owner(context: &ContextRow, user: &User, policy: OwnerPolicy) -> Result<(), Refusal> {
    let is_owner = match context.owner_user {
        Some(owner) => owner == user.id,
        None if context.owner_named => is_named(context, user),
        None => match policy {
            OwnerPolicy::Strict => false,
            OwnerPolicy::FirstUser if same_organisation(context.tenant, user.tenant) => true,
            OwnerPolicy::FirstUser => return Err(Refusal::OtherOrganisation),
        },
    };
    if is_owner { Ok(()) } else { Err(Refusal::NotOwner) }
}

fn is_named(context: &ContextRow, user: &User) -> bool {
    let same_resource = user.fhir_user.is_some() && user.fhir_user == context.fhir_user;
    same_resource || user.identifiers.iter().any(|identifier| context.owner_identifiers.contains(identifier))
}

/// 0 stands for any organisation.
const fn same_organisation(left: i64, right: i64) -> bool {
    left == 0 || right == 0 || left == right
}

/// Without a FHIR resource for the user, `fhirUser` cannot be granted.
fn final_scope(scope: &str, context: Option<&ContextRow>, user: &User) -> Result<ScopeSet, Refusal> {
    let named = context.and_then(|context| context.fhir_user.as_ref()).or(user.fhir_user.as_ref());
    let scope = ScopeSet::parse(scope).only_plain(|plain| plain != "fhirUser" || named.is_some());
    if scope.is_empty() { Err(Refusal::Scope) } else { Ok(scope) }
}

/// `online_access` alone: the refresh token works as long as the user stays signed in.
fn only_while_online(scope: &ScopeSet) -> bool {
    scope.has("online_access") && !scope.has("offline_access")
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn context() -> ContextRow {
        ContextRow {
            id: Uuid::from_u128(1),
            tenant: 7,
            poc_client: "poc".into(),
            app_id: None,
            patient: None,
            encounter: None,
            fhir_context: Vec::new(),
            fhir_user: None,
            need_patient_banner: None,
            intent: None,
            smart_style_url: None,
            launch_tenant: None,
            owner_user: None,
            owner_named: false,
            owner_identifiers: Vec::new(),
            created_at: datetime!(2026-01-01 12:00 UTC),
            expires_at: datetime!(2026-01-02 00:00 UTC),
            cleared_at: None,
        }
    }

    fn user(tenant: i64) -> User {
        User {
            id: Uuid::from_u128(2),
            tenant,
            identifiers: vec![("urn:licence".into(), "4711".into())],
            ..User::new("julie", "")
        }
    }

    fn verdict(context: &ContextRow, user: &User, policy: OwnerPolicy) -> &'static str {
        match check_owner(context, user, policy) {
            Ok(()) => "owner",
            Err(Refusal::NotOwner) => "not owner",
            Err(Refusal::OtherOrganisation) => "other organisation",
            Err(_) => "another refusal",
        }
    }

    #[test]
    fn a_known_owner_is_the_only_one() {
        let context = ContextRow { owner_user: Some(user(7).id), ..context() };
        assert_eq!(verdict(&context, &user(7), OwnerPolicy::Strict), "owner");
        let other = User { id: Uuid::from_u128(3), ..user(7) };
        assert_eq!(verdict(&context, &other, OwnerPolicy::FirstUser), "not owner");
    }

    #[test]
    fn a_named_person_is_recognised_by_identifier_or_by_the_very_resource() {
        let mut named = ContextRow { owner_named: true, fhir_user: Some("Practitioner/1".into()), ..context() };
        assert_eq!(verdict(&named, &user(7), OwnerPolicy::FirstUser), "not owner");
        let linked = User { fhir_user: Some("Practitioner/1".into()), identifiers: Vec::new(), ..user(7) };
        assert_eq!(verdict(&named, &linked, OwnerPolicy::Strict), "owner");
        named.owner_identifiers = vec![("urn:licence".into(), "4711".into())];
        assert_eq!(verdict(&named, &user(7), OwnerPolicy::Strict), "owner");
        named.owner_identifiers = vec![("urn:other".into(), "4711".into()), ("urn:licence".into(), "4712".into())];
        assert_eq!(verdict(&named, &user(7), OwnerPolicy::FirstUser), "not owner");
    }

    #[test]
    fn an_account_without_resource_is_not_a_person_without_resource() {
        let named = ContextRow { owner_named: true, ..context() };
        assert_eq!(verdict(&named, &user(7), OwnerPolicy::FirstUser), "not owner");
    }

    #[test]
    fn nobodys_launch_goes_to_the_first_user_of_the_organisation_unless_strict() {
        assert_eq!(verdict(&context(), &user(7), OwnerPolicy::FirstUser), "owner");
        assert_eq!(verdict(&context(), &user(0), OwnerPolicy::FirstUser), "owner");
        assert_eq!(verdict(&context(), &user(8), OwnerPolicy::FirstUser), "other organisation");
        assert_eq!(verdict(&context(), &user(7), OwnerPolicy::Strict), "not owner");
    }

    #[test]
    fn fhir_user_is_granted_only_where_there_is_one() {
        assert_eq!(final_scope("openid fhirUser", None, &user(7)).unwrap().to_string(), "openid");
        assert!(final_scope("fhirUser", None, &user(7)).is_err());
        let named = ContextRow { fhir_user: Some("Practitioner/1".into()), ..context() };
        assert_eq!(final_scope("openid fhirUser", Some(&named), &user(7)).unwrap().to_string(), "openid fhirUser");
    }
}
