//! From what was asked to what will be stored: ids, versions, conditions, references. Nothing is written here.

use std::collections::{HashMap, HashSet};

use time::OffsetDateTime;

use super::{
    Expected, Fate, Op, Planned, Written,
    references::{self, Touched},
};
use crate::{
    access::Permit,
    config::UpdateCreate,
    fhir::{
        outcome::{Issue, IssueType, Outcome},
        reference,
        resource::Resource,
    },
    id,
    interaction::{
        Engine, Failure, Stored,
        condition::Condition,
        read::{outside_the_limit, parsed},
    },
    store::{
        Tx,
        resource::{self as store, Current},
    },
    subscription::change::{Change, Method},
};

/// Final changes: their ids, versions and content will not change any more.
#[derive(Debug, Default)]
pub struct Resolved {
    /// One per planned write, in order.
    pub written: Vec<Written>,
    /// What has to be stored; conditional creates that found something and deletes of nothing are not among them.
    pub changes: Vec<Change>,
}

/// Where one planned write goes.
enum Target {
    New { id: String },
    Next { row: Current, before: Option<Resource> },
    Found { row: Current },
    Nothing,
}

/// Planned writes of which everything is known but the time.
pub struct Prepared<'p> {
    planned: &'p [Planned],
    targets: Vec<Target>,
    /// What each will store; `None`: nothing.
    contents: Vec<Option<Resource>>,
}

/// Resolves all planned writes against the stored state, locking the rows they will replace. Their [`super::Keys`] must
/// be held already: otherwise a condition could be answered before the write that changes the answer.
pub async fn resolve(
    tx: &mut Tx,
    engine: &Engine,
    planned: &[Planned],
    now: OffsetDateTime,
) -> Result<Resolved, Failure> {
    prepare(tx, engine, planned, now).await?.at(engine, now)
}

/// All of [`resolve`] that asks the store.
pub async fn prepare<'p>(
    tx: &mut Tx,
    engine: &Engine,
    planned: &'p [Planned],
    now: OffsetDateTime,
) -> Result<Prepared<'p>, Failure> {
    // Deletes come first (http.html#trules): no condition finds what goes in the same request.
    let mut deleted: HashMap<&str, HashSet<&str>> = HashMap::new();
    for plan in planned {
        if let Op::Delete { kind, id, .. } = &plan.op {
            deleted.entry(kind).or_default().insert(id);
        }
    }
    let mut targets = Vec::with_capacity(planned.len());
    for plan in planned {
        let target =
            target(tx, engine, plan, &deleted).await.map_err(|failure| located(failure, plan.at.as_deref()))?;
        targets.push(target);
    }
    check_identities(planned, &targets)?;
    let mut contents = contents(engine, planned, &targets)?;
    if planned.iter().any(|plan| !plan.lookups.is_empty()) {
        let found = {
            let touched = touched(planned, &targets, &contents);
            references::resolve(tx, engine, planned, &touched, now).await?
        };
        for content in contents.iter_mut().flatten() {
            *content = content.edited(reference::replacements(content, &found), &engine.limits())?;
        }
    }
    Ok(Prepared { planned, targets, contents })
}

impl Prepared<'_> {
    /// Whether anything will be created or updated.
    pub fn brings_content(&self) -> bool {
        self.contents.iter().any(Option::is_some)
    }

    /// The final changes, made at this time.
    pub fn at(self, engine: &Engine, now: OffsetDateTime) -> Result<Resolved, Failure> {
        let mut resolved = Resolved::default();
        for ((plan, target), content) in self.planned.iter().zip(self.targets).zip(self.contents) {
            let written = finish(engine, plan, target, content, now, &mut resolved)
                .map_err(|failure| located(failure, plan.at.as_deref()))?;
            resolved.written.push(written);
        }
        Ok(resolved)
    }
}

