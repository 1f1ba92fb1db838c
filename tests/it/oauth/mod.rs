//! The authorization server by itself: its router over a database of its own, with a clock that stands still.

mod accounts;
mod assertion;
mod authorize;
mod client_keys;
mod consent;
mod continue_as;
mod discovery;
mod federation;
mod frames;
mod keys;
mod login;
mod logout;
mod manage;
mod perimeter;
mod probes;
mod races;
mod recorded;
mod refresh;
mod register;
pub mod second_factor;
mod sessions;
mod token;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, header};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use sofa::clock::{Clock, ManualClock};
use sofa::config::{Config, ConsentPolicy};
use sofa::id::{new_uuid, random_token, token_digest};
use sofa::interaction::Engine;
use sofa::oauth::{OauthState, router};
use sofa::secret::Secret;
use sofa::store::client::{AuthMethod, Client, Role};
use sofa::store::context::ContextRow;
use sofa::store::user::User;
use sofa::store::{self, Tx};
use sofa::token::key_set::KeySet;
use sofa::token::password;
use sofa::web::peer::Peer;
use time::macros::datetime;
use tokio::sync::OnceCell;
use tower::ServiceExt;
use url::Url;
use uuid::Uuid;

use crate::support::db::{TestDb, db};
use crate::support::engine::{engine, sealer};

/// Where the server says it is.
pub const ISSUER: &str = "https://sofa.example";
/// Its FHIR base.
pub const FHIR: &str = "https://sofa.example/fhir";
/// Where every app here returns.
pub const REDIRECT: &str = "https://app.example/cb?keep=1";
/// Everybody's password.
pub const PASSWORD: &str = "correct horse battery staple";
/// The secret of the confidential app; it holds what makes naive decoders stumble.
pub const SECRET: &str = "s3cret:with%and+plus";
/// RFC 7636 appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

