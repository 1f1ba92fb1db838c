//! One data folder of Postgres and the process that serves it, over a unix socket only.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection};

use super::account::Account;
use super::binaries::Binaries;

/// The database user that owns everything.
const USER: &str = "sofa";

/// Longest path of a unix socket, with room for the temporary names of Postgres.
const LONGEST_SOCKET: usize = 100;

/// Above the highest process number of any system.
const NO_PROCESS: &str = "4194305";

/// A folder with everything of one Postgres: data, log, socket. Its mode is 0700, so that connections need no password.
#[derive(Clone, Debug)]
pub struct Cluster {
    folder: PathBuf,
    socket: PathBuf,
    account: Account,
    binaries: Binaries,
}

impl Cluster {
    /// Takes `folder` (made if it is not there) and finds the programs that fit its data.
    pub fn open(folder: &Path, bin_dir: Option<&Path>) -> Result<Self> {
        let folder = std::path::absolute(folder)?;
        let account = Account::choose(&folder)?;
        if let Some(closed) = account.blocked_at(&folder) {
            bail!(
                "Postgres does not run as root, and the user it runs as may not enter {}: name another data folder \
                 (--data-dir, or embedded.data_dir)",
                closed.display()
            );
        }
        account.make_folder(&folder)?;
        let major = match std::fs::read_to_string(folder.join("pgdata/PG_VERSION")) {
            Ok(version) => Some(version.trim().parse().context("pgdata/PG_VERSION is not a number")?),
            Err(_) => None,
        };
        let binaries = Binaries::find(bin_dir, &account, major)?;
        let socket = socket_folder(&folder);
        account.make_folder(&socket)?;
        Ok(Self { folder, socket, account, binaries })
    }

    /// The version of the programs: `15.18`.
    pub fn version(&self) -> &str {
        &self.binaries.version
    }

    /// How to reach `database`.
    pub fn connect_options(&self, database: &str) -> PgConnectOptions {
        options(&self.socket, database)
    }

    /// The data of Postgres, below the cluster's folder.
    pub fn data(&self) -> PathBuf {
        self.folder.join("pgdata")
    }

    /// A file in the cluster's folder that the user who runs Postgres can open too: for locks.
    pub fn shared_file(&self, name: &str) -> Result<std::fs::File> {
        let path = self.folder.join(name);
        let file = std::fs::File::options().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        self.account.own(&path)?;
        Ok(file)
    }

