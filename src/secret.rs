//! Values that must not be shown, and their encryption at rest.

use aws_lc_rs::{
    aead::{AES_256_GCM, AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hmac,
};
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

/// Encrypts under the deployment's master key: what is stored (private keys, Subscription headers) with AES-256-GCM, and
/// what travels in links with AES-256-GCM-SIV under a key derived from it.
///
/// Links are sealed by the million, so they have a key of their own, and a cipher that forgives a nonce used twice: what
/// is at rest stays safe whatever is done with them.
pub struct Sealer {
    at_rest: RandomizedNonceKey,
    in_links: RandomizedNonceKey,
}

/// A sealed value could not be opened: another master key, another purpose, or a changed byte.
#[derive(Debug, thiserror::Error)]
#[error("a sealed value cannot be opened with this master key for this purpose")]
pub struct NotOpened;

impl Sealer {
    /// A sealer for a key of 32 bytes; `None` for any other length.
    pub fn new(master_key: &[u8]) -> Option<Self> {
        let at_rest = RandomizedNonceKey::new(&AES_256_GCM, master_key).ok()?;
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, master_key), b"sofa: what travels in links");
        let in_links = RandomizedNonceKey::new(&AES_256_GCM_SIV, derived.as_ref()).ok()?;
        Some(Self { at_rest, in_links })
    }

    /// Encrypts `plain`. `purpose` (table, column and row) is bound to the result, so that a sealed value cannot be moved.
    ///
    /// # Panics
    /// Only if the random source fails.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Vec<u8> {
        seal(&self.at_rest, purpose, plain)
    }

    /// Decrypts what [`Sealer::seal`] gave for the same `purpose`.
    pub fn open(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, NotOpened> {
        open(&self.at_rest, purpose, sealed)
    }

    /// Encrypts what a client carries back. `purpose` (what for, and for whom) is bound to the result.
    ///
    /// # Panics
    /// Only if the random source fails.
    pub fn seal_link(&self, purpose: &str, plain: &[u8]) -> Vec<u8> {
        seal(&self.in_links, purpose, plain)
    }

    /// Decrypts what [`Sealer::seal_link`] gave for the same `purpose`.
    pub fn open_link(&self, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, NotOpened> {
        open(&self.in_links, purpose, sealed)
    }
}

fn seal(key: &RandomizedNonceKey, purpose: &str, plain: &[u8]) -> Vec<u8> {
    let mut body = plain.to_vec();
    #[expect(clippy::expect_used, reason = "fails only without randomness")]
    let nonce = key.seal_in_place_append_tag(Aad::from(purpose), &mut body).expect("a random nonce");
    let mut sealed = nonce.as_ref().to_vec();
    sealed.append(&mut body);
    sealed
}

fn open(key: &RandomizedNonceKey, purpose: &str, sealed: &[u8]) -> Result<Vec<u8>, NotOpened> {
    let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(NotOpened)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| NotOpened)?;
    let mut body = body.to_vec();
    let plain = key.open_in_place(nonce, Aad::from(purpose), &mut body).map_err(|_| NotOpened)?.len();
    body.truncate(plain);
    Ok(body)
}
