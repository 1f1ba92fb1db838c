//! Accounts: how a name is spelled, and what ends with an account.

use super::*;

async fn page(server: &Oauth, browser: &mut Browser) -> Answer {
    browser.authorize(server, &with(&authorization("app"), &[("scope", "openid")])).await.expect(200)
}

async fn add(server: &Oauth, name: &str) -> Uuid {
    let hash = password::hash(Secret::new(PASSWORD.into())).await.unwrap();
    let user = user(name, 7, "1", &hash);
    server.write(async |tx, now| store::user::insert(tx, &user, now).await).await;
    user.id
}

#[tokio::test]
async fn a_name_finds_its_account_however_it_is_typed() {
    let server = Oauth::start().await;
    for (name, typed) in [
        ("νίκος", &["νίκος", "ΝΊΚΟΣ", "νίκοσ"][..]),
        ("École", &["école", "ÉCOLE", "e\u{301}cole"]),
        ("julia", &["ＪＵＬＩＡ", " Julia "]),
    ] {
        add(&server, name).await;
        for typed in typed {
            let mut browser = Browser::default();
            let page = page(&server, &mut browser).await;
            browser.fill_in(&server, &page, typed, PASSWORD).await.code();
        }
    }
}

#[tokio::test]
async fn other_spellings_of_a_name_give_no_more_guesses() {
    let server = Oauth::start().await;
    for (name, spellings) in [
        ("kiriti", ["kiriti", "KIRITI", "Kiriti", "ｋｉｒｉｔｉ", "kiRiti"]),
        ("νίκος", ["νίκος", "ΝΊΚΟΣ", "νίκοσ", "Νίκος", "νΊκος"]),
    ] {
        add(&server, name).await;
        let mut browser = Browser::default();
        let page = page(&server, &mut browser).await;
        for spelling in spellings {
            browser.fill_in(&server, &page, spelling, "wrong").await.expect(403);
        }
        browser.fill_in(&server, &page, name, PASSWORD).await.expect(429);
    }
    let mut browser = Browser::default();
    let page = page(&server, &mut browser).await;
    // Neither letter is an i: nobody's name.
    for stranger in ["k\u{130}riti", "kır\u{131}t\u{131}"] {
        browser.fill_in(&server, &page, stranger, PASSWORD).await.expect(403);
    }
}

#[tokio::test]
async fn two_spellings_are_one_name() {
    let server = Oauth::start().await;
    add(&server, "νίκος").await;
    let again = user("ΝΊΚΟΣ", 7, "2", "x");
    let mut tx = store::begin(&server.db.pool).await.unwrap();
    let refused = store::user::insert(&mut tx, &again, server.clock.now()).await.unwrap_err();
    assert!(refused.is_duplicate(), "{refused}");
}

#[tokio::test]
async fn a_disabled_person_is_signed_out_and_nothing_comes_back_with_them() {
    let server = Oauth::start().await;
    let julie = user_id(&server, "julie").await;
    let (launch, _) = server.launch(|_| {}).await;
    let request = with(&authorization("app"), &[("launch", &launch), ("scope", "launch openid offline_access")]);
    let mut browser = Browser::default();
    let code = browser.sign_in(&server, &request, "julie", PASSWORD).await.code();
    let tokens = server.exchange("app", &code).await.expect(200).json();
    let waiting = browser.authorize(&server, &request).await.code();
    server.write(async |tx, now| store::user::disable(tx, julie, now).await).await;
    server.write(async |tx, now| store::user::set_enabled(tx, julie, true, now).await).await;
    assert!(!server.is_alive(tokens["access_token"].as_str().unwrap()).await);
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
    server.token(&refresh).await.refused(400, "invalid_grant");
    server.exchange("app", &waiting).await.refused(400, "invalid_grant");
    let silent = with(&authorization("app"), &[("scope", "openid"), ("prompt", "none")]);
    assert_eq!(browser.authorize(&server, &silent).await.back_error(), "login_required");
    browser.sign_in(&server, &request, "julie", PASSWORD).await.code();
}

