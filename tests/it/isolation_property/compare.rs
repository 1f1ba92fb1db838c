//! Judging a pair of answers: to one request, in the world of all and in the world in which the hidden data do not exist.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::cast::{Side, Who};
use super::request::hidden_from;
use super::worlds::{Answered, World};

/// What came out.
#[derive(Debug)]
pub enum Leak {
    /// A word or an id of others stands in an answer.
    Told { side: Side, word: String },
    /// The answer would be another if the hidden data were not there.
    Differs { with: String, without: String },
    /// Others' data were changed.
    Changed(String),
    /// The server failed: its answer says nothing about isolation, and should not be.
    Failed(String),
}

/// Everything that only `sides` may know.
fn secrets(world: &World, sides: &[Side]) -> Vec<(Side, String)> {
    let mut all: Vec<(Side, String)> = sides.iter().map(|side| (*side, side.marker())).collect();
    let ids = world.names.iter().map(|(name, reference)| (Side::of(name), reference.rsplit('/').next()));
    all.extend(ids.filter_map(|(side, id)| Some((side, id?.to_owned()))));
    all.extend(world.secrets.iter().cloned());
    all.retain(|(side, _)| sides.contains(side));
    all
}

/// What of others stands in an answer more often than in that of the twin, which knows it from the requests alone.
pub fn told(who: Who, full: &World, answer: &Answered, twin: &Answered) -> Option<Leak> {
    let told = |answer: &Answered| {
        let headers: String = answer.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        format!("{headers}{}", answer.text).to_lowercase()
    };
    let (here, there) = (told(answer), told(twin));
    let hidden: Vec<Side> = hidden_from(who).collect();
    let found = secrets(full, &hidden).into_iter().find(|(_, word)| {
        let word = word.to_lowercase();
        here.matches(&word).count() > there.matches(&word).count()
    });
    found.map(|(side, word)| Leak::Told { side, word })
}

/// Headers that say nothing about data, or something else each time.
const PASSING: &[&str] = &["date", "last-modified", "content-length", "x-request-id", "expires"];

static PATTERNS: LazyLock<[(Regex, &str); 5]> = LazyLock::new(|| {
    let pattern = |text: &str| Regex::new(text).unwrap();
    [
        (pattern(r"_page=[A-Za-z0-9_\-]+"), "_page=…"),
        // What the data say lies in the past; the server's own times do not.
        (pattern(r"20(2[4-9]|[3-8]\d)-\d\d-\d\dT[0-9:.]+(Z|[+\-]\d\d:\d\d)"), "(time)"),
        (pattern(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "(id)"),
        (pattern(r"http://127\.0\.0\.1:\d+"), "http://(receiver)"),
        (pattern(r#""launchID","valueString":"[^"]+""#), r#""launchID","valueString":"(launch)""#),
    ]
});

/// An answer without what differs between worlds for no reason: ids by their names, times, the order of what is included.
pub fn comparable(who: Who, world: &World, full: &World, answer: &Answered) -> String {
    let headers = answer.headers.iter().filter(|(name, _)| !PASSING.contains(&name.as_str()));
    let headers: String = headers.map(|(name, value)| format!("{name}: {value}\n")).collect();
    let text = format!("{}\n{headers}\n{}", answer.status, answer.text).replace(&world.server.url, "http://server");
    let ids: BTreeMap<&str, &str> = world
        .names
        .iter()
        .filter(|(name, _)| who.sees().contains(&Side::of(name)))
        .chain(full.names.iter().filter(|(name, _)| !who.sees().contains(&Side::of(name))))
        .filter_map(|(name, reference)| Some((reference.rsplit('/').next()?, name.as_str())))
        .collect();
    let [page, time, id, receiver, launch] = &*PATTERNS;
    let text = id.0.replace_all(&text, |found: &regex::Captures<'_>| {
        ids.get(&found[0]).map_or_else(|| id.1.to_owned(), |name| format!("«{name}»"))
    });
    let text = page.0.replace_all(&text, page.1);
    let text = launch.0.replace_all(&text, launch.1);
    let text = receiver.0.replace_all(&text, receiver.1);
    let text = time.0.replace_all(&text, time.1);
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    match serde_json::from_str::<Value>(body) {
        Ok(body) => format!("{head}\n\n{}", ordered(body)),
        Err(_) => text.into_owned(),
    }
}

/// The body with included entries in the order of their text: which comes first is decided by ids.
fn ordered(mut body: Value) -> String {
    let nested = |entry: &mut Value| {
        if entry["resource"]["resourceType"] == "Bundle" {
            let inner = ordered(entry["resource"].take());
            entry["resource"] = Value::String(inner);
        }
    };
    if let Some(entries) = body.get_mut("entry").and_then(Value::as_array_mut) {
        entries.iter_mut().for_each(nested);
        let is_match = |entry: &Value| entry["search"]["mode"] != "include";
        let (matches, mut included): (Vec<Value>, Vec<Value>) = std::mem::take(entries).into_iter().partition(is_match);
        included.sort_by_cached_key(ToString::to_string);
        *entries = matches.into_iter().chain(included).collect();
    }
    serde_json::to_string_pretty(&body).unwrap_or_default()
}

/// The lines in which two texts differ, each with its neighbours' number.
pub fn difference(with: &str, without: &str) -> Option<Leak> {
    if with == without {
        return None;
    }
    let (mine, theirs): (Vec<&str>, Vec<&str>) = (with.lines().collect(), without.lines().collect());
    let start = mine.iter().zip(&theirs).take_while(|(one, other)| one == other).count();
    let part =
        |lines: &[&str]| lines.iter().skip(start.saturating_sub(2)).take(14).copied().collect::<Vec<_>>().join("\n");
    Some(Leak::Differs { with: part(&mine), without: part(&theirs) })
}

/// What was changed of what is not `who`'s: `before` and `after` as [`World::stored`] gives them.
pub fn changed(
    who: Who,
    full: &World,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Vec<Leak> {
    let hidden = full.names.iter().filter(|(name, _)| !who.sees().contains(&Side::of(name)));
    let mut keys: Vec<&str> = hidden.map(|(_, reference)| reference.as_str()).collect();
    keys.extend(before.keys().filter(|key| key.starts_with("context ")).map(String::as_str));
    let altered = keys.into_iter().filter(|key| before.contains_key(*key) && before.get(*key) != after.get(*key));
    altered.map(|key| Leak::Changed(format!("{key}: {:?} became {:?}", before.get(key), after.get(key)))).collect()
}
