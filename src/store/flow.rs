//! Forms that wait for a person: each row is one form, in the browser it was shown to, on the way to one code.

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Result, Tx};

const INSERT: &str =
    "insert into login_request (digest, browser_digest, step, parameters, user_id, session_digest, choice, expires_at)
  values ($1, $2, $3, $4, $5, $6, $7, $8)";
const FIND: &str = "select parameters, user_id, session_digest, choice from login_request
  where digest = $1 and browser_digest = $2 and step = $3 and expires_at > $4";
// Of two posts of one form, the second no longer finds the step.
const MOVE: &str = "update login_request set step = $3, user_id = $4, session_digest = $5, choice = $6
  where digest = $1 and step = $2";
const TURN_OVER: &str =
    "update login_request set digest = $3, step = $4, user_id = $5, session_digest = $6, choice = $7
  where digest = $1 and step = $2";
const END: &str = "delete from login_request where digest = $1 and step = $2";
const SWEEP: &str = "delete from login_request where expires_at < $1";

/// The page that a form stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// None yet: an authorization request that was posted from another site.
    Authorize,
    /// Name and password.
    SignIn,
    /// The one-time password, after the right name and password.
    SecondFactor,
    /// Setting up the second factor.
    Enrol,
    /// Choosing another password.
    Password,
    /// "Continue as …?"
    Continue,
    /// Which patient, which encounter.
    Choose,
    /// What the client may do.
    Consent,
    /// What all clients may do: the page of granted access.
    Manage,
    /// "Sign out?"
    Logout,
}

impl Step {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Authorize => "authorize",
            Self::SignIn => "sign-in",
            Self::SecondFactor => "second-factor",
            Self::Enrol => "enrol",
            Self::Password => "password",
            Self::Continue => "continue",
            Self::Choose => "choose",
            Self::Consent => "consent",
            Self::Manage => "manage",
            Self::Logout => "logout",
        }
    }
}

/// Which form, by what both its browser and the form hold.
#[derive(Clone, Copy, Debug)]
pub struct Form<'a> {
    /// SHA-256 of the token in the form.
    pub digest: &'a [u8],
    /// SHA-256 of the browser's cookie.
    pub browser_digest: &'a [u8],
}

/// What changes from page to page.
#[derive(Clone, Copy, Debug)]
pub struct Stage<'a> {
    pub step: Step,
    /// Who has signed in, and the digest of the session cookie.
    pub signed_in: Option<(Uuid, &'a [u8])>,
    /// What the person has said so far.
    pub choice: &'a Value,
}

/// A form that came back.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Waiting {
    /// What it is for.
    pub parameters: Value,
    pub user_id: Option<Uuid>,
    pub session_digest: Option<Vec<u8>>,
    pub choice: Value,
}

/// Keeps a form until it comes back from the same browser.
pub async fn insert(
    tx: &mut Tx,
    form: Form<'_>,
    stage: Stage<'_>,
    parameters: &Value,
    expires_at: OffsetDateTime,
) -> Result<()> {
    let (user, session) = stage.signed_in.unzip();
    sqlx::query(INSERT)
        .bind(form.digest)
        .bind(form.browser_digest)
        .bind(stage.step.as_str())
        .bind(parameters)
        .bind(user)
        .bind(session)
        .bind(stage.choice)
        .bind(expires_at)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The form that this browser was shown, when it stands on this page.
pub async fn find(conn: &mut PgConnection, form: Form<'_>, step: Step, now: OffsetDateTime) -> Result<Option<Waiting>> {
    let query = sqlx::query_as(FIND).bind(form.digest).bind(form.browser_digest).bind(step.as_str()).bind(now);
    Ok(query.fetch_optional(conn).await?)
}

/// Takes a form on to a step for which no page is shown. `false` when it was not on the page `from` any more.
pub async fn move_on(tx: &mut Tx, digest: &[u8], from: Step, stage: Stage<'_>) -> Result<bool> {
    let (user, session) = stage.signed_in.unzip();
    let done = sqlx::query(MOVE)
        .bind(digest)
        .bind(from.as_str())
        .bind(stage.step.as_str())
        .bind(user)
        .bind(session)
        .bind(stage.choice)
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes a form on to its next page, under the token of that page: the page before is worth nothing from now on. `false`
/// when it was not on the page `from` any more.
pub async fn turn_over(tx: &mut Tx, digest: &[u8], from: Step, next_digest: &[u8], stage: Stage<'_>) -> Result<bool> {
    let (user, session) = stage.signed_in.unzip();
    let done = sqlx::query(TURN_OVER)
        .bind(digest)
        .bind(from.as_str())
        .bind(next_digest)
        .bind(stage.step.as_str())
        .bind(user)
        .bind(session)
        .bind(stage.choice)
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Uses a form up. `false` when it already was, or stands on another page.
pub async fn end(tx: &mut Tx, digest: &[u8], step: Step) -> Result<bool> {
    Ok(sqlx::query(END).bind(digest).bind(step.as_str()).execute(tx.conn()).await?.rows_affected() == 1)
}

/// Removes what nobody came back for.
pub async fn sweep(tx: &mut Tx, now: OffsetDateTime) -> Result<()> {
    sqlx::query(SWEEP).bind(now).execute(tx.conn()).await?;
    Ok(())
}

const KEEP_THE_NEWEST: &str = "delete from login_request where browser_digest = $1 and digest in (select digest
  from login_request where browser_digest = $1 order by created desc offset $2)";
/// So many forms of one browser are kept at most.
const MOST_OF_A_BROWSER: i64 = 20;

/// Removes the oldest forms of a browser that has too many.
pub async fn keep_the_newest(tx: &mut Tx, browser_digest: &[u8]) -> Result<()> {
    sqlx::query(KEEP_THE_NEWEST).bind(browser_digest).bind(MOST_OF_A_BROWSER).execute(tx.conn()).await?;
    Ok(())
}
