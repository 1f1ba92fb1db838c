//! The audit trail: append-only rows, kept when a context is cleared.
//!
//! Everybody adds rows; they are seen behind [`Wall::Auditor`](super::Wall) only.

use serde::Serialize;
use sqlx::{AssertSqlSafe, PgConnection, QueryBuilder};
use time::{OffsetDateTime, macros::datetime};
use uuid::Uuid;

use super::Result;

const APPEND: &str = "insert into audit (at, action, outcome, client_id, user_id, context, tenant, target, request_id,
    detail, patients, grant_id, address, query, found)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
const APPEND_MANY: &str = "insert into audit (at, action, outcome, client_id, user_id, context, tenant, target,
    request_id, grant_id, address)
  select $1, a.action, $2, $3, $4, $5, $6, a.target, $7, $10, $11
  from unnest($8::text[], $9::text[]) as a (action, target)";
// The ids of a row's patients come as one text: Postgres has no lists of lists of different lengths.
const APPEND_GROUP: &str = "insert into audit (at, action, outcome, client_id, user_id, context, tenant, target,
    request_id, detail, patients, grant_id, address, query, found)
  select r.at, r.action, r.outcome, r.client_id, r.user_id, r.context, r.tenant, r.target, r.request_id, r.detail,
    string_to_array(r.patients, ','), r.grant_id, r.address, r.query, r.found
  from unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::uuid[], $7::bigint[], $8::text[],
      $9::text[], $10::text[], $11::text[], $12::uuid[], $13::text[], $14::text[], $15::int[]) with ordinality
    as r (at, action, outcome, client_id, user_id, context, tenant, target, request_id, detail, patients, grant_id,
      address, query, found, ord)
  order by r.ord";

/// One thing that happened (HALO R-006).
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry<'a> {
    /// `launch`, `login`, `token`, `context-set`, `context-clear`, `create`, `read`, …
    pub action: &'static str,
    /// `success`, `refused` or `failed`.
    pub outcome: &'static str,
    pub client_id: Option<&'a str>,
    pub user_id: Option<Uuid>,
    pub context: Option<Uuid>,
    pub tenant: i64,
    /// `Type/id`, with `/_history/v` where a version was made; of a listing its path.
    pub target: Option<&'a str>,
    pub request_id: Option<&'a str>,
    /// Ids and counts only: never content of a resource, never a secret.
    pub detail: Option<&'a str>,
    /// Ids of the patients concerned.
    pub patients: &'a [String],
    /// The grant whose token was used.
    pub grant_id: Option<Uuid>,
    /// Where the request came from.
    pub address: Option<&'a str>,
    /// The parameters of a search, without values that could be content.
    pub query: Option<&'a str>,
    /// How many resources or versions were shown.
    pub found: Option<i32>,
}

/// The same with texts of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub at: OffsetDateTime,
    pub action: &'static str,
    pub outcome: &'static str,
    pub client_id: Option<String>,
    pub user_id: Option<Uuid>,
    pub context: Option<Uuid>,
    pub tenant: i64,
    pub target: Option<String>,
    pub request_id: Option<String>,
    pub detail: Option<String>,
    pub patients: Vec<String>,
    pub grant_id: Option<Uuid>,
    pub address: Option<String>,
    pub query: Option<String>,
    pub found: Option<i32>,
}

impl Row {
    /// What happened at this moment.
    pub fn of(entry: &Entry<'_>, at: OffsetDateTime) -> Self {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Self {
            at,
            action: entry.action,
            outcome: entry.outcome,
            client_id: own(entry.client_id),
            user_id: entry.user_id,
            context: entry.context,
            tenant: entry.tenant,
            target: own(entry.target),
            request_id: own(entry.request_id),
            detail: own(entry.detail),
            patients: entry.patients.to_vec(),
            grant_id: entry.grant_id,
            address: own(entry.address),
            query: own(entry.query),
            found: entry.found,
        }
    }
}

