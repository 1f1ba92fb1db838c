//! One-time passwords by time (RFC 6238), as the usual apps make them: SHA-1, six digits, a new one each 30 seconds; one
//! step before and after the present one is good too, for clocks that differ.

use totp_rs::{Builder, Totp};

use crate::id::fill;
use crate::secret::Secret;

/// What RFC 4226 section 4 recommends.
const SECRET_BYTES: usize = 20;
/// How many recovery codes a person gets.
pub const RECOVERY_CODES: usize = 10;
/// Without letters and digits that look alike.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// The secret that a person's device and this server share.
pub struct OneTime(Totp);

/// A secret that no device can have.
#[derive(Debug, thiserror::Error)]
#[error("a secret for one-time passwords cannot be used")]
pub struct Unusable;

impl OneTime {
    /// A new random secret.
    pub fn new_secret() -> Secret<Vec<u8>> {
        let mut bytes = vec![0; SECRET_BYTES];
        fill(&mut bytes);
        Secret::new(bytes)
    }

    /// `issuer` and `account` are what the device shows.
    pub fn new(secret: &Secret<Vec<u8>>, issuer: &str, account: &str) -> Result<Self, Unusable> {
        // Of the address form, a colon would end the name.
        let plain = |text: &str| text.replace(':', " ");
        let builder = Builder::new().with_secret(secret.expose().clone()).with_account_name(plain(account));
        builder.with_issuer(Some(plain(issuer))).build().map(Self).map_err(|_| Unusable)
    }

    /// The time step of a password, if it is one for `now` (seconds since 1970). Whether it was used before is the caller's to
    /// ask.
    pub fn check(&self, password: &str, now: i64) -> Option<i64> {
        let digits: String = password.chars().filter(|letter| !letter.is_whitespace()).collect();
        if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let step = self.0.check(&digits, u64::try_from(now).ok()?)?;
        i64::try_from(step).ok()
    }

    /// What a device reads from a picture (`otpauth://`).
    pub fn url(&self) -> Result<String, Unusable> {
        self.0.to_url().map_err(|_| Unusable)
    }

    /// What a person types into a device, in groups of four.
    pub fn typed(&self) -> String {
        let text = self.0.secret().to_base32();
        let groups: Vec<_> = text.as_bytes().chunks(4).map(String::from_utf8_lossy).collect();
        groups.join(" ")
    }
}

/// New recovery codes: 75 random bits each.
pub fn recovery_codes() -> Vec<String> {
    (0..RECOVERY_CODES).map(|_| random_word(15, 5)).collect()
}

/// A password for one sign-in, after which another must be chosen: 100 random bits.
pub fn temporary_password() -> String {
    random_word(20, 5)
}

/// A recovery code as it is digested, however it was typed.
pub fn normal_code(typed: &str) -> String {
    typed.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).take(64).collect()
}

fn random_word(letters: usize, group: usize) -> String {
    let mut bytes = vec![0; letters];
    fill(&mut bytes);
    let letters: Vec<u8> = bytes.iter().map(|byte| ALPHABET[usize::from(byte % 32)]).collect();
    let groups: Vec<_> = letters.chunks(group).map(String::from_utf8_lossy).collect();
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238 appendix B: the last six of its eight digits.
    #[test]
    fn the_passwords_are_those_of_the_standard() {
        let secret = Secret::new(b"12345678901234567890".to_vec());
        let one_time = OneTime::new(&secret, "sofa", "julie").unwrap();
        for (time, password) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
        ] {
            assert_eq!(one_time.check(password, time), Some(time / 30), "{time}");
            assert_eq!(one_time.check(password, time + 30), Some(time / 30), "{time}: a step late");
            assert_eq!(one_time.check(password, time - 30), Some(time / 30), "{time}: a step early");
            assert_eq!(one_time.check(password, time + 90), None, "{time}");
            assert_eq!(one_time.check(password, time - 90), None, "{time}");
        }
        assert_eq!(one_time.check(" 287 082 ", 59), Some(1));
        for bad in ["", "28708", "2870822", "28708x", "２８７０８２", "-87082"] {
            assert_eq!(one_time.check(bad, 59), None, "{bad}");
        }
    }

    #[test]
    fn a_device_is_told_all_it_needs() {
        let secret = Secret::new(b"12345678901234567890".to_vec());
        let one_time = OneTime::new(&secret, "sofa:8080", "up:julie").unwrap();
        let url = one_time.url().unwrap();
        assert!(url.starts_with("otpauth://totp/") && url.contains("secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"), "{url}");
        assert_eq!(one_time.typed(), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
    }

    #[test]
    fn codes_are_many_different_and_forgiving_to_type() {
        let codes = recovery_codes();
        assert_eq!(codes.len(), RECOVERY_CODES);
        assert!(codes.iter().all(|code| code.len() == 17 && codes.iter().filter(|other| *other == code).count() == 1));
        assert_eq!(normal_code(" ABCde-fghij klmno "), "abcdefghijklmno");
        assert_ne!(temporary_password(), temporary_password());
        assert_eq!(OneTime::new_secret().expose().len(), SECRET_BYTES);
    }
}
