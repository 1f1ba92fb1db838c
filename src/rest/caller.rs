//! The caller of a FHIR request: a Bearer token in the `Authorization` header (RFC 6750), nowhere else.

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};

use super::{RestState, error::RestError};
use crate::{
    access::{Caller, audit::Trail},
    interaction::Failure,
    token::key_set::VerifyError,
    web::{peer, request_id},
};

/// A verified, living caller.
pub struct Authenticated(pub Caller);

impl FromRequestParts<RestState> for Authenticated {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, state: &RestState) -> Result<Self, RestError> {
        let value = parts.headers.get(header::AUTHORIZATION).ok_or(RestError::NoToken)?;
        let value = value.to_str().map_err(|_| RestError::BadToken("the token is not readable"))?;
        let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(RestError::NoToken);
        }
        let now = state.engine.now();
        let claims = match state.keys.verify_access(token.trim(), &state.engine.base, now).await {
            Ok(claims) => claims,
            Err(VerifyError::Expired) => return Err(RestError::ExpiredToken),
            Err(VerifyError::Invalid(_)) => return Err(RestError::BadToken("the token is not valid")),
            Err(VerifyError::Unavailable(error)) => {
                tracing::error!(%error, "tokens cannot be verified");
                return Err(Failure::Internal.into());
            }
        };
        let mut conn = state.engine.pool.acquire().await.map_err(Failure::from)?;
        let caller = Caller::identify(&mut conn, claims.gid, &claims.scope, &state.engine.rules, now).await;
        let trail = parts.extensions.get::<Trail>().cloned().unwrap_or_default();
        let Some(mut caller) = caller.map_err(Failure::from)? else {
            trail.is_of_ended(&claims.client_id, claims.gid);
            return Err(RestError::BadToken("the token or its launch has ended"));
        };
        caller.walls = state.walls;
        caller.request_id = request_id::of(&parts.headers);
        caller.address = Some(peer::of(&parts.extensions).to_string());
        caller.leave_trail(&trail);
        Ok(Self(caller))
    }
}
