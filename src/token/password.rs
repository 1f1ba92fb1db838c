//! Passwords of local users: argon2id with the crate's defaults (19 MiB, 2 passes, 1 lane: what OWASP recommends).
//!
//! Both functions run on a thread for blocking work: one hash takes tens of milliseconds.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

use crate::secret::Secret;

/// A password of more bytes is refused: hashing takes longer with its length.
pub const LONGEST: usize = 1024;

/// Why a password was not hashed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Too long.
    #[error("a password has at most {LONGEST} bytes")]
    Length,
    /// The hash function failed.
    #[error("the password could not be hashed: {0}")]
    Hash(#[from] argon2::password_hash::Error),
    /// The runtime is ending.
    #[error("the password could not be hashed: {0}")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// Why a new password is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Weak {
    /// Fewer characters than demanded, or more bytes than [`LONGEST`].
    #[error("it is too short, or longer than {LONGEST} bytes")]
    Length,
    /// It holds the person's name.
    #[error("it is made of the person's name")]
    Name,
    /// Too few guesses lead to it (zxcvbn: fewer than 10^8).
    #[error("it is too easy to guess")]
    Guessable,
}

/// A name of fewer letters may be part of a password by chance.
const SHORTEST_NAME: usize = 4;
/// So many characters say how guessable it is; looking at more takes long.
const LOOKED_AT: usize = 100;

/// Whether a password may be taken: of `shortest` characters or more, not made of what is known `about` the person, and not
/// easily guessed. There are no rules of which kinds of characters there must be: they make passwords worse.
pub fn check(password: &Secret<String>, shortest: usize, about: &[&str]) -> Result<(), Weak> {
    let text = password.expose();
    if text.chars().count() < shortest || text.len() > LONGEST {
        return Err(Weak::Length);
    }
    let lower = text.to_lowercase();
    let is_part = |name: &&str| name.chars().count() >= SHORTEST_NAME && lower.contains(&name.to_lowercase());
    if about.iter().any(is_part) {
        return Err(Weak::Name);
    }
    let looked_at: String = text.chars().take(LOOKED_AT).collect();
    if zxcvbn::zxcvbn(&looked_at, about).score() < zxcvbn::Score::Three {
        return Err(Weak::Guessable);
    }
    Ok(())
}

/// The PHC string to store, with a fresh salt.
pub async fn hash(password: Secret<String>) -> Result<String, Error> {
    if password.expose().is_empty() || password.expose().len() > LONGEST {
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
    async fn a_hash_is_of_a_password_of_a_sensible_length() {
        assert!(matches!(hash(secret("")).await, Err(Error::Length)));
        assert!(matches!(hash(secret(&"x".repeat(1025))).await, Err(Error::Length)));
    }

    #[test]
    fn a_password_is_long_enough_not_the_name_and_not_easily_guessed() {
        let about = ["julie.jones", "Dr Julie Jones", "Jo"];
        for (password, told) in [
            ("seven green lamps dance", Ok(())),
            ("correct horse battery staple", Ok(())),
            ("Gr0ßmutter-läuft-früh", Ok(())),
            ("short one!1", Err(Weak::Length)),
            ("", Err(Weak::Length)),
            ("aaaaaaaaaaaaaaaaaaaa", Err(Weak::Guessable)),
            ("passwordpassword", Err(Weak::Guessable)),
            ("123456789012345", Err(Weak::Guessable)),
            ("qwertyuiopasdf", Err(Weak::Guessable)),
            ("Julie.Jones-2026-xq", Err(Weak::Name)),
            ("xq7 dr julie jones", Err(Weak::Name)),
        ] {
            assert_eq!(check(&secret(password), 12, &about), told, "{password}");
        }
        assert_eq!(check(&secret(&"x9$ ".repeat(257)), 12, &about), Err(Weak::Length));
        assert_eq!(check(&secret("short one!1xq"), 14, &about), Err(Weak::Length));
    }
}
