//! From a write that is named by a condition, or that changes what is stored, to one of a known resource with known content.
//!
//! Nothing is locked here: what was seen goes into the write as [`Expected::Seen`], and when another writer was first, the
//! write is [`Failure::Overtaken`] and all is settled anew. So a patch is never applied to what is no longer there, and of
//! two conditional updates of nothing one creates and the other updates.
//!
//! | situation | answer |
//! |---|---|
//! | conditional update: one match, and no id in the body or the same | 200, updated |
//! | conditional update: one match, another id in the body | 400 |
//! | conditional update: no match, no id in the body | 201, created |
//! | conditional update: no match, an id in the body | update-as-create, or its refusal; 409 when the id is in use |
//! | conditional delete: no match | 204 |
//! | conditional patch: no match | 404 |
//! | several matches | 412 |
//! | `If-Match` names another version | 412 |
//! | the patch is no patch; it does not fit the resource | 400; 422 |
//! | the patched resource does not conform | 422; why, only to who may read it |

use std::collections::{BTreeMap, HashSet};

use super::{
    Engine, Failure, Stored,
    condition::{self, Condition},
    read::{self, parsed},
    subscription::show::View,
    validate::{self, Verdict},
    write::{self, Expected, Op, Planned, Written},
};
use crate::{
    access::{Act, Caller, Permit, authorize},
    fhir::{
        outcome::{Issue, IssueType, Outcome},
        patch::Patch,
        resource::Resource,
    },
    store::resource::Current,
};

/// How often a write is settled anew at most. Whoever loses that often is told to try again.
const MOST_ATTEMPTS: usize = 50;

/// A write as it was asked for.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Of a known resource, or a create.
    Plain(Op),
    /// `PUT [type]?…`
    Update { condition: Condition, resource: Resource, if_match: Option<i64> },
    /// `DELETE [type]?…`
    Delete { condition: Condition, kind: String, if_match: Option<i64> },
    /// `PATCH [type]/[id]`, `PATCH [type]?…`
    Patch { kind: String, target: Target, patch: Box<Patch>, if_match: Option<i64> },
}

/// What a patch is for.
#[derive(Clone, Debug)]
pub enum Target {
    Id(String),
    Condition(Box<Condition>),
}

/// A write with its leave, and where it stands in the request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub permit: Permit,
    pub ask: Ask,
    /// See [`Planned::full_url`].
    pub full_url: Option<String>,
    /// See [`Planned::at`].
    pub at: Option<String>,
    /// See [`Planned::lookups`].
    pub lookups: BTreeMap<String, Condition>,
}

impl Asked {
    /// A write that is no Bundle entry.
    pub const fn alone(permit: Permit, ask: Ask) -> Self {
        Self { permit, ask, full_url: None, at: None, lookups: BTreeMap::new() }
    }

    fn planned(&self, op: Op) -> Planned {
        Planned {
            permit: self.permit.clone(),
            op,
            full_url: self.full_url.clone(),
            at: self.at.clone(),
            lookups: self.lookups.clone(),
        }
    }
}

/// Does one write, as often anew as others are first.
pub async fn write(engine: &Engine, caller: &Caller, asked: Asked, verdict: Verdict) -> Result<Written, Failure> {
    write_all(engine, caller, &[asked], verdict).await?.pop().ok_or(Failure::Internal)
}

/// Does all writes or none, as often anew as others are first.
pub async fn write_all(
    engine: &Engine,
    caller: &Caller,
    asked: &[Asked],
    verdict: Verdict,
) -> Result<Vec<Written>, Failure> {
    for _ in 0..MOST_ATTEMPTS {
        let mut planned = Vec::with_capacity(asked.len());
        let mut advice = Vec::with_capacity(asked.len());
        for one in asked {
            let settled = settle(engine, caller, &one.permit, &one.ask).await;
            let (op, issues) = settled.map_err(|failure| write::located(failure, one.at.as_deref()))?;
            let mut plan = one.planned(op);
            // Those of what a transaction's patch makes are known only now.
            if let (Ask::Patch { .. }, Some(_), Some(patched)) = (&one.ask, &one.at, plan.op.resource()) {
                let parse = |kind: &str, query: &str| Condition::parse(engine, caller, kind, query);
                let lookups = condition::references(patched, &parse);
                plan.lookups = lookups.map_err(|failure| write::located(failure, one.at.as_deref()))?;
            }
            planned.push(plan);
            advice.push(issues);
        }
        match write::write(engine, caller, planned, verdict.clone()).await {
            Err(Failure::Overtaken) => {}
            Err(failure) => return Err(failure),
            Ok(mut written) => {
                // It is advice on content that may not have come from the client.
                for (written, issues) in written.iter_mut().zip(advice).filter(|(written, _)| written.is_shown) {
                    written.advice.extend(issues);
                }
                return Ok(written);
            }
        }
    }
    Err(Failure::Overtaken)
}

/// The write that is meant at this moment, and what its client should know of the new content.
async fn settle(engine: &Engine, caller: &Caller, permit: &Permit, ask: &Ask) -> Result<(Op, Vec<Issue>), Failure> {
    match ask {
        Ask::Plain(op) => Ok((op.clone(), Vec::new())),
        Ask::Update { condition, resource, if_match } => {
            let op = match only(engine, caller, condition).await? {
                Some(row) => of_the_match(resource, row, *if_match)?,
                None => of_nothing(caller, condition, resource, *if_match)?,
            };
            Ok((op, Vec::new()))
        }
        Ask::Delete { condition, kind, if_match } => {
            let Some(row) = only(engine, caller, condition).await? else {
                return if if_match.is_some() { Err(nothing_to_match()) } else { Ok((Op::Nothing, Vec::new())) };
            };
            check_version(row.version, *if_match)?;
            let expected = Some(Expected::Seen(row.version));
            Ok((Op::Delete { kind: kind.clone(), id: row.id, expected }, Vec::new()))
        }
        Ask::Patch { kind, target, patch, if_match } => {
            patched(engine, caller, permit, kind, target, patch, *if_match).await
        }
    }
}

