//! Operations on records: `Patient/[id]/$everything` and `$meta`, `$meta-add`, `$meta-delete` of every type.
//!
//! | situation | answer |
//! |---|---|
//! | `$everything` | a searchset: the compartment, with what it refers to, in pages |
//! | `start`, `end` | 400: not offered; `_since`, `_type`, `_count` are |
//! | `$meta-add`, `$meta-delete` | 200; a new version, told to the PoC as an update |
//! | the resource is unknown, or not for this caller | 404 |

use axum::{extract::State, http::StatusCode, response::Response};

use super::{
    RestState,
    body::FhirBody,
    caller::Authenticated,
    error::RestError,
    extract::{Parameters, Path, Query},
    reply,
    writing::Writing,
};
use crate::{
    access::{Act, authorize},
    fhir::{
        outcome::IssueType,
        patch::{Patch, Refused},
        search::Handling,
    },
    interaction::{
        Failure, read,
        search::{Place, search},
        settle::{self, Ask, Asked, Target},
        validate::Verdict,
    },
};

/// `GET [base]/Patient/[id]/$everything` (FHIR R4 patient-operation-everything.html)
pub async fn everything(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    Query(query): Query<Parameters>,
) -> Result<Response, RestError> {
    let permit = authorize(&caller, Act::Read { kind: "Patient", id: &id })?;
    read::read(&state.engine, &permit, "Patient", &id).await?;
    let mut pairs = vec![("_include".to_owned(), "*".to_owned())];
    for (name, value) in query {
        match name.as_str() {
            "_type" | "_count" => pairs.push((name, value)),
            "_since" => pairs.push(("_lastUpdated".to_owned(), format!("ge{value}"))),
            _ => {
                let text = format!("$everything has no parameter '{name}' here: expected _since, _type or _count");
                return Err(Failure::bad_request(IssueType::NotSupported, text).into());
            }
        }
    }
    let place = Place::Compartment { compartment: "Patient".to_owned(), id, kind: None };
    Ok(reply::json(StatusCode::OK, search(&state.engine, &caller, &place, &pairs, Handling::Strict).await?))
}

/// `GET [base]/[type]/[id]/$meta` (FHIR R4 resource-operation-meta.html)
pub async fn meta(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Path((kind, id)): Path<(String, String)>,
) -> Result<Response, RestError> {
    let permit = authorize(&caller, Act::Read { kind: &kind, id: &id })?;
    let stored = read::read(&state.engine, &permit, &kind, &id).await?;
    told(&state, &stored.body)
}

/// `POST [base]/[type]/[id]/$meta-add`
pub async fn meta_add(
    writing: Writing,
    Path((kind, id)): Path<(String, String)>,
    FhirBody(body): FhirBody,
) -> Result<Response, RestError> {
    changed(&writing, (kind, id), Patch::meta(&body, true)).await
}

/// `POST [base]/[type]/[id]/$meta-delete`
pub async fn meta_delete(
    writing: Writing,
    Path((kind, id)): Path<(String, String)>,
    FhirBody(body): FhirBody,
) -> Result<Response, RestError> {
    changed(&writing, (kind, id), Patch::meta(&body, false)).await
}

async fn changed(
    writing: &Writing,
    (kind, id): (String, String),
    patch: Result<Patch, Refused>,
) -> Result<Response, RestError> {
    let Writing { state, caller, .. } = writing;
    let permit = authorize(caller, Act::Update { kind: &kind })?;
    let patch = patch.map_err(|refused| match refused {
        Refused::Malformed(issue) | Refused::Unfitting(issue) => Failure::BadRequest(issue.into()),
    })?;
    let ask = Ask::Patch { kind, target: Target::Id(id), patch: Box::new(patch), if_match: writing.if_match()? };
    let written =
        settle::write(&state.engine, caller, Asked::alone(permit, ask), Verdict::of_settled_content()).await?;
    told(state, &written.stored.map(|stored| stored.body).unwrap_or_default())
}

/// The `meta` of a stored version, as Parameters.
fn told(state: &RestState, body: &str) -> Result<Response, RestError> {
    let resource = read::parsed(&state.engine, body)?;
    let meta = resource.root().get("meta").map_or("{}", |meta| meta.raw());
    let text =
        format!("{{\"resourceType\":\"Parameters\",\"parameter\":[{{\"name\":\"return\",\"valueMeta\":{meta}}}]}}");
    Ok(reply::json(StatusCode::OK, text))
}
