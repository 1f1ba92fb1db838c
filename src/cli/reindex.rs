//! `sofa reindex`: the search index made anew, for parameters of packages that were added or changed.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, anyhow};
use indicatif::{ProgressBar, ProgressStyle};

use super::database;
use crate::{
    clock::SystemClock,
    config::Config,
    fhir::search::Parameters,
    interaction::search::reindex::{Progress, reindex},
    packages,
};

/// Indexes everything; a server may run meanwhile.
pub(super) async fn run(config: Config) -> Result<()> {
    let registry = packages::load(&config.validation)?;
    let (parameters, warnings) = Parameters::new(&registry);
    for warning in warnings {
        eprintln!("sofa: a search parameter cannot be used: {warning}");
    }
    let opened = database::open(config).await?;
    let bar = ProgressBar::new(0);
    bar.set_style(
        ProgressStyle::with_template("{pos}/{len} resources, {per_sec}, {eta} left")
            .unwrap_or(ProgressStyle::default_bar()),
    );
    bar.enable_steady_tick(Duration::from_millis(500));
    let tell = |Progress { done, left }: Progress| {
        bar.set_length(done + left);
        bar.set_position(done);
    };
    let base = opened.config.server.fhir_base();
    let done = reindex(&opened.pool, &(Arc::new(SystemClock) as _), &parameters, &base, tell).await;
    bar.finish_and_clear();
    let done = done.map_err(|failure| anyhow!("the index could not be made anew: {}", failure.outcome().summary()))?;
    println!("indexed {done} resources");
    Ok(())
}
