//! The FHIR surface: `[base]/…` as routes over [`crate::interaction`] and [`crate::context`].

mod body;
mod caller;
mod error;
mod instance;
mod kind;
mod metadata;
mod negotiate;
mod operation;
mod preference;
mod reply;
mod system;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{get, post},
};

use crate::{interaction::Engine, token::key_set::KeySet, web::cors};

/// What the FHIR routes work with.
#[derive(Clone)]
pub struct RestState {
    engine: Engine,
    keys: Arc<KeySet>,
    /// Built once: it changes only with the program and its configuration.
    metadata: Arc<str>,
}

impl RestState {
    /// Puts the parts together.
    pub fn new(engine: Engine, keys: Arc<KeySet>) -> Self {
        let metadata = metadata::text(&engine).into();
        Self { engine, keys, metadata }
    }
}

/// The routes below `base`, the path of the FHIR base such as `/fhir`.
pub fn router(base: &str, state: RestState) -> Router {
    // Inside the CORS layers: a preflight is an OPTIONS, which no route offers, and must reach them first.
    let open = Router::new()
        .route("/metadata", get(metadata::get))
        .method_not_allowed_fallback(error::wrong_method)
        .layer(cors::anyone());
    let guarded = Router::new()
        .route("/", post(system::bundle))
        .route("/$set-context", post(operation::set_context))
        .route("/$clear-context", post(operation::clear_context))
        .route("/Subscription/$status", get(operation::statuses_get).post(operation::statuses_post))
        .route("/Subscription/{id}/$status", get(operation::status).post(operation::status))
        .route("/Subscription/{id}/$events", get(operation::events_get).post(operation::events_post))
        .route("/{kind}/$validate", post(operation::validate_type))
        .route("/{kind}/{id}/$validate", get(operation::validate_stored).post(operation::validate_instance))
        .route("/{kind}", post(kind::create))
        .route("/{kind}/", post(kind::create))
        .route("/{kind}/{id}", get(instance::read).put(instance::update).delete(instance::delete))
        .route("/{kind}/{id}/_history", get(instance::history))
        .route("/{kind}/{id}/_history/{version}", get(instance::vread))
        .method_not_allowed_fallback(error::wrong_method)
        .layer(cors::registered_origins(state.engine.pool.clone()));
    let below = open
        .merge(guarded)
        .fallback(error::no_route)
        .layer(DefaultBodyLimit::max(state.engine.config.fhir.max_body_bytes))
        .layer(middleware::from_fn_with_state(state.clone(), negotiate::middleware))
        .with_state(state.clone());
    // Clients that append "/" to the base mean the base.
    let slash = Router::new()
        .route(&format!("{base}/"), post(system::bundle))
        .method_not_allowed_fallback(error::wrong_method)
        .layer(cors::registered_origins(state.engine.pool.clone()))
        .layer(DefaultBodyLimit::max(state.engine.config.fhir.max_body_bytes))
        .layer(middleware::from_fn_with_state(state.clone(), negotiate::middleware))
        .with_state(state);
    Router::new().nest(base, below).merge(slash)
}
