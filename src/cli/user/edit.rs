//! `sofa user set`, `disable`, `enable` and `delete`.

use anyhow::{Result, bail};
use clap::Args;

use super::add::{identifier, login_name, person, tenant_number};
use crate::cli::database::Opened;
use crate::clock::{Clock, SystemClock};
use crate::store;
use crate::store::user::FactorRule;

pub(super) const HELP: &str = "Where the organisation, the linked resource or an identifier changes, the person is signed out \
  everywhere, and what apps were granted for them ends: it was granted to somebody else, so to speak.";

#[derive(Args)]
pub(in crate::cli) struct Set {
    /// The person's name
    name: String,
    /// What the person types to sign in from now on
    #[arg(long = "name", value_name = "NAME")]
    new_name: Option<String>,
    /// What is shown to people
    #[arg(long)]
    display_name: Option<String>,
    /// The person as a FHIR resource of the server; "" for none
    #[arg(long, value_name = "TYPE/ID")]
    fhir_user: Option<String>,
    /// These licence numbers or the like instead of those before; may be repeated
    #[arg(long = "identifier", value_name = "SYSTEM|VALUE", value_parser = identifier)]
    identifiers: Vec<(String, String)>,
    /// No licence numbers any more
    #[arg(long, conflicts_with = "identifiers")]
    no_identifiers: bool,
    /// The person's organisation: the number of its point-of-care system
    #[arg(long)]
    tenant: Option<i64>,
    /// The person works for every organisation
    #[arg(long, conflicts_with = "tenant")]
    any_organisation: bool,
    /// Whether the person needs one-time passwords: "usual" (as configured for all), "required" or "off"
    #[arg(long, value_name = "RULE", value_parser = rule)]
    second_factor: Option<FactorRule>,
}

fn rule(word: &str) -> Result<FactorRule, String> {
    FactorRule::parse(word).ok_or_else(|| "usual, required or off".to_owned())
}

pub(super) async fn set(set: Set, opened: &Opened) -> Result<()> {
    let now = SystemClock.now();
    let mut tx = store::begin(&opened.pool).await?;
    let old = super::find(&mut tx, &set.name).await?;
    let mut user = old.clone();
    if let Some(name) = set.new_name {
        user.name = login_name(name)?;
    }
    user.display_name = set.display_name.unwrap_or(user.display_name);
    if let Some(reference) = set.fhir_user {
        user.fhir_user = if reference.is_empty() { None } else { Some(person(reference)?) };
    }
    if set.no_identifiers || !set.identifiers.is_empty() {
        user.identifiers = set.identifiers;
        user.identifiers.sort();
        user.identifiers.dedup();
    }
    if let Some(tenant) = set.tenant {
        user.tenant = tenant_number(tenant)?;
    }
    if set.any_organisation {
        user.tenant = 0;
    }
    user.second_factor = set.second_factor.unwrap_or(user.second_factor);
    if user == old {
        bail!("nothing to change: `sofa user set --help` shows what can be");
    }
    match store::user::update(&mut tx, &user, now).await {
        Err(error) if error.is_duplicate() => bail!("there is a user {} already", user.name),
        done => done?,
    }
    let is_another =
        (user.tenant, &user.fhir_user, &user.identifiers) != (old.tenant, &old.fhir_user, &old.identifiers);
    if is_another {
        store::user::end_everything(&mut tx, user.id, now).await?;
    }
    super::audit(&mut tx, "user-change", &user).await?;
    tx.commit().await?;
    println!("changed {}", user.name);
    Ok(())
}

pub(super) async fn disable(name: &str, opened: &Opened) -> Result<()> {
    let mut tx = store::begin(&opened.pool).await?;
    let user = super::find(&mut tx, name).await?;
    store::user::disable(&mut tx, user.id, SystemClock.now()).await?;
    super::audit(&mut tx, "user-disable", &user).await?;
    tx.commit().await?;
    println!("disabled {}; signed out everywhere, and what was granted has ended", user.name);
    Ok(())
}

pub(super) async fn enable(name: &str, opened: &Opened) -> Result<()> {
    let mut tx = store::begin(&opened.pool).await?;
    let user = super::find(&mut tx, name).await?;
    store::user::set_enabled(&mut tx, user.id, true, SystemClock.now()).await?;
    super::audit(&mut tx, "user-enable", &user).await?;
    tx.commit().await?;
    println!("enabled {}", user.name);
    Ok(())
}

pub(super) async fn delete(name: &str, opened: &Opened) -> Result<()> {
    let mut tx = store::begin(&opened.pool).await?;
    let user = super::find(&mut tx, name).await?;
    store::user::delete(&mut tx, user.id).await?;
    super::audit(&mut tx, "user-delete", &user).await?;
    tx.commit().await?;
    println!("deleted {}", user.name);
    Ok(())
}
