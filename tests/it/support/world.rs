//! A server as its clients and its operator see it: an address, and a database in which to register people.

use std::sync::{Arc, OnceLock};

use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use sofa::clock::{SharedClock, SystemClock};
use sofa::config::ConsentPolicy;
use sofa::store::client::{AuthMethod, Client, Role};
use sofa::store::user::User;
use sofa::store::{self, client, user};
use time::OffsetDateTime;

use super::answer::Answer;
use super::app::SampleApp;
use super::db::TestDb;
use super::key::Key;
use super::poc::PointOfCare;
use super::receiver::Receiver;
use super::session::{Session, http};

/// The password of every user of these tests.
pub const PASSWORD: &str = "correct horse battery staple";

/// Where apps of these tests are sent back to; nothing listens there.
pub const REDIRECT: &str = "http://app.test/cb";

/// An address and what lies behind it.
pub struct World {
    /// Issuer: `http://127.0.0.1:<port>`.
    pub url: String,
    pub fhir: String,
    pub db: TestDb,
    pub http: reqwest::Client,
    clock: SharedClock,
}

impl World {
    /// A server at `url` on `db` that tells the time by `clock`.
    pub fn new(url: String, db: TestDb, clock: SharedClock) -> Self {
        Self { fhir: format!("{url}/fhir"), url, db, http: http(), clock }
    }

    /// The same with the machine's clock.
    pub fn in_real_time(url: String, db: TestDb) -> Self {
        Self::new(url, db, Arc::new(SystemClock))
    }

    /// What the server takes for the present.
    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// Someone without a token.
    pub fn stranger(&self) -> Session {
        Session { http: self.http.clone(), fhir: self.fhir.clone(), token: None }
    }

    /// A point-of-care system of organisation `tenant`, with a token that allows everything a PoC may do.
    pub async fn poc(&self, client_id: &str, tenant: i64) -> PointOfCare {
        PointOfCare::register(self, client_id, tenant).await
    }

    /// The usual cast: a PoC whose active Subscription leads to a receiver that accepts.
    pub async fn subscribed_poc(&self, client_id: &str, tenant: i64) -> (PointOfCare, Receiver) {
        let (poc, receiver) = (self.poc(client_id, tenant).await, Receiver::start().await);
        poc.subscribe(&receiver).await;
        (poc, receiver)
    }

    /// A public app that may ask for everything an app may have.
    pub async fn app(&self, client_id: &str) -> SampleApp {
        self.app_with_scope(client_id, super::app::WIDEST).await
    }

    /// A public app registered for `scope` at most.
    pub async fn app_with_scope(&self, client_id: &str, scope: &str) -> SampleApp {
        let client = Client {
            redirect_uris: vec![REDIRECT.to_owned()],
            scope: scope.to_owned(),
            ..unregistered(client_id, Role::App, 0, AuthMethod::None)
        };
        self.register(&client).await;
        SampleApp::new(self, client_id)
    }

    /// A backend service with its token: it writes the jurisdiction's shared data.
    pub async fn service(&self, client_id: &str) -> Session {
        self.service_with(client_id, "system/*.cruds").await
    }

    /// The same with this scope.
    pub async fn service_with(&self, client_id: &str, scope: &str) -> Session {
        let key = Key::es384("service-key");
        let client = Client {
            jwks: Some(key.jwks.clone()),
            scope: scope.to_owned(),
            ..unregistered(client_id, Role::Service, 0, AuthMethod::PrivateKeyJwt)
        };
        self.register(&client).await;
        let answer = self.client_credentials(client_id, &key, scope).await.expect(200);
        self.stranger().with_token(answer.json()["access_token"].as_str())
    }

    /// A token request with `client_credentials` and a signed assertion.
    pub async fn client_credentials(&self, client_id: &str, key: &Key, scope: &str) -> Answer {
        let endpoint = format!("{}/token", self.url);
        let assertion = key.assertion(client_id, &endpoint, self.now());
        let form = [
            ("grant_type", "client_credentials"),
            ("scope", scope),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", &assertion),
        ];
        let response = self.http.post(&endpoint).form(&form).send().await.expect("an answer");
        Answer::read(format!("POST /token for {client_id}"), response).await
    }

    /// Registers a client directly.
    pub async fn register(&self, client: &Client) {
        client.registration().check().expect("a registration this server would take");
        let mut tx = store::begin(&self.db.pool).await.expect("a transaction");
        client::insert(&mut tx, client, self.now()).await.expect("a new client");
        tx.commit().await.expect("a commit");
    }

    /// A user of organisation `tenant` (0: any) who can sign in with [`PASSWORD`].
    pub async fn user(&self, name: &str, tenant: i64) -> User {
        self.user_known_as(name, tenant, &[]).await
    }

    /// A user whose accounts carries these (system, value) identifiers.
    pub async fn user_known_as(&self, name: &str, tenant: i64, identifiers: &[(&str, &str)]) -> User {
        let user = User {
            display_name: format!("Dr {name}"),
            tenant,
            identifiers: identifiers
                .iter()
                .map(|(system, value)| ((*system).to_owned(), (*value).to_owned()))
                .collect(),
            ..User::new(name, password_hash())
        };
        let mut tx = store::begin(&self.db.pool).await.expect("a transaction");
        user::insert(&mut tx, &user, self.now()).await.expect("a new user");
        tx.commit().await.expect("a commit");
        user
    }

    /// How many rows `sql` (a `select count(*) …`) counts.
    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.db.pool).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }
}

/// A client with nothing in it yet, about which nobody is asked.
pub fn unregistered(client_id: &str, role: Role, tenant: i64, auth_method: AuthMethod) -> Client {
    let consent = ConsentPolicy::Never;
    Client { name: format!("The {client_id}"), tenant, auth_method, consent, ..Client::new(client_id, role) }
}

/// The hash of [`PASSWORD`], cheap and made once: these tests are not about its cost.
fn password_hash() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| {
        let cheap = Params::new(Params::MIN_M_COST, 1, 1, None).expect("parameters");
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, cheap);
        argon2.hash_password(PASSWORD.as_bytes()).expect("a hash").to_string()
    })
}
