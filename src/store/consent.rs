//! What people have agreed to, per client, and what they have declined.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Result, Tx};

const FIND: &str = "select scope, refused from consent where user_id = $1 and client_id = $2";
const PUT: &str = "insert into consent (user_id, client_id, scope, refused, given_at, changed_at)
  values ($1, $2, $3, $4, $5, $5)
  on conflict (user_id, client_id) do update set scope = $3, refused = $4, changed_at = $5";
const OF_USER: &str =
    "select s.client_id, c.name as client_name, c.source as client_source, c.redirect_uris, s.scope, s.refused
  from consent s join client c on c.client_id = s.client_id where s.user_id = $1 order by s.client_id limit 500";
const DELETE: &str = "delete from consent where user_id = $1 and client_id = $2";

/// A person's answer to a client.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Consent {
    /// Agreed to, space-separated.
    pub scope: String,
    /// Declined, space-separated.
    pub refused: String,
}

/// A person's answer, with the client it was given to.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Answered {
    pub client_id: String,
    pub client_name: String,
    /// How it was registered, as a word of [`super::client::Source`].
    pub client_source: String,
    pub redirect_uris: Vec<String>,
    /// Agreed to, space-separated.
    pub scope: String,
    /// Declined, space-separated.
    pub refused: String,
}

/// What the person has answered before.
pub async fn find(conn: &mut PgConnection, user: Uuid, client: &str) -> Result<Option<Consent>> {
    Ok(sqlx::query_as(FIND).bind(user).bind(client).fetch_optional(conn).await?)
}

/// All answers of a person.
pub async fn of_user(conn: &mut PgConnection, user: Uuid) -> Result<Vec<Answered>> {
    Ok(sqlx::query_as(OF_USER).bind(user).fetch_all(conn).await?)
}

/// Keeps the person's answer in place of the one before.
pub async fn put(tx: &mut Tx, user: Uuid, client: &str, consent: &Consent, now: OffsetDateTime) -> Result<()> {
    let query = sqlx::query(PUT).bind(user).bind(client).bind(&consent.scope).bind(&consent.refused).bind(now);
    query.execute(tx.conn()).await?;
    Ok(())
}

/// Forgets the answer: the person will be asked again. `false` when there was none.
pub async fn delete(tx: &mut Tx, user: Uuid, client: &str) -> Result<bool> {
    Ok(sqlx::query(DELETE).bind(user).bind(client).execute(tx.conn()).await?.rows_affected() == 1)
}

const HOLD: &str = "select 1 from consent where user_id = $1 and client_id = $2 for share";
const ENSURE: &str = "insert into consent (user_id, client_id, scope, refused, given_at, changed_at)
  values ($1, $2, '', '', $3, $3) on conflict do nothing";
const LOCK: &str = "select scope, refused from consent where user_id = $1 and client_id = $2 for update";

/// Keeps an answer, if there is one, as it is until this transaction ends.
pub async fn hold(tx: &mut Tx, user: Uuid, client: &str) -> Result<()> {
    sqlx::query(HOLD).bind(user).bind(client).execute(tx.conn()).await?;
    Ok(())
}

/// The answer, an empty one where there was none, for this transaction alone to change.
pub async fn lock(tx: &mut Tx, user: Uuid, client: &str, now: OffsetDateTime) -> Result<Consent> {
    sqlx::query(ENSURE).bind(user).bind(client).bind(now).execute(tx.conn()).await?;
    Ok(sqlx::query_as(LOCK).bind(user).bind(client).fetch_one(tx.conn()).await?)
}
