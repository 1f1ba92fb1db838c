//! Stores rows of the audit trail, those of many requests in one statement.
//!
//! Nothing is timed: while one statement runs, the rows of other requests gather, and go with the next one. A request that
//! is alone waits for one insert, many at once share it. A row is stored or its request is told that it is not. When the
//! connection is lost at the commit, nobody knows which: then the rows are sent once more, and may stand there twice.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::sync::oneshot;

use super::strangers::Strangers;
use crate::{
    config::{self, OnFailure},
    store::{
        self,
        audit::{Entry, Row},
    },
};

/// Rows of one statement at most, beyond those of a single request.
const MOST_ROWS: usize = 256;

/// A row could not be stored, and without it the answer must not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit trail cannot be written at the moment")]
pub struct NotStored;

/// The way into the audit trail for all that has no transaction of its own. Cloning shares it.
#[derive(Clone)]
pub struct Recorder(Arc<Parts>);

struct Parts {
    pool: PgPool,
    config: config::Audit,
    queue: Mutex<Queue>,
    strangers: Strangers,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// Somebody stores what waits.
    is_attended: bool,
}

struct Waiting {
    rows: Vec<Row>,
    tell: oneshot::Sender<Result<(), NotStored>>,
}

impl Recorder {
    /// A recorder that writes through `pool`.
    pub fn new(pool: PgPool, config: config::Audit) -> Self {
        Self(Arc::new(Parts { pool, config, queue: Mutex::default(), strangers: Strangers::default() }))
    }

    /// Whether what succeeds without changing anything is recorded.
    pub fn records_reads(&self) -> bool {
        self.0.config.reads
    }

    /// Stores rows and returns when they are stored.
    ///
    /// # Errors
    /// When they are not, and `audit.on_failure` is `refuse`.
    pub async fn record(&self, rows: Vec<Row>) -> Result<(), NotStored> {
        if rows.is_empty() {
            return Ok(());
        }
        let (tell, told) = oneshot::channel();
        let attended = {
            let mut queue = self.queue();
            queue.waiting.push(Waiting { rows, tell });
            std::mem::replace(&mut queue.is_attended, true)
        };
        if !attended {
            // In a task of its own: the request that comes first may be given up half-way.
            tokio::spawn(Attendant { recorder: self.clone(), is_done: false }.work());
        }
        match (told.await.unwrap_or(Err(NotStored)), self.0.config.on_failure) {
            (Err(NotStored), OnFailure::Refuse) => Err(NotStored),
            (Ok(()), _) | (Err(NotStored), OnFailure::Allow) => Ok(()),
        }
    }

    /// Stores one row; a failure is in the log only, for what is refused anyway.
    pub async fn note(&self, entry: &Entry<'_>, now: OffsetDateTime) {
        let _is_logged = self.record(vec![Row::of(entry, now)]).await;
    }

    /// Notes the refusal of somebody who is not signed in: the first of its kind in a minute at once, others as a number.
    pub async fn refused_stranger(&self, entry: &Entry<'_>, now: OffsetDateTime) {
        if self.0.strangers.is_first(entry, now) {
            self.note(entry, now).await;
        }
    }

    /// Writes how many more strangers were refused, of what was counted for a minute (`all`: whatever was counted); gives the
    /// number of rows.
    ///
    /// # Errors
    /// When the database does not take them: then the numbers are lost, and the log says so.
    pub async fn write_counts(&self, now: OffsetDateTime, all: bool) -> Result<usize, NotStored> {
        let rows = self.0.strangers.take(now, all);
        let count = rows.len();
        self.record(rows).await.map(|()| count)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn store(&self, rows: &[Row]) -> store::Result<()> {
        let attempt = async || {
            let mut conn = self.0.pool.acquire().await?;
            store::audit::append_group(&mut conn, rows).await
        };
        match attempt().await {
            // A connection that died meanwhile shows itself only now.
            Err(error) if error.is_transient() => attempt().await,
            done => done,
        }
    }
}

/// Stores what waits until nothing does. If it ends otherwise, whoever waits is told, and the next row gets another one.
struct Attendant {
    recorder: Recorder,
    is_done: bool,
}

impl Attendant {
    async fn work(mut self) {
        while let Some(group) = self.next() {
            let rows: Vec<_> = group.iter().flat_map(|waiting| waiting.rows.iter().cloned()).collect();
            let stored = self.recorder.store(&rows).await;
            if let Err(error) = &stored {
                tracing::error!(%error, rows = rows.len(), "audit rows could not be stored");
            }
            // Of a single request that was given up nobody is left to be told.
            let told = stored.map_err(|_| NotStored);
            for waiting in group {
                let _is_awaited = waiting.tell.send(told).is_ok();
            }
        }
    }

    fn next(&mut self) -> Option<Vec<Waiting>> {
        let mut queue = self.recorder.queue();
        let (mut count, mut rows) = (0, 0);
        while let Some(waiting) =
            queue.waiting.get(count).filter(|one| count == 0 || rows + one.rows.len() <= MOST_ROWS)
        {
            rows += waiting.rows.len();
            count += 1;
        }
        if count == 0 {
            queue.is_attended = false;
            self.is_done = true;
            return None;
        }
        Some(queue.waiting.drain(..count).collect())
    }
}

impl Drop for Attendant {
    fn drop(&mut self) {
        if !self.is_done {
            let mut queue = self.recorder.queue();
            queue.waiting.clear();
            queue.is_attended = false;
        }
    }
}
