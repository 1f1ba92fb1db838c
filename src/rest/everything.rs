//! Operations on records: `Patient/[id]/$everything` and `$meta`, `$meta-add`, `$meta-delete` of every type.
//!
//! | situation | answer |
//! |---|---|
//! | `$everything` | a searchset: the compartment, with what it refers to, in pages |
//! | a parameter that it has not | 400 |
//! | `$meta`, of the resource or of one of its versions | 200, that version's |
//! | `$meta-add`, `$meta-delete` | 200; a new version, told to the PoC as an update; without a body if it may not be read |
//! | the resource is unknown, or not for this caller | 404 |

use axum::{extract::State, http::StatusCode, response::Response};

use super::{
    RestState,
    body::{FhirBody, OptionalBody},
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
        subscription::inputs,
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
    read::check(&state.engine, &permit, "Patient", &id).await?;
    let bundle = search(&state.engine, &caller, &Place::Everything(id), &query, Handling::Strict).await?;
    Ok(reply::json(StatusCode::OK, bundle))
}

/// `POST [base]/Patient/[id]/$everything`: parameters of the URL and of the body add up.
pub async fn everything_post(
    state: State<RestState>,
    caller: Authenticated,
    id: Path<String>,
    Query(mut query): Query<Parameters>,
    OptionalBody(body): OptionalBody,
) -> Result<Response, RestError> {
    if let Some(body) = body {
        query.extend(inputs(&body)?);
    }
    everything(state, caller, id, Query(query)).await
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

/// `POST [base]/[type]/[id]/$meta`: it has no parameters there.
pub async fn meta_post(
    state: State<RestState>,
    caller: Authenticated,
    path: Path<(String, String)>,
    body: OptionalBody,
) -> Result<Response, RestError> {
    without_parameters(body)?;
    meta(state, caller, path).await
}

/// `GET [base]/[type]/[id]/_history/[vid]/$meta`
pub async fn version_meta(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Path((kind, id, version)): Path<(String, String, String)>,
) -> Result<Response, RestError> {
    let permit = authorize(&caller, Act::Read { kind: &kind, id: &id })?;
    let stored = read::vread(&state.engine, &permit, &kind, &id, &version).await?;
    told(&state, &stored.body)
}

/// `POST [base]/[type]/[id]/_history/[vid]/$meta`
pub async fn version_meta_post(
    state: State<RestState>,
    caller: Authenticated,
    path: Path<(String, String, String)>,
    body: OptionalBody,
) -> Result<Response, RestError> {
    without_parameters(body)?;
    version_meta(state, caller, path).await
}

fn without_parameters(OptionalBody(body): OptionalBody) -> Result<(), Failure> {
    let given = body.as_ref().map(inputs).transpose()?.unwrap_or_default();
    match given.first() {
        None => Ok(()),
        Some((name, _)) => {
            let text = format!("$meta of a resource or version has no parameters; found '{name}'");
            Err(Failure::bad_request(IssueType::NotSupported, text))
        }
    }
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
    if !written.is_shown {
        return Ok(writing.answer(written));
    }
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
