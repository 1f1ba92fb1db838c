//! Registered clients: apps, point-of-care systems and backend services.

use std::collections::HashSet;

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Result, Tx};
use crate::config::ConsentPolicy;
pub use crate::smart::client::{AuthMethod, Role, Source};
use crate::smart::client::{Registration, is_loopback};
use crate::smart::scope::ScopeSet;

const INSERT: &str = "insert into client (client_id, name, role, tenant, auth_method, jwks, jwks_uri, redirect_uris,
    loopback_redirects, scope, origins, launch_urls, frame_ancestors, post_logout_redirect_uris, backchannel_logout_uri,
    source, may_introspect, enabled, created_at, updated_at, consent)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $19, $20)";
// A client whose id, role and source are these; what it is stays what it is.
const UPDATE: &str = "update client set name = $2, tenant = $4, auth_method = $5, jwks = $6, jwks_uri = $7,
    redirect_uris = $8, loopback_redirects = $9, scope = $10, origins = $11, launch_urls = $12, frame_ancestors = $13,
    post_logout_redirect_uris = $14, backchannel_logout_uri = $15, may_introspect = $17, enabled = $18, updated_at = $19,
    consent = $20
  where client_id = $1 and role = $3 and source = $16";
const FIND: &str = "select client_id, name, role, tenant, auth_method,
    (select digest from client_secret s where s.client_id = c.client_id order by created_at desc, digest limit 1)
      as secret_digest,
    jwks, jwks_uri, redirect_uris, loopback_redirects, scope, origins, launch_urls, frame_ancestors,
    post_logout_redirect_uris, backchannel_logout_uri, source, may_introspect, enabled, consent
  from client c where client_id = $1";
const LIST: &str = "select client_id, name, role, tenant, auth_method,
    (select digest from client_secret s where s.client_id = c.client_id order by created_at desc, digest limit 1)
      as secret_digest,
    jwks, jwks_uri, redirect_uris, loopback_redirects, scope, origins, launch_urls, frame_ancestors,
    post_logout_redirect_uris, backchannel_logout_uri, source, may_introspect, enabled, consent
  from client c order by client_id";
const IS_ENABLED: &str = "select exists (select 1 from client where client_id = $1 and enabled)";
const HOLD: &str = "select 1 from client where client_id = $1 for share";
const NAME: &str = "select name from client where client_id = $1";
const SET_ENABLED: &str = "update client set enabled = $2, updated_at = $3 where client_id = $1";
const DELETE: &str = "delete from client where client_id = $1";
const LEAVE_OUT: &str = "update client set enabled = false, left_out = true, updated_at = $2
  where source = 'config' and not left_out and client_id <> all ($1) returning client_id";
const BRING_BACK: &str = "update client set enabled = true, left_out = false, updated_at = $2
  where client_id = $1 and left_out";
// Held to the end of the transaction: one process at a time brings the registry in line with its configuration file.
const LOCK: &str = "select pg_advisory_xact_lock(hashtextextended('sofa.client', 0))";
const ORIGINS: &str = "select distinct origin from client, unnest(origins) as origin where enabled";
const ANY_LOOPBACK: &str = "select exists (select 1 from client where enabled and loopback_redirects)";

