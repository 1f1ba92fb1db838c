//! `/authorize`: what is refused and how, and who may have a launch.

use super::*;

#[tokio::test]
async fn nothing_is_sent_to_an_address_that_is_not_known_good() {
    let server = Oauth::start().await;
    let good = with(&authorization("app"), &[("scope", "openid")]);
    for change in [
        ("client_id", "nobody"),
        ("client_id", ""),
        ("client_id", "service"),
        ("redirect_uri", ""),
        ("redirect_uri", "https://app.example/cb"),
        ("redirect_uri", "https://app.example/cb?keep=1&x=1"),
        ("redirect_uri", "https://app.example:8443/cb?keep=1"),
        ("redirect_uri", "https://evil.example/cb?keep=1"),
    ] {
        let answer = Browser::default().authorize(&server, &with(&good, &[change])).await.expect(400);
        assert_eq!(
            (answer.header("location"), answer.header("content-type")),
            ("", "text/html; charset=utf-8"),
            "{change:?}"
        );
    }
    for twice in [("client_id", "app"), ("redirect_uri", REDIRECT)] {
        let answer = Browser::default().authorize(&server, &[good.clone(), vec![twice]].concat()).await.expect(400);
        assert_eq!(answer.header("location"), "", "{twice:?}");
    }
    server.write(async |tx, now| store::client::set_enabled(tx, "app", false, now).await).await;
    assert_eq!(Browser::default().authorize(&server, &good).await.expect(400).header("location"), "");
}

