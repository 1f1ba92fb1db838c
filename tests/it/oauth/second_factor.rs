//! One-time passwords: who is asked, what is taken, and what is not taken twice.

use sofa::store::user::FactorRule;
use totp_rs::{Builder, Secret as Key};

use super::*;

const REQUIRED: &str = "[accounts]\nsecond_factor = \"required\"";

fn plain() -> Vec<(&'static str, &'static str)> {
    with(&authorization("app"), &[("scope", "openid")])
}

/// The one-time password of a device at a moment.
pub fn code_at(secret: &str, time: i64) -> String {
    let key = Key::try_from_base32(secret.replace(' ', "")).unwrap();
    Builder::new().with_secret(key).build().unwrap().generate(u64::try_from(time).unwrap()).to_string()
}

/// A device that was set up, and the recovery codes that came with it.
struct Device {
    secret: String,
    recovery: Vec<String>,
}

impl Device {
    /// The password that it shows now, so many steps off.
    fn shows(&self, server: &Oauth, steps: i64) -> String {
        code_at(&self.secret, server.clock.now().unix_timestamp() + 30 * steps)
    }
}

fn secret_on(page: &Answer) -> String {
    let (_, rest) = page.text.split_once("<code id=\"secret\">").unwrap_or_else(|| panic!("no secret: {}", page.text));
    rest.split('<').next().unwrap().to_owned()
}

async fn post(server: &Oauth, browser: &mut Browser, path: &str, page: &Answer, code: &str) -> Answer {
    let token = form_token(page);
    browser.post(server, path, &[("request", token.as_str()), ("code", code), ("action", "go-on")]).await
}

/// `name` signs in for the first time and sets up a device.
async fn enrolled(server: &Oauth, name: &str) -> Device {
    let mut browser = Browser::default();
    let page = browser.sign_in(server, &plain(), name, PASSWORD).await.expect(200);
    let mut device = Device { secret: secret_on(&page), recovery: Vec::new() };
    let codes = post(server, &mut browser, "/enrol", &page, &device.shows(server, 0)).await.expect(200);
    let items = codes.text.split("<li><code>").skip(1);
    device.recovery = items.map(|item| item.split('<').next().unwrap().to_owned()).collect();
    assert!(!has_session(&browser), "the codes have to be kept first");
    post(server, &mut browser, "/enrol", &codes, "").await.code();
    device
}

/// The page that asks for a one-time password.
async fn asked(server: &Oauth, browser: &mut Browser, name: &str) -> Answer {
    let page = browser.sign_in(server, &plain(), name, PASSWORD).await.expect(200);
    assert!(page.text.contains("action=\"second-factor\"") && !has_session(browser), "{}", page.text);
    page
}

fn has_session(browser: &Browser) -> bool {
    browser.cookies.contains_key("__Host-sofa_session")
}

async fn rule(server: &Oauth, name: &str, rule: FactorRule) {
    let mut conn = server.db.pool.acquire().await.unwrap();
    let user = store::user::find_by_name(&mut conn, name).await.unwrap().unwrap();
    drop(conn);
    let user = User { second_factor: rule, ..user };
    server.write(async |tx, now| store::user::update(tx, &user, now).await).await;
}

