//! `_include` and `_revinclude` (FHIR R4 search.html#include): what a page brings along.

use std::collections::HashSet;

use sqlx::PgConnection;

use super::reach::Leave;
use crate::{
    fhir::search::{Include, Query},
    interaction::{Engine, Failure},
    store::{
        resource::Current,
        search::{self as store, Found, Included, Source},
    },
};

/// Rounds of `:iterate` at most: a chain of references longer than this is cut.
const MAX_ROUNDS: usize = 16;

/// What was brought along, and whether there was more than fits.
pub struct Brought {
    pub rows: Vec<Current>,
    pub is_cut: bool,
}

/// Everything that the includes of `query` bring along with `matches`, once each, without the matches themselves.
pub async fn bring(
    conn: &mut PgConnection,
    engine: &Engine,
    leave: &Leave,
    query: &Query,
    matches: &[Found],
) -> Result<Brought, Failure> {
    let mut seen: HashSet<(String, String)> = matches.iter().map(|found| identity(&found.current)).collect();
    let mut brought = Brought { rows: Vec::new(), is_cut: false };
    let mut sources: Vec<Source> = matches.iter().map(|found| source(&found.current, found.key)).collect();
    for round in 0..MAX_ROUNDS {
        let mut fresh: Vec<Source> = Vec::new();
        for (include, reverse) in all(query) {
            // What is not iterated looks at the matches only.
            if sources.is_empty() || (round > 0 && !include.iterate) {
                continue;
            }
            let room = engine.config.search.max_included.saturating_sub(brought.rows.len());
            let limit = i64::try_from(room + seen.len() + 1).unwrap_or(i64::MAX);
            let found = one(conn, leave, include, reverse, &sources, limit).await?;
            for Included { current, key } in found {
                if !seen.insert(identity(&current)) {
                    continue;
                }
                if brought.rows.len() >= engine.config.search.max_included {
                    brought.is_cut = true;
                    break;
                }
                fresh.push(source(&current, key));
                brought.rows.push(current);
            }
        }
        if fresh.is_empty() || brought.is_cut {
            return Ok(brought);
        }
        sources = fresh;
    }
    brought.is_cut = true;
    Ok(brought)
}

fn all(query: &Query) -> impl Iterator<Item = (&Include, bool)> {
    let forward = query.includes.iter().map(|include| (include, false));
    forward.chain(query.revincludes.iter().map(|include| (include, true)))
}

async fn one(
    conn: &mut PgConnection,
    leave: &Leave,
    include: &Include,
    reverse: bool,
    sources: &[Source],
    limit: i64,
) -> Result<Vec<Included>, Failure> {
    if reverse {
        // The target of a _revinclude is what is referred to: the sources.
        let of_target = |source: &&Source| include.target.as_ref().is_none_or(|target| *target == source.type_name);
        let targets: Vec<_> = sources.iter().filter(of_target).cloned().collect();
        let kind = include.source.as_deref();
        return Ok(store::referring(conn, &leave.reach, &targets, kind, &include.parameters, limit).await?);
    }
    let of_source = |source: &&Source| include.source.as_ref().is_none_or(|kind| *kind == source.type_name);
    let sources: Vec<_> = sources.iter().filter(of_source).cloned().collect();
    let target = include.target.as_deref();
    Ok(store::included(conn, &leave.reach, &sources, &include.parameters, target, limit).await?)
}

fn identity(row: &Current) -> (String, String) {
    (row.r#type.clone(), row.id.clone())
}

fn source(row: &Current, key: i64) -> Source {
    Source { tenant: row.tenant, key, type_name: row.r#type.clone(), id: row.id.clone() }
}
