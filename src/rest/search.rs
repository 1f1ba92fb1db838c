//! search at type, system and compartment level, by `GET` and by `POST …/_search` (FHIR R4 http.html#search): a form's
//! parameters and those of the URL add up.

use axum::{
    extract::{FromRequest, Request},
    response::Response,
};

use super::{
    RestState,
    body::{FORM, essence, media_type, whole},
    error::RestError,
    extract::{Parameters, Path, encoded},
    listing::Listing,
    negotiate,
};
use crate::{
    fhir::types,
    interaction::{Failure, search::Place},
};

/// `GET [base]/[type]?…`
pub async fn kind(listing: Listing, Path(kind): Path<String>) -> Result<Response, RestError> {
    listing.search(&Place::Type(kind)).await
}

/// `POST [base]/[type]/_search`
pub async fn kind_form(listing: Listing, path: Path<String>, Form(form): Form) -> Result<Response, RestError> {
    kind(listing.with(form), path).await
}

/// `GET [base]?…`
pub async fn system(listing: Listing) -> Result<Response, RestError> {
    listing.search(&Place::System).await
}

/// `POST [base]/_search`
pub async fn system_form(listing: Listing, Form(form): Form) -> Result<Response, RestError> {
    system(listing.with(form)).await
}

/// Compartment, its id, and the type that is searched in it.
type Member = (String, String, String);

/// `GET [base]/[compartment]/[id]/[type]?…`; `*` for all types.
pub async fn compartment(listing: Listing, Path(path): Path<Member>) -> Result<Response, RestError> {
    let place = place(&listing.state, path)?;
    listing.search(&place).await
}

/// `POST [base]/[compartment]/[id]/[type]/_search`
pub async fn compartment_form(listing: Listing, path: Path<Member>, Form(form): Form) -> Result<Response, RestError> {
    compartment(listing.with(form), path).await
}

fn place(state: &RestState, (compartment, id, member): Member) -> Result<Place, Failure> {
    let kind = (member != "*").then_some(member);
    let is_known = types::is_id(&id) && kind.as_deref().is_none_or(types::is_resource);
    if !is_known || !state.engine.parameters.compartments().contains(&compartment.as_str()) {
        return Err(Failure::NotFound);
    }
    Ok(Place::Compartment { compartment, id, kind })
}

/// The body of a `POST …/_search`: `application/x-www-form-urlencoded`, or nothing.
pub struct Form(pub Parameters);

impl FromRequest<RestState> for Form {
    type Rejection = RestError;

    async fn from_request(request: Request, state: &RestState) -> Result<Self, RestError> {
        let essence = essence(media_type(request.headers()));
        let extensions = request.extensions().clone();
        let bytes = whole(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(Vec::new()));
        }
        if essence != FORM {
            let text = format!("a search is posted as {FORM}, not as '{essence}'");
            return Err(RestError::UnsupportedMediaType(text));
        }
        // As of a URL, for both say the same.
        encoded("form", &bytes)?;
        Ok(Self(negotiate::take(form_urlencoded::parse(&bytes).into_owned().collect(), &extensions)))
    }
}
