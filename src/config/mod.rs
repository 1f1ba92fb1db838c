//! Configuration: defaults, file, environment, flags.
//!
//! `config/default.toml` is the reference: it is built in, names every key and is the only source of defaults.
//! [`load`] lays a file, environment variables and flags over it, resolves `…_file` keys and checks the whole.

mod accounts;
mod audit;
mod check;
mod federation;
mod keys;
mod limits;
mod load;
mod oauth;
mod registry;
mod standalone;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

pub use accounts::{Accounts, SecondFactor};
pub use audit::{Audit, OnFailure};
pub use federation::{Federation, Provider};
pub use keys::Keys;
pub use limits::Limits;
pub use load::{Error, Flag, Sources, load};
pub use oauth::{ConsentPolicy, Oauth, SigningAlgorithm};
pub use registry::{ConfiguredClient, Registry};
pub use standalone::{SharedPatients, Standalone};

use crate::secret::Secret;
use crate::telemetry::Format;

/// The text of `config/default.toml`.
pub const DEFAULT: &str = include_str!("../../config/default.toml");

/// Everything an operator may decide. Each key is explained in `config/default.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[database]`
    pub database: Database,
    /// `[embedded]`
    pub embedded: Embedded,
    /// `[security]`
    pub security: Security,
    /// `[fhir]`
    pub fhir: Fhir,
    /// Limits of searches.
    pub search: Search,
    /// `[validation]`
    pub validation: Validation,
    /// `[context]`
    pub context: Context,
    /// `[delivery]`
    pub delivery: Delivery,
    /// `[events]`
    pub events: Events,
    /// `[oauth]`
    pub oauth: Oauth,
    /// `[limits]`
    pub limits: Limits,
    /// `[keys]`
    pub keys: Keys,
    /// `[standalone]`
    pub standalone: Standalone,
    /// `[registry]`
    pub registry: Registry,
    /// `[audit]`
    pub audit: Audit,
    /// `[accounts]`
    pub accounts: Accounts,
    /// `[federation]`
    pub federation: Federation,
    /// `[log]`
    pub log: Log,
    /// What [`Config::masked_toml`] prints: the merged table, secrets already masked.
    #[serde(skip)]
    shown: toml::Table,
}

/// The listener and the address clients know.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Issuer, without a slash at the end. The FHIR base is this plus `/fhir`.
    pub public_url: String,
    /// Whether `public_url` may be `http://` off this machine.
    pub insecure_public_url: bool,
    /// PEM certificate chain; set together with `tls_key`.
    pub tls_cert: Option<PathBuf>,
    /// PEM private key.
    pub tls_key: Option<PathBuf>,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The longest a request may take.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// How long requests in flight may go on after a stop signal.
    #[serde(with = "humantime_serde")]
    pub shutdown_grace: Duration,
}

impl Server {
    /// Whether clients reach it over TLS, which a gateway may end.
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https:")
    }

    /// The FHIR base URL, without a slash at the end.
    pub fn fhir_base(&self) -> String {
        format!("{}/fhir", self.public_url)
    }
}

/// The pool.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Postgres URL; none means the embedded Postgres.
    pub url: Option<Secret<String>>,
    /// The most connections of this process.
    pub max_connections: u32,
    /// How long a request waits for a connection.
    #[serde(with = "humantime_serde")]
    pub acquire_timeout: Duration,
    /// The longest one statement may run.
    #[serde(with = "humantime_serde")]
    pub statement_timeout: Duration,
    /// Whether the server starts where Postgres does not keep callers apart.
    pub row_level_security: RowLevelSecurity,
}

/// Whether Postgres must keep callers apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowLevelSecurity {
    /// It must; otherwise there is no start.
    Require,
    /// Whatever role connects.
    Off,
}

/// The embedded Postgres.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Embedded {
    /// Where its data is kept; none means the launcher's own choice.
    pub data_dir: Option<PathBuf>,
    /// Where `initdb` and `postgres` are; none means look for them.
    pub bin_dir: Option<PathBuf>,
}

/// Secrets of the deployment.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Security {
    /// 32 bytes, base64. Always set with `database.url`; with the embedded Postgres it may be generated.
    pub master_key: Option<Secret<String>>,
}

