//! The login form: who gets in, who does not, and what the page gives away.

use super::*;

async fn page(server: &Oauth, browser: &mut Browser) -> Answer {
    browser.authorize(server, &with(&authorization("app"), &[("scope", "openid")])).await.expect(200)
}

#[tokio::test]
async fn the_page_is_plain_html_that_nobody_may_keep_or_frame() {
    let server = Oauth::start().await;
    let page = page(&server, &mut Browser::default()).await;
    assert!(!page.text.contains("<script") && page.text.contains("The app") && page.text.contains("lang=\"en\""));
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("x-frame-options"), "DENY");
    let policy = page.header("content-security-policy");
    for part in ["default-src 'none'", "form-action 'self' https://app.example;", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    let cookie = page.header("set-cookie");
    assert!(cookie.starts_with("__Host-sofa_browser="), "{cookie}");
    for part in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    server.get("/login.css").await.expect(200);
}

#[tokio::test]
async fn the_page_speaks_french_to_those_who_prefer_it() {
    let server = Oauth::start().await;
    let mut browser = Browser { language: "fr-CA, en;q=0.8", ..Browser::default() };
    let page = page(&server, &mut browser).await;
    assert!(page.text.contains("lang=\"fr\"") && page.text.contains("Mot de passe"), "{}", page.text);
    let again = browser.fill_in(&server, &page, "julie", "wrong").await.expect(403);
    assert!(again.text.contains("incorrect"), "{}", again.text);
}

