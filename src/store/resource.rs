//! Resources: current versions, superseded versions, search values, and what a caller may see of them.

use std::sync::LazyLock;

use sqlx::{AssertSqlSafe, PgConnection, SqlSafeStr, SqlStr};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Result, Tx, audit, search::index};
use crate::fhir::search::Rows;

/// Which rows a caller may see at all. What it may not see is answered like what does not exist.
///
/// Shared data (tenant 0) is always included; scopes decide elsewhere about types and patients.
#[derive(Clone, Debug, Default)]
pub struct Visible {
    /// The tenant of the context or PoC; 0 for those who see shared data only.
    pub tenant: i64,
    /// What this context holds or links.
    pub context: Option<Uuid>,
    /// What this PoC's contexts hold, and what it keeps itself.
    pub poc_client: Option<String>,
    /// This wall was taken down; see [`Visible::everything`].
    #[cfg(debug_assertions)]
    everything: bool,
}

macro_rules! visible {
    () => {
        "r.tenant in (0, $1) and (r.tenant = 0 or r.context = $2 or r.poc_client = $3
           or exists (select 1 from context_link l
                      where l.context = $2 and l.tenant = r.tenant and l.type = r.type and l.id = r.id))"
    };
}

impl Visible {
    /// What is shared, and of this tenant what the context or PoC holds.
    pub fn of(tenant: i64, context: Option<Uuid>, poc_client: Option<String>) -> Self {
        let mut visible = Self::default();
        (visible.tenant, visible.context, visible.poc_client) = (tenant, context, poc_client);
        visible
    }

    /// Every row there is: for tests that see the other wall hold ([`super::wall`]). A release build has none of it.
    #[must_use]
    pub fn everything(self) -> Self {
        #[cfg(debug_assertions)]
        return Self { everything: true, ..self };
        #[cfg(not(debug_assertions))]
        self
    }

    /// Whether every row is visible.
    pub(super) const fn is_everything(&self) -> bool {
        #[cfg(debug_assertions)]
        return self.everything;
        #[cfg(not(debug_assertions))]
        return false;
    }

    /// `statement`, in which `visible!` stands.
    fn limits(&self, statement: &'static str) -> SqlStr {
        if self.is_everything() {
            return AssertSqlSafe(statement.replace(visible!(), "true")).into_sql_str();
        }
        statement.into_sql_str()
    }
}

const CURRENT: &str = concat!(
    "select r.tenant, r.type, r.id, r.version, r.updated, r.method, r.context, r.poc_client, r.purged, r.body
     from resource r where ",
    visible!(),
    " and r.type = $4 and r.id = $5 order by r.tenant desc limit 1"
);
const CURRENT_FOR_UPDATE: &str = concat!(
    "select r.tenant, r.type, r.id, r.version, r.updated, r.method, r.context, r.poc_client, r.purged, r.body
     from resource r where ",
    visible!(),
    " and r.type = $4 and r.id = $5 order by r.tenant desc limit 1 for update"
);
const LAST_CONTENT: &str = "select body from resource_history
  where tenant = $1 and type = $2 and id = $3 and body is not null order by version desc limit 1";
const HISTORY_VERSION: &str = "select version, updated, body from resource_history
  where tenant = $1 and type = $2 and id = $3 and version = $4";
const TAKEN: &str = "select is_taken($1, $2, $3)";

/// One statement, one round trip: the new version takes its place, its index rows and the audit rows are written. All
/// parts see the same snapshot. `before` is done with what stands there already; the index rows are bound from $12 on.
fn put_statement(before: &str, on_conflict: &str) -> String {
    format!(
        "with incoming as (
    select * from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::timestamptz[], $6::text[], $7::uuid[],
      $8::text[], $9::text[], $10::text[], $11::text[]) with ordinality
      as i (tenant, type, id, version, updated, method, context, poc_client, body, narrative, content, ord)),
  {before}
  stored as (insert into resource as r (tenant, type, id, version, updated, method, context, poc_client, body)
    select tenant, type, id, version, updated, method, context, poc_client, body from incoming
    on conflict (tenant, type, id) do {on_conflict}
    returning r.tenant, r.type, r.id, r.key),
  placed as (select i.ord, s.tenant, s.key, i.narrative, i.content from stored s join incoming i using (tenant, type, id)),
  {inserts},
  audited as (insert into audit (at, action, outcome, client_id, user_id, context, tenant, target, request_id, patients,
      grant_id, address)
    select $45, a.action, 'success', $46, $47, $48, $49, a.target, $50, string_to_array(a.patients, ','), $54, $55
    from unnest($51::text[], $52::text[], $53::text[]) as a (action, target, patients))
  select count(*) from stored",
        inserts = index::inserts(12)
    )
}

