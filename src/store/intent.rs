//! Intents, write locks, leases and the writing side of events: what makes the write path durable.
//!
//! The protocol that uses these statements is told in `interaction::write`.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Result, Tx};

const LOCK: &str = "insert into write_lock (tenant, key, intent) select $1, k, $3 from unnest($2::text[]) as k
  on conflict do nothing";
const UNLOCK: &str = "delete from write_lock where tenant = $1 and key = any($2)";
// Leave to be told ends with the client's registration.
const SUBSCRIBERS: &str =
    "select tenant, id, spec, headers, last_event, lease_owner, lease_until, lease_epoch, true as active
  from subscription where client_id = $1 and status = 'active' and deleted_at is null
    and (ends_at is null or ends_at > $2)
    and exists (select 1 from client c where c.client_id = $1 and c.enabled)
  order by tenant, id for update of subscription";
const HAS_SUBSCRIBER: &str = "select exists (select 1 from subscription where client_id = $1 and status = 'active'
  and deleted_at is null and (ends_at is null or ends_at > $2))";
const QUEUED: &str =
    "select exists (select 1 from event where tenant = $1 and subscription = any($2) and state = 'waiting')";
const INSERT_INTENT: &str = "insert into intent (id, tenant, context, client_id, user_id, grant_id, request_id, state,
    created_at, deadline, process, address) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
const INSERT_CHANGES: &str = "insert into intent_change (intent, ord, tenant, type, id, version, updated, method, body)
  select $1, * from unnest($2::int[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::timestamptz[], $8::text[],
    $9::text[])";
const INSERT_EVENTS: &str =
    "insert into event (tenant, subscription, number, intent, ord, context, type, id, version, method,
    state, occurred_at)
  select $1, e.subscription, e.number, $2, e.ord, $3, c.type, c.id, c.version, c.method, 'waiting', $4
  from unnest($5::text[], $6::bigint[], $7::int[]) as e (subscription, number, ord)
  join intent_change c on c.intent = $2 and c.ord = e.ord";
const ADVANCE: &str = "update subscription s set last_event = n.last_event
  from unnest($2::text[], $3::bigint[]) as n (id, last_event) where s.tenant = $1 and s.id = n.id";
const TAKE_LEASE: &str = "update subscription set lease_owner = $3, lease_until = $4, lease_epoch = lease_epoch + 1
  where tenant = $1 and id = any($2)";
const HOLDS: &str = "select tenant, id, spec, headers, last_event, lease_owner, lease_until, lease_epoch,
    status = 'active' and deleted_at is null and (ends_at is null or ends_at > $4) as active
  from subscription where tenant = $1 and id = any($2) and lease_owner = $3 order by id for update";
const EXTEND: &str = "update subscription set lease_until = $4 where tenant = $1 and id = any($2) and lease_owner = $3";
const RELEASE: &str = "update subscription set lease_owner = null, lease_until = null
  where tenant = $1 and id = any($2) and lease_owner = $3";
const NEXT: &str = "select i.id from intent i
  where exists (select 1 from event e where e.intent = i.id and e.state = 'waiting' and e.tenant = $1 and e.subscription = any($2))
  order by i.seq limit $3";
const CHANGES: &str = "select ord, tenant, type, id, version, updated, method, body from intent_change
  where intent = $1 order by ord";
const EVENTS: &str = "select subscription, number, ord from event where intent = $1 and state = 'waiting'
  order by subscription, number";
const MARK_SENDING: &str = "update intent set state = 'sending' where id = any($1)";
const LOCK_INTENT: &str = "select state from intent where id = $1 for update";
const SETTLE: &str = "update event set state = case when subscription = any($2) then 'delivered' else $3 end
  where intent = $1 and state = 'waiting'";
