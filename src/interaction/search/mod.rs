//! search: `GET [base]/[type]?…`, `POST [base]/[type]/_search`, and the same for the system and for compartments
//! (FHIR R4 http.html#search, search.html).
//!
//! | situation | answer |
//! |---|---|
//! | understood | 200 and a `searchset` Bundle, also when nothing matches |
//! | a parameter that is unknown or empty | left out of `self`, with a warning; 400 with `Prefer: handling=strict` |
//! | a value or modifier that the parameter does not take | 400 |
//! | the token may not search a type that is named | 403 |
//! | no type is named: the system, or `*` of a compartment | the types that the token may search; 403 if there is none |
//! | a type reached by a chain or `_has` may not be searched | nothing is found there, with a warning |
//! | a paging link of another caller | 404 |
//! | longer than `database.statement_timeout` | 503, `too-costly` |
//!
//! What is not visible is not found, not counted, not included and leads nowhere: see [`reach`].

mod bundle;
mod everything;
mod include;
mod reach;
pub mod reindex;

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::{
    Engine, Failure,
    page::{self, Links, Listing, Page},
    read::parsed,
    subscription::show::View,
};
use crate::{
    access::{
        Caller,
        audit::{Patients, Seen, without_content},
    },
    fhir::{
        outcome::{Issue, IssueType},
        search::{Handling, Level, Limit, Query, Request, SearchLimits, Summary, Total, parse},
    },
    store::{
        resource::Current,
        search::{self as store, Cursor, Found, Window},
    },
};
use bundle::Searchset;
pub use bundle::link;
pub use reach::Leave;

/// What is searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Resources of one type.
    Type(String),
    /// Resources of all types, or of those in `_type`.
    System,
    /// A compartment: that of `[compartment]/[id]`; `None` = all its types.
    Compartment { compartment: String, id: String, kind: Option<String> },
    /// `Patient/[id]/$everything`.
    Everything(String),
}

impl Place {
    /// The path below the base.
    fn path(&self) -> String {
        match self {
            Self::Type(kind) => format!("/{kind}"),
            Self::System => String::new(),
            Self::Compartment { compartment, id, kind } => {
                format!("/{compartment}/{id}/{}", kind.as_deref().unwrap_or("*"))
            }
            Self::Everything(id) => format!("/Patient/{id}/$everything"),
        }
    }

    fn level(&self) -> Level<'_> {
        match self {
            Self::Type(kind) => Level::Type(kind),
            Self::System => Level::System,
            Self::Compartment { compartment, id, kind } => {
                Level::Compartment { type_name: compartment, id, kind: kind.as_deref() }
            }
            Self::Everything(id) => Level::Compartment { type_name: "Patient", id, kind: None },
        }
    }
}

/// Where a page begins.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct From {
    cursor: Option<Cursor>,
    /// The page ends there.
    backward: bool,
}

/// Whether a search is understood, and permitted.
pub fn check(engine: &Engine, caller: &Caller, place: &Place, pairs: &[(String, String)]) -> Result<(), Failure> {
    let query = parsed_query(engine, caller, place, pairs, Handling::Lenient)?;
    Leave::take(caller, &query).map(drop)
}

/// Searches and answers with the `searchset` Bundle as JSON text.
pub async fn search(
    engine: &Engine,
    caller: &Caller,
    place: &Place,
    pairs: &[(String, String)],
    handling: Handling,
) -> Result<String, Failure> {
    let path = place.path();
    let listing = Listing::new(engine, caller, &format!("search {path}"));
    let token = pairs.iter().find(|(name, _)| name == page::PARAMETER).map(|(_, token)| token);
    let (pairs, from, kept) = match token {
        Some(token) => {
            let Page { parameters, kept, cursor } = listing.page(token).await?;
            (parameters, cursor, kept)
        }
        None => (pairs.to_vec(), From::default(), None),
    };
    let query = parsed_query(engine, caller, place, &pairs, handling)?;
    let leave = Leave::take(caller, &query)?;
    let results = run(engine, caller, &leave, &query, &from).await?;
    let mut told = Told { base: format!("{}{path}", engine.base), links: Vec::new() };
    let first = bundle::link(&told.base, &query.used);
    match token {
        Some(token) => told.paged("self", token),
        None => told.links.push(("self", first.clone())),
    }
    if !results.only_total {
        let mut links = Links { listing: &listing, parameters: query.used.as_slice(), kept };
        let others = elsewhere(&query, &results);
        // Whoever follows it may not be able to send so long an address.
        if first.len() <= told.base.len() + page::LONGEST {
            told.links.push(("first", first));
        } else if !others.is_empty() {
            told.paged("first", &links.token(&From::default()).await?);
        }
        for (relation, from) in others {
            told.paged(relation, &links.token(&from).await?);
        }
    }
    let (text, shown) = finish(engine, &leave, &query, results, &told.links).await?;
    caller.trail.note(Seen {
        action: if matches!(place, Place::Everything(_)) { "everything" } else { "search" },
        target: path.trim_start_matches('/').to_owned(),
        query: Some(without_content(&query.used)),
        ..shown
    });
    Ok(text)
}

