//! Every word of the discovery documents is tried: what is advertised works, and what is not is refused.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use jsonwebtoken::DecodingKey;

use super::*;

const EHR: &str = "launch openid fhirUser patient/*.rs";

async fn document(server: &Oauth, path: &str) -> Value {
    server.get(path).await.expect(200).json()
}

async fn smart(server: &Oauth) -> Value {
    document(server, "/fhir/.well-known/smart-configuration").await
}

async fn openid(server: &Oauth) -> Value {
    document(server, "/.well-known/openid-configuration").await
}

fn words<'a>(document: &'a Value, member: &str) -> Vec<&'a str> {
    document[member]
        .as_array()
        .unwrap_or_else(|| panic!("no {member}"))
        .iter()
        .map(|word| word.as_str().unwrap())
        .collect()
}

/// The tokens of an app with this way of proving who it is.
async fn tokens_by(server: &Oauth, method: &str, scope: &str) -> Value {
    let (launch, _) = server.launch(|_| {}).await;
    let client = match method {
        "none" => "app",
        "client_secret_basic" => "basic",
        "private_key_jwt" => "signing",
        other => panic!("no probe for the method {other}"),
    };
    let code = server.code(client, &launch, scope).await;
    proven(server, method, client, "/token", &exchange(&code)).await.expect(200).json()
}

/// A request to an endpoint for clients with that proof.
async fn proven(server: &Oauth, method: &str, client: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    match method {
        "none" => server.post(path, &with(fields, &[("client_id", client)]), &[]).await,
        "client_secret_basic" => server.post(path, fields, &[("authorization", &basic(client, SECRET))]).await,
        _ => {
            let assertion = assertion(server, client, &json!({}));
            server.post(path, &[fields, &signed(&assertion)].concat(), &[]).await
        }
    }
}

/// Tries one SMART capability.
async fn probe(server: &Oauth, capability: &str) {
    let granted = async |scope: &str| server.tokens(scope).await["scope"].as_str().unwrap().to_owned();
    match capability {
        "launch-ehr" => assert_eq!(granted(EHR).await, EHR),
        "authorize-post" => {
            let request = with(&authorization("app"), &[("scope", "openid")]);
            let mut browser = Browser::default();
            let page = browser.post(server, "/authorize", &request).await.expect(200);
            browser.fill_in(server, &page, "julie", PASSWORD).await.code();
            browser.headers = &[("sec-fetch-site", "cross-site")];
            let again = browser.post(server, "/authorize", &request).await.expect(303);
            browser.get(server, again.header("location").strip_prefix(ISSUER).unwrap()).await.code();
        }
        "client-public" => assert_eq!(tokens_by(server, "none", EHR).await["scope"], EHR),
        "client-confidential-symmetric" => {
            assert_eq!(tokens_by(server, "client_secret_basic", EHR).await["scope"], EHR);
        }
        "client-confidential-asymmetric" => assert_eq!(tokens_by(server, "private_key_jwt", EHR).await["scope"], EHR),
        "sso-openid-connect" => {
            assert!(server.tokens("launch openid").await["id_token"].is_string());
            assert!(server.tokens("launch patient/*.rs").await.get("id_token").is_none());
        }
        "context-banner" => assert_eq!(server.tokens(EHR).await["need_patient_banner"], true),
        "context-style" => assert_eq!(server.tokens(EHR).await["smart_style_url"], "https://poc.example/style.json"),
        "context-ehr-patient" => assert_eq!(server.tokens(EHR).await["patient"], "p-1"),
        "context-ehr-encounter" => assert_eq!(server.tokens(EHR).await["encounter"], "e-1"),
        "permission-offline" => assert!(server.tokens("launch offline_access").await["refresh_token"].is_string()),
        "permission-online" => assert!(server.tokens("launch online_access").await["refresh_token"].is_string()),
        "permission-patient" => assert_eq!(granted("launch patient/*.rs").await, "launch patient/*.rs"),
        "permission-user" => assert_eq!(granted("launch user/*.rs").await, "launch user/*.rs"),
        "permission-v1" => assert_eq!(granted("launch patient/*.read").await, "launch patient/*.read"),
        "permission-v2" => {
            for scope in ["launch patient/Observation.cu", "launch patient/Observation.rs?category=s|laboratory"] {
                assert_eq!(granted(scope).await, scope);
            }
        }
        // What is picked there, and how it ends, has a file of tests of its own.
        "launch-standalone" | "context-standalone-patient" | "context-standalone-encounter" => {
            let scope = "launch/patient launch/encounter patient/*.rs";
            let request = with(&authorization("app"), &[("scope", scope)]);
            let page = Browser::default().sign_in(server, &request, "julie", PASSWORD).await.expect(200);
            assert!(page.text.contains("Which patient?"), "{}", page.text);
        }
        other => panic!("no probe for {other}"),
    }
}

