//! `/token` for apps, `/introspect` and `/revoke`: what comes out, and what ends it.

use jsonwebtoken::{DecodingKey, Validation};

use super::*;

const FULL: &str = "launch launch/patient openid fhirUser profile offline_access patient/*.read user/*.rs";

fn refresh_of(tokens: &Value) -> Vec<(&str, &str)> {
    vec![("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())]
}

fn access_of(tokens: &Value) -> &str {
    tokens["access_token"].as_str().unwrap()
}

#[tokio::test]
async fn the_token_response_tells_the_launch_exactly() {
    let server = Oauth::start().await;
    let mut reply = server.tokens(FULL).await;
    for opaque in ["access_token", "refresh_token", "id_token"] {
        assert!(reply.as_object_mut().unwrap().remove(opaque).unwrap().is_string());
    }
    let expected = json!({
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": FULL,
        "patient": "p-1",
        "encounter": "e-1",
        "fhirContext": [{"reference": "ImagingStudy/i-1"}],
        "need_patient_banner": true,
        "intent": "reconcile",
        "smart_style_url": "https://poc.example/style.json",
        "tenant": "clinic-7",
    });
    assert_eq!(reply, expected);
}

#[tokio::test]
async fn the_id_token_verifies_with_the_published_key_and_names_the_user() {
    let server = Oauth::start().await;
    let (launch, _) = server.launch(|_| {}).await;
    let request = with(&authorization("app"), &[("launch", &launch), ("scope", FULL), ("nonce", "n-0S6")]);
    let code = Browser::default().sign_in(&server, &request, "julie", PASSWORD).await.code();
    let tokens = server.exchange("app", &code).await.expect(200).json();
    let id_token = tokens["id_token"].as_str().unwrap();
    let kid = jsonwebtoken::decode_header(id_token).unwrap().kid.unwrap();
    let keys = server.get("/jwks").await.json();
    let jwk = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == json!(kid)).unwrap();
    let key = DecodingKey::from_jwk(&serde_json::from_value(jwk.clone()).unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&["app"]);
    validation.set_issuer(&[ISSUER]);
    validation.validate_exp = false;
    let claims = jsonwebtoken::decode::<Value>(id_token, &key, &validation).unwrap().claims;
    let now = server.clock.now().unix_timestamp();
    let expected = json!({
        "iss": ISSUER, "sub": user_id(&server, "julie").await, "aud": "app", "exp": now + 3600, "iat": now,
        "auth_time": now, "nonce": "n-0S6", "sid": claims["sid"], "fhirUser": format!("{FHIR}/Practitioner/dr-1"),
        "name": "Dr julie", "preferred_username": "julie",
    });
    assert_eq!(claims, expected);
    assert!(claims["sid"].as_str().is_some_and(|sid| sid.parse::<Uuid>().is_ok()), "{claims}");
}

#[tokio::test]
async fn without_openid_there_is_no_id_token_and_without_a_refresh_scope_no_refresh_token() {
    let server = Oauth::start().await;
    let tokens = server.tokens("launch patient/*.rs fhirUser").await;
    assert!(tokens.get("id_token").is_none() && tokens.get("refresh_token").is_none());
}

#[tokio::test]
async fn the_claim_of_the_user_is_told_only_with_both_scopes() {
    let server = Oauth::start().await;
    for (scope, is_told) in
        [("launch openid fhirUser", true), ("launch openid", false), ("launch openid profile", false)]
    {
        let tokens = server.tokens(scope).await;
        let payload = tokens["id_token"].as_str().unwrap().split('.').nth(1).unwrap();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
        assert_eq!(claims.get("fhirUser").is_some(), is_told, "{scope}: {claims}");
        let me = Request::get("/userinfo")
            .header("authorization", format!("Bearer {}", tokens["access_token"].as_str().unwrap()));
        let told = server.send(me.body(Body::empty()).unwrap()).await.expect(200).json();
        assert_eq!(told.get("fhirUser").is_some(), is_told, "{scope}: {told}");
    }
}

#[tokio::test]
async fn what_is_handed_out_holds_256_random_bits_or_is_signed() {
    let server = Oauth::start().await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let (launch, _) = server.launch(|_| {}).await;
        let code = server.code("app", &launch, "launch openid offline_access").await;
        let tokens = server.exchange("app", &code).await.expect(200).json();
        for token in [launch, code, tokens["refresh_token"].as_str().unwrap().to_owned()] {
            assert_eq!(URL_SAFE_NO_PAD.decode(&token).unwrap().len(), 32, "{token}");
            assert!(seen.insert(token.clone()), "{token} comes twice");
        }
        for token in ["access_token", "id_token"].map(|name| tokens[name].as_str().unwrap()) {
            let signature = token.rsplit('.').next().unwrap();
            assert_eq!(URL_SAFE_NO_PAD.decode(signature).unwrap().len(), 256, "RS256 with 2048 bits");
        }
        // Another payload under the same signature is nobody's token.
        let parts: Vec<_> = tokens["access_token"].as_str().unwrap().split('.').collect();
        let payload = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        let widened = URL_SAFE_NO_PAD.encode(payload.replacen("\"aud\"", "\"sub\":\"x\",\"aud\"", 1));
        let forged = format!("{}.{widened}.{}", parts[0], parts[2]);
        assert!(!server.is_alive(&forged).await);
    }
}