#[tokio::test]
async fn an_unknown_name_a_wrong_password_and_a_disabled_account_get_the_same_answer() {
    let server = Oauth::start().await;
    let max = user_id(&server, "max").await;
    server.write(async |tx, now| store::user::set_enabled(tx, max, false, now).await).await;
    let mut texts = Vec::new();
    for (name, password) in [("julie", "wrong"), ("nobody", PASSWORD), ("max", PASSWORD), ("", "")] {
        let mut browser = Browser::default();
        let first = page(&server, &mut browser).await;
        let answer = browser.fill_in(&server, &first, name, password).await.expect(403);
        assert!(!browser.cookies.contains_key("__Host-sofa_session"));
        texts.push(answer.text.replace(&form_token(&first), "").replace(&format!("value=\"{name}\""), "value=\"\""));
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert_eq!(server.audited("login", "refused").await, 4);
}

#[tokio::test]
async fn a_name_is_found_without_regard_to_case_and_the_session_is_kept() {
    let server = Oauth::start().await;
    let mut browser = Browser::default();
    let first = page(&server, &mut browser).await;
    let answer = browser.fill_in(&server, &first, " JULIE ", PASSWORD).await;
    answer.code();
    let request = with(&authorization("app"), &[("scope", "openid"), ("prompt", "none")]);
    browser.authorize(&server, &request).await.code();
    let again = with(&authorization("app"), &[("scope", "openid"), ("prompt", "login")]);
    browser.authorize(&server, &again).await.expect(200);
    let young = with(&authorization("app"), &[("scope", "openid"), ("max_age", "60")]);
    browser.authorize(&server, &young).await.code();
    server.clock.advance(Duration::from_secs(61));
    browser.authorize(&server, &young).await.expect(200);
    server.clock.advance(Duration::from_secs(8 * 3600));
    assert_eq!(browser.authorize(&server, &request).await.back_error(), "login_required");
}

#[tokio::test]
async fn too_many_tries_close_the_account_for_a_while_whether_or_not_it_exists() {
    let server = Oauth::start().await;
    for name in ["julie", "nobody"] {
        let mut browser = Browser::default();
        let page = page(&server, &mut browser).await;
        for _ in 0..5 {
            browser.fill_in(&server, &page, name, "wrong").await.expect(403);
        }
        for _ in 0..20 {
            let closed = browser.fill_in(&server, &page, name, PASSWORD).await.expect(429);
            assert_eq!(closed.header("retry-after"), "1", "nothing is counted while one waits");
        }
        assert!(!browser.cookies.contains_key("__Host-sofa_session"));
        for wait in [2, 4, 8] {
            server.clock.advance(Duration::from_secs(wait / 2));
            browser.fill_in(&server, &page, name, "wrong").await.expect(403);
            let closed = browser.fill_in(&server, &page, name, PASSWORD).await.expect(429);
            assert_eq!(closed.header("retry-after"), wait.to_string());
        }
    }
    server.clock.advance(Duration::from_secs(8));
    let mut browser = Browser::default();
    let page = page(&server, &mut browser).await;
    browser.fill_in(&server, &page, "julie", PASSWORD).await.code();
}

#[tokio::test]
async fn tries_made_at_the_same_moment_do_not_slip_past_the_limit() {
    let server = Oauth::start().await;
    let try_once = async |_| {
        let mut browser = Browser::default();
        let page = page(&server, &mut browser).await;
        browser.fill_in(&server, &page, "julie", "wrong").await.status
    };
    let answers = futures_util::future::join_all((0..12).map(try_once)).await;
    let tried = answers.iter().filter(|status| **status == 403).count();
    assert!(tried <= 5, "{answers:?}");
    assert!(answers.iter().all(|status| [403, 429].contains(status)), "{answers:?}");
}

#[tokio::test]
async fn a_success_forgives_the_tries_before_it() {
    let server = Oauth::start().await;
    for _ in 0..3 {
        let mut browser = Browser::default();
        let page = page(&server, &mut browser).await;
        for _ in 0..4 {
            browser.fill_in(&server, &page, "julie", "wrong").await.expect(403);
        }
        browser.fill_in(&server, &page, "julie", PASSWORD).await.code();
    }
}

#[tokio::test]
async fn an_address_that_tries_many_names_is_closed_too() {
    let server = Oauth::start_with("oauth.login_attempts = 1").await;
    let mut browser = Browser::default();
    let page = page(&server, &mut browser).await;
    for number in 0..10 {
        browser.fill_in(&server, &page, &format!("name-{number}"), "wrong").await.expect(403);
    }
    browser.fill_in(&server, &page, "julie", PASSWORD).await.expect(429);
}

#[tokio::test]
async fn a_form_works_once_only_in_its_own_browser_and_for_a_while() {
    let server = Oauth::start().await;
    let mut browser = Browser::default();
    let first = page(&server, &mut browser).await;
    Browser::default().fill_in(&server, &first, "julie", PASSWORD).await.expect(400);
    let mut other = Browser::default();
    page(&server, &mut other).await;
    other.fill_in(&server, &first, "julie", PASSWORD).await.expect(400);
    browser.fill_in(&server, &first, "julie", PASSWORD).await.code();
    browser.fill_in(&server, &first, "julie", PASSWORD).await.expect(400);
    let old =
        browser.authorize(&server, &with(&authorization("app"), &[("scope", "openid"), ("prompt", "login")])).await;
    server.clock.advance(Duration::from_secs(601));
    browser.fill_in(&server, &old, "julie", PASSWORD).await.expect(400);
    browser.post(&server, "/login", &[]).await.expect(400);
}

#[tokio::test]
async fn who_cancels_is_sent_back_and_the_form_is_gone() {
    let server = Oauth::start().await;
    let mut browser = Browser::default();
    let page = page(&server, &mut browser).await;
    let token = form_token(&page);
    let cancel = [("request", token.as_str()), ("action", "cancel")];
    let told = browser.post(&server, "/login", &cancel).await;
    assert_eq!(told.back_error(), "access_denied");
    assert_eq!(told.back()["error_description"], "the user did not agree");
    browser.fill_in(&server, &page, "julie", PASSWORD).await.expect(400);
}

#[tokio::test]
async fn a_client_disabled_while_the_form_is_open_gets_nothing() {
    let server = Oauth::start().await;
    let mut browser = Browser::default();
    let page = page(&server, &mut browser).await;
    server.write(async |tx, now| store::client::set_enabled(tx, "app", false, now).await).await;
    let answer = browser.fill_in(&server, &page, "julie", PASSWORD).await.expect(400);
    assert_eq!(answer.header("location"), "");
}
