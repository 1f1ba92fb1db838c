//! The real program in a process of its own, so that it can be killed.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use super::db::db;
use super::planted::{MASTER_KEY, plant};
use super::receiver::PATIENCE;
use super::world::World;

/// `sofa serve` on a database of its own; killed when dropped.
pub struct Process {
    pub world: World,
    address: SocketAddr,
    environment: Vec<(&'static str, String)>,
    /// Where its log goes; ours without one.
    log: Option<PathBuf>,
    child: Option<Child>,
}

impl Deref for Process {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl Process {
    /// Starts it with these further settings (`SOFA__SECTION__KEY`) and waits until it is ready.
    pub async fn start(settings: &[(&'static str, &str)]) -> Self {
        Self::prepare(settings, None).await
    }

    /// The same, with all that it logs in this file.
    pub async fn start_logging(log: &Path, settings: &[(&'static str, &str)]) -> Self {
        Self::prepare(settings, Some(log.to_owned())).await
    }

    async fn prepare(settings: &[(&'static str, &str)], log: Option<PathBuf>) -> Self {
        let db = db().await;
        plant(&db).await;
        // Free now, and not given to anybody else soon: the system hands such ports out in turn.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
        let url = format!("http://{address}");
        let given = [
            ("DATABASE_URL", db.url.clone()),
            ("SOFA__SERVER__LISTEN", address.to_string()),
            ("SOFA__SERVER__PUBLIC_URL", url.clone()),
            ("SOFA__SECURITY__MASTER_KEY", MASTER_KEY.to_owned()),
            ("SOFA__DELIVERY__ALLOW_HTTP", "true".to_owned()),
            ("SOFA__DELIVERY__ALLOW_PRIVATE_ADDRESSES", "true".to_owned()),
            ("SOFA__LOG__FILTER", "warn".to_owned()),
        ];
        let further = settings.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let environment = given.into_iter().chain(further).collect();
        let mut this = Self { world: World::in_real_time(url, db), address, environment, log, child: None };
        this.start_again().await;
        this
    }

    /// Starts it on the database that is there, and waits until it is ready.
    pub async fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let mut command = Command::new(env!("CARGO_BIN_EXE_sofa"));
        command.arg("serve").envs(self.environment.iter().cloned()).stdin(Stdio::null()).kill_on_drop(true);
        if let Some(log) = &self.log {
            command.stderr(File::options().create(true).append(true).open(log).expect("the log"));
        }
        let mut child = command.spawn().expect("the program");
        let begun = Instant::now();
        let ready = format!("http://{}/readyz", self.address);
        while !self.world.http.get(&ready).send().await.is_ok_and(|answer| answer.status() == 200) {
            assert!(child.try_wait().expect("its state").is_none(), "it ended before it was ready");
            assert!(begun.elapsed() < PATIENCE, "it never became ready");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.child = Some(child);
    }

    /// SIGKILL: it has no moment left to put anything in order.
    pub async fn kill(&mut self) {
        self.child.take().expect("a running process").kill().await.expect("a signal");
    }
}
