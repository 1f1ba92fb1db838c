//! Browser sessions: one person after another, and a browser that was left alone.

use super::*;

const ONLINE: &str = "launch patient/*.rs openid online_access";

async fn launched(server: &Oauth, browser: &mut Browser, name: &str, scope: &str) -> Value {
    let (launch, _) = server.launch(|_| {}).await;
    let request = with(&authorization("app"), &[("launch", &launch), ("scope", scope), ("prompt", "login")]);
    let code = browser.sign_in(server, &request, name, PASSWORD).await.code();
    server.exchange("app", &code).await.expect(200).json()
}

async fn refresh(server: &Oauth, tokens: &Value) -> Answer {
    let token = tokens["refresh_token"].as_str().unwrap();
    server.token(&[("grant_type", "refresh_token"), ("client_id", "app"), ("refresh_token", token)]).await
}

async fn sid(server: &Oauth, tokens: &Value) -> Value {
    server.keys.verify::<Value>("JWT", tokens["id_token"].as_str().unwrap()).await.unwrap()["sid"].clone()
}

async fn silently(server: &Oauth, browser: &mut Browser) -> Answer {
    browser.authorize(server, &with(&authorization("app"), &[("scope", "openid"), ("prompt", "none")])).await
}

#[tokio::test]
async fn another_person_in_the_same_browser_ends_the_session_of_the_one_before() {
    let server = Oauth::start().await;
    let mut browser = Browser::default();
    let online = launched(&server, &mut browser, "julie", ONLINE).await;
    let offline = launched(&server, &mut browser, "julie", "launch patient/*.rs openid offline_access").await;
    let at_home = launched(&server, &mut Browser::default(), "julie", ONLINE).await;
    let old_cookies = browser.cookies.clone();
    let of_max = launched(&server, &mut browser, "max", ONLINE).await;
    refresh(&server, &online).await.refused(400, "invalid_grant");
    assert!(!server.is_alive(online["access_token"].as_str().unwrap()).await);
    for alive in [&offline, &at_home, &of_max] {
        refresh(&server, alive).await.expect(200);
    }
    assert_ne!(sid(&server, &online).await, sid(&server, &of_max).await);
    assert_eq!(server.audited("logout", "success").await, 1);
    let mut before = Browser { cookies: old_cookies, ..Browser::default() };
    assert_eq!(
        silently(&server, &mut before).await.back_error(),
        "login_required",
        "the cookie of before is worth nothing"
    );
    silently(&server, &mut browser).await.code();
}

#[tokio::test]
async fn the_same_person_goes_on_in_the_same_session_with_another_cookie() {
    let server = Oauth::start().await;
    let mut browser = Browser::default();
    let first = launched(&server, &mut browser, "julie", ONLINE).await;
    let old_cookies = browser.cookies.clone();
    server.clock.advance(Duration::from_secs(7 * 3600));
    let second = launched(&server, &mut browser, "julie", ONLINE).await;
    assert_eq!(sid(&server, &first).await, sid(&server, &second).await);
    assert_ne!(old_cookies["__Host-sofa_session"], browser.cookies["__Host-sofa_session"]);
    let mut before = Browser { cookies: old_cookies, ..Browser::default() };
    assert_eq!(silently(&server, &mut before).await.back_error(), "login_required");
    server.clock.advance(Duration::from_secs(2 * 3600));
    refresh(&server, &first).await.expect(200);
    server.clock.advance(Duration::from_secs(6 * 3600 + 1));
    refresh(&server, &second).await.refused(400, "invalid_grant");
    assert_eq!(server.audited("logout", "success").await, 0);
}

#[tokio::test]
async fn a_browser_that_was_left_alone_asks_again_and_the_apps_go_on() {
    let server = Oauth::start().await;
    let mut browser = Browser::default();
    let tokens = launched(&server, &mut browser, "julie", ONLINE).await;
    for _ in 0..3 {
        server.clock.advance(Duration::from_secs(29 * 60));
        silently(&server, &mut browser).await.code();
    }
    server.clock.advance(Duration::from_secs(30 * 60));
    assert_eq!(silently(&server, &mut browser).await.back_error(), "login_required");
    let page = browser.get(&server, "/manage").await.expect(200);
    assert!(page.text.contains("type=\"password\""), "{}", page.text);
    let renewed = refresh(&server, &tokens).await.expect(200).json();
    assert_eq!(
        silently(&server, &mut browser).await.back_error(),
        "login_required",
        "an app in the background is no visit"
    );
    launched(&server, &mut browser, "max", ONLINE).await;
    refresh(&server, &renewed).await.refused(400, "invalid_grant");
}

#[tokio::test]
async fn a_form_of_before_another_sign_in_does_nothing() {
    let server = Oauth::start().await;
    let mut browser = Browser::default();
    launched(&server, &mut browser, "julie", ONLINE).await;
    let (launch, _) = server.launch(|_| {}).await;
    let request = with(&authorization("app"), &[("launch", &launch), ("scope", ONLINE)]);
    let page = browser.authorize(&server, &request).await.expect(200);
    let fields = [("request", form_token(&page)), ("action", "continue".to_owned())];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    launched(&server, &mut browser, "max", ONLINE).await;
    browser.post(&server, "/continue", &fields).await.expect(400);
}