#[tokio::test]
async fn a_device_is_set_up_at_the_first_sign_in_and_asked_for_at_the_next() {
    let server = Oauth::start_with(REQUIRED).await;
    let mut browser = Browser::default();
    let page = browser.sign_in(&server, &plain(), "julie", PASSWORD).await.expect(200);
    assert!(page.text.contains("<svg aria-hidden") && !page.text.contains("<script"), "{}", page.text);
    assert_eq!((page.header("cache-control"), page.header("x-frame-options")), ("no-store", "DENY"));
    let secret = secret_on(&page);
    let now = server.clock.now().unix_timestamp();
    for wrong in ["000000", "", "12345", &code_at(&secret, now + 120), &code_at(&secret, now - 120)] {
        let again = post(&server, &mut browser, "/enrol", &page, wrong).await.expect(403);
        assert_eq!(secret_on(&again), secret, "the device that was set up stays good");
        assert!(!has_session(&browser));
    }
    assert_eq!(count(&server, "select count(*) from second_factor").await, 0);
    let codes = post(&server, &mut browser, "/enrol", &page, &code_at(&secret, now)).await.expect(200);
    assert_eq!(codes.text.matches("<li><code>").count(), 10);
    let sealed: Vec<u8> =
        sqlx::query_scalar("select sealed_secret from second_factor").fetch_one(&server.db.pool).await.unwrap();
    assert!(!sealed.windows(8).any(|bytes| secret.replace(' ', "").as_bytes().windows(8).any(|part| part == bytes)));
    post(&server, &mut browser, "/enrol", &codes, "").await.code();
    assert!(has_session(&browser));
    assert_eq!(server.audited("second-factor-add", "success").await, 1);

    let mut browser = Browser::default();
    let page = asked(&server, &mut browser, "julie").await;
    post(&server, &mut browser, "/second-factor", &page, &code_at(&secret, now)).await.expect(403);
    server.clock.advance(Duration::from_secs(30));
    post(&server, &mut browser, "/second-factor", &page, &code_at(&secret, now + 30)).await.code();
    assert!(has_session(&browser));
}

async fn count(server: &Oauth, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&server.db.pool).await.unwrap()
}

#[tokio::test]
async fn no_password_is_taken_twice_nor_one_before_it_nor_one_of_another_time() {
    let server = Oauth::start_with(REQUIRED).await;
    let device = enrolled(&server, "julie").await;
    let of_max = enrolled(&server, "max").await;
    server.clock.advance(Duration::from_secs(300));
    for wrong in [device.shows(&server, 2), device.shows(&server, -2), of_max.shows(&server, 0)] {
        let mut browser = Browser::default();
        let page = asked(&server, &mut browser, "julie").await;
        post(&server, &mut browser, "/second-factor", &page, &wrong).await.expect(403);
    }
    // A clock that is ahead, then one that is right: what lies before the last one is over.
    let early = device.shows(&server, 1);
    let mut browser = Browser::default();
    let page = asked(&server, &mut browser, "julie").await;
    post(&server, &mut browser, "/second-factor", &page, &early).await.code();
    for used in [early, device.shows(&server, 0), device.shows(&server, -1)] {
        let mut browser = Browser::default();
        let page = asked(&server, &mut browser, "julie").await;
        post(&server, &mut browser, "/second-factor", &page, &used).await.expect(403);
        server.clock.advance(Duration::from_secs(0));
    }
    server.clock.advance(Duration::from_secs(120));
    let mut browser = Browser::default();
    let page = asked(&server, &mut browser, "julie").await;
    post(&server, &mut browser, "/second-factor", &page, &device.shows(&server, -1)).await.code();
}

#[tokio::test]
async fn of_two_who_come_with_one_password_at_once_one_gets_in() {
    let server = Oauth::start_with(REQUIRED).await;
    let device = enrolled(&server, "julie").await;
    server.clock.advance(Duration::from_secs(60));
    let code = device.shows(&server, 0);
    let come = async || {
        let mut browser = Browser::default();
        let page = asked(&server, &mut browser, "julie").await;
        post(&server, &mut browser, "/second-factor", &page, &code).await.status
    };
    let (one, other) = tokio::join!(come(), come());
    let mut statuses = [one, other];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 403]);
}

#[tokio::test]
async fn guesses_are_counted_whatever_password_comes_before_them() {
    let server = Oauth::start_with(REQUIRED).await;
    let device = enrolled(&server, "julie").await;
    server.clock.advance(Duration::from_secs(300));
    for _ in 0..5 {
        let mut browser = Browser::default();
        let page = asked(&server, &mut browser, "julie").await;
        post(&server, &mut browser, "/second-factor", &page, "000000").await.expect(403);
    }
    let mut browser = Browser::default();
    let page = asked(&server, &mut browser, "julie").await;
    let closed = post(&server, &mut browser, "/second-factor", &page, &device.shows(&server, 0)).await.expect(429);
    assert_eq!(closed.header("retry-after"), "1");
    assert!(!has_session(&browser));
    server.clock.advance(Duration::from_secs(1));
    post(&server, &mut browser, "/second-factor", &page, &device.shows(&server, 0)).await.code();
    assert!(server.audited("login", "refused").await >= 5);
}

