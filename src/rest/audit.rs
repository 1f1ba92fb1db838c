//! The audit trail: `[base]/AuditEvent`, to be read and searched by auditors ([`crate::interaction::audit`]).

use axum::{extract::State, http::StatusCode, response::Response};

use super::{
    RestState,
    body::OptionalBody,
    caller::Authenticated,
    error::RestError,
    extract::{Parameters, Path, Query},
    operation, reply,
    search::Form,
};
use crate::{access::audit::AUDIT_EVENT, interaction::audit};

/// `GET [base]/AuditEvent/[id]`
pub async fn read(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
) -> Result<Response, RestError> {
    Ok(reply::json(StatusCode::OK, audit::read(&state.engine, &caller, &id).await?))
}

/// `GET [base]/AuditEvent?…`
pub async fn search(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Query(query): Query<Parameters>,
) -> Result<Response, RestError> {
    Ok(reply::json(StatusCode::OK, audit::search(&state.engine, &caller, &query).await?))
}

/// `POST [base]/AuditEvent/_search`
pub async fn search_form(
    state: State<RestState>,
    caller: Authenticated,
    Query(mut query): Query<Parameters>,
    Form(form): Form,
) -> Result<Response, RestError> {
    query.extend(form);
    search(state, caller, Query(query)).await
}

/// `POST [base]/AuditEvent/$validate`: of what the client sent, as for every type.
pub async fn validate(
    state: State<RestState>,
    caller: Authenticated,
    query: Query<Parameters>,
    body: OptionalBody,
) -> Result<Response, RestError> {
    operation::validate_type(state, caller, Path(AUDIT_EVENT.to_owned()), query, body).await
}