/// The failure of one entry as that of its Bundle: the entry is named.
pub fn located(failure: Failure, at: Option<&str>) -> Failure {
    let Some(at) = at else { return failure };
    match failure {
        // Inside a Bundle a 404 or 410 would be read as the Bundle's own.
        Failure::NotFound | Failure::Gone => {
            Failure::BadRequest(Outcome::error(IssueType::NotFound, "no such resource").at(at))
        }
        Failure::BadRequest(outcome) => Failure::BadRequest(outcome.at(at)),
        Failure::Forbidden(outcome) => Failure::Forbidden(outcome.at(at)),
        Failure::NotAllowed(outcome) => Failure::NotAllowed(outcome.at(at)),
        Failure::Conflict(outcome) => Failure::Conflict(outcome.at(at)),
        Failure::PreconditionFailed(outcome) => Failure::PreconditionFailed(outcome.at(at)),
        Failure::Unprocessable(outcome) => Failure::Unprocessable(outcome.at(at)),
        other => other,
    }
}

async fn target(
    tx: &mut Tx,
    engine: &Engine,
    plan: &Planned,
    deleted: &HashMap<&str, HashSet<&str>>,
) -> Result<Target, Failure> {
    match &plan.op {
        Op::Create { condition, only_new, .. } => created(tx, engine, condition.as_deref(), *only_new, deleted).await,
        Op::Nothing => Ok(Target::Nothing),
        Op::Update { id, resource, expected } => updated(tx, engine, &plan.permit, resource, id, *expected).await,
        Op::Delete { kind, id, expected } => removed(tx, engine, &plan.permit, kind, id, *expected).await,
    }
}

async fn created(
    tx: &mut Tx,
    engine: &Engine,
    condition: Option<&Condition>,
    only_new: bool,
    deleted: &HashMap<&str, HashSet<&str>>,
) -> Result<Target, Failure> {
    if let Some(condition) = condition {
        let none = HashSet::new();
        let goes = deleted.get(condition.kind()).unwrap_or(&none);
        match condition.only(tx.conn(), engine, goes).await? {
            Some(_) if only_new => return Err(Failure::Overtaken),
            Some(row) => return Ok(Target::Found { row }),
            None => {}
        }
    }
    Ok(Target::New { id: id::new_uuid().to_string() })
}

async fn updated(
    tx: &mut Tx,
    engine: &Engine,
    permit: &Permit,
    resource: &Resource,
    id: &str,
    expected: Option<Expected>,
) -> Result<Target, Failure> {
    let kind = resource.type_name();
    let row = changeable(tx, engine, permit, kind, id).await?;
    let Some((row, before)) = row else {
        match expected {
            Some(Expected::Version(_)) => return Err(nothing_stored()),
            Some(Expected::Seen(_)) => return Err(Failure::Overtaken),
            Some(Expected::Nothing | Expected::Unused) | None => {}
        }
        return update_as_create(tx, engine, permit, kind, id).await;
    };
    match expected {
        Some(Expected::Nothing) if before.is_some() => {
            let text = format!("If-None-Match wants a new resource; this one has version {}", row.version);
            return Err(Failure::precondition(IssueType::Conflict, text));
        }
        Some(Expected::Unused) if before.is_some() => {
            let text = "the condition matches nothing, but a resource with the body's id exists";
            return Err(Failure::Conflict(Outcome::error(IssueType::Duplicate, text)));
        }
        other => check_version(row.version, other)?,
    }
    Ok(Target::Next { row, before })
}

async fn update_as_create(
    tx: &mut Tx,
    engine: &Engine,
    permit: &Permit,
    kind: &str,
    id: &str,
) -> Result<Target, Failure> {
    let tenant = permit.owner().tenant;
    let allowed = match engine.config.fhir.update_create {
        UpdateCreate::Off => false,
        UpdateCreate::Shared => tenant == 0,
        UpdateCreate::All => true,
    };
    if !allowed {
        let text = "no such resource, and ids are given by the server: create it with POST";
        return Err(Failure::NotAllowed(Outcome::error(IssueType::NotSupported, text)));
    }
    if store::is_taken(tx.conn(), tenant, kind, id).await? {
        return Err(Failure::Conflict(Outcome::error(IssueType::Conflict, "this id cannot be used")));
    }
    Ok(Target::New { id: id.to_owned() })
}