/// The links that an answer tells.
struct Told {
    base: String,
    links: Vec<(&'static str, String)>,
}

impl Told {
    fn paged(&mut self, relation: &'static str, token: &str) {
        self.links.push((relation, format!("{}?{}={token}", self.base, page::PARAMETER)));
    }
}

/// The other pages, as far as there are any.
fn elsewhere(query: &Query, results: &Results) -> Vec<(&'static str, From)> {
    let cursor = |found: Option<&Found>| found.map(|found| found.cursor(&query.sort));
    let mut pages = Vec::new();
    if results.has_previous {
        pages.push(("previous", From { cursor: cursor(results.matches.first()), backward: true }));
    }
    if results.has_next {
        pages.push(("next", From { cursor: cursor(results.matches.last()), backward: false }));
    }
    if results.has_previous || results.has_next {
        pages.push(("last", From { cursor: None, backward: true }));
    }
    pages
}

fn parsed_query(
    engine: &Engine,
    caller: &Caller,
    place: &Place,
    pairs: &[(String, String)],
    handling: Handling,
) -> Result<Query, Failure> {
    if let Place::Everything(id) = place {
        return everything::query(engine, caller, id, pairs);
    }
    let request = request(engine, handling);
    parse(&request, place.level(), pairs).map_err(Failure::BadRequest)
}

/// What the parser of queries needs to know of this server.
pub fn request(engine: &Engine, handling: Handling) -> Request<'_> {
    Request {
        parameters: &engine.parameters,
        registry: engine.validator.registry(),
        base: &engine.base,
        now: engine.now(),
        handling,
        limits: SearchLimits::default(),
    }
}

/// What was found.
struct Results {
    matches: Vec<Found>,
    included: Vec<Current>,
    total: Option<i64>,
    only_total: bool,
    has_previous: bool,
    has_next: bool,
    warnings: Vec<Issue>,
}

async fn run(engine: &Engine, caller: &Caller, leave: &Leave, query: &Query, from: &From) -> Result<Results, Failure> {
    let types = searched(leave, query);
    let only_total = query.count == Some(0) || query.summary == Some(Summary::Count);
    let mut conn = engine.reader(&caller.wall()).await?;
    let mut results = Results {
        matches: Vec::new(),
        included: Vec::new(),
        total: None,
        only_total,
        has_previous: false,
        has_next: false,
        warnings: query.ignored.clone(),
    };
    if only_total || matches!(query.total, Some(Total::Accurate | Total::Estimate)) {
        results.total = Some(store::count(&mut conn, &leave.reach, &types, &query.filters).await?);
    }
    if !only_total {
        fill(engine, &mut conn, leave, query, from, &types, &mut results).await?;
        if !query.includes.is_empty() || !query.revincludes.is_empty() {
            bring(engine, &mut conn, caller, query, &mut results).await?;
        }
    }
    for kind in &leave.withheld {
        let text = format!("the token does not allow to search {kind}: conditions on it find nothing");
        results.warnings.push(Issue::warning(IssueType::Suppressed, text));
    }
    let is_limited = leave.reach.types.values().any(|limit| *limit != Limit::Everything);
    let found_nothing = results.matches.is_empty() && results.total.is_none_or(|total| total == 0);
    if found_nothing && is_limited {
        let text = "only what the token allows was searched: a patient, or conditions, limit it";
        results.warnings.push(Issue::warning(IssueType::Suppressed, text));
    }
    Ok(results)
}

fn searched(leave: &Leave, query: &Query) -> Vec<String> {
    if query.types.is_empty() {
        return leave.types();
    }
    query.types.iter().filter(|kind| leave.of(kind).is_some()).cloned().collect()
}

async fn fill(
    engine: &Engine,
    conn: &mut PgConnection,
    leave: &Leave,
    query: &Query,
    from: &From,
    types: &[String],
    results: &mut Results,
) -> Result<(), Failure> {
    let limits = &engine.config.search;
    let size = query.count.map_or(limits.page_size, |count| usize::try_from(count).unwrap_or(usize::MAX));
    let size = size.min(limits.max_page_size);
    let (matches, more) = walk(conn, leave, query, from, types, size).await?;
    // Beyond the edge that the page was reached over there is at least the row of the link.
    let (has_previous, has_next) =
        if from.backward { (more, from.cursor.is_some()) } else { (from.cursor.is_some(), more) };
    let is_everything = !has_previous && !has_next;
    if results.total.is_none() && is_everything && query.total != Some(Total::None) {
        results.total = i64::try_from(matches.iter().filter(|found| is_told(query, &found.current)).count()).ok();
    }
    (results.has_previous, results.has_next) = (has_previous, has_next);
    results.matches = matches;
    Ok(())
}

/// Resources that are walked over for one page at most, where not all are told.
const MOST_WALKED: usize = 5000;

