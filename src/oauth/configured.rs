//! Clients that the configuration file registers (`[[registry.clients]]`): at each start the registry is brought in line.
//!
//! | situation | what is done |
//! |---|---|
//! | named, not registered yet | registered |
//! | named, registered otherwise by the file | changed; its role never changes. Where less is allowed than before, all that was granted to it ends |
//! | no longer named | disabled, and all that was granted to it ends; enabled again when it comes back |
//! | disabled by an operator's command | stays so until the command that enables it |
//! | named, but registered by a command or by itself | the server does not start |
//!
//! A secret that changes takes the place of the old one at once.

use std::path::{Path, PathBuf};

use serde_json::Value;
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::access::{Rules, rules::NotEnforceable};
use crate::config::{Config, ConfiguredClient, ConsentPolicy};
use crate::id::token_digest;
use crate::outbound::{Guard, Refused};
use crate::smart::client::RegistrationError;
use crate::smart::registration::{origins_of, usual_scope};
use crate::store::audit::Entry;
use crate::store::client::{AuthMethod, Client, Role, Source};
use crate::store::{self, Tx, client_secret};

/// Only a digest of a secret is kept, so it must not be one that can be guessed.
const SHORTEST_SECRET: usize = 32;

/// Why a client of the file cannot be registered.
#[derive(Debug, thiserror::Error)]
#[error("registry.clients: {client_id}: {reason}")]
pub struct Error {
    client_id: String,
    reason: Reason,
}