const WITHDRAW: &str = "update event set state = 'withdrawn', reason = $3 where intent = $1 and subscription = any($2) and state = 'waiting'";
// Only the newest numbers can be given back: a later one may have been sent already.
const GIVE_BACK: &str = "with mine as (select min(number) as first, max(number) as last from event
    where tenant = $1 and subscription = $2 and intent = $3 and state = 'waiting'),
  back as (update subscription s set last_event = m.first - 1 from mine m
    where s.tenant = $1 and s.id = $2 and s.last_event = m.last returning s.id)
  delete from event e using back b where e.tenant = $1 and e.subscription = b.id and e.intent = $3";
const MARK_DELIVERED: &str =
    "update event set state = 'delivered' where intent = any($1) and subscription = $2 and state = 'missed'";
const END: &str = "delete from intent where id = $1";
const ABANDON: &str = "with ended as (delete from intent where context = $1 returning id),
  withdrawn as (update event set state = 'withdrawn' where intent in (select id from ended) and state = 'waiting')
  select id from ended";
const KEEP_EVENTS: &str = "update event set keep_until = $2, reason = null where context = $1";
const FORGET_EVENTS: &str = "delete from event where keep_until < $1";
const STATES: &str = "select distinct state, reason from event where intent = $1";
const EXISTS: &str = "select exists (select 1 from intent where id = $1)";
/// Whether no living process has this id; the number is `presence::CLASS`.
macro_rules! dead {
    ($process:literal) => {
        concat!(
            "not exists (select 1 from pg_locks l where l.locktype = 'advisory' and l.granted and l.classid = 1936680545
              and l.database = (select oid from pg_database where datname = current_database())
              and l.objid = (('x' || right(replace(",
            $process,
            "::text, '-', ''), 8))::bit(32)::int)::oid)"
        )
    };
}
/// Nobody delivers to Subscription `s` any more: $1 is now, $2 this process, which knows its own leases.
macro_rules! abandoned {
    () => {
        concat!(
            "(s.lease_owner is null or s.lease_until < $1 or (s.lease_owner <> $2 and ",
            dead!("s.lease_owner"),
            "))"
        )
    };
}
const INTENT: &str = concat!(
    "select id, tenant, context, client_id, user_id, grant_id, request_id, address, process, state, created_at, deadline,
       i.process <> $2 and ",
    dead!("i.process"),
    " as orphaned from intent i where id = $1"
);
const ORPHANS: &str = concat!(
    "select distinct s.tenant, s.id from subscription s
     join event e on e.tenant = s.tenant and e.subscription = s.id and e.state = 'waiting' where ",
    abandoned!(),
    " order by 1, 2"
);
const LOCK_ORPHAN: &str = concat!(
    "select tenant, id, spec, headers, last_event, lease_owner, lease_until, lease_epoch,
       status = 'active' and deleted_at is null and (ends_at is null or ends_at > $1) as active from subscription s
     where s.tenant = $3 and s.id = $4 and ",
    abandoned!(),
    " for update"
);
const LOCK_FREE: &str = "select tenant, id, spec, headers, last_event, lease_owner, lease_until, lease_epoch,
    status = 'active' and deleted_at is null and (ends_at is null or ends_at > $3) as active
  from subscription where tenant = $1 and id = any($2)
    and (lease_owner is null or lease_until is null or lease_until < $3) order by id for update skip locked";

/// A Subscription as the write path needs it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Subscriber {
    pub tenant: i64,
    pub id: String,
    /// `subscription::request::Spec`.
    pub spec: serde_json::Value,
    /// Sealed `channel.header`.
    pub headers: Option<Vec<u8>>,
    /// The highest number given out.
    pub last_event: i64,
    pub lease_owner: Option<Uuid>,
    pub lease_until: Option<OffsetDateTime>,
    pub lease_epoch: i64,
    /// Active, not ended, not deleted: it may be sent to.
    pub active: bool,
}

impl Subscriber {
    /// Whether nobody delivers to it at present.
    pub fn is_free(&self, now: OffsetDateTime) -> bool {
        self.lease_owner.is_none() || self.lease_until.is_none_or(|until| until < now)
    }
}

/// A durable change set without its changes.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Intent {
    pub id: Uuid,
    pub tenant: i64,
    pub context: Uuid,
    pub client_id: String,
    pub user_id: Option<Uuid>,
    pub grant_id: Uuid,
    pub request_id: Option<String>,
    /// Where the request came from.
    pub address: Option<String>,
    /// The process whose request waits for it.
    pub process: Uuid,
    /// That process is dead: nobody waits for it.
    pub orphaned: bool,
    /// `staged` or `sending`.
    pub state: String,
    pub created_at: OffsetDateTime,
    pub deadline: OffsetDateTime,
}

/// One change of an intent.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct IntentChange {
    pub ord: i32,
    pub tenant: i64,
    pub r#type: String,
    pub id: String,
    pub version: i64,
    pub updated: OffsetDateTime,
    pub method: String,
    pub body: Option<String>,
}

/// The number that one change has in one Subscription.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Numbered {
    pub subscription: String,
    pub number: i64,
    /// `IntentChange::ord`.
    pub ord: i32,
}