static INSERT: LazyLock<String> = LazyLock::new(|| put_statement("", "nothing"));
// The old version moves to history, and the new one takes its place if (and only if) it follows the stored one.
static REPLACE: LazyLock<String> = LazyLock::new(|| {
    let before = format!(
        "old as (select r.* from resource r join incoming i on r.tenant = i.tenant and r.type = i.type and r.id = i.id),
  moved as (insert into resource_history (tenant, type, id, version, updated, method, body)
    select tenant, type, id, version, updated, method, body from old),
  {},",
        index::deletes("old")
    );
    let on_conflict = "update set version = excluded.version, updated = excluded.updated, method = excluded.method,
      body = excluded.body where r.version = excluded.version - 1 and not r.purged";
    put_statement(&before, on_conflict)
});
static PURGE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "with gone as (
    update resource set purged = true, body = null, method = 'DELETE' where context = $1 and not purged
    returning tenant, type, id, key),
  history as (delete from resource_history h using gone g where h.tenant = g.tenant and h.type = g.type and h.id = g.id),
  {},
  links as (delete from context_link l where l.context = $1)
  select type, id from gone order by type, id",
        index::deletes("gone")
    )
});

const LINK: &str = "insert into context_link (context, tenant, type, id)
  select $1, * from unnest($2::bigint[], $3::text[], $4::text[]) on conflict do nothing";

const LOCK_OWNERS: &str = "select c.id from context c where c.id in (
    select r.context from resource r
    join unnest($1::bigint[], $2::text[], $3::text[]) as t (tenant, type, id)
      on t.tenant = r.tenant and t.type = r.type and t.id = r.id)
  order by c.id for share";
const STILL_THERE: &str = "select count(*) from resource r
  join unnest($1::bigint[], $2::text[], $3::text[]) as t (tenant, type, id)
    on t.tenant = r.tenant and t.type = r.type and t.id = r.id
  where r.body is not null";
const LOCK_HEIRS: &str = "select c.id from context c where c.cleared_at is null and c.id in (
    select l.context from context_link l join resource r on r.tenant = l.tenant and r.type = l.type and r.id = l.id
    where r.context = $1 and not r.purged and l.context <> $1)
  order by c.id for share";
const HAND_OVER: &str = "with heir as (
    select distinct on (l.tenant, l.type, l.id) l.tenant, l.type, l.id, l.context
    from resource r join context_link l on l.tenant = r.tenant and l.type = r.type and l.id = r.id
    join context c on c.id = l.context and c.cleared_at is null
    where r.context = $1 and not r.purged and l.context <> $1
    order by l.tenant, l.type, l.id, c.expires_at desc),
  unlinked as (delete from context_link l using heir h
    where l.context = h.context and l.tenant = h.tenant and l.type = h.type and l.id = h.id)
  update resource r set context = h.context from heir h
  where r.tenant = h.tenant and r.type = h.type and r.id = h.id";

/// A current version.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Current {
    pub tenant: i64,
    pub r#type: String,
    pub id: String,
    pub version: i64,
    pub updated: OffsetDateTime,
    pub method: String,
    pub context: Option<Uuid>,
    pub poc_client: Option<String>,
    /// Its content was removed by `$clear-context` or expiry.
    pub purged: bool,
    /// `None`: deleted.
    pub body: Option<String>,
}

/// A superseded version.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Version {
    pub version: i64,
    pub updated: OffsetDateTime,
    /// `None`: a delete.
    pub body: Option<String>,
}

/// A version to be stored.
#[derive(Clone, Debug)]
pub struct NewVersion {
    pub tenant: i64,
    pub type_name: String,
    pub id: String,
    /// One more than the stored one; 1 for a new resource.
    pub version: i64,
    pub updated: OffsetDateTime,
    pub method: &'static str,
    /// Only for a new resource: who owns it.
    pub context: Option<Uuid>,
    pub poc_client: Option<String>,
    pub body: Option<String>,
    /// What the index holds of it; nothing for a delete.
    pub rows: Rows,
}

/// The current version, deleted and purged ones included.
pub async fn current(conn: &mut PgConnection, visible: &Visible, kind: &str, id: &str) -> Result<Option<Current>> {
    fetch_current(conn, CURRENT, visible, kind, id).await
}

/// The current version, locked until this transaction ends.
pub async fn current_for_update(tx: &mut Tx, visible: &Visible, kind: &str, id: &str) -> Result<Option<Current>> {
    fetch_current(tx.conn(), CURRENT_FOR_UPDATE, visible, kind, id).await
}

async fn fetch_current(
    conn: &mut PgConnection,
    sql: &'static str,
    visible: &Visible,
    kind: &str,
    id: &str,
) -> Result<Option<Current>> {
    let query =
        sqlx::query_as(visible.limits(sql)).bind(visible.tenant).bind(visible.context).bind(&visible.poc_client);
    Ok(query.bind(kind).bind(id).fetch_optional(conn).await?)
}

