//! Refusals of people who are not signed in: the first of a kind in a minute is written into the audit trail at once, the
//! others are counted and written as one row. The trail never shrinks, and anybody can be refused as often as they like.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use time::{Duration, OffsetDateTime};

use super::OauthState;
use super::visitor::record;
use crate::store;
use crate::store::audit::Entry;

/// How long refusals of a kind are counted before their number is written.
const COUNTED_FOR: Duration = Duration::MINUTE;

/// A kind of refusal. All its parts are texts of this program but the client's id, which is a registered one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    action: &'static str,
    client_id: Option<String>,
    tenant: i64,
    detail: String,
}

/// Those that followed a written one.
#[derive(Clone, Copy, Debug)]
struct More {
    since: OffsetDateTime,
    count: u64,
}

/// What was refused and is not written yet.
#[derive(Debug, Default)]
pub struct Strangers(Mutex<HashMap<Kind, More>>);

impl Strangers {
    /// Whether the refusal is the first of its kind in a while and is to be written now; otherwise it is counted.
    fn is_first(&self, entry: &Entry<'_>, now: OffsetDateTime) -> bool {
        let kind = Kind {
            action: entry.action,
            client_id: entry.client_id.map(str::to_owned),
            tenant: entry.tenant,
            detail: entry.detail.unwrap_or_default().to_owned(),
        };
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match kinds.get_mut(&kind) {
            Some(more) => {
                more.count += 1;
                false
            }
            None => kinds.insert(kind, More { since: now, count: 0 }).is_none(),
        }
    }

    /// Takes out what was counted for long enough; `all` of it at the end of the program.
    fn take(&self, now: OffsetDateTime, all: bool) -> Vec<(Kind, u64)> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = kinds.extract_if(|_, more| all || now - more.since >= COUNTED_FOR);
        due.filter(|(_, more)| more.count > 0).map(|(kind, more)| (kind, more.count)).collect()
    }
}

/// Notes the refusal of somebody who is not signed in.
pub async fn refused(state: &OauthState, entry: &Entry<'_>) {
    if state.strangers.is_first(entry, state.now()) {
        record(state, entry).await;
    }
}

/// Writes what was counted for a minute (`all`: whatever was counted), a row for each kind; gives the number of rows.
///
/// # Errors
/// When the database does not take them: then the numbers are lost, and the log says so.
pub async fn write_counts(state: &OauthState, all: bool) -> store::Result<usize> {
    let now = state.now();
    let due = state.strangers.take(now, all);
    if due.is_empty() {
        return Ok(0);
    }
    let mut tx = store::begin(&state.engine.pool).await?;
    for (kind, count) in &due {
        let detail = format!("{} (and {count} more like it)", kind.detail);
        let entry = Entry {
            action: kind.action,
            outcome: "refused",
            client_id: kind.client_id.as_deref(),
            tenant: kind.tenant,
            detail: Some(&detail),
            ..Entry::default()
        };
        store::audit::append(tx.conn(), &entry, now).await?;
    }
    tx.commit().await?;
    Ok(due.len())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn the_first_is_written_and_the_others_are_counted() {
        let (strangers, start) = (Strangers::default(), datetime!(2026-01-01 12:00 UTC));
        let entry = |client_id, detail| Entry { action: "authorize", client_id, detail, ..Entry::default() };
        assert!(strangers.is_first(&entry(Some("app"), Some("x")), start));
        assert!((0..999).all(|_| !strangers.is_first(&entry(Some("app"), Some("x")), start)));
        assert!(strangers.is_first(&entry(Some("other"), Some("x")), start));
        assert!(strangers.is_first(&entry(Some("app"), Some("y")), start));
        assert!(strangers.take(start + Duration::seconds(59), false).is_empty());
        let due = strangers.take(start + Duration::MINUTE, false);
        let told: Vec<_> = due.iter().map(|(kind, count)| (kind.detail.as_str(), *count)).collect();
        assert_eq!(told, [("x", 999)], "nothing is written of kinds that happened once");
        assert!(strangers.is_first(&entry(Some("app"), Some("x")), start + Duration::MINUTE));
    }

    #[test]
    fn nothing_is_left_uncounted_at_the_end() {
        let (strangers, start) = (Strangers::default(), datetime!(2026-01-01 12:00 UTC));
        let entry = Entry { action: "login", ..Entry::default() };
        assert!(strangers.is_first(&entry, start) && !strangers.is_first(&entry, start));
        assert_eq!(strangers.take(start, true).len(), 1);
        assert!(strangers.take(start, true).is_empty());
    }
}
