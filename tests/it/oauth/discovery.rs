//! Discovery, keys and CORS.

use axum::body::Body;
use axum::http::Request;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use super::{FHIR, ISSUER, Oauth, REDIRECT, assertion, authorization, exchange, signed, with};

const SMART: &str = "/fhir/.well-known/smart-configuration";

#[tokio::test]
async fn both_documents_are_json_for_anyone_whatever_they_accept() {
    let server = Oauth::start().await;
    for path in [SMART, "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/jwks"] {
        let preflight = Request::options(path).header("origin", "https://x.test");
        let preflight = preflight.header("access-control-request-method", "GET").body(Body::empty()).unwrap();
        let preflight = server.send(preflight).await.expect(200);
        assert_eq!(preflight.header("access-control-allow-origin"), "*", "{path}");
        for accept in ["application/fhir+xml", "text/html", "*/*"] {
            let request = Request::get(path).header("accept", accept).header("origin", "https://x.test");
            let answer = server.send(request.body(Body::empty()).unwrap()).await.expect(200);
            assert_eq!(answer.header("content-type"), "application/json", "{path}");
            assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
        }
    }
    let smart = server.get(SMART).await.json();
    let openid = server.get("/.well-known/openid-configuration").await.json();
    assert_eq!((&smart["issuer"], &openid["issuer"]), (&json!(ISSUER), &json!(ISSUER)));
    assert_eq!(server.get("/.well-known/oauth-authorization-server").await.json(), openid);
    assert_eq!(smart["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(smart["jwks_uri"], format!("{ISSUER}/jwks"));
    for grant_type in ["authorization_code", "client_credentials"] {
        assert!(smart["grant_types_supported"].as_array().unwrap().contains(&json!(grant_type)), "{grant_type}");
    }
    // Of a client that signs, both are demanded.
    let methods = smart["token_endpoint_auth_methods_supported"].as_array().unwrap();
    assert!(methods.contains(&json!("private_key_jwt")), "{methods:?}");
    assert_eq!(smart["token_endpoint_auth_signing_alg_values_supported"], json!(["RS384", "ES384"]));
    let clinician_ehr_launch = [
        "launch-ehr",
        "client-public",
        "client-confidential-symmetric",
        "context-ehr-patient",
        "context-ehr-encounter",
        "permission-user",
        "permission-patient",
        // Then, and only then, there is an issuer.
        "sso-openid-connect",
    ];
    for capability in clinician_ehr_launch {
        assert!(smart["capabilities"].as_array().unwrap().contains(&json!(capability)), "{capability}");
    }
}

#[tokio::test]
async fn the_published_keys_have_no_private_part_and_outlive_a_rotation() {
    let server = Oauth::start().await;
    let before = server.tokens("launch openid patient/*.rs").await;
    let first = server.get("/jwks").await.json();
    assert_eq!(first["keys"].as_array().unwrap().len(), 2);
    for key in first["keys"].as_array().unwrap() {
        let mut names: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["alg", "e", "kid", "kty", "n", "use"]);
        assert_eq!((&key["kty"], &key["alg"], &key["use"]), (&json!("RSA"), &json!("RS256"), &json!("sig")));
    }
    server.keys.rotate().await.unwrap();
    let second = server.get("/jwks").await.json();
    assert_eq!(second["keys"].as_array().unwrap().len(), 3);
    // Who kept an ID token of before finds its key by the kid in its header.
    let id_token = before["id_token"].as_str().unwrap();
    let kid = jsonwebtoken::decode_header(id_token).unwrap().kid.expect("a kid");
    let jwk = second["keys"].as_array().unwrap().iter().find(|key| key["kid"] == json!(kid)).expect("its key");
    let key = DecodingKey::from_jwk(&serde_json::from_value(jwk.clone()).unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&["app"]);
    validation.validate_exp = false;
    assert_eq!(jsonwebtoken::decode::<Value>(id_token, &key, &validation).unwrap().claims["iss"], ISSUER);
    let now = server.tokens("launch openid").await;
    let header = jsonwebtoken::decode_header(now["id_token"].as_str().unwrap()).unwrap();
    assert_ne!(header.kid.expect("a kid"), kid);
    let after = server.tokens("launch patient/*.rs").await;
    for tokens in [before, after] {
        assert!(server.is_alive(tokens["access_token"].as_str().unwrap()).await);
    }
}

#[tokio::test]
async fn the_token_endpoint_answers_pages_of_registered_origins_only() {
    let server = Oauth::start().await;
    let ask = async |origin: &str, method: &str| {
        let request = Request::builder().uri("/token").method(method).header("origin", origin);
        let request = request.header("access-control-request-method", "POST").body(Body::empty()).unwrap();
        server.send(request).await.header("access-control-allow-origin").to_owned()
    };
    for method in ["OPTIONS", "POST"] {
        assert_eq!(ask("https://app.example", method).await, "https://app.example", "{method}");
        for stranger in ["https://evil.example", "https://app.example.evil.example", "http://app.example", "null"] {
            assert_eq!(ask(stranger, method).await, "", "{method} {stranger}");
        }
    }
    let (launch, _) = server.launch(|_| {}).await;
    let code = server.code("app", &launch, "launch patient/*.rs").await;
    let fields = with(&exchange(&code), &[("client_id", "app")]);
    let done = server.post("/token", &fields, &[("origin", "https://app.example")]).await.expect(200);
    assert_eq!(done.header("access-control-allow-origin"), "https://app.example");
    assert_eq!(done.header("access-control-allow-credentials"), "");
}

#[tokio::test]
async fn however_many_pages_ask_the_registered_origins_are_looked_up_once() {
    let server = Oauth::start().await;
    let ask = async |origin: String| {
        let request =
            Request::options("/token").header("origin", origin).header("access-control-request-method", "POST");
        server.send(request.body(Body::empty()).unwrap()).await.header("access-control-allow-origin").to_owned()
    };
    assert_eq!(ask("https://app.example".into()).await, "https://app.example");
    // From here on each question of the database would fail, and be answered by no.
    sqlx::query("alter table client rename to client_gone").execute(&server.db.pool).await.unwrap();
    let strangers = (0..50).map(|number| ask(format!("https://x{number}.example")));
    assert!(futures_util::future::join_all(strangers).await.iter().all(String::is_empty));
    assert_eq!(ask("https://app.example".into()).await, "https://app.example", "a failure forgets nothing");
    sqlx::query("alter table client_gone rename to client").execute(&server.db.pool).await.unwrap();
}

#[tokio::test]
async fn every_advertised_endpoint_exists() {
    let server = Oauth::start().await;
    for document in [SMART, "/.well-known/openid-configuration"] {
        let document = server.get(document).await.json();
        let path = |name: &str| document[name].as_str().unwrap().strip_prefix(ISSUER).unwrap().to_owned();
        for name in ["token_endpoint", "introspection_endpoint", "revocation_endpoint"] {
            server.get(&path(name)).await.expect(405);
            let fields = [("token", "x"), ("grant_type", "refresh_token")];
            assert_eq!(server.post(&path(name), &fields, &[]).await.status / 100, 4);
        }
        let request = with(&authorization("app"), &[("scope", "openid")]);
        let page = server.get(&format!("{}?{}", path("authorization_endpoint"), super::encode(&request))).await;
        assert!(page.expect(200).text.contains("type=\"password\""));
        assert!(server.get(&path("management_endpoint")).await.expect(200).text.contains("type=\"password\""));
        assert!(server.get(&path("jwks_uri")).await.expect(200).json()["keys"].is_array());
    }
}

#[tokio::test]
async fn every_advertised_scope_can_be_granted() {
    let server = Oauth::start().await;
    let document = server.get("/fhir/.well-known/smart-configuration").await.json();
    let advertised: Vec<_> =
        document["scopes_supported"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let (by_itself, launched): (Vec<_>, Vec<_>) =
        advertised.into_iter().partition(|scope| scope.starts_with("system/") || scope.contains("ontext"));
    let launched = launched.join(" ");
    assert_eq!(server.tokens(&launched).await["scope"], launched);
    let by_itself = by_itself.join(" ");
    let assertion = assertion(&server, "poc", &json!({}));
    let request = [vec![("grant_type", "client_credentials"), ("scope", &by_itself)], signed(&assertion).to_vec()];
    assert_eq!(server.token(&request.concat()).await.expect(200).json()["scope"], by_itself);
}

#[tokio::test]
async fn another_audience_and_another_kind_of_token_do_not_verify() {
    let server = Oauth::start().await;
    let tokens = server.tokens("launch openid patient/*.rs").await;
    let now = sofa::clock::Clock::now(&*server.clock);
    let access = tokens["access_token"].as_str().unwrap();
    let claims = server.keys.verify_access(access, FHIR, now).await.unwrap();
    assert_eq!((claims.iss.as_str(), claims.client_id.as_str()), (ISSUER, "app"));
    assert!(server.keys.verify_access(access, "https://other.example/fhir", now).await.is_err());
    assert!(server.keys.verify_access(tokens["id_token"].as_str().unwrap(), "app", now).await.is_err());
    let end = now + time::Duration::seconds(tokens["expires_in"].as_i64().unwrap());
    assert!(server.keys.verify_access(access, FHIR, end).await.is_err());
    let (head, signature) = access.rsplit_once('.').unwrap();
    let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
    assert!(server.keys.verify_access(&forged, FHIR, now).await.is_err());
}

#[tokio::test]
async fn a_body_that_is_not_a_form_is_refused() {
    let server = Oauth::start().await;
    let json = Request::post("/token").header("content-type", "application/json");
    server.send(json.body(Body::from("{}")).unwrap()).await.refused(400, "invalid_request");
    let twice = with(&exchange("x"), &[("client_id", "app")]);
    let twice = [twice, vec![("code", "y")]].concat();
    server.token(&twice).await.refused(400, "invalid_request");
    let huge = "x".repeat(100 * 1024);
    server.token(&[("grant_type", &huge)]).await.refused(400, "invalid_request");
    let request = with(&authorization("app"), &[("scope", "openid"), ("redirect_uri", REDIRECT)]);
    let json = Request::post("/authorize").header("content-type", "application/json");
    server.send(json.body(Body::from(super::encode(&request))).unwrap()).await.expect(400);
}
