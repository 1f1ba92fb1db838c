//! People who can sign in here.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Result, Tx};
use crate::id::new_uuid;

const INSERT: &str = "insert into user_account (id, name, password_hash, display_name, tenant, fhir_user, enabled,
    created_at, updated_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $8)";
const INSERT_IDENTIFIERS: &str = "insert into user_identifier (user_id, system, value)
  select $1, * from unnest($2::text[], $3::text[]) on conflict do nothing";
const FIND: &str = "select id, name, password_hash, display_name, tenant, fhir_user, enabled
  from user_account where id = $1";
const FIND_BY_NAME: &str = "select id, name, password_hash, display_name, tenant, fhir_user, enabled
  from user_account where lower(name) = lower($1)";
const LIST: &str = "select id, name, password_hash, display_name, tenant, fhir_user, enabled
  from user_account order by lower(name)";
const IDENTIFIERS: &str = "select system, value from user_identifier where user_id = $1 order by system, value";
const SET_PASSWORD: &str = "update user_account set password_hash = $2, updated_at = $3 where id = $1";
const SET_ENABLED: &str = "update user_account set enabled = $2, updated_at = $3 where id = $1";
const SET_FHIR_USER: &str = "update user_account set fhir_user = $2, updated_at = $3 where id = $1";

/// A local account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The stable `sub` of ID tokens.
    pub id: Uuid,
    /// What the person types; compared without regard to case.
    pub name: String,
    /// argon2id in PHC string form.
    pub password_hash: String,
    /// What is shown to people.
    pub display_name: String,
    /// The person's organisation; 0 for any.
    pub tenant: i64,
    /// The person as a FHIR resource, `Type/id`.
    pub fhir_user: Option<String>,
    /// (system, value): licence numbers and the like, compared with those of a Practitioner named in a launch.
    pub identifiers: Vec<(String, String)>,
    /// A disabled person cannot sign in, and what was granted for them has stopped working.
    pub enabled: bool,
}

impl User {
    /// An enabled account under a new id, shown by its name, of any organisation, and nobody in particular yet.
    pub fn new(name: impl Into<String>, password_hash: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            id: new_uuid(),
            display_name: name.clone(),
            name,
            password_hash: password_hash.into(),
            tenant: 0,
            fhir_user: None,
            identifiers: Vec::new(),
            enabled: true,
        }
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    name: String,
    password_hash: String,
    display_name: String,
    tenant: i64,
    fhir_user: Option<String>,
    enabled: bool,
}

/// Adds an account. Fails with [`super::Error::is_duplicate`] when the name is taken.
pub async fn insert(tx: &mut Tx, user: &User, now: OffsetDateTime) -> Result<()> {
    sqlx::query(INSERT)
        .bind(user.id)
        .bind(&user.name)
        .bind(&user.password_hash)
        .bind(&user.display_name)
        .bind(user.tenant)
        .bind(&user.fhir_user)
        .bind(user.enabled)
        .bind(now)
        .execute(tx.conn())
        .await?;
    let (systems, values): (Vec<_>, Vec<_>) = user.identifiers.iter().cloned().unzip();
    sqlx::query(INSERT_IDENTIFIERS).bind(user.id).bind(systems).bind(values).execute(tx.conn()).await?;
    Ok(())
}

/// The account of that id, also a disabled one.
pub async fn find(conn: &mut PgConnection, id: Uuid) -> Result<Option<User>> {
    let row: Option<Row> = sqlx::query_as(FIND).bind(id).fetch_optional(&mut *conn).await?;
    complete(conn, row).await
}

/// The account of that name, also a disabled one.
pub async fn find_by_name(conn: &mut PgConnection, name: &str) -> Result<Option<User>> {
    let row: Option<Row> = sqlx::query_as(FIND_BY_NAME).bind(name).fetch_optional(&mut *conn).await?;
    complete(conn, row).await
}

/// All accounts, by name.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<User>> {
    let rows: Vec<Row> = sqlx::query_as(LIST).fetch_all(&mut *conn).await?;
    let mut users = Vec::with_capacity(rows.len());
    for row in rows {
        users.extend(complete(conn, Some(row)).await?);
    }
    Ok(users)
}

async fn complete(conn: &mut PgConnection, row: Option<Row>) -> Result<Option<User>> {
    let Some(row) = row else { return Ok(None) };
    let identifiers = sqlx::query_as(IDENTIFIERS).bind(row.id).fetch_all(conn).await?;
    Ok(Some(User {
        id: row.id,
        name: row.name,
        password_hash: row.password_hash,
        display_name: row.display_name,
        tenant: row.tenant,
        fhir_user: row.fhir_user,
        identifiers,
        enabled: row.enabled,
    }))
}

/// Replaces the password's hash. `false` when there is no such account.
pub async fn set_password(tx: &mut Tx, id: Uuid, password_hash: &str, now: OffsetDateTime) -> Result<bool> {
    let done = sqlx::query(SET_PASSWORD).bind(id).bind(password_hash).bind(now).execute(tx.conn()).await?;
    Ok(done.rows_affected() == 1)
}

/// Switches an account on or off. `false` when there is no such account.
pub async fn set_enabled(tx: &mut Tx, id: Uuid, enabled: bool, now: OffsetDateTime) -> Result<bool> {
    let done = sqlx::query(SET_ENABLED).bind(id).bind(enabled).bind(now).execute(tx.conn()).await?;
    Ok(done.rows_affected() == 1)
}

/// Links an account with its FHIR resource, `Type/id`. `false` when there is no such account.
pub async fn set_fhir_user(tx: &mut Tx, id: Uuid, fhir_user: Option<&str>, now: OffsetDateTime) -> Result<bool> {
    let done = sqlx::query(SET_FHIR_USER).bind(id).bind(fhir_user).bind(now).execute(tx.conn()).await?;
    Ok(done.rows_affected() == 1)
}

const HOLD: &str = "select enabled from user_account where id = $1 for share";
const LOCK: &str = "select 1 from user_account where id = $1 for no key update";

/// Keeps an account as it is until this transaction ends. `false` when there is none, or it is disabled.
pub async fn hold(tx: &mut Tx, id: Uuid) -> Result<bool> {
    let enabled: Option<bool> = sqlx::query_scalar(HOLD).bind(id).fetch_optional(tx.conn()).await?;
    Ok(enabled == Some(true))
}

/// Waits for those who hold the account, and lets nobody else hold it until this transaction ends.
pub async fn lock(tx: &mut Tx, id: Uuid) -> Result<()> {
    sqlx::query(LOCK).bind(id).execute(tx.conn()).await?;
    Ok(())
}
