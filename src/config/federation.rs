//! `[federation]`

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::check::{Checked, demand, longer_than_zero};

/// Upstream OpenID providers, and where they may be.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Federation {
    /// Whether providers may be at `http://` addresses.
    pub allow_http: bool,
    /// Whether they may be at private, loopback and link-local addresses.
    pub allow_private_addresses: bool,
    /// The only hosts they may be at; empty means any.
    pub allowed_hosts: Vec<String>,
    /// The longest one call to a provider may take.
    #[serde(with = "humantime_serde")]
    pub fetch_timeout: Duration,
    /// The providers.
    pub providers: Vec<Provider>,
}

/// An upstream provider. Secrets are named by files only: lists are printed unmasked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Its name in addresses and rows: small letters, digits, hyphens.
    pub id: String,
    /// Its name on the button; its id if not given.
    pub name_en: Option<String>,
    /// The same in French; the English one if not given.
    pub name_fr: Option<String>,
    /// Its `iss`, from which its metadata are discovered.
    pub issuer: String,
    /// As whom this server is registered there.
    pub client_id: String,
    /// A file with this server's secret there; without one it is a public client there, with PKCE alone.
    pub client_secret_file: Option<PathBuf>,
    /// What is asked for besides `openid`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Whose people it may vouch for: the organisations' numbers; 0 for people of no organisation in particular.
    pub tenants: Vec<i64>,
    /// Whoever types a name at one of these domains is sent there.
    #[serde(default)]
    pub email_domains: Vec<String>,
    /// The claim shown to people as the person's name.
    #[serde(default = "name")]
    pub name_claim: String,
    /// The claim with the person's licence number or the like.
    pub identifier_claim: Option<String>,
    /// The system of that identifier.
    pub identifier_system: Option<String>,
    /// The claim with the person as a FHIR resource, `Type/id`.
    pub fhir_user_claim: Option<String>,
    /// The claim with the number of the person's organisation; needed where there are several.
    pub tenant_claim: Option<String>,
    /// Whether a person who comes for the first time gets an account.
    #[serde(default)]
    pub create_users: bool,
    /// Whether such a person is recognised by the identifier, where exactly one account of the organisation has it.
    #[serde(default)]
    pub link_by_identifier: bool,
    /// Whether its organisations' people sign in there and nowhere else.
    #[serde(default)]
    pub exclusive: bool,
    /// One of these must be among the token's `amr`; any way to sign in will do if empty.
    #[serde(default)]
    pub require_amr: Vec<String>,
}

fn name() -> String {
    "name".to_owned()
}

impl Provider {
    /// Whether it vouches for people of this organisation.
    pub fn serves(&self, tenant: i64) -> bool {
        self.tenants.contains(&tenant)
    }

    fn check(&self) -> Result<(), String> {
        let is_word = |text: &str| {
            (1..=40).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        let wrong = if !is_word(&self.id) {
            "the id has to be of small letters, digits and hyphens, 40 at most"
        } else if self.tenants.is_empty() || self.tenants.iter().any(|tenant| *tenant < 0) {
            "tenants has to name the organisations whose people it vouches for (0: of none in particular)"
        } else if self.tenants.len() > 1 && self.tenant_claim.is_none() {
            "with several tenants, tenant_claim has to say to which of them a person belongs"
        } else if self.identifier_claim.is_some() != self.identifier_system.is_some() {
            "identifier_claim and identifier_system belong together"
        } else if self.link_by_identifier && self.identifier_claim.is_none() {
            "link_by_identifier needs identifier_claim"
        } else if self.exclusive && self.tenants.contains(&0) {
            "exclusive is for organisations: without tenant 0, whose operators need another way in"
        } else if self.email_domains.iter().any(|domain| domain.contains('@') || domain.is_empty()) {
            "email_domains are written without @"
        } else {
            return Ok(());
        };
        Err(wrong.to_owned())
    }
}

impl Federation {
    /// What one key alone cannot express.
    pub(super) fn check(&self) -> Checked {
        let key = "federation.providers";
        longer_than_zero(&[("federation.fetch_timeout", self.fetch_timeout)])?;
        for (at, provider) in self.providers.iter().enumerate() {
            let earlier = &self.providers[..at];
            let twice = earlier.iter().any(|earlier| earlier.id == provider.id);
            demand(!twice, key, format!("{:?} is given twice", provider.id))?;
            // An identity is an issuer and a subject; which organisation it belongs to must not depend on the button.
            let shared = earlier.iter().any(|earlier| earlier.issuer == provider.issuer);
            demand(!shared, key, format!("{:?}: its issuer is another provider's too", provider.id))?;
            let checked = provider.check();
            demand(checked.is_ok(), key, format!("{:?}: {}", provider.id, checked.err().unwrap_or_default()))?;
        }
        Ok(())
    }
}
