//! The page of granted access: who sees what, and what ends.

use super::*;

const SCOPE: &str = "launch openid patient/*.rs offline_access";

/// A browser in which `name` is signed in, by way of the page itself.
async fn signed_in(server: &Oauth, name: &str) -> (Browser, Answer) {
    let mut browser = Browser::default();
    let login = browser.get(server, "/manage").await.expect(200);
    assert!(!login.text.contains("value=\"cancel\""), "{}", login.text);
    let answer = browser.fill_in(server, &login, name, PASSWORD).await.expect(303);
    assert_eq!(answer.header("location"), format!("{ISSUER}/manage"));
    let page = browser.get(server, "/manage").await.expect(200);
    (browser, page)
}

async fn end(server: &Oauth, browser: &mut Browser, page: &Answer, client: &str) -> Answer {
    let token = form_token(page);
    browser.post(server, "/manage/end", &[("request", &token), ("client", client)]).await
}

/// Launches `client` for `name`.
async fn tokens(server: &Oauth, client: &str, name: &str) -> Value {
    let user = user_id(server, name).await;
    let (launch, _) = server.launch(|context| context.owner_user = Some(user)).await;
    let request = with(&authorization(client), &[("scope", SCOPE), ("launch", &launch)]);
    let code = Browser::default().sign_in(server, &request, name, PASSWORD).await.code();
    server.exchange(client, &code).await.expect(200).json()
}

fn access_of(tokens: &Value) -> &str {
    tokens["access_token"].as_str().unwrap()
}

#[tokio::test]
async fn a_person_sees_their_own_apps_in_words() {
    let server = Oauth::start().await;
    tokens(&server, "app", "julie").await;
    tokens(&server, "other-app", "max").await;
    let (_, page) = signed_in(&server, "julie").await;
    for text in ["Dr julie", "The app", "See all health data of the patient", "2026-01-01T12:00:00Z", "The poc"] {
        assert!(page.text.contains(text), "{text}: {}", page.text);
    }
    assert!(!page.text.contains("The other-app") && !page.text.contains("<script"), "{}", page.text);
    assert_eq!((page.header("cache-control"), page.header("x-frame-options")), ("no-store", "DENY"));
    let (_, nothing) = signed_in(&server, "guest").await;
    assert!(!nothing.text.contains("<section") && nothing.text.contains("No app"), "{}", nothing.text);
}

#[tokio::test]
async fn a_name_that_nobody_vetted_stands_beside_its_host() {
    let server = Oauth::start().await;
    let dynamic = Client { source: store::client::Source::Dynamic, ..client("growth", Role::App, AuthMethod::None) };
    server.write(async |tx, now| store::client::insert(tx, &dynamic, now).await).await;
    tokens(&server, "growth", "julie").await;
    tokens(&server, "app", "julie").await;
    let (_, page) = signed_in(&server, "julie").await;
    assert!(page.text.contains("The growth (app.example)</bdi>"), "{}", page.text);
    assert!(page.text.contains("The app</bdi>"), "{}", page.text);
}

#[tokio::test]
async fn the_page_speaks_french_to_those_who_prefer_it() {
    let server = Oauth::start().await;
    tokens(&server, "app", "julie").await;
    let (mut browser, _) = signed_in(&server, "julie").await;
    browser.language = "fr";
    let page = browser.get(&server, "/manage").await.expect(200);
    assert!(page.text.contains("lang=\"fr\"") && page.text.contains("données de santé du patient"), "{}", page.text);
}

#[tokio::test]
async fn what_is_ended_is_dead_at_once_and_the_rest_lives() {
    let server = Oauth::start().await;
    let (mine, again) = (tokens(&server, "app", "julie").await, tokens(&server, "app", "julie").await);
    let (other_app, other_user) = (tokens(&server, "other-app", "julie").await, tokens(&server, "app", "max").await);
    let (mut browser, page) = signed_in(&server, "julie").await;
    let back = end(&server, &mut browser, &page, "app").await.expect(303);
    assert_eq!(back.header("location"), format!("{ISSUER}/manage"));
    for (tokens, lives) in [(&mine, false), (&again, false), (&other_app, true), (&other_user, true)] {
        assert_eq!(server.is_alive(access_of(tokens)).await, lives);
    }
    let refresh = mine["refresh_token"].as_str().unwrap();
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh), ("client_id", "app")];
    server.token(&form).await.refused(400, "invalid_grant");
    let page = browser.get(&server, "/manage").await.expect(200);
    assert!(!page.text.contains("The app") && page.text.contains("The other-app"), "{}", page.text);
    assert_eq!(server.audited("access-end", "success").await, 1);
}

