//! Client keys and the assertions signed with them (RFC 7523, ES384 and RS384).

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use time::OffsetDateTime;

/// What a client signs its assertions with.
#[derive(Clone)]
pub struct Key {
    signing: EncodingKey,
    algorithm: Algorithm,
    pub kid: String,
    /// The public half, as a JWK set.
    pub jwks: Value,
}

impl Key {
    /// A fresh ES384 key named `kid`.
    pub fn es384(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key pair");
        Self::new(kid, Algorithm::ES384, pair.to_pkcs8v1().expect("its PKCS#8 form").as_ref())
    }

    /// A fresh RS384 key of 2048 bits named `kid`.
    pub fn rs384(kid: &str) -> Self {
        let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).expect("a key pair");
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().expect("its PKCS#8 form");
        Self::new(kid, Algorithm::RS384, pkcs8.as_ref())
    }

    fn new(kid: &str, algorithm: Algorithm, pkcs8: &[u8]) -> Self {
        let pem =
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines(&STANDARD.encode(pkcs8)));
        let signing = match algorithm {
            Algorithm::ES384 => EncodingKey::from_ec_pem(pem.as_bytes()),
            _ => EncodingKey::from_rsa_pem(pem.as_bytes()),
        };
        let signing = signing.expect("a private key");
        let jwk = Jwk::from_encoding_key(&signing, algorithm).expect("a public key");
        let mut jwk = serde_json::to_value(jwk).expect("a JWK");
        jwk["kid"] = json!(kid);
        jwk["alg"] = json!(algorithm);
        Self { signing, algorithm, kid: kid.to_owned(), jwks: json!({"keys": [jwk]}) }
    }

    /// The public half.
    pub fn jwk(&self) -> &Value {
        &self.jwks["keys"][0]
    }

    /// A client assertion for `audience`, good for four minutes from `now`.
    pub fn assertion(&self, client_id: &str, audience: &str, now: OffsetDateTime) -> String {
        self.assertion_with(client_id, audience, now, |_| {})
    }

    /// The same with its header changed.
    pub fn assertion_with(
        &self,
        client_id: &str,
        audience: &str,
        now: OffsetDateTime,
        change: impl FnOnce(&mut Header),
    ) -> String {
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": audience,
            "exp": now.unix_timestamp() + 240, "iat": now.unix_timestamp(), "jti": sofa::id::random_token(),
        });
        let mut header = Header { kid: Some(self.kid.clone()), ..Header::new(self.algorithm) };
        change(&mut header);
        jsonwebtoken::encode(&header, &claims, &self.signing).expect("an assertion")
    }
}

/// 64 characters to a line.
fn lines(base64: &str) -> String {
    let chunks = base64.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned());
    chunks.collect::<Vec<_>>().join("\n")
}
