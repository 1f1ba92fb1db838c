//! Values that must not be shown, and their encryption at rest.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use subtle::ConstantTimeEq;

/// A value without `Debug` output and without `Serialize`: it cannot reach a log or an answer by accident.
#[derive(Clone)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps `value`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Every call is a place to look at in a review.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> std::fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl<'de, T: serde::Deserialize<'de>> serde::Deserialize<'de> for Secret<T> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::deserialize(from).map(Self)
    }
}

/// Compares in time that depends on the lengths only.
pub fn same_bytes(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// Encrypts what is stored (private keys, Subscription headers) with AES-256-GCM under the deployment's master key.
pub struct Sealer(RandomizedNonceKey);

/// A sealed value could not be opened: another master key, another purpose, or a changed byte.
#[derive(Debug, thiserror::Error)]
#[error("a value encrypted at rest cannot be opened with this master key")]
pub struct NotOpened;

impl Sealer {
    /// A sealer for a key of 32 bytes; `None` for any other length.
    pub fn new(master_key: &[u8]) -> Option<Self> {
        RandomizedNonceKey::new(&AES_256_GCM, master_key).ok().map(Self)
    }

    /// Encrypts `plain`. `purpose` (table, column and row) is bound to the result, so that a sealed value cannot be moved.
    ///
    /// # Panics
    /// Only if the random source fails.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Vec<u8> {
        let mut body = plain.to_vec();
        #[expect(clippy::expect_used, reason = "fails only without randomness")]
        let nonce = self.0.seal_in_place_append_tag(Aad::from(purpose), &mut body).expect("a random nonce");
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut body);
        sealed
    }

    /// Decrypts what [`Sealer::seal`] gave for the same `purpose`.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, NotOpened> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(NotOpened)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| NotOpened)?;
        let mut body = body.to_vec();
        let plain = self.0.open_in_place(nonce, Aad::from(purpose), &mut body).map_err(|_| NotOpened)?.len();
        body.truncate(plain);
        Ok(body)
    }
}
