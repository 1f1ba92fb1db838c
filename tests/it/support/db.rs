//! A database of its own for every test, made in about 25 ms from a migrated template.
//!
//! All test processes of a checkout share one throw-away Postgres, in memory where the machine has some, found through a
//! file lock: the first test starts it, and three seconds after the last one is gone (killed ones too) it stops and
//! removes its data. `TEST_DATABASE_URL` names another Postgres to use instead.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use sofa::embedded::UNTIL_WE_END;
use sofa::embedded::cluster::{self, Cluster};
use sofa::store;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool};

/// Safe for data that nobody keeps, and much faster.
const THROW_AWAY: &[&str] = &[
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "autovacuum=off",
    "checkpoint_timeout=1h",
    "max_wal_size=4GB",
    "jit=off",
    "shared_buffers=128MB",
    "max_connections=400",
];

/// How long a test waits for a connection: long enough for a machine that does much else.
pub const PATIENCE_FOR_A_CONNECTION: Duration = Duration::from_secs(60);

/// The key of the advisory lock under which the template is made.
const TEMPLATE_LOCK: i64 = 0x736f_6661;

/// A migrated, empty database. Dropped in the background when the test has passed; kept and named when it has failed.
pub struct TestDb {
    /// For looking into the database: a few connections.
    pub pool: PgPool,
    /// For the server under test.
    pub options: PgConnectOptions,
    /// For a server in another process.
    pub url: String,
    name: String,
}

/// A database for one test.
pub async fn db() -> TestDb {
    let server = server().await;
    let template = template(server).await;
    let name = format!("t_{}", sofa::id::new_uuid().simple());
    let mut admin = server.options.connect().await.unwrap();
    let strategy = if server.throw_away && version(&mut admin).await >= 150_000 { "strategy file_copy" } else { "" };
    execute(&mut admin, format!("create database {name} template {template} {strategy}")).await;
    admin.close().await.unwrap();
    let options = server.options.clone().database(&name);
    let url = server.url(&name);
    // Looks over the wall.
    let pool = store::owner_pool(options.clone().options([("sofa.wall", "off")]), &limits());
    TestDb { pool, options, url, name }
}

fn limits() -> store::PoolLimits {
    store::PoolLimits {
        max_connections: 3,
        acquire_timeout: PATIENCE_FOR_A_CONNECTION,
        statement_timeout: Duration::from_secs(30),
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the test's database is kept until the test instance stops: {}", self.url);
            return;
        }
        static REAPER: OnceLock<mpsc::Sender<String>> = OnceLock::new();
        let reaper = REAPER.get_or_init(|| {
            let (sender, names) = mpsc::channel();
            std::thread::spawn(move || reap(&names));
            sender
        });
        let _process_is_ending = reaper.send(self.name.clone());
    }
}

/// Drops databases once their sessions are gone. Without `force`: that makes Postgres sleep and everybody wait.
fn reap(names: &mpsc::Receiver<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Some(server) = SERVER.get() else { return };
    let mut waiting: VecDeque<String> = VecDeque::new();
    loop {
        match names.recv_timeout(Duration::from_millis(200)) {
            Ok(name) => waiting.push_back(name),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        for _ in 0..waiting.len().min(4) {
            let Some(name) = waiting.pop_front() else { break };
            let dropped = runtime.block_on(async {
                let mut admin = server.options.connect().await.ok()?;
                let statement = format!("drop database if exists {name}");
                let done = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut admin).await.is_ok();
                let _closed = admin.close().await;
                done.then_some(())
            });
            if dropped.is_none() {
                waiting.push_back(name);
            }
        }
    }
}

/// The Postgres this process uses.
struct Server {
    options: PgConnectOptions,
    throw_away: bool,
    /// Everything of a URL but the database.
    base: String,
    query: String,
    /// Held as long as this process lives: the instance runs while anybody holds it.
    _users: Option<File>,
    /// Held as long as this process lives, on machines without flock(1).
    _pipe: Option<std::process::ChildStdin>,
}

static SERVER: OnceLock<Server> = OnceLock::new();

impl Server {
    fn url(&self, database: &str) -> String {
        format!("{}/{database}{}", self.base, self.query)
    }
}

async fn server() -> &'static Server {
    static STARTING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _one_at_a_time = STARTING.lock().await;
    if SERVER.get().is_none() {
        let server = match std::env::var("TEST_DATABASE_URL") {
            Ok(url) => given(&url),
            Err(_) if has_flock() => shared_instance().await,
            Err(_) => private_instance().await,
        };
        let _set = SERVER.set(server);
    }
    SERVER.get().unwrap()
}

fn given(url: &str) -> Server {
    let options: PgConnectOptions = url.parse().expect("TEST_DATABASE_URL is a Postgres URL");
    let (address, query) = url.split_once('?').map_or((url, String::new()), |(url, query)| (url, format!("?{query}")));
    let scheme_end = address.find("://").map_or(0, |at| at + 3);
    let base = address[scheme_end..].find('/').map_or(address, |at| &address[..scheme_end + at]).to_owned();
    Server { options, throw_away: false, base, query, _users: None, _pipe: None }
}

fn has_flock() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join("flock").is_file())
}

