//! The histories of an instance, a type and the system (FHIR R4 http.html#history).

use axum::response::Response;

use super::{error::RestError, extract::Path, listing::Listing};
use crate::interaction::history::Place;

/// `GET [base]/[type]/[id]/_history`
pub async fn of_instance(listing: Listing, Path((kind, id)): Path<(String, String)>) -> Result<Response, RestError> {
    listing.history(Place::Instance { kind: &kind, id: &id }).await
}

/// `GET [base]/[type]/_history`
pub async fn of_type(listing: Listing, Path(kind): Path<String>) -> Result<Response, RestError> {
    listing.history(Place::Type(&kind)).await
}

/// `GET [base]/_history`
pub async fn of_system(listing: Listing) -> Result<Response, RestError> {
    listing.history(Place::System).await
}
