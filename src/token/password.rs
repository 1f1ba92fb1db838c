//! Passwords of local users: argon2id with the crate's defaults (19 MiB, 2 passes, 1 lane: what OWASP recommends).
//!
//! Both functions run on a thread for blocking work: one hash takes tens of milliseconds.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

use crate::secret::Secret;

/// A password of fewer characters is refused.
pub const SHORTEST: usize = 8;

/// A password of more bytes is refused: hashing takes longer with its length.
pub const LONGEST: usize = 1024;

/// Why a password was not hashed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Too short, or too long.
    #[error("a password has at least {SHORTEST} characters and at most {LONGEST} bytes")]
    Length,
    /// The hash function failed.
    #[error("the password could not be hashed: {0}")]
    Hash(#[from] argon2::password_hash::Error),
    /// The runtime is ending.
    #[error("the password could not be hashed: {0}")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// The PHC string to store, with a fresh salt.
pub async fn hash(password: Secret<String>) -> Result<String, Error> {
    if password.expose().chars().count() < SHORTEST || password.expose().len() > LONGEST {
        return Err(Error::Length);
    }
    let hashed = tokio::task::spawn_blocking(move || {
        Argon2::default().hash_password(password.expose().as_bytes()).map(|hash| hash.to_string())
    });
    Ok(hashed.await??)
}

/// Whether `password` is the one of `stored` (a PHC string). Without one (nobody has that name) the answer is false and takes
/// as long as for a wrong password, so that it does not tell which names exist.
pub async fn verify(password: Secret<String>, stored: Option<String>) -> bool {
    if password.expose().len() > LONGEST {
        return false;
    }
    let verified = tokio::task::spawn_blocking(move || {
        let argon2 = Argon2::default();
        let password = password.expose().as_bytes();
        match stored.as_deref().map(PasswordHash::new) {
            Some(Ok(stored)) => argon2.verify_password(password, &stored).is_ok(),
            Some(Err(error)) => {
                tracing::error!(%error, "a stored password hash cannot be read");
                false
            }
            None => {
                let _same_work = argon2.hash_password(password);
                false
            }
        }
    });
    verified.await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn only_the_password_itself_verifies() {
        let stored = hash(secret("correct horse")).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert_ne!(stored, hash(secret("correct horse")).await.unwrap());
        assert!(verify(secret("correct horse"), Some(stored.clone())).await);
        assert!(!verify(secret("correct horsf"), Some(stored)).await);
        assert!(!verify(secret("correct horse"), Some("no hash".to_owned())).await);
        assert!(!verify(secret("correct horse"), None).await);
    }

    #[tokio::test]
    async fn a_password_has_a_sensible_length() {
        assert!(matches!(hash(secret("seven77")).await, Err(Error::Length)));
        assert!(matches!(hash(secret(&"x".repeat(1025))).await, Err(Error::Length)));
    }
}