#[tokio::test]
async fn patient_scopes_need_a_patient() {
    let server = Oauth::start().await;
    let (launch, _) = server.launch(|context| context.patient = None).await;
    let code = server.code("app", &launch, "launch launch/patient patient/*.rs user/*.rs").await;
    let reply = server.exchange("app", &code).await.expect(200).json();
    assert_eq!((&reply["scope"], reply.get("patient")), (&json!("launch user/*.rs"), None));
}

#[tokio::test]
async fn what_does_not_fit_the_code_is_refused_and_the_code_survives() {
    let server = Oauth::start().await;
    let (launch, _) = server.launch(|_| {}).await;
    let code = server.code("app", &launch, "launch patient/*.rs").await;
    let good = with(&exchange(&code), &[("client_id", "app")]);
    let challenge = URL_SAFE_NO_PAD.encode(token_digest(VERIFIER));
    for (change, status, error) in [
        (("grant_type", ""), 400, "invalid_request"),
        (("grant_type", "password"), 400, "unsupported_grant_type"),
        (("code", ""), 400, "invalid_request"),
        (("code", "never-issued"), 400, "invalid_grant"),
        (("redirect_uri", ""), 400, "invalid_request"),
        (("redirect_uri", "https://app.example/cb"), 400, "invalid_grant"),
        (("code_verifier", ""), 400, "invalid_request"),
        (("code_verifier", "short"), 400, "invalid_grant"),
        (("code_verifier", challenge.as_str()), 400, "invalid_grant"),
        (("code_verifier", "Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9v"), 400, "invalid_grant"),
        (("client_id", ""), 401, "invalid_client"),
        (("client_id", "other-app"), 400, "invalid_grant"),
        (("client_id", "nobody"), 401, "invalid_client"),
        (("client_id", "basic"), 401, "invalid_client"),
    ] {
        let answer = server.token(&with(&good, &[change])).await;
        assert_eq!((answer.status, answer.json()["error"].as_str().unwrap()), (status, error), "{change:?}");
        answer.refused(status, error);
    }
    server.token(&with(&good, &[("state", "x"), ("foo", "1")])).await.expect(200);
}

#[tokio::test]
async fn a_code_lives_a_minute_and_works_once_and_its_replay_ends_everything() {
    let server = Oauth::start().await;
    let (launch, _) = server.launch(|_| {}).await;
    let late = server.code("app", &launch, "launch patient/*.rs").await;
    server.clock.advance(Duration::from_secs(60));
    server.exchange("app", &late).await.refused(400, "invalid_grant");
    let code = server.code("app", &launch, "launch patient/*.rs offline_access").await;
    let tokens = server.exchange("app", &code).await.expect(200).json();
    assert!(server.is_alive(access_of(&tokens)).await);
    server.exchange("app", &code).await.refused(400, "invalid_grant");
    assert!(!server.is_alive(access_of(&tokens)).await);
    server.token(&refresh_of(&tokens)).await.refused(400, "invalid_grant");
}

