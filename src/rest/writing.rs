//! What every write of one resource is asked with: by whom, under which preconditions, and how it is answered.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
    response::Response,
};

use super::{RestState, caller::Authenticated, error::RestError, instance, preference::Preference, reply};
use crate::{
    access::{Caller, Permit},
    fhir::outcome::IssueType,
    interaction::{
        Failure,
        condition::Condition,
        settle::{self, Ask, Asked},
        validate::Verdict,
        write::Written,
    },
};

/// A write that is asked for.
pub struct Writing {
    pub state: RestState,
    pub caller: Caller,
    pub headers: HeaderMap,
}

impl FromRequestParts<RestState> for Writing {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, state: &RestState) -> Result<Self, RestError> {
        let Authenticated(caller) = Authenticated::from_request_parts(parts, state).await?;
        Ok(Self { state: state.clone(), caller, headers: parts.headers.clone() })
    }
}

impl Writing {
    /// The condition that names the resource, with the caller's leave for all that it looks at.
    pub fn condition(&self, kind: &str, query: &str) -> Result<Condition, Failure> {
        Condition::parse(&self.state.engine, &self.caller, kind, query)
    }

    /// The version in `If-Match`, if there is one. 400 with `If-None-Match`: here it has no meaning, and a condition that is
    /// left out of account lets through what was not meant (RFC 9110 section 13.2.1).
    pub fn if_match(&self) -> Result<Option<i64>, Failure> {
        if self.headers.contains_key(header::IF_NONE_MATCH) {
            let text =
                "If-None-Match is for reads, and for updates of an id; use If-None-Exist, or a search in the address";
            return Err(Failure::bad_request(IssueType::NotSupported, text));
        }
        instance::if_match(&self.headers)
    }

    /// Settles what is asked for, does it and answers. `verdict` is the validator's on what the request brings.
    pub async fn settle(&self, permit: Permit, ask: Ask, verdict: Verdict) -> Result<Response, RestError> {
        let asked = Asked::alone(permit, ask);
        Ok(self.answer(settle::write(&self.state.engine, &self.caller, asked, verdict).await?))
    }

    /// The answer, as `Prefer` asks for it.
    pub fn answer(&self, written: Written) -> Response {
        reply::written(&self.state.engine.base, written, &Preference::of(&self.headers))
    }
}