/// What a deleted resource was before, as JSON text; `None` when nothing is kept of it.
pub async fn last_content(conn: &mut PgConnection, of: &Current) -> Result<Option<String>> {
    let query = sqlx::query_scalar(LAST_CONTENT).bind(of.tenant).bind(&of.r#type).bind(&of.id);
    Ok(query.fetch_optional(conn).await?)
}

/// One superseded version of a resource the caller was found to see.
pub async fn history_version(conn: &mut PgConnection, of: &Current, version: i64) -> Result<Option<Version>> {
    let query = sqlx::query_as(HISTORY_VERSION).bind(of.tenant).bind(&of.r#type).bind(&of.id);
    Ok(query.bind(version).fetch_optional(conn).await?)
}

/// Whether the id is used in this tenant, seen or not.
pub async fn is_taken(conn: &mut PgConnection, tenant: i64, kind: &str, id: &str) -> Result<bool> {
    Ok(sqlx::query_scalar(TAKEN).bind(tenant).bind(kind).bind(id).fetch_one(conn).await?)
}

/// What the audit trail is told of one version.
#[derive(Clone, Debug)]
pub struct Audited {
    pub action: &'static str,
    /// `Type/id/_history/v`.
    pub target: String,
    /// Ids of the patients concerned.
    pub patients: Vec<String>,
}

/// Stores new versions and tells the audit trail of them: `entry` is who, `what` each of them. `false` when
/// a version does not follow the stored one: another writer was first, and this transaction must be rolled back.
pub async fn put(
    tx: &mut Tx,
    versions: &[NewVersion],
    entry: &audit::Entry<'_>,
    what: &[Audited],
    now: OffsetDateTime,
) -> Result<bool> {
    let column = |get: fn(&NewVersion) -> &str| versions.iter().map(get).collect::<Vec<_>>();
    let is_new = versions.iter().all(|new| new.version == 1);
    let query = sqlx::query_scalar(AssertSqlSafe(if is_new { INSERT.as_str() } else { REPLACE.as_str() }))
        .bind(versions.iter().map(|new| new.tenant).collect::<Vec<_>>())
        .bind(column(|new| &new.type_name))
        .bind(column(|new| &new.id))
        .bind(versions.iter().map(|new| new.version).collect::<Vec<_>>())
        .bind(versions.iter().map(|new| new.updated).collect::<Vec<_>>())
        .bind(column(|new| new.method))
        .bind(versions.iter().map(|new| new.context).collect::<Vec<_>>())
        .bind(versions.iter().map(|new| new.poc_client.as_deref()).collect::<Vec<_>>())
        .bind(versions.iter().map(|new| new.body.as_deref()).collect::<Vec<_>>())
        .bind(column(|new| &new.rows.narrative))
        .bind(column(|new| &new.rows.content));
    let query = index::bind(query, versions.iter().map(|new| &new.rows))
        .bind(now)
        .bind(entry.client_id)
        .bind(entry.user_id)
        .bind(entry.context)
        .bind(entry.tenant)
        .bind(entry.request_id)
        .bind(what.iter().map(|one| one.action).collect::<Vec<_>>())
        .bind(what.iter().map(|one| one.target.as_str()).collect::<Vec<_>>())
        .bind(what.iter().map(|one| audit::joined(&one.patients)).collect::<Vec<_>>())
        .bind(entry.grant_id)
        .bind(entry.address);
    let stored: i64 = query.fetch_one(tx.conn()).await?;
    Ok(usize::try_from(stored) == Ok(versions.len()))
}

/// Makes resources of another context, or of the PoC itself, visible in `context`: (tenant, type, id). `false` when one
/// of them is gone: its own context was cleared meanwhile, and this transaction must be rolled back.
pub async fn link(tx: &mut Tx, context: Uuid, targets: &[(i64, String, String)]) -> Result<bool> {
    let tenants: Vec<_> = targets.iter().map(|(tenant, ..)| *tenant).collect();
    let kinds: Vec<_> = targets.iter().map(|(_, kind, _)| kind.as_str()).collect();
    let ids: Vec<_> = targets.iter().map(|(.., id)| id.as_str()).collect();
    // Waits for a clear that has begun, and lets none begin before this transaction ends.
    sqlx::query(LOCK_OWNERS).bind(&tenants).bind(&kinds).bind(&ids).fetch_all(tx.conn()).await?;
    let query = sqlx::query_scalar::<_, i64>(STILL_THERE).bind(&tenants).bind(&kinds).bind(&ids);
    if usize::try_from(query.fetch_one(tx.conn()).await?) != Ok(targets.len()) {
        return Ok(false);
    }
    sqlx::query(LINK).bind(context).bind(&tenants).bind(&kinds).bind(&ids).execute(tx.conn()).await?;
    Ok(true)
}

/// Removes the content of everything the context owns, in every version, and returns (type, id) of each. A resource
/// that another living context links is handed over to that context instead: its data is still in use there.
pub async fn purge(tx: &mut Tx, context: Uuid) -> Result<Vec<(String, String)>> {
    // An heir that is being cleared at this moment is none: its transaction is waited for.
    sqlx::query(LOCK_HEIRS).bind(context).fetch_all(tx.conn()).await?;
    sqlx::query(HAND_OVER).bind(context).execute(tx.conn()).await?;
    Ok(sqlx::query_as(AssertSqlSafe(PURGE.as_str())).bind(context).fetch_all(tx.conn()).await?)
}
