//! A live access token, brought by whoever asks an endpoint here about itself.

use axum::http::{HeaderMap, header::AUTHORIZATION};
use time::OffsetDateTime;

use super::OauthState;
use super::error::Failure;
use crate::store;
use crate::store::grant::LiveGrant;
use crate::token::access_token::AccessClaims;
use crate::token::key_set::VerifyError;

/// The token of an `Authorization: Bearer` header (RFC 6750 section 2.1).
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(token.trim())
}

/// The claims and the grant of an access token of this server, if both are good at this moment.
pub async fn find_live(
    state: &OauthState,
    token: &str,
    now: OffsetDateTime,
) -> Result<Option<(AccessClaims, LiveGrant)>, Failure> {
    let claims = match state.keys.verify_access(token, &state.engine.config.server.fhir_base(), now).await {
        Ok(claims) => claims,
        Err(VerifyError::Invalid(_) | VerifyError::Expired) => return Ok(None),
        Err(VerifyError::Unavailable(error)) => return Err(error.into()),
    };
    let live = store::grant::live(&mut *state.engine.pool.acquire().await?, claims.gid, now).await?;
    Ok(live.map(|grant| (claims, grant)))
}
