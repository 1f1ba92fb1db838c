//! Passwords: argon2id, slow on purpose, so never on a thread that serves requests and never many at once.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::secret::Secret;

/// 19 MiB, two passes, one lane: the OWASP minimum, about 28 ms.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes computed at one time: 19 MiB and one core each.
const AT_ONCE: usize = 2;
/// How long a person waits for a turn.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Longer input is no password and only costs time.
const MAX_BYTES: usize = 1024;

/// A password could not be hashed: too long, or the machine has no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the password cannot be hashed: {0}")]
pub struct HashError(String);

/// Too many people are signing in at this moment.
#[derive(Debug, thiserror::Error)]
#[error("too many sign-ins at this moment")]
pub struct Busy;

/// Hashes a new password into PHC string form. Takes about 28 ms of the calling thread.
pub fn hash(password: &str) -> Result<String, HashError> {
    if password.len() > MAX_BYTES {
        return Err(HashError(format!("longer than {MAX_BYTES} bytes")));
    }
    let hash = argon2()?.hash_password(password.as_bytes());
    hash.map(|hash: PasswordHash| hash.to_string()).map_err(|error| HashError(error.to_string()))
}

fn argon2() -> Result<Argon2<'static>, HashError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| HashError(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// Checks passwords, a few at a time.
pub struct Checker {
    turns: Arc<Semaphore>,
    /// Checked in the place of an account that does not exist, so that both take as long.
    decoy: String,
}

impl Checker {
    /// A checker with all its turns free.
    pub fn new() -> Result<Self, HashError> {
        Ok(Self { turns: Arc::new(Semaphore::new(AT_ONCE)), decoy: hash("nobody's password")? })
    }

    /// Whether `password` is the one behind `password_hash`. Without a hash: `false`, after as long a time.
    pub async fn is_right(&self, password: Secret<String>, password_hash: Option<String>) -> Result<bool, Busy> {
        let turn = tokio::time::timeout(LONGEST_WAIT, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| Busy)?.map_err(|_| Busy)?;
        let exists = password_hash.is_some();
        let password_hash = password_hash.unwrap_or_else(|| self.decoy.clone());
        let check = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            matches(password.expose(), &password_hash)
        });
        Ok(check.await.map_err(|_| Busy)? && exists)
    }
}

fn matches(password: &str, password_hash: &str) -> bool {
    let (Ok(argon2), Ok(known)) = (argon2(), PasswordHash::new(password_hash)) else { return false };
    password.len() <= MAX_BYTES && argon2.verify_password(password.as_bytes(), &known).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_argon2id_salted_and_verifies_only_its_own_password() {
        let first = hash("correct horse").unwrap();
        assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{first}");
        assert_ne!(first, hash("correct horse").unwrap());
        assert!(matches("correct horse", &first));
        assert!(!matches("Correct horse", &first) && !matches("", &first) && !matches("correct horse", "not a hash"));
    }

    #[test]
    fn an_endless_password_is_refused() {
        assert!(hash(&"x".repeat(MAX_BYTES + 1)).is_err());
    }
}
