//! The signing keys: made here, sealed in the database, shared by all replicas.
//!
//! Three states: `next` is published before it signs, `active` signs, `retired` only verifies. A rotation moves each
//! key one on, so a verifier that keeps the JWKS for a while never meets a signature it cannot check. A key that got into
//! wrong hands is withdrawn: from then on it is neither published nor believed, and what it signed is worth nothing.
//!
//! Each algorithm has keys of its own. RS256 is always there, because every OpenID Connect client must know it; access
//! tokens may be signed with ES384 instead.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::clock::SharedClock;
use crate::config::SigningAlgorithm;
use crate::secret::{NotOpened, Sealer};
use crate::store::audit::Entry;
use crate::store::key::{State, StoredKey};
use crate::store::{self, Tx};

/// How long a process trusts what it has read: the longest it goes on signing with, or believing, a key that another
/// process has retired or withdrawn.
const FRESH: Duration = Duration::from_secs(60);
/// The least time between two reads for keys nobody here knows, so that invented key ids cost no database load.
const RELOAD_AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// How long a retired key is published and believed: much longer than any token it can have signed lives.
pub const KEEP_RETIRED: Duration = Duration::from_secs(48 * 3600);

/// Keys could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("the signing keys in the database: {0}")]
    Sealed(#[from] NotOpened),
    #[error("the signing keys in the database hold no active key of the algorithm")]
    NoActiveKey,
    #[error("no key could be generated")]
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
    /// Of each algorithm, the active key.
    signing: HashMap<Algorithm, (String, EncodingKey)>,
    /// By key id; a key verifies with its own algorithm only.
    verifying: HashMap<String, (Algorithm, DecodingKey)>,
    published: Vec<Value>,
}

/// The issuer's keys, kept in memory and read again when they may have changed.
pub struct KeySet {
    pool: PgPool,
    sealer: Arc<Sealer>,
    clock: SharedClock,
    issuer: String,
    /// What access tokens are signed with.
    access: Algorithm,
    known: RwLock<Arc<Known>>,
    /// Of many requests that find the keys old, one reads them.
    reading: tokio::sync::Mutex<()>,
}

impl KeySet {
    /// Reads the keys, making an active and a next one where they are missing. `issuer` is the `iss` of every token.
    pub async fn open(pool: PgPool, sealer: Arc<Sealer>, clock: SharedClock, issuer: String) -> Result<Self, Error> {
        let now = clock.now();
        let mut tx = store::begin(&pool).await?;
        fill_up(&mut tx, &sealer, &[Algorithm::RS256], now).await?;
        let known = RwLock::new(Arc::new(read(&mut tx, &sealer, now).await?));
        tx.commit().await?;
        Ok(Self {
            pool,
            sealer,
            clock,
            issuer,
            access: Algorithm::RS256,
            known,
            reading: tokio::sync::Mutex::default(),
        })
    }

    /// The same, with access tokens signed with `algorithm`.
    pub async fn with_access_tokens(mut self, algorithm: SigningAlgorithm) -> Result<Self, Error> {
        self.access = match algorithm {
            SigningAlgorithm::Rs256 => Algorithm::RS256,
            SigningAlgorithm::Es384 => Algorithm::ES384,
        };
        let mut tx = store::begin(&self.pool).await?;
        fill_up(&mut tx, &self.sealer, &self.wanted(), self.clock.now()).await?;
        self.learn(read(&mut tx, &self.sealer, self.clock.now()).await?);
        tx.commit().await?;
        Ok(self)
    }

    /// The `iss` of every token.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The JWK set to publish (RFC 7517): bare public keys.
    pub async fn published(&self) -> Result<Value, Error> {
        Ok(json!({ "keys": self.fresh().await?.published }))
    }

    /// Signs `claims` as a JWT of that `typ`, with RS256.
    pub async fn sign<T: Serialize + Sync>(&self, typ: &str, claims: &T) -> Result<String, Error> {
        self.sign_with(Algorithm::RS256, typ, claims).await
    }

    /// Signs `claims` as an access token of that `typ`.
    pub(super) async fn sign_for_access<T: Serialize + Sync>(&self, typ: &str, claims: &T) -> Result<String, Error> {
        self.sign_with(self.access, typ, claims).await
    }

    /// [`KeySet::sign`], and the public key that verifies it, as a JWK.
    pub async fn sign_with_key<T: Serialize + Sync>(&self, typ: &str, claims: &T) -> Result<(String, Value), Error> {
        let jwt = self.sign(typ, claims).await?;
        let kid = jsonwebtoken::decode_header(&jwt)?.kid;
        let known = self.fresh().await?;
        let key = known.published.iter().find(|key| key["kid"].as_str() == kid.as_deref());
        Ok((jwt, key.cloned().ok_or(Error::NoActiveKey)?))
    }