/// Takes write locks. `false` when one of them is held: the transaction must be rolled back and tried later.
/// For an intent they stay until it ends; for an ordinary transaction they are freed by [`unlock`] before its commit.
pub async fn lock(tx: &mut Tx, tenant: i64, keys: &[String], intent: Option<Uuid>) -> Result<bool> {
    if keys.is_empty() {
        return Ok(true);
    }
    let done = sqlx::query(LOCK).bind(tenant).bind(keys).bind(intent).execute(tx.conn()).await?;
    Ok(done.rows_affected() == keys.len() as u64)
}

/// Frees keys that this transaction took.
pub async fn unlock(tx: &mut Tx, tenant: i64, keys: &[String]) -> Result<()> {
    if !keys.is_empty() {
        sqlx::query(UNLOCK).bind(tenant).bind(keys).execute(tx.conn()).await?;
    }
    Ok(())
}

/// The active Subscriptions of a PoC, locked in a fixed order.
pub async fn subscribers(tx: &mut Tx, poc_client: &str, now: OffsetDateTime) -> Result<Vec<Subscriber>> {
    Ok(sqlx::query_as(SUBSCRIBERS).bind(poc_client).bind(now).fetch_all(tx.conn()).await?)
}

/// Whether a PoC has an active Subscription.
pub async fn has_subscriber(conn: &mut PgConnection, poc_client: &str, now: OffsetDateTime) -> Result<bool> {
    Ok(sqlx::query_scalar(HAS_SUBSCRIBER).bind(poc_client).bind(now).fetch_one(conn).await?)
}

/// Those of these Subscriptions that nobody delivers to and nobody else has locked, locked.
pub async fn lock_free_subscribers(
    tx: &mut Tx,
    tenant: i64,
    ids: &[String],
    now: OffsetDateTime,
) -> Result<Vec<Subscriber>> {
    Ok(sqlx::query_as(LOCK_FREE).bind(tenant).bind(ids).bind(now).fetch_all(tx.conn()).await?)
}

/// Whether events of these Subscriptions wait already.
pub async fn has_queue(tx: &mut Tx, tenant: i64, subscriptions: &[String]) -> Result<bool> {
    Ok(sqlx::query_scalar(QUEUED).bind(tenant).bind(subscriptions).fetch_one(tx.conn()).await?)
}

