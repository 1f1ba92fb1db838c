//! What the token endpoint answers (RFC 6749 section 5.1; SMART App Launch 2.1.0, "Launch context arrives with your
//! access_token").

use serde::Serialize;
use time::OffsetDateTime;

use super::super::error::Failure;
use super::super::{OauthState, granted_values};
use crate::id::new_uuid;
use crate::smart::launch::LaunchValues;
use crate::store::context::ContextRow;
use crate::store::grant::LiveGrant;
use crate::token::access_token::AccessClaims;

/// The JSON of a success.
#[derive(Serialize)]
pub struct Reply {
    access_token: String,
    token_type: &'static str,
    /// Seconds.
    expires_in: i64,
    /// What was granted.
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    #[serde(flatten)]
    context: LaunchValues,
}

/// What an access token is made from.
pub struct AccessToken<'a> {
    pub grant: &'a LiveGrant,
    /// At most the grant's.
    pub scope: String,
    /// The launch it belongs to.
    pub context: Option<&'a ContextRow>,
    pub now: OffsetDateTime,
    /// How long it lives, unless its context ends before.
    pub lifetime: std::time::Duration,
}

impl AccessToken<'_> {
    /// Signs it and puts it into an answer.
    pub async fn issue(self, state: &OauthState) -> Result<Reply, Failure> {
        let end = self.now + self.lifetime;
        let end = self.context.map_or(end, |context| end.min(context.expires_at));
        let claims = AccessClaims {
            iss: state.keys.issuer().to_owned(),
            sub: self.grant.user_id.map_or_else(|| self.grant.client_id.clone(), |user| user.to_string()),
            aud: state.engine.config.server.fhir_base(),
            client_id: self.grant.client_id.clone(),
            scope: self.scope,
            iat: self.now.unix_timestamp(),
            exp: end.unix_timestamp(),
            jti: new_uuid().to_string(),
            gid: self.grant.grant_id,
        };
        Ok(Reply {
            access_token: state.keys.sign_access(&claims).await?,
            token_type: "Bearer",
            expires_in: claims.exp - claims.iat,
            scope: claims.scope,
            refresh_token: None,
            id_token: None,
            context: granted_values(self.grant, self.context),
        })
    }
}
