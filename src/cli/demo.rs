//! `sofa demo`: the demonstration.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::demo;
use crate::telemetry::{self, Format};

/// Arguments of `sofa demo`.
#[derive(Args)]
pub struct Demo {
    /// Play the whole story without a person, check and time every step, then end: exit code 0 only if all went right
    #[arg(long)]
    once: bool,
    /// With --once: print the steps as one JSON document
    #[arg(long, requires = "once")]
    json: bool,
    /// Port of the SoFA; the simulated point-of-care system and the sample app take the two after it. 0: any free ones
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Forget the data, keys and passwords of earlier demonstrations in this data folder
    #[arg(long)]
    fresh: bool,
    /// Print every request and answer of the point-of-care system and the app
    #[arg(long, short)]
    verbose: bool,
}

/// Runs the demonstration. `data_dir`: the common option `--data-dir`.
pub async fn run(args: Demo, data_dir: Option<PathBuf>) -> Result<ExitCode> {
    telemetry::init(Format::Text, "warn")?;
    let Demo { once, json, port, fresh, verbose } = args;
    demo::run(demo::Options { once, json, data_dir, port, fresh, verbose }).await
}
