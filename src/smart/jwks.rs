//! Key sets of clients (RFC 7517): which keys can prove a client by RS384 or ES384 (SMART App Launch 2.1.0, "Client
//! Authentication: Asymmetric"; RFC 7518).
//!
//! A set given at registration is refused for the first key that cannot. From a set fetched later the keys that cannot
//! are left out, so that one bad key of a client does not lock out the others.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

/// More keys than any client turns over at once.
const MOST_KEYS: usize = 100;
/// The longest `kid`.
const LONGEST_KID: usize = 255;
/// Members that hold what only the client may know: RSA's, EC's and symmetric keys' (RFC 7518 section 6).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
/// Bytes of a coordinate on P-384.
const P384_BYTES: usize = 48;
/// Bits of an RSA modulus that the signature check takes.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Why a key set is refused; the text is meant for the one who registers it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    #[error("not a JWK set: it has no array \"keys\"")]
    NotASet,
    #[error("it holds no key")]
    Empty,
    #[error("it holds more than {MOST_KEYS} keys")]
    TooMany,
    #[error("two keys have the kid {0:?}: an assertion could not say which of them signed it")]
    DoubledKid(String),
    #[error("key {0}: {1}")]
    Key(usize, KeyError),
}

/// Why a key cannot prove a client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("it has no kid (a text of 1 to {LONGEST_KID} printable characters)")]
    NoKid,
    #[error("it has the private member {0:?}: register the public key only, and replace this one: it is no secret now")]
    Private(&'static str),
    #[error("its kty is neither RSA nor EC")]
    Kty,
    #[error("an EC key needs \"crv\": \"P-384\", the curve of ES384")]
    Curve,
    #[error("an EC key on P-384 needs \"x\" and \"y\": 48 bytes each, in base64url without padding")]
    Point,
    #[error("an RSA key needs \"n\" and \"e\", in base64url without padding")]
    Rsa,
    #[error("an RSA key needs 2048 to 8192 bits; this one has {0}")]
    Size(usize),
    #[error("its RSA exponent is not an odd number from 3 to 2^32")]
    Exponent,
    #[error("its \"use\" is not \"sig\"")]
    Use,
    #[error("its \"key_ops\" do not hold \"verify\"")]
    KeyOps,
    #[error("its \"alg\" is not {0}, the only one such a key can be used with here")]
    Alg(&'static str),
}

/// Refuses a set that holds anything but distinct, usable public keys.
pub fn check(set: &Value) -> Result<(), JwksError> {
    let keys = keys_of(set)?;
    if keys.is_empty() {
        return Err(JwksError::Empty);
    }
    for (at, key) in keys.iter().enumerate() {
        check_key(key).map_err(|error| JwksError::Key(at + 1, error))?;
        let twin = keys[..at].iter().any(|earlier| earlier["kid"] == key["kid"]);
        if twin {
            return Err(JwksError::DoubledKid(key["kid"].as_str().unwrap_or_default().to_owned()));
        }
    }
    Ok(())
}

/// The usable keys of a set, each with its known public members only. Doubled `kid`s stay: which key is meant is for the
/// check of the assertion to refuse.
pub fn usable(set: &Value) -> Result<Value, JwksError> {
    let keys = keys_of(set)?.iter().filter(|key| check_key(key).is_ok());
    Ok(json!({ "keys": keys.map(public_part).collect::<Vec<_>>() }))
}

/// Whether a set holds a key of that `kid`.
pub fn has_kid(set: &Value, kid: &str) -> bool {
    keys_of(set).is_ok_and(|keys| keys.iter().any(|key| key["kid"] == kid))
}

fn keys_of(set: &Value) -> Result<&[Value], JwksError> {
    let keys = set.get("keys").and_then(Value::as_array).ok_or(JwksError::NotASet)?;
    if keys.len() > MOST_KEYS { Err(JwksError::TooMany) } else { Ok(keys) }
}

/// Whether this key can have signed an assertion, and if not why.
pub fn check_key(key: &Value) -> Result<(), KeyError> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let kid = text("kid").unwrap_or_default();
    if !(1..=LONGEST_KID).contains(&kid.chars().count()) || kid.chars().any(char::is_control) {
        return Err(KeyError::NoKid);
    }
    if let Some(member) = PRIVATE.into_iter().find(|member| key.get(member).is_some()) {
        return Err(KeyError::Private(member));
    }
    let algorithm = match text("kty") {
        Some("RSA") => check_rsa(text("n"), text("e")).map(|()| "RS384")?,
        Some("EC") if text("crv") != Some("P-384") => return Err(KeyError::Curve),
        Some("EC") => {
            let is_coordinate = |name| text(name).and_then(decode).is_some_and(|bytes| bytes.len() == P384_BYTES);
            if !is_coordinate("x") || !is_coordinate("y") {
                return Err(KeyError::Point);
            }
            "ES384"
        }
        _ => return Err(KeyError::Kty),
    };
    if key.get("use").is_some_and(|usage| usage != "sig") {
        return Err(KeyError::Use);
    }
    let verifies = |ops: &Value| ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify"));
    if key.get("key_ops").is_some_and(|ops| !verifies(ops)) {
        return Err(KeyError::KeyOps);
    }
    if key.get("alg").is_some_and(|named| named != algorithm) { Err(KeyError::Alg(algorithm)) } else { Ok(()) }
}

