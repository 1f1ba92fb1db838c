//! "Continue as …?": a launch that is nobody's yet does not go to whoever happens to be signed in.

use super::*;

const SCOPE: &str = "launch patient/*.rs";

/// A browser in which `name` is signed in.
async fn signed_in(server: &Oauth, name: &str) -> Browser {
    let mut browser = Browser::default();
    let request = with(&authorization("app"), &[("scope", "openid")]);
    browser.sign_in(server, &request, name, PASSWORD).await.code();
    browser
}

async fn press(server: &Oauth, browser: &mut Browser, page: &Answer, action: &str) -> Answer {
    let token = form_token(page);
    browser.post(server, "/continue", &[("request", &token), ("action", action)]).await
}

async fn owner(server: &Oauth, context: Uuid) -> Option<Uuid> {
    let mut conn = server.db.pool.acquire().await.unwrap();
    store::context::find(&mut conn, context).await.unwrap().unwrap().owner_user
}

#[tokio::test]
async fn a_session_alone_does_not_take_a_launch_that_is_nobodys() {
    let server = Oauth::start().await;
    let mut browser = signed_in(&server, "julie").await;
    let (launch, context) = server.launch(|_| {}).await;
    let request = with(&authorization("app"), &[("scope", SCOPE), ("launch", &launch)]);
    let page = browser.authorize(&server, &request).await.expect(200);
    for text in ["Dr julie", "The app", "The poc", "value=\"other\""] {
        assert!(page.text.contains(text), "{text}: {}", page.text);
    }
    assert_eq!(page.header("x-frame-options"), "DENY");
    let silent = browser.authorize(&server, &with(&request, &[("prompt", "none")])).await;
    assert_eq!(silent.back_error(), "interaction_required");
    assert_eq!(owner(&server, context.id).await, None);
    press(&server, &mut browser, &page, "continue").await.code();
    assert_eq!(owner(&server, context.id).await, Some(user_id(&server, "julie").await));
    browser.authorize(&server, &with(&request, &[("prompt", "none")])).await.code();
    press(&server, &mut browser, &page, "continue").await.expect(400);
}

#[tokio::test]
async fn another_person_signs_in_and_the_launch_is_theirs() {
    let server = Oauth::start().await;
    let mut browser = signed_in(&server, "julie").await;
    let (launch, context) = server.launch(|_| {}).await;
    let request = with(&authorization("app"), &[("scope", SCOPE), ("launch", &launch)]);
    let page = browser.authorize(&server, &request).await.expect(200);
    let login = press(&server, &mut browser, &page, "other").await.expect(200);
    press(&server, &mut browser, &page, "continue").await.expect(400);
    browser.fill_in(&server, &page, "julie", PASSWORD).await.expect(400);
    browser.fill_in(&server, &login, "max", PASSWORD).await.code();
    assert_eq!(owner(&server, context.id).await, Some(user_id(&server, "max").await));
}

#[tokio::test]
async fn who_cancels_is_sent_back_and_the_launch_stays_nobodys() {
    let server = Oauth::start().await;
    let mut browser = signed_in(&server, "julie").await;
    let (launch, context) = server.launch(|_| {}).await;
    let request = with(&authorization("app"), &[("scope", SCOPE), ("launch", &launch)]);
    for action in ["cancel", ""] {
        let page = browser.authorize(&server, &request).await.expect(200);
        assert_eq!(press(&server, &mut browser, &page, action).await.back_error(), "access_denied");
        press(&server, &mut browser, &page, "continue").await.expect(400);
    }
    assert_eq!(owner(&server, context.id).await, None);
}

#[tokio::test]
async fn a_launch_that_says_whose_it_is_asks_nothing() {
    let server = Oauth::start().await;
    let mut browser = signed_in(&server, "julie").await;
    let julie = user_id(&server, "julie").await;
    let named = |context: &mut ContextRow| {
        context.owner_named = true;
        context.owner_identifiers = vec![("urn:licence".into(), "4711".into())];
    };
    for (launch, _) in [server.launch(|context| context.owner_user = Some(julie)).await, server.launch(named).await] {
        let request = with(&authorization("app"), &[("scope", SCOPE), ("launch", &launch), ("prompt", "none")]);
        browser.authorize(&server, &request).await.code();
    }
}

#[tokio::test]
async fn what_another_organisations_system_says_of_a_person_is_not_enough() {
    let server = Oauth::start().await;
    let mut browser = signed_in(&server, "julie").await;
    let foreign = |context: &mut ContextRow| {
        context.tenant = 8;
        context.owner_named = true;
        context.owner_identifiers = vec![("urn:licence".into(), "4711".into())];
    };
    let (launch, context) = server.launch(foreign).await;
    let request = with(&authorization("app"), &[("scope", SCOPE), ("launch", &launch)]);
    let silent = browser.authorize(&server, &with(&request, &[("prompt", "none")])).await;
    assert_eq!(silent.back_error(), "interaction_required");
    let page = browser.authorize(&server, &request).await.expect(200);
    assert!(page.text.contains("The poc"), "where it came from: {}", page.text);
    assert_eq!(owner(&server, context.id).await, None);
    press(&server, &mut browser, &page, "continue").await.code();
    assert_eq!(owner(&server, context.id).await, Some(user_id(&server, "julie").await));
}

#[tokio::test]
async fn a_form_of_another_browser_or_session_does_nothing() {
    let server = Oauth::start().await;
    let mut browser = signed_in(&server, "julie").await;
    let (launch, context) = server.launch(|_| {}).await;
    let request = with(&authorization("app"), &[("scope", SCOPE), ("launch", &launch)]);
    let page = browser.authorize(&server, &request).await.expect(200);
    press(&server, &mut Browser::default(), &page, "continue").await.expect(400);
    press(&server, &mut signed_in(&server, "max").await, &page, "continue").await.expect(400);
    // Somebody else has signed in with this browser meanwhile.
    let again = with(&authorization("app"), &[("scope", "openid"), ("prompt", "login")]);
    browser.sign_in(&server, &again, "max", PASSWORD).await.code();
    press(&server, &mut browser, &page, "continue").await.expect(400);
    assert_eq!(owner(&server, context.id).await, None);
}

#[tokio::test]
async fn who_belongs_to_no_organisation_takes_nobodys_launch_only_where_that_is_allowed() {
    for (allowed, rules) in [(false, ""), (true, "context.unowned_by_any_organisation = true")] {
        let server = Oauth::start_with(rules).await;
        sqlx::query("update user_account set tenant = 0 where name = 'max'").execute(&server.db.pool).await.unwrap();
        let (launch, context) = server.launch(|_| {}).await;
        let request = with(&authorization("app"), &[("scope", SCOPE), ("launch", &launch)]);
        let answer = Browser::default().sign_in(&server, &request, "max", PASSWORD).await;
        let back = answer.back();
        assert_eq!(back.get("error").map(String::as_str), (!allowed).then_some("access_denied"), "{back:?}");
        assert_eq!(owner(&server, context.id).await.is_some(), allowed);
    }
}