#[tokio::test]
async fn a_secret_works_encoded_and_raw_and_nothing_else_does() {
    let server = Oauth::start().await;
    let (launch, _) = server.launch(|_| {}).await;
    let encoded: String = form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    for secret in [SECRET, encoded.as_str()] {
        let code = server.code("basic", &launch, "launch patient/*.rs").await;
        let header = basic("basic", secret);
        let same_id = with(&exchange(&code), &[("client_id", "basic")]);
        server.post("/token", &same_id, &[("authorization", &header)]).await.expect(200);
    }
    let code = server.code("basic", &launch, "launch patient/*.rs").await;
    for header in
        [basic("basic", "wrong"), basic("basic", ""), basic("app", SECRET), "Basic nonsense".into(), "Bearer x".into()]
    {
        let answer = server.post("/token", &exchange(&code), &[("authorization", &header)]).await;
        answer.refused(401, "invalid_client");
    }
    let in_body = with(&exchange(&code), &[("client_id", "basic"), ("client_secret", SECRET)]);
    server.token(&in_body).await.refused(401, "invalid_client");
    server.token(&with(&exchange(&code), &[("client_id", "basic")])).await.refused(401, "invalid_client");
}

#[tokio::test]
async fn a_refresh_gives_new_tokens_and_the_launch_again_even_without_client_id() {
    let server = Oauth::start().await;
    let first = server.tokens(FULL).await;
    server.clock.advance(Duration::from_secs(3600));
    assert!(!server.is_alive(access_of(&first)).await, "an access token lives an hour");
    let second = server.token(&refresh_of(&first)).await.expect(200).json();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_eq!(
        (&second["scope"], &second["patient"], &second["expires_in"]),
        (&json!(FULL), &json!("p-1"), &json!(3600))
    );
    assert!(server.is_alive(access_of(&second)).await);
    server.token(&with(&refresh_of(&second), &[("client_id", "app")])).await.expect(200);
}

#[tokio::test]
async fn a_refresh_may_narrow_and_never_widen() {
    let server = Oauth::start().await;
    let tokens = server.tokens("launch patient/*.rs offline_access").await;
    for scope in ["patient/*.cruds", "patient/*.rs openid", "nonsense"] {
        server.token(&with(&refresh_of(&tokens), &[("scope", scope)])).await.refused(400, "invalid_scope");
    }
    let narrow = server.token(&with(&refresh_of(&tokens), &[("scope", "patient/Patient.r")])).await.expect(200).json();
    assert_eq!(narrow["scope"], "patient/Patient.r");
    let again = server.token(&refresh_of(&narrow)).await.expect(200).json();
    assert_eq!(again["scope"], "launch patient/*.rs offline_access");
}

#[tokio::test]
async fn a_foreign_missing_random_or_old_refresh_token_is_refused() {
    let server = Oauth::start().await;
    let tokens = server.tokens(FULL).await;
    server.token(&[("grant_type", "refresh_token")]).await.refused(400, "invalid_request");
    server.token(&with(&refresh_of(&tokens), &[("refresh_token", "random")])).await.refused(400, "invalid_grant");
    server.token(&with(&refresh_of(&tokens), &[("client_id", "other-app")])).await.refused(400, "invalid_grant");
    let stranger = server.post("/token", &refresh_of(&tokens), &[("authorization", &basic("basic", SECRET))]).await;
    stranger.refused(400, "invalid_grant");
    server.clock.advance(Duration::from_secs(12 * 3600));
    server.token(&refresh_of(&tokens)).await.refused(400, "invalid_grant");
}

#[tokio::test]
async fn online_access_ends_with_the_session_and_offline_access_does_not() {
    let server = Oauth::start().await;
    let julie = user_id(&server, "julie").await;
    let online = server.tokens("launch patient/*.rs online_access").await;
    let offline = server.tokens("launch patient/*.rs offline_access").await;
    let online = server.token(&refresh_of(&online)).await.expect(200).json();
    server.write(async |tx, _| store::login::end_sessions_of(tx, julie).await).await;
    server.token(&refresh_of(&online)).await.refused(400, "invalid_grant");
    server.token(&refresh_of(&offline)).await.expect(200);
}

