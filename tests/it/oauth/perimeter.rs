//! What strangers can do to the server, and to the people who work with it: not much.

use super::*;

fn at(address: &'static str) -> Browser {
    Browser { address, ..Browser::default() }
}

async fn page(server: &Oauth, browser: &mut Browser) -> Answer {
    browser.authorize(server, &with(&authorization("app"), &[("scope", "openid")])).await.expect(200)
}

/// Wrong passwords from one address until it is closed for this account.
async fn close(server: &Oauth, address: &'static str, name: &str) {
    let mut browser = at(address);
    let page = page(server, &mut browser).await;
    while browser.fill_in(server, &page, name, "wrong").await.status == 403 {}
}

#[tokio::test]
async fn a_stranger_who_tries_an_account_does_not_keep_its_person_out_of_a_browser_of_theirs() {
    let server = Oauth::start().await;
    let mut own = at("192.0.2.1");
    let first = page(&server, &mut own).await;
    let known = own.fill_in(&server, &first, "julie", PASSWORD).await;
    let cookies: Vec<_> = known.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    let cookie = cookies.iter().find(|cookie| cookie.starts_with("__Host-sofa_known=")).unwrap();
    for part in ["Max-Age=15552000", "HttpOnly", "SameSite=Lax", "Secure", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    for address in ["198.51.100.1", "198.51.100.2", "198.51.100.3"] {
        close(&server, address, "julie").await;
    }
    let mut strange = at("192.0.2.1");
    let form = page(&server, &mut strange).await;
    strange.fill_in(&server, &form, "julie", PASSWORD).await.expect(429);
    let again = with(&authorization("app"), &[("scope", "openid"), ("prompt", "login")]);
    let form = own.authorize(&server, &again).await.expect(200);
    own.fill_in(&server, &form, "julie", "wrong").await.expect(403);
    own.fill_in(&server, &form, "julie", PASSWORD).await.code();
}

#[tokio::test]
async fn a_known_browser_may_not_guess_for_ever_and_is_known_to_its_person_alone() {
    let server = Oauth::start().await;
    let mut own = at("192.0.2.1");
    let form = page(&server, &mut own).await;
    own.fill_in(&server, &form, "julie", PASSWORD).await.code();
    let again = with(&authorization("app"), &[("scope", "openid"), ("prompt", "login")]);
    let form = own.authorize(&server, &again).await.expect(200);
    for _ in 0..5 {
        own.fill_in(&server, &form, "julie", "wrong").await.expect(403);
    }
    own.fill_in(&server, &form, "julie", PASSWORD).await.expect(429);
    close(&server, "198.51.100.1", "max").await;
    own.fill_in(&server, &form, "max", PASSWORD).await.expect(429);
    let mut liar = at("192.0.2.1");
    liar.cookies.insert("__Host-sofa_known".to_owned(), random_token());
    let form = page(&server, &mut liar).await;
    liar.fill_in(&server, &form, "max", PASSWORD).await.expect(429);
}

#[tokio::test]
async fn an_address_full_of_wrong_guesses_closes_no_other() {
    let server = Oauth::start().await;
    let mut guesser = at("198.51.100.1");
    let form = page(&server, &mut guesser).await;
    for number in 0..50 {
        guesser.fill_in(&server, &form, &format!("name-{number}"), "wrong").await.expect(403);
    }
    guesser.fill_in(&server, &form, "julie", PASSWORD).await.expect(429);
    for address in ["198.51.100.2", "2001:db8::1"] {
        let mut other = at(address);
        let form = page(&server, &mut other).await;
        other.fill_in(&server, &form, "julie", PASSWORD).await.code();
    }
}

#[tokio::test]
async fn a_network_of_version_6_does_not_count_as_many_addresses() {
    let server = Oauth::start_with("oauth.login_attempts = 1").await;
    let mut browser = at("2001:db8:0:1::1");
    let form = page(&server, &mut browser).await;
    for number in 0..10 {
        browser.address = ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2"][number % 2];
        browser.fill_in(&server, &form, &format!("name-{number}"), "wrong").await.expect(403);
    }
    browser.address = "2001:db8:0:1::3";
    browser.fill_in(&server, &form, "julie", PASSWORD).await.expect(429);
}

#[tokio::test]
async fn a_right_password_between_wrong_ones_does_not_open_an_address() {
    let server = Oauth::start_with("oauth.login_attempts = 1").await;
    let mut browser = at("198.51.100.1");
    let mut form = page(&server, &mut browser).await;
    for number in 0..10 {
        browser.fill_in(&server, &form, &format!("name-{number}"), "wrong").await.expect(403);
        if number < 9 {
            let mut own = at("198.51.100.1");
            let own_form = page(&server, &mut own).await;
            own.fill_in(&server, &own_form, "max", PASSWORD).await.code();
        }
    }
    form = page(&server, &mut browser).await;
    browser.fill_in(&server, &form, "julie", "wrong").await.expect(429);
}

#[tokio::test]
async fn throttled_tries_are_one_row_and_a_number_in_the_audit_trail() {
    let server = Oauth::start().await;
    let mut browser = at("198.51.100.1");
    let form = page(&server, &mut browser).await;
    for _ in 0..5 {
        browser.fill_in(&server, &form, "julie", "wrong").await.expect(403);
    }
    for _ in 0..30 {
        browser.fill_in(&server, &form, "julie", "wrong").await.expect(429);
    }
    assert_eq!(server.audited("login", "refused").await, 6);
    assert_eq!(server.write_counts().await, 0, "a minute has not passed");
    server.clock.advance(Duration::from_secs(60));
    assert_eq!(server.write_counts().await, 1);
    let detail: String =
        sqlx::query_scalar("select detail from audit where action = 'login' order by seq desc limit 1")
            .fetch_one(&server.db.pool)
            .await
            .unwrap();
    assert_eq!(detail, "throttled (and 29 more like it)");
}

#[tokio::test]
async fn strangers_who_are_refused_at_authorize_fill_no_table() {
    let server = Oauth::start_with("limits.sign_ins_per_address = 2").await;
    let wrong = with(&authorization("app"), &[("scope", "nonsense")]);
    for _ in 0..100 {
        assert_eq!(at("198.51.100.1").authorize(&server, &wrong).await.back_error(), "invalid_scope");
    }
    assert_eq!(server.audited("authorize", "refused").await, 1);
    let good = with(&authorization("app"), &[("scope", "openid")]);
    for _ in 0..10 {
        at("198.51.100.1").authorize(&server, &good).await.expect(200);
    }
    let refused = at("198.51.100.1").authorize(&server, &good).await;
    assert_eq!(refused.back_error(), "temporarily_unavailable");
    at("198.51.100.2").authorize(&server, &good).await.expect(200);
    let kept: i64 = sqlx::query_scalar("select count(*) from login_request").fetch_one(&server.db.pool).await.unwrap();
    assert_eq!(kept, 11);
}

#[tokio::test]
async fn a_browser_keeps_its_last_twenty_forms() {
    let server = Oauth::start().await;
    let mut browser = Browser::default();
    let first = page(&server, &mut browser).await;
    let second = page(&server, &mut browser).await;
    for _ in 0..19 {
        page(&server, &mut browser).await;
    }
    browser.fill_in(&server, &first, "julie", PASSWORD).await.expect(400);
    browser.fill_in(&server, &second, "julie", PASSWORD).await.code();
}

#[tokio::test]
async fn what_is_too_long_to_be_kept_is_refused() {
    let server = Oauth::start().await;
    let good = with(&authorization("app"), &[("scope", "openid")]);
    let (longest, longer) = ("s".repeat(2048), "s".repeat(2049));
    Browser::default().authorize(&server, &with(&good, &[("state", &longest)])).await.expect(200);
    let refused = Browser::default().authorize(&server, &with(&good, &[("state", &longer)])).await.back();
    assert_eq!((refused["error"].as_str(), refused.contains_key("state")), ("invalid_request", false));
    let far = format!("https://app.example/{longer}");
    let refused = Browser::default().authorize(&server, &with(&good, &[("redirect_uri", &far)])).await.expect(400);
    assert_eq!(refused.header("location"), "");
}

#[tokio::test]
async fn who_asks_too_often_is_told_so_in_the_form_of_the_endpoint_and_others_are_not() {
    let server = Oauth::start_with("limits.oauth_per_address = 3").await;
    let post = async |address: &'static str, path| at(address).post(&server, path, &[("token", "x")]).await;
    for path in ["/token", "/introspect", "/revoke"] {
        assert!([400, 401].contains(&post("198.51.100.1", path).await.status), "{path}");
    }
    for path in ["/token", "/introspect", "/revoke", "/userinfo"] {
        let refused = post("198.51.100.1", path).await.refused(429, "temporarily_unavailable");
        assert_eq!(refused.header("retry-after"), "20", "{path}");
    }
    let mut browser = Browser { language: "fr", ..at("198.51.100.1") };
    let refused = browser.authorize(&server, &authorization("app")).await.expect(429);
    assert!(refused.text.contains("lang=\"fr\""), "{}", refused.text);
    assert_eq!((refused.header("retry-after"), refused.header("location")), ("20", ""));
    assert_eq!(post("198.51.100.1", "/login").await.status, 429);
    assert_eq!(post("198.51.100.2", "/login").await.status, 400, "another address is not touched");
}

#[tokio::test]
async fn a_client_is_counted_wherever_it_asks_from_once_it_proved_who_it_is() {
    let server = Oauth::start_with("limits.oauth_per_client = 2").await;
    let ask = async |secret| {
        server.post("/introspect", &[("token", "x")], &[("authorization", &basic("basic", secret))]).await
    };
    for _ in 0..5 {
        ask("wrong").await.refused(401, "invalid_client");
    }
    for _ in 0..2 {
        ask(SECRET).await.expect(200);
    }
    let refused = ask(SECRET).await.refused(429, "temporarily_unavailable");
    assert_eq!(refused.header("retry-after"), "30");
    ask("wrong").await.refused(401, "invalid_client");
    let public = [("token", "x"), ("client_id", "app")];
    for _ in 0..5 {
        server.post("/introspect", &public, &[]).await.expect(200);
    }
}

#[tokio::test]
async fn an_id_that_no_database_can_hold_is_nobodys() {
    let server = Oauth::start().await;
    for id in ["\0", "basic\0", "%00", "basic%00"] {
        server
            .post("/token", &exchange("x"), &[("authorization", &basic(id, SECRET))])
            .await
            .refused(401, "invalid_client");
    }
    let foreign = assertion(&server, "ser\0vice", &json!({}));
    let request = [vec![("grant_type", "client_credentials"), ("scope", "system/*.rs")], signed(&foreign).to_vec()];
    server.token(&request.concat()).await.refused(401, "invalid_client");
}
