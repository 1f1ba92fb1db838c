//! `sofa client set` and `sofa client remove-redirect`.

use anyhow::{Result, bail};
use clap::Args;

use super::add::ConsentName;
use crate::cli::database::Opened;
use crate::clock::{Clock, SystemClock};
use crate::smart::registration::origins_of;
use crate::store;

#[derive(Args)]
pub(in crate::cli) struct Set {
    /// The client's id
    id: String,
    /// What people see on the login page
    #[arg(long)]
    name: Option<String>,
    /// The widest scope it may be granted. Where it is less than before, all that was granted to it ends
    #[arg(long)]
    scope: Option<String>,
    /// Add an address where authorizations may be sent; may be given several times
    #[arg(long = "redirect-uri", value_name = "URI")]
    redirect_uris: Vec<String>,
    /// Add a web origin whose pages may call the server; may be given several times
    #[arg(long = "origin", value_name = "ORIGIN")]
    origins: Vec<String>,
    /// These launch URLs instead of those before; "" for none
    #[arg(long = "launch-url", value_name = "URL")]
    launch_urls: Option<Vec<String>>,
    /// These origins that may show this server's pages in a frame instead of those before; "" for none
    #[arg(long = "frame-ancestor", value_name = "ORIGIN")]
    frame_ancestors: Option<Vec<String>>,
    /// These addresses for after signing out instead of those before; "" for none
    #[arg(long = "post-logout-redirect-uri", value_name = "URI")]
    post_logout_redirect_uris: Option<Vec<String>>,
    /// Where it wants to be told that its user signed out; "" for nowhere
    #[arg(long, value_name = "URL")]
    backchannel_logout_uri: Option<String>,
    /// Whether it may ask /introspect about tokens of others, as itself or with a token
    #[arg(long, value_name = "BOOL")]
    may_introspect: Option<bool>,
    /// For an app: whether people are asked what it may do for them
    #[arg(long, value_enum)]
    consent: Option<ConsentName>,
}

#[derive(Args)]
pub(in crate::cli) struct RemoveRedirect {
    /// The client's id
    id: String,
    /// The redirect URI, exactly as it was registered
    uri: String,
}

/// The last value given counts as the whole list; an empty one for no list at all.
fn replace(list: &mut Vec<String>, given: Option<Vec<String>>) {
    if let Some(given) = given {
        *list = given.into_iter().filter(|item| !item.is_empty()).collect();
    }
}

fn add(list: &mut Vec<String>, given: Vec<String>) {
    for item in given {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}

pub(super) async fn set(set: Set, opened: &Opened) -> Result<()> {
    let mut tx = store::begin(&opened.pool).await?;
    let old = super::find_ours(&mut tx, &set.id).await?;
    let mut client = old.clone();
    client.name = set.name.unwrap_or(client.name);
    client.scope = set.scope.unwrap_or(client.scope);
    add(&mut client.origins, origins_of(&set.redirect_uris));
    add(&mut client.origins, set.origins);
    add(&mut client.redirect_uris, set.redirect_uris);
    replace(&mut client.launch_urls, set.launch_urls);
    replace(&mut client.frame_ancestors, set.frame_ancestors);
    replace(&mut client.post_logout_redirect_uris, set.post_logout_redirect_uris);
    if let Some(uri) = set.backchannel_logout_uri {
        client.backchannel_logout_uri = Some(uri).filter(|uri| !uri.is_empty());
    }
    client.may_introspect = set.may_introspect.unwrap_or(client.may_introspect);
    client.consent = set.consent.map_or(client.consent, Into::into);
    if client == old {
        bail!("nothing to change: `sofa client set --help` shows what can be");
    }
    super::check(&client, &opened.config)?;
    super::update(&mut tx, &client).await?;
    let ended = store::client::end_wider(&mut tx, &old, &client, SystemClock.now()).await?;
    tx.commit().await?;
    println!("changed {}", client.client_id);
    if ended > 0 {
        println!("{ended} grants with the wider scope have ended");
    }
    Ok(())
}

pub(super) async fn remove_redirect(asked: &RemoveRedirect, opened: &Opened) -> Result<()> {
    let mut tx = store::begin(&opened.pool).await?;
    let mut client = super::find_ours(&mut tx, &asked.id).await?;
    let before = client.redirect_uris.len();
    client.redirect_uris.retain(|uri| *uri != asked.uri);
    if client.redirect_uris.len() == before {
        bail!("{} has no redirect URI {}", asked.id, asked.uri);
    }
    // Its origin goes with it, unless another address is there too.
    let kept = origins_of(&client.redirect_uris);
    let gone = origins_of(std::slice::from_ref(&asked.uri));
    client.origins.retain(|origin| !gone.contains(origin) || kept.contains(origin));
    super::check(&client, &opened.config)?;
    super::update(&mut tx, &client).await?;
    tx.commit().await?;
    println!("changed {}", client.client_id);
    Ok(())
}
