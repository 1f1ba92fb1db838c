//! A real server on a free port, in this process.

use std::net::TcpListener;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use sofa::access::Walls;
use sofa::app::App;
use sofa::clock::{Clock, ManualClock, SharedClock, SystemClock};
use sofa::config::Config;
use sofa::interaction::Engine;
use sofa::store;
use tokio_util::sync::CancellationToken;

use super::db::{PATIENCE_FOR_A_CONNECTION, TestDb, db};
use super::planted::plant;
use super::world::World;

/// What a test may choose before the start.
#[derive(Default)]
pub struct Options<'a> {
    /// TOML laid over the defaults.
    pub config: &'a str,
    /// A clock that stands still until the test moves it.
    pub manual_clock: bool,
    /// Without background loops: what they do is not part of the test, or done by hand.
    pub without_workers: bool,
    /// Which walls stand.
    pub walls: Walls,
}

/// A running server; stops when dropped.
pub struct TestServer {
    pub world: World,
    /// For background work done by hand.
    pub engine: Engine,
    manual: Option<Arc<ManualClock>>,
    running: CancellationToken,
}

impl Deref for TestServer {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl TestServer {
    /// A server with the defaults of `Config::for_tests`.
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    /// A server with TOML laid over them.
    pub async fn configured(config: &str) -> Self {
        Self::with(Options { config, ..Options::default() }).await
    }

    /// A server as chosen.
    pub async fn with(options: Options<'_>) -> Self {
        sofa::server::install_crypto();
        let db = db().await;
        plant(&db).await;
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let manual = options.manual_clock.then(|| Arc::new(ManualClock::at(SystemClock.now())));
        let clock: SharedClock = match manual.clone() {
            Some(clock) => clock,
            None => Arc::new(SystemClock),
        };
        let running = CancellationToken::new();
        let engine = run(&options, &url, listener, &db, clock.clone(), &running).await;
        Self { world: World::new(url, db, clock), engine, manual, running }
    }

    /// A further replica on the same database, with an address of its own but the same public one. Returns its FHIR
    /// base; it stops with this server.
    pub async fn replica(&self, config: &str) -> String {
        self.replica_engine(config).await.0
    }

    /// The same, with its engine.
    pub async fn replica_engine(&self, config: &str) -> (String, Engine) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let own = format!("http://{}/fhir", listener.local_addr().expect("an address"));
        let options = Options { config, ..Options::default() };
        let engine = run(&options, &self.url, listener, &self.db, Arc::new(SystemClock), &self.running).await;
        (own, engine)
    }

    /// Another server on the same database, so with the same keys, but with an issuer and a FHIR base of its own. Returns
    /// that base; it stops with this server.
    pub async fn neighbour(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let options = Options { without_workers: true, ..Options::default() };
        run(&options, &url, listener, &self.db, Arc::new(SystemClock), &self.running).await;
        format!("{url}/fhir")
    }

    /// Moves the manual clock forward.
    pub fn advance(&self, by: Duration) {
        self.manual.as_ref().expect("Options::manual_clock").advance(by);
    }
}

/// Builds the program for `url` and serves it on `listener`.
async fn run(
    options: &Options<'_>,
    url: &str,
    listener: TcpListener,
    db: &TestDb,
    clock: SharedClock,
    running: &CancellationToken,
) -> Engine {
    let mut config = Config::for_tests(options.config);
    url.clone_into(&mut config.server.public_url);
    let settings = config.server.clone();
    let limits = store::PoolLimits {
        max_connections: config.database.max_connections,
        // On a machine under load a connection takes its time; a test that is about the limit names it.
        acquire_timeout: match options.config.contains("acquire_timeout") {
            true => config.database.acquire_timeout,
            false => PATIENCE_FOR_A_CONNECTION,
        },
        statement_timeout: config.database.statement_timeout,
    };
    let pool = store::pool(db.options.clone(), &limits);
    let mut app = App::build(config, pool, clock).await.expect("the application");
    app.walls = options.walls;
    if !options.without_workers {
        app.start_workers(running);
    }
    let (router, shutdown) = (app.router(), running.clone());
    tokio::spawn(async move { sofa::server::serve_router(router, &settings, listener, shutdown).await });
    app.engine
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.running.cancel();
    }
}
