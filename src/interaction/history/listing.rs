//! One page of a history: fetched, judged version by version, and where it goes on.

use std::collections::{BTreeMap, HashMap, hash_map::Entry};

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Asked, Part, Place};
use crate::{
    access::{Act, Caller, Permit, authorize},
    fhir::{reference, types},
    interaction::{
        Engine, Failure,
        read::{self, parsed},
        subscription::show::View,
    },
    store::{
        Reader,
        history::{self as store, Cursor, Version, Window},
        resource::Current,
    },
};

/// Versions that are looked at for one page at most: under `patient/` scopes many may not be shown. A page that ends there
/// has a link on, even when nothing is on it.
const MAX_EXAMINED: usize = 5000;

/// Versions fetched at once at most, beyond what is asked for.
const MAX_FETCHED: i64 = 1000;

/// A page.
pub struct Listing {
    /// Up to when it is complete, apart from what is left out on purpose.
    pub until: OffsetDateTime,
    /// How many versions there are on all pages, where that is known.
    pub total: Option<i64>,
    /// In the order that was asked for.
    pub versions: Vec<Version>,
    /// If there is a page before (after) this one: beyond what; `Some(None)`: from that end.
    pub previous: Option<Option<Cursor>>,
    pub next: Option<Option<Cursor>>,
}

/// Whose versions are listed.
enum Source {
    Resource(Box<Current>),
    Types(Vec<&'static str>),
}

/// One request's way through a history.
struct Walk<'e> {
    engine: &'e Engine,
    source: Source,
    /// By type: under what leave versions are shown.
    permits: BTreeMap<String, Permit>,
    only: Option<Vec<String>>,
    /// Since when a change waits for the point-of-care system that would belong here.
    waiting: Option<OffsetDateTime>,
}

impl Listing {
    /// The other pages, as far as there are any.
    pub fn elsewhere(&self) -> Vec<(&'static str, Part)> {
        let mut pages = Vec::new();
        if let Some(beyond) = &self.previous {
            pages.push(("previous", Part { beyond: beyond.clone(), backward: true }));
        }
        if let Some(beyond) = &self.next {
            pages.push(("next", Part { beyond: beyond.clone(), backward: false }));
        }
        if !pages.is_empty() {
            pages.push(("last", Part { beyond: None, backward: true }));
        }
        pages
    }

    /// Fails where no page could be read.
    pub async fn check(engine: &Engine, caller: &Caller, place: Place<'_>, asked: &Asked) -> Result<(), Failure> {
        Walk::begin(engine, caller, place, asked).await.map(drop)
    }

    /// An empty one.
    fn until(until: OffsetDateTime) -> Self {
        Self { until, total: None, versions: Vec::new(), previous: None, next: None }
    }

    /// Reads the page `part`.
    pub async fn read(
        engine: &Engine,
        caller: &Caller,
        place: Place<'_>,
        asked: &Asked,
        part: &Part,
    ) -> Result<Self, Failure> {
        let now = engine.now();
        let (mut conn, walk) = Walk::begin(engine, caller, place, asked).await?;
        let until = walk.waiting.map_or(now, |waiting| waiting.min(now));
        let mut listing =
            if asked.count == 0 { Self::until(until) } else { walk.page(&mut conn, asked, part, until).await? };
        let is_everything = asked.count > 0 && listing.previous.is_none() && listing.next.is_none();
        listing.total = if is_everything {
            i64::try_from(listing.versions.len()).ok()
        } else {
            walk.count(&mut conn, asked).await?
        };
        walk.unmask(&mut conn, &mut listing.versions).await?;
        Ok(listing)
    }
}

/// The leave for each type of a listing. Its letters are those of read for an instance, of search otherwise (SMART App
/// Launch 2.1, scopes-and-launch-context).
fn permits(caller: &Caller, place: Place<'_>) -> Result<BTreeMap<String, Permit>, Failure> {
    let one = |kind: &str, act: Act<'_>| Ok(BTreeMap::from([(kind.to_owned(), authorize(caller, act)?)]));
    match place {
        Place::Instance { kind, id } => one(kind, Act::Read { kind, id }),
        Place::Type(kind) => one(kind, Act::Search { kind }),
        Place::System => {
            let (mut permits, mut refused) = (BTreeMap::new(), None);
            for kind in types::resource_types() {
                match authorize(caller, Act::Search { kind }) {
                    Ok(permit) => drop(permits.insert(kind.to_owned(), permit)),
                    Err(denied) => refused = Some(denied),
                }
            }
            match refused {
                Some(denied) if permits.is_empty() => Err(denied.into()),
                _ => Ok(permits),
            }
        }
    }
}

/// The resources that a List names; none when it is not there for this caller.
async fn items(engine: &Engine, conn: &mut PgConnection, caller: &Caller, id: &str) -> Result<Vec<String>, Failure> {
    let permit = authorize(caller, Act::Read { kind: "List", id })?;
    let body = match read::visible(engine, conn, &permit, "List", id).await {
        Ok(row) => row.body,
        Err(Failure::NotFound) => None,
        Err(other) => return Err(other),
    };
    let Some(body) = body else { return Ok(Vec::new()) };
    let list = parsed(engine, &body)?;
    let items = list.root().at("entry.item");
    let items = items.into_iter().filter_map(|item| reference::local(&item.str("reference")?, &engine.base));
    Ok(items.map(|(kind, id)| format!("{kind}/{id}")).collect())
}

