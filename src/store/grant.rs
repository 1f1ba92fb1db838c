//! Grants, and the codes and refresh tokens that belong to them. Everything about a grant ends with its context.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::client::{Role, role};
use super::{Result, Tx};

const INSERT: &str = "insert into grant_row (id, client_id, user_id, context_id, scope, session_id, auth_time, nonce,
    created_at, expires_at, patient, encounter, asked, withheld, only_online)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
// One round trip on every request: the grant, and all it hangs on.
const LIVE: &str = "select g.id as grant_id, g.client_id, c.role, coalesce(x.tenant, c.tenant) as tenant, g.scope,
    g.user_id, u.name as user_name, coalesce(x.fhir_user, u.fhir_user) as fhir_user, u.fhir_user as linked,
    g.context_id as context,
    x.poc_client, x.patient, g.patient as picked_patient, g.encounter as picked_encounter
  from grant_row g
  join client c on c.client_id = g.client_id
  left join user_account u on u.id = g.user_id
  left join context x on x.id = g.context_id
  left join client p on p.client_id = x.poc_client
  where g.id = $1 and g.revoked_at is null and g.expires_at > $2 and c.enabled
    and (g.user_id is null or u.enabled)
    and (g.context_id is null or (x.cleared_at is null and x.expires_at > $2 and p.enabled))";
const WAS_REVOKED: &str = "select exists (select 1 from grant_row where id = $1 and revoked_at is not null)
    or exists (select 1 from client where client_id = $2 and not enabled)
    or exists (select 1 from user_account where id = $3 and not enabled)";
const DETAILS: &str =
    "select client_id, user_id, context_id, scope, session_id, only_online, auth_time, nonce, created_at
  from grant_row where id = $1";
const EXTEND: &str = "update grant_row set expires_at = greatest(expires_at, $2) where id = $1";
const REVOKE: &str = "update grant_row set revoked_at = $2 where id = $1 and revoked_at is null";
const REVOKE_BY_CONTEXT: &str = "update grant_row set revoked_at = $2 where context_id = $1 and revoked_at is null";
const REVOKE_BY_USER: &str = "update grant_row set revoked_at = $2 where user_id = $1 and revoked_at is null";
const REVOKE_BY_CLIENT: &str = "update grant_row set revoked_at = $2 where client_id = $1 and revoked_at is null";
// Only what was given out to be used without its user goes on without them.
const REVOKE_BY_SESSION: &str = "update grant_row set revoked_at = $2 where session_id = $1 and revoked_at is null
    and not ('offline_access' = any(string_to_array(scope, ' ')))";
const TOLD_OF_SESSION: &str = "select distinct c.client_id, c.backchannel_logout_uri as uri from grant_row g
  join client c on c.client_id = g.client_id
  where g.session_id = $1 and c.enabled and c.backchannel_logout_uri is not null order by c.client_id";
const DELETE_BY_USER: &str = "delete from grant_row where user_id = $1";
const REVOKE_BY_LAUNCHER: &str = "update grant_row set revoked_at = $2 where revoked_at is null
  and context_id in (select id from context where poc_client = $1)";
const DELETE_BY_CLIENT: &str = "delete from grant_row where client_id = $1";
const REVOKE_BY_USER_AND_CLIENT: &str =
    "update grant_row set revoked_at = $3 where user_id = $1 and client_id = $2 and revoked_at is null";
const HELD_FOR: &str = "select g.client_id, c.name as client_name, c.source as client_source, c.redirect_uris, g.scope, g.created_at, p.name as launched_from
  from grant_row g
  join client c on c.client_id = g.client_id
  left join context x on x.id = g.context_id
  left join client p on p.client_id = x.poc_client
  where g.user_id = $1 and g.revoked_at is null and g.expires_at > $2 and c.enabled
    and (g.context_id is null or (x.cleared_at is null and x.expires_at > $2 and p.enabled))
  order by g.created_at desc limit 500";
const INSERT_CODE: &str = "insert into authorization_code (digest, grant_id, redirect_uri, code_challenge, expires_at)
  values ($1, $2, $3, $4, $5)";
