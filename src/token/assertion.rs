//! Clients that prove who they are by a signed assertion (RFC 7523; SMART "Client Authentication: Asymmetric").
//!
//! | situation | answer |
//! |---|---|
//! | signed RS384 or ES384 by exactly one registered key of that `kid` and a fitting kind | accepted |
//! | another algorithm, `none`, no `kid`, a wrong `typ`, a `crit` header | refused |
//! | `iss` or `sub` other than the client, `aud` without the token URL | refused |
//! | `aud` a list with others beside the token URL | accepted and told in [`Accepted`], or refused where the operator is strict |
//! | `exp` missing, past or more than five minutes ahead, `nbf` or `iat` in the future, `iat` more than an hour ago | refused |
//! | `jku` other than the registered JWKS URL | refused, and nothing is fetched |
//! | a `jti` seen before | refused by the caller, through the digest in [`Accepted`] |
//!
//! Decided: an audience list is accepted unless `registry.strict_assertion_audience` is set (SMART names one value, RFC
//! 7519 allows several). Whoever else stands in it could use the assertion here first, so the caller notes it in the log.

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde::Deserialize;
use serde_json::Value;
use time::{Duration, OffsetDateTime};

use super::key_set::signature_only;
use crate::id::token_digest;
use crate::smart::jwks;

/// The value of `client_assertion_type`.
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How far ahead `exp` may lie.
const LONGEST_LIFE: Duration = Duration::minutes(5);
/// How long ago an assertion that is still good may have been made: longer, and its clock or its library is broken.
const OLDEST: Duration = Duration::hours(1);
/// How far two clocks may differ.
const CLOCK_SKEW: Duration = Duration::seconds(10);

/// Why an assertion is refused. The client is told: it helps a developer and tells an attacker nothing he cannot see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    #[error("the assertion is not a signed JWT")]
    Malformed,
    #[error("the assertion must be signed with RS384 or ES384")]
    Algorithm,
    #[error("the assertion's header typ is not JWT")]
    Typ,
    #[error("the assertion's header has no kid")]
    NoKid,
    #[error("the assertion's header has critical extensions")]
    Critical,
    #[error("the assertion's jku is not the registered JWKS URL")]
    Jku,
    #[error("not exactly one registered key has the assertion's kid and fits its algorithm")]
    Key,
    #[error("the assertion's signature does not verify")]
    Signature,
    #[error("the assertion's iss and sub are not both the client id")]
    Subject,
    #[error("the assertion's aud is not this token endpoint")]
    Audience,
    #[error("the assertion's aud must be this token endpoint alone")]
    SharedAudience,
    #[error("the assertion has expired")]
    Expired,
    #[error("the assertion's exp is more than five minutes ahead")]
    TooLong,
    #[error("the assertion is not valid yet (nbf or iat)")]
    NotYet,
    #[error("the assertion's iat is more than an hour ago")]
    TooOld,
    #[error("the assertion has no jti")]
    NoJti,
}

/// What an assertion is judged against.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    pub client_id: &'a str,
    /// The client's registered keys, a JWK set.
    pub jwks: &'a Value,
    /// Where the client publishes its keys, if it registered that.
    pub jwks_uri: Option<&'a str>,
    /// The token endpoint's URL.
    pub audience: &'a str,
    /// Whether `aud` may name nobody else.
    pub only_audience: bool,
    pub now: OffsetDateTime,
}

/// An assertion that holds, unless its `jti` was seen before: that is for the database to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// SHA-256 of the `jti`.
    pub jti_digest: Vec<u8>,
    /// Until when the `jti` must be remembered.
    pub remember_until: OffsetDateTime,
    /// `aud` named others too.
    pub shared_audience: bool,
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Audience>,
    // NumericDate may have a fraction (RFC 7519 section 2).
    exp: Option<f64>,
    nbf: Option<f64>,
    iat: Option<f64>,
    jti: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn names(&self, wanted: &str) -> bool {
        match self {
            Self::One(audience) => audience == wanted,
            Self::Many(audiences) => audiences.iter().any(|audience| audience == wanted),
        }
    }

    fn names_others(&self, wanted: &str) -> bool {
        matches!(self, Self::Many(audiences) if audiences.iter().any(|audience| audience != wanted))
    }
}

