//! `[keys]`

use std::time::Duration;

use serde::Deserialize;

use super::check::{Checked, demand};

/// The keys that sign tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// How long a key signs; zero is for ever.
    #[serde(with = "humantime_serde")]
    pub rotate_every: Duration,
}

impl Keys {
    /// What one key alone cannot express.
    pub(super) fn check(&self) -> Checked {
        // The next key must be known to everybody who keeps a copy of the JWKS before it signs.
        let message = "must be 0s or at least 1day";
        demand(
            self.rotate_every.is_zero() || self.rotate_every >= Duration::from_hours(24),
            "keys.rotate_every",
            message,
        )
    }
}
