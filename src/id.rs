//! Identifiers and random tokens.

use aws_lc_rs::{digest, rand};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

/// 256 random bits, base64url: launch ids, codes, refresh tokens, session cookies, client secrets.
pub fn random_token() -> String {
    let mut bytes = [0_u8; 32];
    fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// SHA-256 of a token: what is stored in its place. A random 256-bit token needs no slow hash.
pub fn token_digest(token: &str) -> Vec<u8> {
    digest(token.as_bytes())
}

/// SHA-256.
pub fn digest(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

/// A fresh, time-ordered UUID for rows and server-assigned resource ids (it fits FHIR's `id`: 36 of 64 characters).
pub fn new_uuid() -> Uuid {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may draw one")]
    Uuid::now_v7()
}

/// Fills `bytes` from the operating system's cryptographic source.
///
/// # Panics
/// Never in practice: the source fails only where the operating system has none, and then no secret may be made.
pub fn fill(bytes: &mut [u8]) {
    #[expect(clippy::expect_used, reason = "without randomness nothing may go on")]
    rand::fill(bytes).expect("the operating system's random source");
}
