//! The demonstration's clients and users, put into its own database. No other command registers them.

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use sqlx::PgPool;
use time::OffsetDateTime;

use super::credentials::Credentials;
use super::keys::ClientKey;
use super::sample;
use crate::config::ConsentPolicy;
use crate::id;
use crate::secret::Secret;
use crate::smart::client::LOOPBACK_PATTERNS;
use crate::store::client::{AuthMethod, Client, Role};
use crate::store::user::User;
use crate::store::{self, client, user};
use crate::token::password;

/// The client id of the simulated PoC.
pub const POC: &str = "demo-poc";
/// The client id of the Backend Services client.
pub const SERVICE: &str = "demo-service";
/// The client ids of the apps, by kind.
pub const APPS: [(&str, &str); 4] =
    [("public", "demo-public"), ("basic", "demo-basic"), ("es384", "demo-es384"), ("rs384", "demo-rs384")];
/// Where outside tools may have an app sent back to, besides any port and path of this machine.
pub const REDIRECT: &str = "http://app.test/cb";

/// The PoC's organisation.
const TENANT: i64 = 1;

/// HALO's two operations by their URLs and by the alias, Subscriptions, and reading.
const POC_SCOPE: &str = "http://fhir.infoway-inforoute.ca/io/HALO/OperationDefinition/set-context \
                         http://fhir.infoway-inforoute.ca/io/HALO/OperationDefinition/clear-context \
                         Context.write system/*.cruds";
const APP_SCOPE: &str = "launch launch/patient launch/encounter openid fhirUser profile offline_access online_access \
                         patient/*.cruds user/*.cruds";

/// A person who can sign in.
pub struct Person {
    /// What they type.
    pub name: String,
    /// Their password.
    pub password: String,
    /// What is shown.
    pub display_name: &'static str,
    /// Their shared Practitioner: `Type/id`.
    pub fhir_user: &'static str,
    /// System and value of their licence.
    pub identifier: (&'static str, &'static str),
}

impl Person {
    /// The Practitioner they are, as shared data.
    pub fn practitioner(&self) -> Value {
        let (family, given) = self.display_name.rsplit_once(' ').map_or(("", ""), |(given, family)| (family, given));
        json!({
            "resourceType": "Practitioner",
            "id": self.fhir_user.trim_start_matches("Practitioner/"),
            "identifier": [{ "system": self.identifier.0, "value": self.identifier.1 }],
            "active": true,
            "name": [{ "use": "official", "family": family, "given": [given.trim_start_matches("Dr. ")], "prefix": ["Dr."] }]
        })
    }
}

/// The two clinicians: the one of the sample context, and one who has nothing to do with it.
pub fn people(credentials: &Credentials) -> [Person; 2] {
    let person = |name: &str, display_name, fhir_user, identifier| Person {
        name: name.to_owned(),
        password: credentials.password.clone(),
        display_name,
        fhir_user,
        identifier,
    };
    [
        person("julie.jones", "Dr. Julie Jones", "Practitioner/demo-julie-jones", sample::JULIE_JONES),
        person("sam.roy", "Dr. Sam Roy", "Practitioner/demo-sam-roy", sample::SAM_ROY),
    ]
}

/// The sample app's client id. It names the port, because its redirect address and origin do, and those are exact.
pub fn sample_app_id(app_url: &str) -> String {
    format!("sample-app-{}", app_url.rsplit(':').next().unwrap_or_default())
}

/// Registers who is not registered yet. `app_url` is the sample app's origin.
pub async fn register(pool: &PgPool, credentials: &Credentials, app_url: &str, now: OffsetDateTime) -> Result<()> {
    let mut tx = store::begin(pool).await?;
    for made in clients(credentials, app_url)? {
        match client::find(tx.conn(), &made.client_id).await? {
            Some(old) if old == made => {}
            Some(old) => bail!("the client {} is registered otherwise; use --fresh", old.client_id),
            None => {
                made.registration().check().with_context(|| made.client_id.clone())?;
                client::insert(&mut tx, &made, now).await?;
            }
        }
    }
    for person in people(credentials) {
        if user::find_by_name(tx.conn(), &person.name).await?.is_none() {
            let made = User {
                display_name: person.display_name.to_owned(),
                tenant: TENANT,
                fhir_user: Some(person.fhir_user.to_owned()),
                identifiers: vec![(person.identifier.0.to_owned(), person.identifier.1.to_owned())],
                ..User::new(person.name, password::hash(Secret::new(person.password)).await?)
            };
            user::insert(&mut tx, &made, now).await?;
        }
    }
    Ok(tx.commit().await?)
}

fn clients(credentials: &Credentials, app_url: &str) -> Result<Vec<Client>> {
    let mut all = vec![
        with_key(client(POC, "Maple Street Family Clinic (simulated PoC)", Role::Poc, POC_SCOPE), &credentials.poc)?,
        with_key(client(SERVICE, "Demonstration service", Role::Service, "system/*.cruds"), &credentials.service)?,
    ];
    let mut sample = client(&sample_app_id(app_url), "Heart Rate (sample app)", Role::App, APP_SCOPE);
    // On this machine any program could stand there: only a demonstration asks nobody.
    sample.loopback_redirects = true;
    sample.redirect_uris = vec![format!("{app_url}/")];
    sample.origins = vec![app_url.to_owned()];
    all.push(sample);
    for (kind, client_id) in APPS {
        let mut app = client(client_id, &format!("Demonstration app ({kind})"), Role::App, APP_SCOPE);
        app.loopback_redirects = true;
        app.redirect_uris = std::iter::once(REDIRECT).chain(LOOPBACK_PATTERNS).map(str::to_owned).collect();
        app.origins = vec!["http://app.test".to_owned()];
        all.push(match kind {
            "basic" => Client {
                auth_method: AuthMethod::ClientSecretBasic,
                secret_digest: Some(id::token_digest(&credentials.app_secret)),
                ..app
            },
            "es384" => with_key(app, &credentials.app_es384)?,
            "rs384" => with_key(app, &credentials.app_rs384)?,
            _ => app,
        });
    }
    Ok(all)
}

fn client(client_id: &str, name: &str, role: Role, scope: &str) -> Client {
    Client {
        name: name.to_owned(),
        tenant: if role == Role::Poc { TENANT } else { 0 },
        scope: scope.to_owned(),
        // Its story has one form: the one to sign in with.
        consent: ConsentPolicy::Never,
        ..Client::new(client_id, role)
    }
}

fn with_key(client: Client, key: &ClientKey) -> Result<Client> {
    let jwks = json!({ "keys": [key.public_jwk()?] });
    Ok(Client { auth_method: AuthMethod::PrivateKeyJwt, jwks: Some(jwks), ..client })
}
