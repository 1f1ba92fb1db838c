//! Refusals of people who are not signed in: the first of a kind in a minute is written into the audit trail at once, the
//! others are counted and written as one row. The trail never shrinks, and anybody can be refused as often as they like.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use time::{Duration, OffsetDateTime};

use crate::store::audit::{Entry, Row};

/// How long refusals of a kind are counted before their number is written.
const COUNTED_FOR: Duration = Duration::MINUTE;

/// Kinds that are told apart at most; beyond, they are counted together, whatever address they came from.
const MOST_KINDS: usize = 1000;

/// A kind of refusal. All its parts are texts of this program but the client's id, which is a registered one, and the
/// sender's network.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    action: &'static str,
    client_id: Option<String>,
    tenant: i64,
    detail: String,
    address: Option<String>,
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
    pub fn is_first(&self, entry: &Entry<'_>, now: OffsetDateTime) -> bool {
        let mut kind = Kind {
            action: entry.action,
            client_id: entry.client_id.map(str::to_owned),
            tenant: entry.tenant,
            detail: entry.detail.unwrap_or_default().to_owned(),
            address: entry.address.map(str::to_owned),
        };
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kinds.len() >= MOST_KINDS && !kinds.contains_key(&kind) {
            kind.address = None;
        }
        match kinds.get_mut(&kind) {
            Some(more) => {
                more.count += 1;
                false
            }
            None => kinds.insert(kind, More { since: now, count: 0 }).is_none(),
        }
    }

    /// Takes out what was counted for long enough, a row for each kind; `all` of it at the end of the program.
    pub fn take(&self, now: OffsetDateTime, all: bool) -> Vec<Row> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = kinds.extract_if(|_, more| all || now - more.since >= COUNTED_FOR);
        let row = |(kind, more): (Kind, More)| {
            let detail = format!("{} (and {} more like it)", kind.detail, more.count);
            let entry = Entry {
                action: kind.action,
                outcome: "refused",
                client_id: kind.client_id.as_deref(),
                tenant: kind.tenant,
                detail: Some(&detail),
                address: kind.address.as_deref(),
                ..Entry::default()
            };
            Row::of(&entry, now)
        };
        due.filter(|(_, more)| more.count > 0).map(row).collect()
    }
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
        let told: Vec<_> = due.iter().map(|row| row.detail.as_deref().unwrap_or_default()).collect();
        assert_eq!(told, ["x (and 999 more like it)"], "nothing is written of kinds that happened once");
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

    #[test]
    fn many_addresses_are_counted_together() {
        let (strangers, start) = (Strangers::default(), datetime!(2026-01-01 12:00 UTC));
        let written = (0..5000).filter(|number| {
            let address = format!("10.0.{}.{}", number / 250, number % 250);
            strangers.is_first(&Entry { action: "access", address: Some(&address), ..Entry::default() }, start)
        });
        assert_eq!(written.count(), MOST_KINDS + 1);
        assert_eq!(strangers.take(start, true).len(), 1);
    }
}