#[tokio::test]
async fn a_recovery_code_works_once_however_it_is_typed() {
    let server = Oauth::start_with(REQUIRED).await;
    let device = enrolled(&server, "julie").await;
    let of_max = enrolled(&server, "max").await;
    assert_eq!(device.recovery.len(), 10);
    let typed = device.recovery[0].to_uppercase().replace('-', "  ");
    let mut browser = Browser::default();
    let page = asked(&server, &mut browser, "julie").await;
    post(&server, &mut browser, "/second-factor", &page, &typed).await.code();
    for bad in [&device.recovery[0], &of_max.recovery[0], "aaaaa-aaaaa-aaaaa"] {
        let mut browser = Browser::default();
        let page = asked(&server, &mut browser, "julie").await;
        post(&server, &mut browser, "/second-factor", &page, bad).await.expect(403);
        assert!(!has_session(&browser));
    }
    let mut browser = Browser::default();
    let page = asked(&server, &mut browser, "julie").await;
    post(&server, &mut browser, "/second-factor", &page, &device.recovery[9]).await.code();
    assert_eq!(server.audited("recovery-code", "success").await, 2);
    let plain: i64 = sqlx::query_scalar("select count(*) from recovery_code where digest = $1")
        .bind(device.recovery[0].as_bytes())
        .fetch_one(&server.db.pool)
        .await
        .unwrap();
    assert_eq!(plain, 0, "digests only");
}

#[tokio::test]
async fn between_password_and_code_nobody_is_anybody() {
    let server = Oauth::start_with(REQUIRED).await;
    let device = enrolled(&server, "julie").await;
    server.clock.advance(Duration::from_secs(60));
    let mut browser = Browser::default();
    let page = asked(&server, &mut browser, "julie").await;
    let silent = with(&plain(), &[("prompt", "none")]);
    assert_eq!(browser.authorize(&server, &silent).await.back_error(), "login_required");
    let code = device.shows(&server, 0);
    for path in ["/login", "/enrol", "/new-password", "/continue", "/choose", "/consent", "/manage/end", "/sign-out"] {
        let answer = post(&server, &mut browser, path, &page, &code).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text);
    }
    post(&server, &mut Browser::default(), "/second-factor", &page, &code).await.expect(400);
    let mut elsewhere = Browser { headers: &[("sec-fetch-site", "cross-site")], ..Browser::default() };
    elsewhere.cookies.clone_from(&browser.cookies);
    post(&server, &mut elsewhere, "/second-factor", &page, &code).await.expect(403);
    post(&server, &mut browser, "/second-factor", &page, &code).await.code();
    post(&server, &mut browser, "/second-factor", &page, &code).await.expect(400);

    let mut late = Browser::default();
    let page = asked(&server, &mut late, "julie").await;
    server.clock.advance(Duration::from_secs(601));
    post(&server, &mut late, "/second-factor", &page, &device.shows(&server, 0)).await.expect(400);
    let mut closed = Browser::default();
    let page = asked(&server, &mut closed, "julie").await;
    let julie = user_id(&server, "julie").await;
    server.write(async |tx, now| store::user::disable(tx, julie, now).await).await;
    post(&server, &mut closed, "/second-factor", &page, &device.shows(&server, 0)).await.expect(400);
    assert!(!has_session(&late) && !has_session(&closed));
}

#[tokio::test]
async fn who_is_asked_is_the_operators_to_say() {
    let server = Oauth::start().await;
    Browser::default().sign_in(&server, &plain(), "julie", PASSWORD).await.code();
    rule(&server, "julie", FactorRule::Required).await;
    enrolled(&server, "julie").await;
    rule(&server, "julie", FactorRule::Usual).await;
    asked(&server, &mut Browser::default(), "julie").await;
    rule(&server, "julie", FactorRule::Off).await;
    Browser::default().sign_in(&server, &plain(), "julie", PASSWORD).await.code();
    let strict = Oauth::start_with(REQUIRED).await;
    rule(&strict, "max", FactorRule::Off).await;
    Browser::default().sign_in(&strict, &plain(), "max", PASSWORD).await.code();
    enrolled(&strict, "julie").await;
    let julie = user_id(&strict, "julie").await;
    assert!(strict.write(async |tx, _| store::second_factor::delete(tx, julie).await).await);
    enrolled(&strict, "julie").await;
}

