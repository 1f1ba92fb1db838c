//! `sofa user`: the people who can sign in. A password is never an argument: arguments show in the list of processes.

use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::database::{self, Opened};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::secret::Secret;
use crate::store;
use crate::store::audit::Entry;
use crate::store::user::User;
use crate::token::password;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Add a person. The password is asked for, or read from standard input or a file
    #[command(after_help = ADD_HELP)]
    Add(Add),
    /// List everybody
    List(List),
    /// Change a password. The person is signed out everywhere, and what apps were granted for them ends
    Passwd(Passwd),
}

const ADD_HELP: &str = "Example:\n  \
  sofa user add julie.jones --display-name \"Dr Julie Jones\" --fhir-user Practitioner/jones \\\n      \
  --identifier \"https://example.org/licence|12345\" --password-file jones.txt";

#[derive(Args)]
pub(super) struct Add {
    /// What the person types to sign in
    name: String,
    /// What is shown to people; the name if not given
    #[arg(long)]
    display_name: Option<String>,
    /// The person as a FHIR resource of the server, e.g. Practitioner/123
    #[arg(long, value_name = "TYPE/ID")]
    fhir_user: Option<String>,
    /// A licence number or the like, by which a launch that names a Practitioner recognises the person; may be repeated
    #[arg(long = "identifier", value_name = "SYSTEM|VALUE", value_parser = identifier)]
    identifiers: Vec<(String, String)>,
    /// The person's organisation: the number of its point-of-care system; 0 for any
    #[arg(long, default_value_t = 0)]
    tenant: i64,
    #[command(flatten)]
    password: PasswordSource,
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
            let user = add.user().await?;
            insert(&database::open(config).await?, &user).await
        }
        Command::List(list) => print_all(&database::open(config).await?, list.json).await,
        Command::Passwd(passwd) => {
            let hash = password::hash(passwd.password.read()?).await?;
            change_password(&database::open(config).await?, &passwd.name, &hash).await
        }
    }
}

impl Add {
    async fn user(self) -> Result<User> {
        if self.name.trim() != self.name || self.name.is_empty() {
            bail!("a name is not empty and has no blanks at its ends");
        }
        if self.tenant < 0 {
            bail!("--tenant: 0 or a number above it");
        }
        if self.fhir_user.as_deref().is_some_and(|reference| !is_person(reference)) {
            bail!("--fhir-user: Practitioner/…, PractitionerRole/…, Patient/…, RelatedPerson/… or Person/…");
        }
        let usual = User::new(self.name, password::hash(self.password.read()?).await?);
        Ok(User {
            display_name: self.display_name.unwrap_or(usual.display_name),
            tenant: self.tenant,
            fhir_user: self.fhir_user,
            identifiers: self.identifiers,
            ..usual
        })
    }
}

/// SMART 2.1.0, "Scopes for requesting identity data": the types `fhirUser` may name.
fn is_person(reference: &str) -> bool {
    let Some((kind, id)) = reference.split_once('/') else { return false };
    let shaped =
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    matches!(kind, "Practitioner" | "PractitionerRole" | "Patient" | "RelatedPerson" | "Person") && shaped
}

fn identifier(text: &str) -> Result<(String, String), String> {
    match text.split_once('|') {
        Some((system, value)) if !value.is_empty() => Ok((system.to_owned(), value.to_owned())),
        _ => Err("write SYSTEM|VALUE".to_owned()),
    }
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

async fn insert(opened: &Opened, user: &User) -> Result<()> {
    let now = SystemClock.now();
    let mut tx = store::begin(&opened.pool).await?;
    match store::user::insert(&mut tx, user, now).await {
        Err(error) if error.is_duplicate() => bail!("there is a user {} already", user.name),
        done => done?,
    }
    audit(&mut tx, "user-add", user).await?;
    tx.commit().await?;
    println!("added {}", user.name);
    Ok(())
}

async fn change_password(opened: &Opened, name: &str, hash: &str) -> Result<()> {
    let now = SystemClock.now();
    let mut tx = store::begin(&opened.pool).await?;
    let user = store::user::find_by_name(tx.conn(), name).await?.with_context(|| format!("there is no user {name}"))?;
    store::user::set_password(&mut tx, user.id, hash, now).await?;
    store::login::end_sessions_of(&mut tx, user.id).await?;
    store::grant::revoke_by_user(&mut tx, user.id, now).await?;
    audit(&mut tx, "user-passwd", &user).await?;
    tx.commit().await?;
    println!("changed the password of {}", user.name);
    Ok(())
}

async fn audit(tx: &mut store::Tx, action: &'static str, user: &User) -> Result<()> {
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
    fn a_fhir_user_is_a_person() {
        assert!(is_person("Practitioner/a-1.b"));
        for reference in ["Practitioner", "Practitioner/", "Device/1", "Practitioner/a b", "https://x/Practitioner/1"] {
            assert!(!is_person(reference), "{reference}");
        }
    }

    #[test]
    fn a_password_file_gives_its_first_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "correct horse\nnot this\n").unwrap();
        let source = PasswordSource { password_file: Some(file.path().to_owned()) };
        assert_eq!(source.read().unwrap().expose(), "correct horse");
    }

    #[test]
    fn identifiers_have_two_parts() {
        assert_eq!(identifier("https://x|1|2"), Ok(("https://x".to_owned(), "1|2".to_owned())));
        assert!(identifier("12345").is_err() && identifier("https://x|").is_err());
    }
}
