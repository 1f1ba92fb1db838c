//! Signing out: who is signed out, what ends, who is told, and where nobody is sent.

use super::*;
use crate::support::key_server::{KeyServer, Says};

/// Where `leaver` wants its people to go afterwards.
const OUT: &str = "https://app.example/out?keep=1";
/// Clients at this machine may be told.
const TELL: &str = "[registry]\nallow_http = true\nallow_private_addresses = true\n";
const ONLINE: &str = "openid online_access launch patient/*.rs";

/// Two apps that know how to sign out; `told` is where the first wants to be told.
async fn register(server: &Oauth, told: Option<&str>) {
    for (id, told) in [("leaver", told), ("other-leaver", None)] {
        let app = Client {
            post_logout_redirect_uris: vec![OUT.into(), format!("https://{id}.example/bye")],
            backchannel_logout_uri: told.map(str::to_owned),
            ..client(id, Role::App, AuthMethod::None)
        };
        server.write(async |tx, now| store::client::insert(tx, &app, now).await).await;
    }
}

/// `julie` launches `client` in this browser; what it gets.
async fn launched(server: &Oauth, browser: &mut Browser, client: &str, scope: &str) -> Value {
    let (launch, _) = server.launch(|_| {}).await;
    let request = with(&authorization(client), &[("launch", &launch), ("scope", scope)]);
    let mut answer = browser.authorize(server, &request).await;
    if answer.text.contains("type=\"password\"") {
        answer = browser.fill_in(server, &answer, "julie", PASSWORD).await;
    } else if answer.status == 200 {
        let fields = [("request", form_token(&answer)), ("action", "continue".to_owned())];
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        answer = browser.post(server, "/continue", &fields).await;
    }
    server.exchange(client, &answer.code()).await.expect(200).json()
}

fn logout(parameters: &[(&str, &str)]) -> String {
    format!("/logout?{}", encode(parameters))
}

async fn is_signed_in(server: &Oauth, browser: &mut Browser) -> bool {
    let request = with(&authorization("app"), &[("scope", "openid"), ("prompt", "none")]);
    browser.authorize(server, &request).await.back().contains_key("code")
}

async fn refresh(server: &Oauth, client: &str, tokens: &Value) -> Answer {
    let token = tokens["refresh_token"].as_str().unwrap();
    server.token(&[("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", token)]).await
}

fn id_of(tokens: &Value) -> &str {
    tokens["id_token"].as_str().unwrap()
}

/// The claims of a token of this server.
async fn claims(server: &Oauth, typ: &str, token: &str) -> Value {
    server.keys.verify::<Value>(typ, token).await.unwrap()
}

#[tokio::test]
async fn an_app_signs_its_user_out_and_everything_but_offline_access_ends() {
    let receiver = KeyServer::start(Says::status(200, "")).await;
    let server = Oauth::start_with(TELL).await;
    register(&server, Some(&receiver.url)).await;
    let mut browser = Browser::default();
    let online = launched(&server, &mut browser, "leaver", ONLINE).await;
    let plain = launched(&server, &mut browser, "app", "openid launch patient/*.rs").await;
    let offline = launched(&server, &mut browser, "app", "openid offline_access launch patient/*.rs").await;
    let elsewhere = launched(&server, &mut Browser::default(), "leaver", ONLINE).await;
    let access = |tokens: &Value| tokens["access_token"].as_str().unwrap().to_owned();
    let url = logout(&[("id_token_hint", id_of(&online)), ("post_logout_redirect_uri", OUT), ("state", "s&t")]);
    let answer = browser.get(&server, &url).await.expect(303);
    assert_eq!(answer.header("location"), "https://app.example/out?keep=1&state=s%26t");
    assert!(!browser.cookies.contains_key("__Host-sofa_session"));
    assert!(!is_signed_in(&server, &mut browser).await);
    refresh(&server, "leaver", &online).await.refused(400, "invalid_grant");
    assert!(!server.is_alive(&access(&online)).await && !server.is_alive(&access(&plain)).await);
    assert!(server.is_alive(&access(&offline)).await && server.is_alive(&access(&elsewhere)).await);
    refresh(&server, "app", &offline).await.expect(200);
    refresh(&server, "leaver", &elsewhere).await.expect(200);
    assert_eq!(server.audited("logout", "success").await, 1);

    let told = receiver.wait_for(1).await.remove(0);
    assert_eq!(told.headers["content-type"], "application/x-www-form-urlencoded");
    let token = told.body.strip_prefix("logout_token=").unwrap();
    let said = claims(&server, "logout+jwt", token).await;
    let signed_in = claims(&server, "JWT", id_of(&online)).await;
    for same in ["iss", "sub", "aud", "sid"] {
        assert_eq!(said[same], signed_in[same], "{same}");
    }
    assert_eq!(said["events"], json!({"http://schemas.openid.net/event/backchannel-logout": {}}));
    assert!(said.get("nonce").is_none() && said["jti"].is_string());
    assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 120);
    assert!(server.keys.verify::<Value>("JWT", token).await.is_err(), "it does not pass for an ID token");
}

