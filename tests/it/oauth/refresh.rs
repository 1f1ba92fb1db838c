//! Refresh tokens that come a second time: forgiven to who lost the answer, not to who stole them.

use futures_util::future::join_all;

use super::*;

const SCOPE: &str = "launch patient/*.rs offline_access";

fn refresh_of(tokens: &Value) -> Vec<(&str, &str)> {
    vec![("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())]
}

async fn refreshed(server: &Oauth, tokens: &Value) -> Value {
    let answer = server.token(&refresh_of(tokens)).await.expect(200);
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
    answer.json()
}

async fn is_alive(server: &Oauth, tokens: &Value) -> bool {
    server.is_alive(tokens["access_token"].as_str().unwrap()).await
}

/// Demands that the token is refused and that nothing of its grant works any more.
async fn ends_the_grant(server: &Oauth, token: &Value, others: &[&Value]) {
    server.token(&refresh_of(token)).await.refused(400, "invalid_grant");
    for other in others {
        assert!(!is_alive(server, other).await);
        server.token(&refresh_of(other)).await.refused(400, "invalid_grant");
    }
    assert_eq!(server.audited("token", "refused").await, 1);
}

#[tokio::test]
async fn a_refresh_token_that_comes_back_ends_the_grant() {
    let server = Oauth::start().await;
    let first = server.tokens(SCOPE).await;
    let second = refreshed(&server, &first).await;
    server.clock.advance(Duration::from_secs(10));
    ends_the_grant(&server, &first, &[&first, &second]).await;
}

#[tokio::test]
async fn an_app_that_lost_the_answer_may_ask_again() {
    let server = Oauth::start().await;
    let first = server.tokens(SCOPE).await;
    let lost = refreshed(&server, &first).await;
    server.clock.advance(Duration::from_secs(9));
    let second = refreshed(&server, &first).await;
    assert_ne!(lost["refresh_token"], second["refresh_token"]);
    assert!(is_alive(&server, &second).await);
    let third = refreshed(&server, &second).await;
    assert!(is_alive(&server, &third).await);
}

#[tokio::test]
async fn of_two_answers_the_one_that_is_used_first_is_the_apps() {
    let server = Oauth::start().await;
    let first = server.tokens(SCOPE).await;
    let (one, other) = (refreshed(&server, &first).await, refreshed(&server, &first).await);
    let next = refreshed(&server, &other).await;
    ends_the_grant(&server, &one, &[&other, &next]).await;
}

#[tokio::test]
async fn a_token_is_not_forgiven_once_what_was_given_for_it_was_used() {
    let server = Oauth::start().await;
    let first = server.tokens(SCOPE).await;
    let second = refreshed(&server, &first).await;
    let third = refreshed(&server, &second).await;
    ends_the_grant(&server, &first, &[&second, &third]).await;
}

#[tokio::test]
async fn refreshes_at_the_same_moment_do_not_lock_an_honest_app_out() {
    let server = Oauth::start().await;
    let first = server.tokens(SCOPE).await;
    let fields = refresh_of(&first);
    let answers = join_all((0..4).map(|_| server.token(&fields))).await;
    let mut tokens = std::collections::BTreeSet::new();
    for answer in answers {
        let answer = answer.expect(200).json();
        assert!(is_alive(&server, &answer).await);
        tokens.insert(answer["refresh_token"].as_str().unwrap().to_owned());
    }
    assert_eq!(tokens.len(), 4);
    server.token(&fields).await.refused(400, "invalid_grant");
    assert!(is_alive(&server, &first).await, "too often is no theft");
    assert_eq!(server.audited("token", "refused").await, 0);
}

#[tokio::test]
async fn without_a_grace_every_second_use_ends_the_grant() {
    let server = Oauth::start_with("oauth.refresh_grace = \"0s\"").await;
    let first = server.tokens(SCOPE).await;
    let second = refreshed(&server, &first).await;
    ends_the_grant(&server, &first, &[&second]).await;
}

#[tokio::test]
async fn nobody_else_is_forgiven_a_used_token() {
    let server = Oauth::start().await;
    let first = server.tokens(SCOPE).await;
    let second = refreshed(&server, &first).await;
    server.token(&with(&refresh_of(&first), &[("client_id", "other-app")])).await.refused(400, "invalid_grant");
    let stranger = server.post("/token", &refresh_of(&first), &[("authorization", &basic("basic", SECRET))]).await;
    stranger.refused(400, "invalid_grant");
    assert!(is_alive(&server, &second).await, "a stranger's request ends nothing");
}

#[tokio::test]
async fn a_confidential_app_renews_with_its_secret_and_not_without() {
    let server = Oauth::start().await;
    let (launch, _) = server.launch(|_| {}).await;
    let code = server.code("basic", &launch, SCOPE).await;
    let header = basic("basic", SECRET);
    let first = server.post("/token", &exchange(&code), &[("authorization", &header)]).await.expect(200).json();
    server.token(&refresh_of(&first)).await.refused(401, "invalid_client");
    server.token(&with(&refresh_of(&first), &[("client_id", "basic")])).await.refused(401, "invalid_client");
    let wrong = basic("basic", "wrong");
    server.post("/token", &refresh_of(&first), &[("authorization", &wrong)]).await.refused(401, "invalid_client");
    server.post("/token", &refresh_of(&first), &[("authorization", &header)]).await.expect(200);
}

#[tokio::test]
async fn an_app_that_is_not_registered_for_it_gets_no_refresh_token() {
    let server = Oauth::start().await;
    let registered = Client { scope: "launch patient/*.rs".into(), ..client("brief", Role::App, AuthMethod::None) };
    server.write(async |tx, now| store::client::insert(tx, &registered, now).await).await;
    let (launch, _) = server.launch(|_| {}).await;
    let code = server.code("brief", &launch, SCOPE).await;
    let tokens = server.exchange("brief", &code).await.expect(200).json();
    assert_eq!((&tokens["scope"], tokens.get("refresh_token")), (&json!("launch patient/*.rs"), None));
}

#[tokio::test]
async fn a_grant_cannot_be_renewed_for_ever() {
    let server = Oauth::start_with("[oauth]\nrefresh_token_ttl = \"2h\"\ngrant_lifetime = \"3h\"").await;
    let mut browser = Browser::default();
    let request = with(&authorization("poc"), &[("scope", "openid offline_access user/*.rs")]);
    let code = browser.sign_in(&server, &request, "julie", PASSWORD).await.code();
    let proof = assertion(&server, "poc", &json!({}));
    let fields = [exchange(&code), signed(&proof).to_vec()].concat();
    let mut tokens = server.token(&fields).await.expect(200).json();
    for _ in 0..2 {
        server.clock.advance(Duration::from_secs(5000));
        let proof = assertion(&server, "poc", &json!({}));
        tokens = server.token(&[refresh_of(&tokens), signed(&proof).to_vec()].concat()).await.expect(200).json();
    }
    server.clock.advance(Duration::from_secs(800));
    assert!(is_alive(&server, &tokens).await, "the last access token lives its hour");
    let proof = assertion(&server, "poc", &json!({}));
    server.token(&[refresh_of(&tokens), signed(&proof).to_vec()].concat()).await.refused(400, "invalid_grant");
}