#[tokio::test]
async fn everything_of_a_grant_dies_with_its_context() {
    let server = Oauth::start().await;
    let (launch, context) = server.launch(|_| {}).await;
    let code = server.code("app", &launch, FULL).await;
    let pending = server.code("app", &launch, FULL).await;
    let online = server.code("app", &launch, "launch patient/*.rs online_access").await;
    let online = server.exchange("app", &online).await.expect(200).json();
    let online = server.token(&refresh_of(&online)).await.expect(200).json();
    let tokens = server.exchange("app", &code).await.expect(200).json();
    server
        .write(async |tx, now| {
            store::context::mark_cleared(tx, context.id, now).await?;
            store::grant::revoke_by_context(tx, context.id, now).await
        })
        .await;
    for tokens in [&tokens, &online] {
        assert!(!server.is_alive(access_of(tokens)).await);
        server.token(&refresh_of(tokens)).await.refused(400, "invalid_grant");
    }
    server.exchange("app", &pending).await.refused(400, "invalid_grant");
}

#[tokio::test]
async fn an_expired_context_kills_its_tokens_before_anybody_clears_it() {
    let server = Oauth::start().await;
    let (launch, _) = server.launch(|context| context.expires_at = context.created_at + Duration::from_secs(600)).await;
    let code = server.code("app", &launch, FULL).await;
    let tokens = server.exchange("app", &code).await.expect(200).json();
    assert_eq!(tokens["expires_in"], 600, "a token does not outlive its context");
    server.clock.advance(Duration::from_secs(600));
    assert!(!server.is_alive(access_of(&tokens)).await);
    server.token(&refresh_of(&tokens)).await.refused(400, "invalid_grant");
}

#[tokio::test]
async fn a_disabled_user_or_client_ends_what_was_granted() {
    let server = Oauth::start().await;
    let julie = user_id(&server, "julie").await;
    let tokens = server.tokens(FULL).await;
    server.write(async |tx, now| store::user::disable(tx, julie, now).await).await;
    assert!(!server.is_alive(access_of(&tokens)).await);
    server.token(&refresh_of(&tokens)).await.refused(400, "invalid_grant");
    server.write(async |tx, now| store::user::set_enabled(tx, julie, true, now).await).await;
    assert!(!server.is_alive(access_of(&tokens)).await, "what ended does not come back");
    let tokens = server.tokens(FULL).await;
    server.write(async |tx, now| store::client::set_enabled(tx, "app", false, now).await).await;
    assert!(!server.is_alive(access_of(&tokens)).await);
    server.token(&refresh_of(&tokens)).await.refused(400, "invalid_grant");
}

#[tokio::test]
async fn introspection_repeats_everything_the_token_response_told() {
    let server = Oauth::start().await;
    let tokens = server.tokens(FULL).await;
    let header = basic("records", SECRET);
    let fields = [("token", access_of(&tokens))];
    let told = server.post("/introspect", &fields, &[("authorization", &header)]).await.expect(200);
    assert_eq!(told.header("cache-control"), "no-store");
    let told = told.json();
    for name in
        ["scope", "patient", "encounter", "fhirContext", "need_patient_banner", "intent", "smart_style_url", "tenant"]
    {
        assert_eq!(told[name], tokens[name], "{name}");
    }
    assert_eq!((&told["active"], &told["client_id"], &told["iss"]), (&json!(true), &json!("app"), &json!(ISSUER)));
    assert_eq!(told["sub"], json!(user_id(&server, "julie").await));
    assert_eq!(told["fhirUser"], format!("{FHIR}/Practitioner/dr-1"));
    assert!(told["exp"].is_i64());
    let bearer = format!("Bearer {}", access_of(&tokens));
    let by_bearer = server.post("/introspect", &fields, &[("authorization", &bearer)]).await.expect(200).json();
    assert_eq!(by_bearer, told);
    assert_eq!(told["username"], "julie");
}