/// Appends one row.
pub async fn append(conn: &mut PgConnection, entry: &Entry<'_>, now: OffsetDateTime) -> Result<()> {
    sqlx::query(APPEND)
        .bind(now)
        .bind(entry.action)
        .bind(entry.outcome)
        .bind(entry.client_id)
        .bind(entry.user_id)
        .bind(entry.context)
        .bind(entry.tenant)
        .bind(entry.target)
        .bind(entry.request_id)
        .bind(entry.detail)
        .bind((!entry.patients.is_empty()).then_some(entry.patients))
        .bind(entry.grant_id)
        .bind(entry.address)
        .bind(entry.query)
        .bind(entry.found)
        .execute(conn)
        .await?;
    Ok(())
}

/// Appends one row per (action, target) in one statement; of `entry` itself action, target and patients are not used.
pub async fn append_many(
    conn: &mut PgConnection,
    entry: &Entry<'_>,
    what: &[(&'static str, String)],
    now: OffsetDateTime,
) -> Result<()> {
    sqlx::query(APPEND_MANY)
        .bind(now)
        .bind(entry.outcome)
        .bind(entry.client_id)
        .bind(entry.user_id)
        .bind(entry.context)
        .bind(entry.tenant)
        .bind(entry.request_id)
        .bind(what.iter().map(|(action, _)| *action).collect::<Vec<_>>())
        .bind(what.iter().map(|(_, target)| target.as_str()).collect::<Vec<_>>())
        .bind(entry.grant_id)
        .bind(entry.address)
        .execute(conn)
        .await?;
    Ok(())
}

/// Appends rows of many requests in one statement, in their order: all or none.
pub async fn append_group(conn: &mut PgConnection, rows: &[Row]) -> Result<()> {
    let text = |get: fn(&Row) -> &Option<String>| rows.iter().map(|row| get(row).as_deref()).collect::<Vec<_>>();
    sqlx::query(APPEND_GROUP)
        .bind(rows.iter().map(|row| row.at).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.action).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.outcome).collect::<Vec<_>>())
        .bind(text(|row| &row.client_id))
        .bind(rows.iter().map(|row| row.user_id).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.context).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.tenant).collect::<Vec<_>>())
        .bind(text(|row| &row.target))
        .bind(text(|row| &row.request_id))
        .bind(text(|row| &row.detail))
        .bind(rows.iter().map(|row| joined(&row.patients)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.grant_id).collect::<Vec<_>>())
        .bind(text(|row| &row.address))
        .bind(text(|row| &row.query))
        .bind(rows.iter().map(|row| row.found).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    Ok(())
}

/// Ids hold no comma.
pub(super) fn joined(patients: &[String]) -> Option<String> {
    (!patients.is_empty()).then(|| patients.join(","))
}

const COLUMNS: &str = "seq, at, action, outcome, client_id, user_id, context, tenant, target, request_id, detail,
  patients, grant_id, address, query, found";

/// A row as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Stored {
    pub seq: i64,
    #[serde(serialize_with = "time::serde::rfc3339::serialize")]
    pub at: OffsetDateTime,
    pub action: String,
    pub outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Uuid>,
    pub tenant: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patients: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<i32>,
}

/// One thing that rows are looked for by; each is one of several values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    Seq(Vec<i64>),
    /// From one moment on, to before another.
    Within(Option<OffsetDateTime>, Option<OffsetDateTime>),
    Patient(Vec<String>),
    /// A client's id or a user's.
    Agent(Vec<String>),
    /// A resource: `Type/id`, with all its versions.
    Entity(Vec<String>),
    /// A resource of whatever type with this id.
    EntityId(Vec<String>),
    Action(Vec<String>),
    /// Any action but these.
    NotAction(Vec<String>),
    Outcome(Vec<String>),
    /// What an address begins with.
    Address(Vec<String>),
}

