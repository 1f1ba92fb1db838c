//! Operations: `$set-context`, `$clear-context`, `$validate`, and `$status` and `$events` of Subscriptions.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::{
    RestState,
    body::{FhirBody, OptionalBody},
    caller::Authenticated,
    error::RestError,
    extract::{Parameters as Inputs, Path, Query},
    reply,
};
use crate::{
    access::{Act, Denied, authorize},
    context::{clear, set},
    fhir::{outcome::IssueType, resource::Resource},
    interaction::{
        Failure, subscription,
        validate::{self, Mode, Question},
    },
};

/// Longest `Idempotency-Key`.
const MAX_KEY_LENGTH: usize = 255;

/// `POST [base]/$set-context`
pub async fn set_context(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    headers: HeaderMap,
    FhirBody(body): FhirBody,
) -> Result<Response, RestError> {
    let permit = authorize(&caller, Act::SetContext)?;
    let idempotency_key = match headers.get("idempotency-key").map(|value| value.to_str()) {
        None => None,
        Some(Ok(key)) if (1..=MAX_KEY_LENGTH).contains(&key.len()) => Some(key),
        Some(_) => {
            let text = format!("an Idempotency-Key has 1 to {MAX_KEY_LENGTH} printable ASCII characters");
            return Err(Failure::bad_request(IssueType::Value, text).into());
        }
    };
    let answer = set::set(&state.engine, &caller, &permit, set::Request { body: &body, idempotency_key }).await?;
    Ok(reply::json(StatusCode::OK, answer))
}

/// `POST [base]/$clear-context`
pub async fn clear_context(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    FhirBody(body): FhirBody,
) -> Result<Response, RestError> {
    let permit = authorize(&caller, Act::ClearContext)?;
    Ok(reply::json(StatusCode::OK, clear::clear(&state.engine, &caller, &permit, &body).await?))
}

/// `POST [base]/[type]/$validate` with a resource, or with Parameters (`resource`, `mode`, `profile`). It tells nothing that
/// the caller did not send, so any token will do.
pub async fn validate_type(
    State(state): State<RestState>,
    Authenticated(_): Authenticated,
    Path(kind): Path<String>,
    Query(inputs): Query<Inputs>,
    body: OptionalBody,
) -> Result<Response, RestError> {
    let asked = Asked::read(&state, &kind, inputs, body.0)?;
    let outcome = validate::type_level(&state.engine, &kind, asked.question()).await?;
    Ok(reply::outcome(StatusCode::OK, &outcome))
}

/// `POST [base]/[type]/[id]/$validate`: the resource that was sent as the next version, or the stored one.
pub async fn validate_instance(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Path((kind, id)): Path<(String, String)>,
    Query(inputs): Query<Inputs>,
    body: OptionalBody,
) -> Result<Response, RestError> {
    let asked = Asked::read(&state, &kind, inputs, body.0)?;
    let permit = authorize(&caller, Act::Read { kind: &kind, id: &id })?;
    if asked.mode == Mode::Delete
        && let Err(Denied(outcome)) = authorize(&caller, Act::Delete { kind: &kind })
    {
        return Ok(reply::outcome(StatusCode::OK, &outcome));
    }
    let outcome = validate::instance_level(&state.engine, &permit, (&kind, &id), asked.question()).await?;
    Ok(reply::outcome(StatusCode::OK, &outcome))
}

/// `GET [base]/[type]/[id]/$validate`: the stored resource.
pub async fn validate_stored(
    state: State<RestState>,
    caller: Authenticated,
    path: Path<(String, String)>,
    inputs: Query<Inputs>,
) -> Result<Response, RestError> {
    validate_instance(state, caller, path, inputs, OptionalBody(None)).await
}

/// What a `$validate` request says, in its query or its Parameters.
struct Asked {
    resource: Option<Resource>,
    mode: Mode,
    profile: Option<String>,
}

