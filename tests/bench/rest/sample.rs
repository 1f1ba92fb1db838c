//! Values to ask for: some of what was written, spread over all of it.

use std::collections::BTreeMap;

use serde_json::Value;
use sofa::load::Generated;

/// Kept of each type, at most twice as many while collecting.
const WANTED: usize = 1_000;

/// Resources of each type.
#[derive(Default)]
pub struct Samples {
    kinds: BTreeMap<&'static str, Kind>,
}

#[derive(Default)]
struct Kind {
    seen: usize,
    /// Every so-manieth is kept, less the 1.
    skipped: usize,
    kept: Vec<Generated>,
}

impl Samples {
    pub fn of(all: impl Iterator<Item = Generated>) -> Self {
        let mut samples = Self::default();
        all.for_each(|one| samples.see(&one));
        samples
    }

    /// Keeps it or not. As more come, fewer are kept: every second of those before goes.
    pub fn see(&mut self, one: &Generated) {
        let kind = self.kinds.entry(one.kind).or_default();
        if kind.seen.is_multiple_of(kind.skipped + 1) {
            kind.kept.push(one.clone());
        }
        kind.seen += 1;
        if kind.kept.len() == 2 * WANTED {
            let mut at = 0;
            kind.kept.retain(|_| {
                at += 1;
                at % 2 == 1
            });
            kind.skipped = 2 * kind.skipped + 1;
        }
    }

    /// One of this type; another for each number, far apart for numbers that are close.
    pub fn one(&self, kind: &str, number: u64) -> Option<&Generated> {
        let kept = &self.kinds.get(kind)?.kept;
        let at = number.wrapping_mul(0x9E37_79B9) % kept.len() as u64;
        kept.get(at as usize)
    }

    /// The id of one of this type; empty if there is none.
    pub fn id(&self, kind: &str, number: u64) -> &str {
        self.one(kind, number).map_or("", |one| one.id.as_str())
    }

    /// What stands at a JSON pointer in one of this type; `null` if there is nothing.
    pub fn value(&self, kind: &str, number: u64, pointer: &str) -> Value {
        self.one(kind, number).and_then(|one| one.body.pointer(pointer)).cloned().unwrap_or_default()
    }

    /// The text at a JSON pointer, for a URL.
    pub fn text(&self, kind: &str, number: u64, pointer: &str) -> String {
        let value = self.value(kind, number, pointer);
        form_urlencoded::byte_serialize(value.as_str().unwrap_or_default().as_bytes()).collect()
    }
}
