//! `sofa client add`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::RoleName;
use crate::cli::database;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConsentPolicy};
use crate::smart::registration::{origins_of, usual_scope};
use crate::store::client::{AuthMethod, Client, Role};
use crate::{id, store};

pub(super) const HELP: &str = "Examples:\n  \
  sofa client add growth-chart --role app --name \"Growth chart\" --redirect-uri https://app.example/cb\n  \
  sofa client add clinic --role poc --tenant 7 --auth private_key_jwt --jwks-uri https://clinic.example/jwks.json\n  \
  sofa client add lab --role service --jwks-file lab.jwks.json\n\n\
  With --auth client_secret_basic the secret is generated and printed once: it is not stored.\n  \
  An app may see the patient of its launch only, unless --scope says more (user/*.rs: all of the launch,\n  \
  and the shared patients that its user could pick). Conditions narrow a scope (patient/Observation.rs?category=laboratory).";

#[derive(Args)]
pub(in crate::cli) struct Add {
    /// What the client will send as `client_id`
    id: String,
    /// What the client is
    #[arg(long, value_enum)]
    role: RoleName,
    /// What people see on the login page; the id if not given
    #[arg(long)]
    name: Option<String>,
    /// How it proves who it is. Default: `none` for an app, `private_key_jwt` for others
    #[arg(long, value_enum)]
    auth: Option<AuthName>,
    /// The organisation of a point-of-care system: a number above 0
    #[arg(long, default_value_t = 0)]
    tenant: i64,
    /// Where authorizations may be sent; may be given several times
    #[arg(long = "redirect-uri", value_name = "URI")]
    redirect_uris: Vec<String>,
    /// Where a point-of-care system may launch the app; may be given several times
    #[arg(long = "launch-url", value_name = "URL")]
    launch_urls: Vec<String>,
    /// The widest scope it may be granted. The default fits the role
    #[arg(long)]
    scope: Option<String>,
    /// Its public keys, for private_key_jwt: a file with a JWK set (RFC 7517)
    #[arg(long, value_name = "FILE", conflicts_with = "jwks_uri")]
    jwks_file: Option<PathBuf>,
    /// Where it publishes its public keys instead
    #[arg(long, value_name = "URL")]
    jwks_uri: Option<String>,
    /// Web origin whose pages may call the server; may be given several times. Default: those of its redirect URIs
    #[arg(long = "origin", value_name = "ORIGIN")]
    origins: Vec<String>,
    /// Web origin of a point-of-care system whose pages may show this server's pages in a frame; may be given several times
    #[arg(long = "frame-ancestor", value_name = "ORIGIN")]
    frame_ancestors: Vec<String>,
    /// Where a browser may be sent after signing out; may be given several times
    #[arg(long = "post-logout-redirect-uri", value_name = "URI")]
    post_logout_redirect_uris: Vec<String>,
    /// Where it wants to be told that its user signed out
    #[arg(long, value_name = "URL")]
    backchannel_logout_uri: Option<String>,
    /// It may ask /introspect about tokens of others, as itself or with a token: a resource server
    #[arg(long)]
    may_introspect: bool,
    /// For an app: whether people are asked what it may do for them. Default: oauth.consent_default
    #[arg(long, value_enum)]
    consent: Option<ConsentName>,
}

#[derive(Clone, Copy, ValueEnum)]
enum AuthName {
    /// Public client, held by PKCE alone
    None,
    /// HTTP Basic with a secret that is generated here
    #[value(name = "client_secret_basic")]
    ClientSecretBasic,
    /// Signed assertion (RFC 7523)
    #[value(name = "private_key_jwt")]
    PrivateKeyJwt,
}

#[derive(Clone, Copy, ValueEnum)]
pub(in crate::cli) enum ConsentName {
    /// Nobody is asked
    Never,
    /// At the first time, and again for more
    Once,
    /// Every time
    Always,
}

impl From<ConsentName> for ConsentPolicy {
    fn from(name: ConsentName) -> Self {
        match name {
            ConsentName::Never => Self::Never,
            ConsentName::Once => Self::Once,
            ConsentName::Always => Self::Always,
        }
    }
}

/// What a client with fixed keys has to be told (SMART App Launch 2.1.0, "Registering a client": the server should remind
/// it to send updates).
pub(super) const REMINDER: &str = "Its keys stay as they are now: ask it to send you new ones before it stops using \
                                   these (`sofa client keys`), or to publish them (`--jwks-uri`).";

