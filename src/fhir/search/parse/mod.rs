//! From a query string to a [`Query`] (FHIR R4 search.html).
//!
//! | what is asked | what becomes of it |
//! |---|---|
//! | a parameter that the types searched do not have, or one without a value | left out with a warning; 400 with `handling=strict` |
//! | a modifier that a known parameter does not take | 400 |
//! | a value that is malformed | 400, with what was expected |
//! | a value that no resource can have | found nowhere: [`Filter::Nothing`] |
//! | more than the limits allow | 400, `too-costly` |
//!
//! | file | what it reads |
//! |---|---|
//! | [`split`] | separators and escapes |
//! | [`compare`], [`number`], [`token`], [`reference`], [`lookup`] | one value, by the parameter's kind |
//! | [`filter`], [`chain`] | one parameter that selects resources |
//! | [`span`] | several of one date |
//! | [`result`] | the parameters that say what is answered: `_sort`, `_include`, `_count`, … |

mod chain;
mod compare;
mod filter;
mod lookup;
mod number;
mod reference;
mod refusal;
mod result;
mod span;
mod split;
#[cfg(test)]
mod tests;
mod token;

use time::OffsetDateTime;

use self::{filter::Reader, refusal::Refusal, result::Results, split::split};
use super::{Compartment, Filter, Parameters, Query};
use crate::fhir::{
    definition::registry::Registry,
    outcome::{Issue, Outcome},
    types::{is_resource, resource_types},
};

/// What the parser needs to know.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub parameters: &'a Parameters,
    /// For value sets (`:in`) and hierarchies (`:below`).
    pub registry: &'a Registry,
    /// The server's base URL: references below it are local.
    pub base: &'a str,
    /// For `ap` on dates.
    pub now: OffsetDateTime,
    pub handling: Handling,
    pub limits: SearchLimits,
}

/// `Prefer: handling=…`: what becomes of parameters that are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Handling {
    /// They are refused.
    Strict,
    /// They are left out.
    #[default]
    Lenient,
}

/// Parameters of the protocol, which select nothing and say nothing of the search.
pub const OF_THE_PROTOCOL: [&str; 4] = ["_format", "_pretty", "_page", "_method"];

/// What one search may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchLimits {
    /// Parameters of a query.
    pub max_parameters: usize,
    /// Alternatives of one parameter: `a,b,c`.
    pub max_values: usize,
    /// References that a chain leads over.
    pub max_depth: usize,
    /// Types that a chain goes on with when it names none.
    pub max_targets: usize,
    /// Codes of a value set or below a code.
    pub max_codes: usize,
    /// Cost of the whole query, by what the statement grows with: 1 for each code (or 64 bytes of text), 4 for each other
    /// alternative, 50 for each type that a chain leads to; all of it for each type searched.
    pub max_cost: usize,
    /// Keys of `_sort`.
    pub max_sort_keys: usize,
}

impl Default for SearchLimits {
    fn default() -> Self {
        Self {
            max_parameters: 100,
            max_values: 5000,
            max_depth: 4,
            max_targets: 16,
            max_codes: 5000,
            max_cost: 20_000,
            max_sort_keys: 8,
        }
    }
}

/// Where a search stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level<'a> {
    /// `[base]/[type]?…`
    Type(&'a str),
    /// `[base]?…`
    System,
    /// `[base]/[type_name]/[id]/[kind]?…`; `None`: `*`, all types of the compartment.
    Compartment { type_name: &'a str, id: &'a str, kind: Option<&'a str> },
}

/// Understands the parameters of a search, decoded from URL and form body. The outcome of an error (400) names each
/// parameter that is refused.
pub fn parse(request: &Request<'_>, level: Level<'_>, pairs: &[(String, String)]) -> Result<Query, Outcome> {
    count(request, pairs)?;
    let (types, compartment) = searched(request, level, pairs).map_err(|issue| Outcome::from(*issue))?;
    let is_open = !matches!(level, Level::Type(_) | Level::Compartment { kind: Some(_), .. });
    let mut reading = Reading::new(request, &types);
    reading.query.is_open = is_open && !pairs.iter().any(|(name, value)| name == "_type" && !value.trim().is_empty());
    reading.query.filters.extend(compartment);
    if !(level == Level::System && types.len() == resource_types().count()) {
        reading.query.types = types.iter().map(|one| (*one).to_owned()).collect();
    }
    for (name, value) in pairs.iter().filter(|(name, _)| !OF_THE_PROTOCOL.contains(&name.as_str())) {
        if name == "_type" && is_open {
            reading.query.used.push((name.clone(), value.clone()));
        } else {
            reading.parameter(name, value);
        }
    }
    reading.finish()
}

/// Understands the condition of a conditional interaction or reference, as it stands in a URL: `identifier=s|1`, maybe with
/// `?` or `Patient?` in front. It must be understood wholly, for a condition of which a part is left out may hold for
/// another resource; it says nothing of the answer; and it selects something.
pub fn condition(request: &Request<'_>, type_name: &str, query: &str) -> Result<Query, Outcome> {
    if !is_resource(type_name) {
        return Err(Refusal::wrong("is not a resource type of R4").issue(type_name, false).into());
    }
    let query = query.strip_prefix(type_name).filter(|rest| rest.starts_with('?')).unwrap_or(query);
    let query = query.strip_prefix('?').unwrap_or(query);
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| !OF_THE_PROTOCOL.contains(&&**name))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    let request = Request { handling: Handling::Strict, ..*request };
    count(&request, &pairs)?;
    let types = [type_name];
    let mut reading = Reading::new(&request, &types);
    reading.query.types = vec![type_name.to_owned()];
    for (name, value) in &pairs {
        if result::is_one(name) {
            reading.refuse(name, Refusal::unsupported("says nothing of which resource is meant"));
        } else {
            reading.parameter(name, value);
        }
    }
    let found = reading.finish()?;
    if found.filters.is_empty() {
        return Err(Refusal::wrong("expected a condition that selects resources").issue(type_name, false).into());
    }
    Ok(found)
}