// The lock makes two exchanges of one code come one after the other.
const LOCK_CODE: &str = "select a.grant_id, g.client_id, a.redirect_uri, a.code_challenge, a.expires_at,
    a.used_at is not null as used
  from authorization_code a join grant_row g on g.id = a.grant_id where a.digest = $1 for update of a";
const USE_CODE: &str = "update authorization_code set used_at = $2 where digest = $1";
const INSERT_REFRESH: &str =
    "insert into refresh_token (digest, grant_id, parent, created_at, expires_at) values ($1, $2, $3, $4, $5)";
// The grant's row is what exchanges of its tokens wait at: of two at once, the second sees what the first has done.
const LOCK_GRANT_OF: &str = "select id from grant_row
  where id = (select grant_id from refresh_token where digest = $1) for update";
const FIND_REFRESH: &str = "select r.grant_id, g.client_id, r.expires_at, r.used_at,
    (select count(*) from refresh_token c where c.parent = r.digest) as children,
    exists (select 1 from refresh_token c where c.parent = r.digest and c.used_at is not null) as child_used,
    exists (select 1 from refresh_token s where s.parent = r.parent and s.digest <> r.digest
      and s.used_at is not null) as sibling_used
  from refresh_token r join grant_row g on g.id = r.grant_id where r.digest = $1";
const USE_REFRESH: &str = "update refresh_token set used_at = coalesce(used_at, $2) where digest = $1";
const CONTEXT_OF: &str = "select g.context_id from grant_row g where g.context_id is not null
  and g.id in (select grant_id from authorization_code where digest = $1
    union all select grant_id from refresh_token where digest = $1)";
const SWEEP_REFRESH: &str = "delete from refresh_token where expires_at < $1";
const SWEEP: &str = "delete from grant_row where expires_at < $1";

/// The launch context of a code or refresh token, whether it is still good or not.
pub async fn context_of(conn: &mut PgConnection, digest: &[u8]) -> Result<Option<Uuid>> {
    Ok(sqlx::query_scalar(CONTEXT_OF).bind(digest).fetch_optional(conn).await?)
}

/// A grant whose every condition holds at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveGrant {
    /// The `gid` of its access tokens.
    pub grant_id: Uuid,
    pub client_id: String,
    pub client_role: Role,
    /// The context's tenant, else the client's.
    pub tenant: i64,
    /// What was granted, space-separated. A token may carry less: its own `scope` claim counts.
    pub scope: String,
    /// For whom it acts; `None` for `client_credentials`.
    pub user_id: Option<Uuid>,
    /// That user's login name.
    pub user_name: Option<String>,
    /// That user as a FHIR resource, `Type/id`: as named by the launch, else as linked with the account.
    pub fhir_user: Option<String>,
    /// The resource that the user's account is linked with, whatever a launch says.
    pub linked: Option<String>,
    /// The launch context it lives and dies with.
    pub launch: Option<Launch>,
    /// What the user picked, when the launch began at the app.
    pub picked: Option<Picked>,
}

impl LiveGrant {
    /// The id of its launch context.
    pub fn context(&self) -> Option<Uuid> {
        self.launch.as_ref().map(|launch| launch.context)
    }
}

/// What a user picks when a launch begins at the app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picked {
    /// Bare id of the Patient.
    pub patient: String,
    /// Bare id of the Encounter.
    pub encounter: Option<String>,
}

/// Of a launch context, what every request of its apps needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    pub context: Uuid,
    /// The PoC that made it.
    pub poc_client: String,
    /// Bare id of the Patient in context.
    pub patient: Option<String>,
}

#[derive(sqlx::FromRow)]
struct LiveRow {
    grant_id: Uuid,
    client_id: String,
    role: String,
    tenant: i64,
    scope: String,
    user_id: Option<Uuid>,
    user_name: Option<String>,
    fhir_user: Option<String>,
    linked: Option<String>,
    context: Option<Uuid>,
    poc_client: Option<String>,
    patient: Option<String>,
    picked_patient: Option<String>,
    picked_encounter: Option<String>,
}

