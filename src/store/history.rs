//! Histories: the versions of one resource, of a type, of everything, in the order in which they were made.
//!
//! A listing over types is made of branches, each with an index of its own and cut to a page before they are put
//! together: the shared data and what a PoC holds by time; of what a launch holds, which is little, every version. Purged
//! resources are in none of them. Pages are cut by the last row shown, never by counting.

use serde::{Deserialize, Serialize};
use sqlx::{Arguments, AssertSqlSafe, PgConnection, postgres::PgArguments};
use time::OffsetDateTime;

use super::{
    Result,
    resource::{Current, Visible},
};

/// One version of a resource.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Version {
    pub tenant: i64,
    pub r#type: String,
    pub id: String,
    pub version: i64,
    pub updated: OffsetDateTime,
    /// `POST`, `PUT` or `DELETE`.
    pub method: String,
    /// `None`: a delete.
    pub body: Option<String>,
    /// Of a delete, if [`Window::with_before`]: what was deleted.
    pub before: Option<String>,
}

/// A place in a listing: that of one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Microseconds since 1970.
    updated: i64,
    kind: String,
    id: String,
    version: i64,
    tenant: i64,
}

impl Version {
    /// Where it stands.
    pub fn cursor(&self) -> Cursor {
        let micros = self.updated.unix_timestamp_nanos() / 1000;
        Cursor {
            updated: i64::try_from(micros).unwrap_or(i64::MAX),
            kind: self.r#type.clone(),
            id: self.id.clone(),
            version: self.version,
            tenant: self.tenant,
        }
    }
}

impl Cursor {
    fn time(&self) -> Option<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.updated) * 1000).ok()
    }
}

/// Which versions.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// Made at or after this instant.
    pub since: Option<OffsetDateTime>,
    /// Current at some time in `[low, high)`, where `None` is no end; a delete: made in it.
    pub at: Option<(OffsetDateTime, Option<OffsetDateTime>)>,
    /// Made at or before this instant.
    pub until: Option<OffsetDateTime>,
    /// Only of these resources: `Type/id`.
    pub only: Option<Vec<String>>,
    /// In which direction the listing is walked.
    pub oldest_first: bool,
    /// Beyond this one in that direction.
    pub after: Option<Cursor>,
    /// Versions at most.
    pub limit: i64,
    /// Whether deletes come with what they deleted.
    pub with_before: bool,
}

// Of a launch or PoC: what it holds, and what another launch of the PoC changes that it sees; the latter by the keys of
// resources that are being changed.
const OLDEST_WAITING: &str = "select min(i.created_at) from intent i where i.tenant = $1 and (i.context = $2
    or exists (select 1 from context c where c.id = i.context and c.poc_client = $3)
    or exists (select 1 from write_lock w join resource r on r.tenant = w.tenant
        and r.type = split_part(w.key, '/', 1) and r.id = split_part(w.key, '/', 2)
      where w.intent = i.id and (r.context = $2 or r.poc_client = $3 or exists (select 1 from context_link l
        where l.context = $2 and l.tenant = r.tenant and l.type = r.type and l.id = r.id))))";

/// The time of the oldest change that is staged and, once it is stored, visible: a listing is complete only up to there,
/// for what is stored later carries the time of its staging.
pub async fn oldest_waiting(conn: &mut PgConnection, visible: &Visible) -> Result<Option<OffsetDateTime>> {
    let query = sqlx::query_scalar(OLDEST_WAITING).bind(visible.tenant).bind(visible.context).bind(&visible.poc_client);
    Ok(query.fetch_one(conn).await?)
}

