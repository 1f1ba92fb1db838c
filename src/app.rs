//! Builds everything once: from configuration, pool and clock to the router and the background loops.

use std::sync::Arc;

use anyhow::Context;
use axum::{Router, extract::State, http::StatusCode, middleware, routing::get};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ipnet::IpNet;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer, trace::TraceLayer};

use crate::{
    access::Walls,
    clock::SharedClock,
    config::Config,
    interaction::Engine,
    oauth::{self, OauthState, configured},
    outbound, packages,
    rest::{self, RestState},
    secret::Sealer,
    store,
    token::key_set::KeySet,
    web::{peer, request_id, security},
    worker,
};

/// The program, ready to be served.
#[derive(Clone)]
pub struct App {
    pub config: Arc<Config>,
    pub pool: PgPool,
    pub clock: SharedClock,
    pub sealer: Arc<Sealer>,
    pub engine: Engine,
    pub keys: Arc<KeySet>,
    /// Both; see [`Walls`].
    pub walls: Walls,
    oauth: OauthState,
}

impl App {
    /// Builds all parts. The schema must be up to date.
    pub async fn build(config: Config, pool: PgPool, clock: SharedClock) -> anyhow::Result<Self> {
        let config = Arc::new(config);
        let sealer = Arc::new(sealer(&config)?);
        let outbound = outbound::Client::new(outbound::Guard::new(&config.delivery)).context("the HTTP client")?;
        let issuer = config.server.public_url.clone();
        let keys = KeySet::open(pool.clone(), sealer.clone(), clock.clone(), issuer).await?;
        let keys = Arc::new(keys.with_access_tokens(config.oauth.access_token_algorithm).await?);
        let validator =
            Arc::new(packages::validator(&config.validation, clock.clone()).context("validation.packages")?);
        let engine = Engine::new(pool.clone(), clock.clone(), sealer.clone(), config.clone(), outbound, validator);
        configured::apply(&pool, &config, &engine.rules, clock.now()).await?;
        let oauth = OauthState::new(engine.clone(), keys.clone()).context("the authorization server")?;
        Ok(Self { config, pool, clock, sealer, engine, keys, walls: Walls::default(), oauth })
    }

    /// All routes: FHIR under `/fhir`, the authorization server and health at the root.
    pub fn router(&self) -> Router {
        let health = Router::new()
            .route("/livez", get(|| async { "ok" }))
            .route("/readyz", get(ready))
            .with_state(self.pool.clone());
        let timeout = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, self.config.server.request_timeout);
        // Below the FHIR base what takes too long ends in an OperationOutcome, so that surface has its own clock.
        let others = oauth::router(self.oauth.clone()).merge(health).layer(timeout);
        let trusted: Arc<[IpNet]> = self.config.server.trusted_proxies.as_slice().into();
        Router::new()
            .merge(rest::router(RestState::new("/fhir", self.engine.clone(), self.keys.clone(), self.walls)))
            .merge(others)
            .layer(CatchPanicLayer::new())
            .layer(security::headers(self.config.server.is_https()))
            .layer(TraceLayer::new_for_http().make_span_with(span))
            .layer(middleware::from_fn_with_state(trusted, peer::middleware))
            .layer(middleware::from_fn(request_id::middleware))
    }

    /// Starts the background loops; they end with `shutdown`.
    pub fn start_workers(&self, shutdown: &CancellationToken) -> Vec<tokio::task::JoinHandle<()>> {
        worker::start(&self.engine, &self.oauth, &self.keys, shutdown)
    }
}

async fn ready(State(pool): State<PgPool>) -> (StatusCode, &'static str) {
    match store::ping(&pool).await {
        Ok(()) => (StatusCode::OK, "ready"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer"),
    }
}

fn sealer(config: &Config) -> anyhow::Result<Sealer> {
    let key = config.security.master_key.as_ref().context(
        "security.master_key is not set: give 32 random bytes in base64 (openssl rand -base64 32), or a file with \
         them as security.master_key_file",
    )?;
    let bytes = STANDARD.decode(key.expose().trim()).context("security.master_key is not base64")?;
    Sealer::new(&bytes).context("security.master_key has to hold 32 bytes, in base64")
}

/// The path without its query: that can hold a launchID or a name.
fn span(request: &axum::extract::Request) -> tracing::Span {
    let request_id = request_id::of(request.headers());
    tracing::info_span!("request", method = %request.method(), path = request.uri().path(), request_id)
}
