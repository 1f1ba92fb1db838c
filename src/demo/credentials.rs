//! The demonstration's secrets: made once per data folder, kept there, so that a restart changes none of them.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::keys::ClientKey;
use crate::id;

/// Everything secret about the demonstration's clients and users.
#[derive(Serialize, Deserialize)]
pub struct Credentials {
    /// The PoC's key, ES384.
    pub poc: ClientKey,
    /// The service's key, ES384.
    pub service: ClientKey,
    /// The key of the app of kind `es384`.
    pub app_es384: ClientKey,
    /// The key of the app of kind `rs384`.
    pub app_rs384: ClientKey,
    /// The secret of the app of kind `basic`.
    pub app_secret: String,
    /// What the PoC's receiver demands in `Authorization`.
    pub receiver_secret: String,
    /// The password of every demonstration user.
    pub password: String,
}

impl Credentials {
    /// Reads them from `path`, or makes them and writes them there, readable by their owner only.
    pub fn load_or_make(path: &Path) -> Result<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text)
                .with_context(|| format!("{} cannot be read; --fresh makes a new one", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let made = Self::make()?;
                write_private(path, &serde_json::to_string_pretty(&made)?)?;
                Ok(made)
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    fn make() -> Result<Self> {
        Ok(Self {
            poc: ClientKey::es384()?,
            service: ClientKey::es384()?,
            app_es384: ClientKey::es384()?,
            app_rs384: ClientKey::rs384()?,
            app_secret: id::random_token(),
            receiver_secret: id::random_token(),
            password: password(),
        })
    }
}

/// Twelve letters and digits (71 random bits): it must be typed by a person.
fn password() -> String {
    let mut letters = String::new();
    while letters.len() < 12 {
        letters.extend(id::random_token().chars().filter(char::is_ascii_alphanumeric));
    }
    letters.truncate(12);
    letters
}

/// Writes a file that only its owner can read; whole or not at all.
pub fn write_private(path: &Path, text: &str) -> Result<()> {
    let unwritable = || format!("cannot write {}", path.display());
    let new = path.with_extension("new");
    let mut file = std::fs::File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .with_context(unwritable)?;
    file.write_all(text.as_bytes()).with_context(unwritable)?;
    std::fs::rename(&new, path).with_context(unwritable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_keeps_every_secret_and_only_the_owner_reads_them() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials.json");
        let first = serde_json::to_string(&Credentials::load_or_make(&path).unwrap()).unwrap();
        let second = serde_json::to_string(&Credentials::load_or_make(&path).unwrap()).unwrap();
        assert_eq!(first, second);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
