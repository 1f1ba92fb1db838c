//! The pages in a frame of the point-of-care system, and in nobody else's; forms from elsewhere.

use super::*;

const EMR: &str = "https://emr.example";

/// A launch of `julie` from a point-of-care system whose pages may frame ours.
async fn launch(server: &Oauth) -> String {
    let emr =
        Client { frame_ancestors: vec![EMR.into()], tenant: 7, ..client("emr", Role::Poc, AuthMethod::PrivateKeyJwt) };
    emr.registration().check().unwrap();
    server.write(async |tx, now| store::client::insert(tx, &emr, now).await).await;
    server.launch(|context| context.poc_client = "emr".into()).await.0
}

#[tokio::test]
async fn only_the_pages_of_the_launching_system_may_frame_a_sign_in() {
    let server = Oauth::start().await;
    let launch = launch(&server).await;
    let request = with(&authorization("app"), &[("launch", &launch), ("scope", "launch openid patient/*.rs")]);
    let mut browser = Browser::default();
    let page = browser.authorize(&server, &request).await.expect(200);
    for page in [&page, &browser.fill_in(&server, &page, "julie", "wrong").await.expect(403)] {
        let policy = page.header("content-security-policy");
        assert!(policy.contains("frame-ancestors https://emr.example; base-uri 'none'"), "{policy}");
        assert_eq!(page.header("x-frame-options"), "");
    }
    let (other, _) = server.launch(|_| {}).await;
    for request in [
        with(&request, &[("launch", &other)]),
        with(&authorization("app"), &[("scope", "openid")]),
        with(&authorization("nobody"), &[("scope", "openid")]),
    ] {
        let page = Browser::default().authorize(&server, &request).await;
        assert!(page.header("content-security-policy").contains("frame-ancestors 'none';"), "{request:?}");
        assert_eq!(page.header("x-frame-options"), "DENY");
    }
}

#[tokio::test]
async fn in_a_frame_cookies_belong_to_the_site_around_it_and_elsewhere_to_no_other_site() {
    let server = Oauth::start().await;
    let launch = launch(&server).await;
    let request = with(&authorization("app"), &[("launch", &launch), ("scope", "launch openid patient/*.rs")]);
    let mut framed = Browser { headers: &[("sec-fetch-dest", "iframe")], ..Browser::default() };
    let page = framed.authorize(&server, &request).await.expect(200);
    let done = framed.fill_in(&server, &page, "julie", PASSWORD).await;
    done.code();
    for answer in [&page, &done] {
        for cookie in answer.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            for part in ["__Host-", "SameSite=None", "Secure", "Partitioned", "HttpOnly", "Path=/"] {
                assert!(cookie.contains(part), "{cookie}");
            }
        }
    }
    let top = Browser::default().authorize(&server, &request).await.expect(200);
    let cookie = top.header("set-cookie");
    assert!(cookie.contains("SameSite=Lax") && !cookie.contains("Partitioned"), "{cookie}");
}

#[tokio::test]
async fn a_form_that_another_site_sends_is_refused() {
    let server = Oauth::start().await;
    let request = with(&authorization("app"), &[("scope", "openid")]);
    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site"), ("origin", "https://other.sofa.example")],
        &[("sec-fetch-site", "cross-site"), ("origin", "null")],
        &[("origin", "https://evil.example")],
    ] {
        let mut browser = Browser::default();
        let page = browser.authorize(&server, &request).await.expect(200);
        browser.headers = headers;
        browser.fill_in(&server, &page, "julie", PASSWORD).await.expect(403);
        for path in ["/continue", "/consent", "/manage/end"] {
            browser.post(&server, path, &[("request", &form_token(&page))]).await.expect(403);
        }
        assert!(!browser.cookies.contains_key("__Host-sofa_session"), "{headers:?}");
    }
    for headers in [
        &[("sec-fetch-site", "same-origin"), ("origin", ISSUER)][..],
        &[("sec-fetch-site", "none")],
        &[("origin", ISSUER)],
        &[],
    ] {
        let mut browser = Browser::default();
        let page = browser.authorize(&server, &request).await.expect(200);
        browser.headers = headers;
        browser.fill_in(&server, &page, "julie", PASSWORD).await.code();
    }
}

#[tokio::test]
async fn an_app_may_post_its_request_from_its_own_pages() {
    let server = Oauth::start().await;
    let request = with(&authorization("app"), &[("scope", "openid")]);
    let headers = &[("sec-fetch-site", "cross-site"), ("origin", "https://app.example")];
    let mut browser = Browser { headers, ..Browser::default() };
    let taken_up = browser.post(&server, "/authorize", &request).await.expect(303);
    let page = browser.get(&server, taken_up.header("location").strip_prefix(ISSUER).unwrap()).await.expect(200);
    assert!(page.text.contains("type=\"password\""), "{}", page.text);
}