    /// Runs initdb unless there is data already. Interrupted, it leaves only `pgdata.new` behind, which the next run
    /// removes. Returns whether it ran.
    pub fn initialise(&self) -> Result<bool> {
        if self.data().join("PG_VERSION").is_file() {
            return Ok(false);
        }
        let new = self.folder.join("pgdata.new");
        if new.exists() {
            std::fs::remove_dir_all(&new).with_context(|| format!("cannot remove {}", new.display()))?;
        }
        let mut command = self.account.command(self.binaries.folder.join("initdb"));
        command.arg("-D").arg(&new).args(["-U", USER, "-E", "UTF8", "--auth=trust", "--no-sync"]);
        // macOS knows no C.UTF-8.
        command.arg(if cfg!(target_os = "macos") { "--locale=C" } else { "--locale=C.UTF-8" });
        let output = command.stdin(Stdio::null()).output().context("cannot run initdb")?;
        if !output.status.success() {
            bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        std::fs::rename(&new, self.data())?;
        Ok(true)
    }

    /// Writes a fresh data folder through to the disk. Takes seconds on a slow disk, hence not part of
    /// [`Cluster::initialise`]: the server can work meanwhile.
    pub fn sync_in_background(&self) -> Result<()> {
        let mut command = self.account.command(self.binaries.folder.join("initdb"));
        command.arg("--sync-only").arg("-D").arg(self.data());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        std::thread::spawn(move || child.wait());
        Ok(())
    }

    /// The pid in the pid file, when it is alive and a Postgres of this folder.
    ///
    /// After a crash the number may by now belong to another process, and Postgres, which sees only that *some* process has
    /// it, would refuse to start. Then the number is replaced by one that no process has. The rest of the file stays: with it
    /// Postgres finds out whether back ends of the crashed one are still writing.
    pub fn running(&self) -> Result<Option<u32>> {
        let file = self.data().join("postmaster.pid");
        let Ok(text) = std::fs::read_to_string(&file) else { return Ok(None) };
        let first = text.lines().next().unwrap_or_default();
        let pid = first.trim().parse::<u32>().ok();
        if let Some(pid) = pid.filter(|pid| is_postgres_of(*pid, &self.data())) {
            return Ok(Some(pid));
        }
        if first != NO_PROCESS {
            std::fs::write(&file, format!("{NO_PROCESS}{}", &text[first.len()..]))
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(None)
    }

    /// Starts Postgres under `script`, a `/bin/sh` script that gets the command as its arguments and decides when to stop
    /// it. Postgres gets its own process group: a terminal's Ctrl-C reaches the server alone, which can then drain.
    pub fn spawn(&self, script: &str, settings: &[&str], stdin: Stdio) -> Result<Child> {
        let log = self.folder.join("postgres.log");
        let output = std::fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        self.account.own(&log)?;
        let mut command = self.account.command("/bin/sh");
        command.arg("-c").arg(script).arg("sofa-postgres").arg(self.binaries.folder.join("postgres"));
        command.arg("-D").arg(self.data());
        let mut socket = OsString::from("unix_socket_directories=");
        socket.push(&self.socket);
        command.arg("-c").arg(socket);
        let fixed =
            ["listen_addresses=", "unix_socket_permissions=0700", "port=5432", "timezone=UTC", "log_timezone=UTC"];
        for setting in fixed.iter().chain(settings) {
            command.arg("-c").arg(setting);
        }
        command.stdin(stdin).stdout(output.try_clone()?).stderr(output).process_group(0);
        command.spawn().context("cannot run /bin/sh")
    }

    /// Waits until connections are taken. `ended` says whether the process is gone; then the end of its log is the error.
    pub async fn wait_until_ready(&self, ended: impl Fn() -> bool, patience: Duration) -> Result<()> {
        let begun = Instant::now();
        let options = self.connect_options("postgres");
        loop {
            let problem = match options.connect().await {
                Ok(connection) => {
                    let _closed = connection.close().await;
                    return Ok(());
                }
                Err(problem) => problem,
            };
            if ended() {
                return Err(anyhow!("Postgres ended before it took a connection:\n{}", self.log_end()));
            }
            if begun.elapsed() > patience {
                let seconds = patience.as_secs();
                return Err(anyhow!("Postgres took no connection for {seconds} s: {problem}\n{}", self.log_end()));
            }
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    }

    /// Whether the last start failed because back ends of a killed Postgres are still there. They end by themselves.
    pub fn has_orphans(&self) -> bool {
        self.log_end().contains("pre-existing shared memory block")
    }

    /// The last lines of the log.
    pub fn log_end(&self) -> String {
        let text = std::fs::read(self.folder.join("postgres.log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

/// How to reach `database` of the Postgres whose socket is in `socket`.
fn options(socket: &Path, database: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(socket)
        .port(5432)
        .username(USER)
        .database(database)
        .ssl_mode(PgSslMode::Disable)
}

/// How to reach `database` of the Postgres in `folder`, whoever runs it.
pub fn connect_options(folder: &Path, database: &str) -> Result<PgConnectOptions> {
    Ok(options(&socket_folder(&std::path::absolute(folder)?), database))
}

/// The folder itself; where its path is too long for a socket, one in the temporary folder, named after it.
fn socket_folder(folder: &Path) -> PathBuf {
    let socket = folder.join(".s.PGSQL.5432");
    if socket.as_os_str().len() <= LONGEST_SOCKET {
        return folder.to_owned();
    }
    use std::os::unix::ffi::OsStrExt;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, folder.as_os_str().as_bytes());
    let name: String = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    std::env::temp_dir().join(format!("sofa-{name}"))
}

/// Whether process `pid` is a Postgres, and of this data folder where the system tells.
fn is_postgres_of(pid: u32, data: &Path) -> bool {
    if let Ok(name) = std::fs::read_to_string(format!("/proc/{pid}/comm")) {
        let folder = std::fs::read_link(format!("/proc/{pid}/cwd"));
        return name.trim() == "postgres" && folder.map_or(true, |folder| folder == data);
    }
    if Path::new("/proc/self").exists() {
        return false;
    }
    let ps = std::process::Command::new("ps").args(["-o", "comm=", "-p", &pid.to_string()]).output();
    ps.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim().ends_with("postgres"))
}
