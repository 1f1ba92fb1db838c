//! `sofa serve`: the server, until a signal.

use std::sync::Arc;

use anyhow::{Result, bail};
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::database::{self, Opened};
use crate::app::App;
use crate::clock::SystemClock;
use crate::config::{Config, Flag};
use crate::embedded::Embedded;
use crate::{interaction::search::reindex, server, telemetry};

#[derive(Args)]
pub(super) struct Serve {
    /// Address and port to listen on, e.g. 0.0.0.0:8080
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// The address under which clients reach this server, e.g. https://sofa.example.org
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
}

impl Serve {
    /// The keys these options set.
    pub(super) fn flags(&self) -> Vec<Flag> {
        let listen = self.listen.clone().map(|value| Flag { name: "--listen", key: "server.listen", value });
        let url = self.public_url.clone();
        let url = url.map(|value| Flag { name: "--public-url", key: "server.public_url", value });
        listen.into_iter().chain(url).collect()
    }
}

pub(super) async fn run(config: Config) -> Result<()> {
    telemetry::init(config.log.format, &config.log.filter)?;
    let shutdown = CancellationToken::new();
    server::stop_on_signal(shutdown.clone())?;
    // Before the database is started: a taken port is the commonest mistake.
    let listener = server::bind(config.server.listen)?;
    let Opened { config, pool, embedded } = database::open_for_server(config).await?;
    if let Some(embedded) = &embedded {
        announce(embedded);
    }
    let (fhir, grace) = (config.server.fhir_base(), config.server.shutdown_grace);
    let app = App::build(config, pool.clone(), Arc::new(SystemClock)).await?;
    let waiting = reindex::waiting(&pool, &app.engine.parameters).await;
    match waiting.map_err(|failure| anyhow::anyhow!("the search index: {}", failure.outcome().summary()))? {
        names if names.is_empty() => {}
        names => tracing::warn!(
            count = names.len(),
            first = names[0],
            "search parameters came, went or changed: they find only what is written from now on until `sofa reindex` ran"
        ),
    }
    let workers = app.start_workers(&shutdown);
    tracing::info!(listen = %listener.local_addr()?, %fhir, "ready");
    let lost = watch(embedded.as_ref(), &shutdown);
    server::serve(app, listener, shutdown.clone()).await?;
    shutdown.cancel();
    for worker in workers {
        // A loop ends after the step it is in.
        let _ended = tokio::time::timeout(grace, worker).await;
    }
    pool.close().await;
    if lost.is_cancelled() {
        bail!("the embedded Postgres ended; the end of its log is in the data folder, pg/postgres.log");
    }
    Ok(())
}

fn announce(embedded: &Embedded) {
    let folder = embedded.data_dir().display();
    match embedded.version() {
        Some(version) => tracing::info!(version, %folder, "embedded Postgres; a deployment sets database.url"),
        None => tracing::info!(%folder, "another process's embedded Postgres"),
    }
}

/// Shuts the server down when the embedded Postgres ends by itself; the token returned tells so.
fn watch(embedded: Option<&Embedded>, shutdown: &CancellationToken) -> CancellationToken {
    let lost = CancellationToken::new();
    if let Some(ended) = embedded.and_then(Embedded::ended) {
        let (lost, shutdown) = (lost.clone(), shutdown.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {
                    lost.cancel();
                    shutdown.cancel();
                }
                () = shutdown.cancelled() => {}
            }
        });
    }
    lost
}
