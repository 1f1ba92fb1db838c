//! The FHIR surface: `[base]/…` as routes over [`crate::interaction`] and [`crate::context`].

mod audit;
mod audited;
mod body;
mod caller;
mod error;
mod everything;
mod extract;
mod gate;
mod history;
mod instance;
mod kind;
mod listing;
mod metadata;
mod negotiate;
mod operation;
mod preference;
mod reply;
mod routes;
mod search;
mod system;
mod unchanged;
mod writing;

use std::net::IpAddr;
use std::sync::Arc;

use axum::{Router, extract::DefaultBodyLimit, middleware};
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    access::Walls,
    interaction::Engine,
    token::key_set::KeySet,
    web::{cors, limit::Limiter},
};

/// What the FHIR routes work with.
#[derive(Clone)]
pub struct RestState {
    engine: Engine,
    keys: Arc<KeySet>,
    walls: Walls,
    /// Of requests by address.
    limit: Arc<Limiter<IpAddr>>,
    /// The path of the FHIR base, such as `/fhir`.
    path: &'static str,
    /// Built once: it changes only with the program and its configuration.
    metadata: Arc<metadata::Metadata>,
}

impl RestState {
    /// Puts the parts together. `path` is that of the FHIR base, without a slash at the end.
    pub fn new(path: &'static str, engine: Engine, keys: Arc<KeySet>, walls: Walls) -> Self {
        let metadata = Arc::new(metadata::Metadata::build(&engine));
        let limit = Arc::new(Limiter::per_minute(engine.config.limits.fhir_per_address));
        Self { engine, keys, walls, limit, path, metadata }
    }
}

/// The routes below the FHIR base.
pub fn router(state: RestState) -> Router {
    let routes::Routers { guarded, open, base } = routes::routers();
    // CORS is outermost, so that a page can read refusals too, and preflights, which no route offers, are answered.
    let for_apps = || cors::registered_origins(state.engine.pool.clone());
    let below = layered(open, &state)
        .layer(cors::anyone())
        .merge(recorded(layered(guarded.fallback(error::no_route), &state), &state).layer(for_apps()));
    let slash = Router::new().route(&format!("{}/", state.path), base);
    Router::new()
        .nest(state.path, below)
        .merge(recorded(layered(slash, &state), &state).layer(for_apps()))
        .with_state(state)
}

/// Routes whose every request is told to the audit trail.
fn recorded(routes: Router<RestState>, state: &RestState) -> Router<RestState> {
    routes.layer(middleware::from_fn_with_state(state.clone(), audited::middleware))
}

fn layered(routes: Router<RestState>, state: &RestState) -> Router<RestState> {
    routes
        .layer(DefaultBodyLimit::max(state.engine.config.fhir.max_body_bytes))
        .layer(middleware::from_fn_with_state(state.clone(), gate::middleware))
        .layer(CatchPanicLayer::custom(gate::panicked))
        .layer(middleware::from_fn_with_state(state.clone(), negotiate::middleware))
}
