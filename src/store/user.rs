//! People who can sign in here.

use sqlx::PgConnection;
use time::OffsetDateTime;
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

use super::{Result, Tx};
use crate::id::new_uuid;

// One statement, whether or not there is such a name: how long it takes does not tell.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select id, name, password_hash, display_name, tenant, fhir_user, enabled, source, must_change, second_factor,
    array(select i.system from user_identifier i where i.user_id = u.id order by i.system, i.value) as systems,
    array(select i.value from user_identifier i where i.user_id = u.id order by i.system, i.value) as values
  from user_account u ",
            $rest
        )
    };
}

const INSERT: &str =
    "insert into user_account (id, name, canonical_name, password_hash, display_name, tenant, fhir_user,
    enabled, source, must_change, second_factor, created_at, updated_at)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)";
const INSERT_IDENTIFIERS: &str = "insert into user_identifier (user_id, system, value)
  select $1, * from unnest($2::text[], $3::text[]) on conflict do nothing";
const HOLD: &str = "select enabled from user_account where id = $1 for share";
const LOCK: &str = "select 1 from user_account where id = $1 for no key update";
const DELETE_IDENTIFIERS: &str = "delete from user_identifier where user_id = $1";
const UPDATE: &str = "update user_account set name = $2, canonical_name = $3, password_hash = $4, display_name = $5,
    tenant = $6, fhir_user = $7, enabled = $8, source = $9, must_change = $10, second_factor = $11, updated_at = $12
  where id = $1";
const FIND: &str = select!("where u.id = $1");
const FIND_BY_NAME: &str = select!("where u.canonical_name = $1");
const FIND_BY_IDENTIFIER: &str = select!(
    "where u.tenant = any($3) and exists
    (select 1 from user_identifier i where i.user_id = u.id and i.system = $1 and i.value = $2) order by u.id limit 2"
);
const LIST: &str = select!("order by u.canonical_name");
const SET_PASSWORD: &str =
    "update user_account set password_hash = $2, must_change = $3, updated_at = $4 where id = $1";
const SET_ENABLED: &str = "update user_account set enabled = $2, updated_at = $3 where id = $1";
const DELETE: &str = "delete from user_account where id = $1";

/// A name as it is compared, looked up and counted: nothing else may spell it, so that no two places disagree on which
/// account a name means (`NFKC`, each letter in lower case, the two small sigmas as one, `NFKC` once more).
pub fn canonical_name(name: &str) -> String {
    let lower = name.trim().nfkc().flat_map(char::to_lowercase);
    lower.map(|letter| if letter == 'ς' { 'σ' } else { letter }).nfkc().collect()
}

/// Where an account came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An operator made it.
    Local,
    /// Its person came through an upstream provider.
    Federated,
}

/// Whether a person needs a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactorRule {
    /// As it is configured for all.
    Usual,
    /// In any case.
    Required,
    /// Not even where all others do.
    Off,
}

impl Source {
    /// The word stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Federated => "federated",
        }
    }
}

impl FactorRule {
    /// The word stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Usual => "usual",
            Self::Required => "required",
            Self::Off => "off",
        }
    }

    /// The rule of a word; `None` for any other word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Usual, Self::Required, Self::Off].into_iter().find(|rule| rule.as_str() == word)
    }
}

/// A person's account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The stable `sub` of ID tokens.
    pub id: Uuid,
    /// What the person types; see [`canonical_name`].
    pub name: String,
    /// argon2id in PHC string form; none for people who sign in through an upstream provider only.
    pub password_hash: Option<String>,
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
    /// Where the account came from.
    pub source: Source,
    /// Whether the person has to choose another password.
    pub must_change: bool,
    /// Whether this person needs a second factor.
    pub second_factor: FactorRule,
}

impl User {
    /// An enabled account under a new id, shown by its name, of any organisation, and nobody in particular yet.
    pub fn new(name: impl Into<String>, password_hash: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            id: new_uuid(),
            display_name: name.clone(),
            name,
            password_hash: Some(password_hash.into()),
            tenant: 0,
            fhir_user: None,
            identifiers: Vec::new(),
            enabled: true,
            source: Source::Local,
            must_change: false,
            second_factor: FactorRule::Usual,
        }
    }
}

impl User {
    /// What a password must not be made of.
    pub fn about(&self) -> [&str; 2] {
        [&self.name, &self.display_name]
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    name: String,
    password_hash: Option<String>,
    display_name: String,
    tenant: i64,
    fhir_user: Option<String>,
    enabled: bool,
    source: String,
    must_change: bool,
    second_factor: String,
    systems: Vec<String>,
    values: Vec<String>,
}

impl From<Row> for User {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            name: row.name,
            password_hash: row.password_hash,
            display_name: row.display_name,
            tenant: row.tenant,
            fhir_user: row.fhir_user,
            identifiers: row.systems.into_iter().zip(row.values).collect(),
            enabled: row.enabled,
            source: if row.source == Source::Federated.as_str() { Source::Federated } else { Source::Local },
            must_change: row.must_change,
            second_factor: FactorRule::parse(&row.second_factor).unwrap_or(FactorRule::Required),
        }
    }
}

/// Adds an account. Fails with [`super::Error::is_duplicate`] when the name is taken.
pub async fn insert(tx: &mut Tx, user: &User, now: OffsetDateTime) -> Result<()> {
    write(tx, INSERT, user, now).await?;
    insert_identifiers(tx, user).await
}

