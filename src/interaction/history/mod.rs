//! history: `GET [base]/[type]/[id]/_history`, `GET [base]/[type]/_history`, `GET [base]/_history`
//! (FHIR R4 http.html#history).
//!
//! | situation | answer |
//! |---|---|
//! | an instance that is visible, deleted included | its versions |
//! | an instance that is unknown, or not for this caller | 404 |
//! | an instance purged by `$clear-context` | 410 |
//! | a type that the token may not search | 403 |
//! | everything | the types that the token may search |
//! | a parameter that is unknown or empty | ignored; 400 with `Prefer: handling=strict` |
//! | a known parameter twice, with a modifier, or with an unusable value | 400 |
//! | a paging link of another caller | 404 |
//!
//! A change that waits for its point-of-care system carries the time of its staging. Until it is stored or withdrawn, the
//! history of a type or of everything goes no further than to that time, which is also the `timestamp` of the Bundle: who
//! asks next for what came `_since` then, or since the last version told, misses nothing.
//!
//! Deletes are entries without a resource; what was purged is no entry at all. Under `patient/` scopes every version is
//! judged for itself (a resource may have moved from one patient to another), and a delete by what it deleted.

mod asked;
mod bundle;
mod listing;

use serde::{Deserialize, Serialize};

use super::{
    Engine, Failure,
    page::{self, Links, Page},
};
use crate::{
    access::{
        Caller,
        audit::{Patients, Seen, without_content},
    },
    fhir::search::Handling,
    store::history::Cursor,
};
use asked::{Asked, Sizes};
use listing::Listing;

/// Whose history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// That of one resource.
    Instance { kind: &'a str, id: &'a str },
    /// That of all resources of a type.
    Type(&'a str),
    /// That of everything.
    System,
}

impl Place<'_> {
    /// The path below the base.
    fn path(&self) -> String {
        match self {
            Self::Instance { kind, id } => format!("/{kind}/{id}/_history"),
            Self::Type(kind) => format!("/{kind}/_history"),
            Self::System => "/_history".to_owned(),
        }
    }
}

/// Where a page of the listing is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    /// Beyond this version; `None`: from an end of the listing.
    beyond: Option<Cursor>,
    /// Towards the beginning of the listing.
    backward: bool,
}

/// Fails where the history could not be told now: it is not understood, not permitted, or not there.
pub async fn check(
    engine: &Engine,
    caller: &Caller,
    place: Place<'_>,
    pairs: &[(String, String)],
) -> Result<(), Failure> {
    let pages = page::Listing::new(engine, caller, &format!("history {}", place.path()));
    let Wanted { asked, .. } = wanted(engine, &pages, pairs, Handling::Lenient).await?;
    Listing::check(engine, caller, place, &asked).await
}

/// What a query asks for.
struct Wanted<'q> {
    asked: Asked,
    part: Part,
    /// The token of the paging link that was followed, and where its parameters are kept.
    token: Option<&'q str>,
    kept: Option<page::Digest>,
}

async fn wanted<'q>(
    engine: &Engine,
    pages: &page::Listing<'_>,
    pairs: &'q [(String, String)],
    handling: Handling,
) -> Result<Wanted<'q>, Failure> {
    let sizes = Sizes::from(&engine.config.search);
    let token = pairs.iter().find(|(name, _)| name == page::PARAMETER).map(|(_, token)| token.as_str());
    let Some(token) = token else {
        let asked = Asked::read(pairs, handling, sizes)?;
        return Ok(Wanted { asked, part: Part::default(), token: None, kept: None });
    };
    let Page { parameters, kept, cursor }: Page<Vec<_>, Part> = pages.page(token).await?;
    let asked = Asked::read(&parameters, Handling::Lenient, sizes)?;
    Ok(Wanted { asked, part: cursor, token: Some(token), kept })
}

/// The `history` Bundle as JSON text. `pairs` are the query's parameters; `handling` is about unknown ones.
pub async fn history(
    engine: &Engine,
    caller: &Caller,
    place: Place<'_>,
    pairs: &[(String, String)],
    handling: Handling,
) -> Result<String, Failure> {
    let path = place.path();
    let pages = page::Listing::new(engine, caller, &format!("history {path}"));
    let Wanted { asked, part, token, kept } = wanted(engine, &pages, pairs, handling).await?;
    let listing = Listing::read(engine, caller, place, &asked, &part).await?;
    let url = |query: &str| format!("{}{path}{query}", engine.base);
    let first = url(&asked.query());
    let own = token.map_or_else(|| first.clone(), |token| url(&format!("?{}={token}", page::PARAMETER)));
    let mut links = vec![("self", own)];
    if asked.count > 0 {
        links.push(("first", first));
        let mut tokens = Links { listing: &pages, parameters: asked.used.as_slice(), kept };
        for (relation, part) in listing.elsewhere() {
            links.push((relation, url(&format!("?{}={}", page::PARAMETER, tokens.token(&part).await?))));
        }
    }
    let mut patients = Patients::default();
    for version in &listing.versions {
        patients.of(&version.r#type, &version.id, version.body.as_deref().unwrap_or_default(), &engine.base);
    }
    caller.trail.note(Seen {
        action: "history",
        target: path.trim_start_matches('/').to_owned(),
        patients: patients.into(),
        query: Some(without_content(&asked.used)),
        found: Some(listing.versions.len()),
        ..Seen::default()
    });
    bundle::text(&engine.base, &links, &listing)
}
