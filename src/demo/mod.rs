//! The demonstration: the whole HALO story with real parts on one machine, and nothing but public interfaces between them.
//!
//! `sofa demo` starts the embedded Postgres, the SoFA, a simulated point-of-care system (PoC) and a sample SMART app, each with a
//! port of its own, and tells a person what to open. `sofa demo --once` plays the same story without a person and fails unless
//! every step did what it must.
//!
//! | Part | File |
//! |---|---|
//! | what is started | `stage` |
//! | who is registered, with which secrets; `/demo.json` | `register`, `credentials`, `keys`, `document` |
//! | the PoC: what it does, its pages | `poc`, `poc_pages` |
//! | the sample app in the browser | `sample_app` |
//! | the run without a person: the story, an app without a browser, its steps | `once`, `app`, `form`, `report` |
//! | what is sent | `sample`, `http`, `token` |
//!
//! Demonstration credentials are registered in the demonstration's own database only.

mod app;
mod credentials;
mod document;
mod form;
mod http;
mod keys;
mod once;
mod pages;
mod poc;
mod poc_pages;
mod register;
mod report;
mod sample;
mod sample_app;
mod stage;
mod token;

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use tokio_util::sync::CancellationToken;

use self::report::Report;
use self::stage::Stage;
use crate::{id, server};

/// The free memory, in bytes, that a temporary database may be put into; it needs about a tenth of it.
const IN_MEMORY: u64 = 1 << 30;

/// What `sofa demo` was asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Play the story without a person, then end.
    pub once: bool,
    /// With `once`: the steps as JSON on standard output.
    pub json: bool,
    /// The data folder; none means the embedded database's own choice, and with `once` a new folder that is removed at the end.
    pub data_dir: Option<PathBuf>,
    /// The SoFA's port; PoC and app take the two after it. 0: free ones.
    pub port: u16,
    /// Forget the data and secrets of earlier demonstrations.
    pub fresh: bool,
    /// Print every request and answer of PoC and app to standard error.
    pub verbose: bool,
}

/// Runs the demonstration; until Ctrl-C, or with `once` until the story is told.
pub async fn run(options: Options) -> Result<ExitCode> {
    server::install_crypto();
    let shutdown = CancellationToken::new();
    server::stop_on_signal(shutdown.clone())?;
    tokio::select! {
        () = shutdown.cancelled(), if options.once => Ok(ExitCode::from(130)),
        code = run_as_asked(&options, &shutdown) => code,
    }
}

async fn run_as_asked(options: &Options, shutdown: &CancellationToken) -> Result<ExitCode> {
    match (options.once, &options.data_dir) {
        (true, None) => {
            let folder = Temporary::make()?;
            run_once(options, Some(folder.0.clone())).await
        }
        (true, Some(given)) => run_once(options, Some(given.clone())).await,
        (false, given) => run_for_people(options, given.clone(), shutdown).await,
    }
}

async fn run_once(options: &Options, data_dir: Option<PathBuf>) -> Result<ExitCode> {
    let mut report = Report::new(options.json);
    let played = async {
        let started = Stage::start(options, data_dir).await.map(|stage| {
            let detail = format!("{}; SoFA at {}", stage.database, stage.addresses.issuer);
            (stage, detail)
        });
        let stage = report.step("start", started)?;
        let played = once::play(&stage, &mut report).await;
        let left = stage.leave().await;
        let stopped = stage.stop().await.and(left);
        let stopped = stopped.map(|()| ((), "Subscription deleted; servers and database ended".to_owned()));
        played.and(report.step("stop", stopped))
    }
    .await;
    report.finish(played.as_ref().err());
    if let Err(error) = played {
        eprintln!("error: {error:#}");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

async fn run_for_people(
    options: &Options,
    data_dir: Option<PathBuf>,
    shutdown: &CancellationToken,
) -> Result<ExitCode> {
    let mut stage = tokio::select! {
        () = shutdown.cancelled() => return Ok(ExitCode::from(130)),
        stage = Stage::start(options, data_dir) => stage?,
    };
    let subscription = stage.subscribe().await?;
    stage.poc.until_active(&subscription).await?;
    welcome(&stage);
    let ended = tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        ended = stage.until_something_ends() => ended,
    };
    println!("\nStopping.");
    if ended.is_ok() {
        stage.leave().await?;
    }
    stage.stop().await?;
    ended.map(|()| ExitCode::SUCCESS)
}

fn welcome(stage: &Stage) {
    let user = stage.clinician();
    let other = stage.other_clinician();
    println!(
        "\nThe demonstration runs ({database}). All persons are invented; everything listens on this machine only.

  1. Open           {poc}/
                    the chart of Jane Smith in a clinic's system (the PoC)
  2. Press          \"Launch app\": the clinic sets the context, a tab opens, sign in
                    name {name}   password {password}
  3. In the app     write a heart rate: the chart shows it before the app hears that it is saved
  4. In the chart   tick \"Refuse the next change\" and write again; then press \"Clear context\"

  SoFA              {issuer}   FHIR base {fhir}
  For tools         {poc}/demo.json, also in {path}
  Another user      {other} (same password) may not take over the launch
  End               Ctrl-C
",
        database = stage.database,
        poc = stage.addresses.poc,
        name = user.name,
        password = user.password,
        issuer = stage.addresses.issuer,
        fhir = stage.fhir(),
        path = stage.document_path.display(),
        other = other.name,
    );
}

/// A new folder in the temporary directory, removed at the end.
struct Temporary(PathBuf);

impl Temporary {
    fn make() -> Result<Self> {
        let path = Self::place().join(format!("sofa-demo-{}", id::new_uuid().simple()));
        let made = Self(path);
        std::fs::create_dir(&made.0).with_context(|| format!("cannot make the folder {}", made.0.display()))?;
        // Postgres runs as another user when we are root, and must pass through; what is in it has its own protection.
        std::fs::set_permissions(&made.0, std::fs::Permissions::from_mode(0o711))?;
        Ok(made)
    }

    /// In memory where there is room: nothing is to last, and a disk can take seconds to delete a synced database.
    fn place() -> PathBuf {
        let memory = PathBuf::from("/dev/shm");
        match rustix::fs::statvfs(&memory) {
            Ok(space) if space.f_bavail * space.f_frsize >= IN_MEMORY => memory,
            _ => std::env::temp_dir(),
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "the temporary folder could not be removed");
        }
    }
}
