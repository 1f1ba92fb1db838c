//! `sofa client new-secret` and `sofa client keys`: what a client proves itself with.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use humantime_serde::re::humantime;

use super::add::{REMINDER, read_jwks};
use crate::cli::database::Opened;
use crate::clock::{Clock, SystemClock};
use crate::store::client::{AuthMethod, Client};
use crate::{id, store};

#[derive(Args)]
pub(in crate::cli) struct NewSecret {
    /// The client's id
    id: String,
    /// How long the secrets it has may still be used, e.g. 7days. Default: they end at once
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    keep_old: Option<Duration>,
}

#[derive(Args)]
pub(in crate::cli) struct Keys {
    /// The client's id
    id: String,
    /// A file with its public keys, a JWK set (RFC 7517)
    #[arg(value_name = "FILE", required_unless_present = "jwks_uri", conflicts_with = "jwks_uri")]
    jwks_file: Option<PathBuf>,
    /// Where it publishes its public keys instead. Naming the same address again has them fetched anew
    #[arg(long, value_name = "URL")]
    jwks_uri: Option<String>,
}

pub(super) async fn new_secret(asked: &NewSecret, opened: &Opened) -> Result<()> {
    let now = SystemClock.now();
    let mut tx = store::begin(&opened.pool).await?;
    let client = super::find_ours(&mut tx, &asked.id).await?;
    if client.auth_method != AuthMethod::ClientSecretBasic {
        bail!("{} proves itself by {}, not by a secret", client.client_id, client.auth_method.as_str());
    }
    let secret = id::random_token();
    store::client_secret::end_all(&mut tx, &client.client_id, now + asked.keep_old.unwrap_or_default(), now).await?;
    store::client_secret::insert(&mut tx, &client.client_id, &id::token_digest(&secret), now).await?;
    super::audit(&mut tx, "client-secret", &client).await?;
    tx.commit().await?;
    super::print_secret("client_secret", &secret);
    match asked.keep_old {
        Some(time) => println!("The one before works for {} more.", humantime::format_duration(time)),
        None => println!("The one before does not work any more."),
    }
    Ok(())
}

pub(super) async fn replace(asked: &Keys, opened: &Opened) -> Result<()> {
    let jwks = asked.jwks_file.as_deref().map(read_jwks).transpose()?;
    let mut tx = store::begin(&opened.pool).await?;
    let old = super::find_ours(&mut tx, &asked.id).await?;
    if old.auth_method != AuthMethod::PrivateKeyJwt {
        bail!("{} proves itself by {}, not by keys", old.client_id, old.auth_method.as_str());
    }
    let client = Client { jwks, jwks_uri: asked.jwks_uri.clone(), ..old };
    super::check(&client, &opened.config)?;
    super::update(&mut tx, &client).await?;
    // A set that was fetched before may hold what the client has just withdrawn.
    if let Some(uri) = &client.jwks_uri {
        store::client_keys::forget(&mut tx, uri).await?;
    }
    tx.commit().await?;
    println!("changed the keys of {}", client.client_id);
    println!("Tokens it has go on; if a private key became known, end them: sofa client disable {}", client.client_id);
    if client.jwks.is_some() {
        println!("{REMINDER}");
    }
    Ok(())
}