/// A grant as it is made.
#[derive(Clone, Debug)]
pub struct NewGrant<'a> {
    pub id: Uuid,
    pub client_id: &'a str,
    pub user_id: Option<Uuid>,
    pub context: Option<Uuid>,
    /// Space-separated.
    pub scope: &'a str,
    /// The browser session in which it is granted.
    pub session_id: Option<Uuid>,
    /// Whether it can be renewed only while that session lasts.
    pub only_online: bool,
    /// When the user signed in.
    pub auth_time: Option<OffsetDateTime>,
    /// OpenID Connect `nonce`.
    pub nonce: Option<&'a str>,
    /// After this nothing can be done with it.
    pub expires_at: OffsetDateTime,
    /// What the user picked, when the launch began at the app.
    pub picked: Option<&'a Picked>,
    /// What the client asked for, space-separated.
    pub asked: &'a str,
    /// Of that, each scope that is not granted, with the reason: a JSON object.
    pub withheld: &'a Value,
}

/// What the token endpoint needs of a grant besides [`LiveGrant`].
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Details {
    pub client_id: String,
    pub user_id: Option<Uuid>,
    pub context_id: Option<Uuid>,
    pub scope: String,
    /// The browser session in which it was granted.
    pub session_id: Option<Uuid>,
    /// Whether it can be renewed only while that session lasts.
    pub only_online: bool,
    pub auth_time: Option<OffsetDateTime>,
    pub nonce: Option<String>,
    /// When it was granted.
    pub created_at: OffsetDateTime,
}

/// A code as it was issued.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Code {
    pub grant_id: Uuid,
    pub client_id: String,
    pub redirect_uri: String,
    pub code_challenge: String,
    pub expires_at: OffsetDateTime,
    /// Exchanged before.
    pub used: bool,
}

/// A refresh token, and what became of it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Refresh {
    pub grant_id: Uuid,
    pub client_id: String,
    pub expires_at: OffsetDateTime,
    /// When it was first exchanged.
    pub used_at: Option<OffsetDateTime>,
    /// How many tokens were given for it.
    pub children: i64,
    /// One of those was exchanged: whoever holds it has gone on.
    pub child_used: bool,
    /// Another one that was given for the same token was exchanged: this one was passed over.
    pub sibling_used: bool,
}

/// Stores a grant.
pub async fn insert(tx: &mut Tx, grant: &NewGrant<'_>, now: OffsetDateTime) -> Result<()> {
    sqlx::query(INSERT)
        .bind(grant.id)
        .bind(grant.client_id)
        .bind(grant.user_id)
        .bind(grant.context)
        .bind(grant.scope)
        .bind(grant.session_id)
        .bind(grant.auth_time)
        .bind(grant.nonce)
        .bind(now)
        .bind(grant.expires_at)
        .bind(grant.picked.map(|picked| &picked.patient))
        .bind(grant.picked.and_then(|picked| picked.encounter.as_ref()))
        .bind(grant.asked)
        .bind(grant.withheld)
        .bind(grant.only_online)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The grant, if it was not revoked and has not expired, its client and user are enabled, and its context lives, with the
/// PoC that made it.
pub async fn live(conn: &mut PgConnection, grant: Uuid, now: OffsetDateTime) -> Result<Option<LiveGrant>> {
    let row: Option<LiveRow> = sqlx::query_as(LIVE).bind(grant).bind(now).fetch_optional(conn).await?;
    let Some(row) = row else { return Ok(None) };
    let launch = row.context.zip(row.poc_client).map(|(context, poc_client)| Launch {
        context,
        poc_client,
        patient: row.patient,
    });
    Ok(Some(LiveGrant {
        grant_id: row.grant_id,
        client_id: row.client_id,
        client_role: role(&row.role)?,
        tenant: row.tenant,
        scope: row.scope,
        user_id: row.user_id,
        user_name: row.user_name,
        fhir_user: row.fhir_user,
        linked: row.linked,
        launch,
        picked: row.picked_patient.map(|patient| Picked { patient, encounter: row.picked_encounter }),
    }))
}

/// The rest of a grant, alive or not.
pub async fn details(conn: &mut PgConnection, grant: Uuid) -> Result<Option<Details>> {
    Ok(sqlx::query_as(DETAILS).bind(grant).fetch_optional(conn).await?)
}

/// Lets a grant live until `expires_at` at least.
pub async fn extend(tx: &mut Tx, grant: Uuid, expires_at: OffsetDateTime) -> Result<()> {
    sqlx::query(EXTEND).bind(grant).bind(expires_at).execute(tx.conn()).await?;
    Ok(())
}

/// Ends a grant with its code, refresh tokens and access tokens. `false` when it had ended.
pub async fn revoke(tx: &mut Tx, grant: Uuid, now: OffsetDateTime) -> Result<bool> {
    Ok(sqlx::query(REVOKE).bind(grant).bind(now).execute(tx.conn()).await?.rows_affected() == 1)
}

/// Ends every grant of a context; gives their number. `$clear-context` and expiry call it.
pub async fn revoke_by_context(tx: &mut Tx, context: Uuid, now: OffsetDateTime) -> Result<u64> {
    Ok(sqlx::query(REVOKE_BY_CONTEXT).bind(context).bind(now).execute(tx.conn()).await?.rows_affected())
}

/// Ends every grant of a person; gives their number.
pub async fn revoke_by_user(tx: &mut Tx, user: Uuid, now: OffsetDateTime) -> Result<u64> {
    Ok(sqlx::query(REVOKE_BY_USER).bind(user).bind(now).execute(tx.conn()).await?.rows_affected())
}

/// Ends what was granted in a browser session, but for what may be used without its user (`offline_access`); gives the number.
pub async fn revoke_by_session(tx: &mut Tx, session: Uuid, now: OffsetDateTime) -> Result<u64> {
    Ok(sqlx::query(REVOKE_BY_SESSION).bind(session).bind(now).execute(tx.conn()).await?.rows_affected())
}

/// A client that wants to be told that a session has ended, and where.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Told {
    pub client_id: String,
    pub uri: String,
}

