//! Access tokens (RFC 9068 shape). A good signature is half the check: the caller also asks whether the grant lives.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::key_set::{Error, KeySet, VerifyError};

/// Keeps ID tokens and access tokens apart, whose keys are the same (RFC 9068 section 2.1).
const TYP: &str = "at+jwt";

/// The claims of an access token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// This server.
    pub iss: String,
    /// The user's id; the client's where no user is involved.
    pub sub: String,
    /// The FHIR base it is for, without a slash at the end.
    pub aud: String,
    /// Who may use it.
    pub client_id: String,
    /// What it allows; after a refresh possibly less than its grant.
    pub scope: String,
    /// Seconds since 1970.
    pub iat: i64,
    /// Seconds since 1970.
    pub exp: i64,
    /// Tells tokens of one grant apart.
    pub jti: String,
    /// The grant it lives and dies with.
    pub gid: Uuid,
}

impl KeySet {
    /// Signs an access token.
    pub async fn sign_access(&self, claims: &AccessClaims) -> Result<String, Error> {
        self.sign_for_access(TYP, claims).await
    }

    /// The claims of an access token that this server signed for `audience` and that has not expired.
    ///
    /// Not yet permission to do anything: [`crate::store::grant::live`] says whether it was taken back.
    pub async fn verify_access(
        &self,
        jwt: &str,
        audience: &str,
        now: OffsetDateTime,
    ) -> Result<AccessClaims, VerifyError> {
        let claims: AccessClaims = self.verify(TYP, jwt).await?;
        if claims.iss != self.issuer() {
            return Err(VerifyError::Invalid("it is of another issuer"));
        }
        if claims.aud != audience {
            return Err(VerifyError::Invalid("it is for another server"));
        }
        if claims.exp <= now.unix_timestamp() {
            return Err(VerifyError::Expired);
        }
        Ok(claims)
    }
}