#[tokio::test]
async fn a_deleted_person_leaves_nothing_that_works() {
    let server = Oauth::start().await;
    let max = user_id(&server, "max").await;
    let (launch, _) = server.launch(|_| {}).await;
    let request = with(&authorization("app"), &[("launch", &launch), ("scope", "launch openid offline_access")]);
    let mut browser = Browser::default();
    let code = browser.sign_in(&server, &request, "max", PASSWORD).await.code();
    let tokens = server.exchange("app", &code).await.expect(200).json();
    assert!(server.write(async |tx, _| store::user::delete(tx, max).await).await);
    assert!(!server.is_alive(tokens["access_token"].as_str().unwrap()).await);
    let page = browser.authorize(&server, &request).await.expect(200);
    browser.fill_in(&server, &page, "max", PASSWORD).await.expect(403);
}

#[tokio::test]
async fn an_account_without_a_password_is_opened_by_none() {
    let server = Oauth::start().await;
    let upstream = User { password_hash: None, ..user("federated", 7, "9", "") };
    server.write(async |tx, now| store::user::insert(tx, &upstream, now).await).await;
    for password in ["", "x", PASSWORD] {
        let mut browser = Browser::default();
        let page = page(&server, &mut browser).await;
        browser.fill_in(&server, &page, "federated", password).await.expect(403);
    }
}

#[tokio::test]
async fn who_was_given_a_password_chooses_another_one_before_anything_else() {
    let server = Oauth::start().await;
    let julie = user_id(&server, "julie").await;
    let temporary = "a temporary pass-phrase 7";
    let hash = password::hash(Secret::new(temporary.into())).await.unwrap();
    server.write(async |tx, now| store::user::set_password(tx, julie, &hash, true, now).await).await;
    let mut browser = Browser::default();
    let first = page(&server, &mut browser).await;
    browser.fill_in(&server, &first, "julie", PASSWORD).await.expect(403);
    let asked = browser.fill_in(&server, &first, "julie", temporary).await.expect(200);
    assert!(asked.text.contains("action=\"new-password\"") && asked.text.contains("12 characters"), "{}", asked.text);
    assert!(!browser.cookies.contains_key("__Host-sofa_session"));
    let token = form_token(&asked);
    let choose = |new: &'static str, again: &'static str| {
        vec![("request", token.clone()), ("password", new.to_owned()), ("again", again.to_owned())]
    };
    let sent = |fields: Vec<(&'static str, String)>| fields;
    for (new, again, told) in [
        ("seven green lamps dance", "seven green lamps dancE", "not the same"),
        ("short one!1", "short one!1", "too short"),
        ("", "", "too short"),
        ("xq7 Dr julie dances", "xq7 Dr julie dances", "made of your name"),
        ("passwordpassword", "passwordpassword", "too easy to guess"),
        (temporary, temporary, "another one than before"),
    ] {
        let fields = sent(choose(new, again));
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let again = browser.post(&server, "/new-password", &fields).await.expect(422);
        assert!(again.text.contains(told), "{new}: {}", again.text);
        assert!(!browser.cookies.contains_key("__Host-sofa_session"), "{new}");
    }
    let fields = sent(choose("seven green lamps dance", "seven green lamps dance"));
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Browser::default().post(&server, "/new-password", &fields).await.expect(400);
    browser.post(&server, "/new-password", &fields).await.code();
    browser.post(&server, "/new-password", &fields).await.expect(400);
    assert_eq!(server.audited("user-passwd", "success").await, 1);
    let mut other = Browser::default();
    let form = page(&server, &mut other).await;
    other.fill_in(&server, &form, "julie", temporary).await.expect(403);
    other.fill_in(&server, &form, "julie", "seven green lamps dance").await.code();
}
