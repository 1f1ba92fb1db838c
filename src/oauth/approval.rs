//! What becomes of a good authorization request once its user is known: the launch gets its owner, the client a code.
//!
//! | the launch's owner is | who may authorize it |
//! |---|---|
//! | known: the PoC called for this user, or this user was here before | that user; if `fhirUser` names somebody, only as that person too |
//! | named by `fhirUser` | the user with an identifier of that person, or whose account is linked with that very resource; of another organisation's launch only after saying so ("continue as …?") |
//! | nobody yet | the first user of the PoC's organisation; with `context.owner = "strict"` nobody |
//!
//! The claim `fhirUser` is what the launch names, else what the account is linked with. So nobody owns a launch that names
//! somebody else, though the PoC called for them: the app would be told that they are that person.
//!
//! A user of no organisation in particular owns nobody's launch, unless `context.unowned_by_any_organisation` says so:
//! otherwise a launch address that leaked would open any clinic's launch to such an account.
//!
//! A request is judged when it comes, before each page and once more when the code is made: by the client, the user, the
//! session, the consent and the context as they stand at that moment; they stay so until the code is stored.

use serde_json::{Map, Value};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::authorize::{AuthorizationRequest, check_app, explained};
use super::consent::{self, Agreement};
use super::grantable::{Occasion, grantable, outside_a_launch};
use super::picker::{Choice, is_open_to, may_have_shared};
use super::recipient::Refusal;
use super::{OauthState, launch_values, picked_values};
use crate::access::Rules;
use crate::config::Context as OwnerRules;
use crate::config::OwnerPolicy;
use crate::id::{new_uuid, random_token, token_digest};
use crate::smart::client::redirect_is_registered;
use crate::smart::scope::ScopeSet;
use crate::store::audit::Entry;
use crate::store::client::Client;
use crate::store::context::ContextRow;
use crate::store::flow::Step;
use crate::store::grant::{NewCode, NewGrant};
use crate::store::user::User;
use crate::store::{self, Tx};

/// A person who has signed in with this browser.
#[derive(Clone)]
pub struct SignedIn {
    pub user: User,
    /// The `sid` of ID tokens.
    pub session_id: Uuid,
    pub session_digest: Vec<u8>,
    pub since: OffsetDateTime,
}

/// A request as it stands at this moment.
pub struct Judged {
    /// The launch, which the user may own.
    pub context: Option<ContextRow>,
    /// Whether the user has still to pick a patient.
    pub lacks_patient: bool,
    /// What can be granted, if the user agrees.
    pub scope: ScopeSet,
}

/// What a code is made of.
pub struct Approval<'a> {
    pub request: &'a AuthorizationRequest,
    pub client: &'a Client,
    pub signed_in: &'a SignedIn,
    /// What the user has picked.
    pub choice: Option<&'a Choice>,
    pub agreement: &'a Agreement,
    /// The form that led here, by its digest and its page: it is used up.
    pub form: Option<(&'a [u8], Step)>,
    pub request_id: Option<&'a str>,
}

/// What the request comes to for this user, with what they have picked.
pub async fn judge(
    state: &OauthState,
    conn: &mut PgConnection,
    request: &AuthorizationRequest,
    client: &Client,
    user: &User,
    choice: Option<&Choice>,
) -> Result<Judged, Refusal> {
    if request.expected_user.is_some_and(|expected| expected != user.id) {
        return Err(Refusal::LoginRequired);
    }
    let asked = state.enforceable(ScopeSet::parse(&request.asked));
    let (context, occasion) = match request.context {
        Some(id) => {
            let context = find_alive(state, conn, id).await?;
            check_app(&context, client)?;
            check_owner(&context, user, &state.engine.config.context)?;
            let values = launch_values(&context);
            (Some(context), Occasion::Launch(values))
        }
        None if !client_serves(client, user) => return Err(Refusal::OtherOrganisation),
        None => match (outside_a_launch(&asked, client, state.engine.config.standalone.enabled), choice) {
            (Occasion::ToPick, Some(choice)) => picked(state, conn, client, user, choice).await?,
            (occasion, _) => (None, occasion),
        },
    };
    // Together with the conditions of the registration it must be enforceable too.
    let scope = grantable(&asked, client, &occasion).and_then(|scope| {
        let scope = state.enforceable(scope);
        with_fhir_user_if_known(&scope, context.as_ref(), user)
    });
    let scope = scope.map_err(|refusal| explained(state, &request.asked, refusal))?;
    Ok(Judged { context, lacks_patient: matches!(occasion, Occasion::ToPick), scope })
}

