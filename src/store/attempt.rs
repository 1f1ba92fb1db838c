//! Failed sign-ins, counted by account, address and browser. How long one waits for them is the caller's to say.

use time::OffsetDateTime;

use super::{Result, Tx};

// In one order everywhere, so that two attempts never wait for each other.
const ENSURE: &str = "insert into login_throttle (kind, subject, failures, forgotten_until, open_at)
  select s.kind, s.subject, 0, $3, to_timestamp(0) from unnest($1::text[], $2::bytea[]) as s (kind, subject)
  order by s.kind, s.subject on conflict do nothing";
const LOCK: &str = "select kind, subject, failures, forgotten_until, open_at from login_throttle
  where (kind, subject) in (select * from unnest($1::text[], $2::bytea[])) order by kind, subject for update";
const SAVE: &str = "update login_throttle set failures = $3, forgotten_until = $4, open_at = $5
  where kind = $1 and subject = $2";
const FORGET: &str = "delete from login_throttle where kind = $1 and subject = $2";
// What another attempt has closed meanwhile stays closed.
const TAKE_BACK: &str = "update login_throttle set failures = greatest(failures - 1, 0),
    open_at = case when open_at = $3 then to_timestamp(0) else open_at end where kind = $1 and subject = $2";
const SWEEP: &str = "delete from login_throttle where open_at < $1::timestamptz - interval '1 day'
  and forgotten_until < $1::timestamptz - interval '1 day'";

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An account, tried from browsers that it does not know.
    Account,
    /// A network address.
    Address,
    /// An account, tried from a browser that it knows.
    Browser,
    /// An account, tried from one address.
    Pair,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Address => "address",
            Self::Browser => "browser",
            Self::Pair => "pair",
        }
    }
}

/// Something that is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub kind: Kind,
    /// SHA-256 of what it is.
    pub digest: Vec<u8>,
}

/// What is remembered of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub failures: u32,
    /// Up to when failures have been forgotten.
    pub forgotten_until: OffsetDateTime,
    /// Before this nobody may try.
    pub open_at: OffsetDateTime,
}

/// The counts of `subjects`, in their order, held until the transaction ends; those never counted begin at nothing.
pub async fn lock(tx: &mut Tx, subjects: &[Subject], now: OffsetDateTime) -> Result<Vec<Count>> {
    let kinds: Vec<_> = subjects.iter().map(|subject| subject.kind.as_str()).collect();
    let digests: Vec<_> = subjects.iter().map(|subject| subject.digest.as_slice()).collect();
    sqlx::query(ENSURE).bind(&kinds).bind(&digests).bind(now).execute(tx.conn()).await?;
    type Row = (String, Vec<u8>, i32, OffsetDateTime, OffsetDateTime);
    let rows: Vec<Row> = sqlx::query_as(LOCK).bind(&kinds).bind(&digests).fetch_all(tx.conn()).await?;
    let of = |subject: &Subject| {
        let row = rows.iter().find(|row| row.0 == subject.kind.as_str() && row.1 == subject.digest);
        let nothing = Count { failures: 0, forgotten_until: now, open_at: OffsetDateTime::UNIX_EPOCH };
        row.map_or(nothing, |row| Count { failures: row.2.unsigned_abs(), forgotten_until: row.3, open_at: row.4 })
    };
    Ok(subjects.iter().map(of).collect())
}

/// Remembers a count.
pub async fn save(tx: &mut Tx, subject: &Subject, count: &Count) -> Result<()> {
    sqlx::query(SAVE)
        .bind(subject.kind.as_str())
        .bind(&subject.digest)
        .bind(i32::try_from(count.failures).unwrap_or(i32::MAX))
        .bind(count.forgotten_until)
        .bind(count.open_at)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Counts from nothing again.
pub async fn forget(tx: &mut Tx, subject: &Subject) -> Result<()> {
    sqlx::query(FORGET).bind(subject.kind.as_str()).bind(&subject.digest).execute(tx.conn()).await?;
    Ok(())
}

/// Takes one failure back, and what it alone has closed (until `closed_until`).
pub async fn take_back(tx: &mut Tx, subject: &Subject, closed_until: OffsetDateTime) -> Result<()> {
    let query = sqlx::query(TAKE_BACK).bind(subject.kind.as_str()).bind(&subject.digest);
    query.bind(closed_until).execute(tx.conn()).await?;
    Ok(())
}

/// Removes what was last counted a day ago.
pub async fn sweep(tx: &mut Tx, now: OffsetDateTime) -> Result<()> {
    sqlx::query(SWEEP).bind(now).execute(tx.conn()).await?;
    Ok(())
}
