//! `$status`: `GET|POST [base]/Subscription/[id]/$status` and `…/Subscription/$status` (Backport guide, operations).
//!
//! | situation | answer |
//! |---|---|
//! | own Subscription, in whatever status | a searchset Bundle of one status |
//! | unknown, deleted, or another client's | 404 |
//! | type level: `id`, `status` repeated or with commas | those of the caller's own that match both |
//! | unknown parameter or status code | 400 |

use super::{inputs::check_names, spec_of, status_of};
use crate::{
    access::Permit,
    fhir::outcome::IssueType,
    id,
    interaction::{Engine, Failure},
    store::subscription::{self as store, Row},
    subscription::{
        notification::{self, About},
        status::Status,
    },
};

/// The status of one Subscription, as a Bundle in JSON.
pub async fn status(engine: &Engine, permit: &Permit, id: &str) -> Result<String, Failure> {
    let visible = permit.visible();
    let client = visible.poc_client.as_deref().ok_or(Failure::NotFound)?;
    let row = store::find(&mut *engine.pool.acquire().await?, visible.tenant, client, id).await?;
    Ok(notification::searchset(&[told(engine, &row.ok_or(Failure::NotFound)?)?]).to_string())
}

/// The status of all the caller's Subscriptions that `inputs` (`id`, `status`) ask for, as a Bundle in JSON.
pub async fn statuses(engine: &Engine, permit: &Permit, inputs: &[(String, String)]) -> Result<String, Failure> {
    check_names(inputs, &["id", "status"])?;
    let ids = values(inputs, "id");
    let wanted = values(inputs, "status").into_iter().map(code).collect::<Result<Vec<_>, _>>()?;
    let visible = permit.visible();
    let rows = match &visible.poc_client {
        Some(client) => store::of_client(&mut *engine.pool.acquire().await?, visible.tenant, client).await?,
        None => Vec::new(),
    };
    let now = engine.now();
    let asked = rows.iter().filter(|row| {
        (ids.is_empty() || ids.contains(&row.id.as_str()))
            && (wanted.is_empty() || wanted.contains(&status_of(row, now)))
    });
    let statuses = asked.map(|row| told(engine, row)).collect::<Result<Vec<_>, _>>()?;
    Ok(notification::searchset(&statuses).to_string())
}

/// Repeats and commas both mean "or".
fn values<'i>(inputs: &'i [(String, String)], name: &str) -> Vec<&'i str> {
    let given = inputs.iter().filter(|(given, _)| given == name);
    given.flat_map(|(_, value)| value.split(',')).filter(|value| !value.is_empty()).collect()
}

fn code(value: &str) -> Result<Status, Failure> {
    Status::parse(value).ok_or_else(|| {
        let text = format!("expected the status requested, active, error or off, found '{value}'");
        Failure::bad_request(IssueType::CodeInvalid, text)
    })
}

fn told(engine: &Engine, row: &Row) -> Result<serde_json::Value, Failure> {
    let spec = spec_of(row)?;
    let now = engine.now();
    let about = About {
        base: &engine.base,
        subscription: &row.id,
        topic: &spec.topic,
        content: spec.content,
        last_event: row.last_event,
        now,
        notification: id::new_uuid(),
    };
    Ok(notification::query_status(&about, status_of(row, now), row.error.as_deref()))
}
