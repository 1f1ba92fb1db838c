//! The server under measurement and the Postgres it stands on.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sofa::app::App;
use sofa::clock::SystemClock;
use sofa::config::Config;
use sofa::embedded::UNTIL_WE_END;
use sofa::embedded::cluster::Cluster;
use sofa::store;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::Asked;

/// What an operator would set for this amount of data; all else, durability above all, is Postgres's default.
const SETTINGS: &[&str] = &["jit=off", "max_wal_size=2GB", "checkpoint_timeout=15min", "effective_cache_size=4GB"];

/// Plans of slow statements, as they were carried out.
const EXPLAIN: &[&str] = &[
    "session_preload_libraries=auto_explain",
    "auto_explain.log_analyze=on",
    "auto_explain.log_timing=off",
    "auto_explain.log_buffers=on",
];

/// The server: shared data may be written under ids that the client chose, so that references are known beforehand.
const CONFIG: &str =
    "[fhir]\nupdate_create = \"shared\"\n[database]\nmax_connections = 20\n[limits]\nfhir_per_address = 0\n";

/// A running server on a database for one size. Dropped, all of it ends.
pub struct Stage {
    pub url: String,
    /// A second process of the same server, which does not record reads; where they are compared.
    pub unrecorded: Option<String>,
    /// Sees everything, as the operator does.
    pub owner: PgPool,
    size: u64,
    running: CancellationToken,
    postgres: Child,
    temporary: Option<PathBuf>,
}

impl Stage {
    /// Starts everything: in the folder to keep, or in a new one that is removed at the end.
    pub async fn open(asked: &Asked, size: u64) -> Result<Self> {
        sofa::server::install_crypto();
        let own = || std::env::temp_dir().join(format!("sofa-bench-{}", std::process::id()));
        let temporary = asked.keep.is_none().then(own);
        let folder = asked.keep.clone().or_else(|| temporary.clone()).context("a folder")?;
        let cluster = Cluster::open(&folder, None)?;
        cluster.initialise()?;
        let mut settings = vec![format!("shared_buffers={}", asked.shared_buffers)];
        if let Some(slow) = asked.explain {
            settings.extend(EXPLAIN.iter().map(|setting| (*setting).to_owned()));
            settings.push(format!("auto_explain.log_min_duration={slow}"));
        }
        let settings: Vec<&str> = SETTINGS.iter().copied().chain(settings.iter().map(String::as_str)).collect();
        let mut postgres = cluster.spawn(UNTIL_WE_END, &settings, Stdio::piped())?;
        if let Err(error) = cluster.wait_until_ready(|| false, Duration::from_secs(120)).await {
            postgres.stdin = None;
            return Err(error);
        }
        let name = format!("bench_{}_{size}", asked.seed);
        let admin = store::owner_pool(cluster.connect_options("postgres"), &limits());
        store::provision::ensure(&mut *admin.acquire().await?, &name).await?;
        admin.close().await;
        let owner = store::owner_pool(cluster.connect_options(&name), &limits());
        store::migrate(&owner).await?;
        store::wall::raise(&owner).await?;
        let running = CancellationToken::new();
        let pool = || store::pool(cluster.connect_options(&name), &limits());
        let url = serve(pool(), &running, None).await?;
        let unrecorded = if asked.audit { Some(serve(pool(), &running, Some(&url)).await?) } else { None };
        Ok(Self { url, unrecorded, owner, size, running, postgres, temporary })
    }

    /// Whether an earlier run has filled the database.
    pub async fn is_filled(&self) -> Result<bool> {
        let stored: i64 = sqlx::query_scalar("select count(*) from resource").fetch_one(&self.owner).await?;
        Ok(stored as u64 >= self.size)
    }

    /// Tells Postgres what it holds, as autovacuum would in time.
    pub async fn analyse(&self) -> Result<()> {
        let begun = Instant::now();
        let mut connection = self.owner.acquire().await?;
        sqlx::query("set statement_timeout = 0").execute(&mut *connection).await?;
        sqlx::query("vacuum analyze").execute(&mut *connection).await?;
        sqlx::query("checkpoint").execute(&mut *connection).await?;
        // Not to be given back with its limit gone.
        connection.detach();
        println!("vacuum analyze and checkpoint: {:.1} s", begun.elapsed().as_secs_f64());
        Ok(())
    }

    /// Prints what the figures are about.
    pub async fn describe(&self) -> Result<()> {
        let sql = "select current_setting('server_version') || ', shared_buffers ' || current_setting('shared_buffers')
            || ', fsync ' || current_setting('fsync') || ', synchronous_commit ' || current_setting('synchronous_commit')
            || '; database ' || pg_size_pretty(pg_database_size(current_database()))
            || ', ' || (select count(*) from resource) || ' resources'
            || ', ' || (select count(*) from search_token) || ' tokens'";
        let about: String = sqlx::query_scalar(sql).fetch_one(&self.owner).await?;
        let sizes = "select string_agg(name || ' ' || pg_size_pretty(size), ', ' order by size desc) from (
            select relname as name, pg_total_relation_size(oid) as size from pg_class
            where relkind = 'r' and relnamespace = 'public'::regnamespace) as t where size > 1 << 20";
        let sizes: Option<String> = sqlx::query_scalar(sizes).fetch_one(&self.owner).await?;
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        println!("Postgres {about}; {cores} cores");
        println!("tables with their indexes: {}", sizes.unwrap_or_default());
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.running.cancel();
        self.postgres.stdin = None;
        let _ended = self.postgres.wait();
        if let Some(folder) = &self.temporary {
            let _removed = std::fs::remove_dir_all(folder);
        }
    }
}

fn limits() -> store::PoolLimits {
    store::PoolLimits {
        max_connections: 20,
        acquire_timeout: Duration::from_secs(30),
        statement_timeout: Duration::from_secs(60),
    }
}

/// Serves on a free port; its address. `beside`: as another process of that server, which does not record reads.
async fn serve(pool: PgPool, running: &CancellationToken, beside: Option<&str>) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let mut config = Config::for_tests(CONFIG);
    beside.unwrap_or(&url).clone_into(&mut config.server.public_url);
    config.audit.reads = beside.is_none();
    let settings = config.server.clone();
    let app = App::build(config, pool, Arc::new(SystemClock)).await?;
    app.start_workers(running);
    let (router, shutdown) = (app.router(), running.clone());
    tokio::spawn(async move { sofa::server::serve_router(router, &settings, listener, shutdown).await });
    Ok(url)
}
