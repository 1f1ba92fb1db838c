//! update: `PUT [base]/[type]/[id]` (FHIR R4 http.html#update).
//!
//! | situation | answer |
//! |---|---|
//! | updated, or revived after a delete | 200, a new version |
//! | unknown id | 405, or 201 where `fhir.update_create` allows it |
//! | no `id` in the body, or another one | 400 |
//! | `If-Match` names another version, or nothing is there | 412 |
//! | `If-None-Match: *`, and something is there | 412 |
//! | against R4, the profile of its type or one it claims | 422, every issue |
//! | shared data, from a launch | 403 |
//! | another write of the resource waits for its PoC | waits, then as above, or 409 |

use super::{
    Engine, Failure, validate,
    write::{self, Expected, Op, Planned, Written},
};
use crate::{
    access::{Caller, Permit},
    fhir::{outcome::IssueType, resource::Resource},
};

/// Stores `resource` as the next version of `id`.
pub async fn update(
    engine: &Engine,
    caller: &Caller,
    permit: Permit,
    id: &str,
    resource: Resource,
    expected: Option<Expected>,
) -> Result<Written, Failure> {
    check_id(&resource, id)?;
    let verdict = validate::one(engine, &resource).await?;
    let op = Op::Update { id: id.to_owned(), resource, expected };
    write::one(engine, caller, Planned::alone(permit, op), verdict).await
}

/// The body's id must be the URL's (http.html#update).
pub fn check_id(resource: &Resource, id: &str) -> Result<(), Failure> {
    match resource.id() {
        Some(own) if own == id => Ok(()),
        Some(own) => {
            let text = format!("the body's id '{own}' is not the URL's id '{id}'");
            Err(Failure::bad_request(IssueType::Value, text))
        }
        None => Err(Failure::bad_request(IssueType::Required, format!("the body needs the id of the URL, '{id}'"))),
    }
}
