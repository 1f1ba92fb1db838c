//! The only SQL of this program: one file per table family, statements as constants, row structs, no policy.
//!
//! Reads take `&mut PgConnection`, writes `&mut Tx`; `now` is an argument. Resources are seen by [`read`] and
//! [`begin_behind`] only, which say behind which [`Wall`].

pub mod assertion;
pub mod attempt;
pub mod audit;
pub mod audit_seal;
pub mod client;
pub mod client_keys;
pub mod client_secret;
pub mod consent;
pub mod context;
pub mod event;
pub mod flow;
pub mod grant;
pub mod history;
pub mod idempotency;
pub mod initial_token;
pub mod intent;
pub mod key;
pub mod known_browser;
pub mod login;
pub mod presence;
pub mod provision;
pub mod resource;
pub mod search;
pub mod search_page;
pub mod second_factor;
pub mod subscription;
mod transaction;
pub mod upstream;
pub mod user;
pub mod wall;

use std::time::Duration;

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

pub use transaction::{Reader, Tx, begin, begin_behind, read};
pub use wall::Wall;

/// The database could not do what was asked. Internal: logged once, never sent to a client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What Postgres or the connection said.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The migrations could not be applied.
    #[error(transparent)]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// See [`wall::raise`].
    #[error(
        "row-level security would not hold: the database role {role} bypasses it ({reason}); connect as an ordinary role, \
         let {role} create roles, or set database.row_level_security to \"off\""
    )]
    NoWall {
        /// The connecting role.
        role: String,
        /// What stood against another one.
        reason: String,
    },
}

impl Error {
    /// Whether the statement broke a unique key: another transaction was first.
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error)) if error.is_unique_violation())
    }

    /// Whether Postgres ended the statement because it took too long.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error)) if error.code().as_deref() == Some("57014"))
    }

    /// Whether the database is away or overloaded rather than the statement wrong: worth a later try.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Database(
                sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Tls(_),
            ) => true,
            // 08: connection, 40: rollback (deadlock, serialization), 53: resources, 57: operator intervention.
            Self::Database(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class)))
            }
            _ => false,
        }
    }
}

/// The result of every store function.
pub type Result<T> = std::result::Result<T, Error>;

/// How many connections, and how long things may take.
pub struct PoolLimits {
    /// Connections at most.
    pub max_connections: u32,
    /// Longest wait for a connection.
    pub acquire_timeout: Duration,
    /// Longest run of one statement; Postgres itself ends it.
    pub statement_timeout: Duration,
}

impl From<&crate::config::Database> for PoolLimits {
    fn from(config: &crate::config::Database) -> Self {
        Self {
            max_connections: config.max_connections,
            acquire_timeout: config.acquire_timeout,
            statement_timeout: config.statement_timeout,
        }
    }
}

/// A pool on `options`, all of whose connections stand behind the wall (see [`wall`]). Connects lazily, so that a start
/// does not depend on the order of processes.
pub fn pool(options: PgConnectOptions, limits: &PoolLimits) -> PgPool {
    pool_options(limits)
        .after_connect(|conn, _| Box::pin(wall::enter(conn)))
        .connect_lazy_with(connect_options(options, limits))
}

/// A pool whose connections act as the role that connects: for the schema.
pub fn owner_pool(options: PgConnectOptions, limits: &PoolLimits) -> PgPool {
    pool_options(limits).connect_lazy_with(connect_options(options, limits))
}

fn pool_options(limits: &PoolLimits) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(limits.max_connections)
        .min_connections(1)
        .acquire_timeout(limits.acquire_timeout)
        // Costs a round trip per use; a connection that died shows itself as a transient error.
        .test_before_acquire(false)
        // sqlx 0.9's own limits need a task of the pool that can loop for ever: it counts up to a number of idle
        // connections that is read while it is momentarily below zero. The same limits are kept here instead.
        .max_lifetime(None)
        .idle_timeout(None)
        .before_acquire(|_, about| Box::pin(async move { Ok(about.age < LIFETIME && about.idle_for < IDLE) }))
}

/// A connection is used no longer than this: what the server keeps for it does not grow for ever.
const LIFETIME: Duration = Duration::from_secs(30 * 60);
/// A connection that was left alone for longer is not used again: something in between may have dropped it.
const IDLE: Duration = Duration::from_secs(10 * 60);

fn connect_options(options: PgConnectOptions, limits: &PoolLimits) -> PgConnectOptions {
    let statement_timeout = limits.statement_timeout.as_millis().to_string();
    options
        .options([
            ("statement_timeout", statement_timeout.as_str()),
            ("timezone", "UTC"),
            ("jit", "off"),
            ("work_mem", "16MB"),
        ])
        .application_name("sofa")
        .statement_cache_capacity(500)
}

/// The migrations, embedded: forward-only, applied under an advisory lock.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Brings the schema up to date, as the role that connects ([`owner_pool`]).
pub async fn migrate(pool: &PgPool) -> Result<()> {
    Ok(MIGRATIONS.run(pool).await?)
}

/// Whether the database answers.
pub async fn ping(pool: &PgPool) -> Result<()> {
    sqlx::query("select 1").execute(pool).await?;
    Ok(())
}