#[tokio::test]
async fn every_capability_works() {
    let server = Oauth::start().await;
    let document = smart(&server).await;
    let capabilities = words(&document, "capabilities");
    assert!(capabilities.len() >= 16, "{capabilities:?}");
    for capability in capabilities {
        let is_a_word = capability.split('-').all(|part| !part.is_empty() && part.bytes().all(is_lower_or_digit));
        assert!(is_a_word, "{capability:?} is no capability's name");
        probe(&server, capability).await;
    }
}

fn is_lower_or_digit(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

#[tokio::test]
async fn every_grant_type_works_and_no_other() {
    let server = Oauth::start().await;
    let (smart, openid) = (smart(&server).await, openid(&server).await);
    assert_eq!(words(&smart, "grant_types_supported"), words(&openid, "grant_types_supported"));
    for grant_type in words(&smart, "grant_types_supported") {
        match grant_type {
            "authorization_code" => assert!(server.tokens(EHR).await["access_token"].is_string()),
            "refresh_token" => {
                let tokens = server.tokens("launch offline_access").await;
                let fields = [("grant_type", grant_type), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
                server.token(&fields).await.expect(200);
            }
            "client_credentials" => assert!(!server.system_token("service").await.is_empty()),
            other => panic!("no probe for {other}"),
        }
    }
    for other in ["password", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:x"] {
        let fields = [("grant_type", other), ("client_id", "app"), ("username", "julie"), ("password", PASSWORD)];
        server.token(&fields).await.refused(400, "unsupported_grant_type");
    }
}

#[tokio::test]
async fn every_response_type_and_mode_works_and_no_other() {
    let server = Oauth::start().await;
    let (smart, openid) = (smart(&server).await, openid(&server).await);
    assert_eq!(words(&smart, "response_types_supported"), ["code"]);
    assert_eq!(words(&openid, "response_types_supported"), ["code"]);
    assert_eq!(words(&openid, "response_modes_supported"), ["query"]);
    let good = with(&authorization("app"), &[("scope", "openid"), ("response_mode", "query")]);
    Browser::default().sign_in(&server, &good, "julie", PASSWORD).await.code();
    for other in ["token", "id_token", "code id_token", "code token", "none"] {
        let answer = Browser::default().authorize(&server, &with(&good, &[("response_type", other)])).await;
        assert_eq!(answer.back_error(), "unsupported_response_type", "{other}");
    }
}

#[tokio::test]
async fn every_way_to_prove_who_a_client_is_works_at_every_endpoint() {
    let server = Oauth::start().await;
    let openid = openid(&server).await;
    for method in words(&openid, "token_endpoint_auth_methods_supported") {
        assert_eq!(tokens_by(&server, method, EHR).await["scope"], EHR, "{method}");
    }
    let proofs = smart(&server).await;
    for method in words(&proofs, "token_endpoint_auth_methods_supported") {
        assert!(words(&openid, "token_endpoint_auth_methods_supported").contains(&method), "{method}");
    }
    for (member, path) in [("introspection", "/introspect"), ("revocation", "/revoke")] {
        for method in words(&openid, &format!("{member}_endpoint_auth_methods_supported")) {
            let client = match method {
                "none" => "app",
                "client_secret_basic" => "basic",
                _ => "signing",
            };
            proven(&server, method, client, path, &[("token", "x")]).await.expect(200);
        }
        for (header, body) in [(basic("basic", "wrong"), None), (String::new(), Some("a.b.c"))] {
            let proof = body.map(signed).map(|proof| proof.to_vec()).unwrap_or_default();
            let fields = [vec![("token", "x")], proof].concat();
            let headers = [("authorization", header.as_str())];
            let headers = if header.is_empty() { &[][..] } else { &headers };
            server.post(path, &fields, headers).await.refused(401, "invalid_client");
        }
    }
}

/// An RSA key of a client and its public JWK.
fn rsa_key(kid: &str) -> (EncodingKey, Value) {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
    let key = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&key, Algorithm::RS384).unwrap()).unwrap();
    jwk["kid"] = json!(kid);
    (key, jwk)
}

#[tokio::test]
async fn every_algorithm_of_assertions_works_and_no_other() {
    let server = Oauth::start().await;
    let (ec, ec_jwk) = ec_key("e1");
    let (rsa, rsa_jwk) = rsa_key("r1");
    let jwks = Some(json!({ "keys": [ec_jwk, rsa_jwk] }));
    let both = Client { jwks, ..client("both", Role::Service, AuthMethod::PrivateKeyJwt) };
    both.registration().check().unwrap();
    server.write(async |tx, now| store::client::insert(tx, &both, now).await).await;
    let ask = async |algorithm: Algorithm, kid: &str, key: &EncodingKey| {
        let exp = server.clock.now().unix_timestamp() + 60;
        let aud = format!("{ISSUER}/token");
        let claims = json!({"iss": "both", "sub": "both", "aud": aud, "exp": exp, "jti": random_token()});
        let header = Header { kid: Some(kid.into()), ..Header::new(algorithm) };
        let assertion = jsonwebtoken::encode(&header, &claims, key).unwrap();
        let fields = [("grant_type", "client_credentials"), ("scope", "system/*.rs")];
        server.token(&[&fields[..], &signed(&assertion)].concat()).await
    };
    let (smart, openid) = (smart(&server).await, openid(&server).await);
    for document in [&smart, &openid] {
        for name in words(document, "token_endpoint_auth_signing_alg_values_supported") {
            match name {
                "ES384" => ask(Algorithm::ES384, "e1", &ec).await.expect(200),
                "RS384" => ask(Algorithm::RS384, "r1", &rsa).await.expect(200),
                other => panic!("no probe for {other}"),
            };
        }
    }
    for other in [Algorithm::RS256, Algorithm::RS512, Algorithm::PS384] {
        ask(other, "r1", &rsa).await.refused(401, "invalid_client");
    }
}

