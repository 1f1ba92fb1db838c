//! The audit trail as R4 shows it: `GET [base]/AuditEvent/[id]` and `GET [base]/AuditEvent?…`, answered from the trail alone.
//! Nobody writes an AuditEvent.
//!
//! | situation | answer |
//! |---|---|
//! | a backend service, or a PoC by itself, whose scope names AuditEvent (`system/AuditEvent.rs`; `*` does not) | 200 |
//! | anybody else | 403 |
//! | a row of another organisation, for a PoC | 404, not found |
//! | a parameter that is not known, or a value that it does not take | 400, however lenient: an auditor is not to be told more than was asked for |
//!
//! | parameter | finds |
//! |---|---|
//! | `_id` | the number of the row |
//! | `date` | what happened then; prefixes `eq ge gt le lt sa eb` |
//! | `patient` | `[id]` or `Patient/[id]` |
//! | `agent`, `altid`, `agent:identifier` | the client's id, or the user's (`sub` of an ID token) |
//! | `entity` | `Type/id` with all its versions, or an id of whatever type |
//! | `action`, `outcome`, `subtype` | as in the event; `subtype` is this server's own word or R4's |
//! | `address` | the beginning of the network address |
//!
//! The newest come first, in pages by number, so that nothing is told twice while more is written. Every look is recorded
//! itself, before it is answered.

pub mod event;
mod query;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Engine, Failure,
    page::{self, Links, Listing, Page},
    read::version_id,
};
use crate::{
    access::{
        Caller,
        audit::{AUDIT_EVENT, Seen, auditor, without_content},
    },
    smart::scope::Letter,
    store::audit as store,
};
pub use query::PARAMETERS;

/// Where a page begins: before this row.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct From(Option<i64>);

/// One event, as JSON text.
pub async fn read(engine: &Engine, caller: &Caller, id: &str) -> Result<String, Failure> {
    let auditor = auditor(caller, Letter::Read)?;
    let seq = version_id(id).ok_or(Failure::NotFound)?;
    let mut conn = engine.reader(auditor.wall()).await?;
    let row = store::search(&mut conn, &[store::Test::Seq(vec![seq])], None, 1).await?.pop();
    let row = row.ok_or(Failure::NotFound)?;
    caller.trail.note(Seen { action: "read", target: format!("{AUDIT_EVENT}/{seq}"), ..Seen::default() });
    Ok(event::of(&row, &engine.config.server.public_url).to_string())
}

/// A `searchset` of events, as JSON text.
pub async fn search(engine: &Engine, caller: &Caller, pairs: &[(String, String)]) -> Result<String, Failure> {
    let auditor = auditor(caller, Letter::Search)?;
    let pages = Listing::new(engine, caller, "audit");
    let token = pairs.iter().find(|(name, _)| name == page::PARAMETER).map(|(_, token)| token);
    let (parameters, From(before), kept) = match token {
        Some(token) => {
            let Page { parameters, kept, cursor }: Page<Vec<(String, String)>, From> = pages.page(token).await?;
            (parameters, cursor, kept)
        }
        None => (pairs.to_vec(), From::default(), None),
    };
    let asked = query::Asked::read(&parameters)?;
    let size = asked.count.unwrap_or(engine.config.search.page_size).min(engine.config.search.max_page_size);
    let mut conn = engine.reader(auditor.wall()).await?;
    let limit = i64::try_from(size + 1).unwrap_or(i64::MAX);
    let mut rows = if size == 0 { Vec::new() } else { store::search(&mut conn, &asked.tests, before, limit).await? };
    drop(conn);
    let has_more = rows.len() > size;
    rows.truncate(size);
    let url = format!("{}/{AUDIT_EVENT}", engine.base);
    let mut links = vec![link("self", &super::search::link(&url, pairs))];
    if let Some(last) = rows.last().filter(|_| has_more) {
        let mut tokens = Links { listing: &pages, parameters: &parameters, kept };
        let token = tokens.token(&From(Some(last.seq))).await?;
        links.push(link("next", &format!("{url}?{}={token}", page::PARAMETER)));
    }
    caller.trail.note(Seen {
        action: "search",
        target: AUDIT_EVENT.to_owned(),
        query: Some(without_content(&parameters)),
        found: Some(rows.len()),
        ..Seen::default()
    });
    let entry = |row: &store::Stored| {
        json!({
            "fullUrl": format!("{url}/{}", row.seq),
            "resource": event::of(row, &engine.config.server.public_url),
            "search": {"mode": "match"},
        })
    };
    let mut bundle = json!({"resourceType": "Bundle", "type": "searchset", "link": links});
    if before.is_none() && !has_more {
        bundle["total"] = json!(rows.len());
    }
    if !rows.is_empty() {
        bundle["entry"] = rows.iter().map(entry).collect();
    }
    Ok(bundle.to_string())
}

fn link(relation: &str, url: &str) -> Value {
    json!({"relation": relation, "url": url})
}
