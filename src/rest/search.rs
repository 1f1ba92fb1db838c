//! search at type, system and compartment level, by `GET` and by `POST …/_search` (FHIR R4 http.html#search): a form's
//! parameters and those of the URL add up.

use axum::{
    extract::{FromRequest, Request, State},
    http::{HeaderMap, header},
    response::Response,
};

use super::{
    RestState,
    body::whole,
    caller::Authenticated,
    error::RestError,
    extract::{Parameters, Path, Query},
    preference::Preference,
    reply,
};
use crate::{
    access::Caller,
    fhir::types,
    interaction::{
        Failure,
        search::{Place, search},
    },
};

/// `GET [base]/[type]?…`
pub async fn kind(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Path(kind): Path<String>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Result<Response, RestError> {
    answer(&state, &caller, &Place::Type(kind), &query, &headers).await
}

/// `POST [base]/[type]/_search`
pub async fn kind_form(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Path(kind): Path<String>,
    Query(mut query): Query<Parameters>,
    headers: HeaderMap,
    Form(form): Form,
) -> Result<Response, RestError> {
    query.extend(form);
    answer(&state, &caller, &Place::Type(kind), &query, &headers).await
}

/// `GET [base]?…`
pub async fn system(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Result<Response, RestError> {
    answer(&state, &caller, &Place::System, &query, &headers).await
}

/// `POST [base]/_search`
pub async fn system_form(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Query(mut query): Query<Parameters>,
    headers: HeaderMap,
    Form(form): Form,
) -> Result<Response, RestError> {
    query.extend(form);
    answer(&state, &caller, &Place::System, &query, &headers).await
}

/// `GET [base]/[compartment]/[id]/[type]?…`; `*` for all types.
pub async fn compartment(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Path((compartment, id, member)): Path<(String, String, String)>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Result<Response, RestError> {
    let place = place(&state, compartment, id, member)?;
    answer(&state, &caller, &place, &query, &headers).await
}

/// `POST [base]/[compartment]/[id]/[type]/_search`
pub async fn compartment_form(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Path((compartment, id, member)): Path<(String, String, String)>,
    Query(mut query): Query<Parameters>,
    headers: HeaderMap,
    Form(form): Form,
) -> Result<Response, RestError> {
    let place = place(&state, compartment, id, member)?;
    query.extend(form);
    answer(&state, &caller, &place, &query, &headers).await
}

fn place(state: &RestState, compartment: String, id: String, member: String) -> Result<Place, Failure> {
    let kind = (member != "*").then_some(member);
    let is_known = types::is_id(&id) && kind.as_deref().is_none_or(types::is_resource);
    if !is_known || !state.engine.parameters.compartments().contains(&compartment.as_str()) {
        return Err(Failure::NotFound);
    }
    Ok(Place::Compartment { compartment, id, kind })
}

async fn answer(
    state: &RestState,
    caller: &Caller,
    place: &Place,
    query: &[(String, String)],
    headers: &HeaderMap,
) -> Result<Response, RestError> {
    let preference = Preference::of(headers);
    let bundle = search(&state.engine, caller, place, query, preference.handling()).await?;
    Ok(reply::listing(bundle, &preference))
}

/// The body of a `POST …/_search`: `application/x-www-form-urlencoded`, or nothing.
pub struct Form(Parameters);

impl FromRequest<RestState> for Form {
    type Rejection = RestError;

    async fn from_request(request: Request, state: &RestState) -> Result<Self, RestError> {
        let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = media_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let bytes = whole(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(Vec::new()));
        }
        if essence != "application/x-www-form-urlencoded" {
            let text = format!("a search is posted as application/x-www-form-urlencoded, not as '{essence}'");
            return Err(RestError::UnsupportedMediaType(text));
        }
        Ok(Self(form_urlencoded::parse(&bytes).into_owned().collect()))
    }
}