pub(super) async fn run(add: Add, config: Config) -> Result<()> {
    // Everything that can be refused is, before a database is started for it.
    let (client, secret) = add.client(config.oauth.consent_default)?;
    super::check(&client, &config)?;
    let opened = database::open(config).await?;
    let mut tx = store::begin(&opened.pool).await?;
    match store::client::insert(&mut tx, &client, SystemClock.now()).await {
        Err(error) if error.is_duplicate() => bail!("there is a client {} already", client.client_id),
        done => done?,
    }
    super::audit(&mut tx, "client-add", &client).await?;
    tx.commit().await?;
    println!("registered {}", client.client_id);
    if let Some(secret) = secret {
        super::print_secret("client_secret", &secret);
    }
    if client.jwks.is_some() {
        println!("{REMINDER}");
    }
    Ok(())
}

impl Add {
    /// The client to store, and its new secret.
    fn client(self, consent_default: ConsentPolicy) -> Result<(Client, Option<String>)> {
        let role = Role::from(self.role);
        let usual = Client::new(self.id, role);
        let auth_method = match self.auth {
            Some(AuthName::None) => AuthMethod::None,
            Some(AuthName::ClientSecretBasic) => AuthMethod::ClientSecretBasic,
            Some(AuthName::PrivateKeyJwt) => AuthMethod::PrivateKeyJwt,
            None => usual.auth_method,
        };
        let secret = (auth_method == AuthMethod::ClientSecretBasic).then(id::random_token);
        let client = Client {
            consent: match self.consent {
                Some(consent) => consent.into(),
                None if role == Role::App => consent_default,
                None => usual.consent,
            },
            name: self.name.unwrap_or(usual.name),
            tenant: self.tenant,
            auth_method,
            secret_digest: secret.as_deref().map(id::token_digest),
            jwks: self.jwks_file.as_deref().map(read_jwks).transpose()?,
            jwks_uri: self.jwks_uri,
            origins: if self.origins.is_empty() { origins_of(&self.redirect_uris) } else { self.origins },
            redirect_uris: self.redirect_uris,
            launch_urls: self.launch_urls,
            scope: self.scope.unwrap_or_else(|| usual_scope(role).to_owned()),
            frame_ancestors: self.frame_ancestors,
            post_logout_redirect_uris: self.post_logout_redirect_uris,
            backchannel_logout_uri: self.backchannel_logout_uri,
            may_introspect: self.may_introspect,
            ..usual
        };
        Ok((client, secret))
    }
}

/// A key set from a file.
pub(super) fn read_jwks(path: &Path) -> Result<Value> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(role: RoleName) -> Add {
        Add {
            id: "c".to_owned(),
            role,
            name: None,
            auth: None,
            tenant: 0,
            redirect_uris: vec!["https://app.example/cb".to_owned(), "https://app.example/other".to_owned()],
            launch_urls: Vec::new(),
            scope: None,
            jwks_file: None,
            jwks_uri: None,
            origins: Vec::new(),
            frame_ancestors: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            backchannel_logout_uri: None,
            may_introspect: false,
            consent: None,
        }
    }

    #[test]
    fn an_app_is_public_and_held_to_its_patient_unless_told_otherwise() {
        let (client, secret) = add(RoleName::App).client(ConsentPolicy::Always).unwrap();
        assert_eq!((client.auth_method, secret), (AuthMethod::None, None));
        assert_eq!(client.origins, ["https://app.example"]);
        assert_eq!(client.consent, ConsentPolicy::Always);
        assert!(client.scope.contains("patient/*.cruds") && !client.scope.contains("user/"));
        client.registration().check().unwrap();
    }

    #[test]
    fn a_secret_is_generated_and_only_its_digest_stored() {
        let (client, secret) =
            Add { auth: Some(AuthName::ClientSecretBasic), ..add(RoleName::App) }.client(ConsentPolicy::Once).unwrap();
        assert_eq!(client.secret_digest, Some(id::token_digest(&secret.unwrap())));
        client.registration().check().unwrap();
    }

    #[test]
    fn a_poc_needs_keys_and_a_tenant() {
        let (client, _) = add(RoleName::Poc).client(ConsentPolicy::Always).unwrap();
        assert_eq!(client.consent, ConsentPolicy::Never, "the operator's default is for apps");
        assert!(client.registration().check().is_err());
    }
}
