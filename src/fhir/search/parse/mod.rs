//! From a query string to a [`Query`] (FHIR R4 search.html).
//!
//! | what is wrong | lenient | strict |
//! |---|---|---|
//! | the parameter is not known | a warning, and the search goes on without it | 400 |
//! | it has no value | a warning, and the search goes on without it | 400 |
//! | its modifier is not one of its own | 400 | 400 |
//! | its value is malformed | 400 | 400 |

mod filter;
mod result;
mod token;
mod value;

use time::OffsetDateTime;

use super::{Compartment, Filter, Lookup, Parameters, Query};
use crate::fhir::{
    definition::registry::Registry,
    outcome::{Issue, IssueType, Outcome},
    types,
};

/// Parameters in one query at most.
const MOST_PARAMETERS: usize = 200;
/// Values of one parameter at most.
const MOST_VALUES: usize = 5000;
/// References followed by one chain at most, `_has` counted in.
const MOST_LINKS: usize = 5;

/// Parameters of the protocol: they select nothing.
const OF_THE_PROTOCOL: [&str; 4] = ["_format", "_pretty", "_page", "_method"];

/// What to do with a parameter that is not known (`Prefer: handling=…`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Handling {
    Strict,
    #[default]
    Lenient,
}

/// What the parser needs to know.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub parameters: &'a Parameters,
    /// For `:in`, `:below` and the like.
    pub registry: &'a Registry,
    /// The FHIR base URL: references below it are local.
    pub base: &'a str,
    /// What `ap` is measured from.
    pub now: OffsetDateTime,
    pub handling: Handling,
}