/// The client that an assertion claims to come from (its `iss`). Nothing is checked yet.
pub fn claimed_client(assertion: &str) -> Result<String, AssertionError> {
    let claims: Claims =
        jsonwebtoken::dangerous::insecure_decode_claims(assertion).map_err(|_| AssertionError::Malformed)?;
    claims.iss.ok_or(AssertionError::Subject)
}

/// The `kid` of an assertion whose header is good: the key that it must be checked with. Nothing else is checked yet, but
/// nothing has to be fetched for an assertion that is refused here. `jwks_uri` is the registered one.
pub fn kid(assertion: &str, jwks_uri: Option<&str>) -> Result<String, AssertionError> {
    check_header(assertion, jwks_uri)?.kid.ok_or(AssertionError::NoKid)
}

/// Checks everything but the replay.
pub fn check(assertion: &str, expected: &Expected<'_>) -> Result<Accepted, AssertionError> {
    let header = check_header(assertion, expected.jwks_uri)?;
    let key = the_key(&header, expected.jwks)?;
    let decoded = jsonwebtoken::decode::<Claims>(assertion, &key, &signature_only(header.alg));
    check_claims(&decoded.map_err(|_| AssertionError::Signature)?.claims, expected)
}

fn check_header(assertion: &str, jwks_uri: Option<&str>) -> Result<Header, AssertionError> {
    let header = jsonwebtoken::decode_header(assertion).map_err(|_| AssertionError::Malformed)?;
    if !matches!(header.alg, Algorithm::RS384 | Algorithm::ES384) {
        return Err(AssertionError::Algorithm);
    }
    // SMART demands typ; openid-client leaves it out by default, so only a wrong one is refused.
    if header.typ.as_deref().is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
        return Err(AssertionError::Typ);
    }
    if header.crit.is_some() {
        return Err(AssertionError::Critical);
    }
    if header.jku.is_some() && header.jku.as_deref() != jwks_uri {
        return Err(AssertionError::Jku);
    }
    Ok(header)
}

/// The one registered key of the header's `kid` that can have made such a signature.
fn the_key(header: &Header, jwks: &Value) -> Result<DecodingKey, AssertionError> {
    let kid = header.kid.as_deref().ok_or(AssertionError::NoKid)?;
    let says = |key: &Value, name: &str, value: &str| key.get(name).and_then(Value::as_str) == Some(value);
    let fits = |key: &&Value| {
        says(key, "kid", kid)
            && jwks::check_key(key).is_ok()
            && match header.alg {
                Algorithm::ES384 => says(key, "kty", "EC") && says(key, "crv", "P-384"),
                _ => says(key, "kty", "RSA"),
            }
    };
    let mut fitting = jwks.get("keys").and_then(Value::as_array).into_iter().flatten().filter(fits);
    let (Some(key), None) = (fitting.next(), fitting.next()) else { return Err(AssertionError::Key) };
    let jwk: Jwk = serde_json::from_value(key.clone()).map_err(|_| AssertionError::Key)?;
    DecodingKey::from_jwk(&jwk).map_err(|_| AssertionError::Key)
}

fn check_claims(claims: &Claims, expected: &Expected<'_>) -> Result<Accepted, AssertionError> {
    let client = Some(expected.client_id);
    if claims.iss.as_deref() != client || claims.sub.as_deref() != client {
        return Err(AssertionError::Subject);
    }
    if !claims.aud.as_ref().is_some_and(|audience| audience.names(expected.audience)) {
        return Err(AssertionError::Audience);
    }
    let shared_audience = claims.aud.as_ref().is_some_and(|audience| audience.names_others(expected.audience));
    if shared_audience && expected.only_audience {
        return Err(AssertionError::SharedAudience);
    }
    let expires_at = claims.exp.and_then(instant).ok_or(AssertionError::Expired)?;
    // Added to the present, never to what was sent: the calendar has an end.
    if expires_at <= expected.now - CLOCK_SKEW {
        return Err(AssertionError::Expired);
    }
    if expires_at > expected.now + LONGEST_LIFE + CLOCK_SKEW {
        return Err(AssertionError::TooLong);
    }
    let in_future = |at: f64| instant(at).is_none_or(|at| at > expected.now + CLOCK_SKEW);
    if claims.nbf.is_some_and(in_future) || claims.iat.is_some_and(in_future) {
        return Err(AssertionError::NotYet);
    }
    if claims.iat.and_then(instant).is_some_and(|at| at < expected.now - OLDEST) {
        return Err(AssertionError::TooOld);
    }
    let jti = claims.jti.as_deref().filter(|jti| !jti.is_empty()).ok_or(AssertionError::NoJti)?;
    Ok(Accepted { jti_digest: token_digest(jti), remember_until: expires_at + CLOCK_SKEW, shared_audience })
}

