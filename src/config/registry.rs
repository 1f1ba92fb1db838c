//! `[registry]`

use std::time::Duration;

use serde::Deserialize;

use super::check::{Checked, longer_than_zero};

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
}

impl Registry {
    /// What one key alone cannot express.
    pub(super) fn check(&self) -> Checked {
        longer_than_zero(&[("registry.fetch_timeout", self.fetch_timeout)])
    }
}
