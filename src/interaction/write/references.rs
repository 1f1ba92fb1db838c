//! Conditional references of a transaction (`Patient?identifier=…`): R4 resolves them last (http.html#trules), so among
//! what is stored once all its changes are.
//!
//! | what matches then | the reference |
//! |---|---|
//! | exactly one resource, stored before or made by the transaction | leads to it |
//! | none, also because the transaction deletes or changes what matched; or several | fails the whole, 412 |
//! | only the store could tell, and what the transaction changes would matter to it | fails the whole, 400 |
//!
//! While they are resolved, they stand in the contents as they were sent: none depends on how another is resolved.

use std::collections::{BTreeSet, HashMap, HashSet, hash_map::Entry};

use time::OffsetDateTime;

use super::{Planned, resolve::located};
use crate::{
    fhir::{
        outcome::{IssueType, Outcome},
        resource::Resource,
        search::{Digest, Filter, Lookup, Rows, Unstored},
    },
    interaction::{Engine, Failure, condition::Condition},
    store::Tx,
};

/// Values compared for one transaction at most: rows of what it makes, times what its conditions look for.
const MOST_COMPARED: usize = 50_000_000;

/// A resource that the transaction creates, updates or deletes.
pub(super) struct Touched<'a> {
    pub plan: &'a Planned,
    pub kind: &'a str,
    pub id: &'a str,
    /// What it will hold; `None`: it is deleted.
    pub content: Option<&'a Resource>,
}

/// `Type/id` for each conditional reference of the transaction, by its text.
pub(super) async fn resolve(
    tx: &mut Tx,
    engine: &Engine,
    planned: &[Planned],
    touched: &[Touched<'_>],
    now: OffsetDateTime,
) -> Result<HashMap<String, String>, Failure> {
    let mut afterwards = Afterwards {
        engine,
        touched,
        kinds: touched.iter().map(|one| one.kind).collect(),
        known: HashMap::new(),
        now,
        compared: 0,
    };
    let mut targets = HashMap::new();
    // Each is a search.
    let most = engine.config.fhir.max_bundle_entries;
    for plan in planned {
        for (text, condition) in &plan.lookups {
            if targets.contains_key(text) {
                continue;
            }
            if targets.len() == most {
                let text = format!("a transaction has at most {most} different conditional references");
                return Err(Failure::TooLarge(Outcome::error(IssueType::TooCostly, text)));
            }
            let only = afterwards.only(tx, text, condition).await;
            let id = only.map_err(|failure| located(failure, plan.at.as_deref()))?;
            targets.insert(text.clone(), format!("{}/{id}", condition.kind()));
        }
    }
    Ok(targets)
}

/// What is stored once the transaction is done.
struct Afterwards<'a> {
    engine: &'a Engine,
    touched: &'a [Touched<'a>],
    /// The types of what it touches.
    kinds: HashSet<&'a str>,
    /// By type, as far as it was asked for.
    known: HashMap<&'a str, OfKind<'a>>,
    now: OffsetDateTime,
    compared: usize,
}

/// What the transaction touches of one type.
#[derive(Default)]
struct OfKind<'a> {
    /// All of it.
    ids: HashSet<&'a str>,
    /// What it creates and updates, with what the index will hold.
    made: Vec<(&'a Touched<'a>, &'a Resource, Rows)>,
    /// The places in `made` of what a token finds.
    by_token: HashMap<Digest, Vec<usize>>,
}