#[tokio::test]
async fn what_is_no_live_access_token_is_inactive_and_strangers_are_told_nothing() {
    let server = Oauth::start().await;
    let tokens = server.tokens(FULL).await;
    let header = basic("records", SECRET);
    for token in ["nonsense", "a.b.c", tokens["refresh_token"].as_str().unwrap(), tokens["id_token"].as_str().unwrap()]
    {
        let told =
            server.post("/introspect", &[("token", token)], &[("authorization", &header)]).await.expect(200).json();
        assert_eq!(told, json!({"active": false}), "{token}");
    }
    let told = server.post("/introspect", &[("token", "x")], &[("authorization", &header)]).await.expect(200);
    assert_eq!(told.header("cache-control"), "no-store");
    let fields = [("token", access_of(&tokens))];
    server.post("/introspect", &fields, &[]).await.refused(401, "invalid_client");
    let bad = server.post("/introspect", &fields, &[("authorization", "Bearer nonsense")]).await.expect(401);
    assert_eq!(bad.header("www-authenticate"), "Bearer realm=\"sofa\", error=\"invalid_token\"");
    assert_eq!(bad.json()["error"], "invalid_token");
    server.post("/introspect", &[], &[("authorization", &header)]).await.refused(400, "invalid_request");
    let public = |name| [fields[0], ("client_id", name)];
    assert_eq!(server.post("/introspect", &public("app"), &[]).await.expect(200).json()["active"], json!(true));
    let foreign = server.post("/introspect", &public("other-app"), &[]).await.expect(200).json();
    assert_eq!(foreign, json!({"active": false}));
}

#[tokio::test]
async fn a_bearer_token_tells_of_its_own_grant_and_a_resource_servers_of_others() {
    let server = Oauth::start().await;
    let (one, other) = (server.tokens(FULL).await, server.tokens("launch openid patient/*.rs").await);
    let ask = async |token: &Value, bearer: &str| {
        let header = format!("Bearer {bearer}");
        server
            .post("/introspect", &[("token", access_of(token))], &[("authorization", &header)])
            .await
            .expect(200)
            .json()
    };
    assert_eq!(ask(&other, access_of(&one)).await, json!({"active": false}), "another launch's");
    let own = ask(&other, access_of(&other)).await;
    assert_eq!((&own["active"], own.get("username")), (&json!(true), None), "without profile no name");
    for client in ["service", "poc"] {
        let bearer = server.system_token(client).await;
        assert_eq!(ask(&one, &bearer).await, json!({"active": false}), "{client}");
    }
    let resource_server =
        Client { may_introspect: true, ..client("laboratory", Role::Service, AuthMethod::PrivateKeyJwt) };
    server.write(async |tx, now| store::client::insert(tx, &resource_server, now).await).await;
    assert_eq!(ask(&one, &server.system_token("laboratory").await).await["active"], json!(true));
}

#[tokio::test]
async fn an_organisation_is_told_nothing_of_another_ones_tokens() {
    let server = Oauth::start().await;
    let ask = async |token: &Value, assertion: String| {
        let fields = [vec![("token", access_of(token))], signed(&assertion).to_vec()].concat();
        server.post("/introspect", &fields, &[]).await.expect(200).json()["active"].clone()
    };
    let own = server.tokens(FULL).await;
    assert_eq!(ask(&own, assertion(&server, "poc", &json!({}))).await, json!(true));
    let (launch, _) = server.launch(|context| context.tenant = 8).await;
    let mut browser = Browser::default();
    let request = with(&authorization("app"), &[("launch", &launch), ("scope", "launch patient/*.rs")]);
    let code = browser.sign_in(&server, &request, "guest", PASSWORD).await.code();
    let foreign = server.exchange("app", &code).await.expect(200).json();
    assert_eq!(ask(&foreign, assertion(&server, "poc", &json!({}))).await, json!(false));
    assert_eq!(ask(&foreign, assertion(&server, "service", &json!({}))).await, json!(false));
    let openid = with(&authorization("app"), &[("scope", "openid")]);
    let code = Browser::default().sign_in(&server, &openid, "julie", PASSWORD).await.code();
    let outside = server.exchange("app", &code).await.expect(200).json();
    assert_eq!(ask(&outside, assertion(&server, "poc", &json!({}))).await, json!(false), "of no launch");
}

