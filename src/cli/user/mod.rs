//! `sofa user`: the people who can sign in. A password is never an argument: arguments show in the list of processes.

mod add;
mod edit;
mod reset;

use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::database::{self, Opened};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::secret::Secret;
use crate::store::audit::Entry;
use crate::store::user::User;
use crate::store::{self, Tx};
use crate::token::password;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Add a person. The password is asked for, or read from standard input or a file
    #[command(after_help = add::HELP)]
    Add(add::Add),
    /// List everybody
    List(List),
    /// Change what is known of a person
    #[command(after_help = edit::HELP)]
    Set(edit::Set),
    /// Change a password. The person is signed out everywhere, and what apps were granted for them ends
    Passwd(Passwd),
    /// Set a temporary password: the person has to choose another one at the next sign-in
    #[command(after_help = reset::HELP)]
    Reset(reset::Reset),
    /// The second factor of a person
    #[command(subcommand)]
    SecondFactor(reset::SecondFactor),
    /// Whom upstream providers know a person as
    Identities(reset::Identities),
    /// Disable a person: signed out everywhere at once, and what apps were granted for them ends for good
    Disable(Named),
    /// Enable a disabled person. What ended stays ended
    Enable(Named),
    /// Remove a person's account, with all that was granted for them. The audit trail keeps its id
    Delete(Named),
}

#[derive(Args)]
pub(super) struct Named {
    /// The person's name
    name: String,
}

#[derive(Args)]
pub(super) struct List {
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct Passwd {
    /// The person's name
    name: String,
    #[command(flatten)]
    password: PasswordSource,
}

#[derive(Args)]
struct PasswordSource {
    /// Read the password from the first line of this file (`-`: standard input) instead of asking
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

pub(super) async fn run(command: Command, config: Config) -> Result<()> {
    match command {
        Command::Add(add) => {
            let user = add.user(config.accounts.shortest_password).await?;
            add::insert(&database::open(config).await?, &user).await
        }
        Command::List(list) => print_all(&database::open(config).await?, list.json).await,
        Command::Set(set) => edit::set(set, &database::open(config).await?).await,
        Command::Passwd(passwd) => {
            let given = passwd.password.read()?;
            change_password(&database::open(config).await?, &passwd.name, given).await
        }
        Command::Reset(reset) => reset::reset(reset, &database::open(config).await?).await,
        Command::SecondFactor(asked) => reset::second_factor(&asked, &database::open(config).await?).await,
        Command::Identities(asked) => reset::identities(&asked, &database::open(config).await?).await,
        Command::Disable(named) => edit::disable(&named.name, &database::open(config).await?).await,
        Command::Enable(named) => edit::enable(&named.name, &database::open(config).await?).await,
        Command::Delete(named) => edit::delete(&named.name, &database::open(config).await?).await,
    }
}

/// The account of that name.
async fn find(tx: &mut Tx, name: &str) -> Result<User> {
    store::user::find_by_name(tx.conn(), name).await?.with_context(|| format!("there is no user {name}"))
}

impl PasswordSource {
    /// From the file, from standard input when it is not a terminal, else asked for twice without showing it.
    fn read(&self) -> Result<Secret<String>> {
        let stdin = std::io::stdin();
        let text = match self.password_file.as_deref() {
            Some(path) if path != Path::new("-") => {
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
            }
            None if stdin.is_terminal() => {
                let once = rpassword::prompt_password("Password: ")?;
                if once != rpassword::prompt_password("Once more: ")? {
                    bail!("the two differ");
                }
                once
            }
            _ => {
                let mut line = String::new();
                stdin.lock().read_line(&mut line)?;
                line
            }
        };
        Ok(Secret::new(text.lines().next().unwrap_or_default().to_owned()))
    }
}

/// Its hash, if it may be taken for this person.
async fn hash_of(given: Secret<String>, shortest: usize, user: &User) -> Result<String> {
    if let Err(weak) = password::check(&given, shortest, &user.about()) {
        bail!(
            "the password is not taken: {weak} (it needs at least {shortest} characters: accounts.shortest_password)"
        );
    }
    Ok(password::hash(given).await?)
}

async fn change_password(opened: &Opened, name: &str, given: Secret<String>) -> Result<()> {
    let now = SystemClock.now();
    let mut tx = store::begin(&opened.pool).await?;
    let user = find(&mut tx, name).await?;
    let hash = hash_of(given, opened.config.accounts.shortest_password, &user).await?;
    store::user::set_password(&mut tx, user.id, &hash, false, now).await?;
    store::user::end_everything(&mut tx, user.id, now).await?;
    audit(&mut tx, "user-passwd", &user).await?;
    tx.commit().await?;
    println!("changed the password of {}", user.name);
    Ok(())
}

async fn audit(tx: &mut Tx, action: &'static str, user: &User) -> Result<()> {
    let entry = Entry {
        action,
        outcome: "success",
        user_id: Some(user.id),
        tenant: user.tenant,
        detail: Some("command line"),
        ..Entry::default()
    };
    Ok(store::audit::append(tx.conn(), &entry, SystemClock.now()).await?)
}

async fn print_all(opened: &Opened, json: bool) -> Result<()> {
    let mut connection = opened.pool.acquire().await?;
    let users = store::user::list(&mut connection).await?;
    if json {
        let shown = users.iter().map(|user| {
            serde_json::json!({
                "id": user.id,
                "name": user.name,
                "display_name": user.display_name,
                "tenant": user.tenant,
                "fhir_user": user.fhir_user,
                "identifiers": user.identifiers.iter().map(|(s, v)| format!("{s}|{v}")).collect::<Vec<_>>(),
                "enabled": user.enabled,
                "source": user.source.as_str(),
                "has_password": user.password_hash.is_some(),
                "must_change": user.must_change,
                "second_factor": user.second_factor.as_str(),
            })
        });
        println!("{}", serde_json::to_string_pretty(&shown.collect::<Vec<_>>())?);
        return Ok(());
    }
    if users.is_empty() {
        println!("nobody yet: `sofa user add --help` shows how to add a person");
    }
    for user in &users {
        let state = if user.enabled { "" } else { "  DISABLED" };
        let fhir_user = user.fhir_user.as_deref().unwrap_or("-");
        println!("{:<24} {:<28} tenant {}  {fhir_user}{state}", user.name, user.display_name, user.tenant);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_file_gives_its_first_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "correct horse\nnot this\n").unwrap();
        let source = PasswordSource { password_file: Some(file.path().to_owned()) };
        assert_eq!(source.read().unwrap().expose(), "correct horse");
    }
}
