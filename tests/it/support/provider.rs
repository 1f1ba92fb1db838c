//! An upstream OpenID provider that says whatever a test wants it to say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;

/// As whom the server is registered there, and its secret.
pub const CLIENT: &str = "sofa at the provider";
pub const SECRET: &str = "a secret: with%signs+";

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    /// As it should be.
    Well,
    /// By a key of somebody else under the same name.
    ByAnother,
    /// With a byte changed.
    Broken,
    /// With the client's secret, which others may know.
    WithSecret,
    /// Not at all.
    Not,
}

/// What comes of a code.
struct Prepared {
    challenge: String,
    redirect_uri: String,
    answer: Value,
}

struct Shared {
    keys: Mutex<Vec<(String, EncodingKey, Value)>>,
    metadata: Mutex<Value>,
    codes: Mutex<HashMap<String, Prepared>>,
    user_info: Mutex<Value>,
    asked: Mutex<HashMap<&'static str, usize>>,
    is_down: Mutex<bool>,
}

/// The provider; it ends with the test's runtime.
#[derive(Clone)]
pub struct Provider {
    pub issuer: String,
    shared: Arc<Shared>,
}

impl Provider {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let metadata = json!({
            "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/jwks"),
            "userinfo_endpoint": format!("{issuer}/userinfo"), "end_session_endpoint": format!("{issuer}/end"),
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES384"],
            "authorization_response_iss_parameter_supported": true,
        });
        let shared = Arc::new(Shared {
            keys: Mutex::default(),
            metadata: Mutex::new(metadata),
            codes: Mutex::default(),
            user_info: Mutex::new(Value::Null),
            asked: Mutex::default(),
            is_down: Mutex::default(),
        });
        let this = Self { issuer, shared: shared.clone() };
        this.rotate("up-1");
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata_of))
            .route("/jwks", get(keys_of))
            .route("/token", post(token))
            .route("/userinfo", get(user_info))
            .with_state(shared);
        tokio::spawn(async move { axum::serve(listener, router).await });
        this
    }

    /// Signs with a new key of this name, and publishes no other.
    pub fn rotate(&self, kid: &str) {
        let (key, jwk) = crate::oauth::ec_key(kid);
        *self.shared.keys.lock().unwrap() = vec![(kid.to_owned(), key, jwk)];
    }

    /// Changes a member of its metadata; null takes it away.
    pub fn publish(&self, member: &str, value: Value) {
        let mut metadata = self.shared.metadata.lock().unwrap();
        match value {
            Value::Null => {
                metadata.as_object_mut().unwrap().remove(member);
            }
            value => metadata[member] = value,
        }
    }

    /// Answers nothing but 500, or works again.
    pub fn go_down(&self, is_down: bool) {
        *self.shared.is_down.lock().unwrap() = is_down;
    }

    /// What UserInfo says.
    pub fn tell(&self, user_info: Value) {
        *self.shared.user_info.lock().unwrap() = user_info;
    }

    /// How often an endpoint was asked.
    pub fn count(&self, endpoint: &'static str) -> usize {
        self.shared.asked.lock().unwrap().get(endpoint).copied().unwrap_or(0)
    }

    /// A JWT of that type.
    pub fn sign(&self, typ: &str, claims: &Value, signed: Signed) -> String {
        let keys = self.shared.keys.lock().unwrap();
        let (kid, key, _) = keys.first().unwrap();
        let header = |algorithm| Header { kid: Some(kid.clone()), typ: Some(typ.to_owned()), ..Header::new(algorithm) };
        match signed {
            Signed::Well => jsonwebtoken::encode(&header(Algorithm::ES384), claims, key).unwrap(),
            Signed::ByAnother => {
                jsonwebtoken::encode(&header(Algorithm::ES384), claims, &crate::oauth::ec_key(kid).0).unwrap()
            }
            Signed::Broken => {
                let token = jsonwebtoken::encode(&header(Algorithm::ES384), claims, key).unwrap();
                let (message, signature) = token.rsplit_once('.').unwrap();
                let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
                bytes[7] ^= 1;
                format!("{message}.{}", URL_SAFE_NO_PAD.encode(bytes))
            }
            Signed::WithSecret => {
                let key = EncodingKey::from_secret(SECRET.as_bytes());
                jsonwebtoken::encode(&header(Algorithm::HS256), claims, &key).unwrap()
            }
            Signed::Not => {
                let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
                format!("{}.{}.", part(&json!({"alg": "none", "typ": typ})), part(claims))
            }
        }
    }

    /// A person has signed in for the authorization request `url`: the code, which becomes `answer` at the token endpoint.
    pub fn code_for(&self, url: &Url, answer: Value) -> String {
        let sent: HashMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(sent["code_challenge_method"], "S256");
        let code = sofa::id::random_token();
        let prepared =
            Prepared { challenge: sent["code_challenge"].clone(), redirect_uri: sent["redirect_uri"].clone(), answer };
        self.shared.codes.lock().unwrap().insert(code.clone(), prepared);
        code
    }
}

impl Shared {
    fn ask(&self, endpoint: &'static str) -> Result<(), StatusCode> {
        *self.asked.lock().unwrap().entry(endpoint).or_default() += 1;
        if *self.is_down.lock().unwrap() { Err(StatusCode::INTERNAL_SERVER_ERROR) } else { Ok(()) }
    }
}

async fn metadata_of(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, StatusCode> {
    shared.ask("metadata")?;
    Ok(Json(shared.metadata.lock().unwrap().clone()))
}

async fn keys_of(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, StatusCode> {
    shared.ask("jwks")?;
    let keys = shared.keys.lock().unwrap();
    Ok(Json(json!({ "keys": keys.iter().map(|(_, _, jwk)| jwk).collect::<Vec<_>>() })))
}

/// Codes are good once, for whoever knows the secret and the verifier.
async fn token(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: String) -> Result<Response, StatusCode> {
    shared.ask("token")?;
    let form: HashMap<_, _> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(CLIENT), encoded(SECRET))));
    let refuse = |error: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
    if headers.get("authorization").is_none_or(|given| *given != basic) {
        return Ok(refuse("invalid_client"));
    }
    let Some(prepared) = shared.codes.lock().unwrap().remove(&form["code"]) else {
        return Ok(refuse("invalid_grant"));
    };
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, form["code_verifier"].as_bytes()));
    let fits = challenge == prepared.challenge && form["redirect_uri"] == prepared.redirect_uri;
    if !fits || form["grant_type"] != "authorization_code" {
        return Ok(refuse("invalid_grant"));
    }
    Ok(Json(prepared.answer).into_response())
}

async fn user_info(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Result<Json<Value>, StatusCode> {
    shared.ask("userinfo")?;
    if headers.get("authorization").is_none_or(|given| given != "Bearer upstream access") {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let told = shared.user_info.lock().unwrap().clone();
    if told.is_null() { Err(StatusCode::FORBIDDEN) } else { Ok(Json(told)) }
}
