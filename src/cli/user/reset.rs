//! `sofa user reset`, `second-factor` and `identities`: what an operator does for a person who cannot get in.

use anyhow::{Result, bail};
use clap::Args;

use super::PasswordSource;
use crate::cli::database::Opened;
use crate::clock::{Clock, SystemClock};
use crate::secret::Secret;
use crate::store;
use crate::token::{one_time, password};

pub(super) const HELP: &str = "With --print-once a password is made and printed; otherwise it is asked for, or read as by \
  `sofa user passwd`. The person is signed out everywhere, and what apps were granted for them ends. A second factor stays: \
  `sofa user second-factor reset` takes it away.";

#[derive(Args)]
pub(in crate::cli) struct Reset {
    /// The person's name
    name: String,
    /// Make a password and print it, this once
    #[arg(long, conflicts_with = "password_file")]
    print_once: bool,
    #[command(flatten)]
    password: PasswordSource,
}

#[derive(clap::Subcommand)]
pub(in crate::cli) enum SecondFactor {
    /// Forget a person's device and recovery codes: who needs a second factor sets up another at the next sign-in
    Reset(super::Named),
}

#[derive(Args)]
pub(in crate::cli) struct Identities {
    /// The person's name
    name: String,
    /// Forget them: the person is signed out everywhere, and recognised anew or not at all
    #[arg(long)]
    unlink: bool,
}

pub(super) async fn reset(reset: Reset, opened: &Opened) -> Result<()> {
    let now = SystemClock.now();
    let given = match reset.print_once {
        true => Secret::new(one_time::temporary_password()),
        false => reset.password.read()?,
    };
    let mut tx = store::begin(&opened.pool).await?;
    let user = super::find(&mut tx, &reset.name).await?;
    let hash = match reset.print_once {
        true => password::hash(given.clone()).await?,
        false => super::hash_of(given.clone(), opened.config.accounts.shortest_password, &user).await?,
    };
    store::user::set_password(&mut tx, user.id, &hash, true, now).await?;
    store::user::end_everything(&mut tx, user.id, now).await?;
    super::audit(&mut tx, "user-reset", &user).await?;
    tx.commit().await?;
    println!("{} has to choose another password at the next sign-in", user.name);
    if reset.print_once {
        println!("password: {}", given.expose());
    }
    Ok(())
}

pub(super) async fn second_factor(asked: &SecondFactor, opened: &Opened) -> Result<()> {
    let SecondFactor::Reset(named) = asked;
    let mut tx = store::begin(&opened.pool).await?;
    let user = super::find(&mut tx, &named.name).await?;
    if !store::second_factor::delete(&mut tx, user.id).await? {
        bail!("{} has no second factor", user.name);
    }
    store::user::end_everything(&mut tx, user.id, SystemClock.now()).await?;
    super::audit(&mut tx, "second-factor-reset", &user).await?;
    tx.commit().await?;
    println!("{} has no second factor any more, and is signed out everywhere", user.name);
    Ok(())
}

pub(super) async fn identities(asked: &Identities, opened: &Opened) -> Result<()> {
    let mut tx = store::begin(&opened.pool).await?;
    let user = super::find(&mut tx, &asked.name).await?;
    let identities = store::upstream::of_user(tx.conn(), user.id).await?;
    for one in &identities {
        println!(
            "{}  {}  (as {}, since {}, last {})",
            one.issuer, one.subject, one.provider, one.first_seen, one.last_seen
        );
    }
    if identities.is_empty() {
        println!("no upstream provider knows {}", user.name);
    }
    if asked.unlink && !identities.is_empty() {
        store::upstream::unlink(&mut tx, user.id).await?;
        store::user::end_everything(&mut tx, user.id, SystemClock.now()).await?;
        super::audit(&mut tx, "user-unlink", &user).await?;
        tx.commit().await?;
        println!("forgotten");
    }
    Ok(())
}
