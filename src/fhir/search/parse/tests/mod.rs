//! Whole queries.

use std::sync::LazyLock;

use time::macros::datetime;

use super::*;
use crate::fhir::search::{Digest, Lookup, Prefix, parameter_id};

mod chains;
mod kinds;
mod levels;
mod limits;
mod results;
mod tokens;

static REGISTRY: LazyLock<std::sync::Arc<Registry>> = LazyLock::new(Registry::built_in);
static PARAMETERS: LazyLock<Parameters> = LazyLock::new(|| Parameters::new(&REGISTRY).0);

pub const BASE: &str = "http://h/fhir";

/// Every way to begin an ordered value.
pub const PREFIXES: [(&str, Prefix); 10] = [
    ("", Prefix::Eq),
    ("eq", Prefix::Eq),
    ("ne", Prefix::Ne),
    ("gt", Prefix::Gt),
    ("lt", Prefix::Lt),
    ("ge", Prefix::Ge),
    ("le", Prefix::Le),
    ("sa", Prefix::Sa),
    ("eb", Prefix::Eb),
    ("ap", Prefix::Ap),
];

fn request(handling: Handling) -> Request<'static> {
    Request {
        parameters: &PARAMETERS,
        registry: &REGISTRY,
        base: BASE,
        now: datetime!(2026-01-01 00:00 UTC),
        handling,
        limits: SearchLimits::default(),
    }
}

fn pairs(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// With strict handling.
fn strict(type_name: &str, query: &str) -> Result<Query, Outcome> {
    parse(&request(Handling::Strict), Level::Type(type_name), &pairs(query))
}

/// With lenient handling.
fn lenient(type_name: &str, query: &str) -> Result<Query, Outcome> {
    parse(&request(Handling::Lenient), Level::Type(type_name), &pairs(query))
}

/// The conditions of a query that is understood.
fn filters(type_name: &str, query: &str) -> Vec<Filter> {
    let found = strict(type_name, query).unwrap_or_else(|outcome| panic!("{query}: {}", outcome.summary()));
    assert_eq!(found.used, pairs(query), "{query}");
    found.filters
}

/// The only condition.
fn filter(type_name: &str, query: &str) -> Filter {
    let mut filters = filters(type_name, query);
    assert_eq!(filters.len(), 1, "{query}");
    filters.remove(0)
}

/// The only look-up of the only condition.
fn lookup(type_name: &str, query: &str) -> Lookup {
    match filter(type_name, query) {
        Filter::Any(mut lookups) if lookups.len() == 1 => lookups.remove(0),
        other => panic!("{query}: {other:?}"),
    }
}

/// What a refusal says; that there is none is `understood`.
fn summary(found: Result<Query, Outcome>) -> String {
    found.map_or_else(|outcome| outcome.summary(), |_| "understood".to_owned())
}

/// Refused whatever the handling; the text says so.
fn refused(type_name: &str, query: &str, text: &str) {
    for handling in [Handling::Strict, Handling::Lenient] {
        let summary = summary(parse(&request(handling), Level::Type(type_name), &pairs(query)));
        assert!(summary.contains(text), "{query:.100}: {summary:.200}");
    }
}

/// Refused when strict; left out with a warning when lenient.
fn left_out(type_name: &str, query: &str, text: &str) {
    let summary = summary(strict(type_name, query));
    assert!(summary.contains(text), "{query}: {summary}");
    let found = lenient(type_name, query).unwrap();
    assert!(found.used.is_empty() && found.filters.is_empty(), "{query}: {found:?}");
    assert!(found.ignored[0].text.contains(text), "{query}: {:?}", found.ignored);
}

fn id(type_name: &str, code: &str) -> i32 {
    parameter_id(type_name, code)
}

fn tokens(digests: &[Digest]) -> Lookup {
    Lookup::Tokens(digests.to_vec())
}
