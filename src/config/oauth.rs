//! `[oauth]`

use std::time::Duration;

use serde::Deserialize;

use super::check::{Checked, demand, longer_than_zero};

/// What tokens can be signed with (RFC 7518).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SigningAlgorithm {
    /// RSA with SHA-256.
    Rs256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
}

/// The authorization server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oauth {
    /// What access tokens are signed with.
    pub access_token_algorithm: SigningAlgorithm,
    /// Lifetime of an access token of a launched app.
    #[serde(with = "humantime_serde")]
    pub access_token_ttl: Duration,
    /// Lifetime of an access token from `client_credentials`.
    #[serde(with = "humantime_serde")]
    pub service_token_ttl: Duration,
    /// Lifetime of an authorization code.
    #[serde(with = "humantime_serde")]
    pub code_ttl: Duration,
    /// Lifetime of a refresh token.
    #[serde(with = "humantime_serde")]
    pub refresh_token_ttl: Duration,
    /// How long a refresh token that was used may be sent again.
    #[serde(with = "humantime_serde")]
    pub refresh_grace: Duration,
    /// How long a grant can be renewed.
    #[serde(with = "humantime_serde")]
    pub grant_lifetime: Duration,
    /// How long a user stays signed in.
    #[serde(with = "humantime_serde")]
    pub session_ttl: Duration,
    /// How long a browser may be away before it must ask again.
    #[serde(with = "humantime_serde")]
    pub session_idle: Duration,
    /// Failed sign-ins within `login_window` before further ones are refused.
    pub login_attempts: u32,
    /// The time in which they are counted.
    #[serde(with = "humantime_serde")]
    pub login_window: Duration,
    /// How apps are registered at the command line that do not say how people are asked.
    pub consent_default: ConsentPolicy,
}

/// Whether people are asked before a client acts for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsentPolicy {
    /// They are not: the operator has decided for them.
    Never,
    /// At the first time, and again for what they were not asked about.
    Once,
    /// Every time.
    Always,
}

impl ConsentPolicy {
    /// The word stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Once => "once",
            Self::Always => "always",
        }
    }

    /// The policy of a word; `None` for any other word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Never, Self::Once, Self::Always].into_iter().find(|policy| policy.as_str() == word)
    }
}

impl Oauth {
    /// What one key alone cannot express.
    pub(super) fn check(&self) -> Checked {
        longer_than_zero(&[
            ("oauth.access_token_ttl", self.access_token_ttl),
            ("oauth.service_token_ttl", self.service_token_ttl),
            ("oauth.code_ttl", self.code_ttl),
            ("oauth.refresh_token_ttl", self.refresh_token_ttl),
            ("oauth.session_ttl", self.session_ttl),
            ("oauth.session_idle", self.session_idle),
            ("oauth.login_window", self.login_window),
        ])?;
        demand(self.refresh_grace <= Duration::from_mins(1), "oauth.refresh_grace", "must not be longer than 1m")?;
        let message = "must not be shorter than oauth.refresh_token_ttl";
        demand(self.grant_lifetime >= self.refresh_token_ttl, "oauth.grant_lifetime", message)?;
        demand(self.login_attempts >= 1, "oauth.login_attempts", "must be at least 1")?;
        // SMART wants no longer ones, and a retired key is believed for two days only.
        let hour = Duration::from_hours(1);
        demand(self.access_token_ttl <= hour, "oauth.access_token_ttl", "must not be longer than 1h")?;
        demand(self.service_token_ttl <= hour, "oauth.service_token_ttl", "must not be longer than 1h")?;
        demand(self.code_ttl <= Duration::from_mins(10), "oauth.code_ttl", "must not be longer than 10m")?;
        let message = "must not be shorter than oauth.access_token_ttl";
        demand(self.refresh_token_ttl >= self.access_token_ttl, "oauth.refresh_token_ttl", message)
    }
}