/// Rows that pass all tests, the newest first, of those before `before`.
pub async fn search(conn: &mut PgConnection, tests: &[Test], before: Option<i64>, limit: i64) -> Result<Vec<Stored>> {
    let mut query = QueryBuilder::new(format!("select {COLUMNS} from audit where seq < "));
    query.push_bind(before.unwrap_or(i64::MAX));
    for test in tests {
        query.push(" and ");
        match test {
            Test::Seq(numbers) => query.push("seq = any(").push_bind(numbers).push(")"),
            Test::Within(from, to) => {
                let (from, to) = (from.unwrap_or(PAST), to.unwrap_or(FUTURE));
                query.push("at >= ").push_bind(from).push(" and at < ").push_bind(to)
            }
            Test::Patient(ids) => query.push("patients && ").push_bind(ids),
            Test::Agent(ids) => {
                // One that is no UUID is no user's.
                let users: Vec<Uuid> = ids.iter().filter_map(|id| id.parse().ok()).collect();
                query.push("(client_id = any(").push_bind(ids).push(") or user_id = any(").push_bind(users).push("))")
            }
            Test::Entity(targets) => {
                query.push("(target = any(").push_bind(targets).push(") or target like any(");
                query.push_bind(like(targets, "", "/%")).push("))")
            }
            Test::EntityId(ids) => {
                query.push("(target like any(").push_bind(like(ids, "%/", "")).push(") or target like any(");
                query.push_bind(like(ids, "%/", "/%")).push("))")
            }
            Test::Action(actions) => query.push("action = any(").push_bind(actions).push(")"),
            Test::NotAction(actions) => query.push("action <> all(").push_bind(actions).push(")"),
            Test::Outcome(outcomes) => query.push("outcome = any(").push_bind(outcomes).push(")"),
            Test::Address(starts) => query.push("address like any(").push_bind(like(starts, "", "%")).push(")"),
        };
    }
    query.push(" order by seq desc limit ").push_bind(limit);
    Ok(query.build_query_as().fetch_all(conn).await?)
}

/// The years that Postgres and RFC 3339 both know.
const PAST: OffsetDateTime = datetime!(0001-01-01 00:00 UTC);
const FUTURE: OffsetDateTime = datetime!(9999-12-31 00:00 UTC);

fn like(texts: &[String], before: &str, after: &str) -> Vec<String> {
    let literal = |text: &String| text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    texts.iter().map(|text| format!("{before}{}{after}", literal(text))).collect()
}

/// Rows by their numbers, from after `after` to `up_to`, the oldest first.
pub async fn between(conn: &mut PgConnection, after: i64, up_to: i64, limit: i64) -> Result<Vec<Stored>> {
    let sql = AssertSqlSafe(format!("select {COLUMNS} from audit where seq > $1 and seq <= $2 order by seq limit $3"));
    Ok(sqlx::query_as(sql).bind(after).bind(up_to).bind(limit).fetch_all(conn).await?)
}

/// The lowest and the highest number of rows of a time; `None` when there are none.
pub async fn numbers(
    conn: &mut PgConnection,
    from: Option<OffsetDateTime>,
    to: Option<OffsetDateTime>,
) -> Result<Option<(i64, i64)>> {
    let sql = "select min(seq), max(seq) from audit where at >= $1 and at < $2";
    let query = sqlx::query_as::<_, (Option<i64>, Option<i64>)>(sql);
    let (low, high) = query.bind(from.unwrap_or(PAST)).bind(to.unwrap_or(FUTURE)).fetch_one(conn).await?;
    Ok(low.zip(high))
}

/// All rows of a launch context, the oldest first.
pub async fn of_context(conn: &mut PgConnection, context: Uuid, limit: i64) -> Result<Vec<Stored>> {
    let sql = AssertSqlSafe(format!("select {COLUMNS} from audit where context = $1 order by seq limit $2"));
    Ok(sqlx::query_as(sql).bind(context).bind(limit).fetch_all(conn).await?)
}
