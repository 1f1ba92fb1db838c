//! `[accounts]`

use serde::Deserialize;

use super::check::{Checked, demand};

/// Accounts with a password of this server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    /// Who needs a second factor.
    pub second_factor: SecondFactor,
    /// A new password of fewer characters is refused.
    pub shortest_password: usize,
}

/// Who needs a second factor, unless the account says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecondFactor {
    /// Whoever has one.
    Optional,
    /// Everybody: who has none sets one up at the next sign-in.
    Required,
}

impl Accounts {
    /// What one key alone cannot express.
    pub(super) fn check(&self) -> Checked {
        let message = "must be from 8 to 128";
        demand((8..=128).contains(&self.shortest_password), "accounts.shortest_password", message)
    }
}