async fn removed(
    tx: &mut Tx,
    engine: &Engine,
    permit: &Permit,
    kind: &str,
    id: &str,
    expected: Option<Expected>,
) -> Result<Target, Failure> {
    match changeable(tx, engine, permit, kind, id).await {
        Ok(Some((row, before))) => {
            check_version(row.version, expected)?;
            Ok(if before.is_some() { Target::Next { row, before } } else { Target::Nothing })
        }
        Ok(None) if matches!(expected, Some(Expected::Version(_))) => Err(nothing_stored()),
        Ok(None) | Err(Failure::Gone) => Ok(Target::Nothing),
        Err(other) => Err(other),
    }
}

/// The row, locked, if this caller may see and change it; its content, unless deleted.
async fn changeable(
    tx: &mut Tx,
    engine: &Engine,
    permit: &Permit,
    kind: &str,
    id: &str,
) -> Result<Option<(Current, Option<Resource>)>, Failure> {
    let Some(row) = store::current_for_update(tx, permit.visible(), kind, id).await? else { return Ok(None) };
    if row.purged {
        return Err(Failure::Gone);
    }
    let before = row.body.as_deref().map(|body| parsed(engine, body)).transpose()?;
    if let Some(before) = &before
        && !permit.shows(row.tenant, before, id, &engine.base)
    {
        let is_known = permit.knows(row.tenant, before, id, &engine.base);
        return if is_known { Err(outside_the_limit()) } else { Ok(None) };
    }
    check_change(engine, permit, &row, before.as_ref())?;
    Ok(Some((row, before)))
}

/// Whether what this caller may see is also its to change.
pub fn check_change(engine: &Engine, permit: &Permit, row: &Current, before: Option<&Resource>) -> Result<(), Failure> {
    if !permit.may_change(row.tenant) {
        let text = "this is data of the jurisdiction; it can be read here, not changed";
        return Err(Failure::Forbidden(Outcome::error(IssueType::Forbidden, text)));
    }
    // What is shown but is outside the patient's compartment (Practitioner, Organization) is not changed either.
    if before.is_some_and(|before| !permit.may_write(row.tenant, before, &row.id, &engine.base)) {
        return Err(outside_the_limit());
    }
    Ok(())
}

fn nothing_stored() -> Failure {
    Failure::precondition(IssueType::Conflict, "If-Match names a version, but nothing is stored")
}

/// Whether the current version is the one that is expected: 412 if not, when the client named it.
pub fn check_version(current: i64, expected: Option<Expected>) -> Result<(), Failure> {
    match expected {
        Some(Expected::Seen(seen)) if seen != current => Err(Failure::Overtaken),
        Some(Expected::Version(expected)) if expected != current => {
            let text = format!("If-Match names version {expected}, the current version is {current}");
            Err(Failure::precondition(IssueType::Conflict, text))
        }
        _ => Ok(()),
    }
}

