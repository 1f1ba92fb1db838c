//! Who somebody is here, for whom an upstream provider vouches.
//!
//! | the pair of issuer and subject | what else | who it is |
//! |---|---|---|
//! | came before | account enabled, of an organisation of the provider | that person; what the provider says is taken over where it made the account |
//! | is new | `link_by_identifier`, and exactly one account of the organisation has the identifier, and none of this provider's is linked with it | that person, from now on |
//! | is new | two accounts have it, or it belongs to another identity of the provider | nobody: an operator has to tell them apart |
//! | is new | `create_users` | a new account, without a password |
//! | is new | otherwise | nobody |
//!
//! An account never leaves the organisations that its provider vouches for, whatever a claim says. Where what the provider
//! says of a person's organisation, identifiers or FHIR resource has changed, all that was granted before ends.

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::provider::{Upstream, Vouched};
use crate::config::Provider;
use crate::oauth::OauthState;
use crate::smart::launch::is_person;
use crate::store::user::{FactorRule, Source, User};
use crate::store::{self, Tx};

/// Bounds of what is taken over; a subject has 255 characters at most (OpenID Connect Core 1.0 section 2).
const LONGEST_SUBJECT: usize = 255;
const LONGEST_NAME: usize = 200;

/// Why nobody is let in. The person is told one text for all of them; the audit trail says which.
#[derive(Debug, thiserror::Error)]
pub enum Nobody {
    #[error("there is no account for this identity")]
    NoAccount,
    #[error("the account is disabled")]
    Disabled,
    #[error("the provider does not vouch for people of this organisation")]
    Tenant,
    #[error("the identifier belongs to more than one person")]
    Ambiguous,
    #[error("the way of signing in there is not good enough")]
    Factor,
    #[error("the subject is longer than it may be")]
    Subject,
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<sqlx::Error> for Nobody {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What a provider says, as we use it.
struct Told {
    tenant: i64,
    display_name: Option<String>,
    identifier: Option<(String, String)>,
    fhir_user: Option<String>,
}

/// The person, found, linked or made.
pub async fn resolve(state: &OauthState, upstream: &Upstream, vouched: &Vouched) -> Result<User, Nobody> {
    match once(state, upstream, vouched).await {
        // Two browsers of a new person at the same moment: the second finds what the first has made.
        Err(Nobody::Store(error)) if error.is_duplicate() => once(state, upstream, vouched).await,
        done => done,
    }
}

async fn once(state: &OauthState, upstream: &Upstream, vouched: &Vouched) -> Result<User, Nobody> {
    let config = &upstream.config;
    let now = state.now();
    if vouched.subject.len() > LONGEST_SUBJECT || vouched.subject.is_empty() || vouched.subject.contains('\0') {
        return Err(Nobody::Subject);
    }
    check_factor(config, vouched)?;
    let told = read(config, vouched)?;
    let mut tx = store::begin(&state.engine.pool).await?;
    let user = match store::upstream::find_user(&mut tx, &vouched.issuer, &vouched.subject, now).await? {
        Some(id) => returning(&mut tx, config, id, &told, now).await?,
        None => newcomer(&mut tx, config, vouched, &told, now).await?,
    };
    if !user.enabled {
        return Err(Nobody::Disabled);
    }
    tx.commit().await?;
    Ok(user)
}

fn check_factor(config: &Provider, vouched: &Vouched) -> Result<(), Nobody> {
    let amr = vouched.claims.get("amr").and_then(Value::as_array);
    let has = |wanted: &String| amr.is_some_and(|amr| amr.iter().any(|one| one == wanted.as_str()));
    if config.require_amr.is_empty() || config.require_amr.iter().any(has) { Ok(()) } else { Err(Nobody::Factor) }
}

fn read(config: &Provider, vouched: &Vouched) -> Result<Told, Nobody> {
    let text = |claim: &str| match vouched.claims.get(claim) {
        Some(Value::String(text)) => Some(clean(text)).filter(|text| !text.is_empty()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let tenant = match &config.tenant_claim {
        Some(claim) => text(claim).and_then(|tenant| tenant.parse().ok()).ok_or(Nobody::Tenant)?,
        None => *config.tenants.first().ok_or(Nobody::Tenant)?,
    };
    if !config.serves(tenant) {
        return Err(Nobody::Tenant);
    }
    let identifier = config.identifier_claim.as_deref().and_then(text);
    let fhir_user = config.fhir_user_claim.as_deref().and_then(text).filter(|reference| is_person(reference));
    Ok(Told {
        tenant,
        display_name: text(&config.name_claim),
        identifier: config.identifier_system.clone().zip(identifier),
        fhir_user,
    })
}

/// Without control characters, and no longer than a name.
fn clean(text: &str) -> String {
    text.trim().chars().filter(|letter| !letter.is_control()).take(LONGEST_NAME).collect()
}

async fn returning(tx: &mut Tx, config: &Provider, id: Uuid, told: &Told, now: OffsetDateTime) -> Result<User, Nobody> {
    let user = store::user::find(tx.conn(), id).await?.ok_or(Nobody::NoAccount)?;
    if user.source == Source::Local {
        // The operator's account: the provider vouches for the person, not for what is said of them here.
        return if config.serves(user.tenant) { Ok(user) } else { Err(Nobody::Tenant) };
    }
    let changed = User {
        tenant: told.tenant,
        display_name: told.display_name.clone().unwrap_or_else(|| user.display_name.clone()),
        identifiers: identifiers(config, &user.identifiers, told),
        fhir_user: if config.fhir_user_claim.is_some() { told.fhir_user.clone() } else { user.fhir_user.clone() },
        ..user.clone()
    };
    if changed == user {
        return Ok(user);
    }
    store::user::update(tx, &changed, now).await?;
    let is_another =
        (changed.tenant, &changed.identifiers, &changed.fhir_user) != (user.tenant, &user.identifiers, &user.fhir_user);
    if is_another {
        store::user::end_everything(tx, user.id, now).await?;
    }
    Ok(changed)
}

/// The provider's identifier in place of the one of its system before.
fn identifiers(config: &Provider, before: &[(String, String)], told: &Told) -> Vec<(String, String)> {
    let others = before.iter().filter(|(system, _)| Some(system) != config.identifier_system.as_ref()).cloned();
    let mut all: Vec<_> = others.chain(told.identifier.clone()).collect();
    all.sort();
    all
}

async fn newcomer(
    tx: &mut Tx,
    config: &Provider,
    vouched: &Vouched,
    told: &Told,
    now: OffsetDateTime,
) -> Result<User, Nobody> {
    let user = match recognised(tx, config, vouched, told).await? {
        Some(user) => user,
        None if config.create_users => make(tx, config, vouched, told, now).await?,
        None => return Err(Nobody::NoAccount),
    };
    store::upstream::link(tx, (&vouched.issuer, &vouched.subject), user.id, &config.id, now).await?;
    Ok(user)
}

async fn recognised(tx: &mut Tx, config: &Provider, vouched: &Vouched, told: &Told) -> Result<Option<User>, Nobody> {
    let Some((system, value)) = told.identifier.as_ref().filter(|_| config.link_by_identifier) else {
        return Ok(None);
    };
    let mut found = store::user::find_by_identifier(tx.conn(), (system, value), &[told.tenant]).await?;
    if found.len() > 1 {
        return Err(Nobody::Ambiguous);
    }
    let Some(user) = found.pop() else { return Ok(None) };
    let identities = store::upstream::of_user(tx.conn(), user.id).await?;
    // Somebody else there is that person already.
    if identities.iter().any(|identity| identity.issuer == vouched.issuer) {
        return Err(Nobody::Ambiguous);
    }
    Ok(Some(user))
}

async fn make(
    tx: &mut Tx,
    config: &Provider,
    vouched: &Vouched,
    told: &Told,
    now: OffsetDateTime,
) -> Result<User, Nobody> {
    let name = format!("{}/{}", config.id, clean(&vouched.subject));
    let display_name = told.display_name.clone().unwrap_or_else(|| name.clone());
    let user = User {
        password_hash: None,
        display_name,
        tenant: told.tenant,
        fhir_user: told.fhir_user.clone(),
        identifiers: told.identifier.clone().into_iter().collect(),
        source: Source::Federated,
        second_factor: FactorRule::Usual,
        ..User::new(name, "")
    };
    store::user::insert(tx, &user, now).await?;
    Ok(user)
}