/// Versions of a resource that the caller was found to see.
pub async fn of_resource(conn: &mut PgConnection, of: &Current, window: &Window) -> Result<Vec<Version>> {
    // Clocks may differ between replicas; within one resource the version tells.
    let order = format!("v.version {}", window.direction());
    let arguments = arguments(of.tenant, &[&of.r#type], Some(&of.id), window)?;
    Ok(sqlx::query_as_with(page(&of_one(window), &order), arguments).fetch_all(conn).await?)
}

/// How many versions such a resource has in a window, wherever in the listing the window stands.
pub async fn count(conn: &mut PgConnection, of: &Current, window: &Window) -> Result<i64> {
    let whole = Window { after: None, ..window.clone() };
    let sql = AssertSqlSafe(format!("select count(*) from ({}) v", of_one(&whole)));
    let arguments = arguments(of.tenant, &[&of.r#type], Some(&of.id), &whole)?;
    Ok(sqlx::query_scalar_with(sql, arguments).fetch_one(conn).await?)
}

/// Versions of all visible resources of these types.
pub async fn of_types(
    conn: &mut PgConnection,
    visible: &Visible,
    types: &[&str],
    window: &Window,
) -> Result<Vec<Version>> {
    let kinds = if types.len() == 1 { "x.type = ($2::text[])[1]" } else { "x.type = any($2)" };
    let holder = visible.context.map(|context| context.to_string()).or_else(|| visible.poc_client.clone());
    let from = match (&window.only, visible.context) {
        (Some(_), _) => of_few(&format!("{} and {kinds}", listed(visible)), window),
        (None, _) if visible.is_everything() => {
            of_few(&format!("select x.tenant, x.type, x.id from resource x where not x.purged and {kinds}"), window)
        }
        (None, Some(_)) => {
            format!("{} union all ({})", by_time(kinds, false, window), of_few(&held_by_a_launch(kinds), window))
        }
        (None, None) => by_time(kinds, visible.poc_client.is_some(), window),
    };
    let sql = page(&from, &order("v", window));
    let arguments = arguments(visible.tenant, types, holder.as_deref(), window)?;
    Ok(sqlx::query_as_with(sql, arguments).fetch_all(conn).await?)
}

/// A page of the shared data, and one of what a PoC holds, by the indexes on time.
fn by_time(kinds: &str, of_a_poc: bool, window: &Window) -> String {
    let order = order("x", window);
    let cut = |table: &Table, whose: &str| {
        let and = window.and(table, AMONG_ALL);
        format!(
            "(select {COLUMNS} from {} x where {kinds} and {whose} and {and} order by {order} limit $4)",
            table.name
        )
    };
    let mut branches = vec![cut(&CURRENT, "x.tenant = 0"), cut(&SUPERSEDED, "x.tenant = 0")];
    if of_a_poc {
        branches.push(cut(&CURRENT, "x.tenant = $1 and $1 <> 0 and x.poc_client = $3 and not x.purged"));
        // The offset keeps the order of the outer index: each row is asked for its holder on its own.
        let held = "x.tenant = $1 and $1 <> 0 and exists (select 1 from resource r where r.tenant = x.tenant
            and r.type = x.type and r.id = x.id and r.poc_client = $3 and not r.purged offset 0)";
        branches.push(cut(&SUPERSEDED, held));
    }
    branches.join(" union all ")
}

/// Every version of few resources, each looked up by its key.
fn of_few(resources: &str, window: &Window) -> String {
    let versions = |table: &Table| {
        let and = window.and(table, AMONG_ALL);
        format!(
            "select v.* from h cross join lateral (select {COLUMNS} from {} x
               where x.tenant = h.tenant and x.type = h.type and x.id = h.id and {and} offset 0) v",
            table.name
        )
    };
    format!("with h as materialized ({resources}) {} union all {}", versions(&CURRENT), versions(&SUPERSEDED))
}

/// What a launch holds or links.
fn held_by_a_launch(kinds: &str) -> String {
    format!(
        "select x.tenant, x.type, x.id from resource x
         where x.context = $3::uuid and x.tenant = $1 and $1 <> 0 and not x.purged and {kinds}
         union
         select x.tenant, x.type, x.id from context_link l
         join resource x on x.tenant = l.tenant and x.type = l.type and x.id = l.id
         where l.context = $3::uuid and x.tenant = $1 and $1 <> 0 and not x.purged and {kinds}"
    )
}

/// The visible ones of the resources that a window is limited to.
fn listed(visible: &Visible) -> String {
    let held = match (visible.context, &visible.poc_client) {
        (Some(_), _) => {
            "x.context = $3::uuid or exists (select 1 from context_link l
               where l.context = $3::uuid and l.tenant = x.tenant and l.type = x.type and l.id = x.id)"
        }
        (None, Some(_)) => "x.poc_client = $3",
        (None, None) => "false",
    };
    let seen = if visible.is_everything() {
        "true".to_owned()
    } else {
        format!("x.tenant in (0, $1) and (x.tenant = 0 or {held})")
    };
    format!(
        "select x.tenant, x.type, x.id from unnest($13::text[]) o
         join resource x on x.type = split_part(o, '/', 1) and x.id = split_part(o, '/', 2)
         where not x.purged and {seen}"
    )
}

/// Every version of one resource.
fn of_one(window: &Window) -> String {
    let from = |table: &Table| {
        let and = window.and(table, "x.version");
        format!(
            "select {COLUMNS} from {} x where x.tenant = $1 and x.type = ($2::text[])[1] and x.id = $3
               and ($13::text[] is null or x.type || '/' || x.id = any($13)) and {and}",
            table.name
        )
    };
    format!("{} union all {}", from(&CURRENT), from(&SUPERSEDED))
}

/// Where versions are stored, and until when one of its rows `x` was current.
struct Table {
    name: &'static str,
    until: &'static str,
}

const CURRENT: Table = Table { name: "resource", until: "'infinity'::timestamptz" };
const SUPERSEDED: Table = Table {
    name: "resource_history",
    until: "coalesce(
        (select n.updated from resource_history n
         where n.tenant = x.tenant and n.type = x.type and n.id = x.id and n.version = x.version + 1),
        (select n.updated from resource n where n.tenant = x.tenant and n.type = x.type and n.id = x.id))",
};

