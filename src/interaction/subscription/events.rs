//! `$events`: `GET|POST [base]/Subscription/[id]/$events` (Backport guide, operations).
//!
//! | situation | answer |
//! |---|---|
//! | own Subscription | a notification Bundle of type `query-event`: its events of the range, both ends included |
//! | more than 1,000 events in the range | the lowest 1,000; ask again from the next number on |
//! | events older than `events.retention` | absent: their numbers are missing |
//! | a withdrawn number | listed without a focus: nothing happened under it |
//! | the resource was cleared since | its entry has no resource |
//! | `content` above the Subscription's own level | the Subscription's own level |
//! | not a number, or since > until; unknown parameter or content | 400 |
//! | unknown, deleted, or another client's | 404 |

use super::{
    inputs::{check_names, single},
    spec_of, status_of,
};
use crate::{
    access::{
        Permit,
        audit::{Patients, Seen},
    },
    fhir::outcome::IssueType,
    id,
    interaction::{Engine, Failure},
    store,
    subscription::{
        change::Method,
        notification::{self, About, Event},
        request::Content,
    },
};

const MOST_EVENTS: i64 = 1000;
const SINCE: &str = "eventsSinceNumber";
const UNTIL: &str = "eventsUntilNumber";

/// The events that `inputs` (`eventsSinceNumber`, `eventsUntilNumber`, `content`) ask for, as a Bundle in JSON.
pub async fn events(
    engine: &Engine,
    permit: &Permit,
    id: &str,
    inputs: &[(String, String)],
) -> Result<String, Failure> {
    check_names(inputs, &[SINCE, UNTIL, "content"])?;
    let since = number(inputs, SINCE)?.unwrap_or(1);
    let until = number(inputs, UNTIL)?.unwrap_or(i64::MAX);
    if since > until {
        let text = format!("expected {SINCE} ({since}) to be at most {UNTIL} ({until})");
        return Err(Failure::bad_request(IssueType::Invalid, text));
    }
    let asked = single(inputs, "content")?.map(content).transpose()?;
    let visible = permit.visible();
    let client = visible.poc_client.as_deref().ok_or(Failure::NotFound)?;
    let mut conn = engine.reader(permit.wall()).await?;
    let row = store::subscription::find(&mut conn, visible.tenant, client, id).await?.ok_or(Failure::NotFound)?;
    let spec = spec_of(&row)?;
    let content = asked.map_or(spec.content, |asked| asked.min(spec.content));
    let range = (since, until.min(row.last_event));
    let with_body = content == Content::FullResource;
    let rows = store::event::range(&mut conn, (row.tenant, id), range, with_body, MOST_EVENTS).await?;
    drop(conn);
    let now = engine.now();
    let about = About {
        base: &engine.base,
        subscription: id,
        topic: &spec.topic,
        content,
        last_event: row.last_event,
        now,
        notification: id::new_uuid(),
    };
    let mut patients = Patients::default();
    for row in &rows {
        patients.of(&row.r#type, &row.id, row.body.as_deref().unwrap_or_default(), &engine.base);
    }
    permit.trail().note(Seen {
        action: "events",
        target: format!("Subscription/{id}/$events"),
        patients: patients.into(),
        found: Some(rows.len()),
        ..Seen::default()
    });
    let events: Vec<_> = rows.iter().map(event).collect();
    Ok(notification::query_event(&about, status_of(&row, now), &events))
}

fn event(row: &store::event::Row) -> Event<'_> {
    Event {
        number: row.number,
        occurred_at: row.occurred_at,
        type_name: &row.r#type,
        id: &row.id,
        version: row.version,
        method: Method::parse(&row.method),
        body: row.body.as_deref(),
        withdrawn: row.state == "withdrawn",
    }
}

fn number(inputs: &[(String, String)], name: &str) -> Result<Option<i64>, Failure> {
    let Some(text) = single(inputs, name)? else { return Ok(None) };
    match text.parse() {
        Ok(number) if number >= 0 => Ok(Some(number)),
        _ => Err(Failure::bad_request(IssueType::Value, format!("expected {name} to be a number, found '{text}'"))),
    }
}

fn content(code: &str) -> Result<Content, Failure> {
    Content::parse(code).ok_or_else(|| {
        let text = format!("expected the content empty, id-only or full-resource, found '{code}'");
        Failure::bad_request(IssueType::CodeInvalid, text)
    })
}