#[tokio::test]
async fn a_device_is_set_up_by_one_browser_only() {
    let server = Oauth::start_with(REQUIRED).await;
    let (mut first, mut second) = (Browser::default(), Browser::default());
    let one = first.sign_in(&server, &plain(), "julie", PASSWORD).await.expect(200);
    let other = second.sign_in(&server, &plain(), "julie", PASSWORD).await.expect(200);
    let now = server.clock.now().unix_timestamp();
    assert_ne!(secret_on(&one), secret_on(&other));
    let codes = post(&server, &mut first, "/enrol", &one, &code_at(&secret_on(&one), now)).await.expect(200);
    post(&server, &mut second, "/enrol", &other, &code_at(&secret_on(&other), now)).await.expect(400);
    post(&server, &mut first, "/enrol", &codes, "").await.code();
    assert!(!has_session(&second));
}

#[tokio::test]
async fn the_pages_speak_french_lead_to_the_manage_page_and_can_be_left() {
    let server = Oauth::start_with(REQUIRED).await;
    let mut french = Browser { language: "fr", ..Browser::default() };
    let page = french.sign_in(&server, &plain(), "julie", PASSWORD).await.expect(200);
    assert!(page.text.contains("lang=\"fr\"") && page.text.contains("Numérisez"), "{}", page.text);
    let token = form_token(&page);
    let leave = [("request", token.as_str()), ("action", "cancel")];
    assert_eq!(french.post(&server, "/enrol", &leave).await.back_error(), "access_denied");
    let device = enrolled(&server, "julie").await;
    server.clock.advance(Duration::from_secs(60));
    let page = french.sign_in(&server, &plain(), "julie", PASSWORD).await.expect(200);
    assert!(page.text.contains("usage unique"), "{}", page.text);
    let token = form_token(&page);
    let leave = [("request", token.as_str()), ("action", "cancel")];
    assert_eq!(french.post(&server, "/second-factor", &leave).await.back_error(), "access_denied");
    let form = french.get(&server, "/manage").await.expect(200);
    let page = french.fill_in(&server, &form, "julie", PASSWORD).await.expect(200);
    let there = post(&server, &mut french, "/second-factor", &page, &device.shows(&server, 0)).await.expect(303);
    assert_eq!(there.header("location"), format!("{ISSUER}/manage"));
    assert!(french.get(&server, "/manage").await.expect(200).text.contains("Dr julie"));
}

#[tokio::test]
async fn after_a_reset_another_password_is_chosen_behind_the_second_factor() {
    let server = Oauth::start_with(REQUIRED).await;
    let device = enrolled(&server, "julie").await;
    server.clock.advance(Duration::from_secs(60));
    let julie = user_id(&server, "julie").await;
    let temporary = "a temporary pass-phrase 7";
    let hash = password::hash(Secret::new(temporary.into())).await.unwrap();
    server.write(async |tx, now| store::user::set_password(tx, julie, &hash, true, now).await).await;
    let mut browser = Browser::default();
    let page = browser.sign_in(&server, &plain(), "julie", temporary).await.expect(200);
    assert!(page.text.contains("action=\"second-factor\""), "{}", page.text);
    let page = post(&server, &mut browser, "/second-factor", &page, &device.shows(&server, 0)).await.expect(200);
    assert!(page.text.contains("action=\"new-password\"") && !has_session(&browser), "{}", page.text);
    let token = form_token(&page);
    let fields =
        [("request", token.as_str()), ("password", "seven green lamps dance"), ("again", "seven green lamps dance")];
    browser.post(&server, "/new-password", &fields).await.code();
}