const EVERYTHING: &str = "launch launch/patient launch/encounter openid fhirUser profile offline_access online_access
    patient/*.cruds user/*.cruds system/*.cruds Context.write";

/// One key pair of the clients that sign, made once.
pub static CLIENT_KEY: LazyLock<(EncodingKey, Value)> = LazyLock::new(|| ec_key("k1"));
static HASH: OnceCell<String> = OnceCell::const_new();

/// A P-384 key and its public JWK.
pub fn ec_key(kid: &str) -> (EncodingKey, Value) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
    let key = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&key, Algorithm::ES384).unwrap()).unwrap();
    jwk["kid"] = json!(kid);
    (key, jwk)
}

/// The server under test.
pub struct Oauth {
    pub db: TestDb,
    pub clock: Arc<ManualClock>,
    pub engine: Engine,
    pub keys: Arc<KeySet>,
    router: Router,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{} {:?}", self.text, self.headers);
        self
    }

    /// Demands a JSON refusal with that code, kept by no cache.
    #[track_caller]
    pub fn refused(self, status: u16, error: &str) -> Self {
        let this = self.expect(status);
        let body = this.json();
        assert_eq!(body["error"], error, "{body}");
        assert!(body["error_description"].as_str().is_some_and(|text| text.is_ascii() && !text.is_empty()), "{body}");
        assert_eq!((this.header("cache-control"), this.header("pragma")), ("no-store", "no-cache"));
        assert_eq!(!this.header("www-authenticate").is_empty(), error == "invalid_client");
        this
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The parameters of a redirect back to the app.
    #[track_caller]
    pub fn back(&self) -> BTreeMap<String, String> {
        assert_eq!(self.status, 303, "{} {:?}", self.text, self.headers);
        let location = self.header("location");
        assert!(location.starts_with(REDIRECT), "{location}");
        Url::parse(location).unwrap().query_pairs().into_owned().collect()
    }

    /// The error code of a redirect back to the app, which must return the state.
    #[track_caller]
    pub fn back_error(&self) -> String {
        let back = self.back();
        assert_eq!(back.get("iss").map(String::as_str), Some(ISSUER), "{back:?}");
        assert!(!back.contains_key("code"), "{back:?}");
        assert_eq!(back.get("state").map(String::as_str), Some("st&te"), "{back:?}");
        back["error"].clone()
    }

    /// The code of a redirect back to the app.
    #[track_caller]
    pub fn code(&self) -> String {
        let back = self.back();
        let fixed = ["state", "keep", "iss"].map(|name| back[name].as_str());
        assert_eq!(fixed, ["st&te", "1", ISSUER], "{back:?}");
        back["code"].clone()
    }
}

impl Oauth {
    /// A server with the clients and users of this file.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// The same, with configuration laid over the defaults.
    pub async fn start_with(overrides: &str) -> Self {
        let db = db().await;
        let clock = Arc::new(ManualClock::at(datetime!(2026-01-01 12:00 UTC)));
        let mut config = Config::for_tests(overrides);
        config.server.public_url = ISSUER.to_owned();
        let pool = store::pool(db.options.clone(), &store::PoolLimits::from(&config.database));
        let engine = engine(pool, clock.clone(), config);
        let keys = KeySet::open(engine.pool.clone(), sealer(), clock.clone(), ISSUER.to_owned()).await.unwrap();
        let keys = keys.with_access_tokens(engine.config.oauth.access_token_algorithm).await.unwrap();
        let keys = Arc::new(keys);
        let state = OauthState::new(engine.clone(), keys.clone()).unwrap();
        let router = router(state);
        let this = Self { db, clock, engine, keys, router };
        this.seed().await;
        this
    }

    async fn seed(&self) {
        for client in [
            client("app", Role::App, AuthMethod::None),
            client("other-app", Role::App, AuthMethod::None),
            client("basic", Role::App, AuthMethod::ClientSecretBasic),
            client("signing", Role::App, AuthMethod::PrivateKeyJwt),
            client("service", Role::Service, AuthMethod::PrivateKeyJwt),
            client("poc", Role::Poc, AuthMethod::PrivateKeyJwt),
            Client { may_introspect: true, ..client("records", Role::App, AuthMethod::ClientSecretBasic) },
            client("basic-poc", Role::Poc, AuthMethod::ClientSecretBasic),
        ] {
            client.registration().check().unwrap();
            self.write(async |tx, now| store::client::insert(tx, &client, now).await).await;
        }
        let hash = HASH.get_or_init(async || password::hash(Secret::new(PASSWORD.into())).await.unwrap()).await;
        for user in [user("julie", 7, "4711", hash), user("max", 7, "4712", hash), user("guest", 8, "4713", hash)] {
            self.write(async |tx, now| store::user::insert(tx, &user, now).await).await;
        }
    }

    /// Writes in a transaction of its own.
    pub async fn write<T>(&self, act: impl AsyncFnOnce(&mut Tx, time::OffsetDateTime) -> store::Result<T>) -> T {
        let mut tx = store::begin(&self.db.pool).await.unwrap();
        let done = act(&mut tx, self.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        done
    }

    /// A launch with a patient and an encounter, changed by `change`; gives its launchID and its row.
    pub async fn launch(&self, change: impl FnOnce(&mut ContextRow)) -> (String, ContextRow) {
        let now = self.clock.now();
        let mut context = ContextRow {
            id: new_uuid(),
            tenant: 7,
            poc_client: "poc".into(),
            app_id: None,
            patient: Some("p-1".into()),
            encounter: Some("e-1".into()),
            fhir_context: vec!["ImagingStudy/i-1".into(), "Patient/p-1".into()],
            fhir_user: Some("Practitioner/dr-1".into()),
            need_patient_banner: Some(true),
            intent: Some("reconcile".into()),
            smart_style_url: Some("https://poc.example/style.json".into()),
            launch_tenant: Some("clinic-7".into()),
            owner_user: None,
            owner_named: false,
            owner_identifiers: Vec::new(),
            created_at: now,
            expires_at: now + Duration::from_secs(12 * 3600),
            cleared_at: None,
        };
        change(&mut context);
        let launch = random_token();
        self.write(async |tx, _| store::context::insert(tx, &context, &token_digest(&launch)).await).await;
        (launch, context)
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        Answer { status, headers, text: String::from_utf8(body.to_vec()).unwrap() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// Posts a form.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        let mut request =
            Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded;charset=UTF-8");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(encode(fields))).unwrap()).await
    }

    pub async fn token(&self, fields: &[(&str, &str)]) -> Answer {
        self.post("/token", fields, &[]).await
    }

    /// Signs `julie` in and gives the code that `client` gets for this launch and scope.
    pub async fn code(&self, client: &str, launch: &str, scope: &str) -> String {
        let mut browser = Browser::default();
        let request = with(&authorization(client), &[("launch", launch), ("scope", scope)]);
        browser.sign_in(self, &request, "julie", PASSWORD).await.code()
    }

    /// Exchanges a code of a public app.
    pub async fn exchange(&self, client: &str, code: &str) -> Answer {
        self.token(&with(&exchange(code), &[("client_id", client)])).await
    }

    /// A whole launch of the public app: the token response.
    pub async fn tokens(&self, scope: &str) -> Value {
        let (launch, _) = self.launch(|_| {}).await;
        let code = self.code("app", &launch, scope).await;
        self.exchange("app", &code).await.expect(200).json()
    }

    /// An access token of a client that acts for itself.
    pub async fn system_token(&self, client: &str) -> String {
        let assertion = assertion(self, client, &json!({}));
        let request =
            [vec![("grant_type", "client_credentials"), ("scope", "system/*.rs")], signed(&assertion).to_vec()];
        self.token(&request.concat()).await.expect(200).json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Whether an access token still works.
    pub async fn is_alive(&self, access_token: &str) -> bool {
        let header = basic("records", SECRET);
        let told = self.post("/introspect", &[("token", access_token)], &[("authorization", &header)]).await;
        told.expect(200).json()["active"] == json!(true)
    }

    /// Writes how many strangers were refused, as the worker does; gives the number of rows.
    pub async fn write_counts(&self) -> usize {
        self.engine.recorder.write_counts(self.clock.now(), false).await.unwrap()
    }

    /// How many audit rows say this.
    pub async fn audited(&self, action: &str, outcome: &str) -> i64 {
        let count = "select count(*) from audit where action = $1 and outcome = $2";
        sqlx::query_scalar(count).bind(action).bind(outcome).fetch_one(&self.db.pool).await.unwrap()
    }
}

/// A registered client of this file.
pub fn client(client_id: &str, role: Role, auth_method: AuthMethod) -> Client {
    Client {
        name: format!("The {client_id}"),
        tenant: if role == Role::Poc { 7 } else { 0 },
        auth_method,
        secret_digest: (auth_method == AuthMethod::ClientSecretBasic).then(|| token_digest(SECRET)),
        jwks: (auth_method == AuthMethod::PrivateKeyJwt).then(|| json!({ "keys": [CLIENT_KEY.1] })),
        redirect_uris: if role == Role::Service { Vec::new() } else { vec![REDIRECT.into()] },
        scope: EVERYTHING.into(),
        origins: vec!["https://app.example".into()],
        consent: ConsentPolicy::Never,
        ..Client::new(client_id, role)
    }
}

fn user(name: &str, tenant: i64, licence: &str, password_hash: &str) -> User {
    User {
        display_name: format!("Dr {name}"),
        tenant,
        identifiers: vec![("urn:licence".into(), licence.into())],
        ..User::new(name, password_hash)
    }
}

pub async fn user_id(server: &Oauth, name: &str) -> Uuid {
    let mut conn = server.db.pool.acquire().await.unwrap();
    store::user::find_by_name(&mut conn, name).await.unwrap().unwrap().id
}

/// A good authorization request but for `launch` and `scope`.
pub fn authorization(client: &str) -> Vec<(&str, &str)> {
    static CHALLENGE: LazyLock<String> = LazyLock::new(|| URL_SAFE_NO_PAD.encode(token_digest(VERIFIER)));
    vec![
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", REDIRECT),
        ("state", "st&te"),
        ("aud", FHIR),
        ("code_challenge", &CHALLENGE),
        ("code_challenge_method", "S256"),
    ]
}

/// A good exchange but for the client.
pub fn exchange(code: &str) -> Vec<(&str, &str)> {
    vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", REDIRECT), ("code_verifier", VERIFIER)]
}

/// `fields` with some replaced or added; an empty value takes a field away.
pub fn with<'a>(fields: &[(&'a str, &'a str)], changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let kept = fields.iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    kept.chain(changes.iter().filter(|(_, value)| !value.is_empty())).copied().collect()
}

pub fn encode(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

pub fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// A signed assertion of `client`, with claims changed by `changes` (null takes one away).
pub fn assertion(server: &Oauth, client: &str, changes: &Value) -> String {
    let exp = server.clock.now().unix_timestamp() + 300;
    let mut claims =
        json!({"iss": client, "sub": client, "aud": format!("{ISSUER}/token"), "exp": exp, "jti": random_token()});
    for (name, value) in changes.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    let mut header = Header::new(Algorithm::ES384);
    header.kid = Some("k1".into());
    jsonwebtoken::encode(&header, &claims, &CLIENT_KEY.0).unwrap()
}

/// The two fields that carry an assertion.
pub fn signed(assertion: &str) -> [(&str, &str); 2] {
    [("client_assertion_type", sofa::token::assertion::ASSERTION_TYPE), ("client_assertion", assertion)]
}

/// A browser: cookies and one language.
#[derive(Default)]
pub struct Browser {
    pub cookies: BTreeMap<String, String>,
    pub language: &'static str,
    /// The network address it sends from; empty is one the server does not know.
    pub address: &'static str,
    /// What it says of where a request comes from.
    pub headers: &'static [(&'static str, &'static str)],
}

impl Browser {
    async fn send(&mut self, server: &Oauth, request: Request<Body>) -> Answer {
        let (mut parts, body) = request.into_parts();
        // What another site's page posts goes without `Lax` cookies.
        let is_held_back = parts.method == "POST" && self.headers.contains(&("sec-fetch-site", "cross-site"));
        if !is_held_back {
            let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            parts.headers.insert(header::COOKIE, cookies.join("; ").parse().unwrap());
        }
        parts.headers.insert(header::ACCEPT_LANGUAGE, self.language.parse().unwrap());
        for (name, value) in self.headers {
            parts.headers.insert(*name, value.parse().unwrap());
        }
        if let Ok(address) = self.address.parse() {
            parts.extensions.insert(Peer(address));
        }
        let answer = server.send(Request::from_parts(parts, body)).await;
        for set in answer.headers.get_all(header::SET_COOKIE) {
            let (name, value) = set.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            match set.to_str().unwrap().contains("Max-Age=0") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        answer
    }

    pub async fn authorize(&mut self, server: &Oauth, request: &[(&str, &str)]) -> Answer {
        let uri = format!("/authorize?{}", encode(request));
        self.send(server, Request::get(uri).body(Body::empty()).unwrap()).await
    }

    pub async fn get(&mut self, server: &Oauth, path: &str) -> Answer {
        self.send(server, Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&mut self, server: &Oauth, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(server, request.body(Body::from(encode(fields))).unwrap()).await
    }

    /// Sends the login form of `page`.
    pub async fn fill_in(&mut self, server: &Oauth, page: &Answer, name: &str, password: &str) -> Answer {
        let request = form_token(page);
        let fields = [("request", request.as_str()), ("name", name), ("password", password), ("action", "sign-in")];
        self.post(server, "/login", &fields).await
    }

    /// Authorizes by way of the login form.
    pub async fn sign_in(&mut self, server: &Oauth, request: &[(&str, &str)], name: &str, password: &str) -> Answer {
        let page = self.authorize(server, request).await.expect(200);
        self.fill_in(server, &page, name, password).await
    }
}

/// The token in a login form.
#[track_caller]
pub fn form_token(page: &Answer) -> String {
    let (_, rest) = page.text.split_once("name=\"request\" value=\"").expect("a login form");
    rest.split('"').next().unwrap().to_owned()
}
