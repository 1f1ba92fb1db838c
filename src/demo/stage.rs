//! Everything the demonstration needs, up and running: database, SoFA, PoC, sample app.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use axum::routing::get;
use axum::{Json, Router};
use reqwest::Method;
use serde_json::Value;
use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;

use super::Options;
use super::credentials::{Credentials, write_private};
use super::document::{Addresses, document};
use super::http::Http;
use super::poc::{Identity, Poc};
use super::poc_pages::{self, Pages};
use super::register::{self, Person};
use super::sample_app;
use super::token::{Asker, client_credentials};
use crate::app::App;
use crate::clock::{SharedClock, SystemClock};
use crate::config::{self, Config, Flag, Sources};
use crate::embedded::Embedded;
use crate::{server, store};

/// The demonstration's own database, beside that of `serve`.
const DATABASE: &str = "sofa_demo";

/// The running demonstration. Dropped, its Postgres stops.
pub struct Stage {
    /// The simulated PoC.
    pub poc: Arc<Poc>,
    /// For calls of others.
    pub http: Http,
    /// Where everything is.
    pub addresses: Addresses,
    /// Where `demo.json` was written.
    pub document_path: PathBuf,
    /// The database in words.
    pub database: String,
    clock: SharedClock,
    people: [Person; 2],
    shutdown: CancellationToken,
    servers: JoinSet<Result<()>>,
    workers: Vec<JoinHandle<()>>,
    pool: PgPool,
    // Last: Postgres stops after everything that uses it.
    embedded: Embedded,
}

impl Stage {
    /// Starts everything.
    pub async fn start(options: &Options, data_dir: Option<PathBuf>) -> Result<Self> {
        let clock: SharedClock = Arc::new(SystemClock);
        let embedded = Embedded::start(&config::Embedded { data_dir, bin_dir: None }).await?;
        let (folder, credentials) = own_folder(embedded.data_dir(), options.fresh).await?;
        let doors = Doors::open(options)?;
        let addresses = doors.addresses()?;
        let config = configuration(&addresses.issuer, embedded.master_key()?.expose().clone())?;
        let database = if options.fresh {
            embedded.recreate_database(DATABASE).await?
        } else {
            embedded.ensure_database(DATABASE).await?
        };
        let limits = (&config.database).into();
        let owner = store::owner_pool(database.clone(), &limits);
        store::migrate(&owner).await?;
        store::wall::raise(&owner).await?;
        owner.close().await;
        let pool = store::pool(database, &limits);
        register::register(&pool, &credentials, &addresses.app, clock.now()).await?;

        let http = Http::new(options.verbose)?;
        let identity = Identity {
            fhir: config.server.fhir_base(),
            client_id: register::POC.to_owned(),
            key: credentials.poc.clone(),
            own_url: addresses.poc.clone(),
            receiver_secret: credentials.receiver_secret.clone(),
        };
        let poc = Poc::new(identity, http.clone(), clock.clone());
        let document = Arc::new(document(&addresses, &credentials)?);
        let document_path = folder.join("demo.json");
        write_private(&document_path, &serde_json::to_string_pretty(&*document)?)?;
        let people = register::people(&credentials);
        let pages = Pages {
            poc: poc.clone(),
            app_launch: format!("{}/launch.html", addresses.app),
            app_client: register::sample_app_id(&addresses.app),
            document: document.clone(),
            user: (people[0].name.clone(), people[0].password.clone()),
        };
        let sample_app = sample_app::router(pages.app_client.clone(), &config.server.fhir_base());

        let server = config.server.clone();
        let built = App::build(config, pool.clone(), clock.clone()).await?;
        let shutdown = CancellationToken::new();
        let workers = built.start_workers(&shutdown);
        let mut servers = JoinSet::new();
        let sofa = built.router().merge(demo_json(document));
        for (router, door) in [(sofa, doors.sofa), (poc_pages::router(pages), doors.poc), (sample_app, doors.app)] {
            let (server, shutdown) = (server.clone(), shutdown.clone());
            servers.spawn(async move { server::serve_router(router, &server, door, shutdown).await });
        }
        seed(&http, &addresses.issuer, &credentials, &people, clock.now()).await?;
        let database = format!(
            "Postgres {}{}",
            embedded.version().unwrap_or("(already running)"),
            if embedded.initialised() { ", initialised" } else { "" }
        );
        let shared = Self {
            poc,
            http,
            addresses,
            document_path,
            database,
            clock,
            people,
            shutdown,
            servers,
            workers,
            pool,
            embedded,
        };
        Ok(shared)
    }

    /// The SoFA's FHIR base.
    pub fn fhir(&self) -> String {
        self.poc.identity().fhir.clone()
    }

