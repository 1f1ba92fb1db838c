//! The consent page: when it is shown, what it says, what becomes of the answers.

use sofa::store::flow::Step;

use super::*;

const SCOPE: &str = "launch openid patient/*.rs user/Practitioner.r";

/// A server with an app about which people are asked by `policy`.
async fn server(policy: ConsentPolicy) -> Oauth {
    let server = Oauth::start().await;
    register(&server, "asking", policy).await;
    server
}

async fn register(server: &Oauth, client_id: &str, consent: ConsentPolicy) {
    let asking = Client { consent, ..client(client_id, Role::App, AuthMethod::None) };
    server.write(async |tx, now| store::client::insert(tx, &asking, now).await).await;
}

/// A request of that app within a launch of `julie`.
async fn request<'a>(server: &Oauth, launch: &'a mut String, scope: &'a str) -> Vec<(&'a str, &'a str)> {
    let julie = user_id(server, "julie").await;
    *launch = server.launch(|context| context.owner_user = Some(julie)).await.0;
    with(&authorization("asking"), &[("scope", scope), ("launch", launch.as_str())])
}

/// Asks from the start with `julie`; gives the browser and what came.
async fn ask(server: &Oauth, scope: &str) -> (Browser, Answer) {
    let (mut browser, mut launch) = (Browser::default(), String::new());
    let request = request(server, &mut launch, scope).await;
    let answer = browser.sign_in(server, &request, "julie", PASSWORD).await;
    (browser, answer)
}

/// Sends the consent form of `page` with these scopes ticked.
async fn answer(server: &Oauth, browser: &mut Browser, page: &Answer, scopes: &[&str], action: &str) -> Answer {
    let token = form_token(page);
    let mut fields = vec![("request", token.as_str()), ("action", action)];
    fields.extend(scopes.iter().map(|scope| ("scope", *scope)));
    browser.post(server, "/consent", &fields).await
}

