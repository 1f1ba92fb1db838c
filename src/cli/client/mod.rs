//! `sofa client`: registered clients. What is stored at once is one transaction, its audit row in it.
//!
//! Decided: disabling ends everything that was granted to a client, so that enabling it later revives nothing. A client of
//! the configuration file is changed there; it can be disabled here, which holds until it is enabled here. A
//! point-of-care system is never deleted: what it stored stays its own.

mod add;
mod edit;
mod keys;
mod show;
mod token;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use super::database::{self, Opened};
use crate::access::Rules;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::outbound::Guard;
use crate::packages;
use crate::store::audit::Entry;
use crate::store::client::{Client, Role, Source};
use crate::store::{self, Tx};

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Register a client
    #[command(after_help = add::HELP)]
    Add(add::Add),
    /// List all clients
    List(show::List),
    /// Show all that is registered of a client, and how its published keys were fetched last
    Show(show::Show),
    /// Change what is registered of a client; what is not named stays as it is
    Set(edit::Set),
    /// Take a redirect URI away from a client
    RemoveRedirect(edit::RemoveRedirect),
    /// Give a client that proves itself with a secret a new one
    NewSecret(keys::NewSecret),
    /// Give a client that signs other keys
    Keys(keys::Keys),
    /// Switch a client off: it gets no more tokens, and all that was granted to it ends, for good
    Disable(Id),
    /// Switch a disabled client on again; nothing that was granted before comes back
    Enable(Id),
    /// Remove an app or a service with everything that was granted to it
    Delete(Id),
    /// Give leave to register clients over HTTP (initial access tokens, RFC 7591)
    #[command(subcommand)]
    Token(token::Command),
}

#[derive(Args)]
pub(super) struct Id {
    /// The client's id
    id: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum RoleName {
    /// A SMART app that people use within a launch
    App,
    /// A point-of-care system: sets and clears contexts
    Poc,
    /// A backend service: reads shared data
    Service,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::App => Self::App,
            RoleName::Poc => Self::Poc,
            RoleName::Service => Self::Service,
        }
    }
}

pub(super) async fn run(command: Command, config: Config) -> Result<()> {
    match command {
        Command::Add(add) => add::run(add, config).await,
        Command::List(list) => show::list(&list, &database::open(config).await?).await,
        Command::Show(show) => show::show(&show, &database::open(config).await?).await,
        Command::Set(set) => edit::set(set, &database::open(config).await?).await,
        Command::RemoveRedirect(remove) => edit::remove_redirect(&remove, &database::open(config).await?).await,
        Command::NewSecret(asked) => keys::new_secret(&asked, &database::open(config).await?).await,
        Command::Keys(asked) => keys::replace(&asked, &database::open(config).await?).await,
        Command::Disable(client) => disable(&client.id, &database::open(config).await?).await,
        Command::Enable(client) => enable(&client.id, &database::open(config).await?).await,
        Command::Delete(client) => delete(&client.id, &database::open(config).await?).await,
        Command::Token(command) => token::run(command, &database::open(config).await?).await,
    }
}

async fn disable(client_id: &str, opened: &Opened) -> Result<()> {
    let mut tx = store::begin(&opened.pool).await?;
    let client = find(&mut tx, client_id).await?;
    store::client::disable(&mut tx, client_id, SystemClock.now()).await?;
    audit(&mut tx, "client-disable", &client).await?;
    tx.commit().await?;
    println!("disabled {client_id}; all that was granted to it has ended");
    Ok(())
}

async fn enable(client_id: &str, opened: &Opened) -> Result<()> {
    let mut tx = store::begin(&opened.pool).await?;
    let client = find(&mut tx, client_id).await?;
    store::client::set_enabled(&mut tx, client_id, true, SystemClock.now()).await?;
    audit(&mut tx, "client-enable", &client).await?;
    tx.commit().await?;
    println!("enabled {client_id}");
    Ok(())
}

async fn delete(client_id: &str, opened: &Opened) -> Result<()> {
    let mut tx = store::begin(&opened.pool).await?;
    let client = find_ours(&mut tx, client_id).await?;
    if client.role == Role::Poc {
        bail!("{client_id} is a point-of-care system: what it stored stays its own, so it is not deleted; disable it");
    }
    store::client::delete(&mut tx, client_id).await?;
    audit(&mut tx, "client-delete", &client).await?;
    tx.commit().await?;
    println!("deleted {client_id}");
    Ok(())
}

async fn find(tx: &mut Tx, client_id: &str) -> Result<Client> {
    match store::client::find(tx.conn(), client_id).await? {
        Some(client) => Ok(client),
        None => bail!("there is no client {client_id}"),
    }
}

/// A client that commands may change.
async fn find_ours(tx: &mut Tx, client_id: &str) -> Result<Client> {
    let client = find(tx, client_id).await?;
    if client.source == Source::Config {
        bail!("{client_id} is registered by the configuration file (registry.clients): change it there, then restart");
    }
    Ok(client)
}

/// Whether a client may be registered as it is, its addresses being ones this server may call, and the conditions of its
/// scopes ones this server can enforce.
fn check(client: &Client, config: &Config) -> Result<()> {
    client.registration().check()?;
    if client.scope.contains('?') {
        let registry = packages::load(&config.validation)?;
        let rules = Rules::of(registry, config.server.fhir_base(), config.standalone.shared_patients);
        rules.check_all(&client.scope)?;
    }
    let guard = Guard::new(&config.registry);
    for (name, url) in [("jwks-uri", &client.jwks_uri), ("backchannel-logout-uri", &client.backchannel_logout_uri)] {
        if let Some(url) = url {
            guard
                .check(url)
                .map_err(|refused| anyhow::anyhow!("{name}: {refused} (see [registry] in the configuration)"))?;
        }
    }
    Ok(())
}

/// Stores what has changed.
async fn update(tx: &mut Tx, client: &Client) -> Result<()> {
    if !store::client::update(tx, client, SystemClock.now()).await? {
        bail!("there is no client {} any more", client.client_id);
    }
    audit(tx, "client-change", client).await
}

async fn audit(tx: &mut Tx, action: &'static str, client: &Client) -> Result<()> {
    let entry = Entry {
        action,
        outcome: "success",
        client_id: Some(&client.client_id),
        tenant: client.tenant,
        detail: Some("command line"),
        ..Entry::default()
    };
    Ok(store::audit::append(tx.conn(), &entry, SystemClock.now()).await?)
}

/// Prints a secret, the only time it can be.
fn print_secret(name: &str, secret: &str) {
    println!("{name}: {secret}\n(shown this once: only its digest is stored)");
}