/// The clients that were granted something in a session and want to be told of its end.
pub async fn told_of_session(conn: &mut PgConnection, session: Uuid) -> Result<Vec<Told>> {
    Ok(sqlx::query_as(TOLD_OF_SESSION).bind(session).fetch_all(conn).await?)
}

/// Removes every grant of a person, with its codes and tokens; gives their number.
pub async fn delete_by_user(tx: &mut Tx, user: Uuid) -> Result<u64> {
    Ok(sqlx::query(DELETE_BY_USER).bind(user).execute(tx.conn()).await?.rows_affected())
}

/// Ends every grant of a client; gives their number.
pub async fn revoke_by_client(tx: &mut Tx, client_id: &str, now: OffsetDateTime) -> Result<u64> {
    Ok(sqlx::query(REVOKE_BY_CLIENT).bind(client_id).bind(now).execute(tx.conn()).await?.rows_affected())
}

/// Ends every grant within the launches of a PoC; gives their number.
pub async fn revoke_by_launcher(tx: &mut Tx, poc_client: &str, now: OffsetDateTime) -> Result<u64> {
    Ok(sqlx::query(REVOKE_BY_LAUNCHER).bind(poc_client).bind(now).execute(tx.conn()).await?.rows_affected())
}

/// Removes every grant of a client, with its codes and tokens; gives their number.
pub async fn delete_by_client(tx: &mut Tx, client_id: &str) -> Result<u64> {
    Ok(sqlx::query(DELETE_BY_CLIENT).bind(client_id).execute(tx.conn()).await?.rows_affected())
}

/// Ends every grant of a client for a person; gives their number.
pub async fn revoke_by_user_and_client(tx: &mut Tx, user: Uuid, client: &str, now: OffsetDateTime) -> Result<u64> {
    let query = sqlx::query(REVOKE_BY_USER_AND_CLIENT).bind(user).bind(client).bind(now);
    Ok(query.execute(tx.conn()).await?.rows_affected())
}

/// A living grant, as its person is shown it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Held {
    pub client_id: String,
    pub client_name: String,
    /// How it was registered, as a word of [`super::client::Source`].
    pub client_source: String,
    pub redirect_uris: Vec<String>,
    /// Space-separated.
    pub scope: String,
    pub created_at: OffsetDateTime,
    /// The name of the PoC that made the launch.
    pub launched_from: Option<String>,
}