const COLUMNS: &str = "x.tenant, x.type, x.id, x.version, x.updated, x.method, x.body";

/// What tells the place of a row `x` in a listing over several resources.
const AMONG_ALL: &str = "(x.updated, x.type, x.id, x.version, x.tenant)";

impl Window {
    const fn direction(&self) -> &'static str {
        if self.oldest_first { "asc" } else { "desc" }
    }

    /// The conditions on rows `x` of a table; `place` tells where a row stands. The bounds on `updated` alone are there for
    /// the index.
    fn and(&self, table: &Table, place: &str) -> String {
        let mut and = "x.updated >= coalesce($5, '-infinity') and x.updated < coalesce($6, 'infinity')
            and x.updated <= coalesce($15, 'infinity')"
            .to_owned();
        let beyond = if self.oldest_first { ">" } else { "<" };
        if self.after.is_some() && place == AMONG_ALL {
            and += &format!(" and x.updated {beyond}= $7 and {place} {beyond} ($7, $8, $9, $10, $11)");
        } else if self.after.is_some() {
            and += &format!(" and {place} {beyond} $10");
        }
        if self.at.is_some() {
            // A delete is no state that lasts.
            and += &format!(" and case when x.body is null then x.updated >= $12 else {} > $12 end", table.until);
        }
        and
    }
}

fn order(of: &str, window: &Window) -> String {
    let direction = window.direction();
    ["updated", "type", "id", "version", "tenant"].map(|column| format!("{of}.{column} {direction}")).join(", ")
}

/// A page of `from`, with what deletes deleted. All text is from this file; values are bound.
fn page(from: &str, order: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "select v.*, case when $14 and v.body is null then (
             select b.body from resource_history b where b.tenant = v.tenant and b.type = v.type and b.id = v.id
               and b.version < v.version and b.body is not null order by b.version desc limit 1) end as before
         from (select * from ({from}) v order by {order} limit $4) v order by {order}"
    ))
}

/// `$1` tenant, `$2` types, `$3` id or holder, `$4` limit, `$5` since, `$6` end of `at`, `$7` to `$11` the cursor, `$12`
/// begin of `at`, `$13` only these, `$14` with what was deleted.
fn arguments(tenant: i64, types: &[&str], of: Option<&str>, window: &Window) -> Result<PgArguments> {
    let after = window.after.as_ref();
    let mut arguments = PgArguments::default();
    let mut add = || -> std::result::Result<(), sqlx::error::BoxDynError> {
        arguments.add(tenant)?;
        arguments.add(types)?;
        arguments.add(of)?;
        arguments.add(window.limit)?;
        arguments.add(window.since)?;
        arguments.add(window.at.and_then(|(_, high)| high))?;
        arguments.add(after.and_then(Cursor::time))?;
        arguments.add(after.map(|cursor| &cursor.kind))?;
        arguments.add(after.map(|cursor| &cursor.id))?;
        arguments.add(after.map(|cursor| cursor.version))?;
        arguments.add(after.map(|cursor| cursor.tenant))?;
        arguments.add(window.at.map(|(low, _)| low))?;
        arguments.add(&window.only)?;
        arguments.add(window.with_before)?;
        arguments.add(window.until)
    };
    add().map_err(sqlx::Error::Encode)?;
    Ok(arguments)
}