/// One identity may be written once in a request, also by conditions (http.html#trules). Equal keys were refused before.
fn check_identities(planned: &[Planned], targets: &[Target]) -> Result<(), Failure> {
    let mut seen = HashSet::new();
    for (plan, target) in planned.iter().zip(targets) {
        let identity = match target {
            Target::New { .. } | Target::Nothing => continue,
            Target::Next { row, .. } | Target::Found { row } => format!("{}/{}", row.r#type, row.id),
        };
        let repeated_find = matches!(target, Target::Found { .. });
        if !seen.insert(identity) && !repeated_find {
            let issue = Issue::error(IssueType::Duplicate, "the same resource is written twice in one request");
            return Err(Failure::BadRequest(issue.at(plan.at.clone().unwrap_or_default()).into()));
        }
    }
    Ok(())
}

fn full_urls(planned: &[Planned], targets: &[Target]) -> HashMap<String, String> {
    let of = |(plan, target): (&Planned, &Target)| {
        let kind = match &plan.op {
            Op::Create { resource, .. } | Op::Update { resource, .. } => resource.type_name(),
            Op::Delete { .. } | Op::Nothing => return None,
        };
        let id = match target {
            Target::New { id } => id,
            Target::Next { row, .. } | Target::Found { row } => &row.id,
            Target::Nothing => return None,
        };
        Some((plan.full_url.clone()?, format!("{kind}/{id}")))
    };
    planned.iter().zip(targets).filter_map(of).collect()
}

/// What each planned write will store, with the references to other entries in their final form.
fn contents(engine: &Engine, planned: &[Planned], targets: &[Target]) -> Result<Vec<Option<Resource>>, Failure> {
    let full_urls = full_urls(planned, targets);
    let of = |(plan, target): (&Planned, &Target)| match (plan.op.resource(), target) {
        (Some(resource), Target::New { .. } | Target::Next { .. }) => rewritten(engine, plan, resource, &full_urls)
            .map(Some)
            .map_err(|failure| located(failure, plan.at.as_deref())),
        _ => Ok(None),
    };
    planned.iter().zip(targets).map(of).collect()
}

fn touched<'a>(planned: &'a [Planned], targets: &'a [Target], contents: &'a [Option<Resource>]) -> Vec<Touched<'a>> {
    let of = |((plan, target), content): ((&'a Planned, &'a Target), &'a Option<Resource>)| {
        let id = match target {
            Target::New { id } => id,
            Target::Next { row, .. } => &row.id,
            Target::Found { .. } | Target::Nothing => return None,
        };
        let kind = match &plan.op {
            Op::Create { resource, .. } | Op::Update { resource, .. } => resource.type_name(),
            Op::Delete { kind, .. } => kind,
            Op::Nothing => return None,
        };
        Some(Touched { plan, kind, id, content: content.as_ref() })
    };
    planned.iter().zip(targets).zip(contents).filter_map(of).collect()
}

fn finish(
    engine: &Engine,
    plan: &Planned,
    target: Target,
    content: Option<Resource>,
    now: OffsetDateTime,
    resolved: &mut Resolved,
) -> Result<Written, Failure> {
    let owner = plan.permit.owner();
    let (tenant, id, version, fate, before) = match target {
        Target::Nothing => {
            return Ok(Written::of(Fate::Deleted, None, owner.tenant));
        }
        Target::Found { row } => {
            let body = row.body.unwrap_or_default();
            let stored = Stored { kind: row.r#type, id: row.id, version: row.version, updated: row.updated, body };
            return Ok(Written::of(Fate::Found, Some(stored), row.tenant));
        }
        Target::New { id } => (owner.tenant, id, 1, Fate::Created, None),
        Target::Next { row, before } => (row.tenant, row.id, row.version + 1, Fate::Updated, before),
    };
    let mut change = Change {
        tenant,
        context: owner.context,
        poc_client: owner.poc_client.clone(),
        kind: String::new(),
        id,
        version,
        updated: now,
        method: Method::Delete,
        after: None,
        body: None,
        before,
    };
    if let Op::Delete { kind, .. } = &plan.op {
        change.kind.clone_from(kind);
        resolved.changes.push(change);
        return Ok(Written::of(Fate::Deleted, None, tenant));
    }
    let after = content.ok_or(Failure::Internal)?;
    if !plan.permit.may_write(tenant, &after, &change.id, &engine.base) {
        return Err(outside_the_limit());
    }
    let body = after.stamped(&change.id, version, now);
    let stored =
        Stored { kind: after.type_name().to_owned(), id: change.id.clone(), version, updated: now, body: body.clone() };
    change.kind.clone_from(&stored.kind);
    change.method = if matches!(plan.op, Op::Create { .. }) { Method::Post } else { Method::Put };
    change.after = Some(after);
    change.body = Some(body);
    resolved.changes.push(change);
    Ok(Written::of(fate, Some(stored), tenant))
}

fn rewritten(
    engine: &Engine,
    plan: &Planned,
    resource: &Resource,
    full_urls: &HashMap<String, String>,
) -> Result<Resource, Failure> {
    if plan.at.is_none() {
        return Ok(resource.clone());
    }
    let edits = reference::rewrites(resource, full_urls, plan.full_url.as_deref().unwrap_or_default());
    Ok(resource.edited(edits, &engine.limits())?)
}
