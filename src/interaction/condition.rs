//! Conditions: of conditional interactions (`If-None-Exist`, `PUT [type]?…`; FHIR R4 http.html#ccreate) and of conditional
//! references in transactions. A condition is a search with filters only; one that names what is not known is refused, for
//! without that part it would find something else.

use std::collections::{BTreeMap, HashSet};

use sqlx::PgConnection;

use super::{Engine, Failure, read::parsed, search};
use crate::{
    access::{
        Caller, Permit,
        audit::{Seen, without_content},
    },
    fhir::{
        outcome::IssueType,
        reference,
        resource::Resource,
        search::{Filter, Handling, Query, condition},
    },
    store::{
        resource::Current,
        search::{Window, page},
    },
};

/// A parsed condition: every part must hold.
#[derive(Clone, Debug)]
pub struct Condition {
    kind: String,
    query: Query,
    leave: search::Leave,
}

impl Condition {
    /// Parses a query such as `identifier=http://sys|123`; a leading `?` or `Type?` is tolerated. Takes the caller's leave
    /// for every type that it looks at.
    pub fn parse(engine: &Engine, caller: &Caller, kind: &str, query: &str) -> Result<Self, Failure> {
        let request = search::request(engine, Handling::Strict);
        let query = condition(&request, kind, query).map_err(Failure::BadRequest)?;
        let leave = search::Leave::take(caller, &query)?;
        // Its outcome tells whether something matches.
        let used = without_content(&query.used);
        caller.trail.note(Seen { action: "search", target: kind.to_owned(), query: Some(used), ..Seen::default() });
        Ok(Self { kind: kind.to_owned(), query, leave })
    }

    /// The same under one leave for every type: `$set-context` looks among all that its PoC sees.
    pub fn parse_under(engine: &Engine, permit: &Permit, kind: &str, query: &str) -> Result<Self, Failure> {
        let request = search::request(engine, Handling::Strict);
        let query = condition(&request, kind, query).map_err(Failure::BadRequest)?;
        Ok(Self { kind: kind.to_owned(), query, leave: search::Leave::under(permit) })
    }

    /// The key that two equal conditional creates fight for.
    pub fn lock_key(&self) -> String {
        let mut parts: Vec<_> = self.query.used.iter().map(|(name, value)| format!("{name}={value}")).collect();
        parts.sort();
        parts.dedup();
        format!("{}?{}", self.kind, parts.join("&"))
    }

    /// The type of what is looked for.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What is looked for.
    pub const fn query(&self) -> &Query {
        &self.query
    }

    /// Whether its caller is shown what another write of the same request makes. Under the same limit that write is held
    /// to it, once its own references are resolved.
    pub fn shows(&self, made_under: &Permit, content: &Resource, id: &str, base: &str) -> bool {
        self.leave.of(&self.kind).is_some_and(|permit| {
            permit.limit() == made_under.limit() || permit.shows(made_under.owner().tenant, content, id, base)
        })
    }

    /// The only match other than `except`, or none; 412 for several.
    pub async fn only(
        &self,
        conn: &mut PgConnection,
        engine: &Engine,
        except: &HashSet<&str>,
    ) -> Result<Option<Current>, Failure> {
        let mut matches = self.matches(conn, engine, except).await?;
        if matches.len() > 1 {
            let text = "the condition matches several resources";
            return Err(Failure::precondition(IssueType::MultipleMatches, text));
        }
        Ok(matches.pop())
    }

    /// The visible resources that match, other than those with the ids `except`; more than one is as good as many.
    pub async fn matches(
        &self,
        conn: &mut PgConnection,
        engine: &Engine,
        except: &HashSet<&str>,
    ) -> Result<Vec<Current>, Failure> {
        let is_other = |row: &Current| !except.contains(row.id.as_str());
        let (mut found, more) = self.first_two(conn, &self.query.filters).await?;
        if more && !found.iter().all(is_other) {
            let others = Filter::OtherThan(except.iter().copied().map(ToOwned::to_owned).collect());
            let filters: Vec<_> = self.query.filters.iter().cloned().chain([others]).collect();
            found = self.first_two(conn, &filters).await?.0;
        }
        let mut shown = Vec::new();
        for row in found.into_iter().filter(is_other) {
            let body = parsed(engine, row.body.as_deref().unwrap_or_default())?;
            if self.leave.of(&self.kind).is_some_and(|permit| permit.shows(row.tenant, &body, &row.id, &engine.base)) {
                shown.push(row);
            }
        }
        Ok(shown)
    }

    /// Two that match, and whether there are more.
    async fn first_two(&self, conn: &mut PgConnection, filters: &[Filter]) -> Result<(Vec<Current>, bool), Failure> {
        let window = Window { size: 2, cursor: None, backward: false };
        let types = std::slice::from_ref(&self.kind);
        let (found, more) = page(conn, &self.leave.reach, types, filters, &[], window).await?;
        Ok((found.into_iter().map(|found| found.current).collect(), more))
    }
}

/// How a condition on a type is parsed: under whose leave.
pub type Parse<'a> = dyn Fn(&str, &str) -> Result<Condition, Failure> + Send + Sync + 'a;

/// The conditional references of a resource (`Patient?identifier=…`), by their text.
pub fn references(resource: &Resource, parse: &Parse<'_>) -> Result<BTreeMap<String, Condition>, Failure> {
    let mut conditions = BTreeMap::new();
    for found in reference::all(resource) {
        if let Some((kind, query)) = reference::conditional(&found.reference)
            && !conditions.contains_key(&found.reference)
        {
            let condition = parse(kind, query)?;
            conditions.insert(found.reference, condition);
        }
    }
    Ok(conditions)
}