/// Stores an intent with its changes and event numbers, and moves the Subscriptions' numbers on.
pub async fn insert(
    tx: &mut Tx,
    intent: &Intent,
    changes: &[IntentChange],
    events: &[Numbered],
    last: &[(String, i64)],
) -> Result<()> {
    sqlx::query(INSERT_INTENT)
        .bind(intent.id)
        .bind(intent.tenant)
        .bind(intent.context)
        .bind(&intent.client_id)
        .bind(intent.user_id)
        .bind(intent.grant_id)
        .bind(&intent.request_id)
        .bind(&intent.state)
        .bind(intent.created_at)
        .bind(intent.deadline)
        .bind(intent.process)
        .bind(&intent.address)
        .execute(tx.conn())
        .await?;
    sqlx::query(INSERT_CHANGES)
        .bind(intent.id)
        .bind(changes.iter().map(|c| c.ord).collect::<Vec<_>>())
        .bind(changes.iter().map(|c| c.tenant).collect::<Vec<_>>())
        .bind(changes.iter().map(|c| c.r#type.as_str()).collect::<Vec<_>>())
        .bind(changes.iter().map(|c| c.id.as_str()).collect::<Vec<_>>())
        .bind(changes.iter().map(|c| c.version).collect::<Vec<_>>())
        .bind(changes.iter().map(|c| c.updated).collect::<Vec<_>>())
        .bind(changes.iter().map(|c| c.method.as_str()).collect::<Vec<_>>())
        .bind(changes.iter().map(|c| c.body.as_deref()).collect::<Vec<_>>())
        .execute(tx.conn())
        .await?;
    sqlx::query(INSERT_EVENTS)
        .bind(intent.tenant)
        .bind(intent.id)
        .bind(intent.context)
        .bind(intent.created_at)
        .bind(events.iter().map(|e| e.subscription.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.number).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.ord).collect::<Vec<_>>())
        .execute(tx.conn())
        .await?;
    sqlx::query(ADVANCE)
        .bind(intent.tenant)
        .bind(last.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>())
        .bind(last.iter().map(|(_, number)| *number).collect::<Vec<_>>())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Makes `owner` the one that delivers to these Subscriptions, under a new epoch. The rows must be locked and free.
pub async fn take_lease(tx: &mut Tx, tenant: i64, ids: &[String], owner: Uuid, until: OffsetDateTime) -> Result<()> {
    sqlx::query(TAKE_LEASE).bind(tenant).bind(ids).bind(owner).bind(until).execute(tx.conn()).await?;
    Ok(())
}

/// Those Subscriptions that `owner` still holds, as they are now, locked.
pub async fn held(
    tx: &mut Tx,
    tenant: i64,
    ids: &[String],
    owner: Uuid,
    now: OffsetDateTime,
) -> Result<Vec<Subscriber>> {
    Ok(sqlx::query_as(HOLDS).bind(tenant).bind(ids).bind(owner).bind(now).fetch_all(tx.conn()).await?)
}

/// Holds on to the leases until `until`.
pub async fn extend_lease(tx: &mut Tx, tenant: i64, ids: &[String], owner: Uuid, until: OffsetDateTime) -> Result<()> {
    sqlx::query(EXTEND).bind(tenant).bind(ids).bind(owner).bind(until).execute(tx.conn()).await?;
    Ok(())
}

/// Gives the leases up.
pub async fn release_lease(tx: &mut Tx, tenant: i64, ids: &[String], owner: Uuid) -> Result<()> {
    sqlx::query(RELEASE).bind(tenant).bind(ids).bind(owner).execute(tx.conn()).await?;
    Ok(())
}

/// The next intents that wait for these Subscriptions, in the order of their staging.
pub async fn next(tx: &mut Tx, tenant: i64, subscriptions: &[String], limit: i64) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar(NEXT).bind(tenant).bind(subscriptions).bind(limit).fetch_all(tx.conn()).await?)
}

/// An intent with its changes and numbers; `None` when it has ended.
pub async fn load(
    conn: &mut PgConnection,
    id: Uuid,
    process: Uuid,
) -> Result<Option<(Intent, Vec<IntentChange>, Vec<Numbered>)>> {
    let Some(intent) = sqlx::query_as(INTENT).bind(id).bind(process).fetch_optional(&mut *conn).await? else {
        return Ok(None);
    };
    let changes = sqlx::query_as(CHANGES).bind(id).fetch_all(&mut *conn).await?;
    let events = sqlx::query_as(EVENTS).bind(id).fetch_all(conn).await?;
    Ok(Some((intent, changes, events)))
}

/// Notes, before the first byte leaves, that these may be sent.
pub async fn mark_sending(tx: &mut Tx, intents: &[Uuid]) -> Result<()> {
    sqlx::query(MARK_SENDING).bind(intents).execute(tx.conn()).await?;
    Ok(())
}