/// What is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level<'a> {
    /// One type.
    Type(&'a str),
    /// All, or those of `_type`.
    System,
    /// A compartment; `kind` `None`: all of its types.
    Compartment { type_name: &'a str, id: &'a str, kind: Option<&'a str> },
}

/// Why a parameter is not used.
enum Wrong {
    /// It is not known (or empty): left out when that is allowed.
    Unknown(String),
    /// It is refused whatever the handling.
    Refused(Issue),
}

impl Wrong {
    fn value(name: &str, text: impl Into<String>) -> Self {
        Self::Refused(Issue::error(IssueType::Value, format!("{name}: {}", text.into())))
    }

    fn unsupported(text: impl Into<String>) -> Self {
        Self::Refused(Issue::error(IssueType::NotSupported, text))
    }
}

/// Reads a query. The outcome is for a 400.
pub fn parse(request: &Request<'_>, level: Level<'_>, pairs: &[(String, String)]) -> Result<Query, Outcome> {
    let mut query = Query { types: searched(request, level, pairs)?, ..Query::default() };
    if pairs.len() > MOST_PARAMETERS {
        let text = format!("a search has at most {MOST_PARAMETERS} parameters");
        return Err(Outcome::error(IssueType::TooCostly, text));
    }
    if let Level::Compartment { type_name, id, .. } = level {
        query.filters.push(membership(request, type_name, id, &query.types));
    }
    let mut refused = Vec::new();
    for (name, value) in pairs {
        if OF_THE_PROTOCOL.contains(&&**name) {
            continue;
        }
        let done = if name.contains('\0') || value.contains('\0') {
            Err(Wrong::value("a search", "no parameter or value holds the character NUL"))
        } else if value.is_empty() {
            Err(Wrong::Unknown(format!("the parameter {name} has no value")))
        } else if result::is_result(name) {
            result::read(request, level, &mut query, name, value)
        } else {
            filter::of_types(request, &query.types, name, value).map(|filter| query.filters.push(filter))
        };
        match done {
            Ok(()) => query.used.push((name.clone(), value.clone())),
            Err(Wrong::Refused(issue)) => refused.push(issue),
            Err(Wrong::Unknown(text)) if request.handling == Handling::Strict => {
                refused.push(Issue::error(IssueType::NotSupported, text));
            }
            Err(Wrong::Unknown(text)) => {
                let text = format!("{text}; the search went on without it");
                query.ignored.push(Issue::warning(IssueType::NotSupported, text));
            }
        }
    }
    Outcome::of(refused).map_or(Ok(query), Err)
}

/// Reads the condition of a conditional interaction or reference: filters only, every one of them known.
pub fn condition(request: &Request<'_>, type_name: &str, query: &str) -> Result<Query, Outcome> {
    if !types::is_resource(type_name) {
        return Err(Outcome::error(IssueType::Value, format!("'{type_name}' is not a resource type of FHIR R4")));
    }
    let text = query.strip_prefix(type_name).filter(|rest| rest.starts_with('?')).unwrap_or(query);
    let pairs = form_urlencoded::parse(text.trim_start_matches('?').as_bytes());
    let pairs: Vec<_> = pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    if let Some((name, _)) = pairs.iter().find(|(name, _)| result::is_result(name)) {
        let text = format!("{name} selects nothing and does not belong in a condition");
        return Err(Outcome::error(IssueType::NotSupported, text));
    }
    let strict = Request { handling: Handling::Strict, ..*request };
    let query = parse(&strict, Level::Type(type_name), &pairs)?;
    if query.filters.is_empty() {
        let text = "a condition needs at least one search parameter, such as identifier=system|value";
        return Err(Outcome::error(IssueType::Required, text));
    }
    Ok(query)
}

/// The types searched; empty: all.
fn searched(request: &Request<'_>, level: Level<'_>, pairs: &[(String, String)]) -> Result<Vec<String>, Outcome> {
    let mut named = Vec::new();
    for (_, value) in pairs.iter().filter(|(name, _)| name == "_type") {
        for name in value.split(',').filter(|name| !name.is_empty()) {
            if !types::is_resource(name) {
                let text = format!("_type: '{name}' is not a resource type of FHIR R4");
                return Err(Outcome::error(IssueType::Value, text));
            }
            named.push(name.to_owned());
        }
    }
    named.sort();
    named.dedup();
    match level {
        Level::Type(kind) => Ok(vec![kind.to_owned()]),
        Level::System => Ok(named),
        Level::Compartment { type_name, kind, .. } => {
            let is_member = |name: &str| request.parameters.compartment(type_name, name).is_some();
            match kind {
                Some(kind) if is_member(kind) => Ok(vec![kind.to_owned()]),
                Some(kind) => {
                    let text = format!("no {kind} belongs to the compartment of a {type_name}");
                    Err(Outcome::error(IssueType::NotSupported, text))
                }
                None => {
                    let all = types::resource_types().filter(|name| is_member(name));
                    Ok(all
                        .filter(|name| named.is_empty() || named.iter().any(|one| one == name))
                        .map(ToOwned::to_owned)
                        .collect())
                }
            }
        }
    }
}

fn membership(request: &Request<'_>, type_name: &str, id: &str, types: &[String]) -> Filter {
    let of_type = |name: &String| Some((name.clone(), request.parameters.compartment(type_name, name)?));
    Filter::Compartment(Compartment {
        type_name: type_name.to_owned(),
        id: id.to_owned(),
        parameters: types.iter().filter_map(of_type).collect(),
    })
}

/// One filter from those of several types: the index tells their parameters apart.
fn merged(filters: Vec<Filter>) -> Filter {
    let mut any: Vec<Lookup> = Vec::new();
    let mut none: Vec<Lookup> = Vec::new();
    let mut others: Vec<Filter> = Vec::new();
    for filter in filters {
        match filter {
            Filter::Any(lookups) => any.extend(lookups),
            Filter::None(lookups) => none.extend(lookups),
            other if others.contains(&other) => {}
            other => others.push(other),
        }
    }
    if !any.is_empty() {
        others.push(Filter::Any(any));
    }
    if !none.is_empty() {
        others.push(Filter::None(none));
    }
    if others.len() == 1 { others.pop().unwrap_or(Filter::Nothing) } else { Filter::Either(others) }
}

#[cfg(test)]
mod tests;
