//! Seals rows of the trail, and walks along what is sealed.

use std::time::Duration;

use serde_json::Value;
use sqlx::PgPool;
use time::OffsetDateTime;

use super::chain::{self, BEGINNING, Claims, Hasher, Walk};
use crate::{
    secret::Sealer,
    store::{self, Tx, Wall, audit, audit_seal as seals, audit_seal::Seal},
    token::key_set::{self, KeySet},
};

/// Rows under one seal at most.
const MOST_ROWS: i64 = 5000;

/// Everybody's rows.
const EVERYTHING: Wall = Wall::Auditor { tenant: None };

/// Rows could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Keys(#[from] key_set::Error),
    #[error("a row cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Seals the rows that no other can come before any more; gives their number. Of many replicas that try at once, one does.
pub async fn seal(pool: &PgPool, keys: &KeySet, sealer: &Sealer, now: OffsetDateTime) -> Result<usize, Error> {
    let mut tx = store::begin_behind(pool, &EVERYTHING).await?;
    if !seals::lock(&mut tx).await? {
        return Ok(0);
    }
    let last = seals::last(tx.conn()).await?;
    let (mut number, mut after, mut digest) =
        last.map_or((0, 0, BEGINNING.to_vec()), |seal| (seal.number, seal.last_seq, seal.digest));
    let Some(up_to) = settled(&mut tx, after).await? else { return Ok(0) };
    let mut count = 0;
    loop {
        let rows = audit::between(tx.conn(), after, up_to, MOST_ROWS).await?;
        let Some(last_seq) = rows.last().map(|row| row.seq) else { break };
        let mut hasher = Hasher::after(&digest);
        for row in &rows {
            hasher.add(&chain::line(row)?);
        }
        let (next, rows) = hasher.finish();
        number += 1;
        let mut seal = Seal {
            number,
            first_seq: after + 1,
            last_seq,
            rows,
            previous: std::mem::replace(&mut digest, next.clone()),
            proof: sealer.seal(&chain::purpose(number), &next),
            digest: next,
            jws: String::new(),
            public_key: Value::Null,
            sealed_at: now,
        };
        (seal.jws, seal.public_key) = keys.sign_with_key(chain::TYPE, &Claims::of(&seal, keys.issuer())).await?;
        seals::insert(&mut tx, &seal).await?;
        after = last_seq;
        count += usize::try_from(rows).unwrap_or_default();
    }
    tx.commit().await?;
    Ok(count)
}

/// How often, and how long each time, transactions are waited for that are adding rows.
const LOOKS: usize = 40;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// The highest number up to which no row can come any more. Numbers are given in order, but not stored in order: whoever
/// was adding rows when that number was seen may have a lower one, so its end is waited for. `None`: not now.
async fn settled(tx: &mut Tx, after: i64) -> Result<Option<i64>, store::Error> {
    let highest = seals::highest(tx.conn()).await?;
    if highest <= after {
        return Ok(None);
    }
    let before = seals::writers(tx.conn()).await?;
    for _ in 0..LOOKS {
        let now = seals::writers(tx.conn()).await?;
        if !before.iter().any(|writer| now.contains(writer)) {
            return Ok(Some(highest));
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    Ok(None)
}

/// Part of the trail, in its order.
pub enum Part {
    Row(i64, String),
    Seal(Box<Seal>),
}

/// Tells rows and seals in their order, each row before its seal: those of all seals that hold a row of the time, and, up to
/// the end, the rows that are not sealed yet.
///
/// # Errors
/// What `tell` returns ends it.
pub async fn tell<E: From<Error>>(
    pool: &PgPool,
    (from, to): (Option<OffsetDateTime>, Option<OffsetDateTime>),
    mut tell: impl FnMut(Part) -> Result<(), E>,
) -> Result<(), E> {
    let stored = |error: store::Error| E::from(Error::from(error));
    let mut conn = store::read(pool, &EVERYTHING).await.map_err(stored)?;
    let Some((low, high)) = audit::numbers(&mut conn, from, to).await.map_err(stored)? else { return Ok(()) };
    let (mut number, mut next_seq) = (0, low);
    while let Some(seal) = seals::next(&mut conn, number, next_seq).await.map_err(stored)? {
        if seal.first_seq > high {
            return Ok(());
        }
        let rows = audit::between(&mut conn, seal.first_seq - 1, seal.last_seq, i64::MAX).await.map_err(stored)?;
        for row in rows {
            tell(Part::Row(row.seq, chain::line(&row).map_err(Error::from)?))?;
        }
        (number, next_seq) = (seal.number, seal.last_seq + 1);
        tell(Part::Seal(Box::new(seal)))?;
    }
    if number == 0 {
        next_seq = seals::last(&mut conn).await.map_err(stored)?.map_or(1, |seal| seal.last_seq + 1);
    }
    loop {
        let rows = audit::between(&mut conn, next_seq - 1, high, MOST_ROWS).await.map_err(stored)?;
        let Some(last) = rows.last() else { return Ok(()) };
        next_seq = last.seq + 1;
        for row in &rows {
            tell(Part::Row(row.seq, chain::line(row).map_err(Error::from)?))?;
        }
    }
}

/// Checks the whole trail of the database.
///
/// # Errors
/// When it cannot be read; what is wrong with it is in the [`Walk`].
pub async fn verify<'a>(
    pool: &PgPool,
    sealer: Option<&'a Sealer>,
    kids: Option<Vec<String>>,
) -> Result<Walk<'a>, Error> {
    let mut walk = Walk::begin(sealer, kids, true);
    // All seals, also when all their rows are gone.
    let stored = |error: store::Error| Error::from(error);
    let mut conn = store::read(pool, &EVERYTHING).await.map_err(stored)?;
    let (mut number, mut after) = (0, 0);
    while let Some(seal) = seals::next(&mut conn, number, i64::MIN).await? {
        // From where the last one ended: a row between two seals belongs to neither.
        for row in audit::between(&mut conn, after, seal.last_seq, i64::MAX).await? {
            walk.row(row.seq, chain::line(&row)?);
        }
        walk.seal(&seal);
        (number, after) = (seal.number, after.max(seal.last_seq));
    }
    loop {
        let rows = audit::between(&mut conn, after, i64::MAX, MOST_ROWS).await?;
        let Some(last) = rows.last() else { break };
        after = last.seq;
        for row in rows {
            walk.row(row.seq, String::new());
        }
    }
    Ok(walk)
}
