//! `sofa client token`: initial access tokens, which let a client register itself at `/register` (RFC 7591).

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use humantime_serde::re::humantime;
use time::format_description::well_known::Rfc3339;

use super::RoleName;
use crate::cli::database::Opened;
use crate::clock::{Clock, SystemClock};
use crate::store::audit::Entry;
use crate::store::client::Role;
use crate::store::initial_token::{self, InitialToken};
use crate::{id, store};

#[derive(clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// Make a token
    New(New),
    /// List the tokens that may still be used
    List,
    /// Take a token back; clients registered with it stay
    Revoke(Label),
}

#[derive(Args)]
pub(in crate::cli) struct New {
    /// Whom it is for: the name it is listed and taken back by
    label: String,
    /// What the clients registered with it are
    #[arg(long, value_enum, default_value = "app")]
    role: RoleName,
    /// Their organisation, for point-of-care systems: a number above 0
    #[arg(long, default_value_t = 0)]
    tenant: i64,
    /// How many clients may be registered with it
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    uses: i32,
    /// How long it may be used
    #[arg(long, value_name = "TIME", default_value = "7days", value_parser = humantime::parse_duration)]
    lifetime: Duration,
}

#[derive(Args)]
pub(in crate::cli) struct Label {
    /// The token's label
    label: String,
}

pub(super) async fn run(command: Command, opened: &Opened) -> Result<()> {
    match command {
        Command::New(new) => make(new, opened).await,
        Command::List => list(opened).await,
        Command::Revoke(revoke) => take_back(&revoke.label, opened).await,
    }
}

async fn make(new: New, opened: &Opened) -> Result<()> {
    let (role, now) = (Role::from(new.role), SystemClock.now());
    if (role == Role::Poc) != (new.tenant > 0) {
        bail!("a PoC acts for one organisation: its tenant is above 0; all others have tenant 0");
    }
    let Some(expires_at) = time::Duration::try_from(new.lifetime).ok().and_then(|lifetime| now.checked_add(lifetime))
    else {
        bail!("the lifetime is longer than the calendar");
    };
    let made =
        InitialToken { label: new.label, role, tenant: new.tenant, uses_left: new.uses, created_at: now, expires_at };
    let token = id::random_token();
    let mut tx = store::begin(&opened.pool).await?;
    match initial_token::insert(&mut tx, &id::token_digest(&token), &made).await {
        Err(error) if error.is_duplicate() => bail!("there is a token {} already", made.label),
        done => done?,
    }
    audit(&mut tx, "client-token-add", &made.label).await?;
    tx.commit().await?;
    super::print_secret("initial_access_token", &token);
    if !opened.config.registry.dynamic {
        println!("It is of no use until registry.dynamic is true in the configuration.");
    }
    Ok(())
}

async fn list(opened: &Opened) -> Result<()> {
    let mut connection = opened.pool.acquire().await?;
    for token in initial_token::list(&mut connection).await? {
        let until = token.expires_at.format(&Rfc3339)?;
        let (role, tenant, uses) = (token.role.as_str(), token.tenant, token.uses_left);
        println!("{:<24} {role:<8} tenant {tenant}  for {uses} more clients until {until}", token.label);
    }
    Ok(())
}

async fn take_back(label: &str, opened: &Opened) -> Result<()> {
    let mut tx = store::begin(&opened.pool).await?;
    if !initial_token::delete(&mut tx, label).await? {
        bail!("there is no token {label}");
    }
    audit(&mut tx, "client-token-delete", label).await?;
    tx.commit().await?;
    println!("took {label} back");
    Ok(())
}

async fn audit(tx: &mut store::Tx, action: &'static str, label: &str) -> Result<()> {
    let entry = Entry { action, outcome: "success", detail: Some(label), ..Entry::default() };
    Ok(store::audit::append(tx.conn(), &entry, SystemClock.now()).await?)
}