/// The only match, or none.
async fn only(engine: &Engine, caller: &Caller, condition: &Condition) -> Result<Option<Current>, Failure> {
    let mut conn = engine.reader(&caller.wall()).await?;
    condition.only(&mut conn, engine, &HashSet::new()).await
}

fn of_the_match(resource: &Resource, row: Current, if_match: Option<i64>) -> Result<Op, Failure> {
    if let Some(own) = resource.id().filter(|own| *own != row.id) {
        let text = format!("the condition matches a resource with another id than the body's, '{own}'");
        return Err(Failure::bad_request(IssueType::Value, text));
    }
    check_version(row.version, if_match)?;
    let expected = Some(Expected::Seen(row.version));
    Ok(Op::Update { id: row.id, resource: resource.clone(), expected })
}

fn of_nothing(
    caller: &Caller,
    condition: &Condition,
    resource: &Resource,
    if_match: Option<i64>,
) -> Result<Op, Failure> {
    if if_match.is_some() {
        return Err(nothing_to_match());
    }
    match resource.id() {
        Some(id) => Ok(Op::Update { id, resource: resource.clone(), expected: Some(Expected::Unused) }),
        None => {
            // It creates, so it needs leave to.
            authorize(caller, Act::Create { kind: resource.type_name(), conditional: true })?;
            Ok(Op::Create { resource: resource.clone(), condition: Some(Box::new(condition.clone())), only_new: true })
        }
    }
}

async fn patched(
    engine: &Engine,
    caller: &Caller,
    permit: &Permit,
    kind: &str,
    target: &Target,
    patch: &Patch,
    if_match: Option<i64>,
) -> Result<(Op, Vec<Issue>), Failure> {
    let row = match target {
        Target::Condition(condition) => only(engine, caller, condition).await?.ok_or(Failure::NotFound)?,
        Target::Id(id) => {
            let mut conn = engine.reader(permit.wall()).await?;
            read::visible(engine, &mut conn, permit, kind, id).await?
        }
    };
    let body = row.body.clone().ok_or(Failure::Gone)?;
    let before = parsed(engine, &body)?;
    // What cannot be changed is not tested against either.
    write::check_change(engine, permit, &row, Some(&before))?;
    check_version(row.version, if_match)?;
    let stored = Stored { kind: kind.to_owned(), id: row.id.clone(), version: row.version, updated: row.updated, body };
    let sees = read::may_see(engine, caller, row.tenant, &stored);
    let before = as_seen(engine, permit, &stored, before).await?;
    let result = match applied(engine, patch, before).await {
        Ok(after) => validate::one(engine, &after).await.map(|verdict| (after, verdict)),
        Err(failure) => Err(failure),
    };
    let (after, verdict) = result.map_err(|failure| if sees { failure } else { without_content(failure) })?;
    // With a version of its own, the client is told when another writer was first.
    let expected = Some(if_match.map_or(Expected::Seen(row.version), Expected::Version));
    let advice = verdict.into_advice();
    Ok((Op::Update { id: row.id, resource: after, expected }, advice))
}

/// Why a patch fails, for who may not see what it was applied to: the texts tell of the content.
fn without_content(failure: Failure) -> Failure {
    match failure {
        Failure::Unprocessable(_) => {
            let text = "the patch does not fit the resource, or what it makes of it does not conform; \
                        why is told to those only who may read the resource";
            Failure::Unprocessable(Outcome::error(IssueType::Processing, text))
        }
        other => other,
    }
}

/// What is patched is what its owner reads: a Subscription with its headers in the clear, or the patch would store the
/// masks in their place.
async fn as_seen(engine: &Engine, permit: &Permit, stored: &Stored, document: Resource) -> Result<Resource, Failure> {
    if stored.kind != "Subscription" {
        return Ok(document);
    }
    let mut conn = engine.reader(permit.wall()).await?;
    let view = View::of(&mut conn, engine, permit, &stored.kind, &stored.id).await?;
    parsed(engine, &view.body(stored.version, stored.body.clone()))
}

/// Patches whose document or own text is longer are applied on a thread of their own, so that they delay nobody else.
const LONG: usize = 32 * 1024;

async fn applied(engine: &Engine, patch: &Patch, before: Resource) -> Result<Resource, Failure> {
    let limits = engine.limits();
    let after = if before.text().len() + patch.len() <= LONG {
        patch.apply(&before, &limits)
    } else {
        let patch = patch.clone();
        let work = tokio::task::spawn_blocking(move || patch.apply(&before, &limits));
        work.await.map_err(|error| {
            tracing::error!(%error, "a patch ended without a result");
            Failure::Internal
        })?
    };
    Ok(after?)
}

fn check_version(current: i64, if_match: Option<i64>) -> Result<(), Failure> {
    write::check_version(current, if_match.map(Expected::Version))
}

fn nothing_to_match() -> Failure {
    Failure::PreconditionFailed(Outcome::error(
        IssueType::Conflict,
        "If-Match names a version, but the condition matches nothing",
    ))
}