#[tokio::test]
async fn ending_forgets_the_consent_and_shows_it_before() {
    let server = Oauth::start().await;
    let asking = Client { consent: ConsentPolicy::Once, ..client("asking", Role::App, AuthMethod::None) };
    server.write(async |tx, now| store::client::insert(tx, &asking, now).await).await;
    let julie = user_id(&server, "julie").await;
    let consent = store::consent::Consent { scope: "openid".into(), refused: "fhirUser".into() };
    server.write(async |tx, now| store::consent::put(tx, julie, "asking", &consent, now).await).await;
    let (mut browser, page) = signed_in(&server, "julie").await;
    for text in ["The asking", "Recognise you", "See your own record", "not being used"] {
        assert!(page.text.contains(text), "{text}: {}", page.text);
    }
    let openid = with(&authorization("asking"), &[("scope", "openid")]);
    browser.authorize(&server, &openid).await.code();
    end(&server, &mut browser, &page, "asking").await.expect(303);
    browser.authorize(&server, &openid).await.expect(200);
}

#[tokio::test]
async fn forms_of_others_and_used_forms_end_nothing() {
    let server = Oauth::start().await;
    let victim = tokens(&server, "app", "julie").await;
    let (mut julie, page) = signed_in(&server, "julie").await;
    tokens(&server, "other-app", "max").await;
    let (mut max, own) = signed_in(&server, "max").await;
    end(&server, &mut max, &page, "app").await.expect(400);
    end(&server, &mut Browser::default(), &page, "app").await.expect(400);
    // Ends nothing of the other person's.
    end(&server, &mut max, &own, "app").await.expect(303);
    end(&server, &mut max, &own, "app").await.expect(400);
    max.post(&server, "/manage/end", &[("client", "app")]).await.expect(400);
    let session = julie.cookies.remove("__Host-sofa_session").unwrap();
    end(&server, &mut julie, &page, "app").await.expect(400);
    julie.cookies.insert("__Host-sofa_session".into(), session);
    let token = form_token(&page);
    julie.post(&server, "/manage/end", &[("request", &token)]).await.expect(400);
    julie.post(&server, "/consent", &[("request", &token), ("action", "allow")]).await.expect(400);
    let foreign = authorization("app");
    let other_form = julie.authorize(&server, &with(&foreign, &[("scope", "openid"), ("prompt", "login")])).await;
    end(&server, &mut julie, &other_form.expect(200), "app").await.expect(400);
    assert!(server.is_alive(access_of(&victim)).await);
    assert_eq!(server.audited("access-end", "success").await, 0);
    server.clock.advance(Duration::from_secs(601));
    end(&server, &mut julie, &page, "app").await.expect(400);
}

#[tokio::test]
async fn a_disabled_person_and_an_ended_session_see_the_login_form() {
    let server = Oauth::start().await;
    tokens(&server, "app", "julie").await;
    let (mut browser, _) = signed_in(&server, "julie").await;
    let julie = user_id(&server, "julie").await;
    server.write(async |tx, now| store::user::set_enabled(tx, julie, false, now).await).await;
    assert!(browser.get(&server, "/manage").await.expect(200).text.contains("type=\"password\""));
    server.write(async |tx, now| store::user::set_enabled(tx, julie, true, now).await).await;
    server.write(async |tx, _| store::login::end_sessions_of(tx, julie).await).await;
    let login = browser.get(&server, "/manage").await.expect(200);
    let token = form_token(&login);
    let cancel = [("request", token.as_str()), ("action", "cancel")];
    assert_eq!(browser.post(&server, "/login", &cancel).await.expect(400).header("location"), "");
}