/// The context, if it lives and so does the registration of the system that made it.
pub async fn find_alive(state: &OauthState, conn: &mut PgConnection, id: Uuid) -> Result<ContextRow, Refusal> {
    let context = store::context::find(conn, id).await?;
    let context = context.filter(|context| context.is_alive(state.now())).ok_or(Refusal::Launch)?;
    // What a system that was shut out has begun goes no further.
    if store::client::is_enabled(conn, &context.poc_client).await? { Ok(context) } else { Err(Refusal::Launch) }
}

/// The launch of a choice, if there is one, looked at again: it must still be the user's to pick from.
async fn picked(
    state: &OauthState,
    conn: &mut PgConnection,
    client: &Client,
    user: &User,
    choice: &Choice,
) -> Result<(Option<ContextRow>, Occasion), Refusal> {
    let values = picked_values(&choice.picked());
    let Some(id) = choice.context else {
        let policy = state.engine.config.standalone.shared_patients;
        let is_theirs = may_have_shared(policy, user, &choice.patient);
        return if is_theirs { Ok((None, Occasion::PickedShared(values))) } else { Err(Refusal::NotOffered) };
    };
    let context = find_alive(state, conn, id).await?;
    check_app(&context, client)?;
    let is_of_theirs = is_of_their_organisation(&context, user, &state.engine.config.context);
    let is_theirs = is_open_to(&context, user, || is_named(&context, user));
    if !is_theirs
        || (context.owner_user.is_none() && !is_of_theirs)
        || context.patient.as_ref() != Some(&choice.patient)
    {
        return Err(Refusal::NotOffered);
    }
    Ok((Some(context), Occasion::PickedInLaunch(values)))
}

