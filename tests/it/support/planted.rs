//! One set of signing keys for all test servers: making RSA keys takes longer than most tests.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sofa::clock::SystemClock;
use sofa::secret::Sealer;
use sofa::token::key_set::KeySet;
use tokio::sync::OnceCell;

use super::db::TestDb;

/// The master key of every test server (`Config::for_tests` has the same).
pub const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

type Row = (String, String, Vec<u8>, Value, time::OffsetDateTime);

/// Puts the shared keys into a database that has none yet.
pub async fn plant(db: &TestDb) {
    static KEYS: OnceCell<Vec<Row>> = OnceCell::const_new();
    let keys = KEYS.get_or_init(|| make(db)).await;
    for (kid, state, private, public, created) in keys {
        sqlx::query(
            "insert into signing_key (kid, state, private_key, public_key, created_at) values ($1, $2, $3, $4, $5)
             on conflict do nothing",
        )
        .bind(kid)
        .bind(state)
        .bind(private)
        .bind(public)
        .bind(created)
        .execute(&db.pool)
        .await
        .expect("a signing key");
    }
}

async fn make(db: &TestDb) -> Vec<Row> {
    let sealer = Sealer::new(&STANDARD.decode(MASTER_KEY).expect("base64")).expect("a key");
    KeySet::open(db.pool.clone(), Arc::new(sealer), Arc::new(SystemClock), String::new()).await.expect("keys");
    let keys = "select kid, state, private_key, public_key, created_at from signing_key";
    sqlx::query_as(keys).fetch_all(&db.pool).await.expect("the keys")
}