/// What clients hold for a person, the newest first and no more than can be shown.
pub async fn held_for(conn: &mut PgConnection, user: Uuid, now: OffsetDateTime) -> Result<Vec<Held>> {
    Ok(sqlx::query_as(HELD_FOR).bind(user).bind(now).fetch_all(conn).await?)
}

/// What a code is bound to.
#[derive(Clone, Copy, Debug)]
pub struct NewCode<'a> {
    pub digest: &'a [u8],
    pub grant: Uuid,
    pub redirect_uri: &'a str,
    /// PKCE, S256.
    pub code_challenge: &'a str,
    pub expires_at: OffsetDateTime,
}

/// Stores a code.
pub async fn insert_code(tx: &mut Tx, code: &NewCode<'_>) -> Result<()> {
    sqlx::query(INSERT_CODE)
        .bind(code.digest)
        .bind(code.grant)
        .bind(code.redirect_uri)
        .bind(code.code_challenge)
        .bind(code.expires_at)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// A code, used or not, held until the transaction ends.
pub async fn lock_code(tx: &mut Tx, digest: &[u8]) -> Result<Option<Code>> {
    Ok(sqlx::query_as(LOCK_CODE).bind(digest).fetch_optional(tx.conn()).await?)
}

/// Marks a code as exchanged.
pub async fn use_code(tx: &mut Tx, digest: &[u8], now: OffsetDateTime) -> Result<()> {
    sqlx::query(USE_CODE).bind(digest).bind(now).execute(tx.conn()).await?;
    Ok(())
}

/// A refresh token as it is made.
#[derive(Clone, Copy, Debug)]
pub struct NewRefresh<'a> {
    pub digest: &'a [u8],
    pub grant: Uuid,
    /// The token it is given for; none for the first of a grant.
    pub parent: Option<&'a [u8]>,
    pub expires_at: OffsetDateTime,
}

/// Stores a refresh token; [`extend`] lets its grant live as long.
pub async fn insert_refresh(tx: &mut Tx, refresh: &NewRefresh<'_>, now: OffsetDateTime) -> Result<()> {
    sqlx::query(INSERT_REFRESH)
        .bind(refresh.digest)
        .bind(refresh.grant)
        .bind(refresh.parent)
        .bind(now)
        .bind(refresh.expires_at)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// A refresh token, used or not. Until the transaction ends, no other token of its grant is exchanged.
pub async fn lock_refresh(tx: &mut Tx, digest: &[u8]) -> Result<Option<Refresh>> {
    sqlx::query(LOCK_GRANT_OF).bind(digest).execute(tx.conn()).await?;
    find_refresh(tx.conn(), digest).await
}

/// A refresh token, used or not.
pub async fn find_refresh(conn: &mut PgConnection, digest: &[u8]) -> Result<Option<Refresh>> {
    Ok(sqlx::query_as(FIND_REFRESH).bind(digest).fetch_optional(conn).await?)
}

/// Marks a refresh token as exchanged; the first time counts.
pub async fn use_refresh(tx: &mut Tx, digest: &[u8], now: OffsetDateTime) -> Result<()> {
    sqlx::query(USE_REFRESH).bind(digest).bind(now).execute(tx.conn()).await?;
    Ok(())
}

/// Removes grants that expired before `before`, with their codes and refresh tokens, and of the others the refresh tokens
/// that did: a grant that is renewed for a month leaves one behind each time.
pub async fn sweep(tx: &mut Tx, before: OffsetDateTime) -> Result<u64> {
    sqlx::query(SWEEP_REFRESH).bind(before).execute(tx.conn()).await?;
    Ok(sqlx::query(SWEEP).bind(before).execute(tx.conn()).await?.rows_affected())
}

/// Whether a grant was taken back, by itself or with its client or user. One that ran out, or is gone, was not.
pub async fn was_revoked(conn: &mut PgConnection, grant: Uuid, client: &str, user: Option<Uuid>) -> Result<bool> {
    Ok(sqlx::query_scalar(WAS_REVOKED).bind(grant).bind(client).bind(user).fetch_one(conn).await?)
}