/// A NumericDate, cut to whole seconds; `None` outside of what a calendar holds.
fn instant(seconds: f64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(seconds as i64).ok()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair};
    use jsonwebtoken::EncodingKey;
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);
    const TOKEN_URL: &str = "https://sofa.example/token";

    struct Signer {
        key: EncodingKey,
        jwk: Value,
    }

    /// An EC P-384 key registered under `kid`.
    fn signer(kid: &str) -> Signer {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
        let key = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&key, Algorithm::ES384).unwrap()).unwrap();
        jwk["kid"] = json!(kid);
        Signer { key, jwk }
    }

    fn good_header() -> Header {
        let mut header = Header::new(Algorithm::ES384);
        header.kid = Some("k1".into());
        header
    }

    fn good_claims() -> Value {
        let exp = NOW.unix_timestamp() + 300;
        json!({"iss": "svc", "sub": "svc", "aud": TOKEN_URL, "exp": exp, "jti": "one"})
    }

    fn expected(jwks: &Value) -> Expected<'_> {
        Expected { client_id: "svc", jwks, jwks_uri: None, audience: TOKEN_URL, only_audience: false, now: NOW }
    }

    fn judge(header: &Header, claims: &Value, signer: &Signer, jwks: &[&Value]) -> Result<Accepted, AssertionError> {
        let assertion = jsonwebtoken::encode(header, claims, &signer.key).unwrap();
        let jwks = json!({ "keys": jwks });
        check(&assertion, &expected(&jwks))
    }

    #[test]
    fn a_sound_assertion_is_accepted_and_its_jti_remembered_past_its_expiry() {
        let signer = signer("k1");
        let accepted = judge(&good_header(), &good_claims(), &signer, &[&signer.jwk]).unwrap();
        assert_eq!(accepted.jti_digest, token_digest("one"));
        assert!(accepted.remember_until > NOW + LONGEST_LIFE);
    }

    #[test]
    fn an_audience_list_and_a_missing_typ_are_tolerated() {
        let signer = signer("k1");
        let (mut header, mut claims) = (good_header(), good_claims());
        header.typ = None;
        claims["aud"] = json!(["https://elsewhere.example", TOKEN_URL]);
        assert!(judge(&header, &claims, &signer, &[&signer.jwk]).unwrap().shared_audience);
        claims["aud"] = json!([TOKEN_URL]);
        assert!(!judge(&header, &claims, &signer, &[&signer.jwk]).unwrap().shared_audience);
    }

    #[test]
    fn a_strict_server_wants_to_be_the_only_audience() {
        let signer = signer("k1");
        let jwks = json!({ "keys": [signer.jwk] });
        let strict = Expected { only_audience: true, ..expected(&jwks) };
        let judge = |aud: Value| {
            let mut claims = good_claims();
            claims["aud"] = aud;
            check(&jsonwebtoken::encode(&good_header(), &claims, &signer.key).unwrap(), &strict).map(drop)
        };
        assert_eq!(judge(json!(TOKEN_URL)), Ok(()));
        assert_eq!(judge(json!([TOKEN_URL])), Ok(()));
        assert_eq!(judge(json!([TOKEN_URL, "https://elsewhere.example"])), Err(AssertionError::SharedAudience));
    }

    #[test]
    fn a_key_for_another_use_proves_nothing() {
        for (name, value) in [("use", json!("enc")), ("key_ops", json!(["sign"])), ("alg", json!("ES256"))] {
            let mut signer = signer("k1");
            signer.jwk[name] = value;
            assert_eq!(
                judge(&good_header(), &good_claims(), &signer, &[&signer.jwk]),
                Err(AssertionError::Key),
                "{name}"
            );
        }
    }

    #[test]
    fn the_kid_is_told_only_of_a_header_that_will_do() {
        let signer = signer("k1");
        let told = |change: fn(&mut Header), jwks_uri| {
            let mut header = good_header();
            change(&mut header);
            kid(&jsonwebtoken::encode(&header, &good_claims(), &signer.key).unwrap(), jwks_uri)
        };
        let (own, other) = (Some("https://a.example/jwks"), Some("https://b.example/jwks"));
        let names_own: fn(&mut Header) = |header| header.jku = Some("https://a.example/jwks".into());
        assert_eq!(told(|_| {}, own).as_deref(), Ok("k1"));
        assert_eq!(told(names_own, own).as_deref(), Ok("k1"));
        assert_eq!(told(names_own, other), Err(AssertionError::Jku));
        assert_eq!(told(names_own, None), Err(AssertionError::Jku));
        assert_eq!(told(|header| header.kid = None, own), Err(AssertionError::NoKid));
    }

    #[test]
    fn each_wrong_claim_is_refused_for_its_own_reason() {
        let signer = signer("k1");
        let now = NOW.unix_timestamp();
        let wrong = [
            ("iss", json!("other"), AssertionError::Subject),
            ("sub", json!("other"), AssertionError::Subject),
            ("sub", Value::Null, AssertionError::Subject),
            ("aud", json!("https://sofa.example"), AssertionError::Audience),
            ("aud", json!([]), AssertionError::Audience),
            ("aud", Value::Null, AssertionError::Audience),
            ("exp", json!(now - 60), AssertionError::Expired),
            ("exp", Value::Null, AssertionError::Expired),
            ("exp", json!(now + 600), AssertionError::TooLong),
            ("exp", json!(1e300), AssertionError::Expired),
            // The last second of the calendar, and one too near to it to add to.
            ("exp", json!(253_402_300_799_i64), AssertionError::TooLong),
            ("exp", json!(253_402_300_790_i64), AssertionError::TooLong),
            ("nbf", json!(now + 60), AssertionError::NotYet),
            ("iat", json!(now + 60), AssertionError::NotYet),
            ("iat", json!(now - 3700), AssertionError::TooOld),
            ("iat", json!(0), AssertionError::TooOld),
            ("iat", json!(-1e300), AssertionError::NotYet),
            ("jti", json!(""), AssertionError::NoJti),
            ("jti", Value::Null, AssertionError::NoJti),
        ];
        for (name, value, expected) in wrong {
            let mut claims = good_claims();
            claims[name] = value.clone();
            assert_eq!(judge(&good_header(), &claims, &signer, &[&signer.jwk]), Err(expected), "{name} = {value}");
        }
    }

    #[test]
    fn each_wrong_header_is_refused_for_its_own_reason() {
        let signer = signer("k1");
        let with = |change: fn(&mut Header)| {
            let mut header = good_header();
            change(&mut header);
            judge(&header, &good_claims(), &signer, &[&signer.jwk])
        };
        assert_eq!(with(|header| header.kid = None), Err(AssertionError::NoKid));
        assert_eq!(with(|header| header.kid = Some("k2".into())), Err(AssertionError::Key));
        assert_eq!(with(|header| header.typ = Some("at+jwt".into())), Err(AssertionError::Typ));
        assert_eq!(with(|header| header.jku = Some("https://evil.example/jwks".into())), Err(AssertionError::Jku));
        assert_eq!(with(|header| header.crit = Some(vec!["b64".into()])), Err(AssertionError::Critical));
    }

    #[test]
    fn another_key_or_a_doubled_kid_is_refused() {
        let (own, other, twin) = (signer("k1"), signer("k1"), signer("k1"));
        assert_eq!(judge(&good_header(), &good_claims(), &own, &[&other.jwk]), Err(AssertionError::Signature));
        assert_eq!(judge(&good_header(), &good_claims(), &own, &[&own.jwk, &twin.jwk]), Err(AssertionError::Key));
        assert_eq!(judge(&good_header(), &good_claims(), &own, &[]), Err(AssertionError::Key));
    }

    #[test]
    fn a_shared_secret_or_no_signature_at_all_is_refused() {
        let signer = signer("k1");
        let mut header = good_header();
        header.alg = Algorithm::HS384;
        let forged = Signer { key: EncodingKey::from_secret(b"secret"), jwk: Value::Null };
        assert_eq!(judge(&header, &good_claims(), &forged, &[&signer.jwk]), Err(AssertionError::Algorithm));
        let jwks = json!({ "keys": [signer.jwk] });
        // {"alg":"none","kid":"k1"} . {} . nothing
        for text in ["eyJhbGciOiJub25lIiwia2lkIjoiazEifQ.e30.", "not a jwt", "", "a.b.c"] {
            assert_eq!(check(text, &expected(&jwks)), Err(AssertionError::Malformed), "{text}");
        }
    }
}
