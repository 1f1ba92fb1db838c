//! `[limits]`

use serde::Deserialize;

/// How many requests a minute are answered; 0 is no limit.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Of one address, at the authorization server.
    pub oauth_per_address: u32,
    /// Of one client that proved who it is, at the authorization server.
    pub oauth_per_client: u32,
    /// Sign-in forms that one address may open.
    pub sign_ins_per_address: u32,
    /// Of one address, at the FHIR API.
    pub fhir_per_address: u32,
}