    async fn sign_with<T: Serialize + Sync>(
        &self,
        algorithm: Algorithm,
        typ: &str,
        claims: &T,
    ) -> Result<String, Error> {
        let known = self.fresh().await?;
        let (kid, key) = known.signing.get(&algorithm).ok_or(Error::NoActiveKey)?;
        let mut header = Header::new(algorithm);
        header.typ = Some(typ.to_owned());
        header.kid = Some(kid.clone());
        Ok(jsonwebtoken::encode(&header, claims, key)?)
    }

    /// The claims of a JWT that one of our keys signed, of that `typ`. Says nothing of its issuer, audience or time.
    pub async fn verify<T: DeserializeOwned>(&self, typ: &str, jwt: &str) -> Result<T, VerifyError> {
        let header = jsonwebtoken::decode_header(jwt).map_err(|_| VerifyError::Invalid("it is not a JWT"))?;
        if header.typ.as_deref() != Some(typ) || header.crit.is_some() {
            return Err(VerifyError::Invalid("it is not a token of this kind"));
        }
        let kid = header.kid.ok_or(VerifyError::Invalid("it names no key"))?;
        // Also where nothing is ever signed: a key that was withdrawn is believed nowhere for longer.
        let mut known = self.fresh().await?;
        if !known.verifying.contains_key(&kid) {
            known = self.read_unless_newer_than(RELOAD_AT_MOST_EVERY).await?;
        }
        let (algorithm, key) = known.verifying.get(&kid).ok_or(VerifyError::Invalid("its key is unknown"))?;
        // The key says with what it signs, whatever the token says.
        let decoded = jsonwebtoken::decode(jwt, key, &signature_only(*algorithm));
        Ok(decoded.map_err(|_| VerifyError::Invalid("its signature is wrong"))?.claims)
    }

    /// Retires the active key of each algorithm, lets the next one sign and makes a new next one.
    pub async fn rotate(&self) -> Result<(), Error> {
        self.rotate_those(|_| true).await?;
        Ok(())
    }

    /// The same for keys that have signed for as long as `after` or longer; gives their number. Of many replicas that ask at
    /// once, one rotates.
    pub async fn rotate_after(&self, after: Duration) -> Result<usize, Error> {
        let now = self.clock.now();
        let due = |key: &StoredKey| key.active_since.unwrap_or(key.created_at) + after <= now;
        if !store::key::list(&mut *self.pool.acquire().await.map_err(store::Error::from)?, now)
            .await?
            .iter()
            .any(|key| key.state == State::Active && due(key))
        {
            return Ok(0);
        }
        self.rotate_those(due).await
    }

    async fn rotate_those(&self, due: impl Fn(&StoredKey) -> bool) -> Result<usize, Error> {
        let now = self.clock.now();
        let mut tx = store::begin(&self.pool).await?;
        store::key::lock(&mut tx).await?;
        let keys = store::key::list(tx.conn(), now).await?;
        let due: Vec<_> = keys.iter().filter(|key| key.state == State::Active && due(key)).collect();
        for key in &due {
            store::key::retire(&mut tx, &key.kid, now, now + KEEP_RETIRED).await?;
            store::key::activate(&mut tx, &key.algorithm, now).await?;
        }
        if !due.is_empty() {
            let kids: Vec<_> = due.iter().map(|key| key.kid.as_str()).collect();
            recorded(&mut tx, "key-rotate", &kids.join(" "), now).await?;
        }
        self.finish(tx, now).await?;
        Ok(due.len())
    }

    /// Withdraws a key: it is neither published nor believed from now on (other processes: within a minute). If it signed,
    /// the next one signs. `false` when no key has that id.
    pub async fn withdraw(&self, kid: &str) -> Result<bool, Error> {
        let now = self.clock.now();
        let mut tx = store::begin(&self.pool).await?;
        store::key::lock(&mut tx).await?;
        let keys = store::key::list(tx.conn(), now).await?;
        let Some(key) = keys.iter().find(|key| key.kid == kid) else { return Ok(false) };
        store::key::retire(&mut tx, kid, now, now).await?;
        if key.state == State::Active {
            store::key::activate(&mut tx, &key.algorithm, now).await?;
        }
        recorded(&mut tx, "key-retire", kid, now).await?;
        self.finish(tx, now).await?;
        Ok(true)
    }

    /// Fills the gaps, commits, and knows it.
    async fn finish(&self, mut tx: Tx, now: OffsetDateTime) -> Result<(), Error> {
        store::key::forget(&mut tx, now).await?;
        fill_up(&mut tx, &self.sealer, &self.wanted(), now).await?;
        let known = read(&mut tx, &self.sealer, now).await?;
        tx.commit().await?;
        self.learn(known);
        Ok(())
    }