#[tokio::test]
async fn a_client_that_cannot_be_told_keeps_nobody_signed_in() {
    let receiver = KeyServer::start(Says::status(500, "")).await;
    let server = Oauth::start_with(TELL).await;
    register(&server, Some(&receiver.url)).await;
    let mut browser = Browser::default();
    let tokens = launched(&server, &mut browser, "leaver", ONLINE).await;
    browser.get(&server, &logout(&[("id_token_hint", id_of(&tokens))])).await.expect(200);
    assert!(!is_signed_in(&server, &mut browser).await);
    receiver.wait_for(1).await;
    let written = async {
        while server.audited("logout-notify", "failed").await == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), written).await.expect("the failure is in the audit trail");
}

#[tokio::test]
async fn without_a_hint_the_person_is_asked() {
    let server = Oauth::start().await;
    register(&server, None).await;
    let mut browser = Browser::default();
    launched(&server, &mut browser, "app", "openid launch").await;
    let named = [("client_id", "leaver"), ("post_logout_redirect_uri", OUT)];
    for parameters in [&[][..], &named] {
        let page = browser.get(&server, &logout(parameters)).await.expect(200);
        assert!(page.text.contains("Dr julie") && !page.text.contains("<script"), "{}", page.text);
        let stay = [("request", form_token(&page)), ("action", "stay".to_owned())];
        let stay = stay.each_ref().map(|(name, value)| (*name, value.as_str()));
        let still = browser.post(&server, "/sign-out", &stay).await.expect(200);
        assert!(still.text.contains("still signed in"), "{}", still.text);
        assert!(is_signed_in(&server, &mut browser).await);
        browser.post(&server, "/sign-out", &stay).await.expect(400);
    }
    let page = browser.get(&server, &logout(&named)).await.expect(200);
    assert!(page.header("content-security-policy").contains("form-action 'self' https://app.example;"));
    let fields = [("request", form_token(&page)), ("action", "sign-out".to_owned())];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    Browser::default().post(&server, "/sign-out", &fields).await.expect(400);
    let mut elsewhere = Browser { headers: &[("sec-fetch-site", "cross-site")], ..Browser::default() };
    elsewhere.cookies.clone_from(&browser.cookies);
    elsewhere.post(&server, "/sign-out", &fields).await.expect(403);
    assert!(is_signed_in(&server, &mut browser).await);
    let out = browser.post(&server, "/sign-out", &fields).await.expect(303);
    assert_eq!(out.header("location"), OUT);
    assert!(!is_signed_in(&server, &mut browser).await);
    browser.post(&server, "/sign-out", &fields).await.expect(400);
}

#[tokio::test]
async fn a_hint_that_is_not_of_this_session_signs_nobody_out_unasked() {
    let server = Oauth::start().await;
    register(&server, None).await;
    let mut browser = Browser::default();
    let tokens = launched(&server, &mut browser, "leaver", ONLINE).await;
    let other = launched(&server, &mut Browser::default(), "leaver", ONLINE).await;
    let max = {
        let (launch, _) = server.launch(|_| {}).await;
        let request = with(&authorization("leaver"), &[("launch", &launch), ("scope", "openid launch")]);
        let code = Browser::default().sign_in(&server, &request, "max", PASSWORD).await.code();
        server.exchange("leaver", &code).await.expect(200).json()
    };
    let forged = {
        let mut parts: Vec<_> = id_of(&tokens).split('.').map(str::to_owned).collect();
        parts[2] = URL_SAFE_NO_PAD.encode([0; 256]);
        parts.join(".")
    };
    for hint in [id_of(&other), id_of(&max), tokens["access_token"].as_str().unwrap(), &forged, "nonsense"] {
        let page = browser.get(&server, &logout(&[("id_token_hint", hint)])).await.expect(200);
        assert!(page.text.contains("action=\"sign-out\""), "{hint}: {}", page.text);
        assert!(is_signed_in(&server, &mut browser).await, "{hint}");
    }
    refresh(&server, "leaver", &other).await.expect(200);
}