    /// The public app for tools.
    pub const fn public_client(&self) -> &'static str {
        register::APPS[0].1
    }

    /// Dr Julie Jones, who is in the sample context.
    pub const fn clinician(&self) -> &Person {
        &self.people[0]
    }

    /// Dr Sam Roy, who is not.
    pub const fn other_clinician(&self) -> &Person {
        &self.people[1]
    }

    /// The time.
    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// Waits until one of the servers or the database ends, which none does by itself.
    pub async fn until_something_ends(&mut self) -> Result<()> {
        let database = self.embedded.ended();
        let database_ends = async {
            match database {
                Some(ended) => ended.cancelled().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = database_ends => bail!("the embedded Postgres ended; its log is in {}", self.embedded.data_dir().display()),
            Some(ended) = self.servers.join_next() => ended?.and_then(|()| bail!("a server ended")),
        }
    }

    /// The PoC subscribes; first it ends the Subscription of a run that was killed, which would be told of everything too.
    pub async fn subscribe(&self) -> Result<String> {
        let note = self.note();
        if let Ok(left) = std::fs::read_to_string(&note) {
            self.poc.unsubscribe(left.trim()).await?;
        }
        let subscription = self.poc.subscribe().await?;
        std::fs::write(&note, &subscription).with_context(|| format!("cannot write {}", note.display()))?;
        Ok(subscription)
    }

    /// The PoC clears what it has set and ends its Subscription.
    pub async fn leave(&self) -> Result<()> {
        self.poc.clear_all().await?;
        let note = self.note();
        if let Ok(subscription) = std::fs::read_to_string(&note) {
            self.poc.unsubscribe(subscription.trim()).await?;
            std::fs::remove_file(&note).with_context(|| format!("cannot remove {}", note.display()))?;
        }
        Ok(())
    }

    /// Where the id of the Subscription is kept while it exists.
    fn note(&self) -> PathBuf {
        self.document_path.with_file_name("subscription")
    }

    /// Ends everything in order.
    pub async fn stop(mut self) -> Result<()> {
        self.shutdown.cancel();
        while let Some(ended) = self.servers.join_next().await {
            ended??;
        }
        for worker in std::mem::take(&mut self.workers) {
            worker.await?;
        }
        self.pool.close().await;
        // Stopping Postgres blocks.
        spawn_blocking(move || drop(self)).await?;
        Ok(())
    }
}

/// The three listening sockets, on this machine only.
struct Doors {
    sofa: TcpListener,
    poc: TcpListener,
    app: TcpListener,
}

impl Doors {
    /// The SoFA on the port asked for, the others on the two after it; free ones where 0 is asked for or those are taken.
    fn open(options: &Options) -> Result<Self> {
        let wanted = listen(options.port);
        // Nobody needs to find a run without a person: any port will do.
        let sofa = if options.once { wanted.or_else(|_| listen(0)) } else { wanted };
        let sofa = sofa.with_context(|| {
            format!("cannot listen on port {}; --port <number> takes another, --port 0 any free one", options.port)
        })?;
        let beside = |offset: u16| match options.port.checked_add(offset) {
            Some(port) if options.port != 0 => listen(port).or_else(|_| listen(0)),
            _ => listen(0),
        };
        Ok(Self { sofa, poc: beside(1)?, app: beside(2)? })
    }

    /// By number, not as `localhost`: some tools try `::1` first and only that.
    fn addresses(&self) -> Result<Addresses> {
        let url = |door: &TcpListener| door.local_addr().map(|address| format!("http://{address}"));
        Ok(Addresses { issuer: url(&self.sofa)?, poc: url(&self.poc)?, app: url(&self.app)? })
    }
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// The demonstration's folder in the data folder, and the secrets kept in it.
async fn own_folder(data_dir: &Path, fresh: bool) -> Result<(PathBuf, Credentials)> {
    let folder = data_dir.join("demo");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let path = folder.join("credentials.json");
    if fresh {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let credentials = spawn_blocking(move || Credentials::load_or_make(&path)).await??;
    Ok((folder, credentials))
}

/// The defaults, and what a demonstration on one machine needs. No file and no environment: a deployment's settings must not
/// reach it.
fn configuration(issuer: &str, master_key: String) -> Result<Config> {
    let settings = [
        ("server.public_url", issuer.to_owned()),
        ("server.shutdown_grace", "1s".to_owned()),
        ("security.master_key", master_key),
        ("fhir.update_create", "shared".to_owned()),
        ("delivery.allow_http", "true".to_owned()),
        ("delivery.allow_private_addresses", "true".to_owned()),
    ];
    let flags = settings.map(|(key, value)| Flag { name: "demo", key, value }).into();
    Ok(config::load(Sources { flags, ..Sources::default() })?)
}

/// `/demo.json` on the SoFA's port too: whoever knows one port finds everything.
fn demo_json(document: Arc<Value>) -> Router {
    Router::new().route("/demo.json", get(async move || Json(document.as_ref().clone())))
}

/// Puts the clinicians into the shared data, as the jurisdiction's service does it: `fhirUser` of a sign-in without a launch
/// names them.
async fn seed(
    http: &Http,
    issuer: &str,
    credentials: &Credentials,
    people: &[Person],
    now: OffsetDateTime,
) -> Result<()> {
    let asker = Asker { client_id: register::SERVICE, key: &credentials.service, scope: "system/Practitioner.cruds" };
    let fhir = format!("{issuer}/fhir");
    let answer = client_credentials(http, &fhir, &asker, now).await?;
    let token = answer["access_token"].as_str().context("a token answer without access_token")?;
    for person in people {
        let url = format!("{fhir}/{}", person.fhir_user);
        let answer = http.write(Method::PUT, &url, token, &person.practitioner()).await?;
        if answer.status != 200 {
            answer.expect(201)?;
        }
    }
    Ok(())
}