impl<'e> Walk<'e> {
    /// Takes the caller's leave, finds whose versions are listed and opens a connection for them.
    async fn begin(
        engine: &'e Engine,
        caller: &Caller,
        place: Place<'_>,
        asked: &Asked,
    ) -> Result<(Reader, Self), Failure> {
        let permits = permits(caller, place)?;
        let mut conn = engine.reader(&caller.wall()).await?;
        let only = match &asked.list {
            None => None,
            Some(list) => Some(items(engine, &mut conn, caller, list).await?),
        };
        let source = match place {
            Place::Instance { kind, id } => {
                let permit = permits.get(kind).ok_or(Failure::Internal)?;
                let row = read::visible(engine, &mut conn, permit, kind, id).await?;
                if row.purged {
                    return Err(Failure::Gone);
                }
                Source::Resource(Box::new(row))
            }
            Place::Type(_) | Place::System => {
                Source::Types(types::resource_types().filter(|kind| permits.contains_key(*kind)).collect())
            }
        };
        let mut walk = Self { engine, source, permits, only, waiting: None };
        walk.waiting = walk.oldest_waiting(&mut conn).await?;
        Ok((conn, walk))
    }

    /// The versions of one resource are stored in the order of their times; among several, a change that waits for its PoC
    /// has an earlier time than others that are stored already. Whoever asks again for what came after the last version seen
    /// (`_since`) would miss it, so what is later than the oldest of them is not told yet.
    async fn oldest_waiting(&self, conn: &mut PgConnection) -> Result<Option<OffsetDateTime>, Failure> {
        match (&self.source, self.permits.values().next()) {
            (Source::Types(_), Some(permit)) => Ok(store::oldest_waiting(conn, permit.visible()).await?),
            _ => Ok(None),
        }
    }

    async fn page(
        &self,
        conn: &mut PgConnection,
        asked: &Asked,
        part: &Part,
        until: OffsetDateTime,
    ) -> Result<Listing, Failure> {
        let wanted = usize::try_from(asked.count).unwrap_or_default();
        let mut window = self.window(asked);
        window.oldest_first = asked.oldest_first != part.backward;
        window.after.clone_from(&part.beyond);
        // One more than wanted tells whether there is another page.
        window.limit = asked.count + 1;
        let (mut shown, mut examined, mut ended) = (Vec::new(), 0, false);
        while shown.len() <= wanted && examined < MAX_EXAMINED && !ended {
            let rows = self.fetch(conn, &window).await?;
            examined += rows.len();
            ended = rows.len() < usize::try_from(window.limit).unwrap_or(usize::MAX);
            window.after = rows.last().map(Version::cursor).or(window.after);
            // What may not be shown often stands together.
            window.limit = window.limit.max((window.limit * 4).min(MAX_FETCHED));
            for row in rows {
                if self.shows(&row)? {
                    shown.push(row);
                }
            }
        }
        let is_cut = shown.len() > wanted;
        shown.truncate(wanted);
        // Beyond the last one shown, or beyond all that was looked at in vain.
        let onward = match shown.last() {
            Some(last) if is_cut => Some(Some(last.cursor())),
            _ if ended => None,
            _ => Some(window.after),
        };
        // Where the page began, there is at least the version of the link.
        let back = part.beyond.is_some().then(|| shown.first().map(Version::cursor));
        let (previous, next) = if part.backward { (onward, back) } else { (back, onward) };
        if part.backward {
            shown.reverse();
        }
        Ok(Listing { until, total: None, versions: shown, previous, next })
    }

    fn window(&self, asked: &Asked) -> Window {
        Window {
            since: asked.since,
            at: asked.at,
            // What was current at some time is no matter of what comes next.
            until: self.waiting.filter(|_| asked.at.is_none()),
            only: self.only.clone(),
            with_before: self.permits.values().any(|permit| permit.is_limited(0)),
            ..Window::default()
        }
    }

    async fn fetch(&self, conn: &mut PgConnection, window: &Window) -> Result<Vec<Version>, Failure> {
        match &self.source {
            Source::Resource(row) => Ok(store::of_resource(conn, row, window).await?),
            Source::Types(kinds) => {
                let Some(permit) = self.permits.values().next() else { return Ok(Vec::new()) };
                Ok(store::of_types(conn, permit.visible(), kinds, window).await?)
            }
        }
    }

    /// The number of all versions: only that of one resource, all of whose versions are shown, is cheap.
    async fn count(&self, conn: &mut PgConnection, asked: &Asked) -> Result<Option<i64>, Failure> {
        match &self.source {
            Source::Resource(row) if !self.permits.values().any(|permit| permit.is_limited(row.tenant)) => {
                Ok(Some(store::count(conn, row, &self.window(asked)).await?))
            }
            Source::Resource(_) | Source::Types(_) => Ok(None),
        }
    }

    fn shows(&self, version: &Version) -> Result<bool, Failure> {
        let Some(permit) = self.permits.get(&version.r#type) else { return Ok(false) };
        if !permit.is_limited(version.tenant) {
            return Ok(true);
        }
        let Some(body) = version.body.as_ref().or(version.before.as_ref()) else { return Ok(false) };
        Ok(permit.shows(version.tenant, &parsed(self.engine, body)?, &version.id, &self.engine.base))
    }

    /// Shows the owner of a Subscription its headers.
    async fn unmask(&self, conn: &mut PgConnection, versions: &mut [Version]) -> Result<(), Failure> {
        let Some(permit) = self.permits.get("Subscription") else { return Ok(()) };
        let mut views = HashMap::new();
        for version in versions.iter_mut().filter(|version| version.r#type == "Subscription") {
            let view = match views.entry(version.id.clone()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    new.insert(View::of(conn, self.engine, permit, "Subscription", &version.id).await?)
                }
            };
            version.body = version.body.take().map(|body| view.body(version.version, body));
        }
        Ok(())
    }
}