impl Asked {
    fn read(state: &RestState, kind: &str, inputs: Inputs, body: Option<Resource>) -> Result<Self, Failure> {
        let mut asked = Self { resource: None, mode: Mode::default(), profile: None };
        for (name, value) in inputs {
            asked.take(&name, &value)?;
        }
        let Some(body) = body else { return Ok(asked) };
        let parameters: Vec<_> = body.root().at("parameter");
        let is_request = body.type_name() == "Parameters"
            && (kind != "Parameters" || parameters.iter().any(|one| one.str("name").as_deref() == Some("resource")));
        if !is_request {
            asked.resource = Some(body);
            return Ok(asked);
        }
        for (index, parameter) in parameters.into_iter().enumerate() {
            let name = parameter.str("name").unwrap_or_default();
            let value =
                parameter.members().find(|(key, _)| key.starts_with("value")).and_then(|(_, value)| value.as_str());
            match (&*name, parameter.get("resource"), value) {
                ("resource", Some(resource), _) => {
                    let parsed = Resource::parse(resource.raw(), &state.engine.limits());
                    asked.resource =
                        Some(parsed.map_err(|issue| {
                            Failure::from(issue.at(format!("Parameters.parameter[{index}].resource")))
                        })?);
                }
                (name, None, Some(value)) => asked.take(name, &value)?,
                _ => {
                    let text = format!("parameter[{index}]: expected resource, mode or profile");
                    return Err(Failure::bad_request(IssueType::Structure, text));
                }
            }
        }
        Ok(asked)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        match name {
            "mode" => self.mode = Mode::parse(value)?,
            "profile" => self.profile = Some(value.to_owned()),
            // How the answer is written is negotiated elsewhere.
            "_format" | "_pretty" => {}
            _ => {
                let text = format!("$validate has no parameter '{name}': expected resource, mode or profile");
                return Err(Failure::bad_request(IssueType::NotSupported, text));
            }
        }
        Ok(())
    }

    fn question(&self) -> Question<'_> {
        Question { resource: self.resource.clone(), mode: self.mode, profile: self.profile.as_deref() }
    }
}

/// `GET [base]/Subscription/$status?id=…&status=…`
pub async fn statuses_get(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Query(inputs): Query<Inputs>,
) -> Result<Response, RestError> {
    let permit = authorize(&caller, Act::Read { kind: "Subscription", id: "" })?;
    Ok(reply::json(StatusCode::OK, subscription::statuses(&state.engine, &permit, &inputs).await?))
}

/// `POST [base]/Subscription/$status`
pub async fn statuses_post(
    state: State<RestState>,
    caller: Authenticated,
    body: OptionalBody,
) -> Result<Response, RestError> {
    statuses_get(state, caller, Query(inputs(body)?)).await
}

/// `GET|POST [base]/Subscription/[id]/$status`; parameters are ignored at this level.
pub async fn status(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
) -> Result<Response, RestError> {
    let permit = authorize(&caller, Act::Read { kind: "Subscription", id: &id })?;
    Ok(reply::json(StatusCode::OK, subscription::status(&state.engine, &permit, &id).await?))
}

/// `GET [base]/Subscription/[id]/$events?eventsSinceNumber=…&eventsUntilNumber=…&content=…`
pub async fn events_get(
    State(state): State<RestState>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
    Query(inputs): Query<Inputs>,
) -> Result<Response, RestError> {
    let permit = authorize(&caller, Act::Read { kind: "Subscription", id: &id })?;
    Ok(reply::json(StatusCode::OK, subscription::events(&state.engine, &permit, &id, &inputs).await?))
}

/// `POST [base]/Subscription/[id]/$events`
pub async fn events_post(
    state: State<RestState>,
    caller: Authenticated,
    id: Path<String>,
    body: OptionalBody,
) -> Result<Response, RestError> {
    events_get(state, caller, id, Query(inputs(body)?)).await
}

fn inputs(OptionalBody(body): OptionalBody) -> Result<Inputs, Failure> {
    body.as_ref().map_or_else(|| Ok(Vec::new()), subscription::inputs)
}
