//! Sub-commands. Each file is one command; this one holds what they share: arguments, configuration, exit codes.
//!
//! | Exit code | Meaning |
//! |--:|---|
//! | 0 | done |
//! | 1 | failed; the reason is on standard error |
//! | 2 | wrong arguments or configuration |

mod audit;
mod client;
mod database;
mod demo;
mod healthcheck;
mod key;
mod package;
mod reindex;
mod serve;
mod user;
mod validate;

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};

use crate::config::{self, Config, Flag, Sources};
use crate::telemetry::{self, Format};

/// A SMART on FHIR Accelerator: lends a point-of-care system a FHIR server, an authorization server and Subscriptions.
#[derive(Parser)]
#[command(name = "sofa", version, about, max_term_width = 110)]
#[command(
    after_help = "New here? `sofa demo` starts everything, with a simulated point-of-care system and a sample app."
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Args)]
struct Common {
    /// Configuration file (TOML). All keys and defaults: config/default.toml, or `sofa check-config --defaults`
    #[arg(long, value_name = "FILE", env = "SOFA_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// Folder of the embedded Postgres (used unless database.url or DATABASE_URL names another one)
    #[arg(long, value_name = "FOLDER", global = true)]
    data_dir: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server until Ctrl-C or SIGTERM
    Serve(serve::Serve),
    /// Show everything at work: a SoFA with its own database, a simulated point-of-care system, a sample app
    Demo(demo::Demo),
    /// Bring the database schema up to date and end (`serve` does it too)
    Migrate,
    /// Check the configuration and print what is in effect, secrets masked
    CheckConfig(CheckConfig),
    /// Register and manage clients: apps, point-of-care systems, backend services
    #[command(subcommand)]
    Client(client::Command),
    /// Manage the people who can sign in
    #[command(subcommand)]
    User(user::Command),
    /// Export, check and follow the audit trail
    #[command(subcommand)]
    Audit(audit::Command),
    /// Manage the keys that sign tokens
    #[command(subcommand)]
    Key(key::Command),
    /// Compile, list and check FHIR packages
    #[command(subcommand)]
    Package(package::Command),
    /// Make the search index anew, after packages with search parameters were added or changed; a stopped run goes on
    Reindex,
    /// Check resources in files as the server would: JSON, XML, NDJSON, folders; exit code 1 if one is not valid
    Validate(validate::Validate),
    /// Ask the running server whether it is ready; exit code 0 or 1 (for containers)
    Healthcheck,
}

#[derive(Args)]
struct CheckConfig {
    /// Print the reference with every key, its explanation and default instead
    #[arg(long)]
    defaults: bool,
}

/// Reads the arguments and runs the command.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sofa: {error:#}");
            ExitCode::from(if error.is::<config::Error>() { 2 } else { 1 })
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    let Cli { common, command } = cli;
    match command {
        Command::Serve(serve) => wait_for(serve::run(common.load(serve.flags())?)),
        Command::Demo(demo) => runtime()?.block_on(demo::run(demo, common.data_dir)),
        Command::Migrate => {
            let config = quiet(common.load(Vec::new())?)?;
            wait_for(async {
                database::open(config).await?;
                println!("the schema is up to date");
                Ok(())
            })
        }
        Command::CheckConfig(CheckConfig { defaults: true }) => {
            print!("{}", config::DEFAULT);
            Ok(ExitCode::SUCCESS)
        }
        Command::CheckConfig(_) => {
            print!("{}", common.load(Vec::new())?.masked_toml());
            Ok(ExitCode::SUCCESS)
        }
        Command::Client(command) => wait_for(client::run(command, quiet(common.load(Vec::new())?)?)),
        Command::User(command) => wait_for(user::run(command, quiet(common.load(Vec::new())?)?)),
        Command::Audit(command) => wait_for(audit::run(command, quiet(common.load(Vec::new())?)?)),
        Command::Key(command) => wait_for(key::run(command, quiet(common.load(Vec::new())?)?)),
        Command::Package(package::Command::Compile(compile)) => package::compile(&compile),
        Command::Package(package::Command::List) => package::list(&quiet(common.load(Vec::new())?)?),
        Command::Package(package::Command::Check(check)) => package::check(&common.load(Vec::new())?, &check),
        Command::Reindex => wait_for(reindex::run(quiet(common.load(Vec::new())?)?)),
        Command::Validate(asked) => validate::run(&asked, quiet(common.load(Vec::new())?)?),
        Command::Healthcheck => wait_for(healthcheck::run(common.load(Vec::new())?)),
    }
}

impl Common {
    /// The configuration: defaults, file, environment, these options and `flags`.
    fn load(&self, mut flags: Vec<Flag>) -> Result<Config, config::Error> {
        if let Some(folder) = &self.data_dir {
            let value = folder.display().to_string();
            flags.push(Flag { name: "--data-dir", key: "embedded.data_dir", value });
        }
        // A variable that is not UTF-8 is none of ours.
        let env =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        config::load(Sources { file: self.config.clone(), env: env.collect(), flags })
    }
}

/// For commands that print their result: only warnings are logged.
fn quiet(config: Config) -> Result<Config> {
    telemetry::init(Format::Text, "warn")?;
    Ok(config)
}

fn wait_for(work: impl Future<Output = Result<()>>) -> Result<ExitCode> {
    runtime()?.block_on(work)?;
    Ok(ExitCode::SUCCESS)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}