#[tokio::test]
async fn nobody_is_sent_to_an_address_that_is_not_registered_for_the_client() {
    let server = Oauth::start().await;
    register(&server, None).await;
    let mut browser = Browser::default();
    let tokens = launched(&server, &mut browser, "leaver", ONLINE).await;
    let hint = ("id_token_hint", id_of(&tokens));
    for parameters in [
        vec![hint, ("post_logout_redirect_uri", "https://evil.example/")],
        vec![hint, ("post_logout_redirect_uri", "https://app.example/out")],
        vec![hint, ("post_logout_redirect_uri", "https://app.example/out?keep=1&x")],
        vec![hint, ("post_logout_redirect_uri", "https://other-leaver.example/bye")],
        vec![hint, ("post_logout_redirect_uri", REDIRECT)],
        vec![("post_logout_redirect_uri", OUT)],
        vec![("id_token_hint", "nonsense"), ("post_logout_redirect_uri", OUT)],
        vec![hint, ("client_id", "other-leaver"), ("post_logout_redirect_uri", OUT)],
        vec![("client_id", "nobody"), ("post_logout_redirect_uri", OUT)],
        vec![hint, hint],
        vec![hint, ("state", "a"), ("state", "b")],
    ] {
        let refused = browser.get(&server, &logout(&parameters)).await.expect(400);
        assert_eq!(refused.header("location"), "", "{parameters:?}");
        assert!(is_signed_in(&server, &mut browser).await, "{parameters:?}");
    }
    let long = "x".repeat(2049);
    browser.get(&server, &logout(&[hint, ("state", &long)])).await.expect(400);
}

#[tokio::test]
async fn a_hint_may_have_expired_and_an_app_may_post() {
    let server = Oauth::start().await;
    register(&server, None).await;
    let mut browser = Browser::default();
    let tokens = launched(&server, &mut browser, "leaver", ONLINE).await;
    server.clock.advance(Duration::from_secs(2 * 3600));
    let fields = [("id_token_hint", id_of(&tokens)), ("post_logout_redirect_uri", OUT), ("state", "s")];
    // A form of another site comes without the cookie; the redirect brings it.
    let session = browser.cookies.remove("__Host-sofa_session").unwrap();
    let redirect = browser.post(&server, "/logout", &fields).await.expect(303);
    let back = redirect.header("location").strip_prefix(ISSUER).unwrap().to_owned();
    assert!(back.starts_with("/logout?id_token_hint="), "{back}");
    browser.cookies.insert("__Host-sofa_session".to_owned(), session);
    let answer = browser.get(&server, &back).await.expect(303);
    assert_eq!(answer.header("location"), "https://app.example/out?keep=1&state=s");
    refresh(&server, "leaver", &tokens).await.refused(400, "invalid_grant");

    let tokens = launched(&server, &mut browser, "leaver", ONLINE).await;
    let fields = [("id_token_hint", id_of(&tokens))];
    browser.post(&server, "/logout", &fields).await.expect(200);
    refresh(&server, "leaver", &tokens).await.refused(400, "invalid_grant");
    let plain = Request::post("/logout").header(header::CONTENT_TYPE, "text/plain").body(Body::from(encode(&fields)));
    server.send(plain.unwrap()).await.expect(400);
}

#[tokio::test]
async fn whoever_is_not_signed_in_is_told_the_same() {
    let server = Oauth::start().await;
    register(&server, None).await;
    let mut french = Browser { language: "fr", ..Browser::default() };
    let page = french.get(&server, "/logout").await.expect(200);
    assert!(page.text.contains("Vous êtes déconnecté") && page.text.contains("lang=\"fr\""), "{}", page.text);
    let english = french.get(&server, "/logout?ui_locales=en").await.expect(200);
    assert!(english.text.contains("You are signed out"), "{}", english.text);
    let named = logout(&[("client_id", "leaver"), ("post_logout_redirect_uri", OUT)]);
    assert_eq!(french.get(&server, &named).await.expect(303).header("location"), OUT);
    assert_eq!(server.audited("logout", "success").await, 0);
}
