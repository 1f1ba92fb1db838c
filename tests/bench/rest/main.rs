//! What each interaction costs over HTTP, and how that grows with what is stored:
//! `cargo bench --bench rest -- --sizes 100000,1000000`.
//!
//! A real server, in this process, on a loopback port, with a Postgres of its own that keeps what it acknowledges (fsync
//! is on). The records of [`sofa::load`] are written by a backend service through transactions, then analysed. Each row is
//! one kind of request, with other values every time: median and 99th percentile over one connection that is kept open,
//! requests per second over eight. Client, server and database share the machine, so compare figures of one run only; the
//! row `floor` is what a request costs that does nothing.
//!
//! `--keep FOLDER` leaves the loaded databases there, and a later run with the same folder, seed and size takes them as they are. Fails
//! if any request does, or if no answer of a search holds a match.
//!
//! | Part | File |
//! |---|---|
//! | the server and its database | `stage` |
//! | the backend service with its token | `service` |
//! | writing the records | `fill` |
//! | values to ask for | `sample` |
//! | the requests | `row`, `reads`, `searches`, `writes` |
//! | asking and timing | `measure` |
//! | what is printed | `table` |

#[expect(dead_code, reason = "the benchmark signs with one kind of key only")]
#[path = "../../it/support/key.rs"]
#[expect(clippy::expect_used, reason = "a file of the tests")]
mod key;

mod fill;
mod measure;
mod reads;
mod row;
mod sample;
mod searches;
mod service;
mod stage;
mod table;
mod writes;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Parser;

use self::row::{Row, Source};
use self::sample::Samples;
use self::service::Service;
use self::stage::Stage;
use self::table::Measured;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the FHIR API at several sizes of what is stored.
#[derive(Parser)]
struct Asked {
    /// How many resources are stored, one run for each
    #[arg(long, value_delimiter = ',', default_value = "100000")]
    sizes: Vec<u64>,
    /// Only rows whose name holds one of these texts
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// How long each row is measured, once with one connection and once with eight, in seconds
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Decides the records
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder in which the loaded databases stay for later runs; otherwise a temporary one
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Memory for Postgres's own cache
    #[arg(long, default_value = "1GB")]
    shared_buffers: String,
    /// With --keep: the plans of statements that take this many milliseconds or more go to postgres.log in that folder
    #[arg(long, requires = "keep")]
    explain: Option<u32>,
    /// Measure reads with and without their rows in the audit trail, in turns, and print the ratio
    #[arg(long)]
    audit: bool,
    /// Print the names of the rows and end
    #[arg(long)]
    list: bool,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let asked = Asked::parse();
    let rows = chosen(&asked);
    if asked.list {
        rows.iter().for_each(|row| println!("{}", row.name));
        return ExitCode::SUCCESS;
    }
    match run(&asked, &rows) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Reading ones first: writing ones change what is stored.
fn chosen(asked: &Asked) -> Vec<Row> {
    let wanted = &asked.rows;
    let writes = if asked.audit { Vec::new() } else { writes::rows() };
    // A link to the next page names one of the two processes.
    let all =
        reads::rows().into_iter().chain(searches::rows()).filter(|row| !(asked.audit && row.next_page)).chain(writes);
    all.filter(|row| wanted.is_empty() || wanted.iter().any(|part| row.name.contains(part.as_str()))).collect()
}

fn run(asked: &Asked, rows: &[Row]) -> Result<()> {
    if rows.is_empty() {
        bail!("no row has such a name; --list tells all");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut columns: Vec<(u64, Vec<Measured>)> = Vec::new();
        for size in &asked.sizes {
            let measured = one_size(asked, *size, rows).await?;
            table::print(*size, &measured);
            columns.push((*size, measured));
        }
        table::compare(&columns);
        let failed = columns.iter().flat_map(|(_, measured)| measured).filter(|row| row.result.is_err()).count();
        if failed > 0 {
            bail!("{failed} rows failed");
        }
        Ok(())
    })
}

async fn one_size(asked: &Asked, size: u64, rows: &[Row]) -> Result<Vec<Measured>> {
    let stage = Stage::open(asked, size).await?;
    let service = Service::register(&stage).await?;
    let samples = if stage.is_filled().await? {
        Samples::of(sofa::load::resources(asked.seed, size))
    } else {
        let samples = fill::fill(&service, asked.seed, size).await?;
        stage.analyse().await?;
        samples
    };
    stage.describe().await?;
    if let Some(url) = &stage.unrecorded {
        return compared(asked, rows, &service, &service.at(url)?, &samples).await;
    }
    let mut measured = Vec::with_capacity(rows.len());
    for row in rows {
        eprint!("\r\x1b[K{}", row.name);
        let limited = match row.scope {
            Some(scope) => Some(Service::register_for(&stage, scope).await?),
            None => None,
        };
        let source = Source { service: limited.as_ref().unwrap_or(&service), samples: &samples };
        let result = measure::measure(row, &source, Duration::from_secs_f64(asked.seconds)).await;
        eprint!("\r\x1b[K");
        if let Err(error) = &result {
            eprintln!("{}: {error:#}", row.name);
        }
        measured.push(Measured { name: row.name, result });
    }
    Ok(measured)
}

/// Each row at both processes, twice in turns; the better of each counts.
async fn compared(
    asked: &Asked,
    rows: &[Row],
    recorded: &Service,
    unrecorded: &Service,
    samples: &Samples,
) -> Result<Vec<Measured>> {
    let length = Duration::from_secs_f64(asked.seconds / 2.0);
    let mut measured = Vec::with_capacity(rows.len());
    for row in rows {
        let mut best: [Option<table::Figures>; 2] = [None, None];
        for _ in 0..2 {
            for (best, service) in best.iter_mut().zip([unrecorded, recorded]) {
                let source = Source { service, samples };
                let found = measure::measure(row, &source, length).await?;
                *best = Some(match best.take() {
                    Some(before) => before.better(&found),
                    None => found,
                });
            }
        }
        if let [Some(without), Some(with)] = best {
            table::ratio(row.name, &without, &with);
            measured.push(Measured { name: row.name, result: Ok(with) });
        }
    }
    Ok(measured)
}
