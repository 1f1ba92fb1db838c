//! create: `POST [base]/[type]` (FHIR R4 http.html#create), conditional with `If-None-Exist`.
//!
//! | situation | answer |
//! |---|---|
//! | created | 201 |
//! | `If-None-Exist` matches one | 200, nothing made |
//! | `If-None-Exist` matches several | 412 |
//! | another create with the same condition waits for its PoC | waits, then 200 or 409 |
//! | against R4, the profile of its type or one it claims | 422, every issue |
//! | outside the patient of a `patient/` scope | 403 |
//!
//! An `id`, `meta.versionId` or `meta.lastUpdated` in the body is ignored.

use super::{
    Engine, Failure,
    condition::Condition,
    validate,
    write::{self, Op, Planned, Written},
};
use crate::{
    access::{Caller, Permit},
    fhir::resource::Resource,
};

/// Creates `resource`, or finds the one that `condition` names.
pub async fn create(
    engine: &Engine,
    caller: &Caller,
    permit: Permit,
    resource: Resource,
    condition: Option<Condition>,
) -> Result<Written, Failure> {
    let verdict = validate::one(engine, &resource).await?;
    write::one(
        engine,
        caller,
        Planned::alone(permit, Op::Create { resource, condition: condition.map(Box::new), only_new: false }),
        verdict,
    )
    .await
}
