//! Discovery, keys and CORS.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::{FHIR, ISSUER, Oauth, REDIRECT, assertion, authorization, exchange, signed, with};

#[tokio::test]
async fn both_documents_are_json_for_anyone_whatever_they_accept() {
    let server = Oauth::start().await;
    for path in ["/fhir/.well-known/smart-configuration", "/.well-known/openid-configuration", "/jwks"] {
        for accept in ["application/fhir+xml", "text/html", "*/*"] {
            let request = Request::get(path).header("accept", accept).header("origin", "https://x.test");
            let answer = server.send(request.body(Body::empty()).unwrap()).await.expect(200);
            assert_eq!(answer.header("content-type"), "application/json", "{path}");
            assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
        }
    }
    let smart = server.get("/fhir/.well-known/smart-configuration").await.json();
    let openid = server.get("/.well-known/openid-configuration").await.json();
    assert_eq!((&smart["issuer"], &openid["issuer"]), (&json!(ISSUER), &json!(ISSUER)));
    assert_eq!(smart["code_challenge_methods_supported"], json!(["S256"]));
    let clinician_ehr_launch = [
        "launch-ehr",
        "client-public",
        "client-confidential-symmetric",
        "context-ehr-patient",
        "context-ehr-encounter",
        "permission-user",
        "permission-patient",
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
    let document = server.get("/.well-known/openid-configuration").await.json();
    for name in ["token_endpoint", "introspection_endpoint", "revocation_endpoint"] {
        let path = document[name].as_str().unwrap().strip_prefix(ISSUER).unwrap();
        server.get(path).await.expect(405);
        assert_eq!(server.post(path, &[("token", "x"), ("grant_type", "refresh_token")], &[]).await.status / 100, 4);
    }
    assert_eq!(server.get("/authorize").await.status, 400);
    let page = document["management_endpoint"].as_str().unwrap().strip_prefix(ISSUER).unwrap();
    assert!(server.get(page).await.expect(200).text.contains("type=\"password\""));
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
