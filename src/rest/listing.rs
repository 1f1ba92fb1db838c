//! What a search and a history are asked with alike: by whom, with which parameters, and how unknown ones are handled.

use axum::{extract::FromRequestParts, http::request::Parts, response::Response};

use super::{
    RestState,
    caller::Authenticated,
    error::RestError,
    extract::{Parameters, Query},
    preference::Preference,
    reply,
};
use crate::{
    access::Caller,
    interaction::{Failure, history, search},
};

/// A listing that is asked for.
pub struct Listing {
    /// What it works with.
    pub state: RestState,
    caller: Caller,
    parameters: Parameters,
    preference: Preference,
}

impl FromRequestParts<RestState> for Listing {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, state: &RestState) -> Result<Self, RestError> {
        // Strangers are not told what is wrong with their query.
        let Authenticated(caller) = Authenticated::from_request_parts(parts, state).await?;
        let Query(parameters) = Query::from_request_parts(parts, state).await?;
        Ok(Self { state: state.clone(), caller, parameters, preference: Preference::of(&parts.headers) })
    }
}

impl Listing {
    /// The same with the parameters of a form: they and those of the URL add up (FHIR R4 http.html#search).
    #[must_use]
    pub fn with(mut self, form: Parameters) -> Self {
        self.parameters.extend(form);
        self
    }

    /// Searches `place`: a `searchset` Bundle.
    pub async fn search(self, place: &search::Place) -> Result<Response, RestError> {
        let handling = self.preference.handling();
        self.answer(search::search(&self.state.engine, &self.caller, place, &self.parameters, handling).await)
    }

    /// The history of `place`: a `history` Bundle.
    pub async fn history(self, place: history::Place<'_>) -> Result<Response, RestError> {
        let handling = self.preference.handling();
        self.answer(history::history(&self.state.engine, &self.caller, place, &self.parameters, handling).await)
    }

    fn answer(&self, bundle: Result<String, Failure>) -> Result<Response, RestError> {
        Ok(reply::listing(bundle?, &self.preference))
    }
}
