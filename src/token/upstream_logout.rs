//! Logout tokens of upstream providers (OpenID Connect Back-Channel Logout 1.0, section 2.6), checked against the keys that
//! the provider publishes.

use std::collections::HashMap;

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use time::{Duration, OffsetDateTime};

use super::key_set::signature_only;
use super::logout_token::EVENT;

/// Allowed difference of clocks.
const SKEW: Duration = Duration::seconds(60);
/// How long after it was made a token is taken.
const LIFE: Duration = Duration::minutes(5);

/// Why a logout token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("it is not a signed JWT of this kind")]
    Shape,
    #[error("its key is unknown")]
    Key,
    #[error("its signature is wrong")]
    Signature,
    #[error("it is of another issuer or for another client")]
    Parties,
    #[error("it is too old, or of a time to come")]
    Time,
    #[error("it says nothing of a logout")]
    Event,
    #[error("it has a nonce, so it is an ID token")]
    Nonce,
    #[error("it names neither a subject nor a session, or has no jti")]
    Nobody,
}

/// Whose session has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedOut {
    pub subject: Option<String>,
    pub sid: Option<String>,
    pub jti: String,
    /// After this the token would not be taken any more.
    pub until: OffsetDateTime,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    iat: i64,
    exp: Option<i64>,
    jti: Option<String>,
    sub: Option<String>,
    sid: Option<String>,
    #[serde(default)]
    events: HashMap<String, Value>,
    nonce: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// What the token says, if the provider `issuer` signed it for `client_id` with one of `keys`.
pub fn check(
    token: &str,
    keys: &JwkSet,
    issuer: &str,
    client_id: &str,
    now: OffsetDateTime,
) -> Result<LoggedOut, Refused> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| Refused::Shape)?;
    let kind = header.typ.as_deref().map(str::to_ascii_lowercase);
    if header.crit.is_some() || !matches!(kind.as_deref(), None | Some("jwt" | "logout+jwt")) {
        return Err(Refused::Shape);
    }
    // With a shared secret anybody who knows that could sign.
    if matches!(header.alg, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) {
        return Err(Refused::Shape);
    }
    let fits = |key: &&Jwk| key.common.key_id == header.kid || header.kid.is_none();
    let mut fitting = keys.keys.iter().filter(fits).peekable();
    if fitting.peek().is_none() {
        return Err(Refused::Key);
    }
    let decoded = fitting.find_map(|key| {
        let key = DecodingKey::from_jwk(key).ok()?;
        jsonwebtoken::decode::<Claims>(token, &key, &signature_only(header.alg)).ok()
    });
    let claims = decoded.ok_or(Refused::Signature)?.claims;
    let is_for_us = match &claims.aud {
        Audience::One(aud) => aud == client_id,
        Audience::Many(list) => list.len() == 1 && list[0] == client_id,
    };
    if claims.iss != issuer || !is_for_us {
        return Err(Refused::Parties);
    }
    let made = OffsetDateTime::from_unix_timestamp(claims.iat).map_err(|_| Refused::Time)?;
    let ended = claims.exp.is_some_and(|exp| exp <= (now - SKEW).unix_timestamp());
    let until = made.checked_add(LIFE).ok_or(Refused::Time)?;
    if ended || made > now + SKEW || until <= now {
        return Err(Refused::Time);
    }
    if !claims.events.get(EVENT).is_some_and(Value::is_object) {
        return Err(Refused::Event);
    }
    if claims.nonce.is_some() {
        return Err(Refused::Nonce);
    }
    let Some(jti) = claims.jti.filter(|_| claims.sub.is_some() || claims.sid.is_some()) else {
        return Err(Refused::Nobody);
    };
    Ok(LoggedOut { subject: claims.sub, sid: claims.sid, jti, until })
}
