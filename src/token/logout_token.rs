//! Logout tokens: they tell a client that a session of its user has ended (OpenID Connect Back-Channel Logout 1.0,
//! section 2.4).

use serde::Serialize;
use serde_json::{Value, json};

use super::key_set::{Error, KeySet};
use crate::id::random_token;

/// Keeps them apart from ID tokens, whose keys are the same.
const TYP: &str = "logout+jwt";
/// The member of `events` that makes a JWT a logout token.
pub const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// The claims of a logout token. Times are seconds since 1970. There is no `nonce`: a logout token must not pass for an ID
/// token.
#[derive(Clone, Debug, Serialize)]
pub struct LogoutClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    jti: String,
    sid: &'a str,
    events: Value,
}

impl<'a> LogoutClaims<'a> {
    /// For `aud`: the session `sid` of the user `sub` has ended.
    pub fn new(iss: &'a str, aud: &'a str, sub: &'a str, sid: &'a str, iat: i64, exp: i64) -> Self {
        Self { iss, sub, aud, iat, exp, jti: random_token(), sid, events: json!({ EVENT: {} }) }
    }
}

impl KeySet {
    /// Signs a logout token.
    pub async fn sign_logout(&self, claims: &LogoutClaims<'_>) -> Result<String, Error> {
        self.sign(TYP, claims).await
    }
}