#[tokio::test]
async fn to_prove_who_one_is_does_not_make_one_a_resource_server() {
    let server = Oauth::start().await;
    let tokens = server.tokens(FULL).await;
    let ask = async |client: &str, token: &Value| {
        let header = basic(client, SECRET);
        server
            .post("/introspect", &[("token", access_of(token))], &[("authorization", &header)])
            .await
            .expect(200)
            .json()
    };
    assert_eq!(ask("basic", &tokens).await, json!({"active": false}), "another app's");
    assert_eq!(ask("records", &tokens).await["active"], json!(true), "it is registered to introspect");
    let (launch, _) = server.launch(|_| {}).await;
    let code = server.code("basic", &launch, "launch patient/*.rs").await;
    let header = basic("basic", SECRET);
    let own = server.post("/token", &exchange(&code), &[("authorization", &header)]).await.expect(200).json();
    assert_eq!(ask("basic", &own).await["active"], json!(true), "its own");
    assert_eq!(ask("basic-poc", &own).await["active"], json!(true), "of a launch within the organisation");
    let proof = assertion(&server, "signing", &json!({}));
    let fields = [vec![("token", access_of(&tokens))], signed(&proof).to_vec()];
    let told = server.post("/introspect", &fields.concat(), &[]).await.expect(200).json();
    assert_eq!(told, json!({"active": false}));
}

#[tokio::test]
async fn a_used_code_that_is_sent_again_and_again_is_written_down_once() {
    let server = Oauth::start().await;
    let (launch, _) = server.launch(|_| {}).await;
    let code = server.code("app", &launch, "launch patient/*.rs").await;
    server.exchange("app", &code).await.expect(200);
    for _ in 0..3 {
        server.exchange("app", &code).await.refused(400, "invalid_grant");
    }
    assert_eq!(server.audited("token", "refused").await, 1);
}

#[tokio::test]
async fn userinfo_tells_what_the_id_token_told_and_only_to_a_live_token() {
    let server = Oauth::start().await;
    let ask = async |authorization: &str| {
        let request = Request::get("/userinfo").header("authorization", authorization);
        server.send(request.body(Body::empty()).unwrap()).await
    };
    let tokens = server.tokens(FULL).await;
    let bearer = format!("Bearer {}", access_of(&tokens));
    let expected = json!({
        "sub": user_id(&server, "julie").await, "fhirUser": format!("{FHIR}/Practitioner/dr-1"),
        "name": "Dr julie", "preferred_username": "julie",
    });
    assert_eq!(ask(&bearer).await.expect(200).json(), expected);
    assert_eq!(server.post("/userinfo", &[], &[("authorization", &bearer)]).await.expect(200).json(), expected);
    let plain = server.get("/userinfo").await.expect(401);
    assert_eq!(plain.header("www-authenticate"), "Bearer realm=\"sofa\"");
    assert!(ask("Bearer nonsense").await.expect(401).header("www-authenticate").contains("invalid_token"));
    let no_openid = server.tokens("launch patient/*.rs").await;
    let refused = ask(&format!("Bearer {}", access_of(&no_openid))).await.expect(403);
    assert!(refused.header("www-authenticate").contains("insufficient_scope"));
    server.post("/revoke", &[("token", access_of(&tokens)), ("client_id", "app")], &[]).await.expect(200);
    ask(&bearer).await.expect(401);
}

#[tokio::test]
async fn a_revoked_token_takes_its_whole_grant_along() {
    let server = Oauth::start().await;
    for (token, hint) in [("refresh_token", "access_token"), ("access_token", "refresh_token")] {
        let tokens = server.tokens(FULL).await;
        let fields = [("token", tokens[token].as_str().unwrap()), ("token_type_hint", hint), ("client_id", "app")];
        server.post("/revoke", &fields, &[]).await.expect(200);
        assert!(!server.is_alive(access_of(&tokens)).await, "{token}");
        server.token(&refresh_of(&tokens)).await.refused(400, "invalid_grant");
        server.post("/revoke", &fields, &[]).await.expect(200);
    }
    assert_eq!(server.audited("token-revoke", "success").await, 2);
}

