//! Which processes are alive: each holds a session lock in Postgres for as long as its connection lives.
//!
//! A lease alone tells only after its time that its holder died. The lock is gone with the holder's connection, so a
//! restarted server finishes at once what the killed one left. Losing the connection while the process lives is
//! harmless: whoever takes over delivers the same numbers and content, and the lease's epoch keeps the former holder
//! from applying anything.

use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};
use uuid::Uuid;

use super::Result;

/// Tells these locks from others of this database: "sofa" as a number.
const CLASS: i32 = 0x736f_6661;

const HOLD: &str = "select pg_advisory_lock($1, ('x' || right(replace($2::text, '-', ''), 8))::bit(32)::int)";

/// The sign of life of one process; it ends when this is dropped.
pub struct Presence(PgConnection);

impl Presence {
    /// Announces `process` on a connection of its own (not through a transaction-pooling proxy).
    pub async fn announce(pool: &PgPool, process: Uuid) -> Result<Self> {
        let mut conn = pool.connect_options().connect().await?;
        sqlx::query(HOLD).bind(CLASS).bind(process).execute(&mut conn).await?;
        Ok(Self(conn))
    }

    /// Fails when the connection is gone, and the lock with it.
    pub async fn check(&mut self) -> Result<()> {
        Ok(self.0.ping().await?)
    }
}
