//! Subscriptions as the engine needs them; the resource itself stands in `store::resource`.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{Result, Tx};

// Numbers that still wait for their PoC may yet be given back: nobody is told of them.
macro_rules! columns {
    () => {
        "s.tenant, s.id, s.client_id, s.status, s.spec, s.headers, s.error, s.ends_at, coalesce(
           (select min(e.number) - 1 from event e
            where e.tenant = s.tenant and e.subscription = s.id and e.state = 'waiting'), s.last_event) as last_event"
    };
}

const FIND: &str = concat!(
    "select ",
    columns!(),
    " from subscription s where s.tenant = $1 and s.client_id = $2 and s.id = $3 and s.deleted_at is null"
);
const FIND_FOR_UPDATE: &str = concat!(
    "select ",
    columns!(),
    " from subscription s where s.tenant = $1 and s.client_id = $2 and s.id = $3 and s.deleted_at is null for update of s"
);
const OF_CLIENT: &str = concat!(
    "select ",
    columns!(),
    " from subscription s where s.tenant = $1 and s.client_id = $2 and s.deleted_at is null order by s.id"
);
// A Subscription whose id was deleted before comes back under a new row's values; its numbers go on.
const PUT: &str = "insert into subscription (tenant, id, client_id, status, error, spec, headers, ends_at, created_at)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
  on conflict (tenant, id) do update set status = excluded.status, error = excluded.error, spec = excluded.spec,
    headers = excluded.headers, ends_at = excluded.ends_at, deleted_at = null
  where subscription.client_id = excluded.client_id";
const SET_STATUS: &str = "update subscription set status = $3, error = $4
  where tenant = $1 and id = $2 and deleted_at is null returning client_id";
const DELETE: &str = "update subscription set status = 'off', headers = null, deleted_at = $4
  where tenant = $1 and client_id = $2 and id = $3 and deleted_at is null";
const ENDED: &str = "select tenant, id from subscription
  where deleted_at is null and status <> 'off' and ends_at <= $1 order by tenant, id";
const WAITING_FOR_HANDSHAKE: &str = "select s.tenant, s.client_id, s.id, r.version from subscription s
  join resource r on r.tenant = s.tenant and r.type = 'Subscription' and r.id = s.id
  where s.deleted_at is null and s.status = 'requested' and r.updated < $1 order by r.updated";

/// A Subscription that is not deleted.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Row {
    pub tenant: i64,
    pub id: String,
    /// The PoC client that made it.
    pub client_id: String,
    /// `requested`, `active`, `error` or `off`.
    pub status: String,
    /// `subscription::request::Spec`.
    pub spec: serde_json::Value,
    /// Sealed `subscription::header::Headers`.
    pub headers: Option<Vec<u8>>,
    /// Why it is in error.
    pub error: Option<String>,
    /// Nothing is sent from then on.
    pub ends_at: Option<OffsetDateTime>,
    /// The highest number whose fate is decided.
    pub last_event: i64,
}

/// What a create or an update sets.
#[derive(Clone, Debug)]
pub struct New<'a> {
    pub tenant: i64,
    pub id: &'a str,
    pub client_id: &'a str,
    pub status: &'a str,
    /// Kept while it stays in error.
    pub error: Option<&'a str>,
    pub spec: serde_json::Value,
    pub headers: Vec<u8>,
    pub ends_at: Option<OffsetDateTime>,
}

/// One client's Subscription.
pub async fn find(conn: &mut PgConnection, tenant: i64, client: &str, id: &str) -> Result<Option<Row>> {
    Ok(sqlx::query_as(FIND).bind(tenant).bind(client).bind(id).fetch_optional(conn).await?)
}

/// One client's Subscription, locked until this transaction ends. It is locked before its resource, always.
pub async fn find_for_update(tx: &mut Tx, tenant: i64, client: &str, id: &str) -> Result<Option<Row>> {
    Ok(sqlx::query_as(FIND_FOR_UPDATE).bind(tenant).bind(client).bind(id).fetch_optional(tx.conn()).await?)
}

/// All of one client's Subscriptions, by id.
pub async fn of_client(conn: &mut PgConnection, tenant: i64, client: &str) -> Result<Vec<Row>> {
    Ok(sqlx::query_as(OF_CLIENT).bind(tenant).bind(client).fetch_all(conn).await?)
}

/// Stores what a create or an update asks for.
pub async fn put(tx: &mut Tx, new: &New<'_>, now: OffsetDateTime) -> Result<()> {
    sqlx::query(PUT)
        .bind(new.tenant)
        .bind(new.id)
        .bind(new.client_id)
        .bind(new.status)
        .bind(new.error)
        .bind(&new.spec)
        .bind(&new.headers)
        .bind(new.ends_at)
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Sets status and error text; returns the owning client, `None` when there is no such Subscription.
pub async fn set_status(
    tx: &mut Tx,
    tenant: i64,
    id: &str,
    status: &str,
    error: Option<&str>,
) -> Result<Option<String>> {
    let query = sqlx::query_scalar(SET_STATUS).bind(tenant).bind(id).bind(status).bind(error);
    Ok(query.fetch_optional(tx.conn()).await?)
}

/// Deletes one client's Subscription; its headers are forgotten, its numbers are not.
pub async fn delete(tx: &mut Tx, tenant: i64, client: &str, id: &str, now: OffsetDateTime) -> Result<()> {
    sqlx::query(DELETE).bind(tenant).bind(client).bind(id).bind(now).execute(tx.conn()).await?;
    Ok(())
}

/// Subscriptions past their `end` that are not switched off yet: (tenant, id).
pub async fn ended(conn: &mut PgConnection, now: OffsetDateTime) -> Result<Vec<(i64, String)>> {
    Ok(sqlx::query_as(ENDED).bind(now).fetch_all(conn).await?)
}

/// Subscriptions that have waited for their handshake since before `since`: (tenant, client, id, version).
pub async fn waiting_for_handshake(
    conn: &mut PgConnection,
    since: OffsetDateTime,
) -> Result<Vec<(i64, String, String, i64)>> {
    Ok(sqlx::query_as(WAITING_FOR_HANDSHAKE).bind(since).fetch_all(conn).await?)
}
