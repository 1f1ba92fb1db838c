//! One FHIR interaction per file, free of HTTP, and the one write path ([`write`]).
//!
//! Every interaction demands a [`crate::access::Permit`], takes values and returns values. Its callers are many: REST,
//! batch, transaction, `$set-context`.

pub mod audit;
pub mod bundle;
pub mod condition;
pub mod create;
pub mod delete;
pub mod failure;
pub mod history;
pub mod page;
pub mod read;
pub mod search;
pub mod settle;
pub mod subscription;
pub mod update;
pub mod validate;
pub mod write;

use std::sync::Arc;

use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

pub use failure::Failure;

use crate::{
    access::{Rules, audit::Recorder},
    clock::SharedClock,
    config::Config,
    fhir::{json::Limits, search::Parameters, validate::Validator},
    outbound,
    secret::Sealer,
    store::{self, Reader, Wall},
};

/// What interactions work with. Cloning shares it.
#[derive(Clone)]
pub struct Engine(Arc<Parts>);

/// The parts of an [`Engine`].
pub struct Parts {
    /// Shows no resource by itself: see [`Engine::reader`].
    pub pool: PgPool,
    pub clock: SharedClock,
    pub sealer: Arc<Sealer>,
    pub config: Arc<Config>,
    /// The guarded HTTP client for rest-hooks.
    pub outbound: outbound::Client,
    /// R4, the loaded packages and what is enforced of them.
    pub validator: Arc<Validator>,
    /// R4's search parameters and those of the loaded packages.
    pub parameters: Arc<Parameters>,
    /// What callers' leave is decided by.
    pub rules: Arc<Rules>,
    /// This process among its replicas: the owner of its leases.
    pub process: Uuid,
    /// The FHIR base URL, without a trailing slash.
    pub base: String,
    /// The audit trail, for what changes nothing else.
    pub recorder: Recorder,
    /// Requests of this process that wait for an intent.
    pub(crate) waiters: write::Waiters,
}

impl Engine {
    /// Puts the parts together.
    pub fn new(
        pool: PgPool,
        clock: SharedClock,
        sealer: Arc<Sealer>,
        config: Arc<Config>,
        outbound: outbound::Client,
        validator: Arc<Validator>,
    ) -> Self {
        let base = config.server.fhir_base();
        let process = crate::id::new_uuid();
        let waiters = write::Waiters::default();
        let recorder = Recorder::new(pool.clone(), config.audit.clone());
        let (parameters, warnings) = Parameters::new(validator.registry());
        for warning in warnings {
            tracing::warn!(warning, "a search parameter cannot be used");
        }
        let parameters = Arc::new(parameters);
        let (registry, shared) = (Arc::clone(validator.registry()), config.standalone.shared_patients);
        let rules = Arc::new(Rules::new(Arc::clone(&parameters), registry, base.clone(), shared));
        Self(Arc::new(Parts {
            pool,
            clock,
            sealer,
            config,
            outbound,
            validator,
            parameters,
            rules,
            process,
            base,
            recorder,
            waiters,
        }))
    }

    /// Now.
    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// A connection to read resources behind `wall`.
    pub async fn reader(&self, wall: &Wall) -> store::Result<Reader> {
        store::read(&self.pool, wall).await
    }

    /// What a request's document may cost.
    pub fn limits(&self) -> Limits {
        Limits { depth: self.config.fhir.max_depth }
    }
}

impl std::ops::Deref for Engine {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// One stored version, as it is answered.
#[derive(Clone, Debug)]
pub struct Stored {
    pub kind: String,
    pub id: String,
    pub version: i64,
    pub updated: OffsetDateTime,
    /// JSON text with `id` and `meta`.
    pub body: String,
}
