//! `sofa client`: registered clients.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::database::{self, Opened};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConsentPolicy};
use crate::store::audit::Entry;
use crate::store::client::{AuthMethod, Client, Role};
use crate::{id, store};

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Register a client
    #[command(after_help = ADD_HELP)]
    Add(Add),
    /// List all clients
    List(List),
    /// Switch a client off: it gets no more tokens, and those it has stop working at once
    Disable(Id),
    /// Switch a disabled client on again
    Enable(Id),
}

const ADD_HELP: &str = "Examples:\n  \
  sofa client add growth-chart --role app --name \"Growth chart\" --redirect-uri https://app.example/cb\n  \
  sofa client add clinic --role poc --tenant 7 --auth private_key_jwt --jwks-file clinic.jwks.json\n\n\
  With --auth client_secret_basic the secret is generated and printed once: it is not stored.";

#[derive(Args)]
pub(super) struct Add {
    /// What the client will send as `client_id`
    id: String,
    /// What the client is
    #[arg(long, value_enum)]
    role: RoleName,
    /// What people see on the login page; the id if not given
    #[arg(long)]
    name: Option<String>,
    /// How it proves who it is. Default: `none` for an app, `private_key_jwt` for others
    #[arg(long, value_enum)]
    auth: Option<AuthName>,
    /// The organisation of a point-of-care system: a number above 0
    #[arg(long, default_value_t = 0)]
    tenant: i64,
    /// Where authorizations may be sent; may be given several times
    #[arg(long = "redirect-uri", value_name = "URI")]
    redirect_uris: Vec<String>,
    /// The widest scope it may be granted. The default fits the role
    #[arg(long)]
    scope: Option<String>,
    /// Its public keys, for private_key_jwt: a file with a JWK set (RFC 7517)
    #[arg(long, value_name = "FILE")]
    jwks_file: Option<PathBuf>,
    /// Web origin whose pages may call the server; may be given several times. Default: those of its redirect URIs
    #[arg(long = "origin", value_name = "ORIGIN")]
    origins: Vec<String>,
    /// For an app: whether people are asked what it may do for them. Default: oauth.consent_default
    #[arg(long, value_enum)]
    consent: Option<ConsentName>,
}

#[derive(Args)]
pub(super) struct List {
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
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

#[derive(Clone, Copy, ValueEnum)]
enum AuthName {
    /// Public client, held by PKCE alone
    None,
    /// HTTP Basic with a secret that is generated here
    #[value(name = "client_secret_basic")]
    ClientSecretBasic,
    /// Signed assertion (RFC 7523)
    #[value(name = "private_key_jwt")]
    PrivateKeyJwt,
}

#[derive(Clone, Copy, ValueEnum)]
enum ConsentName {
    /// Nobody is asked
    Never,
    /// At the first time, and again for more
    Once,
    /// Every time
    Always,
}

pub(super) async fn run(command: Command, config: Config) -> Result<()> {
    match command {
        Command::Add(add) => {
            // Everything that can be refused is, before a database is started for it.
            let (client, secret) = add.client(config.oauth.consent_default)?;
            client.registration().check()?;
            insert(&database::open(config).await?, &client).await?;
            println!("registered {}", client.client_id);
            if let Some(secret) = secret {
                println!("client_secret: {secret}\n(shown this once: only its digest is stored)");
            }
            Ok(())
        }
        Command::List(list) => print_all(&database::open(config).await?, list.json).await,
        Command::Disable(client) => set_enabled(&database::open(config).await?, &client.id, false).await,
        Command::Enable(client) => set_enabled(&database::open(config).await?, &client.id, true).await,
    }
}

impl Add {
    /// The client to store, and its new secret.
    fn client(self, consent_default: ConsentPolicy) -> Result<(Client, Option<String>)> {
        let role = match self.role {
            RoleName::App => Role::App,
            RoleName::Poc => Role::Poc,
            RoleName::Service => Role::Service,
        };
        let usual = Client::new(self.id, role);
        let auth_method = match self.auth {
            Some(AuthName::None) => AuthMethod::None,
            Some(AuthName::ClientSecretBasic) => AuthMethod::ClientSecretBasic,
            Some(AuthName::PrivateKeyJwt) => AuthMethod::PrivateKeyJwt,
            None => usual.auth_method,
        };
        let secret = (auth_method == AuthMethod::ClientSecretBasic).then(id::random_token);
        let jwks = self.jwks_file.as_deref().map(|path| -> Result<Value> {
            let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", path.display()))
        });
        let origins = if self.origins.is_empty() { origins_of(&self.redirect_uris) } else { self.origins };
        let consent = match self.consent {
            Some(ConsentName::Never) => ConsentPolicy::Never,
            Some(ConsentName::Once) => ConsentPolicy::Once,
            Some(ConsentName::Always) => ConsentPolicy::Always,
            None if role == Role::App => consent_default,
            None => usual.consent,
        };
        let client = Client {
            consent,
            name: self.name.unwrap_or(usual.name),
            tenant: self.tenant,
            auth_method,
            secret_digest: secret.as_deref().map(id::token_digest),
            jwks: jwks.transpose()?,
            redirect_uris: self.redirect_uris,
            scope: self.scope.unwrap_or_else(|| default_scope(role).to_owned()),
            origins,
            ..usual
        };
        Ok((client, secret))
    }
}

/// What a client of the role usually needs; `--scope` narrows or widens it.
const fn default_scope(role: Role) -> &'static str {
    match role {
        Role::App => {
            "launch launch/patient launch/encounter openid fhirUser offline_access online_access patient/*.cruds user/*.rs"
        }
        Role::Poc => "Context.write system/*.rs system/Subscription.crud",
        Role::Service => "system/*.rs",
    }
}