/// The scopes with a box, and whether it is ticked.
fn boxes(page: &Answer) -> Vec<(String, bool)> {
    let tags = page.text.split("<input type=\"checkbox\"").skip(1).map(|rest| rest.split('>').next().unwrap());
    let value = |tag: &str| tag.split("value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    tags.map(|tag| (value(tag), tag.ends_with(" checked"))).collect()
}

async fn granted(server: &Oauth, answer: &Answer) -> String {
    let tokens = server.exchange("asking", &answer.code()).await.expect(200).json();
    tokens["scope"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_page_lists_every_scope_as_a_sentence_with_a_ticked_box() {
    let server = server(ConsentPolicy::Once).await;
    let (_, page) = ask(&server, SCOPE).await;
    let page = page.expect(200);
    let expected = ["openid", "patient/*.rs", "user/Practitioner.r"].map(|scope| (scope.to_owned(), true));
    assert_eq!(boxes(&page), expected);
    for text in ["See all health data of the patient", "The asking", "Dr julie", "app.example", "started with"] {
        assert!(page.text.contains(text), "{text}: {}", page.text);
    }
    assert!(!page.text.contains("<script"), "{}", page.text);
    assert_eq!((page.header("cache-control"), page.header("x-frame-options")), ("no-store", "DENY"));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("form-action 'self' https://app.example;"), "{policy}");
    assert_eq!(server.audited("launch", "success").await, 0);
}

#[tokio::test]
async fn the_page_speaks_french() {
    let server = server(ConsentPolicy::Once).await;
    let (mut browser, mut launch) = (Browser { language: "fr-CA", ..Browser::default() }, String::new());
    let request = request(&server, &mut launch, SCOPE).await;
    let page = browser.sign_in(&server, &request, "julie", PASSWORD).await.expect(200);
    for text in ["lang=\"fr\"", "Autoriser", "Consulter toutes les données de santé du patient"] {
        assert!(page.text.contains(text), "{text}: {}", page.text);
    }
}

#[tokio::test]
async fn an_app_whose_policy_is_never_asks_nobody() {
    let server = server(ConsentPolicy::Never).await;
    let (_, answer) = ask(&server, SCOPE).await;
    assert_eq!(granted(&server, &answer).await, SCOPE);
    assert_eq!(server.audited("consent", "success").await, 0);
}

#[tokio::test]
async fn an_app_whose_policy_is_once_asks_again_only_for_more() {
    let server = server(ConsentPolicy::Once).await;
    let (mut browser, page) = ask(&server, "launch openid patient/*.rs").await;
    let first = answer(&server, &mut browser, &page.expect(200), &["openid", "patient/*.rs"], "allow").await;
    assert_eq!(granted(&server, &first).await, "launch openid patient/*.rs");
    let (_, narrower) = ask(&server, "launch patient/Observation.r").await;
    assert_eq!(granted(&server, &narrower).await, "launch patient/Observation.r");
    let (mut browser, wider) = ask(&server, "launch openid patient/*.rs patient/Observation.c").await;
    let wider = wider.expect(200);
    assert_eq!(boxes(&wider).len(), 3);
    let all = ["openid", "patient/*.rs", "patient/Observation.c"];
    answer(&server, &mut browser, &wider, &all, "allow").await.code();
    let (_, known) = ask(&server, "launch patient/Observation.c").await;
    known.code();
    assert_eq!(server.audited("consent", "success").await, 2);
}

#[tokio::test]
async fn an_app_that_any_program_could_pass_for_asks_every_time() {
    let server = server(ConsentPolicy::Never).await;
    let native = "com.example.app:/cb";
    let native_app =
        Client { redirect_uris: vec![REDIRECT.into(), native.into()], ..client("native", Role::App, AuthMethod::None) };
    server.write(async |tx, now| store::client::insert(tx, &native_app, now).await).await;
    let mut browser = Browser::default();
    let openid = with(&authorization("native"), &[("scope", "openid")]);
    browser.sign_in(&server, &openid, "julie", PASSWORD).await.code();
    let claimed = with(&openid, &[("redirect_uri", native)]);
    for _ in 0..2 {
        let page = browser.authorize(&server, &claimed).await.expect(200);
        assert!(page.text.contains("action=\"consent\"") && page.text.contains("com.example.app:"), "{}", page.text);
        let sent = answer(&server, &mut browser, &page, &["openid"], "allow").await.expect(303);
        assert!(sent.header("location").starts_with("com.example.app:/cb?code="), "{:?}", sent.headers);
    }
    let silent = browser.authorize(&server, &with(&claimed, &[("prompt", "none")])).await.expect(303);
    assert!(silent.header("location").contains("error=consent_required"), "{:?}", silent.headers);
    browser.authorize(&server, &openid).await.code();
}

#[tokio::test]
async fn a_point_of_care_system_asks_people_of_elsewhere_once() {
    let server = Oauth::start().await;
    sqlx::query("update user_account set tenant = 0 where name = 'max'").execute(&server.db.pool).await.unwrap();
    let request = with(&authorization("poc"), &[("scope", "Context.write")]);
    Browser::default().sign_in(&server, &request, "julie", PASSWORD).await.code();
    let mut browser = Browser::default();
    let page = browser.sign_in(&server, &request, "max", PASSWORD).await.expect(200);
    answer(&server, &mut browser, &page, &["Context.write"], "allow").await.code();
    browser.authorize(&server, &request).await.code();
}

#[tokio::test]
async fn an_app_whose_policy_is_always_asks_every_time() {
    let server = server(ConsentPolicy::Always).await;
    for _ in 0..2 {
        let (mut browser, page) = ask(&server, "launch patient/*.rs").await;
        answer(&server, &mut browser, &page.expect(200), &["patient/*.rs"], "allow").await.code();
    }
}

#[tokio::test]
async fn consent_is_each_persons_own_and_for_one_app_only() {
    let server = server(ConsentPolicy::Once).await;
    register(&server, "another", ConsentPolicy::Once).await;
    let (mut browser, page) = ask(&server, "launch patient/*.rs").await;
    answer(&server, &mut browser, &page.expect(200), &["patient/*.rs"], "allow").await.code();
    let openid = with(&authorization("another"), &[("scope", "openid")]);
    assert_eq!(boxes(&browser.authorize(&server, &openid).await.expect(200)), [("openid".to_owned(), true)]);
    let max = user_id(&server, "max").await;
    let (launch, _) = server.launch(|context| context.owner_user = Some(max)).await;
    let request = with(&authorization("asking"), &[("scope", "launch patient/*.rs"), ("launch", &launch)]);
    let page = Browser::default().sign_in(&server, &request, "max", PASSWORD).await.expect(200);
    assert_eq!(boxes(&page), [("patient/*.rs".to_owned(), true)]);
}

#[tokio::test]
async fn what_is_unticked_is_not_granted_and_the_reason_is_kept() {
    let server = server(ConsentPolicy::Once).await;
    let (mut browser, page) = ask(&server, SCOPE).await;
    let code = answer(&server, &mut browser, &page.expect(200), &["openid", "patient/*.rs"], "allow").await;
    assert_eq!(granted(&server, &code).await, "launch openid patient/*.rs");
    let (asked, withheld): (String, Value) =
        sqlx::query_as("select asked, withheld from grant_row").fetch_one(&server.db.pool).await.unwrap();
    assert_eq!((asked.as_str(), withheld), (SCOPE, json!({"user/Practitioner.r": "declined"})));
    // Remembered: left out without asking, and shown unticked when something else makes the page come.
    let (_, again) = ask(&server, SCOPE).await;
    assert_eq!(granted(&server, &again).await, "launch openid patient/*.rs");
    let (_, more) = ask(&server, "launch patient/*.rs user/Practitioner.r profile").await;
    let expected = [("patient/*.rs", true), ("user/Practitioner.r", false), ("profile", true)];
    assert_eq!(boxes(&more.expect(200)), expected.map(|(scope, ticked)| (scope.to_owned(), ticked)));
}

#[tokio::test]
async fn a_scope_that_was_not_shown_is_not_granted_by_a_forged_box() {
    let server = server(ConsentPolicy::Once).await;
    let (mut browser, page) = ask(&server, "launch patient/*.rs").await;
    let forged = ["patient/*.rs", "patient/*.cruds", "user/*.cruds", "system/*.rs", "offline_access"];
    let code = answer(&server, &mut browser, &page.expect(200), &forged, "allow").await;
    assert_eq!(granted(&server, &code).await, "launch patient/*.rs");
    let kept: String = sqlx::query_scalar("select scope from consent").fetch_one(&server.db.pool).await.unwrap();
    assert_eq!(kept, "patient/*.rs");
}

#[tokio::test]
async fn refusing_all_by_button_or_by_boxes_tells_the_app_and_keeps_nothing() {
    let server = server(ConsentPolicy::Once).await;
    for (scopes, action) in [
        (&["openid"][..], "refuse"),
        (&[], "allow"),
        (&["user/*.cruds"], "allow"),
        (&["openid"], ""),
        (&["launch"], "allow"),
    ] {
        let (mut browser, page) = ask(&server, SCOPE).await;
        let page = page.expect(200);
        let refused = answer(&server, &mut browser, &page, scopes, action).await;
        assert_eq!(refused.back_error(), "access_denied", "{scopes:?} {action}");
        answer(&server, &mut browser, &page, &["openid"], "allow").await.expect(400);
    }
    assert_eq!(server.audited("consent", "refused").await, 5);
    let kept: i64 = sqlx::query_scalar("select count(*) from consent").fetch_one(&server.db.pool).await.unwrap();
    assert_eq!((kept, server.audited("launch", "success").await), (0, 0));
}

#[tokio::test]
async fn a_form_that_is_replayed_foreign_old_or_out_of_step_does_nothing() {
    let server = server(ConsentPolicy::Once).await;
    let (mut browser, page) = ask(&server, SCOPE).await;
    let page = page.expect(200);
    answer(&server, &mut Browser::default(), &page, &["openid"], "allow").await.expect(400);
    let (mut stranger, _) = ask(&server, SCOPE).await;
    answer(&server, &mut stranger, &page, &["openid"], "allow").await.expect(400);
    let session = browser.cookies.remove("__Host-sofa_session").unwrap();
    answer(&server, &mut browser, &page, &["openid"], "allow").await.expect(400);
    browser.cookies.insert("__Host-sofa_session".into(), stranger.cookies["__Host-sofa_session"].clone());
    answer(&server, &mut browser, &page, &["openid"], "allow").await.expect(400);
    browser.cookies.insert("__Host-sofa_session".into(), session);
    browser.fill_in(&server, &page, "julie", PASSWORD).await.expect(400);
    let token = form_token(&page);
    browser.post(&server, "/continue", &[("request", &token), ("action", "continue")]).await.expect(400);
    browser.post(&server, "/consent", &[("action", "allow"), ("scope", "openid")]).await.expect(400);
    let twice = [("request", token.as_str()), ("request", token.as_str()), ("action", "allow")];
    browser.post(&server, "/consent", &twice).await.expect(400);
    answer(&server, &mut browser, &page, &["openid"], "allow").await.code();
    answer(&server, &mut browser, &page, &["openid"], "allow").await.expect(400);
    let (mut browser, late) = ask(&server, "launch profile").await;
    server.clock.advance(Duration::from_secs(601));
    answer(&server, &mut browser, &late.expect(200), &["profile"], "allow").await.expect(400);
    assert_eq!(server.audited("launch", "success").await, 1);
}

#[tokio::test]
async fn of_two_posts_of_one_form_only_one_gets_a_code() {
    let server = server(ConsentPolicy::Once).await;
    let (browser, page) = ask(&server, "launch openid").await;
    let page = page.expect(200);
    let post = async |_| {
        let mut same = Browser { cookies: browser.cookies.clone(), ..Browser::default() };
        answer(&server, &mut same, &page, &["openid"], "allow").await.status
    };
    let mut answers = futures_util::future::join_all((0..4).map(post)).await;
    answers.sort_unstable();
    assert_eq!(answers, [303, 400, 400, 400]);
}

#[tokio::test]
async fn the_request_is_judged_by_what_is_registered_when_the_answer_comes() {
    let server = server(ConsentPolicy::Always).await;
    let update = async |sql: &'static str| {
        sqlx::query(sql).execute(&server.db.pool).await.unwrap();
    };
    let (mut browser, page) = ask(&server, SCOPE).await;
    update("update client set scope = 'launch openid patient/Observation.rs' where client_id = 'asking'").await;
    let all = ["openid", "patient/*.rs", "user/Practitioner.r"];
    let narrowed = answer(&server, &mut browser, &page.expect(200), &all, "allow").await;
    assert_eq!(granted(&server, &narrowed).await, "launch openid");
    let (mut browser, page) = ask(&server, "launch patient/Observation.r").await;
    update("update context set app_id = 'app'").await;
    let other = answer(&server, &mut browser, &page.expect(200), &["patient/Observation.r"], "allow").await;
    assert_eq!(other.back_error(), "access_denied");
    let (mut browser, page) = ask(&server, "launch patient/Observation.r").await;
    update("update client set redirect_uris = '{https://app.example/new}' where client_id = 'asking'").await;
    let gone = answer(&server, &mut browser, &page.expect(200), &["patient/Observation.r"], "allow").await.expect(400);
    assert_eq!(gone.header("location"), "");
}

#[tokio::test]
async fn a_context_or_session_that_ends_while_the_page_is_open_gives_no_code() {
    let server = server(ConsentPolicy::Once).await;
    let (mut browser, page) = ask(&server, SCOPE).await;
    sqlx::query("update context set cleared_at = created_at").execute(&server.db.pool).await.unwrap();
    let cleared = answer(&server, &mut browser, &page.expect(200), &["openid"], "allow").await;
    assert_eq!(cleared.back_error(), "invalid_request");
    let (mut browser, page) = ask(&server, SCOPE).await;
    let julie = user_id(&server, "julie").await;
    server.write(async |tx, _| store::login::end_sessions_of(tx, julie).await).await;
    answer(&server, &mut browser, &page.expect(200), &["openid"], "allow").await.expect(400);
    let (mut browser, page) = ask(&server, SCOPE).await;
    server.write(async |tx, now| store::client::set_enabled(tx, "asking", false, now).await).await;
    answer(&server, &mut browser, &page.expect(200), &["openid"], "allow").await.expect(400);
    assert_eq!(server.audited("launch", "success").await, 0);
}

#[tokio::test]
async fn the_app_may_demand_the_page_or_its_absence() {
    let server = server(ConsentPolicy::Once).await;
    let openid = with(&authorization("asking"), &[("scope", "openid")]);
    let mut browser = Browser::default();
    let page = browser.sign_in(&server, &openid, "julie", PASSWORD).await.expect(200);
    let none = with(&openid, &[("prompt", "none")]);
    assert_eq!(browser.authorize(&server, &none).await.back_error(), "consent_required");
    answer(&server, &mut browser, &page, &["openid"], "allow").await.code();
    browser.authorize(&server, &none).await.code();
    let page = browser.authorize(&server, &with(&openid, &[("prompt", "consent")])).await.expect(200);
    assert_eq!(boxes(&page), [("openid".to_owned(), true)]);
    let quiet = with(&authorization("app"), &[("scope", "openid"), ("prompt", "consent")]);
    let page = browser.authorize(&server, &quiet).await.expect(200);
    assert_eq!(boxes(&page), [("openid".to_owned(), true)], "whatever the policy");
}

#[tokio::test]
async fn a_form_on_its_way_is_found_on_its_own_page_only() {
    let server = server(ConsentPolicy::Once).await;
    let (browser, page) = ask(&server, SCOPE).await;
    let (token, cookie) = (form_token(&page), token_digest(&browser.cookies["__Host-sofa_browser"]));
    let mut conn = server.db.pool.acquire().await.unwrap();
    for (step, is_there) in
        [(Step::SignIn, false), (Step::Continue, false), (Step::Choose, false), (Step::Consent, true)]
    {
        let form = store::flow::Form { digest: &token_digest(&token), browser_digest: &cookie };
        let found = store::flow::find(&mut conn, form, step, server.clock.now()).await.unwrap();
        assert_eq!(found.is_some(), is_there, "{step:?}");
    }
}
