//! `sofa key`: the keys that sign tokens.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use time::format_description::well_known::Rfc3339;

use super::database;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::secret::Sealer;
use crate::store;
use crate::token::key_set::KeySet;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// List the keys that are published
    List,
    /// Let the next keys sign and publish new next ones. Tokens signed by the old ones stay valid until they expire
    Rotate,
    /// Withdraw a key that got into wrong hands: nothing it signed is believed any more, within a minute everywhere
    Retire {
        /// Its id, as `sofa key list` shows it
        kid: String,
    },
}

pub(super) async fn run(command: Command, config: Config) -> Result<()> {
    let opened = database::open(config).await?;
    let master_key = opened.config.security.master_key.as_ref().context("security.master_key is not set")?;
    let master_key = STANDARD.decode(master_key.expose()).context("security.master_key is not base64")?;
    let sealer = Sealer::new(&master_key).context("security.master_key must be 32 bytes in base64")?;
    let issuer = opened.config.server.public_url.clone();
    let keys = KeySet::open(opened.pool.clone(), Arc::new(sealer), Arc::new(SystemClock), issuer).await?;
    let keys = keys.with_access_tokens(opened.config.oauth.access_token_algorithm).await?;
    match command {
        Command::List => {
            let now = SystemClock.now();
            for key in store::key::list(&mut *opened.pool.acquire().await?, now).await? {
                let (since, told) = match (key.published_until, key.active_since) {
                    (Some(until), _) => ("until", until),
                    (None, Some(since)) => ("signs since", since),
                    (None, None) => ("made", key.created_at),
                };
                println!(
                    "{}  {}  {:7}  {since} {}",
                    key.kid,
                    key.algorithm,
                    key.state.as_str(),
                    told.format(&Rfc3339)?
                );
            }
        }
        Command::Rotate => {
            keys.rotate().await?;
            println!("the signing keys were rotated; running servers notice within a minute");
        }
        Command::Retire { kid } => {
            ensure!(keys.withdraw(&kid).await?, "there is no key {kid}: see `sofa key list`");
            println!("the key was withdrawn; running servers notice within a minute, and its tokens end");
        }
    }
    Ok(())
}