/// Limits and choices of the FHIR API.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fhir {
    /// Whether PUT may create.
    pub update_create: UpdateCreate,
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// The deepest nesting of a resource.
    pub max_depth: usize,
    /// The most entries in a Bundle.
    pub max_bundle_entries: usize,
}

/// Limits of searches.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// Matches on a page without `_count`.
    pub page_size: usize,
    /// Matches on a page at most.
    pub max_page_size: usize,
    /// Included resources on a page at most.
    pub max_included: usize,
}

/// Whether PUT may create a resource under an id the client chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpdateCreate {
    /// Never.
    Off,
    /// Only shared resources, by a service client.
    Shared,
    /// Everyone who may create.
    All,
}

/// What resources are checked against.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validation {
    /// FHIR packages: `.tgz` files and folders.
    pub packages: Vec<PathBuf>,
    /// Where they are kept in compiled form.
    pub package_cache: Option<PathBuf>,
    /// What happens to a resource that breaks CA Core+.
    pub ca_core: CaCore,
    /// What happens to a resource that names a profile nobody knows.
    pub unknown_profile: UnknownProfile,
}

/// What happens to a resource that breaks the rules of CA Core+ for its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CaCore {
    /// It is refused.
    Enforce,
    /// It is accepted with a warning.
    Warn,
    /// Nobody looks.
    Off,
}

/// What happens to a resource that names a profile which is in no package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownProfile {
    /// It is accepted with a warning.
    Warn,
    /// It is refused.
    Reject,
}

/// Contexts made by `$set-context`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// How long a context lives.
    #[serde(with = "humantime_serde")]
    pub ttl: Duration,
    /// How long a new authorization may begin; zero means as long as the context lives.
    #[serde(with = "humantime_serde")]
    pub launch_window: Duration,
    /// Whether `appID` must be given.
    pub require_app_id: bool,
    /// Who may own a launch that names nobody.
    pub owner: OwnerPolicy,
    /// Whether a user of no organisation in particular may own such a launch too.
    pub unowned_by_any_organisation: bool,
    /// The resource types `$set-context` may create; none means the server's list.
    pub resource_types: Option<Vec<String>>,
}

/// Who may own a launch that names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OwnerPolicy {
    /// The first user who completes an authorization.
    FirstUser,
    /// Nobody.
    Strict,
}

/// Notifications to point-of-care systems.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// The longest a receiver may take to answer.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// A write by an app whose PoC has no active Subscription.
    pub without_subscriber: WithoutSubscriber,
    /// The most events in one notification.
    pub max_count: u32,
    /// How long a process may be silent before another takes its intent over; longer than `timeout`.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    /// How long a write waits for an earlier write to the same resource.
    #[serde(with = "humantime_serde")]
    pub lock_wait: Duration,
    /// Whether `http://` endpoints are allowed.
    pub allow_http: bool,
    /// Whether private, loopback and link-local addresses are allowed.
    pub allow_private_addresses: bool,
    /// Allowed hosts; empty means any.
    pub allowed_hosts: Vec<String>,
}

/// What happens to a write by an app whose PoC has no active Subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WithoutSubscriber {
    /// 503.
    Refuse,
    /// Stored, and nobody is told.
    Accept,
}

/// Kept events.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// How long events are kept for `$events`.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
}

/// Log output.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Shape of a line.
    pub format: Format,
    /// `tracing` filter.
    pub filter: String,
}

impl Config {
    /// The defaults with `overrides` (TOML of the same shape) laid over them; neither files nor the environment are read.
    pub fn from_toml(overrides: &str) -> Result<Self, Error> {
        load::from_text(overrides)
    }

    /// [`Config::from_toml`] with what a test server needs: a fixed master key, and receivers on loopback over HTTP.
    ///
    /// # Panics
    /// When `overrides` is not a valid configuration.
    #[doc(hidden)]
    #[expect(clippy::panic, reason = "for tests only")]
    pub fn for_tests(overrides: &str) -> Self {
        match load::for_tests(overrides) {
            Ok(config) => config,
            Err(error) => panic!("{error}"),
        }
    }

    /// The effective configuration as TOML, secrets masked as `"***"`. Keys that are not set are left out.
    pub fn masked_toml(&self) -> String {
        self.shown.to_string()
    }
}