/// A registered client.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// What the client sends; for an app also its `appID`.
    pub client_id: String,
    /// What people see.
    pub name: String,
    /// What the client is.
    pub role: Role,
    /// The organisation of a PoC (above 0); 0 for apps and services.
    pub tenant: i64,
    /// How it proves who it is.
    pub auth_method: AuthMethod,
    /// [`crate::id::token_digest`] of the newest secret, for `client_secret_basic`. Whether a secret holds says
    /// [`super::client_secret::holds`].
    pub secret_digest: Option<Vec<u8>>,
    /// Public keys (RFC 7517 set), for `private_key_jwt`.
    pub jwks: Option<Value>,
    /// Where the keys are published instead.
    pub jwks_uri: Option<String>,
    /// Where authorizations may be sent, exactly.
    pub redirect_uris: Vec<String>,
    /// Whether patterns such as `http://127.0.0.1:*` count in `redirect_uris`. Demonstrations only.
    pub loopback_redirects: bool,
    /// The widest scope it may be granted, space-separated.
    pub scope: String,
    /// Web origins whose pages may call the server, `https://host[:port]`.
    pub origins: Vec<String>,
    /// Where a point-of-care system may launch the app; for people.
    pub launch_urls: Vec<String>,
    /// Of a PoC: web origins whose pages may show ours in a frame.
    pub frame_ancestors: Vec<String>,
    /// Where a browser may be sent after signing out, exactly.
    pub post_logout_redirect_uris: Vec<String>,
    /// Where it wants to be told that its user signed out.
    pub backchannel_logout_uri: Option<String>,
    /// How it was registered.
    pub source: Source,
    /// Whether it may ask about tokens of others: a resource server.
    pub may_introspect: bool,
    /// A disabled client gets no token, and its tokens have stopped working.
    pub enabled: bool,
    /// Whether people are asked before it acts for them.
    pub consent: ConsentPolicy,
}

impl Client {
    /// An enabled client with nothing in it yet, named by its id. It proves itself as is usual for its role: apps are
    /// public, all others sign; and people are asked whether an app may act for them, while a PoC is their own system.
    pub fn new(client_id: impl Into<String>, role: Role) -> Self {
        let client_id = client_id.into();
        Self {
            name: client_id.clone(),
            client_id,
            role,
            tenant: 0,
            auth_method: if role == Role::App { AuthMethod::None } else { AuthMethod::PrivateKeyJwt },
            secret_digest: None,
            jwks: None,
            jwks_uri: None,
            redirect_uris: Vec::new(),
            loopback_redirects: false,
            scope: String::new(),
            origins: Vec::new(),
            launch_urls: Vec::new(),
            frame_ancestors: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            backchannel_logout_uri: None,
            source: Source::Cli,
            may_introspect: false,
            enabled: true,
            consent: if role == Role::App { ConsentPolicy::Once } else { ConsentPolicy::Never },
        }
    }

    /// The parts that [`Registration::check`] judges; whoever registers a client calls it first.
    pub fn registration(&self) -> Registration<'_> {
        Registration {
            client_id: &self.client_id,
            role: self.role,
            tenant: self.tenant,
            auth_method: self.auth_method,
            has_secret: self.secret_digest.is_some(),
            jwks: self.jwks.as_ref(),
            jwks_uri: self.jwks_uri.as_deref(),
            redirect_uris: &self.redirect_uris,
            loopback_redirects: self.loopback_redirects,
            scope: &self.scope,
            origins: &self.origins,
            launch_urls: &self.launch_urls,
            frame_ancestors: &self.frame_ancestors,
            post_logout_redirect_uris: &self.post_logout_redirect_uris,
            backchannel_logout_uri: self.backchannel_logout_uri.as_deref(),
        }
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    client_id: String,
    name: String,
    role: String,
    tenant: i64,
    auth_method: String,
    secret_digest: Option<Vec<u8>>,
    jwks: Option<Value>,
    jwks_uri: Option<String>,
    redirect_uris: Vec<String>,
    loopback_redirects: bool,
    scope: String,
    origins: Vec<String>,
    launch_urls: Vec<String>,
    frame_ancestors: Vec<String>,
    post_logout_redirect_uris: Vec<String>,
    backchannel_logout_uri: Option<String>,
    source: String,
    may_introspect: bool,
    enabled: bool,
    consent: String,
}

impl TryFrom<Row> for Client {
    type Error = super::Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            role: role(&row.role)?,
            auth_method: AuthMethod::parse(&row.auth_method).ok_or_else(|| unknown_word(&row.auth_method))?,
            consent: ConsentPolicy::parse(&row.consent).ok_or_else(|| unknown_word(&row.consent))?,
            client_id: row.client_id,
            name: row.name,
            tenant: row.tenant,
            secret_digest: row.secret_digest,
            jwks: row.jwks,
            jwks_uri: row.jwks_uri,
            redirect_uris: row.redirect_uris,
            loopback_redirects: row.loopback_redirects,
            scope: row.scope,
            origins: row.origins,
            launch_urls: row.launch_urls,
            frame_ancestors: row.frame_ancestors,
            post_logout_redirect_uris: row.post_logout_redirect_uris,
            backchannel_logout_uri: row.backchannel_logout_uri,
            source: Source::parse(&row.source).ok_or_else(|| unknown_word(&row.source))?,
            may_introspect: row.may_introspect,
            enabled: row.enabled,
        })
    }
}

