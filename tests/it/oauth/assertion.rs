//! Clients that sign, and `client_credentials`.

use super::*;

fn request<'a>(scope: &'a str, assertion: &'a str) -> Vec<(&'a str, &'a str)> {
    [vec![("grant_type", "client_credentials"), ("scope", scope)], signed(assertion).to_vec()].concat()
}

#[tokio::test]
async fn a_service_gets_a_short_token_of_its_own() {
    let server = Oauth::start().await;
    let answer =
        server.token(&request("system/*.rs openid", &assertion(&server, "service", &json!({})))).await.expect(200);
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
    let reply = answer.json();
    assert_eq!((&reply["token_type"], &reply["scope"]), (&json!("Bearer"), &json!("system/*.rs")));
    assert!((1..=300).contains(&reply["expires_in"].as_i64().unwrap()));
    assert!(reply.get("refresh_token").is_none() && reply.get("id_token").is_none() && reply.get("patient").is_none());
    let token = reply["access_token"].as_str().unwrap();
    assert!(server.is_alive(token).await);
    server.write(async |tx, now| store::client::set_enabled(tx, "service", false, now).await).await;
    assert!(!server.is_alive(token).await, "a disabled client's token is dead");
}

#[tokio::test]
async fn what_can_never_be_granted_is_refused() {
    let server = Oauth::start().await;
    for scope in ["patient/*.rs", "user/*.rs", "system/Foo.rs", "openid", "system/*.rs?x=1", "Context.write"] {
        let assertion = assertion(&server, "service", &json!({}));
        server.token(&request(scope, &assertion)).await.refused(400, "invalid_scope");
    }
    for (scope, why) in [
        ("system/*.rs?x=1", "conditions on all types"),
        ("system/Observation.rs?bogus=1", "no such search parameter"),
        ("system/Observation.rs?code:in=http://x", "modifier"),
    ] {
        let refused = server.token(&request(scope, &assertion(&server, "service", &json!({})))).await;
        let told = refused.refused(400, "invalid_scope").json()["error_description"].as_str().unwrap().to_owned();
        assert!(told.starts_with(&format!("scope {scope}: ")) && told.contains(why), "{told}");
    }
    let poc = server.token(&request("Context.write system/*.rs", &assertion(&server, "poc", &json!({})))).await;
    assert_eq!(poc.expect(200).json()["scope"], "Context.write system/*.rs");
    server.token(&request("", &assertion(&server, "service", &json!({})))).await.refused(400, "invalid_request");
}

#[tokio::test]
async fn only_signing_services_and_point_of_care_systems_act_for_themselves() {
    let server = Oauth::start().await;
    let plain = [("grant_type", "client_credentials"), ("scope", "system/*.rs")];
    let secret = server.post("/token", &plain, &[("authorization", &basic("basic-poc", SECRET))]).await;
    secret.refused(400, "unauthorized_client");
    server.token(&with(&plain, &[("client_id", "app")])).await.refused(400, "unauthorized_client");
    let app = assertion(&server, "signing", &json!({}));
    server.token(&request("system/*.rs", &app)).await.refused(400, "unauthorized_client");
    server.token(&plain).await.refused(401, "invalid_client");
}

#[tokio::test]
async fn an_assertion_is_good_once_and_for_its_client_only() {
    let server = Oauth::start().await;
    let once = assertion(&server, "service", &json!({}));
    server.token(&request("system/*.rs", &once)).await.expect(200);
    server.token(&request("system/*.rs", &once)).await.refused(401, "invalid_client");
    let same_jti = json!({"jti": "one"});
    server.token(&request("system/*.rs", &assertion(&server, "service", &same_jti))).await.expect(200);
    server
        .token(&request("system/*.rs", &assertion(&server, "service", &same_jti)))
        .await
        .refused(401, "invalid_client");
    server.token(&request("system/*.rs", &assertion(&server, "poc", &same_jti))).await.expect(200);
}

#[tokio::test]
async fn an_assertion_used_up_by_a_failed_request_stays_used() {
    let server = Oauth::start().await;
    let assertion = assertion(&server, "service", &json!({}));
    server.token(&request("openid", &assertion)).await.refused(400, "invalid_scope");
    server.token(&request("system/*.rs", &assertion)).await.refused(401, "invalid_client");
}

#[tokio::test]
async fn a_bad_assertion_is_refused() {
    let server = Oauth::start().await;
    let now = server.clock.now().unix_timestamp();
    for changes in [
        json!({"aud": ISSUER}),
        json!({"aud": null}),
        json!({"exp": now - 60}),
        json!({"exp": now + 600}),
        json!({"exp": null}),
        json!({"sub": "poc"}),
        json!({"iss": "poc"}),
        json!({"iss": "nobody", "sub": "nobody"}),
        json!({"iss": "app", "sub": "app"}),
        json!({"jti": null}),
        json!({"nbf": now + 60}),
    ] {
        let text = assertion(&server, "service", &changes);
        let answer = server.token(&request("system/*.rs", &text)).await;
        assert_eq!(answer.refused(401, "invalid_client").json().get("access_token"), None, "{changes}");
    }
    server.token(&request("system/*.rs", "eyJhbGciOiJub25lIn0.e30.")).await.refused(401, "invalid_client");
}

#[tokio::test]
async fn the_assertion_type_and_the_client_id_must_agree() {
    let server = Oauth::start().await;
    let good = || request("system/*.rs", "").into_iter();
    let assertion = || assertion(&server, "service", &json!({}));
    let text = assertion();
    let fields: Vec<_> = good().collect();
    let wrong_type = with(&fields, &[("client_assertion", &text), ("client_assertion_type", "nonsense")]);
    server.token(&wrong_type).await.refused(401, "invalid_client");
    let no_type = with(&fields, &[("client_assertion", &text), ("client_assertion_type", "")]);
    server.token(&no_type).await.refused(401, "invalid_client");
    let other_id = with(&fields, &[("client_assertion", &text), ("client_id", "poc")]);
    server.token(&other_id).await.refused(401, "invalid_client");
    let text = assertion();
    let same_id = with(&fields, &[("client_assertion", &text), ("client_id", "service")]);
    server.token(&same_id).await.expect(200);
    let text = assertion();
    let both = with(&fields, &[("client_assertion", &text)]);
    server.post("/token", &both, &[("authorization", &basic("basic", SECRET))]).await.refused(400, "invalid_request");
}

#[tokio::test]
async fn a_signing_app_launches_and_refreshes() {
    let server = Oauth::start().await;
    let (launch, _) = server.launch(|_| {}).await;
    let code = server.code("signing", &launch, "launch patient/*.rs offline_access").await;
    server.token(&with(&exchange(&code), &[("client_id", "signing")])).await.refused(401, "invalid_client");
    let text = assertion(&server, "signing", &json!({}));
    let tokens = server.token(&[exchange(&code), signed(&text).to_vec()].concat()).await.expect(200).json();
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
    server.token(&refresh).await.refused(401, "invalid_client");
    let text = assertion(&server, "signing", &json!({}));
    server.token(&[refresh.to_vec(), signed(&text).to_vec()].concat()).await.expect(200);
}
