//! The signing keys: made here, sealed in the database, shared by all replicas.
//!
//! Three states: `next` is published before it signs, `active` signs, `retired` only verifies. A rotation moves each
//! key one on, so a verifier that keeps the JWKS for a while never meets a signature it cannot check.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::clock::SharedClock;
use crate::secret::{NotOpened, Sealer};
use crate::store::key::{State, StoredKey};
use crate::store::{self, Tx};

/// How long a process trusts what it has read: the longest it goes on signing with a key that another has retired.
const FRESH: Duration = Duration::from_secs(60);
/// The least time between two reads for keys nobody here knows, so that invented key ids cost no database load.
const RELOAD_AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// How long a retired key is published: longer than any token it can have signed lives.
const KEEP_RETIRED: Duration = Duration::from_secs(48 * 3600);

/// Keys could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("the signing keys in the database: {0}")]
    Sealed(#[from] NotOpened),
    #[error("the signing keys in the database hold no active key")]
    NoActiveKey,
    #[error("no RSA key could be generated")]
    Generate,
    #[error(transparent)]
    Jwt(#[from] jsonwebtoken::errors::Error),
    #[error("a public key that is not a JWK: {0}")]
    Json(#[from] serde_json::Error),
}

/// Why a JWT that claims to be ours is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Not a JWT, another kind of JWT, an unknown key, a bad signature, another issuer or audience.
    #[error("the token is not valid: {0}")]
    Invalid(&'static str),
    /// Good once.
    #[error("the token has expired")]
    Expired,
    /// It cannot be told now.
    #[error(transparent)]
    Unavailable(#[from] Error),
}

/// What this process knows of the keys.
struct Known {
    read_at: OffsetDateTime,
    signing_kid: String,
    signing: EncodingKey,
    verifying: HashMap<String, DecodingKey>,
    published: Vec<Value>,
}

/// The issuer's keys, kept in memory and read again when they may have changed.
pub struct KeySet {
    pool: PgPool,
    sealer: Arc<Sealer>,
    clock: SharedClock,
    issuer: String,
    known: RwLock<Arc<Known>>,
}

impl KeySet {
    /// Reads the keys, making an active and a next one where they are missing. `issuer` is the `iss` of every token.
    pub async fn open(pool: PgPool, sealer: Arc<Sealer>, clock: SharedClock, issuer: String) -> Result<Self, Error> {
        let now = clock.now();
        let mut tx = store::begin(&pool).await?;
        fill_up(&mut tx, &sealer, now).await?;
        let known = read(&mut tx, &sealer, now).await?;
        tx.commit().await?;
        Ok(Self { pool, sealer, clock, issuer, known: RwLock::new(Arc::new(known)) })
    }

    /// The `iss` of every token.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The JWK set to publish (RFC 7517): bare public keys.
    pub async fn published(&self) -> Result<Value, Error> {
        Ok(json!({ "keys": self.fresh().await?.published }))
    }

    /// Signs `claims` as a JWT of that `typ`.
    pub async fn sign<T: Serialize + Sync>(&self, typ: &str, claims: &T) -> Result<String, Error> {
        let known = self.fresh().await?;
        let mut header = Header::new(Algorithm::RS256);
        header.typ = Some(typ.to_owned());
        header.kid = Some(known.signing_kid.clone());
        Ok(jsonwebtoken::encode(&header, claims, &known.signing)?)
    }

    /// The claims of a JWT that one of our keys signed, of that `typ`. Says nothing of its issuer, audience or time.
    pub async fn verify<T: DeserializeOwned>(&self, typ: &str, jwt: &str) -> Result<T, VerifyError> {
        let header = jsonwebtoken::decode_header(jwt).map_err(|_| VerifyError::Invalid("it is not a JWT"))?;
        if header.typ.as_deref() != Some(typ) || header.crit.is_some() {
            return Err(VerifyError::Invalid("it is not a token of this kind"));
        }
        let kid = header.kid.ok_or(VerifyError::Invalid("it names no key"))?;
        let mut known = self.known();
        if !known.verifying.contains_key(&kid) {
            known = self.read_unless_newer_than(RELOAD_AT_MOST_EVERY).await?;
        }
        let key = known.verifying.get(&kid).ok_or(VerifyError::Invalid("its key is unknown"))?;
        let decoded = jsonwebtoken::decode(jwt, key, &signature_only(Algorithm::RS256));
        Ok(decoded.map_err(|_| VerifyError::Invalid("its signature is wrong"))?.claims)
    }

    /// Retires the active key, lets the next one sign and makes a new next one.
    pub async fn rotate(&self) -> Result<(), Error> {
        let now = self.clock.now();
        let mut tx = store::begin(&self.pool).await?;
        store::key::lock(&mut tx).await?;
        store::key::rotate(&mut tx, now, now - KEEP_RETIRED).await?;
        fill_up(&mut tx, &self.sealer, now).await?;
        let known = read(&mut tx, &self.sealer, now).await?;
        tx.commit().await?;
        self.learn(known);
        Ok(())
    }

    async fn fresh(&self) -> Result<Arc<Known>, Error> {
        self.read_unless_newer_than(FRESH).await
    }

    async fn read_unless_newer_than(&self, age: Duration) -> Result<Arc<Known>, Error> {
        let now = self.clock.now();
        let known = self.known();
        if now - known.read_at < age {
            return Ok(known);
        }
        let mut tx = store::begin(&self.pool).await?;
        let known = read(&mut tx, &self.sealer, now).await?;
        Ok(self.learn(known))
    }

    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn learn(&self, known: Known) -> Arc<Known> {
        let known = Arc::new(known);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&known);
        known
    }
}

/// A validation that checks the signature and leaves every claim to the caller, whose clock it is.
pub(super) fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}

/// Makes the keys that are missing. The lock is taken only then: an ordinary start waits for nobody.
async fn fill_up(tx: &mut Tx, sealer: &Sealer, now: OffsetDateTime) -> Result<(), Error> {
    if missing(&store::key::list(tx.conn()).await?).is_empty() {
        return Ok(());
    }
    store::key::lock(tx).await?;
    for state in missing(&store::key::list(tx.conn()).await?) {
        store::key::insert(tx, &generate(state, sealer).await?, now).await?;
    }
    Ok(())
}

fn missing(keys: &[StoredKey]) -> Vec<State> {
    let absent = |state: &State| !keys.iter().any(|key| key.state == *state);
    [State::Active, State::Next].into_iter().filter(absent).collect()
}

async fn generate(state: State, sealer: &Sealer) -> Result<StoredKey, Error> {
    // Takes a good part of a second: not on a thread that serves requests.
    let pkcs8 = tokio::task::spawn_blocking(generate_pkcs8).await.map_err(|_| Error::Generate)??;
    let mut jwk = Jwk::from_encoding_key(&encoding_key(&pkcs8)?, Algorithm::RS256)?;
    let kid = jwk.thumbprint(ThumbprintHash::SHA256)?;
    jwk.common.key_id = Some(kid.clone());
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    let private_key = sealer.seal(&purpose(&kid), &pkcs8);
    Ok(StoredKey { state, private_key, public_key: serde_json::to_value(&jwk)?, kid })
}

fn generate_pkcs8() -> Result<Vec<u8>, Error> {
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| Error::Generate)?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| Error::Generate)?;
    Ok(der.as_ref().to_vec())
}

/// The JWT library takes PKCS#8 RSA keys as PEM only.
fn encoding_key(pkcs8: &[u8]) -> Result<EncodingKey, Error> {
    let body = STANDARD.encode(pkcs8);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    Ok(EncodingKey::from_rsa_pem(pem.as_bytes())?)
}

fn purpose(kid: &str) -> String {
    format!("signing_key.private_key.{kid}")
}

async fn read(tx: &mut Tx, sealer: &Sealer, now: OffsetDateTime) -> Result<Known, Error> {
    let keys = store::key::list(tx.conn()).await?;
    let active = keys.iter().find(|key| key.state == State::Active).ok_or(Error::NoActiveKey)?;
    let signing = encoding_key(&sealer.open(&purpose(&active.kid), &active.private_key)?)?;
    let signing_kid = active.kid.clone();
    let mut verifying = HashMap::new();
    let mut published = Vec::new();
    for key in keys {
        let jwk: Jwk = serde_json::from_value(key.public_key.clone())?;
        verifying.insert(key.kid, DecodingKey::from_jwk(&jwk)?);
        published.push(key.public_key);
    }
    Ok(Known { read_at: now, signing_kid, signing, verifying, published })
}