/// The role a row names; the column's check constraint admits no other word.
pub(super) fn role(word: &str) -> Result<Role> {
    Role::parse(word).ok_or_else(|| unknown_word(word))
}

fn unknown_word(word: &str) -> super::Error {
    sqlx::Error::Decode(format!("unknown word {word:?} in a client row").into()).into()
}

/// Registers a client, with its secret if it has one. Fails with [`super::Error::is_duplicate`] when the id is taken.
pub async fn insert(tx: &mut Tx, client: &Client, now: OffsetDateTime) -> Result<()> {
    write(tx, INSERT, client, now).await?;
    if let Some(digest) = &client.secret_digest {
        super::client_secret::insert(tx, &client.client_id, digest, now).await?;
    }
    Ok(())
}

/// Stores what has changed of a client; its secrets are not touched. `false` when there is none of that id, role and
/// source: these never change.
pub async fn update(tx: &mut Tx, client: &Client, now: OffsetDateTime) -> Result<bool> {
    Ok(write(tx, UPDATE, client, now).await? == 1)
}

async fn write(tx: &mut Tx, statement: &'static str, client: &Client, now: OffsetDateTime) -> Result<u64> {
    let done = sqlx::query(statement)
        .bind(&client.client_id)
        .bind(&client.name)
        .bind(client.role.as_str())
        .bind(client.tenant)
        .bind(client.auth_method.as_str())
        .bind(&client.jwks)
        .bind(&client.jwks_uri)
        .bind(&client.redirect_uris)
        .bind(client.loopback_redirects)
        .bind(&client.scope)
        .bind(&client.origins)
        .bind(&client.launch_urls)
        .bind(&client.frame_ancestors)
        .bind(&client.post_logout_redirect_uris)
        .bind(&client.backchannel_logout_uri)
        .bind(client.source.as_str())
        .bind(client.may_introspect)
        .bind(client.enabled)
        .bind(now)
        .bind(client.consent.as_str())
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected())
}

/// The client of that id, also a disabled one.
pub async fn find(conn: &mut PgConnection, client_id: &str) -> Result<Option<Client>> {
    let row: Option<Row> = sqlx::query_as(FIND).bind(client_id).fetch_optional(conn).await?;
    row.map(Client::try_from).transpose()
}

/// Whether there is a client of that id and it is enabled.
pub async fn is_enabled(conn: &mut PgConnection, client_id: &str) -> Result<bool> {
    Ok(sqlx::query_scalar(IS_ENABLED).bind(client_id).fetch_one(conn).await?)
}

/// Keeps a client as it is until this transaction ends.
pub async fn hold(tx: &mut Tx, client_id: &str) -> Result<()> {
    sqlx::query(HOLD).bind(client_id).execute(tx.conn()).await?;
    Ok(())
}

/// What people see of a client.
pub async fn name(conn: &mut PgConnection, client_id: &str) -> Result<Option<String>> {
    Ok(sqlx::query_scalar(NAME).bind(client_id).fetch_optional(conn).await?)
}

/// All clients, by id.
pub async fn list(conn: &mut PgConnection) -> Result<Vec<Client>> {
    let rows: Vec<Row> = sqlx::query_as(LIST).fetch_all(conn).await?;
    rows.into_iter().map(Client::try_from).collect()
}

