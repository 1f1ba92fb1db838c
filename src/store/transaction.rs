//! Transactions: each says at its begin, in the same round trip, for whom it acts ([`Wall`]).
//!
//! What is said holds until the transaction ends. A connection that goes back to the pool carries nothing of it, and one
//! that is taken from the pool directly sees no resource at all.

use std::ops::{Deref, DerefMut};

use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, SqlSafeStr, SqlStr, Transaction};

use super::{Result, wall::Wall};

/// A begun transaction. Dropped without [`Tx::commit`], it is rolled back.
pub struct Tx(Transaction<'static, Postgres>);

impl Tx {
    /// The connection, for statements of this transaction.
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.0
    }

    /// Makes everything of this transaction durable.
    pub async fn commit(self) -> Result<()> {
        Ok(self.0.commit().await?)
    }
}

/// A connection that shows what one caller may see, and writes nothing. Its statements are one transaction.
pub struct Reader(Transaction<'static, Postgres>);

impl Deref for Reader {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0
    }
}

impl DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}

/// Begins a transaction on tables that stand behind no wall: it sees no resource.
pub async fn begin(pool: &PgPool) -> Result<Tx> {
    Ok(Tx(transaction(pool, "begin".into_sql_str()).await?))
}

/// Begins a transaction that sees and writes resources behind `wall`.
pub async fn begin_behind(pool: &PgPool, wall: &Wall) -> Result<Tx> {
    Ok(Tx(transaction(pool, statement("begin", wall)).await?))
}

/// A connection to read resources behind `wall`.
pub async fn read(pool: &PgPool, wall: &Wall) -> Result<Reader> {
    Ok(Reader(transaction(pool, statement("begin read only", wall)).await?))
}

fn statement(begin: &str, wall: &Wall) -> SqlStr {
    AssertSqlSafe(format!("{begin}; {}", wall.statements())).into_sql_str()
}

/// Begun in a task of its own: one that its request gave up half-way would go back to the pool as an open transaction.
async fn transaction(pool: &PgPool, statement: SqlStr) -> Result<Transaction<'static, Postgres>> {
    let pool = pool.clone();
    let begun = tokio::spawn(async move { pool.begin_with(statement).await }).await;
    Ok(begun.map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))??)
}
