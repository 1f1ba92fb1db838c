//! Launch contexts: written by `$set-context`, read by `/authorize`, ended by `$clear-context` and expiry.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Result, Tx};

const COLUMNS: &str =
    "id, tenant, poc_client, app_id, patient, encounter, fhir_context, fhir_user, need_patient_banner,
  intent, smart_style_url, launch_tenant, owner_user, owner_named, created_at, expires_at, cleared_at";
const INSERT: &str = "insert into context (id, tenant, poc_client, launch_digest, app_id, patient, encounter, fhir_context,
    fhir_user, need_patient_banner, intent, smart_style_url, launch_tenant, owner_user, owner_named, created_at, expires_at)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
const INSERT_OWNERS: &str = "insert into context_owner (context, system, value)
  select $1, * from unnest($2::text[], $3::text[]) on conflict do nothing";
// Those of the person, and those of their organisation that name the person and are nobody's yet: anybody's system can
// name anybody, and to be offered a launch looks as if it were one's own.
const OPEN_TO: &str = "cleared_at is null and expires_at > $4 and patient is not null
    and (app_id is null or app_id = $3)
    and exists (select from client p where p.client_id = context.poc_client and p.enabled)
    and (owner_user = $1 or (owner_user is null and owner_named and ($6::bigint is null or tenant = $6) and (fhir_user = $2
      or exists (select from context_owner o join user_identifier i on i.system = o.system and i.value = o.value
        where o.context = context.id and i.user_id = $1))))
  order by created_at desc, id limit $5";
const OWNERS: &str = "select system, value from context_owner where context = $1";
// Only the first may bind; a later call by the same user is no change.
const BIND_OWNER: &str = "update context set owner_user = $2
  where id = $1 and cleared_at is null and (owner_user is null or owner_user = $2)";
const LOCK_ALIVE: &str = "select 1 from context where id = $1 and cleared_at is null and expires_at > $2 for share";
const LOCK_FOR_CLEAR: &str = "select poc_client, cleared_at from context where launch_digest = $1 for update";
// What described the launch and its user goes; the row stays for the answer 410.
const MARK_CLEARED: &str = "with owners as (delete from context_owner where context = $1)
  update context set cleared_at = $2, patient = null, encounter = null, fhir_context = '{}', fhir_user = null,
    intent = null, smart_style_url = null, launch_tenant = null
  where id = $1 and cleared_at is null";
const EXPIRED: &str = "select id from context where cleared_at is null and expires_at <= $1
  order by expires_at limit $2 for update skip locked";

/// A launch context as it is stored.
#[derive(Clone, Debug)]
pub struct ContextRow {
    /// Never shown outside.
    pub id: Uuid,
    /// The PoC's organisation.
    pub tenant: i64,
    /// The client that called `$set-context`.
    pub poc_client: String,
    /// Only this client may use the launch.
    pub app_id: Option<String>,
    /// Bare id.
    pub patient: Option<String>,
    /// Bare id.
    pub encounter: Option<String>,
    /// Each `Type/id`.
    pub fhir_context: Vec<String>,
    /// `Type/id`; a Practitioner where one is known.
    pub fhir_user: Option<String>,
    pub need_patient_banner: Option<bool>,
    pub intent: Option<String>,
    pub smart_style_url: Option<String>,
    pub launch_tenant: Option<String>,
    /// The owner, once known.
    pub owner_user: Option<Uuid>,
    /// Whether `fhirUser` was given.
    pub owner_named: bool,
    /// (system, value) of the person named by `fhirUser`.
    pub owner_identifiers: Vec<(String, String)>,
    pub created_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
    pub cleared_at: Option<OffsetDateTime>,
}