/// Ends all that was granted to a client by its earlier registration, where the new one is narrower: it allows less, or
/// demands a proof where there was none. Gives the number of grants.
pub async fn end_wider(tx: &mut Tx, old: &Client, new: &Client, now: OffsetDateTime) -> Result<u64> {
    let before = ScopeSet::parse(&old.scope);
    let proves_now = old.auth_method == AuthMethod::None && new.auth_method != AuthMethod::None;
    if before.is_within(&ScopeSet::parse(&new.scope)) && !proves_now {
        return Ok(0);
    }
    super::grant::revoke_by_client(tx, &new.client_id, now).await
}

/// Switches a client on or off. `false` when there is none of that id.
pub async fn set_enabled(tx: &mut Tx, client_id: &str, enabled: bool, now: OffsetDateTime) -> Result<bool> {
    let done = sqlx::query(SET_ENABLED).bind(client_id).bind(enabled).bind(now).execute(tx.conn()).await?;
    Ok(done.rows_affected() == 1)
}

/// Switches a client off and ends all that was granted to it, and to apps in launches of it, so that nothing comes back when
/// it is switched on. `false` when there is none of that id.
pub async fn disable(tx: &mut Tx, client_id: &str, now: OffsetDateTime) -> Result<bool> {
    let known = set_enabled(tx, client_id, false, now).await?;
    super::grant::revoke_by_client(tx, client_id, now).await?;
    super::grant::revoke_by_launcher(tx, client_id, now).await?;
    Ok(known)
}

/// Removes a client with its secrets and everything that was granted to it. `false` when there is none of that id.
pub async fn delete(tx: &mut Tx, client_id: &str) -> Result<bool> {
    super::grant::delete_by_client(tx, client_id).await?;
    Ok(sqlx::query(DELETE).bind(client_id).execute(tx.conn()).await?.rows_affected() == 1)
}

/// Makes other processes wait that bring the registry in line with their configuration file.
pub async fn lock(tx: &mut Tx) -> Result<()> {
    sqlx::query(LOCK).execute(tx.conn()).await?;
    Ok(())
}

/// Switches off the clients of the configuration file that it no longer names, and gives their ids.
pub async fn leave_out(tx: &mut Tx, named: &[String], now: OffsetDateTime) -> Result<Vec<String>> {
    let gone: Vec<String> = sqlx::query_scalar(LEAVE_OUT).bind(named).bind(now).fetch_all(tx.conn()).await?;
    for client_id in &gone {
        super::grant::revoke_by_client(tx, client_id, now).await?;
        super::grant::revoke_by_launcher(tx, client_id, now).await?;
    }
    Ok(gone)
}

/// Switches a client on again that the configuration file had left out. `false` when it had not.
pub async fn bring_back(tx: &mut Tx, client_id: &str, now: OffsetDateTime) -> Result<bool> {
    Ok(sqlx::query(BRING_BACK).bind(client_id).bind(now).execute(tx.conn()).await?.rows_affected() == 1)
}

/// The web origins whose pages may call this server.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    named: HashSet<String>,
    /// Those of this machine, which a demonstration client's patterns mean.
    loopback: bool,
}

impl Origins {
    /// Whether some enabled client registered this one.
    pub fn hold(&self, origin: &str) -> bool {
        self.named.contains(origin) || (self.loopback && is_loopback(origin))
    }
}

/// The web origins of all enabled clients.
pub async fn origins(conn: &mut PgConnection) -> Result<Origins> {
    let named: Vec<String> = sqlx::query_scalar(ORIGINS).fetch_all(&mut *conn).await?;
    let loopback = sqlx::query_scalar(ANY_LOOPBACK).fetch_one(conn).await?;
    Ok(Origins { named: named.into_iter().collect(), loopback })
}

const FRAME_ANCESTORS: &str =
    "select c.frame_ancestors from context x join client c on c.client_id = x.poc_client where x.id = $1";

/// The origins of the point-of-care system that made a context: its pages may show ours in a frame.
pub async fn frame_ancestors(conn: &mut PgConnection, context: Option<Uuid>) -> Result<Vec<String>> {
    let Some(context) = context else { return Ok(Vec::new()) };
    let found: Option<Vec<String>> = sqlx::query_scalar(FRAME_ANCESTORS).bind(context).fetch_optional(conn).await?;
    Ok(found.unwrap_or_default())
}