/// Whether the intent still exists; if so it cannot end before this transaction does.
pub async fn lock_intent(tx: &mut Tx, id: Uuid) -> Result<bool> {
    Ok(sqlx::query(LOCK_INTENT).bind(id).fetch_optional(tx.conn()).await?.is_some())
}

/// After an acknowledgement: the events of `by` are delivered, those of other Subscriptions missed for now.
pub async fn settle(tx: &mut Tx, intent: Uuid, by: &[String]) -> Result<()> {
    sqlx::query(SETTLE).bind(intent).bind(by).bind("missed").execute(tx.conn()).await?;
    Ok(())
}

/// A Subscription took missed events after all.
pub async fn mark_delivered(tx: &mut Tx, intents: &[Uuid], subscription: &str) -> Result<()> {
    sqlx::query(MARK_DELIVERED).bind(intents).bind(subscription).execute(tx.conn()).await?;
    Ok(())
}

/// Nothing happened under these numbers; `reason` says why, to a waiter at another replica.
pub async fn withdraw(tx: &mut Tx, intent: Uuid, subscriptions: &[String], reason: &serde_json::Value) -> Result<()> {
    sqlx::query(WITHDRAW).bind(intent).bind(subscriptions).bind(reason).execute(tx.conn()).await?;
    Ok(())
}

/// Gives never-sent numbers back if they are still the newest; otherwise they must be withdrawn.
pub async fn give_back(tx: &mut Tx, tenant: i64, subscription: &str, intent: Uuid) -> Result<()> {
    sqlx::query(GIVE_BACK).bind(tenant).bind(subscription).bind(intent).execute(tx.conn()).await?;
    Ok(())
}

/// Removes the intent, its changes and its locks.
pub async fn end(tx: &mut Tx, intent: Uuid) -> Result<()> {
    sqlx::query(END).bind(intent).execute(tx.conn()).await?;
    Ok(())
}

/// Ends every intent of a context that is being cleared and returns their ids; their numbers are withdrawn.
pub async fn abandon(tx: &mut Tx, context: Uuid) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar(ABANDON).bind(context).fetch_all(tx.conn()).await?)
}

/// Keeps the (content-free) event rows of a cleared context for a while.
pub async fn keep_events(tx: &mut Tx, context: Uuid, until: OffsetDateTime) -> Result<()> {
    sqlx::query(KEEP_EVENTS).bind(context).bind(until).execute(tx.conn()).await?;
    Ok(())
}

/// Removes event rows past their time.
pub async fn forget_events(conn: &mut PgConnection, now: OffsetDateTime) -> Result<u64> {
    Ok(sqlx::query(FORGET_EVENTS).bind(now).execute(conn).await?.rows_affected())
}

/// Whether the intent has not ended yet.
pub async fn exists(conn: &mut PgConnection, intent: Uuid) -> Result<bool> {
    Ok(sqlx::query_scalar(EXISTS).bind(intent).fetch_one(conn).await?)
}

/// The states of an intent's events, with the reason of withdrawn ones: how it ended, for a waiter whose own process did not end it.
pub async fn states(conn: &mut PgConnection, intent: Uuid) -> Result<Vec<(String, Option<serde_json::Value>)>> {
    Ok(sqlx::query_as(STATES).bind(intent).fetch_all(conn).await?)
}

/// Subscriptions with waiting events that nobody delivers to: (tenant, id).
pub async fn orphans(conn: &mut PgConnection, now: OffsetDateTime, process: Uuid) -> Result<Vec<(i64, String)>> {
    Ok(sqlx::query_as(ORPHANS).bind(now).bind(process).fetch_all(conn).await?)
}

/// One of them, locked, if still nobody delivers to it.
pub async fn lock_orphan(
    tx: &mut Tx,
    tenant: i64,
    id: &str,
    now: OffsetDateTime,
    process: Uuid,
) -> Result<Option<Subscriber>> {
    let query = sqlx::query_as(LOCK_ORPHAN).bind(now).bind(process).bind(tenant).bind(id);
    Ok(query.fetch_optional(tx.conn()).await?)
}
