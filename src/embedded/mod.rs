//! The embedded Postgres: a real one, private to this server, for trying out and for small installations.
//!
//! It lives in the data folder, listens on a unix socket only, keeps what it stores (fsync is on) and ends with the server,
//! also when the server is killed: its parent is a shell that reads a pipe of ours, and stops it when the pipe closes.
//! A second process with the same data folder (a command given while the server runs) uses the one that is there.
//!
//! | Part | File |
//! |---|---|
//! | the user it runs as | `account` |
//! | finding the programs, or installing them | `binaries`, `install` |
//! | one data folder and its process | `cluster` |

mod account;
mod binaries;
pub mod cluster;
mod install;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio_util::sync::CancellationToken;

use self::account::Account;
use self::cluster::Cluster;
use crate::config;
use crate::secret::Secret;
use crate::store;

/// Ends Postgres (fast shutdown) when our end of the pipe closes, and itself when Postgres ends.
pub const UNTIL_WE_END: &str = r#"exec 3<&0
"$@" </dev/null 3<&- &
postgres=$!
(read -r _ <&3; kill -INT $postgres) &
watch=$!
exec 3<&-
wait $postgres
code=$?
kill $watch 2>/dev/null
exit $code"#;

/// `shared_buffers` is kept small: this runs beside the server on the machine of somebody trying it out. Statements of failed
/// calls are kept out of the log: they can hold health data.
const SETTINGS: &[&str] = &[
    "shared_buffers=64MB",
    "jit=off",
    "log_min_error_statement=panic",
    "log_error_verbosity=terse",
    "log_checkpoints=off",
    "log_autovacuum_min_duration=-1",
];

/// How long a crashed database may need to recover.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long the Postgres of a server that was just killed may need to end.
const ENDING: Duration = Duration::from_secs(30);

/// How long a killed process may keep its lock.
const SECOND_LOOK: Duration = Duration::from_millis(60);

/// A running embedded Postgres. Dropped, it stops, if it is this process that started it.
pub struct Embedded {
    data_dir: PathBuf,
    version: Option<String>,
    initialised: bool,
    owned: Option<Owned>,
}

/// What only the process that started it has.
struct Owned {
    pipe: Option<ChildStdin>,
    ended: CancellationToken,
    gone: mpsc::Receiver<()>,
    _lock: File,
}

impl Embedded {
    /// Starts Postgres in the data folder, made and initialised at the first start, or uses the one running there.
    pub async fn start(config: &config::Embedded) -> Result<Self> {
        let data_dir = match &config.data_dir {
            Some(given) => std::path::absolute(given)?,
            None => default_data_dir()?,
        };
        std::fs::create_dir_all(&data_dir).with_context(|| format!("cannot make the folder {}", data_dir.display()))?;
        let lock_path = data_dir.join("lock");
        let lock = File::options().create(true).append(true).open(&lock_path);
        let lock = lock.with_context(|| format!("cannot write {}", lock_path.display()))?;
        let begun = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Self::launch(data_dir, config.bin_dir.clone(), lock).await,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error).context("cannot lock the data folder"),
            }
            // Another process has it, or is starting it, or is just ending and about to free the lock.
            if connect_options(&data_dir, "postgres")?.connect().await.is_ok() {
                // A process that is being killed still has the lock, and its Postgres still answers: look twice.
                tokio::time::sleep(SECOND_LOOK).await;
                if lock.try_lock().is_ok() {
                    return Self::launch(data_dir, config.bin_dir.clone(), lock).await;
                }
                return Ok(Self { data_dir, version: None, initialised: false, owned: None });
            }
            if begun.elapsed() > PATIENCE {
                bail!("another process uses {} and its Postgres takes no connection", data_dir.display());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn launch(data_dir: PathBuf, bin_dir: Option<PathBuf>, lock: File) -> Result<Self> {
        let folder = data_dir.join("pg");
        // initdb takes its time and is waited for without a runtime's help.
        let prepared = tokio::task::spawn_blocking(move || -> Result<_> {
            let cluster = Cluster::open(&folder, bin_dir.as_deref())?;
            let initialised = cluster.initialise()?;
            Ok((cluster, initialised))
        });
        let (cluster, initialised) = prepared.await??;
        until_the_last_one_ended(&cluster, &data_dir).await?;
        let begun = Instant::now();
        let owned = loop {
            let owned = start_process(&cluster, lock.try_clone()?)?;
            let ended = owned.ended.clone();
            match cluster.wait_until_ready(|| ended.is_cancelled(), PATIENCE).await {
                Ok(()) => break owned,
                Err(_) if cluster.has_orphans() && begun.elapsed() < ENDING => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(error),
            }
        };
        if initialised {
            cluster.sync_in_background()?;
        }
        Ok(Self { data_dir, version: Some(cluster.version().to_owned()), initialised, owned: Some(owned) })
    }

    /// How to reach `database`, which need not exist yet.
    pub fn connect_options(&self, database: &str) -> Result<PgConnectOptions> {
        connect_options(&self.data_dir, database)
    }

    /// Makes `database` if there is none of this name; how to reach it.
    pub async fn ensure_database(&self, database: &str) -> Result<PgConnectOptions> {
        let mut connection = self.connect_options("postgres")?.connect().await?;
        store::provision::ensure(&mut connection, database).await?;
        connection.close().await?;
        self.connect_options(database)
    }

    /// Makes `database` empty, whatever it held; how to reach it.
    pub async fn recreate_database(&self, database: &str) -> Result<PgConnectOptions> {
        let mut connection = self.connect_options("postgres")?.connect().await?;
        store::provision::recreate(&mut connection, database).await?;
        connection.close().await?;
        self.connect_options(database)
    }

    /// The data folder, absolute.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// `15.18`; none when another process runs it.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Whether this start made the data.
    pub const fn initialised(&self) -> bool {
        self.initialised
    }

    /// Cancelled when the Postgres that this process started has ended; none when another process runs it.
    pub fn ended(&self) -> Option<CancellationToken> {
        self.owned.as_ref().map(|owned| owned.ended.clone())
    }

    /// The deployment's master key (32 bytes, base64), generated once in the data folder.
    pub fn master_key(&self) -> Result<Secret<String>> {
        master_key(&self.data_dir.join("master.key")).map(Secret::new)
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Some(owned) = &mut self.owned {
            owned.pipe = None;
            // Usually 20 ms. The thread's end closes the channel.
            let _gone = owned.gone.recv_timeout(ENDING);
        }
    }
}

