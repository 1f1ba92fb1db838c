//! What ends while a code is being made: the code is not made, or what is ended finds its grant.

use std::pin::pin;

use sofa::store::consent::Consent;

use super::*;

const SCOPE: &str = "openid profile";

/// A server with an app about which people are asked once.
async fn server() -> Oauth {
    let server = Oauth::start().await;
    let asking = Client { consent: ConsentPolicy::Once, ..client("asking", Role::App, AuthMethod::None) };
    server.write(async |tx, now| store::client::insert(tx, &asking, now).await).await;
    server
}

/// `julie` before the consent page.
async fn asked(server: &Oauth, scope: &str) -> (Browser, Answer) {
    let mut browser = Browser::default();
    let request = with(&authorization("asking"), &[("scope", scope)]);
    let page = browser.sign_in(server, &request, "julie", PASSWORD).await.expect(200);
    (browser, page)
}

async fn allow(server: &Oauth, browser: &mut Browser, page: &Answer, scopes: &[&str]) -> Answer {
    let token = form_token(page);
    let mut fields = vec![("request", token.as_str()), ("action", "allow")];
    fields.extend(scopes.iter().map(|scope| ("scope", *scope)));
    browser.post(server, "/consent", &fields).await
}

async fn one_waits(server: &Oauth) -> bool {
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    sqlx::query_scalar::<_, i64>(waiting).fetch_one(&server.db.pool).await.unwrap() > 0
}

/// Sends the request while `tx` has changed something, and commits that once the request waits for it, or is answered.
async fn meanwhile(server: &Oauth, tx: Tx, request: impl Future<Output = Answer>) -> Answer {
    let mut request = pin!(request);
    let early = loop {
        tokio::select! {
            biased;
            answer = &mut request => break Some(answer),
            waits = one_waits(server) => if waits { break None },
        }
    };
    tx.commit().await.unwrap();
    match early {
        Some(answer) => answer,
        None => request.await,
    }
}

async fn live_grants(server: &Oauth) -> i64 {
    let live = "select count(*) from grant_row where client_id = 'asking' and revoked_at is null";
    sqlx::query_scalar(live).fetch_one(&server.db.pool).await.unwrap()
}

#[tokio::test]
async fn a_new_password_ends_also_what_is_being_granted() {
    let server = server().await;
    let (mut browser, page) = asked(&server, SCOPE).await;
    let (julie, now) = (user_id(&server, "julie").await, server.clock.now());
    let mut tx = store::begin(&server.db.pool).await.unwrap();
    store::user::set_password(&mut tx, julie, "$argon2id$another", false, now).await.unwrap();
    store::login::end_sessions_of(&mut tx, julie).await.unwrap();
    store::grant::revoke_by_user(&mut tx, julie, now).await.unwrap();
    let answer = meanwhile(&server, tx, allow(&server, &mut browser, &page, &["openid"])).await;
    assert_eq!((answer.back_error().as_str(), live_grants(&server).await), ("login_required", 0));
}

#[tokio::test]
async fn a_client_that_is_switched_off_and_on_again_gets_nothing_of_before() {
    let server = server().await;
    let (mut browser, page) = asked(&server, SCOPE).await;
    let now = server.clock.now();
    let mut tx = store::begin(&server.db.pool).await.unwrap();
    store::client::disable(&mut tx, "asking", now).await.unwrap();
    let answer = meanwhile(&server, tx, allow(&server, &mut browser, &page, &["openid"])).await;
    server.write(async |tx, now| store::client::set_enabled(tx, "asking", true, now).await).await;
    assert_eq!((answer.back_error().as_str(), live_grants(&server).await), ("unauthorized_client", 0));
}

#[tokio::test]
async fn what_a_client_is_registered_for_counts_when_the_code_is_made() {
    let server = server().await;
    let (mut browser, page) = asked(&server, SCOPE).await;
    let mut conn = server.db.pool.acquire().await.unwrap();
    let old = store::client::find(&mut conn, "asking").await.unwrap().unwrap();
    let new = Client { scope: "openid".into(), ..old.clone() };
    let mut tx = store::begin(&server.db.pool).await.unwrap();
    store::client::update(&mut tx, &new, server.clock.now()).await.unwrap();
    store::client::end_wider(&mut tx, &old, &new, server.clock.now()).await.unwrap();
    let code = meanwhile(&server, tx, allow(&server, &mut browser, &page, &["openid", "profile"])).await.code();
    assert_eq!(server.exchange("asking", &code).await.expect(200).json()["scope"], "openid");
}

#[tokio::test]
async fn an_answer_that_is_taken_back_is_not_remembered() {
    let server = server().await;
    let (mut browser, page) = asked(&server, "openid").await;
    allow(&server, &mut browser, &page, &["openid"]).await.code();
    let (julie, now) = (user_id(&server, "julie").await, server.clock.now());
    let mut tx = store::begin(&server.db.pool).await.unwrap();
    store::user::lock(&mut tx, julie).await.unwrap();
    store::consent::delete(&mut tx, julie, "asking").await.unwrap();
    store::grant::revoke_by_user_and_client(&mut tx, julie, "asking", now).await.unwrap();
    let request = with(&authorization("asking"), &[("scope", "openid")]);
    let answer = meanwhile(&server, tx, browser.authorize(&server, &request)).await;
    assert_eq!((answer.back_error().as_str(), live_grants(&server).await), ("consent_required", 0));
}

#[tokio::test]
async fn to_end_what_an_app_has_waits_for_what_is_being_granted() {
    let server = server().await;
    let (mut browser, page) = asked(&server, "openid").await;
    allow(&server, &mut browser, &page, &["openid"]).await.code();
    let manage = browser.get(&server, "/manage").await.expect(200);
    let julie = user_id(&server, "julie").await;
    // A code on its way: it holds the account, and its grant is there once it is stored.
    let mut tx = store::begin(&server.db.pool).await.unwrap();
    assert!(store::user::hold(&mut tx, julie).await.unwrap());
    let copy = "insert into grant_row (id, client_id, user_id, scope, created_at, expires_at)
      select gen_random_uuid(), client_id, user_id, scope, created_at, expires_at from grant_row where client_id = 'asking'";
    sqlx::query(copy).execute(tx.conn()).await.unwrap();
    let token = form_token(&manage);
    let form = [("request", token.as_str()), ("client", "asking")];
    meanwhile(&server, tx, browser.post(&server, "/manage/end", &form)).await.expect(303);
    assert_eq!(live_grants(&server).await, 0);
}

#[tokio::test]
async fn two_answers_at_once_are_both_kept() {
    let server = server().await;
    let (mut browser, page) = asked(&server, "profile").await;
    let (julie, now) = (user_id(&server, "julie").await, server.clock.now());
    let mut tx = store::begin(&server.db.pool).await.unwrap();
    store::consent::lock(&mut tx, julie, "asking", now).await.unwrap();
    let declined = Consent { scope: "openid".into(), refused: "user/*.rs".into() };
    store::consent::put(&mut tx, julie, "asking", &declined, now).await.unwrap();
    meanwhile(&server, tx, allow(&server, &mut browser, &page, &["profile"])).await.code();
    let mut conn = server.db.pool.acquire().await.unwrap();
    let kept = store::consent::find(&mut conn, julie, "asking").await.unwrap().unwrap();
    assert_eq!(kept, Consent { scope: "openid profile".into(), refused: "user/*.rs".into() });
}
