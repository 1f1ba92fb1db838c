//! read and vread: `GET [base]/[type]/[id]` and `GET [base]/[type]/[id]/_history/[vid]` (FHIR R4 http.html#read).
//!
//! | situation | answer |
//! |---|---|
//! | visible | the version |
//! | unknown, or not for this caller | 404 |
//! | deleted, or purged by `$clear-context` | 410 |
//! | no such version | 404 |

use sqlx::PgConnection;

use super::{Engine, Failure, Stored, subscription::show::View};
use crate::{
    access::{
        Act, Caller, Permit,
        audit::{Patients, Seen},
        authorize,
    },
    fhir::{
        outcome::{IssueType, Outcome},
        resource::Resource,
        search::Summary,
        subset::{Keep, subset},
    },
    store::resource::{self as store, Current},
};

/// The current version.
pub async fn read(engine: &Engine, permit: &Permit, kind: &str, id: &str) -> Result<Stored, Failure> {
    let mut conn = engine.reader(permit.wall()).await?;
    let row = visible(engine, &mut conn, permit, kind, id).await?;
    let Some(body) = row.body.as_deref() else { return Err(Failure::Gone) };
    let body = View::of(&mut conn, engine, permit, kind, id).await?.body(row.version, body.to_owned());
    note(engine, permit, "read", format!("{kind}/{id}"), &row, &body);
    Ok(Stored { kind: row.r#type, id: row.id, version: row.version, updated: row.updated, body })
}

/// Whether there is something to be read, which is shown by other means.
pub async fn check(engine: &Engine, permit: &Permit, kind: &str, id: &str) -> Result<(), Failure> {
    let mut conn = engine.reader(permit.wall()).await?;
    visible(engine, &mut conn, permit, kind, id).await?.body.map(drop).ok_or(Failure::Gone)
}

/// Tells the audit trail what is shown of `row`.
fn note(engine: &Engine, permit: &Permit, action: &'static str, target: String, row: &Current, body: &str) {
    let mut patients = Patients::default();
    patients.of(&row.r#type, &row.id, body, &engine.base);
    let patients = patients.into();
    permit.trail().note(Seen { action, target, context: row.context, patients, ..Seen::default() });
}

/// One version.
pub async fn vread(engine: &Engine, permit: &Permit, kind: &str, id: &str, version: &str) -> Result<Stored, Failure> {
    let mut conn = engine.reader(permit.wall()).await?;
    let row = visible(engine, &mut conn, permit, kind, id).await?;
    if row.purged {
        return Err(Failure::Gone);
    }
    let version = version_id(version).ok_or(Failure::NotFound)?;
    let (updated, body) = if version == row.version {
        (row.updated, row.body.clone())
    } else {
        let old = store::history_version(&mut conn, &row, version).await?.ok_or(Failure::NotFound)?;
        (old.updated, old.body)
    };
    let body = body.ok_or(Failure::Gone)?;
    // An older version may have belonged to another patient.
    if !permit.shows(row.tenant, &parsed(engine, &body)?, id, &engine.base) {
        return Err(Failure::NotFound);
    }
    let body = View::of(&mut conn, engine, permit, kind, id).await?.body(version, body);
    note(engine, permit, "vread", format!("{kind}/{id}/_history/{version}"), &row, &body);
    Ok(Stored { kind: row.r#type, id: row.id, version, updated, body })
}

/// The number of a version as this server writes it: `+1` and `01` are no versions, though they are numbers.
pub fn version_id(text: &str) -> Option<i64> {
    text.parse().ok().filter(|number: &i64| number.to_string() == text)
}

/// Whether a caller may see what it wrote, or was found to see the row of: by leave to read it, or to search it.
pub fn may_see(engine: &Engine, caller: &Caller, tenant: i64, stored: &Stored) -> bool {
    let (kind, id) = (stored.kind.as_str(), stored.id.as_str());
    [Act::Read { kind, id }, Act::Search { kind }].into_iter().any(|act| {
        authorize(caller, act).is_ok_and(|permit| {
            let shows = |body: Resource| permit.shows(tenant, &body, id, &engine.base);
            !permit.is_limited(tenant) || parsed(engine, &stored.body).is_ok_and(shows)
        })
    })
}

/// The version that an ETag such as `W/"3"` names, weak or strong (FHIR R4 http.html#concurrency).
pub fn version_of_tag(tag: &str) -> Option<i64> {
    let tag = tag.trim();
    version_id(tag.strip_prefix("W/").unwrap_or(tag).strip_prefix('"')?.strip_suffix('"')?)
}

/// What `_summary` and `_elements` of a read leave of a version (FHIR R4 http.html#read).
pub fn part(engine: &Engine, mut stored: Stored, query: &[(String, String)]) -> Result<Stored, Failure> {
    let mut summary = None;
    let mut elements = Vec::new();
    for (name, value) in query {
        match name.as_str() {
            "_summary" => {
                let known = Summary::named(value).filter(|known| *known != Summary::Count);
                let text = "_summary of a read is true, text, data or false";
                summary = Some(known.ok_or_else(|| Failure::bad_request(IssueType::Value, text))?);
            }
            "_elements" => {
                let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
                elements.extend(names.map(ToOwned::to_owned));
            }
            _ => {}
        }
    }
    if let Some(keep) = Keep::asked(summary, &elements) {
        stored.body = subset(&parsed(engine, &stored.body)?, &keep);
    }
    Ok(stored)
}

/// The row, if this caller may see it: the one gate of read, vread and history.
pub(super) async fn visible(
    engine: &Engine,
    conn: &mut PgConnection,
    permit: &Permit,
    kind: &str,
    id: &str,
) -> Result<Current, Failure> {
    let row = store::current(conn, permit.visible(), kind, id).await?.ok_or(Failure::NotFound)?;
    if !permit.is_limited(row.tenant) || row.purged {
        return Ok(row);
    }
    // A deleted resource is judged by what it was.
    let content = match &row.body {
        Some(body) => Some(body.clone()),
        None => store::last_content(conn, &row).await?,
    };
    let Some(content) = content else { return Ok(row) };
    let content = parsed(engine, &content)?;
    if permit.shows(row.tenant, &content, id, &engine.base) {
        return Ok(row);
    }
    if row.body.is_some() && permit.knows(row.tenant, &content, id, &engine.base) {
        return Err(outside_the_limit());
    }
    Err(Failure::NotFound)
}

/// A change of what is known to its caller and not theirs to change, or to what it may not become.
pub fn outside_the_limit() -> Failure {
    let text = "the token's scopes allow this only in the compartment of the patient in context, or under conditions that \
                are not fulfilled";
    Failure::Forbidden(Outcome::error(IssueType::Forbidden, text))
}

/// A stored body as a document; it was checked when it was stored.
pub fn parsed(engine: &Engine, body: &str) -> Result<Resource, Failure> {
    // Stamping adds no depth, but the limit may have been lowered since.
    let limits = crate::fhir::json::Limits { depth: engine.limits().depth.max(usize::from(u8::MAX)) };
    Resource::parse(body, &limits).map_err(|issue| {
        tracing::error!(text = issue.text, "a stored resource is not readable");
        Failure::Internal
    })
}
