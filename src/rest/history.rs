//! The histories of an instance, a type and the system.

use axum::{extract::State, http::HeaderMap, response::Response};

use super::{
    RestState,
    caller::Authenticated,
    error::RestError,
    extract::{Parameters, Path, Query},
    preference::Preference,
    reply,
};
use crate::{
    access::Caller,
    interaction::history::{self, Place},
};

/// `GET [base]/[type]/[id]/_history`
pub async fn of_instance(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Path((kind, id)): Path<(String, String)>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Result<Response, RestError> {
    answer(&state, &caller, Place::Instance { kind: &kind, id: &id }, &query, &headers).await
}

/// `GET [base]/[type]/_history`
pub async fn of_type(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Path(kind): Path<String>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Result<Response, RestError> {
    answer(&state, &caller, Place::Type(&kind), &query, &headers).await
}

/// `GET [base]/_history`
pub async fn of_system(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Result<Response, RestError> {
    answer(&state, &caller, Place::System, &query, &headers).await
}

async fn answer(
    state: &RestState,
    caller: &Caller,
    place: Place<'_>,
    query: &Parameters,
    headers: &HeaderMap,
) -> Result<Response, RestError> {
    let preference = Preference::of(headers);
    let bundle = history::history(&state.engine, caller, place, query, preference.handling()).await?;
    Ok(reply::listing(bundle, &preference))
}
