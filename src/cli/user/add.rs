//! `sofa user add`.

use anyhow::{Result, bail};
use clap::Args;

use super::PasswordSource;
use crate::cli::database::Opened;
use crate::clock::{Clock, SystemClock};
use crate::smart::launch::is_person;
use crate::store;
use crate::store::user::User;

pub(super) const HELP: &str = "Example:\n  \
  sofa user add julie.jones --tenant 1 --display-name \"Dr Julie Jones\" --fhir-user Practitioner/jones \\\n      \
  --identifier \"https://example.org/licence|12345\" --password-file jones.txt";

#[derive(Args)]
pub(in crate::cli) struct Add {
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
    #[command(flatten)]
    organisation: Organisation,
    #[command(flatten)]
    password: PasswordSource,
}

/// One of the two has to be said: a person of no organisation in particular gets along with all of them.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct Organisation {
    /// The person's organisation: the number of its point-of-care system
    #[arg(long)]
    tenant: Option<i64>,
    /// The person works for every organisation
    #[arg(long)]
    any_organisation: bool,
}

impl Organisation {
    /// Its number, as stored.
    fn number(&self) -> Result<i64> {
        match self.tenant {
            Some(tenant) => tenant_number(tenant),
            None => Ok(0),
        }
    }
}

/// The number of one organisation.
pub(super) fn tenant_number(tenant: i64) -> Result<i64> {
    if tenant < 1 {
        bail!("--tenant: a number above 0; a person who works for every organisation: --any-organisation");
    }
    Ok(tenant)
}

impl Add {
    pub(super) async fn user(self, shortest: usize) -> Result<User> {
        let tenant = self.organisation.number()?;
        let fhir_user = self.fhir_user.map(person).transpose()?;
        let usual = User::new(login_name(self.name)?, "");
        let mut user = User {
            display_name: self.display_name.unwrap_or(usual.display_name),
            tenant,
            fhir_user,
            identifiers: self.identifiers,
            ..usual
        };
        user.password_hash = Some(super::hash_of(self.password.read()?, shortest, &user).await?);
        Ok(user)
    }
}

/// What a person can type to sign in.
pub(super) fn login_name(name: String) -> Result<String> {
    if name.trim() != name || name.is_empty() || name.chars().any(char::is_control) {
        bail!("a name is not empty and has no blanks at its ends");
    }
    Ok(name)
}

/// A reference that `fhirUser` may hold.
pub(super) fn person(reference: String) -> Result<String> {
    if !is_person(&reference) {
        bail!("--fhir-user: Practitioner/…, PractitionerRole/…, Patient/…, RelatedPerson/… or Person/…");
    }
    Ok(reference)
}

pub(super) fn identifier(text: &str) -> Result<(String, String), String> {
    match text.split_once('|') {
        Some((system, value)) if !value.is_empty() => Ok((system.to_owned(), value.to_owned())),
        _ => Err("write SYSTEM|VALUE".to_owned()),
    }
}

pub(super) async fn insert(opened: &Opened, user: &User) -> Result<()> {
    let now = SystemClock.now();
    let mut tx = store::begin(&opened.pool).await?;
    match store::user::insert(&mut tx, user, now).await {
        Err(error) if error.is_duplicate() => bail!("there is a user {} already", user.name),
        done => done?,
    }
    super::audit(&mut tx, "user-add", user).await?;
    tx.commit().await?;
    println!("added {}", user.name);
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
    fn identifiers_have_two_parts() {
        assert_eq!(identifier("https://x|1|2"), Ok(("https://x".to_owned(), "1|2".to_owned())));
        assert!(identifier("12345").is_err() && identifier("https://x|").is_err());
    }
}