/// The web origins of the redirect URIs that have one.
fn origins_of(redirect_uris: &[String]) -> Vec<String> {
    let urls = redirect_uris.iter().filter_map(|uri| url::Url::parse(uri).ok());
    let origins = urls.map(|url| url.origin()).filter(url::Origin::is_tuple);
    let mut origins: Vec<String> = origins.map(|origin| origin.ascii_serialization()).collect();
    origins.sort();
    origins.dedup();
    origins
}

async fn insert(opened: &Opened, client: &Client) -> Result<()> {
    let now = SystemClock.now();
    let mut tx = store::begin(&opened.pool).await?;
    match store::client::insert(&mut tx, client, now).await {
        Err(error) if error.is_duplicate() => bail!("there is a client {} already", client.client_id),
        done => done?,
    }
    audit(&mut tx, "client-add", &client.client_id, client.tenant).await?;
    Ok(tx.commit().await?)
}

async fn set_enabled(opened: &Opened, client: &str, enabled: bool) -> Result<()> {
    let mut tx = store::begin(&opened.pool).await?;
    if !store::client::set_enabled(&mut tx, client, enabled, SystemClock.now()).await? {
        bail!("there is no client {client}");
    }
    audit(&mut tx, if enabled { "client-enable" } else { "client-disable" }, client, 0).await?;
    tx.commit().await?;
    println!("{} {client}", if enabled { "enabled" } else { "disabled" });
    Ok(())
}

async fn audit(tx: &mut store::Tx, action: &'static str, client: &str, tenant: i64) -> Result<()> {
    let entry = Entry {
        action,
        outcome: "success",
        client_id: Some(client),
        tenant,
        detail: Some("command line"),
        ..Entry::default()
    };
    Ok(store::audit::append(tx.conn(), &entry, SystemClock.now()).await?)
}

async fn print_all(opened: &Opened, json: bool) -> Result<()> {
    let mut connection = opened.pool.acquire().await?;
    let clients = store::client::list(&mut connection).await?;
    if json {
        let shown: Vec<Value> = clients.iter().map(shown).collect();
        println!("{}", serde_json::to_string_pretty(&shown)?);
        return Ok(());
    }
    if clients.is_empty() {
        println!("no clients yet: `sofa client add --help` shows how to register one");
    }
    for client in &clients {
        let state = if client.enabled { "" } else { "  DISABLED" };
        let (role, auth) = (client.role.as_str(), client.auth_method.as_str());
        println!("{:<24} {role:<8} {auth:<20} tenant {}  {}{state}", client.client_id, client.tenant, client.name);
    }
    Ok(())
}

/// A client without its secret's digest.
fn shown(client: &Client) -> Value {
    serde_json::json!({
        "client_id": client.client_id,
        "name": client.name,
        "consent": client.consent.as_str(),
        "role": client.role.as_str(),
        "tenant": client.tenant,
        "token_endpoint_auth_method": client.auth_method.as_str(),
        "jwks": client.jwks,
        "redirect_uris": client.redirect_uris,
        "scope": client.scope,
        "origins": client.origins,
        "enabled": client.enabled,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(role: RoleName) -> Add {
        Add {
            id: "c".to_owned(),
            role,
            name: None,
            auth: None,
            tenant: 0,
            redirect_uris: vec!["https://app.example/cb".to_owned(), "https://app.example/other".to_owned()],
            scope: None,
            jwks_file: None,
            origins: Vec::new(),
            consent: None,
        }
    }

    #[test]
    fn an_app_is_public_unless_told_otherwise() {
        let (client, secret) = add(RoleName::App).client(ConsentPolicy::Once).unwrap();
        assert_eq!((client.auth_method, secret), (AuthMethod::None, None));
        assert_eq!(client.origins, ["https://app.example"]);
        client.registration().check().unwrap();
    }

    #[test]
    fn a_secret_is_generated_and_only_its_digest_stored() {
        let (client, secret) =
            Add { auth: Some(AuthName::ClientSecretBasic), ..add(RoleName::App) }.client(ConsentPolicy::Once).unwrap();
        assert_eq!(client.secret_digest, Some(id::token_digest(&secret.unwrap())));
        client.registration().check().unwrap();
    }

    #[test]
    fn a_poc_needs_keys_and_a_tenant() {
        let (client, _) = add(RoleName::Poc).client(ConsentPolicy::Once).unwrap();
        assert!(client.registration().check().is_err());
    }
}