#[tokio::test]
async fn the_openid_document_has_what_its_readers_need_and_its_keys_verify() {
    let server = Oauth::start().await;
    let openid = openid(&server).await;
    for required in [
        "issuer",
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
        "response_types_supported",
        "subject_types_supported",
        "id_token_signing_alg_values_supported",
    ] {
        assert!(openid.get(required).is_some(), "{required}");
    }
    for read_by_clients in ["introspection_endpoint", "revocation_endpoint", "userinfo_endpoint"] {
        assert!(openid[read_by_clients].as_str().is_some_and(|url| url.starts_with(ISSUER)), "{read_by_clients}");
    }
    assert_eq!(words(&openid, "code_challenge_methods_supported"), ["S256"]);
    let smart = smart(&server).await;
    for both in ["scopes_supported", "grant_types_supported"] {
        assert_eq!(words(&openid, both), words(&smart, both), "{both}");
    }
    // SMART's document names only what proves something.
    let methods = "token_endpoint_auth_methods_supported";
    assert_eq!(words(&openid, methods), [&["none"], &words(&smart, methods)[..]].concat());
    assert_eq!(words(&openid, "subject_types_supported"), ["public"]);
    assert_eq!(words(&openid, "id_token_signing_alg_values_supported"), ["RS256"]);
    assert_eq!(openid["authorization_response_iss_parameter_supported"], true);
    // What a logout tells, and to whom, has a file of tests of its own.
    assert_eq!(openid["end_session_endpoint"], format!("{ISSUER}/logout"));
    for logout in ["backchannel_logout_supported", "backchannel_logout_session_supported"] {
        assert_eq!(openid[logout], true, "{logout}");
    }
    for unsupported in ["claims_parameter_supported", "request_parameter_supported", "request_uri_parameter_supported"]
    {
        assert_eq!(openid[unsupported], false, "{unsupported}");
    }
    let (launch, _) = server.launch(|_| {}).await;
    let scope = "launch openid fhirUser profile";
    let request = with(&authorization("app"), &[("launch", &launch), ("scope", scope), ("nonce", "n")]);
    let code = Browser::default().sign_in(&server, &request, "julie", PASSWORD).await.code();
    let tokens = server.exchange("app", &code).await.expect(200).json();
    let id_token = tokens["id_token"].as_str().unwrap();
    let header = jsonwebtoken::decode_header(id_token).unwrap();
    let path = openid["jwks_uri"].as_str().unwrap().strip_prefix(ISSUER).unwrap().to_owned();
    let keys = document(&server, &path).await;
    let jwk = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == json!(header.kid)).unwrap();
    let key = DecodingKey::from_jwk(&serde_json::from_value(jwk.clone()).unwrap()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(Algorithm::RS256);
    validation.set_audience(&["app"]);
    validation.validate_exp = false;
    let claims = jsonwebtoken::decode::<Value>(id_token, &key, &validation).unwrap().claims;
    for claim in words(&openid, "claims_supported") {
        assert!(claims.get(claim).is_some(), "{claim} is advertised and not told: {claims}");
    }
    for claim in claims.as_object().unwrap().keys() {
        assert!(words(&openid, "claims_supported").contains(&claim.as_str()), "{claim} is told and not advertised");
    }
}

#[tokio::test]
async fn eight_kilobytes_of_scopes_are_read_and_the_unknown_ones_left_out() {
    let server = Oauth::start().await;
    let (launch, _) = server.launch(|_| {}).await;
    let scope = format!("launch patient/*.rs {}", "x/y.z ".repeat(1350));
    assert!((8000..=8192).contains(&scope.len()));
    let request = with(&authorization("app"), &[("launch", &launch), ("scope", scope.trim_end())]);
    let mut browser = Browser::default();
    let page = browser.post(&server, "/authorize", &request).await.expect(200);
    let code = browser.fill_in(&server, &page, "julie", PASSWORD).await.code();
    assert_eq!(server.exchange("app", &code).await.expect(200).json()["scope"], "launch patient/*.rs");
}