#[tokio::test]
async fn everything_else_that_is_wrong_is_told_to_the_app() {
    let server = Oauth::start().await;
    let good = with(&authorization("app"), &[("scope", "openid")]);
    for (change, error) in [
        (("response_type", ""), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
        (("scope", ""), "invalid_request"),
        (("scope", "nonsense"), "invalid_scope"),
        (("scope", "user/*.rs"), "invalid_scope"),
        (("scope", "system/*.rs"), "invalid_scope"),
        (("scope", "launch openid"), "invalid_request"),
        (("aud", ""), "invalid_request"),
        (("aud", "https://evil.example/fhir"), "invalid_request"),
        (("resource", "https://evil.example/fhir"), "invalid_request"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge", "tooshort"), "invalid_request"),
        (("code_challenge_method", ""), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("launch", "never-issued"), "invalid_request"),
        (("prompt", "none"), "login_required"),
        (("nonce", &"n".repeat(513)), "invalid_request"),
        (("request", "eyJhbGciOiJub25lIn0.e30."), "request_not_supported"),
        (("request_uri", "https://app.example/request.jwt"), "request_uri_not_supported"),
        (("response_mode", "fragment"), "invalid_request"),
        (("response_mode", "form_post"), "invalid_request"),
        (("prompt", "none login"), "invalid_request"),
        (("prompt", "create"), "invalid_request"),
        (("max_age", "soon"), "invalid_request"),
        (("max_age", "-1"), "invalid_request"),
        (("scope", &"openid ".repeat(1200)), "invalid_request"),
    ] {
        let answer = Browser::default().authorize(&server, &with(&good, &[change])).await;
        assert_eq!(answer.back_error(), error, "{change:?}");
    }
    for twice in [("scope", "openid"), ("aud", FHIR), ("code_challenge", "x"), ("nonce", "x"), ("nonce", "y")] {
        let answer = Browser::default().authorize(&server, &[good.clone(), vec![twice, twice]].concat()).await;
        assert_eq!(answer.back_error(), "invalid_request", "{twice:?}");
    }
    assert!(server.audited("authorize", "refused").await >= 15);
}

#[tokio::test]
async fn a_missing_or_repeated_state_is_refused_without_one() {
    let server = Oauth::start().await;
    let good = with(&authorization("app"), &[("scope", "openid")]);
    let without = Browser::default().authorize(&server, &with(&good, &[("state", "")])).await.back();
    assert_eq!((without["error"].as_str(), without.get("state")), ("invalid_request", None));
    let twice = Browser::default().authorize(&server, &[good, vec![("state", "other")]].concat()).await.back();
    assert_eq!((twice["error"].as_str(), twice.get("state")), ("invalid_request", None));
}

#[tokio::test]
async fn a_fault_of_the_server_is_told_to_the_app_and_says_nothing_of_it() {
    let server = Oauth::start().await;
    let (launch, _) = server.launch(|_| {}).await;
    let request = with(&authorization("app"), &[("scope", "launch"), ("launch", &launch)]);
    sqlx::query("alter table context rename to elsewhere").execute(&server.db.pool).await.unwrap();
    let answer = Browser::default().authorize(&server, &request).await;
    assert_eq!(answer.back_error(), "server_error");
    let told = &answer.back()["error_description"];
    assert!(!told.contains("context") && !told.contains("relation"), "{told}");
    sqlx::query("alter table elsewhere rename to context").execute(&server.db.pool).await.unwrap();
    Browser::default().sign_in(&server, &request, "julie", PASSWORD).await.code();
}

#[tokio::test]
async fn the_query_of_a_redirect_address_is_kept_and_a_fragment_never_fits() {
    let server = Oauth::start().await;
    let (launch, _) = server.launch(|_| {}).await;
    let request = with(&authorization("app"), &[("scope", "launch"), ("launch", &launch)]);
    let answer = Browser::default().sign_in(&server, &request, "julie", PASSWORD).await;
    let location = Url::parse(answer.header("location")).unwrap();
    let names: Vec<_> = location.query_pairs().map(|(name, _)| name.into_owned()).collect();
    assert_eq!((location.fragment(), &names[..]), (None, &["keep", "code", "state", "iss"].map(str::to_owned)[..]));
    for other in [format!("{REDIRECT}#here"), format!("{REDIRECT}#"), REDIRECT.replace("?keep=1", "")] {
        let answer = Browser::default().authorize(&server, &with(&request, &[("redirect_uri", &other)])).await;
        assert_eq!((answer.status, answer.header("location")), (400, ""), "{other}");
    }
}

#[tokio::test]
async fn the_same_request_works_by_get_and_by_post_and_unknown_parameters_are_ignored() {
    let server = Oauth::start().await;
    let (launch, _) = server.launch(|_| {}).await;
    let slash = format!("{FHIR}/");
    let request = with(
        &authorization("app"),
        &[("scope", "launch patient/*.rs"), ("launch", &launch), ("aud", &slash), ("foo", "1")],
    );
    let mut browser = Browser::default();
    let page = browser.post(&server, "/authorize", &request).await.expect(200);
    browser.fill_in(&server, &page, "julie", PASSWORD).await.code();
    browser.authorize(&server, &request).await.code();
}

#[tokio::test]
async fn a_launch_that_has_ended_or_waited_too_long_is_refused() {
    let server = Oauth::start().await;
    let ask = async |launch: &str| {
        let request = with(&authorization("app"), &[("scope", "launch patient/*.rs"), ("launch", launch)]);
        Browser::default().authorize(&server, &request).await
    };
    let (cleared, context) = server.launch(|_| {}).await;
    server.write(async |tx, now| store::context::mark_cleared(tx, context.id, now).await).await;
    assert_eq!(ask(&cleared).await.back_error(), "invalid_request");
    let (expired, _) = server.launch(|context| context.expires_at = context.created_at).await;
    assert_eq!(ask(&expired).await.back_error(), "invalid_request");
    let (late, _) = server.launch(|_| {}).await;
    server.clock.advance(Duration::from_secs(15 * 60 - 1));
    ask(&late).await.expect(200);
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(ask(&late).await.back_error(), "invalid_request");
}

#[tokio::test]
async fn a_launch_window_of_zero_lasts_as_long_as_the_context() {
    let server = Oauth::start_with("context.launch_window = \"0s\"").await;
    let (launch, _) = server.launch(|_| {}).await;
    server.clock.advance(Duration::from_secs(11 * 3600));
    server.code("app", &launch, "launch patient/*.rs").await;
}

#[tokio::test]
async fn a_launch_for_one_app_is_refused_to_another() {
    let server = Oauth::start().await;
    let (launch, _) = server.launch(|context| context.app_id = Some("app".into())).await;
    let request = with(&authorization("other-app"), &[("scope", "launch patient/*.rs"), ("launch", &launch)]);
    assert_eq!(Browser::default().authorize(&server, &request).await.back_error(), "access_denied");
    server.code("app", &launch, "launch patient/*.rs").await;
}

#[tokio::test]
async fn only_apps_are_launched() {
    let server = Oauth::start().await;
    let (launch, _) = server.launch(|_| {}).await;
    let request = with(&authorization("poc"), &[("scope", "launch patient/*.rs"), ("launch", &launch)]);
    assert_eq!(Browser::default().authorize(&server, &request).await.back_error(), "unauthorized_client");
}

#[tokio::test]
async fn the_first_user_owns_a_launch_for_good() {
    let server = Oauth::start().await;
    let (launch, context) = server.launch(|_| {}).await;
    let request = with(&authorization("app"), &[("scope", "launch patient/*.rs"), ("launch", &launch)]);
    let guest = Browser::default().sign_in(&server, &request, "guest", PASSWORD).await;
    assert_eq!(guest.back_error(), "access_denied", "another organisation");
    Browser::default().sign_in(&server, &request, "julie", PASSWORD).await.code();
    let max = Browser::default().sign_in(&server, &request, "max", PASSWORD).await;
    assert_eq!(max.back_error(), "access_denied");
    Browser::default().sign_in(&server, &request, "julie", PASSWORD).await.code();
    let owner = store::context::find(&mut server.db.pool.acquire().await.unwrap(), context.id).await.unwrap().unwrap();
    assert_eq!(owner.owner_user, Some(user_id(&server, "julie").await));
    assert_eq!(server.audited("launch", "success").await, 2);
}

#[tokio::test]
async fn a_strict_server_gives_nobodys_launch_to_nobody() {
    let server = Oauth::start_with("context.owner = \"strict\"").await;
    let (launch, _) = server.launch(|_| {}).await;
    let request = with(&authorization("app"), &[("scope", "launch patient/*.rs"), ("launch", &launch)]);
    assert_eq!(Browser::default().sign_in(&server, &request, "julie", PASSWORD).await.back_error(), "access_denied");
}

#[tokio::test]
async fn a_launch_that_names_its_user_is_for_that_user() {
    let server = Oauth::start().await;
    let named = |context: &mut ContextRow| {
        context.owner_named = true;
        context.owner_identifiers = vec![("urn:licence".into(), "4711".into())];
    };
    let (launch, _) = server.launch(named).await;
    let request = with(&authorization("app"), &[("scope", "launch patient/*.rs"), ("launch", &launch)]);
    assert_eq!(Browser::default().sign_in(&server, &request, "max", PASSWORD).await.back_error(), "access_denied");
    Browser::default().sign_in(&server, &request, "julie", PASSWORD).await.code();
    let max = user_id(&server, "max").await;
    let (launch, _) = server.launch(|context| context.owner_user = Some(max)).await;
    let request = with(&authorization("app"), &[("scope", "launch patient/*.rs"), ("launch", &launch)]);
    assert_eq!(Browser::default().sign_in(&server, &request, "julie", PASSWORD).await.back_error(), "access_denied");
    Browser::default().sign_in(&server, &request, "max", PASSWORD).await.code();
}

#[tokio::test]
async fn on_a_shared_computer_the_right_person_is_asked_to_sign_in() {
    let server = Oauth::start().await;
    let mut browser = Browser::default();
    let sign_in = with(&authorization("app"), &[("scope", "openid")]);
    browser.sign_in(&server, &sign_in, "max", PASSWORD).await.code();
    let julie = user_id(&server, "julie").await;
    let (launch, _) = server.launch(|context| context.owner_user = Some(julie)).await;
    let request = with(&authorization("app"), &[("scope", "launch patient/*.rs"), ("launch", &launch)]);
    let silent = browser.authorize(&server, &with(&request, &[("prompt", "none")])).await;
    assert_eq!(silent.back_error(), "access_denied");
    browser.sign_in(&server, &request, "julie", PASSWORD).await.code();
}

#[tokio::test]
async fn a_context_cleared_while_the_form_is_open_gives_no_code() {
    let server = Oauth::start().await;
    let (launch, context) = server.launch(|_| {}).await;
    let mut browser = Browser::default();
    let request = with(&authorization("app"), &[("scope", "launch patient/*.rs"), ("launch", &launch)]);
    let page = browser.authorize(&server, &request).await.expect(200);
    server.write(async |tx, now| store::context::mark_cleared(tx, context.id, now).await).await;
    assert_eq!(browser.fill_in(&server, &page, "julie", PASSWORD).await.back_error(), "invalid_request");
}

#[tokio::test]
async fn a_point_of_care_system_acts_for_its_user_of_its_own_organisation() {
    let server = Oauth::start().await;
    let request = with(&authorization("poc"), &[("scope", "Context.write user/*.cruds openid")]);
    let guest = Browser::default().sign_in(&server, &request, "guest", PASSWORD).await;
    assert_eq!(guest.back_error(), "access_denied");
    let code = Browser::default().sign_in(&server, &request, "julie", PASSWORD).await.code();
    let assertion = assertion(&server, "poc", &json!({}));
    let tokens = server.token(&[exchange(&code), signed(&assertion).to_vec()].concat()).await.expect(200).json();
    assert_eq!(tokens["scope"], "Context.write user/*.cruds openid");
    assert!(tokens.get("patient").is_none());
}

#[tokio::test]
async fn a_hint_of_another_person_or_of_nobody_asks_for_a_sign_in() {
    let server = Oauth::start_with("oauth.session_idle = \"8h\"").await;
    let request = with(&authorization("app"), &[("scope", "openid")]);
    let id_token = async |name| {
        let code = Browser::default().sign_in(&server, &request, name, PASSWORD).await.code();
        server.exchange("app", &code).await.expect(200).json()["id_token"].as_str().unwrap().to_owned()
    };
    let (julie, max) = (id_token("julie").await, id_token("max").await);
    let mut browser = Browser::default();
    browser.sign_in(&server, &request, "julie", PASSWORD).await.code();
    server.clock.advance(Duration::from_secs(2 * 3600));
    let silent = with(&request, &[("prompt", "none")]);
    browser.authorize(&server, &with(&silent, &[("id_token_hint", &julie)])).await.code();
    let tampered = format!("{}x", &julie[..julie.len() - 1]);
    for hint in [max.as_str(), "nonsense", &tampered] {
        let answer = browser.authorize(&server, &with(&silent, &[("id_token_hint", hint)])).await;
        assert_eq!(answer.back_error(), "login_required", "{hint}");
        browser.authorize(&server, &with(&request, &[("id_token_hint", hint)])).await.expect(200);
    }
}

#[tokio::test]
async fn the_pages_speak_the_language_the_app_asks_for() {
    let server = Oauth::start().await;
    let mut browser = Browser { language: "en", ..Browser::default() };
    let request = with(&authorization("app"), &[("scope", "openid"), ("ui_locales", "de fr-CA en")]);
    let page = browser.authorize(&server, &request).await.expect(200);
    assert!(page.text.contains("lang=\"fr\""), "{}", page.text);
    let again = browser.fill_in(&server, &page, "julie", "wrong").await.expect(403);
    assert!(again.text.contains("lang=\"fr\""), "{}", again.text);
    let page = browser.authorize(&server, &with(&request, &[("ui_locales", "")])).await.expect(200);
    assert!(page.text.contains("lang=\"en\""), "{}", page.text);
    let again = browser.fill_in(&server, &page, "julie", "wrong").await.expect(403);
    assert!(again.text.contains("lang=\"en\""), "{}", again.text);
    let page = browser.authorize(&server, &with(&request, &[("ui_locales", "de")])).await.expect(200);
    assert!(page.text.contains("lang=\"en\""), "{}", page.text);
}

#[tokio::test]
async fn a_launch_of_a_system_that_is_shut_out_is_refused() {
    let server = Oauth::start().await;
    let (launch, _) = server.launch(|_| {}).await;
    let request = with(&authorization("app"), &[("scope", "launch patient/*.rs"), ("launch", &launch)]);
    let mut browser = Browser::default();
    let page = browser.authorize(&server, &request).await.expect(200);
    server.write(async |tx, now| store::client::set_enabled(tx, "poc", false, now).await).await;
    assert_eq!(browser.fill_in(&server, &page, "julie", PASSWORD).await.back_error(), "invalid_request");
    assert_eq!(browser.authorize(&server, &request).await.back_error(), "invalid_request");
}

#[tokio::test]
async fn an_app_that_is_not_registered_for_launches_redeems_none() {
    let server = Oauth::start().await;
    let standing = Client { scope: "openid patient/*.rs".into(), ..client("standing", Role::App, AuthMethod::None) };
    server.write(async |tx, now| store::client::insert(tx, &standing, now).await).await;
    let (launch, _) = server.launch(|_| {}).await;
    let request = with(&authorization("standing"), &[("scope", "launch patient/*.rs openid"), ("launch", &launch)]);
    assert_eq!(Browser::default().authorize(&server, &request).await.back_error(), "invalid_scope");
}

#[tokio::test]
async fn whoever_signs_in_must_be_whom_the_app_expects() {
    let server = Oauth::start().await;
    let hint = server.tokens("launch openid").await["id_token"].as_str().unwrap().to_owned();
    let request = with(&authorization("app"), &[("scope", "openid"), ("id_token_hint", &hint)]);
    let mut browser = Browser::default();
    assert_eq!(browser.sign_in(&server, &request, "max", PASSWORD).await.back_error(), "login_required");
    let silent = browser.authorize(&server, &with(&request, &[("prompt", "none")])).await;
    assert_eq!(silent.back_error(), "login_required");
    browser.sign_in(&server, &request, "julie", PASSWORD).await.code();
    browser.authorize(&server, &with(&request, &[("prompt", "none")])).await.code();
}

#[tokio::test]
async fn a_request_that_another_sites_page_posts_finds_the_session_and_leaves_other_forms_alone() {
    let server = Oauth::start().await;
    let openid = with(&authorization("app"), &[("scope", "openid")]);
    let mut browser = Browser::default();
    browser.sign_in(&server, &openid, "julie", PASSWORD).await.code();
    let (launch, _) = server.launch(|_| {}).await;
    let other = with(&authorization("app"), &[("scope", "launch patient/*.rs"), ("launch", &launch)]);
    let form = browser.authorize(&server, &other).await.expect(200);
    browser.headers = &[("sec-fetch-site", "cross-site")];
    let cookies = browser.cookies.clone();
    let silent = with(&openid, &[("prompt", "none")]);
    let here_again = browser.post(&server, "/authorize", &silent).await.expect(303);
    assert_eq!((&browser.cookies, here_again.header("cache-control")), (&cookies, "no-store"));
    let address = here_again.header("location").strip_prefix(ISSUER).unwrap().to_owned();
    assert!(address.starts_with("/authorize?request_token=") && !address.contains('&'), "{address}");
    browser.get(&server, &address).await.code();
    assert_eq!(browser.get(&server, &address).await.expect(400).header("location"), "", "once");
    let late = browser.post(&server, "/authorize", &silent).await.expect(303);
    server.clock.advance(Duration::from_secs(61));
    browser.get(&server, late.header("location").strip_prefix(ISSUER).unwrap()).await.expect(400);
    browser.headers = &[];
    let token = form_token(&form);
    browser.post(&server, "/continue", &[("request", &token), ("action", "continue")]).await.code();
}

#[tokio::test]
async fn what_is_posted_from_elsewhere_is_judged_like_any_request_and_kept_in_bounds() {
    let server = Oauth::start().await;
    let elsewhere = || Browser { headers: &[("sec-fetch-site", "cross-site")], ..Browser::default() };
    let go_on = async |request: &[(&str, &str)]| {
        let mut browser = elsewhere();
        let sent = browser.post(&server, "/authorize", request).await.expect(303);
        browser.get(&server, sent.header("location").strip_prefix(ISSUER).unwrap()).await
    };
    let good = with(&authorization("app"), &[("scope", "openid")]);
    assert!(go_on(&good).await.expect(200).text.contains("type=\"password\""));
    assert_eq!(go_on(&with(&good, &[("aud", "https://evil.example")])).await.back_error(), "invalid_request");
    assert_eq!(
        go_on(&with(&good, &[("redirect_uri", "https://evil.example/")])).await.expect(400).header("location"),
        ""
    );
    let long = "x".repeat(17_000);
    elsewhere().post(&server, "/authorize", &with(&good, &[("foo", &long)])).await.expect(400);
    for address in ["/authorize?request_token=nonsense", "/authorize?request_token="] {
        Browser::default().get(&server, address).await.expect(400);
    }
    // A form of the pages is no such request, and the other way round.
    let form = Browser::default().authorize(&server, &good).await.expect(200);
    let address = format!("/authorize?request_token={}", form_token(&form));
    Browser::default().get(&server, &address).await.expect(400);
    let named = with(&good, &[("request_token", "of the app's own")]);
    Browser::default().authorize(&server, &named).await.expect(200);
}

#[tokio::test]
async fn whoever_only_looks_gets_no_code_and_takes_no_launch() {
    let server = Oauth::start().await;
    let mut browser = Browser::default();
    let openid = with(&authorization("app"), &[("scope", "openid")]);
    browser.sign_in(&server, &openid, "julie", PASSWORD).await.code();
    let cookies: Vec<_> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let head = Request::head(format!("/authorize?{}", encode(&openid))).header(header::COOKIE, cookies.join("; "));
    let answer = server.send(head.body(Body::empty()).unwrap()).await.expect(405);
    assert_eq!(answer.header("location"), "");
    assert_eq!(server.audited("authorize", "success").await, 1);
}
