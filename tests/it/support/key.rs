//! Client keys and the assertions signed with them (RFC 7523, ES384).

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use time::OffsetDateTime;

/// What a client signs its assertions with.
#[derive(Clone)]
pub struct Key {
    signing: EncodingKey,
    pub kid: String,
    /// The public half, as a JWK set.
    pub jwks: Value,
}

impl Key {
    /// A fresh ES384 key named `kid`.
    pub fn es384(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key pair");
        let signing = EncodingKey::from_ec_der(pair.to_pkcs8v1().expect("its PKCS#8 form").as_ref());
        let jwk = Jwk::from_encoding_key(&signing, Algorithm::ES384).expect("a public key");
        let mut jwk = serde_json::to_value(jwk).expect("a JWK");
        jwk["kid"] = json!(kid);
        jwk["alg"] = json!("ES384");
        Self { signing, kid: kid.to_owned(), jwks: json!({"keys": [jwk]}) }
    }

    /// A client assertion for `audience`, good for four minutes from `now`.
    pub fn assertion(&self, client_id: &str, audience: &str, now: OffsetDateTime) -> String {
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": audience,
            "exp": now.unix_timestamp() + 240, "iat": now.unix_timestamp(), "jti": sofa::id::random_token(),
        });
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::ES384) };
        jsonwebtoken::encode(&header, &claims, &self.signing).expect("an assertion")
    }
}