    /// The algorithms that something is signed with.
    fn wanted(&self) -> Vec<Algorithm> {
        let mut wanted = vec![Algorithm::RS256];
        wanted.extend((self.access != Algorithm::RS256).then_some(self.access));
        wanted
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
        let _reading = self.reading.lock().await;
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

/// Tells the audit trail which keys sign no more.
async fn recorded(tx: &mut Tx, action: &'static str, kids: &str, now: OffsetDateTime) -> Result<(), store::Error> {
    let entry = Entry { action, outcome: "success", detail: Some(kids), ..Entry::default() };
    store::audit::append(tx.conn(), &entry, now).await
}

/// The claims of a JWT of that `typ` which `key` verifies, with RS256.
pub fn signature_of<T: DeserializeOwned + Clone>(typ: &str, jwt: &str, key: &DecodingKey) -> Option<T> {
    let header = jsonwebtoken::decode_header(jwt).ok()?;
    let is_of_type = header.typ.as_deref() == Some(typ) && header.crit.is_none();
    let decoded = jsonwebtoken::decode(jwt, key, &signature_only(Algorithm::RS256));
    decoded.ok().filter(|_| is_of_type).map(|decoded| decoded.claims)
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
async fn fill_up(tx: &mut Tx, sealer: &Sealer, wanted: &[Algorithm], now: OffsetDateTime) -> Result<(), Error> {
    if missing(&store::key::list(tx.conn(), now).await?, wanted).is_empty() {
        return Ok(());
    }
    store::key::lock(tx).await?;
    for (algorithm, state) in missing(&store::key::list(tx.conn(), now).await?, wanted) {
        store::key::insert(tx, &generate(algorithm, state, sealer, now).await?).await?;
    }
    Ok(())
}

fn missing(keys: &[StoredKey], wanted: &[Algorithm]) -> Vec<(Algorithm, State)> {
    let there = |algorithm, state| keys.iter().any(|key| key.state == state && key.algorithm == name(algorithm));
    let all = wanted.iter().flat_map(|algorithm| [(*algorithm, State::Active), (*algorithm, State::Next)]);
    all.filter(|(algorithm, state)| !there(*algorithm, *state)).collect()
}

/// The algorithm's name in RFC 7518.
const fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::ES384 => "ES384",
        _ => "RS256",
    }
}

async fn generate(
    algorithm: Algorithm,
    state: State,
    sealer: &Sealer,
    now: OffsetDateTime,
) -> Result<StoredKey, Error> {
    // Takes a good part of a second: not on a thread that serves requests.
    let pkcs8 = tokio::task::spawn_blocking(move || generate_pkcs8(algorithm)).await.map_err(|_| Error::Generate)??;
    let mut jwk = Jwk::from_encoding_key(&encoding_key(algorithm, &pkcs8)?, algorithm)?;
    let kid = jwk.thumbprint(ThumbprintHash::SHA256)?;
    jwk.common.key_id = Some(kid.clone());
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    Ok(StoredKey {
        algorithm: name(algorithm).to_owned(),
        state,
        private_key: sealer.seal(&purpose(&kid), &pkcs8),
        public_key: serde_json::to_value(&jwk)?,
        created_at: now,
        active_since: (state == State::Active).then_some(now),
        published_until: None,
        kid,
    })
}

fn generate_pkcs8(algorithm: Algorithm) -> Result<Vec<u8>, Error> {
    if algorithm == Algorithm::ES384 {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).map_err(|_| Error::Generate)?;
        return Ok(pair.to_pkcs8v1().map_err(|_| Error::Generate)?.as_ref().to_vec());
    }
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| Error::Generate)?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| Error::Generate)?;
    Ok(der.as_ref().to_vec())
}

/// The JWT library takes PKCS#8 RSA keys as PEM only, and those of elliptic curves as they are.
fn encoding_key(algorithm: Algorithm, pkcs8: &[u8]) -> Result<EncodingKey, Error> {
    if algorithm == Algorithm::ES384 {
        return Ok(EncodingKey::from_ec_der(pkcs8));
    }
    let body = STANDARD.encode(pkcs8);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    Ok(EncodingKey::from_rsa_pem(pem.as_bytes())?)
}

fn purpose(kid: &str) -> String {
    format!("signing_key.private_key.{kid}")
}

async fn read(tx: &mut Tx, sealer: &Sealer, now: OffsetDateTime) -> Result<Known, Error> {
    let (mut signing, mut verifying, mut published) = (HashMap::new(), HashMap::new(), Vec::new());
    for key in store::key::list(tx.conn(), now).await? {
        let algorithm = if key.algorithm == name(Algorithm::ES384) { Algorithm::ES384 } else { Algorithm::RS256 };
        if key.state == State::Active {
            let opened = sealer.open(&purpose(&key.kid), &key.private_key)?;
            signing.insert(algorithm, (key.kid.clone(), encoding_key(algorithm, &opened)?));
        }
        let jwk: Jwk = serde_json::from_value(key.public_key.clone())?;
        verifying.insert(key.kid, (algorithm, DecodingKey::from_jwk(&jwk)?));
        published.push(key.public_key);
    }
    if !signing.contains_key(&Algorithm::RS256) {
        return Err(Error::NoActiveKey);
    }
    Ok(Known { read_at: now, signing, verifying, published })
}