impl<'a> Afterwards<'a> {
    /// The id of the only match.
    async fn only(&mut self, tx: &mut Tx, text: &str, condition: &Condition) -> Result<String, Failure> {
        let query = condition.query();
        let depends = query.touched().into_iter().any(|kind| self.kinds.contains(kind));
        let (mut ids, mut is_open) = self.made(condition)?;
        is_open |= depends;
        let none = HashSet::new();
        let touched = self.known.get(condition.kind()).map_or(&none, |of_kind| &of_kind.ids);
        let stored = condition.matches(tx.conn(), self.engine, touched).await?;
        ids.extend(stored.into_iter().map(|row| row.id));
        let several = "several resources, not one";
        match (ids.pop(), ids.len(), is_open) {
            (Some(_), 1.., false) => Err(unresolved(IssueType::MultipleMatches, text, several)),
            (_, _, true) => Err(open(text)),
            (Some(id), ..) => Ok(id),
            (None, ..) => Err(unresolved(IssueType::NotFound, text, "no resource")),
        }
    }

    /// The ids of what the transaction makes and the condition finds, and whether it cannot be told of some.
    fn made(&mut self, condition: &Condition) -> Result<(Vec<String>, bool), Failure> {
        let (engine, now, query) = (self.engine, self.now, condition.query());
        let updated = i64::try_from(now.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX);
        let mut compared = self.compared;
        let Some(of_kind) = self.of_kind(condition.kind()) else { return Ok((Vec::new(), false)) };
        let (mut ids, mut is_open) = (Vec::new(), false);
        for (touched, content, rows) in of_kind.candidates(&query.filters) {
            compared = compared.saturating_add(query.values().saturating_mul(rows.count().max(1)));
            if compared > MOST_COMPARED {
                let text = "the conditional references of this transaction look at too much of what it makes; split it";
                return Err(Failure::bad_request(IssueType::TooCostly, text));
            }
            match (Unstored { id: touched.id, updated, rows }).fulfils(&query.filters) {
                Some(true) if condition.shows(&touched.plan.permit, content, touched.id, &engine.base) => {
                    ids.push(touched.id.to_owned());
                }
                Some(_) => {}
                None => is_open = true,
            }
        }
        self.compared = compared;
        Ok((ids, is_open))
    }

    /// What is touched of a type; nothing is `None`.
    fn of_kind(&mut self, kind: &str) -> Option<&OfKind<'a>> {
        let kind = *self.kinds.get(kind)?;
        Some(match self.known.entry(kind) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let mut of_kind = OfKind::default();
                for touched in self.touched.iter().filter(|touched| touched.kind == kind) {
                    of_kind.ids.insert(touched.id);
                    if let Some(content) = touched.content {
                        let rows = self.engine.parameters.extract(content, touched.id, &self.engine.base);
                        of_kind.add(touched, content, rows);
                    }
                }
                new.insert(of_kind)
            }
        })
    }
}

impl<'a> OfKind<'a> {
    fn add(&mut self, touched: &'a Touched<'a>, content: &'a Resource, rows: Rows) {
        for row in &rows.tokens {
            self.by_token.entry(row.digest).or_default().push(self.made.len());
        }
        self.made.push((touched, content, rows));
    }

    /// All that the filters may find: what the first token that they demand finds.
    fn candidates(&self, filters: &[Filter]) -> Vec<&(&'a Touched<'a>, &'a Resource, Rows)> {
        let tokens = filters.iter().find_map(|filter| match filter {
            Filter::Any(lookups) => match lookups.as_slice() {
                [Lookup::Tokens(digests)] => Some(digests),
                _ => None,
            },
            _ => None,
        });
        let Some(tokens) = tokens else { return self.made.iter().collect() };
        let places: BTreeSet<_> = tokens.iter().filter_map(|digest| self.by_token.get(digest)).flatten().collect();
        places.into_iter().filter_map(|place| self.made.get(*place)).collect()
    }
}

fn unresolved(code: IssueType, text: &str, matches: &str) -> Failure {
    Failure::precondition(code, format!("the reference {text} matches {matches}"))
}

fn open(text: &str) -> Failure {
    let told = format!(
        "whether the reference {text} matches depends on what this transaction changes, and its condition can only be \
         looked up in what is stored already: refer by fullUrl, or with a condition on the resource's own elements"
    );
    Failure::bad_request(IssueType::NotSupported, told)
}
