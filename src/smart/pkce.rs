//! Proof Key for Code Exchange (RFC 7636), S256 only: SMART App Launch 2.1.0 forbids `plain`.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::id::token_digest;
use crate::secret::same_bytes;

/// The one method served.
pub const METHOD: &str = "S256";

/// Whether `text` is a SHA-256 in base64url: 43 characters that decode to 32 bytes.
pub fn is_challenge(text: &str) -> bool {
    URL_SAFE_NO_PAD.decode(text).is_ok_and(|digest| digest.len() == 32)
}

/// Whether `verifier` has the form of RFC 7636 section 4.1 and is what `challenge` was made from.
pub fn verifies(verifier: &str, challenge: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (43..=128).contains(&verifier.len())
        && verifier.bytes().all(unreserved)
        && same_bytes(URL_SAFE_NO_PAD.encode(token_digest(verifier)).as_bytes(), challenge.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 7636 appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_example_of_the_rfc_verifies() {
        assert!(is_challenge(CHALLENGE) && verifies(VERIFIER, CHALLENGE));
    }

    #[test]
    fn a_verifier_of_128_characters_works() {
        let verifier = "~".repeat(128);
        assert!(verifies(&verifier, &URL_SAFE_NO_PAD.encode(token_digest(&verifier))));
    }

    #[test]
    fn nothing_else_verifies() {
        for bad in ["", "short", CHALLENGE, &VERIFIER[..42], &format!("{VERIFIER}="), &"a".repeat(129)] {
            assert!(!verifies(bad, CHALLENGE), "{bad}");
        }
        let too_long = "a".repeat(129);
        assert!(!verifies(&too_long, &URL_SAFE_NO_PAD.encode(token_digest(&too_long))));
    }

    #[test]
    fn a_challenge_is_43_base64url_characters() {
        for bad in
            ["", "abc", &CHALLENGE[..42], &format!("{CHALLENGE}A"), &format!("{}=", &CHALLENGE[..42]), &"+".repeat(43)]
        {
            assert!(!is_challenge(bad), "{bad}");
        }
    }
}
