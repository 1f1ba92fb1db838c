//! Instance history: `GET [base]/[type]/[id]/_history` (FHIR R4 http.html#history).
//!
//! | situation | answer |
//! |---|---|
//! | visible, deleted included | a `history` Bundle, newest first |
//! | unknown, or not for this caller | 404 |
//! | purged by `$clear-context` | 410 |

use serde_json::{json, value::RawValue};
use time::OffsetDateTime;

use super::{Engine, Failure, read, subscription::show::View};
use crate::{
    access::Permit,
    fhir::{instant, json::quote},
    store::resource as store,
};

/// Versions in one answer at most.
pub const MAX_COUNT: i64 = 1000;

/// What part of the history is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    /// Only versions made at or after this instant (`_since`).
    pub since: Option<OffsetDateTime>,
    /// At most so many (`_count`).
    pub count: Option<i64>,
}

/// The `history` Bundle as JSON text.
pub async fn history(
    engine: &Engine,
    permit: &Permit,
    kind: &str,
    id: &str,
    window: Window,
) -> Result<String, Failure> {
    let mut conn = engine.pool.acquire().await?;
    let row = read::visible(engine, &mut conn, permit, kind, id).await?;
    if row.purged {
        return Err(Failure::Gone);
    }
    let count = window.count.unwrap_or(MAX_COUNT).clamp(0, MAX_COUNT);
    let older = store::history(&mut conn, &row, window.since, count).await?;
    let current = store::Version { version: row.version, updated: row.updated, method: row.method, body: row.body };
    let current = Some(current).filter(|current| window.since.is_none_or(|since| current.updated >= since));
    let view = View::of(&mut conn, engine, permit, kind, id).await?;
    let mut entries = Vec::new();
    for mut version in current.into_iter().chain(older).take(usize::try_from(count).unwrap_or_default()) {
        if let Some(body) = &version.body
            && permit.is_limited()
            && !permit.shows(&read::parsed(engine, body)?, id, &engine.base)
        {
            continue;
        }
        version.body = version.body.map(|body| view.body(version.version, body));
        entries.push(entry(&engine.base, kind, id, &version)?);
    }
    Ok(bundle(&engine.base, kind, id, engine.now(), &entries))
}

fn entry(base: &str, kind: &str, id: &str, version: &store::Version) -> Result<Box<RawValue>, Failure> {
    let (url, status) = match version.method.as_str() {
        "POST" => (kind.to_owned(), "201 Created"),
        "DELETE" => (format!("{kind}/{id}"), "204 No Content"),
        _ => (format!("{kind}/{id}"), if version.version == 1 { "201 Created" } else { "200 OK" }),
    };
    let request = json!({"method": version.method, "url": url});
    let response = json!({
        "status": status,
        "etag": format!("W/\"{}\"", version.version),
        "lastModified": instant::format(version.updated),
    });
    let resource = version.body.as_ref().map(|body| format!(",\"resource\":{body}")).unwrap_or_default();
    let full_url = quote(&format!("{base}/{kind}/{id}"));
    let text = format!("{{\"fullUrl\":{full_url}{resource},\"request\":{request},\"response\":{response}}}");
    RawValue::from_string(text).map_err(|error| {
        tracing::error!(%error, "a stored resource is not valid JSON");
        Failure::Internal
    })
}

fn bundle(base: &str, kind: &str, id: &str, now: OffsetDateTime, entries: &[Box<RawValue>]) -> String {
    let head = json!({
        "resourceType": "Bundle",
        "type": "history",
        "timestamp": instant::format(now),
        "total": entries.len(),
        "link": [{"relation": "self", "url": format!("{base}/{kind}/{id}/_history")}],
    });
    let mut text = head.to_string();
    if !entries.is_empty() {
        let entries: Vec<_> = entries.iter().map(|entry| entry.get()).collect();
        text.truncate(text.len() - 1);
        text.push_str(&format!(",\"entry\":[{}]}}", entries.join(",")));
    }
    text
}