fn connect_options(data_dir: &Path, database: &str) -> Result<PgConnectOptions> {
    cluster::connect_options(&data_dir.join("pg"), database)
}

/// A server that was killed a moment ago: its Postgres is still ending.
async fn until_the_last_one_ended(cluster: &Cluster, data_dir: &Path) -> Result<()> {
    let begun = Instant::now();
    while let Some(pid) = cluster.running()? {
        if begun.elapsed() > ENDING {
            let folder = data_dir.display();
            bail!("process {pid} is a Postgres that runs in {folder} without a server; stop it first");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Starts the process and a thread that waits for its end.
fn start_process(cluster: &Cluster, lock: File) -> Result<Owned> {
    let mut child = cluster.spawn(UNTIL_WE_END, SETTINGS, Stdio::piped())?;
    let pipe = child.stdin.take();
    let ended = CancellationToken::new();
    let (sender, gone) = mpsc::channel::<()>();
    let token = ended.clone();
    std::thread::Builder::new().name("postgres".to_owned()).spawn(move || {
        let _status = child.wait();
        token.cancel();
        drop(sender);
    })?;
    Ok(Owned { pipe, ended, gone, _lock: lock })
}

/// `./data`; for root, whose Postgres runs as another user, `/var/lib/sofa` where that user cannot reach `./data`.
fn default_data_dir() -> Result<PathBuf> {
    let here = std::path::absolute("data")?;
    let account = Account::choose(&here.join("pg"))?;
    Ok(if account.blocked_at(&here.join("pg")).is_some() { PathBuf::from("/var/lib/sofa") } else { here })
}

fn master_key(path: &Path) -> Result<String> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let unreadable = || format!("cannot read the master key {}", path.display());
    if !path.exists() {
        let mut key = [0_u8; 32];
        crate::id::fill(&mut key);
        // Written beside and renamed: a half-written key would lock the data out for good.
        let new = path.with_extension(format!("new{}", std::process::id()));
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        writeln!(file, "{}", STANDARD.encode(key))?;
        file.sync_all()?;
        match std::fs::hard_link(&new, path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(error).with_context(unreadable);
            }
            _ => std::fs::remove_file(&new)?,
        }
    }
    let key = std::fs::read_to_string(path).with_context(unreadable)?.trim().to_owned();
    match STANDARD.decode(&key).map(|bytes| bytes.len()) {
        Ok(32) => Ok(key),
        _ => Err(anyhow!("{} does not hold 32 bytes in base64", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_master_key_is_made_once_and_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        let key = master_key(&path).unwrap();
        assert_eq!(key, master_key(&path).unwrap());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        std::fs::write(&path, "short").unwrap();
        assert!(master_key(&path).is_err());
    }
}