/// The instance of this checkout and user, started if it is not running.
async fn shared_instance() -> Server {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hash = DefaultHasher::new();
    env!("CARGO_MANIFEST_DIR").hash(&mut hash);
    let user = rustix::process::geteuid().as_raw();
    let folder = place().join(format!("sofa-test-{:016x}-{user}", hash.finish()));
    let cluster = Cluster::open(&folder, None).unwrap();
    let users = cluster.shared_file("users").unwrap();
    users.lock_shared().unwrap();
    let starting = cluster.shared_file("starting").unwrap();
    starting.lock().unwrap();
    if cluster.connect_options("postgres").connect().await.is_err() {
        start(&cluster, &until_unused(&folder, &cluster.data()), Stdio::null()).await;
    }
    drop(starting);
    server_of(&folder, Some(users), None)
}

/// An instance for this process alone.
async fn private_instance() -> Server {
    let folder = std::env::temp_dir().join(format!("sofa-test-{}", std::process::id()));
    let cluster = Cluster::open(&folder, None).unwrap();
    let script = format!("({UNTIL_WE_END})\nrm -rf '{}'", folder.display());
    let mut child = start(&cluster, &script, Stdio::piped()).await;
    server_of(&folder, None, child.stdin.take())
}

async fn start(cluster: &Cluster, script: &str, stdin: Stdio) -> std::process::Child {
    while cluster.running().unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    if cluster.data().exists() {
        std::fs::remove_dir_all(cluster.data()).unwrap();
    }
    cluster.initialise().unwrap();
    let child = cluster.spawn(script, THROW_AWAY, stdin).unwrap();
    cluster.wait_until_ready(|| false, Duration::from_secs(60)).await.unwrap();
    child
}

fn server_of(folder: &Path, users: Option<File>, pipe: Option<std::process::ChildStdin>) -> Server {
    let options = cluster::connect_options(folder, "postgres").unwrap();
    let socket = options.get_socket().unwrap().to_str().unwrap().to_owned();
    let host: String = url::form_urlencoded::byte_serialize(socket.as_bytes()).collect();
    let query = format!("?host={host}&user={}", options.get_username());
    Server { options, throw_away: true, base: "postgres://".to_owned(), query, _users: users, _pipe: pipe }
}

/// Memory where there is plenty, else the temporary folder. Never the repository: below /root the user that runs Postgres
/// could not reach it.
pub fn place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let free = rustix::fs::statvfs(memory).map_or(0, |fs| fs.f_bavail * fs.f_frsize);
    if free >= 2 << 30 { memory.to_owned() } else { std::env::temp_dir() }
}

/// Stops Postgres three seconds after nobody holds the lock any more, and removes its data. A process that comes while it
/// stops waits for the lock, and then starts a fresh one.
fn until_unused(folder: &Path, data: &Path) -> String {
    let (users, data) = (folder.join("users"), data.display());
    format!(
        r#""$@" </dev/null &
postgres=$!
while :; do
  flock '{users}' true
  sleep 3
  exec 9<'{users}'
  if flock -n 9; then break; fi
  exec 9<&-
done
kill -INT $postgres
wait $postgres
rm -rf '{data}'"#,
        users = users.display(),
    )
}

/// The name of the migrated template, made once per instance and set of migrations.
async fn template(server: &Server) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hash = DefaultHasher::new();
    for migration in store::MIGRATIONS.iter() {
        migration.checksum.hash(&mut hash);
    }
    let name = format!("template_{:016x}", hash.finish());
    static MADE: tokio::sync::Mutex<bool> = tokio::sync::Mutex::const_new(false);
    let mut made = MADE.lock().await;
    if *made {
        return name;
    }
    let mut admin = server.options.connect().await.unwrap();
    sqlx::query("select pg_advisory_lock($1)").bind(TEMPLATE_LOCK).execute(&mut admin).await.unwrap();
    let exists = "select exists (select from pg_database where datname = $1)";
    if !sqlx::query_scalar::<_, bool>(exists).bind(&name).fetch_one(&mut admin).await.unwrap() {
        let new = format!("{name}_new");
        execute(&mut admin, format!("drop database if exists {new}")).await;
        execute(&mut admin, format!("create database {new}")).await;
        let owner = store::owner_pool(server.options.clone().database(&new), &limits());
        store::migrate(&owner).await.unwrap();
        store::wall::raise(&owner).await.unwrap();
        owner.close().await;
        execute(&mut admin, format!("alter database {new} rename to {name}")).await;
    }
    sqlx::query("select pg_advisory_unlock($1)").bind(TEMPLATE_LOCK).execute(&mut admin).await.unwrap();
    admin.close().await.unwrap();
    *made = true;
    name
}

async fn version(admin: &mut PgConnection) -> i32 {
    sqlx::query_scalar("select current_setting('server_version_num')::int").fetch_one(admin).await.unwrap()
}

async fn execute(admin: &mut PgConnection, statement: String) {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(admin).await.unwrap();
}

#[tokio::test]
async fn a_test_gets_a_migrated_database_of_its_own() {
    let (left, right) = tokio::join!(db(), db());
    let count = "select count(*) from _sqlx_migrations";
    for db in [&left, &right] {
        let applied: i64 = sqlx::query_scalar(count).fetch_one(&db.pool).await.unwrap();
        assert_eq!(applied as usize, store::MIGRATIONS.iter().count());
    }
    let name: String = sqlx::query_scalar("select current_database()").fetch_one(&left.pool).await.unwrap();
    let through_url: PgConnectOptions = left.url.parse().unwrap();
    for options in [&left.options, &through_url] {
        let mut connection = options.connect().await.unwrap();
        let same: String = sqlx::query_scalar("select current_database()").fetch_one(&mut connection).await.unwrap();
        assert_eq!(name, same);
    }
    assert_ne!(left.url, right.url);
}