fn count(request: &Request<'_>, pairs: &[(String, String)]) -> Result<(), Outcome> {
    // No text that is stored holds it, and the database takes none that does.
    if let Some((name, _)) = pairs.iter().find(|(name, value)| name.contains('\0') || value.contains('\0')) {
        return Err(Refusal::wrong("holds the character NUL").issue(name, false).into());
    }
    let most = request.limits.max_parameters;
    match pairs.get(most) {
        Some((name, _)) => {
            Err(Refusal::costly(format!("is one of more than {most} parameters")).issue(name, false).into())
        }
        None => Ok(()),
    }
}

/// The types searched, and the condition that a compartment puts on them.
fn searched<'a>(
    request: &Request<'_>,
    level: Level<'a>,
    pairs: &'a [(String, String)],
) -> Result<(Vec<&'a str>, Option<Filter>), Box<Issue>> {
    let issue = |refusal: Refusal, name: &str| Box::new(refusal.issue(name, false));
    let named = |from: &dyn Fn() -> Vec<&'a str>| named_types(pairs).map(|types| types.unwrap_or_else(from));
    let (type_name, id, kind) = match level {
        Level::Type(kind) => return Ok((vec![kind], None)),
        Level::System => {
            let types = named(&|| resource_types().collect()).map_err(|refusal| issue(refusal, "_type"))?;
            return Ok((types, None));
        }
        Level::Compartment { type_name, id, kind } => (type_name, id, kind),
    };
    let has = |kind: &str| request.parameters.compartment(type_name, kind);
    let types = match kind {
        Some(kind) => vec![kind],
        None => named(&|| resource_types().filter(|kind| has(kind).is_some()).collect())
            .map_err(|refusal| issue(refusal, "_type"))?,
    };
    let mut parameters = Vec::with_capacity(types.len());
    for kind in &types {
        let Some(numbers) = has(kind) else {
            let text = format!("the compartments of {type_name} hold no resources of type {}", refusal::told(kind));
            return Err(issue(Refusal::unsupported(text), type_name));
        };
        parameters.push(((*kind).to_owned(), numbers));
    }
    if types.is_empty() {
        return Err(issue(Refusal::unsupported("has no compartment"), type_name));
    }
    let (type_name, id) = (type_name.to_owned(), id.to_owned());
    Ok((types, Some(Filter::Compartment(Compartment { type_name, id, parameters }))))
}

/// `_type=Patient,Observation`. Types that do not exist are refused always: without them more would be searched, not less.
fn named_types(pairs: &[(String, String)]) -> Result<Option<Vec<&str>>, Refusal> {
    let mut given = pairs.iter().filter(|(name, value)| name == "_type" && !value.trim().is_empty());
    let Some((_, value)) = given.next() else { return Ok(None) };
    if given.next().is_some() {
        return Err(Refusal::wrong("may be given once"));
    }
    let mut types: Vec<&str> = Vec::new();
    for name in split(value, ',').filter(|name| !name.is_empty()) {
        if !is_resource(name) {
            return Err(Refusal::value("resource types of R4", name));
        }
        if !types.contains(&name) {
            types.push(name);
        }
    }
    types.sort_unstable();
    if types.is_empty() { Err(Refusal::value("resource types of R4", value)) } else { Ok(Some(types)) }
}

/// A query on its way.
struct Reading<'r> {
    request: &'r Request<'r>,
    types: &'r [&'r str],
    reader: Reader<'r>,
    results: Results,
    query: Query,
    errors: Vec<Issue>,
}

impl<'r> Reading<'r> {
    fn new(request: &'r Request<'r>, types: &'r [&'r str]) -> Self {
        let (reader, results, query) = (Reader::new(request), Results::default(), Query::default());
        Self { request, types, reader, results, query, errors: Vec::new() }
    }

    fn parameter(&mut self, name: &str, value: &str) {
        let read = if result::is_one(name) {
            self.result(name, value)
        } else if name == "_query" {
            // R4 search.html#query: "SHALL refuse".
            Err(Refusal::unsupported("there are no named queries here"))
        } else {
            let filters = self.reader.filters(self.types, name, value, 0);
            filters.map(|filters| {
                self.query.filters.extend(filters);
                Some(value.to_owned())
            })
        };
        match read {
            Ok(Some(value)) => self.query.used.push((name.to_owned(), value)),
            Ok(None) => {}
            Err(refusal) => self.refuse(name, refusal),
        }
    }

    /// Leaves a parameter out where that may be, or notes the error.
    fn refuse(&mut self, name: &str, refusal: Refusal) {
        if refusal.may_be_left_out && self.request.handling == Handling::Lenient {
            self.query.ignored.push(refusal.issue(name, true));
        } else {
            self.errors.push(refusal.issue(name, false));
        }
    }

    fn finish(mut self) -> Result<Query, Outcome> {
        self.settle();
        match Outcome::of(self.errors) {
            Some(outcome) => Err(outcome),
            None => {
                let filters = std::mem::take(&mut self.query.filters);
                self.query.filters = span::joined(filters, self.request.parameters);
                Ok(self.query)
            }
        }
    }
}
