//! `sofa key`: the keys that sign tokens.

use std::sync::Arc;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::database;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::secret::Sealer;
use crate::token::key_set::KeySet;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Let the next key sign and publish a new next one. Tokens signed by the old key stay valid until they expire
    Rotate,
}

pub(super) async fn run(command: Command, config: Config) -> Result<()> {
    let opened = database::open(config).await?;
    let master_key = opened.config.security.master_key.as_ref().context("security.master_key is not set")?;
    let master_key = STANDARD.decode(master_key.expose()).context("security.master_key is not base64")?;
    let sealer = Sealer::new(&master_key).context("security.master_key must be 32 bytes in base64")?;
    let issuer = opened.config.server.public_url.clone();
    let keys = KeySet::open(opened.pool.clone(), Arc::new(sealer), Arc::new(SystemClock), issuer).await?;
    match command {
        Command::Rotate => {
            keys.rotate().await?;
            println!("the signing key was rotated; running servers notice within minutes");
        }
    }
    Ok(())
}