/// What is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    #[error("the role {0:?} is none of app, poc, service")]
    Role(String),
    #[error("auth {0:?} is none of none, client_secret_basic, private_key_jwt")]
    Auth(String),
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: std::io::Error },
    #[error("{} is not JSON: {cause}", path.display())]
    NotJson { path: PathBuf, cause: serde_json::Error },
    #[error("the secret has fewer than {SHORTEST_SECRET} characters; one is made by: openssl rand -base64 32")]
    ShortSecret,
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    #[error("{0}")]
    Address(#[from] Refused),
    #[error(transparent)]
    Scope(#[from] NotEnforceable),
    #[error("it is registered already, not by this file; remove it first: sofa client delete")]
    NotOurs,
    #[error("it is registered as another kind of client; that never changes: give it another id")]
    OtherRole,
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Brings the registry in line with the file; gives how many clients were added, changed or disabled.
pub async fn apply(pool: &PgPool, config: &Config, rules: &Rules, now: OffsetDateTime) -> Result<usize, Error> {
    let mut named = Vec::new();
    for given in &config.registry.clients {
        let read = read(given, &Guard::new(&config.registry), config.oauth.consent_default);
        let read = read.and_then(|client| Ok(rules.check_all(&client.scope).map(|()| client)?));
        named.push(read.map_err(|reason| Error { client_id: given.id.clone(), reason })?);
    }
    let whole = |error: store::Error| Error { client_id: "all".to_owned(), reason: error.into() };
    let mut tx = store::begin(pool).await.map_err(whole)?;
    store::client::lock(&mut tx).await.map_err(whole)?;
    let mut changed = 0;
    for client in &named {
        let done = put(&mut tx, client, now).await;
        changed += usize::from(done.map_err(|reason| Error { client_id: client.client_id.clone(), reason })?);
    }
    let ids: Vec<String> = named.into_iter().map(|client| client.client_id).collect();
    for gone in store::client::leave_out(&mut tx, &ids, now).await.map_err(whole)? {
        tracing::warn!(client_id = gone, "disabled: the configuration file no longer names this client");
        audit(&mut tx, "client-disable", &gone, 0, now).await.map_err(whole)?;
        changed += 1;
    }
    tx.commit().await.map_err(whole)?;
    Ok(changed)
}

/// Whether anything of it had to be stored.
async fn put(tx: &mut Tx, client: &Client, now: OffsetDateTime) -> Result<bool, Reason> {
    let Some(old) = store::client::find(tx.conn(), &client.client_id).await? else {
        store::client::insert(tx, client, now).await?;
        audit(tx, "client-add", &client.client_id, client.tenant, now).await?;
        return Ok(true);
    };
    if old.source != Source::Config {
        return Err(Reason::NotOurs);
    }
    if old.role != client.role {
        return Err(Reason::OtherRole);
    }
    let back = store::client::bring_back(tx, &client.client_id, now).await?;
    let client = Client { enabled: old.enabled || back, ..client.clone() };
    if client.secret_digest != old.secret_digest {
        client_secret::end_all(tx, &client.client_id, now, now).await?;
        if let Some(digest) = &client.secret_digest {
            client_secret::insert(tx, &client.client_id, digest, now).await?;
        }
    }
    let differs = client != old;
    if differs {
        store::client::update(tx, &client, now).await?;
        let ended = store::client::end_wider(tx, &old, &client, now).await?;
        if ended > 0 {
            tracing::warn!(
                client_id = client.client_id,
                ended,
                "the configuration file allows less: grants have ended"
            );
        }
        audit(tx, if back { "client-enable" } else { "client-change" }, &client.client_id, client.tenant, now).await?;
    }
    Ok(differs)
}

async fn audit(tx: &mut Tx, action: &'static str, client: &str, tenant: i64, now: OffsetDateTime) -> store::Result<()> {
    let entry = Entry {
        action,
        outcome: "success",
        client_id: Some(client),
        tenant,
        detail: Some("configuration file"),
        ..Entry::default()
    };
    store::audit::append(tx.conn(), &entry, now).await
}

fn read(given: &ConfiguredClient, guard: &Guard, consent_default: ConsentPolicy) -> Result<Client, Reason> {
    let role = Role::parse(&given.role).ok_or_else(|| Reason::Role(given.role.clone()))?;
    let usual = Client::new(given.id.clone(), role);
    let auth_method = match &given.auth {
        None => usual.auth_method,
        Some(name) => AuthMethod::parse(name).ok_or_else(|| Reason::Auth(name.clone()))?,
    };
    let secret = given.secret_file.as_deref().map(read_secret).transpose()?;
    let client = Client {
        name: given.name.clone().unwrap_or(usual.name),
        tenant: given.tenant,
        auth_method,
        secret_digest: secret.as_deref().map(token_digest),
        jwks: given.jwks_file.as_deref().map(read_jwks).transpose()?,
        jwks_uri: given.jwks_uri.clone(),
        origins: given.origins.clone().unwrap_or_else(|| origins_of(&given.redirect_uris)),
        redirect_uris: given.redirect_uris.clone(),
        scope: given.scope.clone().unwrap_or_else(|| usual_scope(role).to_owned()),
        launch_urls: given.launch_urls.clone(),
        frame_ancestors: given.frame_ancestors.clone(),
        post_logout_redirect_uris: given.post_logout_redirect_uris.clone(),
        backchannel_logout_uri: given.backchannel_logout_uri.clone(),
        may_introspect: given.may_introspect,
        consent: given.consent.unwrap_or(if role == Role::App { consent_default } else { usual.consent }),
        source: Source::Config,
        ..usual
    };
    client.registration().check()?;
    for url in [&client.jwks_uri, &client.backchannel_logout_uri].into_iter().flatten() {
        guard.check(url)?;
    }
    Ok(client)
}

fn read_file(path: &Path) -> Result<String, Reason> {
    std::fs::read_to_string(path).map_err(|cause| Reason::Unreadable { path: path.to_owned(), cause })
}

fn read_secret(path: &Path) -> Result<String, Reason> {
    let secret = read_file(path)?.trim().to_owned();
    if secret.chars().count() < SHORTEST_SECRET { Err(Reason::ShortSecret) } else { Ok(secret) }
}

fn read_jwks(path: &Path) -> Result<Value, Reason> {
    serde_json::from_str(&read_file(path)?).map_err(|cause| Reason::NotJson { path: path.to_owned(), cause })
}
