//! ID tokens (OpenID Connect Core 1.0 section 2; SMART's `fhirUser` claim).

use serde::Serialize;

use super::key_set::{Error, KeySet};

/// The claims of an ID token. Times are seconds since 1970.
#[derive(Clone, Debug, Serialize)]
pub struct IdClaims {
    /// This server.
    pub iss: String,
    /// The user's stable id.
    pub sub: String,
    /// The client it was made for.
    pub aud: String,
    pub exp: i64,
    pub iat: i64,
    /// When the user signed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// As sent with the authorization request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The browser session in which the user signed in: a logout token names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// The user as a FHIR resource, absolute URL, `…/Type/id`: with scope `fhirUser` only.
    #[serde(rename = "fhirUser", skip_serializing_if = "Option::is_none")]
    pub fhir_user: Option<String>,
    /// With scope `profile` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// With scope `profile` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<String>,
}

impl KeySet {
    /// Signs an ID token.
    pub async fn sign_id(&self, claims: &IdClaims) -> Result<String, Error> {
        self.sign("JWT", claims).await
    }
}