impl ContextRow {
    /// Neither cleared nor expired.
    pub fn is_alive(&self, now: OffsetDateTime) -> bool {
        self.cleared_at.is_none() && self.expires_at > now
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    tenant: i64,
    poc_client: String,
    app_id: Option<String>,
    patient: Option<String>,
    encounter: Option<String>,
    fhir_context: Vec<String>,
    fhir_user: Option<String>,
    need_patient_banner: Option<bool>,
    intent: Option<String>,
    smart_style_url: Option<String>,
    launch_tenant: Option<String>,
    owner_user: Option<Uuid>,
    owner_named: bool,
    created_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    cleared_at: Option<OffsetDateTime>,
}

/// Stores a new context under the digest of its launchID.
pub async fn insert(tx: &mut Tx, context: &ContextRow, launch_digest: &[u8]) -> Result<()> {
    sqlx::query(INSERT)
        .bind(context.id)
        .bind(context.tenant)
        .bind(&context.poc_client)
        .bind(launch_digest)
        .bind(&context.app_id)
        .bind(&context.patient)
        .bind(&context.encounter)
        .bind(&context.fhir_context)
        .bind(&context.fhir_user)
        .bind(context.need_patient_banner)
        .bind(&context.intent)
        .bind(&context.smart_style_url)
        .bind(&context.launch_tenant)
        .bind(context.owner_user)
        .bind(context.owner_named)
        .bind(context.created_at)
        .bind(context.expires_at)
        .execute(tx.conn())
        .await?;
    if !context.owner_identifiers.is_empty() {
        let (systems, values): (Vec<_>, Vec<_>) = context.owner_identifiers.iter().cloned().unzip();
        sqlx::query(INSERT_OWNERS).bind(context.id).bind(systems).bind(values).execute(tx.conn()).await?;
    }
    Ok(())
}

/// The context of a launchID, also when it is cleared or expired.
pub async fn find_by_launch(conn: &mut PgConnection, launch_digest: &[u8]) -> Result<Option<ContextRow>> {
    let sql = sqlx::AssertSqlSafe(format!("select {COLUMNS} from context where launch_digest = $1"));
    let row: Option<Row> = sqlx::query_as(sql).bind(launch_digest).fetch_optional(&mut *conn).await?;
    complete(conn, row).await
}

/// A context by its id, also when it is cleared or expired.
pub async fn find(conn: &mut PgConnection, id: Uuid) -> Result<Option<ContextRow>> {
    let sql = sqlx::AssertSqlSafe(format!("select {COLUMNS} from context where id = $1"));
    let row: Option<Row> = sqlx::query_as(sql).bind(id).fetch_optional(&mut *conn).await?;
    complete(conn, row).await
}

/// A person who looks for their launches.
#[derive(Clone, Copy, Debug)]
pub struct Seeker<'a> {
    pub user: Uuid,
    /// The person as a FHIR resource, `Type/id`.
    pub fhir_user: Option<&'a str>,
    /// The organisation whose launches may name the person; `None` for any.
    pub tenant: Option<i64>,
}

/// The living contexts with a patient that are a person's, or name them, and are for this client or for any: the newest
/// first, no more than `limit`. Those of a PoC that is disabled do not count.
pub async fn open_to(
    conn: &mut PgConnection,
    seeker: Seeker<'_>,
    client: &str,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<ContextRow>> {
    let sql = sqlx::AssertSqlSafe(format!("select {COLUMNS} from context where {OPEN_TO}"));
    let query = sqlx::query_as(sql).bind(seeker.user).bind(seeker.fhir_user).bind(client).bind(now).bind(limit);
    let rows: Vec<Row> = query.bind(seeker.tenant).fetch_all(&mut *conn).await?;
    let mut contexts = Vec::with_capacity(rows.len());
    for row in rows {
        contexts.extend(complete(conn, Some(row)).await?);
    }
    Ok(contexts)
}

async fn complete(conn: &mut PgConnection, row: Option<Row>) -> Result<Option<ContextRow>> {
    let Some(row) = row else { return Ok(None) };
    let owner_identifiers = sqlx::query_as(OWNERS).bind(row.id).fetch_all(conn).await?;
    Ok(Some(ContextRow {
        id: row.id,
        tenant: row.tenant,
        poc_client: row.poc_client,
        app_id: row.app_id,
        patient: row.patient,
        encounter: row.encounter,
        fhir_context: row.fhir_context,
        fhir_user: row.fhir_user,
        need_patient_banner: row.need_patient_banner,
        intent: row.intent,
        smart_style_url: row.smart_style_url,
        launch_tenant: row.launch_tenant,
        owner_user: row.owner_user,
        owner_named: row.owner_named,
        owner_identifiers,
        created_at: row.created_at,
        expires_at: row.expires_at,
        cleared_at: row.cleared_at,
    }))
}

/// Makes `user` the owner, for good. `false` when someone else was first or the context has ended.
pub async fn bind_owner(tx: &mut Tx, context: Uuid, user: Uuid) -> Result<bool> {
    let done = sqlx::query(BIND_OWNER).bind(context).bind(user).execute(tx.conn()).await?;
    Ok(done.rows_affected() == 1)
}

/// Whether the context lives; if so it cannot be cleared before this transaction ends.
pub async fn lock_alive(tx: &mut Tx, context: Uuid, now: OffsetDateTime) -> Result<bool> {
    Ok(sqlx::query(LOCK_ALIVE).bind(context).bind(now).fetch_optional(tx.conn()).await?.is_some())
}

/// The context of a launchID, locked so that only one transaction clears it.
pub async fn lock_for_clear(tx: &mut Tx, launch_digest: &[u8]) -> Result<Option<ContextRow>> {
    let found: Option<(String, Option<OffsetDateTime>)> =
        sqlx::query_as(LOCK_FOR_CLEAR).bind(launch_digest).fetch_optional(tx.conn()).await?;
    if found.is_none() {
        return Ok(None);
    }
    find_by_launch(tx.conn(), launch_digest).await
}

/// Marks the context as ended. `false` when it already was.
pub async fn mark_cleared(tx: &mut Tx, context: Uuid, now: OffsetDateTime) -> Result<bool> {
    let done = sqlx::query(MARK_CLEARED).bind(context).bind(now).execute(tx.conn()).await?;
    Ok(done.rows_affected() == 1)
}

/// Up to `limit` contexts past their time, locked for this transaction; those another replica holds are skipped.
pub async fn expired(tx: &mut Tx, now: OffsetDateTime, limit: i64) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar(EXPIRED).bind(now).bind(limit).fetch_all(tx.conn()).await?)
}