#[tokio::test]
async fn only_the_tokens_own_client_revokes_it() {
    let server = Oauth::start().await;
    let tokens = server.tokens(FULL).await;
    for token in [access_of(&tokens), tokens["refresh_token"].as_str().unwrap(), "nonsense"] {
        server.post("/revoke", &[("token", token), ("client_id", "other-app")], &[]).await.expect(200);
        server.post("/revoke", &[("token", token)], &[("authorization", &basic("basic", SECRET))]).await.expect(200);
        server.post("/revoke", &[("token", token)], &[]).await.refused(401, "invalid_client");
    }
    assert!(server.is_alive(access_of(&tokens)).await);
    server.token(&refresh_of(&tokens)).await.expect(200);
}

#[tokio::test]
async fn a_sweep_removes_only_what_can_never_be_used_again() {
    let server = Oauth::start().await;
    let old = server.tokens(FULL).await;
    server.clock.advance(Duration::from_secs(36 * 3600));
    let young = server.tokens(FULL).await;
    assert_eq!(sofa::oauth::sweep(&server.engine.pool, server.clock.now()).await.unwrap(), 0);
    server.clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(sofa::oauth::sweep(&server.engine.pool, server.clock.now()).await.unwrap(), 1);
    server.token(&refresh_of(&old)).await.refused(400, "invalid_grant");
    server.token(&refresh_of(&young)).await.expect(200);
}

#[tokio::test]
async fn of_two_exchanges_at_once_one_gets_tokens_and_they_end() {
    let server = Oauth::start().await;
    let (launch, _) = server.launch(|_| {}).await;
    let code = server.code("app", &launch, "launch patient/*.rs offline_access").await;
    let answers = futures_util::future::join_all((0..4).map(|_| server.exchange("app", &code))).await;
    let (good, bad): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((good.len(), bad.len()), (1, 3));
    for answer in bad {
        answer.refused(400, "invalid_grant");
    }
    let tokens = good[0].json();
    assert!(!server.is_alive(access_of(&tokens)).await, "one of the holders of the code is a thief");
    server.token(&refresh_of(&tokens)).await.refused(400, "invalid_grant");
}

#[tokio::test]
async fn a_refresh_says_all_that_a_token_response_must() {
    let server = Oauth::start().await;
    let tokens = server.tokens("launch patient/*.rs offline_access").await;
    let renewed = server.token(&refresh_of(&tokens)).await.expect(200);
    assert_eq!((renewed.header("cache-control"), renewed.header("pragma")), ("no-store", "no-cache"));
    let renewed = renewed.json();
    assert_eq!((&renewed["token_type"], &renewed["expires_in"]), (&json!("Bearer"), &json!(3600)));
    assert_eq!(renewed["scope"], tokens["scope"]);
    assert!(server.is_alive(access_of(&renewed)).await);
}

#[tokio::test]
async fn what_else_a_launch_is_about_is_granted_only_where_it_is_delivered() {
    let server = Oauth::start().await;
    let asking = Client {
        scope: "launch launch/imagingstudy launch/questionnaire patient/*.rs".into(),
        ..client("asking", Role::App, AuthMethod::None)
    };
    server.write(async |tx, now| store::client::insert(tx, &asking, now).await).await;
    for (context, scope) in [
        (vec!["ImagingStudy/i-1".to_owned()], "launch launch/imagingstudy patient/*.rs"),
        (vec!["Questionnaire/q-1".to_owned()], "launch launch/questionnaire patient/*.rs"),
        (vec!["ImagingStudy/i-1".to_owned(), "ImagingStudy/i-2".to_owned()], "launch launch/imagingstudy patient/*.rs"),
        (Vec::new(), "launch patient/*.rs"),
    ] {
        let (launch, _) = server.launch(|row| row.fhir_context = context.clone()).await;
        let code = server.code("asking", &launch, &asking.scope).await;
        let reply = server.exchange("asking", &code).await.expect(200).json();
        assert_eq!(reply["scope"], scope);
        let told: Vec<_> = context.iter().map(|reference| json!({ "reference": reference })).collect();
        let expected = if told.is_empty() { Value::Null } else { json!(told) };
        assert_eq!(reply.get("fhirContext").cloned().unwrap_or_default(), expected);
    }
}
