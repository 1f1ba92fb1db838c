//! The database of a command: the configured one, or the embedded Postgres.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;

use crate::config::{self, Config, RowLevelSecurity};
use crate::embedded::Embedded;
use crate::store;

/// Name of the database in the embedded Postgres.
const DATABASE: &str = "sofa";

/// The oldest Postgres that will do, as it numbers itself.
const OLDEST: i32 = 140_000;

/// A migrated database.
pub(super) struct Opened {
    /// With the master key filled in.
    pub config: Config,
    pub pool: PgPool,
    /// Stops when this is dropped, if it was started here.
    pub embedded: Option<Embedded>,
}

/// How long a server waits for a command that runs the embedded Postgres at the moment.
const COMMAND_ENDS: Duration = Duration::from_secs(5);

/// For a command: a Postgres that a server runs will do.
pub(super) async fn open(config: Config) -> Result<Opened> {
    open_waiting(config, Duration::ZERO).await
}

/// For a server: it outlives a command, so it does not use the Postgres that ends with one.
pub(super) async fn open_for_server(config: Config) -> Result<Opened> {
    open_waiting(config, COMMAND_ENDS).await
}

/// Connects, starting the embedded Postgres if it is needed, and brings the schema up to date.
async fn open_waiting(mut config: Config, patience: Duration) -> Result<Opened> {
    let (options, embedded) = match &config.database.url {
        Some(url) => {
            // The parser's message could repeat the password.
            let options = url.expose().parse::<PgConnectOptions>();
            (options.map_err(|_| anyhow::anyhow!("database.url is not a Postgres URL"))?, None)
        }
        None => {
            let embedded =
                embedded(&config.embedded, patience).await.context("the embedded Postgres cannot be used")?;
            if config.security.master_key.is_none() {
                config.security.master_key = Some(embedded.master_key()?);
            }
            (embedded.ensure_database(DATABASE).await?, Some(embedded))
        }
    };
    migrate(&options, &config.database).await?;
    let limits = limits(&config.database);
    let pool = match config.database.row_level_security {
        RowLevelSecurity::Require => store::pool(options, &limits),
        RowLevelSecurity::Off => store::owner_pool(options, &limits),
    };
    Ok(Opened { config, pool, embedded })
}

async fn embedded(config: &config::Embedded, patience: Duration) -> Result<Embedded> {
    let begun = Instant::now();
    loop {
        let embedded = Embedded::start(config).await?;
        if embedded.ended().is_some() || begun.elapsed() >= patience {
            return Ok(embedded);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn limits(database: &config::Database) -> store::PoolLimits {
    store::PoolLimits {
        max_connections: database.max_connections,
        acquire_timeout: database.acquire_timeout,
        statement_timeout: database.statement_timeout,
    }
}

/// Without a limit on the time of a statement: a migration may be long, and another replica's longer.
async fn migrate(options: &PgConnectOptions, database: &config::Database) -> Result<()> {
    let unlimited = store::PoolLimits { max_connections: 1, statement_timeout: Duration::ZERO, ..limits(database) };
    let pool = store::owner_pool(options.clone(), &unlimited);
    let version = store::provision::version(&pool).await.context("the database cannot be reached")?;
    if version < OLDEST {
        bail!("the database is Postgres {}; 14 is the oldest that will do", version / 10_000);
    }
    store::migrate(&pool).await.context("the database schema cannot be brought up to date")?;
    if database.row_level_security == RowLevelSecurity::Require {
        store::wall::raise(&pool).await?;
    }
    pool.close().await;
    Ok(())
}
