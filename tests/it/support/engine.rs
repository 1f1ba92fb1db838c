//! An engine for tests that need no listener.

use std::sync::{Arc, LazyLock};

use sofa::clock::SharedClock;
use sofa::config::Config;
use sofa::fhir::definition::registry::Registry;
use sofa::fhir::validate::{Options, Validator};
use sofa::interaction::Engine;
use sofa::outbound::{Client, Guard};
use sofa::secret::Sealer;
use sqlx::PgPool;

/// Plain R4: read once for all tests of the process.
static VALIDATOR: LazyLock<Arc<Validator>> =
    LazyLock::new(|| Arc::new(Validator::new(Registry::built_in(), Options::default())));

/// Seals what tests store.
pub fn sealer() -> Arc<Sealer> {
    Arc::new(Sealer::new(&[7; 32]).unwrap())
}

/// An engine over `pool`, without packages.
pub fn engine(pool: PgPool, clock: SharedClock, config: Config) -> Engine {
    let outbound = Client::new(Guard::new(&config.delivery)).unwrap();
    Engine::new(pool, clock, sealer(), Arc::new(config), outbound, VALIDATOR.clone())
}