fn check_rsa(modulus: Option<&str>, exponent: Option<&str>) -> Result<(), KeyError> {
    let number = |text: Option<&str>| text.and_then(decode).map(without_leading_zeros).ok_or(KeyError::Rsa);
    let (modulus, exponent) = (number(modulus)?, number(exponent)?);
    let bits = modulus.first().map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err(KeyError::Size(bits));
    }
    match exponent.as_slice() {
        [] | [0..=2] => Err(KeyError::Exponent),
        [.., last] if last % 2 == 1 && exponent.len() <= 4 => Ok(()),
        _ => Err(KeyError::Exponent),
    }
}

fn without_leading_zeros(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().skip_while(|byte| *byte == 0).collect()
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// What is kept of a foreign document: nothing that was not looked at.
fn public_part(key: &Value) -> Value {
    let members = ["kty", "kid", "alg", "use", "crv", "x", "y", "n", "e"];
    let known = members.into_iter().filter_map(|name| Some((name.to_owned(), key.get(name)?.as_str()?.into())));
    Value::Object(known.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rsa(bits: usize) -> Value {
        json!({"kty": "RSA", "kid": "r", "n": URL_SAFE_NO_PAD.encode(vec![0xff; bits / 8]), "e": "AQAB"})
    }

    fn ec() -> Value {
        let coordinate = URL_SAFE_NO_PAD.encode([7; 48]);
        json!({"kty": "EC", "kid": "e", "crv": "P-384", "x": coordinate, "y": coordinate})
    }

    fn with(mut key: Value, name: &str, value: Value) -> Value {
        key[name] = value;
        key
    }

    #[test]
    fn keys_for_rs384_and_es384_are_accepted() {
        let padded = URL_SAFE_NO_PAD.encode([vec![0], vec![0xff; 256]].concat());
        for key in [
            rsa(2048),
            rsa(4096),
            rsa(8192),
            ec(),
            with(rsa(2048), "n", json!(padded)),
            with(rsa(2048), "e", json!("Aw")),
            with(rsa(2048), "alg", json!("RS384")),
            with(ec(), "alg", json!("ES384")),
            with(ec(), "use", json!("sig")),
            with(ec(), "key_ops", json!(["verify"])),
            with(ec(), "x5t", json!("whatever")),
        ] {
            assert_eq!(check_key(&key), Ok(()), "{key}");
        }
        assert_eq!(check(&json!({"keys": [rsa(2048), ec()]})), Ok(()));
    }

    #[test]
    fn each_key_that_can_prove_nothing_is_refused_for_its_own_reason() {
        let short = URL_SAFE_NO_PAD.encode([7; 32]);
        for (key, reason) in [
            (with(ec(), "kid", Value::Null), KeyError::NoKid),
            (with(ec(), "kid", json!("")), KeyError::NoKid),
            (with(ec(), "kid", json!(7)), KeyError::NoKid),
            (with(ec(), "kid", json!("a\0b")), KeyError::NoKid),
            (with(ec(), "kid", json!("x".repeat(256))), KeyError::NoKid),
            (with(ec(), "d", json!("x")), KeyError::Private("d")),
            (with(rsa(2048), "p", json!("x")), KeyError::Private("p")),
            (with(rsa(2048), "q", json!("x")), KeyError::Private("q")),
            (with(rsa(2048), "dp", json!("x")), KeyError::Private("dp")),
            (with(rsa(2048), "dq", json!("x")), KeyError::Private("dq")),
            (with(rsa(2048), "qi", json!("x")), KeyError::Private("qi")),
            (json!({"kty": "oct", "kid": "1", "k": "x"}), KeyError::Private("k")),
            (json!({"kty": "oct", "kid": "1"}), KeyError::Kty),
            (json!({"kid": "1"}), KeyError::Kty),
            (json!({"kid": "1", "kty": "OKP", "crv": "Ed25519", "x": "x"}), KeyError::Kty),
            (with(ec(), "crv", json!("P-256")), KeyError::Curve),
            (with(ec(), "crv", Value::Null), KeyError::Curve),
            (with(ec(), "x", json!(short)), KeyError::Point),
            (with(ec(), "y", json!("not base64!")), KeyError::Point),
            (with(ec(), "y", Value::Null), KeyError::Point),
            (with(rsa(2048), "n", Value::Null), KeyError::Rsa),
            (with(rsa(2048), "n", json!("+/+/")), KeyError::Rsa),
            (with(rsa(2048), "e", Value::Null), KeyError::Rsa),
            (with(rsa(2048), "e", json!("AQAB==")), KeyError::Rsa),
            (rsa(1024), KeyError::Size(1024)),
            (rsa(16384), KeyError::Size(16384)),
            (with(rsa(2048), "n", json!("")), KeyError::Size(0)),
            (with(rsa(2048), "e", json!("AQ")), KeyError::Exponent),
            (with(rsa(2048), "e", json!("AQAA")), KeyError::Exponent),
            (with(rsa(2048), "e", json!("AQEBAQE")), KeyError::Exponent),
            (with(rsa(2048), "e", json!("AA")), KeyError::Exponent),
            (with(ec(), "use", json!("enc")), KeyError::Use),
            (with(ec(), "key_ops", json!(["encrypt"])), KeyError::KeyOps),
            (with(ec(), "key_ops", json!([])), KeyError::KeyOps),
            (with(ec(), "key_ops", json!("verify")), KeyError::KeyOps),
            (with(ec(), "alg", json!("ES256")), KeyError::Alg("ES384")),
            (with(rsa(2048), "alg", json!("RS256")), KeyError::Alg("RS384")),
            (with(rsa(2048), "alg", json!("ES384")), KeyError::Alg("RS384")),
        ] {
            assert_eq!(check_key(&key), Err(reason), "{key}");
        }
    }

    #[test]
    fn a_set_is_refused_for_what_only_the_whole_shows() {
        let doubled = json!({"keys": [ec(), with(rsa(2048), "kid", json!("e"))]});
        assert_eq!(check(&doubled), Err(JwksError::DoubledKid("e".into())));
        assert_eq!(check(&json!({"keys": []})), Err(JwksError::Empty));
        for no_set in [json!({}), json!([]), json!({"keys": {}}), json!(null), ec()] {
            assert_eq!(check(&no_set), Err(JwksError::NotASet), "{no_set}");
        }
        assert_eq!(check(&json!({"keys": vec![ec(); 101]})), Err(JwksError::TooMany));
        let second = json!({"keys": [ec(), with(rsa(2048), "d", json!("x"))]});
        assert_eq!(check(&second), Err(JwksError::Key(2, KeyError::Private("d"))));
    }

    #[test]
    fn of_a_fetched_set_the_usable_public_keys_are_kept() {
        let set = json!({"keys": [with(ec(), "use", json!("enc")), with(ec(), "x5c", json!(["a"])), rsa(1024), 7]});
        assert_eq!(usable(&set), Ok(json!({"keys": [ec()]})));
        assert!(has_kid(&usable(&set).unwrap(), "e") && !has_kid(&usable(&set).unwrap(), "r"));
        assert_eq!(usable(&json!({"keys": []})), Ok(json!({"keys": []})));
        assert_eq!(usable(&json!({})), Err(JwksError::NotASet));
    }
}