/// Resources fetched at once at least, where more have to be looked at than are told.
const STRIDE: usize = 200;

/// A page on which `size` matches are told at most, in the order of the results, with those that are not told; and whether
/// there are more beyond it.
async fn walk(
    conn: &mut PgConnection,
    leave: &Leave,
    query: &Query,
    from: &From,
    types: &[String],
    size: usize,
) -> Result<(Vec<Found>, bool), Failure> {
    let mut window = Window { size, cursor: from.cursor.clone(), backward: from.backward };
    let (mut walked, mut told): (Vec<Found>, usize) = (Vec::new(), 0);
    let more = loop {
        let (mut found, more) =
            store::page(conn, &leave.reach, types, &query.filters, &query.sort, window.clone()).await?;
        if from.backward {
            found.reverse();
        }
        let count = found.len();
        let room = |found: &Found| {
            let is_room = told < size;
            told += usize::from(is_room && is_told(query, &found.current));
            is_room
        };
        let before = walked.len();
        walked.extend(found.into_iter().take_while(room));
        let is_cut = walked.len() - before < count;
        if is_cut || !more || told == size || walked.len() >= MOST_WALKED {
            break more || is_cut;
        }
        window.cursor = walked.last().map(|found| found.cursor(&query.sort));
        window.size = size.max(STRIDE);
    };
    if from.backward {
        walked.reverse();
    }
    Ok((walked, more))
}

fn is_told(query: &Query, row: &Current) -> bool {
    query.only.as_ref().is_none_or(|only| only.tells(&row.r#type, row.updated))
}

async fn bring(
    engine: &Engine,
    conn: &mut PgConnection,
    caller: &Caller,
    query: &Query,
    results: &mut Results,
) -> Result<(), Failure> {
    let Some(mut leave) = Leave::to_read(caller) else { return Ok(()) };
    if let Some(only) = query.only.as_ref().filter(|only| !only.types.is_empty()) {
        leave.reach.types.retain(|kind, _| only.types.contains(kind));
    }
    let brought = include::bring(conn, engine, &leave, query, &results.matches).await?;
    if brought.is_cut {
        let text = format!("more than {} resources would be included; the rest is left out", brought.rows.len());
        results.warnings.push(Issue::warning(IssueType::Incomplete, text));
    }
    for row in brought.rows {
        if is_told(query, &row) && shown(engine, &leave, &row)? {
            results.included.push(row);
        }
    }
    Ok(())
}

/// The statements look for what may be shown only; this is looked at once more, for a mistake there would leak.
fn shown(engine: &Engine, leave: &Leave, row: &Current) -> Result<bool, Failure> {
    let Some(permit) = leave.of(&row.r#type) else { return Ok(false) };
    if !permit.is_limited(row.tenant) {
        return Ok(true);
    }
    let body = parsed(engine, row.body.as_deref().unwrap_or_default())?;
    let shows = permit.shows(row.tenant, &body, &row.id, &engine.base);
    if !shows {
        tracing::error!(kind = row.r#type, "a search found what may not be shown; it is left out");
    }
    Ok(shows)
}

async fn finish(
    engine: &Engine,
    leave: &Leave,
    query: &Query,
    results: Results,
    links: &[(&str, String)],
) -> Result<(String, Seen), Failure> {
    let (mut patients, mut found) = (Patients::default(), 0);
    let mut shown_of = |row: &Current, body: &str| {
        found += 1;
        patients.of(&row.r#type, &row.id, body, &engine.base);
    };
    let mut set = Searchset::new(results.total, links);
    for found in results.matches {
        if is_told(query, &found.current) && shown(engine, leave, &found.current)? {
            let body = body(engine, leave, &found.current).await?;
            shown_of(&found.current, &body);
            set.entry(&engine.base, &found.current, &bundle::kept(engine, query, body, true)?, "match");
        }
    }
    for row in &results.included {
        let body = body(engine, leave, row).await?;
        shown_of(row, &body);
        set.entry(&engine.base, row, &bundle::kept(engine, query, body, false)?, "include");
    }
    if !results.warnings.is_empty() {
        set.outcome(results.warnings);
    }
    // Who may see one patient only asked about that one, whatever was found.
    leave.reach.types.values().filter_map(Limit::only_patient).for_each(|patient| patients.add(patient));
    Ok((set.text(), Seen { found: Some(found), patients: patients.into(), ..Seen::default() }))
}

/// The body as this caller sees it.
async fn body(engine: &Engine, leave: &Leave, row: &Current) -> Result<String, Failure> {
    let stored = row.body.clone().unwrap_or_default();
    if row.r#type != "Subscription" {
        return Ok(stored);
    }
    let Some(permit) = leave.of(&row.r#type) else { return Ok(stored) };
    let mut conn = engine.pool.acquire().await?;
    let view = View::of(&mut conn, engine, permit, &row.r#type, &row.id).await?;
    Ok(view.body(row.version, stored))
}