/// Grants the request and gives the code to send to the app; `None` when its form was used up meanwhile. Everything or
/// nothing is stored.
pub async fn approve(state: &OauthState, approval: &Approval<'_>) -> Result<Option<String>, Refusal> {
    let now = state.now();
    let Approval { request, signed_in, .. } = *approval;
    let mut tx = store::begin(&state.engine.pool).await?;
    if let Some((digest, step)) = approval.form
        && !store::flow::end(&mut tx, digest, step).await?
    {
        return Ok(None);
    }
    let (client, user) = &hold(&mut tx, approval, now).await?;
    let judged = judge(state, tx.conn(), request, client, user, approval.choice).await?;
    let Judged { context, lacks_patient: false, scope } = judged else { return Err(Refusal::NotOffered) };
    let picked = approval.choice.map(Choice::picked);
    let context_id = context.as_ref().map(|context| context.id);
    if let Some(context) = &context {
        take_launch(&mut tx, context, user).await?;
    }
    let agreement = &held_agreement(&mut tx, approval, (client, user), &scope).await?;
    let granted = agreement.apply(&scope).ok_or(Refusal::Cancelled)?;
    let expires_at = now + state.engine.config.oauth.code_ttl;
    let grant = NewGrant {
        id: new_uuid(),
        client_id: &client.client_id,
        user_id: Some(user.id),
        context: context_id,
        scope: &granted.to_string(),
        session_id: Some(signed_in.session_id),
        only_online: only_while_online(&granted),
        auth_time: Some(signed_in.since),
        nonce: request.nonce.as_deref(),
        expires_at,
        picked: picked.as_ref(),
        asked: &request.asked,
        withheld: &withheld(&request.asked, &client.scope, &scope, &granted, &state.engine.rules),
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
    let told = told(&grant);
    let entry = Entry {
        action: if context.is_some() { "launch" } else { "authorize" },
        outcome: "success",
        client_id: Some(&client.client_id),
        user_id: Some(user.id),
        context: context_id,
        tenant: context.as_ref().map_or(client.tenant, |context| context.tenant),
        request_id: approval.request_id,
        grant_id: Some(grant.id),
        detail: Some(&told),
        ..Entry::default()
    };
    store::audit::append(tx.conn(), &entry, now).await?;
    agreement.keep(&mut tx, &entry, now).await?;
    tx.commit().await?;
    Ok(Some(code))
}

/// What was asked, granted and withheld, and why: scopes are no secret.
fn told(grant: &NewGrant<'_>) -> String {
    let withheld = grant.withheld.as_object().into_iter().flatten();
    let withheld: Vec<_> =
        withheld.map(|(scope, why)| format!("{scope} ({})", why.as_str().unwrap_or_default())).collect();
    let text = format!("asked: {}; granted: {}; withheld: {}", grant.asked, grant.scope, withheld.join(", "));
    text.chars().take(LONGEST_DETAIL).collect()
}

/// Longer ones are cut.
const LONGEST_DETAIL: usize = 4000;
/// The client and the user as they are now, and stay until the code is stored, as does the session: whoever disables one of
/// them, or ends what it has, finds the grant or comes first.
async fn hold(tx: &mut Tx, approval: &Approval<'_>, now: OffsetDateTime) -> Result<(Client, User), Refusal> {
    let Approval { request, client, signed_in, .. } = *approval;
    store::client::hold(tx, &client.client_id).await?;
    let client = store::client::find(tx.conn(), &client.client_id).await?;
    let client = client.filter(|client| client.enabled).ok_or(Refusal::Client)?;
    if !redirect_is_registered(&request.redirect_uri, &client.redirect_uris, client.loopback_redirects) {
        return Err(Refusal::Client);
    }
    let is_there = store::user::hold(tx, signed_in.user.id).await?
        && store::login::hold(tx, &signed_in.session_digest, signed_in.user.id, now).await?;
    let user = store::user::find(tx.conn(), signed_in.user.id).await?;
    Ok((client, user.filter(|_| is_there).ok_or(Refusal::LoginRequired)?))
}

/// The agreement; one that was remembered, or not needed, is looked at again, and cannot be taken back until the code is
/// stored.
async fn held_agreement(
    tx: &mut Tx,
    approval: &Approval<'_>,
    (client, user): (&Client, &User),
    scope: &ScopeSet,
) -> Result<Agreement, Refusal> {
    if let Agreement::Given { .. } = approval.agreement {
        return Ok(approval.agreement.clone());
    }
    store::consent::hold(tx, user.id, &client.client_id).await?;
    let remembered = consent::remembered(tx.conn(), client, user, approval.request, scope).await?;
    remembered.ok_or(Refusal::ConsentRequired)
}

/// The launch is from now on this user's, for good.
async fn take_launch(tx: &mut Tx, context: &ContextRow, user: &User) -> Result<(), Refusal> {
    // Also locks the context against a clear until the code is stored, and fails where another user was faster.
    if store::context::bind_owner(tx, context.id, user.id).await? { Ok(()) } else { Err(Refusal::NotOwner) }
}

fn check_owner(context: &ContextRow, user: &User, rules: &OwnerRules) -> Result<(), Refusal> {
    let is_owner = match context.owner_user {
        Some(owner) => owner == user.id && (!context.owner_named || is_named(context, user)),
        None if context.owner_named => is_named(context, user),
        None => match rules.owner {
            OwnerPolicy::Strict => false,
            OwnerPolicy::FirstUser if is_of_their_organisation(context, user, rules) => true,
            OwnerPolicy::FirstUser => return Err(Refusal::OtherOrganisation),
        },
    };
    if is_owner { Ok(()) } else { Err(Refusal::NotOwner) }
}

/// Whether the launch says that it is this user's: then nothing has to be asked. What another organisation's system says
/// of a person is not enough: anybody's licence number can be written into a Practitioner.
pub const fn is_spoken_for(context: &ContextRow, user: &User) -> bool {
    context.owner_user.is_some() || (context.owner_named && context.tenant == user.tenant)
}

const fn is_of_their_organisation(context: &ContextRow, user: &User, rules: &OwnerRules) -> bool {
    context.tenant == user.tenant || (user.tenant == 0 && rules.unowned_by_any_organisation)
}

fn is_named(context: &ContextRow, user: &User) -> bool {
    let same_resource = user.fhir_user.is_some() && user.fhir_user == context.fhir_user;
    same_resource || user.identifiers.iter().any(|identifier| context.owner_identifiers.contains(identifier))
}

/// An app serves everybody, a point-of-care system the people of its organisation and those of none in particular.
const fn client_serves(client: &Client, user: &User) -> bool {
    client.tenant == 0 || user.tenant == 0 || client.tenant == user.tenant
}

/// Without a FHIR resource for the user, `fhirUser` cannot be granted.
fn with_fhir_user_if_known(scope: &ScopeSet, context: Option<&ContextRow>, user: &User) -> Result<ScopeSet, Refusal> {
    let named = context.and_then(|context| context.fhir_user.as_ref()).or(user.fhir_user.as_ref());
    let scope = scope.clone().only_plain(|plain| plain != "fhirUser" || named.is_some());
    if scope.is_empty() { Err(Refusal::Scope) } else { Ok(scope) }
}

/// Of what was asked and not granted as it stands, each scope with the reason in a word, for whoever has to explain it:
/// `unknown`, `not-enforceable` with what is wrong with its conditions, `not-registered`, `not-available` (the launch or the
/// user lacks it) or `declined`.
pub(super) fn withheld(
    asked: &str,
    registered: &str,
    grantable: &ScopeSet,
    granted: &ScopeSet,
    rules: &Rules,
) -> Value {
    let registered = ScopeSet::parse(registered);
    let reason = |scope: &str| {
        if let Some(why) = rules.refusal(scope) {
            return format!("not-enforceable: {why}");
        }
        let set = ScopeSet::parse(scope);
        let word = if set.is_empty() {
            "unknown"
        } else if !set.is_within(&registered) {
            "not-registered"
        } else if grantable.has(scope) {
            "declined"
        } else {
            "not-available"
        };
        word.to_owned()
    };
    let missing = asked.split_ascii_whitespace().filter(|scope| !granted.has(scope));
    Value::Object(missing.map(|scope| (scope.to_owned(), Value::from(reason(scope)))).collect::<Map<_, _>>())
}

/// `online_access` alone: the refresh token works as long as the user stays signed in.
fn only_while_online(scope: &ScopeSet) -> bool {
    scope.has("online_access") && !scope.has("offline_access")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;
    use crate::config::{Config, SharedPatients};
    use crate::fhir::definition::registry::Registry;
    use crate::store::client::Role;

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

    fn verdict(context: &ContextRow, user: &User, owner: OwnerPolicy) -> &'static str {
        verdict_by(context, user, &OwnerRules { owner, ..Config::for_tests("").context })
    }

    fn verdict_by(context: &ContextRow, user: &User, rules: &OwnerRules) -> &'static str {
        match check_owner(context, user, rules) {
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
    fn whom_the_launch_names_must_be_whom_the_point_of_care_system_called_for() {
        let owner_user = Some(user(7).id);
        let mut both =
            ContextRow { owner_user, owner_named: true, fhir_user: Some("Practitioner/1".into()), ..context() };
        assert_eq!(verdict(&both, &user(7), OwnerPolicy::FirstUser), "not owner");
        let linked = User { fhir_user: Some("Practitioner/1".into()), ..user(7) };
        assert_eq!(verdict(&both, &linked, OwnerPolicy::FirstUser), "owner");
        both.owner_identifiers = vec![("urn:licence".into(), "4711".into())];
        assert_eq!(verdict(&both, &user(7), OwnerPolicy::FirstUser), "owner");
        let named_only = User { id: Uuid::from_u128(3), ..user(7) };
        assert_eq!(verdict(&both, &named_only, OwnerPolicy::FirstUser), "not owner");
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
        assert_eq!(verdict(&context(), &user(8), OwnerPolicy::FirstUser), "other organisation");
        assert_eq!(verdict(&context(), &user(7), OwnerPolicy::Strict), "not owner");
    }

    #[test]
    fn who_belongs_to_no_organisation_owns_nobodys_launch_unless_the_operator_says_so() {
        assert_eq!(verdict(&context(), &user(0), OwnerPolicy::FirstUser), "other organisation");
        let open = OwnerRules { unowned_by_any_organisation: true, ..Config::for_tests("").context };
        assert_eq!(verdict_by(&context(), &user(0), &open), "owner");
        assert_eq!(verdict_by(&context(), &user(8), &open), "other organisation");
        let named = ContextRow { owner_named: true, fhir_user: Some("Practitioner/1".into()), ..context() };
        let anywhere = User { fhir_user: Some("Practitioner/1".into()), ..user(0) };
        assert_eq!(verdict(&named, &anywhere, OwnerPolicy::FirstUser), "owner");
    }

    #[test]
    fn what_is_withheld_is_explained_in_a_word() {
        let client = Client { scope: "launch patient/*.rs user/*.rs openid".into(), ..Client::new("c", Role::App) };
        let (grantable, granted) = (ScopeSet::parse("launch patient/*.rs openid"), ScopeSet::parse("launch openid"));
        let asked = "launch openid patient/*.rs user/*.rs patient/*.cruds patient/Foo.rs offline_access \
                     patient/Observation.rs?bogus=1 patient/Observation.rs?code=x";
        let expected = json!({
            "patient/Observation.rs?bogus=1": "not-enforceable: bogus: the server has no such search parameter",
            "patient/Observation.rs?code=x": "not-available",
            "patient/*.rs": "declined", "user/*.rs": "not-available", "patient/*.cruds": "not-registered",
            "patient/Foo.rs": "unknown", "offline_access": "not-registered",
        });
        let rules = Rules::of(Registry::built_in(), String::new(), SharedPatients::None);
        assert_eq!(withheld(asked, &client.scope, &grantable, &granted, &rules), expected);
    }

    #[test]
    fn fhir_user_is_granted_only_where_there_is_one() {
        assert_eq!(
            with_fhir_user_if_known(&ScopeSet::parse("openid fhirUser"), None, &user(7)).unwrap().to_string(),
            "openid"
        );
        assert!(with_fhir_user_if_known(&ScopeSet::parse("fhirUser"), None, &user(7)).is_err());
        let named = ContextRow { fhir_user: Some("Practitioner/1".into()), ..context() };
        assert_eq!(
            with_fhir_user_if_known(&ScopeSet::parse("openid fhirUser"), Some(&named), &user(7)).unwrap().to_string(),
            "openid fhirUser"
        );
    }
}