/// Changes everything of an account but its id. Fails with [`super::Error::is_duplicate`] when the name is taken.
pub async fn update(tx: &mut Tx, user: &User, now: OffsetDateTime) -> Result<()> {
    write(tx, UPDATE, user, now).await?;
    sqlx::query(DELETE_IDENTIFIERS).bind(user.id).execute(tx.conn()).await?;
    insert_identifiers(tx, user).await
}

async fn write(tx: &mut Tx, statement: &'static str, user: &User, now: OffsetDateTime) -> Result<()> {
    sqlx::query(statement)
        .bind(user.id)
        .bind(&user.name)
        .bind(canonical_name(&user.name))
        .bind(&user.password_hash)
        .bind(&user.display_name)
        .bind(user.tenant)
        .bind(&user.fhir_user)
        .bind(user.enabled)
        .bind(user.source.as_str())
        .bind(user.must_change)
        .bind(user.second_factor.as_str())
        .bind(now)
        .execute(tx.conn())
        .await?;
    Ok(())
}

async fn insert_identifiers(tx: &mut Tx, user: &User) -> Result<()> {
    let (systems, values): (Vec<_>, Vec<_>) = user.identifiers.iter().cloned().unzip();
    sqlx::query(INSERT_IDENTIFIERS).bind(user.id).bind(systems).bind(values).execute(tx.conn()).await?;
    Ok(())
}

/// The account of that id, also a disabled one.
pub async fn find(conn: &mut PgConnection, id: Uuid) -> Result<Option<User>> {
    let row: Option<Row> = sqlx::query_as(FIND).bind(id).fetch_optional(conn).await?;
    Ok(row.map(User::from))
}

/// The account of that name, also a disabled one.
pub async fn find_by_name(conn: &mut PgConnection, name: &str) -> Result<Option<User>> {
    let row: Option<Row> = sqlx::query_as(FIND_BY_NAME).bind(canonical_name(name)).fetch_optional(conn).await?;
    Ok(row.map(User::from))
}

/// The accounts of those organisations with that identifier, no more than two: whoever asks wants to know whether it is one.
pub async fn find_by_identifier(
    conn: &mut PgConnection,
    identifier: (&str, &str),
    tenants: &[i64],
) -> Result<Vec<User>> {
    let query = sqlx::query_as(FIND_BY_IDENTIFIER).bind(identifier.0).bind(identifier.1).bind(tenants);
    let rows: Vec<Row> = query.fetch_all(conn).await?;
    Ok(rows.into_iter().map(User::from).collect())
}

/// All accounts, by name.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<User>> {
    let rows: Vec<Row> = sqlx::query_as(LIST).fetch_all(conn).await?;
    Ok(rows.into_iter().map(User::from).collect())
}

/// Replaces the password's hash. `must_change`: the person has to choose another one at the next sign-in. `false` when there
/// is no such account.
pub async fn set_password(
    tx: &mut Tx,
    id: Uuid,
    password_hash: &str,
    must_change: bool,
    now: OffsetDateTime,
) -> Result<bool> {
    let query = sqlx::query(SET_PASSWORD).bind(id).bind(password_hash).bind(must_change).bind(now);
    Ok(query.execute(tx.conn()).await?.rows_affected() == 1)
}

/// Switches an account on or off. `false` when there is no such account.
pub async fn set_enabled(tx: &mut Tx, id: Uuid, enabled: bool, now: OffsetDateTime) -> Result<bool> {
    let done = sqlx::query(SET_ENABLED).bind(id).bind(enabled).bind(now).execute(tx.conn()).await?;
    Ok(done.rows_affected() == 1)
}

/// Switches an account off, signs its person out everywhere and ends all that was granted for them, so that nothing of it
/// comes back when it is switched on. `false` when there is no such account.
pub async fn disable(tx: &mut Tx, id: Uuid, now: OffsetDateTime) -> Result<bool> {
    let known = set_enabled(tx, id, false, now).await?;
    end_everything(tx, id, now).await?;
    Ok(known)
}

/// Signs a person out everywhere and ends all that was granted for them.
pub async fn end_everything(tx: &mut Tx, id: Uuid, now: OffsetDateTime) -> Result<()> {
    super::login::end_sessions_of(tx, id).await?;
    super::grant::revoke_by_user(tx, id, now).await?;
    Ok(())
}

/// Removes an account with its grants; the audit trail keeps its id. `false` when there is no such account.
pub async fn delete(tx: &mut Tx, id: Uuid) -> Result<bool> {
    super::grant::delete_by_user(tx, id).await?;
    Ok(sqlx::query(DELETE).bind(id).execute(tx.conn()).await?.rows_affected() == 1)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_spelling_whatever_is_typed() {
        for (typed, canonical) in [
            (" JULIE ", "julie"),
            ("Ｊｕｌｉｅ", "julie"),
            ("ΝΊΚΟΣ", "νίκοσ"),
            ("νίκος", "νίκοσ"),
            ("νίκοσ", "νίκοσ"),
            ("É", "é"),
            ("e\u{301}", "é"),
            ("", ""),
        ] {
            assert_eq!(canonical_name(typed), canonical, "{typed}");
            assert_eq!(canonical_name(&canonical_name(typed)), canonical, "{typed}: once is enough");
        }
    }

    #[test]
    fn letters_that_only_look_alike_stay_apart() {
        for (one, other) in [("kiriti", "k\u{130}riti"), ("kiriti", "kırıti"), ("a", "а")] {
            assert_ne!(canonical_name(one), canonical_name(other));
        }
    }
}
