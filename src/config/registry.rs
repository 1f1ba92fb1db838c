//! `[registry]`

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::ConsentPolicy;
use super::check::{Checked, demand, longer_than_zero};

/// Registered clients, and where their keys may be fetched from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// Whether keys may be fetched from `http://` addresses.
    pub allow_http: bool,
    /// Whether they may be fetched from private, loopback and link-local addresses.
    pub allow_private_addresses: bool,
    /// The only hosts they may be fetched from; empty means any.
    pub allowed_hosts: Vec<String>,
    /// The longest a fetch may take.
    #[serde(with = "humantime_serde")]
    pub fetch_timeout: Duration,
    /// Whether an assertion must be meant for this server alone.
    pub strict_assertion_audience: bool,
    /// Whether clients may register themselves.
    pub dynamic: bool,
    /// The widest scope of an app that registered itself.
    pub dynamic_scope: String,
    /// Clients that are registered by this file.
    pub clients: Vec<ConfiguredClient>,
}

/// A client that is registered by the configuration file. Secrets are named by files only: lists are printed unmasked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfiguredClient {
    /// What the client sends as `client_id`.
    pub id: String,
    /// What it is: `app`, `poc` or `service`.
    pub role: String,
    /// What people see; its id if not given.
    pub name: Option<String>,
    /// The organisation of a PoC.
    #[serde(default)]
    pub tenant: i64,
    /// How it proves who it is; as is usual for its role if not given.
    pub auth: Option<String>,
    /// A file with its secret, for `client_secret_basic`.
    pub secret_file: Option<PathBuf>,
    /// A file with its public keys, for `private_key_jwt`.
    pub jwks_file: Option<PathBuf>,
    /// Where it publishes them instead.
    pub jwks_uri: Option<String>,
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    #[serde(default)]
    pub launch_urls: Vec<String>,
    /// The widest scope it may be granted; what is usual for its role if not given.
    pub scope: Option<String>,
    /// Those of its redirect URIs if not given.
    pub origins: Option<Vec<String>>,
    #[serde(default)]
    pub frame_ancestors: Vec<String>,
    #[serde(default)]
    pub post_logout_redirect_uris: Vec<String>,
    pub backchannel_logout_uri: Option<String>,
    #[serde(default)]
    pub may_introspect: bool,
    /// Whether people are asked what it may do for them; `oauth.consent_default` if not given.
    pub consent: Option<ConsentPolicy>,
}

impl Registry {
    /// What one key alone cannot express.
    pub(super) fn check(&self) -> Checked {
        longer_than_zero(&[("registry.fetch_timeout", self.fetch_timeout)])?;
        for (at, client) in self.clients.iter().enumerate() {
            let twice = self.clients[..at].iter().any(|earlier| earlier.id == client.id);
            demand(!twice, "registry.clients", format!("{:?} is given twice", client.id))?;
        }
        Ok(())
    }
}
