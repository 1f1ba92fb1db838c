//! `sofa client list` and `sofa client show`.

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cli::database::Opened;
use crate::store;
use crate::store::client::Client;
use crate::store::client_keys::Kept;

#[derive(Args)]
pub(in crate::cli) struct List {
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(in crate::cli) struct Show {
    /// The client's id
    id: String,
}

pub(super) async fn list(list: &List, opened: &Opened) -> Result<()> {
    let mut connection = opened.pool.acquire().await?;
    let clients = store::client::list(&mut connection).await?;
    if list.json {
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
        let source = client.source.as_str();
        println!(
            "{:<24} {role:<8} {auth:<20} {source:<8} tenant {}  {}{state}",
            client.client_id, client.tenant, client.name
        );
    }
    Ok(())
}

pub(super) async fn show(show: &Show, opened: &Opened) -> Result<()> {
    let mut connection = opened.pool.acquire().await?;
    let Some(client) = store::client::find(&mut connection, &show.id).await? else {
        bail!("there is no client {}", show.id);
    };
    let mut shown = shown(&client);
    if let Some(uri) = &client.jwks_uri {
        shown["fetched_keys"] = fetched(store::client_keys::find(&mut connection, uri).await?);
    }
    println!("{}", serde_json::to_string_pretty(&shown)?);
    Ok(())
}

/// A client without its secret's digest.
fn shown(client: &Client) -> Value {
    json!({
        "client_id": client.client_id,
        "name": client.name,
        "role": client.role.as_str(),
        "tenant": client.tenant,
        "token_endpoint_auth_method": client.auth_method.as_str(),
        "jwks": client.jwks,
        "jwks_uri": client.jwks_uri,
        "redirect_uris": client.redirect_uris,
        "launch_urls": client.launch_urls,
        "scope": client.scope,
        "origins": client.origins,
        "frame_ancestors": client.frame_ancestors,
        "post_logout_redirect_uris": client.post_logout_redirect_uris,
        "backchannel_logout_uri": client.backchannel_logout_uri,
        "may_introspect": client.may_introspect,
        "consent": client.consent.as_str(),
        "source": client.source.as_str(),
        "enabled": client.enabled,
    })
}

/// How the keys at a client's own address were fetched last.
fn fetched(kept: Option<Kept>) -> Value {
    let time = |at: Option<OffsetDateTime>| at.and_then(|at| at.format(&Rfc3339).ok());
    let Some(kept) = kept else { return Value::Null };
    json!({
        "jwks": kept.jwks,
        "fetched_at": time(kept.fetched_at),
        "fresh_until": time(kept.fresh_until),
        "failed_at": time(kept.failed_at),
        "failure": kept.failure,
    })
}
