//! delete: `DELETE [base]/[type]/[id]` (FHIR R4 http.html#delete).
//!
//! | situation | answer |
//! |---|---|
//! | deleted; was deleted; was never there or not for this caller | 204 |
//! | `If-Match` names another version | 412 |
//! | shared data, from a launch | 403 |
//!
//! Deletes notify nobody (HALO names create and modify only), so they commit in one ordinary transaction.

use super::{
    Engine, Failure,
    validate::Verdict,
    write::{self, Expected, Op, Planned, Written},
};
use crate::access::{Caller, Permit};

/// Deletes `kind/id`.
pub async fn delete(
    engine: &Engine,
    caller: &Caller,
    permit: Permit,
    kind: &str,
    id: &str,
    if_match: Option<i64>,
) -> Result<Written, Failure> {
    let expected = if_match.map(Expected::Version);
    let op = Op::Delete { kind: kind.to_owned(), id: id.to_owned(), expected };
    write::one(engine, caller, Planned::alone(permit, op), Verdict::of_a_delete()).await
}
