//! The demonstration's clients' key pairs: made, kept as PKCS#8, handed out as JWKs.

use anyhow::{Context as _, Result, anyhow};
use aws_lc_rs::encoding::{AsBigEndian as _, AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use simple_asn1::ASN1Block;

/// The private members of an RSA JWK, in the order of `RSAPrivateKey` (RFC 8017 A.1.2), which begins version, n, e.
const RSA_PRIVATE: [&str; 6] = ["d", "p", "q", "dp", "dq", "qi"];

/// A key pair of a demonstration client.
#[derive(Clone, Serialize, Deserialize)]
pub struct ClientKey {
    algorithm: Algorithm,
    /// PKCS#8, base64.
    pkcs8: String,
}

impl ClientKey {
    /// A new P-384 key, for ES384.
    pub fn es384() -> Result<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING)?;
        Ok(Self { algorithm: Algorithm::ES384, pkcs8: STANDARD.encode(pair.to_pkcs8v1()?) })
    }

    /// A new RSA key of 2048 bits, for RS384.
    pub fn rs384() -> Result<Self> {
        let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048)?;
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der()?;
        Ok(Self { algorithm: Algorithm::RS384, pkcs8: STANDARD.encode(pkcs8.as_ref()) })
    }

    /// The algorithm it signs with.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key to sign with.
    pub fn encoding_key(&self) -> Result<EncodingKey> {
        let pkcs8 = self.der()?;
        Ok(match self.algorithm {
            // jsonwebtoken takes elliptic curve keys as PKCS#8, RSA keys as PKCS#1.
            Algorithm::ES384 => EncodingKey::from_ec_der(&pkcs8),
            _ => EncodingKey::from_rsa_der(&pkcs1(&pkcs8)?),
        })
    }

    /// The public JWK, with `kid` (its thumbprint, RFC 7638), `alg` and `use`.
    pub fn public_jwk(&self) -> Result<Value> {
        let mut jwk = Jwk::from_encoding_key(&self.encoding_key()?, self.algorithm)?;
        jwk.common.key_id = Some(jwk.thumbprint(ThumbprintHash::SHA256)?);
        let mut value = serde_json::to_value(jwk)?;
        value["use"] = "sig".into();
        Ok(value)
    }

    /// The private JWK: the public one and the private members (RFC 7518 sections 6.2.2 and 6.3.2).
    pub fn private_jwk(&self) -> Result<Value> {
        let mut value = self.public_jwk()?;
        let members: &mut Map<String, Value> = value.as_object_mut().context("a JWK is an object")?;
        let pkcs8 = self.der()?;
        if self.algorithm == Algorithm::ES384 {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &pkcs8)?;
            let private = pair.private_key().as_be_bytes()?;
            members.insert("d".to_owned(), URL_SAFE_NO_PAD.encode(private.as_ref()).into());
        } else {
            let integers = rsa_integers(&pkcs1(&pkcs8)?)?;
            for (name, bytes) in RSA_PRIVATE.iter().zip(integers.iter().skip(3)) {
                members.insert((*name).to_owned(), URL_SAFE_NO_PAD.encode(bytes).into());
            }
        }
        Ok(value)
    }

    /// The key's id in its JWKs.
    pub fn kid(&self) -> Result<String> {
        let jwk = self.public_jwk()?;
        jwk["kid"].as_str().map(str::to_owned).context("a JWK with kid")
    }

    fn der(&self) -> Result<Vec<u8>> {
        STANDARD.decode(&self.pkcs8).context("a key kept by the demonstration")
    }
}

/// The `RSAPrivateKey` inside a PKCS#8 `PrivateKeyInfo` (RFC 5208): version, algorithm, octet string.
fn pkcs1(pkcs8: &[u8]) -> Result<Vec<u8>> {
    let blocks = simple_asn1::from_der(pkcs8)?;
    let Some(ASN1Block::Sequence(_, parts)) = blocks.first() else {
        return Err(anyhow!("a private key that is not PKCS#8"));
    };
    match parts.get(2) {
        Some(ASN1Block::OctetString(_, key)) => Ok(key.clone()),
        _ => Err(anyhow!("a private key that is not PKCS#8")),
    }
}

fn rsa_integers(pkcs1: &[u8]) -> Result<Vec<Vec<u8>>> {
    let blocks = simple_asn1::from_der(pkcs1)?;
    let Some(ASN1Block::Sequence(_, parts)) = blocks.first() else {
        return Err(anyhow!("an RSA key that is not PKCS#1"));
    };
    let integers = parts.iter().map(|part| match part {
        ASN1Block::Integer(_, number) => Ok(number.to_bytes_be().1),
        _ => Err(anyhow!("an RSA key that is not PKCS#1")),
    });
    integers.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{DecodingKey, Header, Validation, decode, encode};
    use serde_json::json;

    fn signs_and_verifies(key: &ClientKey) {
        let token = encode(&Header::new(key.algorithm()), &json!({ "a": 1 }), &key.encoding_key().unwrap()).unwrap();
        let jwk: Jwk = serde_json::from_value(key.public_jwk().unwrap()).unwrap();
        let mut validation = Validation::new(key.algorithm());
        validation.required_spec_claims.clear();
        let read = decode::<Value>(&token, &DecodingKey::from_jwk(&jwk).unwrap(), &validation).unwrap();
        assert_eq!(read.claims, json!({ "a": 1 }));
    }

    #[test]
    fn an_elliptic_curve_key_signs_and_its_private_jwk_has_d() {
        let key = ClientKey::es384().unwrap();
        signs_and_verifies(&key);
        let jwk = key.private_jwk().unwrap();
        assert_eq!((jwk["kty"].as_str(), jwk["crv"].as_str()), (Some("EC"), Some("P-384")));
        assert_eq!(URL_SAFE_NO_PAD.decode(jwk["d"].as_str().unwrap()).unwrap().len(), 48);
        assert!(key.public_jwk().unwrap().get("d").is_none());
    }

    #[test]
    fn an_rsa_key_signs_and_its_private_jwk_is_whole() {
        let key = ClientKey::rs384().unwrap();
        signs_and_verifies(&key);
        let jwk = key.private_jwk().unwrap();
        for member in ["n", "e", "d", "p", "q", "dp", "dq", "qi", "kid"] {
            assert!(jwk[member].is_string(), "{member}");
        }
        let modulus = simple_asn1::BigUint::from_bytes_be(&URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap());
        let factor = |name: &str| {
            simple_asn1::BigUint::from_bytes_be(&URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap())
        };
        assert_eq!(modulus, factor("p") * factor("q"));
    }
}
