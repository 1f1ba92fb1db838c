//! Signing in at an upstream provider: who comes in, and every way in which nobody does.

use super::*;
use crate::support::provider::{CLIENT, Provider, SECRET as UPSTREAM_SECRET, Signed};

/// A server with the provider `up` for tenant 7, and whatever a test adds to it.
struct Stage {
    server: Oauth,
    up: Provider,
    _secret: tempfile::NamedTempFile,
}

impl Stage {
    /// `more`: keys of the provider, lines of TOML; `after`: other sections and providers.
    async fn set(more: &str, after: &str) -> Self {
        let up = Provider::start().await;
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), format!("{UPSTREAM_SECRET}\n")).unwrap();
        let tenants = if more.contains("tenants = ") { "" } else { "tenants = [7]" };
        let config = format!(
            "[federation]\nallow_http = true\nallow_private_addresses = true\n[[federation.providers]]\nid = \"up\"\n\
             name_en = \"The Clinic\"\nname_fr = \"La Clinique\"\nissuer = \"{}\"\nclient_id = \"{CLIENT}\"\n\
             client_secret_file = \"{}\"\nscopes = [\"profile\"]\nidentifier_claim = \"licence\"\n\
             identifier_system = \"urn:licence\"\n{tenants}\n{more}\n{after}",
            up.issuer,
            secret.path().display()
        );
        let server = Oauth::start_with(&config).await;
        Self { server, up, _secret: secret }
    }

    /// With accounts for everybody who comes.
    async fn open() -> Self {
        Self::set("create_users = true", "").await
    }

    /// Opens the sign-in form for `request` and chooses the provider; where the browser is sent.
    async fn depart(&self, browser: &mut Browser, request: &[(&str, &str)]) -> Url {
        let page = browser.authorize(&self.server, request).await.expect(200);
        let token = form_token(&page);
        let fields = [("request", token.as_str()), ("provider", "up")];
        link(&browser.post(&self.server, "/login-with", &fields).await.expect(200))
    }

    /// The claims of a good ID token for that request, changed by `changes` (null takes one away).
    fn claims(&self, url: &Url, subject: &str, changes: &Value) -> Value {
        let now = self.server.clock.now().unix_timestamp();
        let nonce = parameter(url, "nonce");
        let mut claims = json!({
            "iss": self.up.issuer, "sub": subject, "aud": CLIENT, "exp": now + 300, "iat": now, "auth_time": now,
            "nonce": nonce, "sid": format!("sid-{subject}"), "name": format!("Dr {subject}"), "licence": format!("L-{subject}"),
        });
        for (name, value) in changes.as_object().into_iter().flatten() {
            match value {
                Value::Null => {
                    claims.as_object_mut().unwrap().remove(name);
                }
                value => claims[name] = value.clone(),
            }
        }
        claims
    }

    /// The address that the provider sends the browser back to, with an ID token signed so.
    fn back(&self, url: &Url, claims: &Value, signed: Signed) -> String {
        let token = self.up.sign("JWT", claims, signed);
        let answer = json!({"access_token": "upstream access", "token_type": "Bearer", "id_token": token});
        let code = self.up.code_for(url, answer);
        callback(&[("code", &code), ("state", &parameter(url, "state")), ("iss", &self.up.issuer)])
    }

    /// `subject` signs in upstream, for `request`.
    async fn sign_in(&self, browser: &mut Browser, request: &[(&str, &str)], subject: &str, changes: &Value) -> Answer {
        let url = self.depart(browser, request).await;
        let back = self.back(&url, &self.claims(&url, subject, changes), Signed::Well);
        browser.get(&self.server, &back).await
    }

    async fn users(&self) -> Vec<User> {
        store::user::list(&mut self.server.db.pool.acquire().await.unwrap()).await.unwrap()
    }

    /// The account made for that subject.
    async fn user(&self, subject: &str) -> User {
        let name = format!("up/{subject}");
        self.users().await.into_iter().find(|user| user.name == name).unwrap_or_else(|| panic!("no {name}"))
    }
}

fn plain() -> Vec<(&'static str, &'static str)> {
    with(&authorization("app"), &[("scope", "openid profile")])
}

fn launching(launch: &str) -> Vec<(&str, &str)> {
    with(&authorization("app"), &[("launch", launch), ("scope", "launch openid offline_access patient/*.rs")])
}

fn callback(parameters: &[(&str, &str)]) -> String {
    format!("/callback-up?{}", encode(parameters))
}

fn parameter(url: &Url, name: &str) -> String {
    url.query_pairs().find(|(key, _)| key == name).unwrap_or_else(|| panic!("{name} in {url}")).1.into_owned()
}

/// Where a page leads by itself.
#[track_caller]
fn link(page: &Answer) -> Url {
    let (_, rest) = page.text.split_once("<a href=\"").unwrap_or_else(|| panic!("no link: {}", page.text));
    let url = rest.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    let refresh = page.text.split_once("content=\"0; url=").expect("it goes on by itself").1.split('"').next().unwrap();
    assert_eq!(refresh.replace("&#38;", "&").replace("&amp;", "&"), url);
    url.parse().unwrap()
}

fn has_session(browser: &Browser) -> bool {
    browser.cookies.contains_key("__Host-sofa_session")
}

#[tokio::test]
async fn whoever_signs_in_upstream_gets_an_account_and_has_it_the_next_time() {
    let stage = Stage::open().await;
    let mut browser = Browser::default();
    let url = stage.depart(&mut browser, &plain()).await;
    assert_eq!(url.as_str().split('?').next().unwrap(), format!("{}/authorize", stage.up.issuer));
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("redirect_uri", "https://sofa.example/callback-up"),
        ("scope", "openid profile"),
        ("code_challenge_method", "S256"),
        ("max_age", "28800"),
        ("ui_locales", "en"),
    ] {
        assert_eq!(parameter(&url, name), value, "{name}");
    }
    let (state, nonce) = (parameter(&url, "state"), parameter(&url, "nonce"));
    assert!(state.len() == 43 && nonce.len() == 43 && state != nonce);
    assert!(url.query_pairs().all(|(name, _)| name != "prompt" && name != "login_hint"));
    let back = stage.back(&url, &stage.claims(&url, "anna", &json!({})), Signed::Well);
    let code = browser.get(&stage.server, &back).await.code();
    let tokens = stage.server.exchange("app", &code).await.expect(200).json();
    let anna = stage.user("anna").await;
    let told = stage.server.keys.verify::<Value>("JWT", tokens["id_token"].as_str().unwrap()).await.unwrap();
    assert_eq!((&told["sub"], &told["name"]), (&json!(anna.id), &json!("Dr anna")));
    assert_eq!((anna.tenant, anna.password_hash), (7, None));
    assert_eq!(anna.identifiers, [("urn:licence".to_owned(), "L-anna".to_owned())]);
    assert_eq!(anna.source, store::user::Source::Federated);

    let count = stage.users().await.len();
    let mut at_home = Browser::default();
    stage.sign_in(&mut at_home, &plain(), "anna", &json!({"name": "Dr A. Married"})).await.code();
    assert_eq!(stage.users().await.len(), count);
    assert_eq!((stage.user("anna").await.id, stage.user("anna").await.display_name), (anna.id, "Dr A. Married".into()));
    stage.sign_in(&mut Browser::default(), &plain(), "bert", &json!({})).await.code();
    assert_eq!(stage.users().await.len(), count + 1);
    assert_eq!((stage.up.count("metadata"), stage.up.count("jwks"), stage.up.count("userinfo")), (1, 1, 0));
    assert_eq!(stage.server.audited("login", "success").await, 3);
}

#[tokio::test]
async fn nothing_but_a_whole_id_token_lets_anybody_in() {
    let stage = Stage::open().await;
    let before = stage.users().await.len();
    let now = stage.server.clock.now().unix_timestamp();
    let nothing = json!({});
    let other = json!([CLIENT, "another client"]);
    for (what, changes, signed) in [
        ("another issuer", json!({"iss": "http://127.0.0.1:1"}), Signed::Well),
        ("the issuer with a slash", json!({"iss": format!("{}/", stage.up.issuer)}), Signed::Well),
        ("no issuer", json!({"iss": null}), Signed::Well),
        ("another audience", json!({"aud": "another client"}), Signed::Well),
        ("another audience too", json!({"aud": other}), Signed::Well),
        ("no audience", json!({"aud": null}), Signed::Well),
        ("made for another client", json!({"azp": "another client"}), Signed::Well),
        ("another nonce", json!({"nonce": random_token()}), Signed::Well),
        ("no nonce", json!({"nonce": null}), Signed::Well),
        ("expired", json!({"exp": now}), Signed::Well),
        ("no end", json!({"exp": null}), Signed::Well),
        ("of a time to come", json!({"iat": now + 120}), Signed::Well),
        ("no beginning", json!({"iat": null}), Signed::Well),
        ("a sign-in of yesterday", json!({"auth_time": now - 86_400}), Signed::Well),
        ("a sign-in of tomorrow", json!({"auth_time": now + 86_400}), Signed::Well),
        ("no subject", json!({"sub": null}), Signed::Well),
        ("an empty subject", json!({"sub": ""}), Signed::Well),
        ("a subject that is too long", json!({"sub": "x".repeat(256)}), Signed::Well),
        ("another key", nothing.clone(), Signed::ByAnother),
        ("a broken signature", nothing.clone(), Signed::Broken),
        ("the shared secret", nothing.clone(), Signed::WithSecret),
        ("no signature", nothing.clone(), Signed::Not),
    ] {
        let mut browser = Browser::default();
        let url = stage.depart(&mut browser, &plain()).await;
        let back = stage.back(&url, &stage.claims(&url, "eve", &changes), signed);
        let page = browser.get(&stage.server, &back).await.expect(403);
        assert!(page.text.contains("role=\"alert\"") && page.text.contains("login-with"), "{what}: {}", page.text);
        assert!(!has_session(&browser), "{what}");
        assert_eq!(stage.users().await.len(), before, "{what}");
    }
    for answer in [
        json!({"access_token": "a", "token_type": "Bearer"}),
        json!({"access_token": "a", "token_type": "Bearer", "id_token": "nonsense"}),
        json!({"access_token": "a", "token_type": "Bearer", "id_token": "a.b.c"}),
        json!({"error": "invalid_grant"}),
        json!([]),
    ] {
        let mut browser = Browser::default();
        let url = stage.depart(&mut browser, &plain()).await;
        let code = stage.up.code_for(&url, answer.clone());
        let back = callback(&[("code", &code), ("state", &parameter(&url, "state")), ("iss", &stage.up.issuer)]);
        browser.get(&stage.server, &back).await.expect(403);
        assert!(!has_session(&browser), "{answer}");
    }
    let mut browser = Browser::default();
    stage.sign_in(&mut browser, &plain(), "anna", &nothing).await.code();
}

#[tokio::test]
async fn an_answer_that_is_not_of_this_provider_or_not_for_this_form_is_refused() {
    let stage = Stage::open().await;
    let mut browser = Browser::default();
    for answer in [
        &[("iss", "https://evil.example")][..],
        &[("iss", "")],
        &[("code", ""), ("error", "access_denied")],
        &[("code", ""), ("error", "<b>anything</b>")],
        &[("code", "")],
        &[("code", "never given")],
    ] {
        let url = stage.depart(&mut browser, &plain()).await;
        let good = stage.up.code_for(&url, json!({}));
        let state = parameter(&url, "state");
        let usual = [("code", good.as_str()), ("state", state.as_str()), ("iss", stage.up.issuer.as_str())];
        let page = browser.get(&stage.server, &callback(&with(&usual, answer))).await.expect(403);
        assert!(page.text.contains("did not work") && !page.text.contains("<b>"), "{answer:?}: {}", page.text);
        assert!(!has_session(&browser), "{answer:?}");
    }
    assert_eq!(stage.up.count("token"), 1, "only the code that was never given was sent to the provider");
    stage.up.publish("authorization_response_iss_parameter_supported", Value::Null);
    stage.server.clock.advance(Duration::from_secs(600));
    let url = stage.depart(&mut browser, &plain()).await;
    let back = stage.back(&url, &stage.claims(&url, "anna", &json!({})), Signed::Well);
    let silent = back.split("&iss=").next().unwrap();
    browser.get(&stage.server, silent).await.code();
}

#[tokio::test]
async fn a_state_works_once_in_its_own_browser_for_its_own_provider_and_for_a_while() {
    let second =
        "[[federation.providers]]\nid = \"second\"\nissuer = \"http://127.0.0.1:1\"\nclient_id = \"x\"\ntenants = [7]";
    let stage = Stage::set("create_users = true", second).await;
    let mut browser = Browser::default();
    let url = stage.depart(&mut browser, &plain()).await;
    let good = |url: &Url| stage.back(url, &stage.claims(url, "anna", &json!({})), Signed::Well);
    let back = good(&url);
    let elsewhere = back.replace("/callback-up?", "/callback-second?");
    browser.get(&stage.server, &elsewhere).await.expect(400);
    let mut other = Browser::default();
    other.get(&stage.server, &back).await.expect(400);
    stage.depart(&mut other, &plain()).await;
    other.get(&stage.server, &back).await.expect(400);
    for bad in
        ["/callback-up", "/callback-up?code=x", "/callback-up?code=x&state=unknown", "/callback-up?state=a&state=b"]
    {
        browser.get(&stage.server, bad).await.expect(400);
    }
    browser.get(&stage.server, "/callback-nobody?state=x").await.expect(404);
    assert_eq!(stage.up.count("token"), 0, "no code was sent anywhere");
    browser.get(&stage.server, &back).await.code();
    browser.get(&stage.server, &back).await.expect(400);
    let mut late = Browser::default();
    let url = stage.depart(&mut late, &plain()).await;
    let back = good(&url);
    stage.server.clock.advance(Duration::from_secs(601));
    late.get(&stage.server, &back).await.expect(400);
    assert!(!has_session(&late) && !has_session(&other));
    let page = other.authorize(&stage.server, &plain()).await.expect(200);
    let token = form_token(&page);
    for provider in ["", "nobody", "UP"] {
        let fields = [("request", token.as_str()), ("provider", provider)];
        other.post(&stage.server, "/login-with", &fields).await.expect(400);
    }
    let fields = [("request", token.as_str()), ("provider", "up")];
    Browser::default().post(&stage.server, "/login-with", &fields).await.expect(400);
}

#[tokio::test]
async fn a_form_that_was_used_meanwhile_is_not_used_again_by_who_comes_back() {
    let stage = Stage::open().await;
    let mut browser = Browser::default();
    let url = stage.depart(&mut browser, &plain()).await;
    let back = stage.back(&url, &stage.claims(&url, "anna", &json!({})), Signed::Well);
    let page = browser.authorize(&stage.server, &plain()).await.expect(200);
    browser.fill_in(&stage.server, &page, "julie", PASSWORD).await.code();
    browser.get(&stage.server, &back).await.code();
    assert_eq!(stage.server.audited("logout", "success").await, 1, "julie's session ended with it");
}

#[tokio::test]
async fn a_provider_vouches_for_its_own_organisations_only() {
    let claims = "tenants = [7, 8]\ntenant_claim = \"clinic\"\ncreate_users = true";
    let stage = Stage::set(claims, "").await;
    let before = stage.users().await.len();
    stage.up.tell(json!({"sub": "eve"}));
    for clinic in [json!(9), json!("9"), json!(0), json!(-7), json!("seven"), json!([7]), json!(7.5), Value::Null] {
        let mut browser = Browser::default();
        let page = stage.sign_in(&mut browser, &plain(), "eve", &json!({ "clinic": clinic })).await.expect(403);
        assert!(page.text.contains("no account here") && !has_session(&browser), "{clinic}: {}", page.text);
    }
    assert_eq!(stage.users().await.len(), before);
    let (launch, _) = stage.server.launch(|_| {}).await;
    let code =
        stage.sign_in(&mut Browser::default(), &launching(&launch), "anna", &json!({"clinic": "7"})).await.code();
    let tokens = stage.server.exchange("app", &code).await.expect(200).json();
    let access = tokens["access_token"].as_str().unwrap();
    assert!(stage.server.is_alive(access).await);
    // Elsewhere now: what was granted in the other clinic ends.
    stage.sign_in(&mut Browser::default(), &plain(), "anna", &json!({"clinic": 8})).await.code();
    assert_eq!(stage.user("anna").await.tenant, 8);
    assert!(!stage.server.is_alive(access).await);
    let (launch, _) = stage.server.launch(|_| {}).await;
    let refused = stage.sign_in(&mut Browser::default(), &launching(&launch), "anna", &json!({"clinic": 8})).await;
    assert_eq!(refused.back_error(), "access_denied");
}

#[tokio::test]
async fn a_person_is_recognised_by_a_licence_only_where_exactly_one_has_it() {
    let stage = Stage::set("link_by_identifier = true", "").await;
    let julie = user_id(&stage.server, "julie").await;
    let licence = |number: &str| json!({ "licence": number });
    let mut browser = Browser::default();
    let code = stage.sign_in(&mut browser, &plain(), "anna", &licence("4711")).await.code();
    let tokens = stage.server.exchange("app", &code).await.expect(200).json();
    let told = stage.server.keys.verify::<Value>("JWT", tokens["id_token"].as_str().unwrap()).await.unwrap();
    assert_eq!((&told["sub"], &told["name"]), (&json!(julie), &json!("Dr julie")), "what the operator wrote stays");
    // The pair of issuer and subject counts from now on, whatever the licence.
    stage.sign_in(&mut Browser::default(), &plain(), "anna", &licence("4712")).await.code();
    for (subject, number) in [("eve", "4711"), ("gast", "4713"), ("nobody", "9999"), ("empty", "")] {
        let mut browser = Browser::default();
        let page = stage.sign_in(&mut browser, &plain(), subject, &licence(number)).await.expect(403);
        assert!(page.text.contains("no account here") && !has_session(&browser), "{subject}");
    }
    let hash = password::hash(Secret::new(PASSWORD.into())).await.unwrap();
    let twin = User { name: "max-again".into(), ..user("max-again", 7, "4712", &hash) };
    stage.server.write(async |tx, now| store::user::insert(tx, &twin, now).await).await;
    stage.sign_in(&mut Browser::default(), &plain(), "max", &licence("4712")).await.expect(403);
    stage.server.write(async |tx, now| store::user::disable(tx, julie, now).await).await;
    stage.sign_in(&mut Browser::default(), &plain(), "anna", &licence("4711")).await.expect(403);
    assert_eq!(stage.users().await.len(), 4);
}

#[tokio::test]
async fn an_account_that_was_moved_elsewhere_is_no_longer_the_providers_to_open() {
    let stage = Stage::set("link_by_identifier = true", "").await;
    stage.sign_in(&mut Browser::default(), &plain(), "anna", &json!({"licence": "4711"})).await.code();
    sqlx::query("update user_account set tenant = 8 where name = 'julie'")
        .execute(&stage.server.db.pool)
        .await
        .unwrap();
    stage.sign_in(&mut Browser::default(), &plain(), "anna", &json!({"licence": "4711"})).await.expect(403);
}

#[tokio::test]
async fn claims_that_are_not_in_the_id_token_come_from_user_info_of_the_same_subject() {
    let stage = Stage::set("create_users = true\nfhir_user_claim = \"fhir\"", "").await;
    let lacking = json!({"licence": null, "name": null});
    for (told, is_good) in [
        (json!({"sub": "anna", "licence": "L-9", "name": "Dr Anna", "fhir": "Practitioner/anna"}), true),
        (json!({"sub": "eve", "licence": "L-9", "name": "Dr Anna"}), false),
        (json!({"licence": "L-9"}), false),
        (json!([]), false),
        (Value::Null, false),
    ] {
        stage.up.tell(told.clone());
        let mut browser = Browser::default();
        let answer = stage.sign_in(&mut browser, &plain(), "anna", &lacking).await;
        assert_eq!((answer.status == 303, has_session(&browser)), (is_good, is_good), "{told}: {}", answer.text);
    }
    let anna = stage.user("anna").await;
    assert_eq!(anna.identifiers, [("urn:licence".to_owned(), "L-9".to_owned())]);
    assert_eq!(anna.fhir_user.as_deref(), Some("Practitioner/anna"));
    // What is signed counts, and what is no person is nobody's.
    stage.up.tell(json!({"sub": "bert", "licence": "L-0", "fhir": "Device/1"}));
    stage.sign_in(&mut Browser::default(), &plain(), "bert", &json!({})).await.code();
    let bert = stage.user("bert").await;
    assert_eq!((bert.identifiers[0].1.as_str(), bert.fhir_user), ("L-bert", None));
}

#[tokio::test]
async fn without_leave_to_make_accounts_strangers_stay_out_in_both_languages() {
    let stage = Stage::set("", "").await;
    for (language, told, button) in [
        ("en", "you have no account here", "Sign in with The Clinic"),
        ("fr", "vous n’avez pas de compte ici", "Se connecter avec La Clinique"),
    ] {
        let mut browser = Browser { language, ..Browser::default() };
        let page = stage.sign_in(&mut browser, &plain(), "anna", &json!({})).await.expect(403);
        assert!(page.text.contains(told) && page.text.contains(button), "{}", page.text);
        assert!(!has_session(&browser));
    }
    assert_eq!(stage.server.audited("login", "refused").await, 1, "counted, not written each time");
}

#[tokio::test]
async fn where_a_provider_is_exclusive_no_password_opens_its_peoples_accounts() {
    let stage = Stage::set("exclusive = true\nlink_by_identifier = true", "").await;
    let (launch, _) = stage.server.launch(|_| {}).await;
    let mut browser = Browser::default();
    let page = browser.authorize(&stage.server, &launching(&launch)).await.expect(200);
    assert!(!page.text.contains("type=\"password\"") && page.text.contains("Sign in with The Clinic"), "{}", page.text);
    browser.fill_in(&stage.server, &page, "julie", PASSWORD).await.expect(403);
    let open = browser.authorize(&stage.server, &plain()).await.expect(200);
    assert!(open.text.contains("type=\"password\""), "others have passwords");
    browser.fill_in(&stage.server, &open, "julie", PASSWORD).await.expect(403);
    assert!(!has_session(&browser));
    let open = browser.authorize(&stage.server, &plain()).await.expect(200);
    browser.fill_in(&stage.server, &open, "guest", PASSWORD).await.code();
    stage.sign_in(&mut Browser::default(), &launching(&launch), "anna", &json!({"licence": "4711"})).await.code();
}

#[tokio::test]
async fn a_form_offers_the_providers_of_the_launching_organisation() {
    let second =
        "[[federation.providers]]\nid = \"second\"\nissuer = \"http://127.0.0.1:1\"\nclient_id = \"x\"\ntenants = [8]";
    let stage = Stage::set("create_users = true\nemail_domains = [\"clinic.example\"]", second).await;
    let (launch, _) = stage.server.launch(|_| {}).await;
    let mut browser = Browser::default();
    let page = browser.authorize(&stage.server, &launching(&launch)).await.expect(200);
    assert!(page.text.contains("value=\"up\"") && !page.text.contains("value=\"second\""), "{}", page.text);
    let token = form_token(&page);
    let elsewhere = [("request", token.as_str()), ("provider", "second")];
    browser.post(&stage.server, "/login-with", &elsewhere).await.expect(400);
    let all = browser.authorize(&stage.server, &plain()).await.expect(200);
    assert!(all.text.contains("value=\"up\"") && all.text.contains("value=\"second\""));

    let typed = browser.fill_in(&stage.server, &all, "Anna@Clinic.Example", "whatever").await.expect(200);
    let url = link(&typed);
    assert_eq!(parameter(&url, "login_hint"), "Anna@Clinic.Example");
    let back = stage.back(&url, &stage.claims(&url, "anna", &json!({})), Signed::Well);
    browser.get(&stage.server, &back).await.code();
    let page = Browser::default().authorize(&stage.server, &plain()).await.expect(200);
    let mut other = Browser::default();
    let page_of_other = other.authorize(&stage.server, &plain()).await.expect(200);
    other.fill_in(&stage.server, &page_of_other, "anna@elsewhere.example", "whatever").await.expect(403);
    assert!(page.text.contains("type=\"password\""));
}

#[tokio::test]
async fn keys_are_fetched_again_for_an_unknown_one_once_a_minute() {
    let stage = Stage::open().await;
    stage.sign_in(&mut Browser::default(), &plain(), "anna", &json!({})).await.code();
    stage.up.rotate("up-2");
    stage.sign_in(&mut Browser::default(), &plain(), "anna", &json!({})).await.expect(403);
    assert_eq!(stage.up.count("jwks"), 1, "it was fetched less than a minute ago");
    stage.server.clock.advance(Duration::from_secs(60));
    stage.sign_in(&mut Browser::default(), &plain(), "anna", &json!({})).await.code();
    assert_eq!(stage.up.count("jwks"), 2);
    for _ in 0..3 {
        let mut browser = Browser::default();
        let url = stage.depart(&mut browser, &plain()).await;
        let back = stage.back(&url, &stage.claims(&url, "eve", &json!({})), Signed::ByAnother);
        browser.get(&stage.server, &back).await.expect(403);
    }
    assert_eq!(stage.up.count("jwks"), 2, "a wrong signature fetches nothing");
}

#[tokio::test]
async fn while_a_provider_is_down_others_get_in() {
    let stage = Stage::open().await;
    stage.up.go_down(true);
    let mut browser = Browser::default();
    for _ in 0..3 {
        let page = browser.authorize(&stage.server, &plain()).await.expect(200);
        let token = form_token(&page);
        let fields = [("request", token.as_str()), ("provider", "up")];
        let down = browser.post(&stage.server, "/login-with", &fields).await.expect(503);
        assert!(down.text.contains("cannot be reached"), "{}", down.text);
    }
    assert_eq!(stage.up.count("metadata"), 1, "it is left alone for a while");
    let page = browser.authorize(&stage.server, &plain()).await.expect(200);
    browser.fill_in(&stage.server, &page, "julie", PASSWORD).await.code();
    stage.up.go_down(false);
    stage.server.clock.advance(Duration::from_secs(10));
    stage.sign_in(&mut Browser::default(), &plain(), "anna", &json!({})).await.code();
    stage.up.go_down(true);
    stage.server.clock.advance(Duration::from_secs(700));
    stage.depart(&mut Browser::default(), &plain()).await;
    stage.server.clock.advance(Duration::from_secs(3600));
    let mut late = Browser::default();
    let page = late.authorize(&stage.server, &plain()).await.expect(200);
    let token = form_token(&page);
    let fields = [("request", token.as_str()), ("provider", "up")];
    late.post(&stage.server, "/login-with", &fields).await.expect(503);
}

#[tokio::test]
async fn a_provider_with_a_false_issuer_or_a_dangerous_address_is_not_used() {
    for (member, value) in [
        ("issuer", json!("https://evil.example")),
        ("authorization_endpoint", json!("file:///etc/passwd")),
        ("authorization_endpoint", json!("javascript:alert(1)")),
        ("jwks_uri", json!("file:///etc/passwd")),
        ("token_endpoint", json!("nonsense")),
    ] {
        let stage = Stage::open().await;
        stage.up.publish(member, value.clone());
        let mut browser = Browser::default();
        let page = browser.authorize(&stage.server, &plain()).await.expect(200);
        let token = form_token(&page);
        let fields = [("request", token.as_str()), ("provider", "up")];
        let refused = browser.post(&stage.server, "/login-with", &fields).await.expect(503);
        assert!(!refused.text.contains("refresh"), "{member}: {value}");
    }
}

#[tokio::test]
async fn a_sign_in_that_must_be_new_is_new_there_too() {
    let stage = Stage::open().await;
    let anew = with(&plain(), &[("prompt", "login")]);
    let mut browser = Browser::default();
    let url = stage.depart(&mut browser, &anew).await;
    assert_eq!(parameter(&url, "prompt"), "login");
    let old = stage.server.clock.now().unix_timestamp() - 3600;
    let back = stage.back(&url, &stage.claims(&url, "anna", &json!({ "auth_time": old })), Signed::Well);
    browser.get(&stage.server, &back).await.expect(403);
    stage.sign_in(&mut browser, &anew, "anna", &json!({})).await.code();
}

#[tokio::test]
async fn whoever_was_still_signed_in_there_is_asked_before_owning_a_launch() {
    let stage = Stage::open().await;
    let old = stage.server.clock.now().unix_timestamp() - 3600;
    for changes in [json!({ "auth_time": old }), json!({ "auth_time": null })] {
        let (launch, _) = stage.server.launch(|_| {}).await;
        let mut browser = Browser::default();
        let page = stage.sign_in(&mut browser, &launching(&launch), "anna", &changes).await.expect(200);
        assert!(page.text.contains("value=\"continue\"") && page.text.contains("Dr anna"), "{}", page.text);
        let token = form_token(&page);
        let fields = [("request", token.as_str()), ("action", "continue")];
        browser.post(&stage.server, "/continue", &fields).await.code();
    }
    let (launch, _) = stage.server.launch(|_| {}).await;
    stage.sign_in(&mut Browser::default(), &launching(&launch), "anna", &json!({})).await.code();
}

#[tokio::test]
async fn a_launch_is_its_owners_in_all_three_ways_for_people_from_upstream_too() {
    let stage = Stage::set("create_users = true\nfhir_user_claim = \"fhir\"", "").await;
    let server = &stage.server;
    for subject in ["anna", "bert"] {
        stage.up.tell(json!({"sub": subject, "fhir": format!("Practitioner/{subject}")}));
        stage.sign_in(&mut Browser::default(), &plain(), subject, &json!({})).await.code();
    }
    let anna = stage.user("anna").await.id;
    let by = async |launch: &str, subject: &str| {
        stage.up.tell(json!({"sub": subject, "fhir": format!("Practitioner/{subject}")}));
        stage.sign_in(&mut Browser::default(), &launching(launch), subject, &json!({})).await
    };
    // The user for whom the point-of-care system called.
    let (called, _) = server.launch(|context| context.owner_user = Some(anna)).await;
    // The person named by the launch: by a licence, and by the very resource.
    let (named, _) = server
        .launch(|context| {
            context.owner_named = true;
            context.owner_identifiers = vec![("urn:licence".into(), "L-anna".into())];
        })
        .await;
    let (linked, _) = server
        .launch(|context| {
            context.owner_named = true;
            context.fhir_user = Some("Practitioner/anna".into());
        })
        .await;
    for launch in [&called, &named, &linked] {
        assert_eq!(by(launch, "bert").await.back_error(), "access_denied");
        by(launch, "anna").await.code();
        by(launch, "anna").await.code();
    }
    // The first who completes it, for good, and of the same organisation.
    let (first, _) = server.launch(|_| {}).await;
    by(&first, "anna").await.code();
    assert_eq!(by(&first, "bert").await.back_error(), "access_denied");
    let (elsewhere, _) = server.launch(|context| context.tenant = 8).await;
    let mut browser = Browser::default();
    let page = browser.authorize(server, &launching(&elsewhere)).await.expect(200);
    assert!(!page.text.contains("value=\"up\""), "it is not offered for another organisation's launch");
    stage.up.tell(json!({"sub": "anna", "fhir": "Practitioner/anna"}));
    stage.sign_in(&mut browser, &plain(), "anna", &json!({})).await.code();
    let silent = with(&launching(&elsewhere), &[("prompt", "none")]);
    assert_eq!(browser.authorize(server, &silent).await.back_error(), "access_denied");
}

#[tokio::test]
async fn a_way_of_signing_in_that_is_not_good_enough_lets_nobody_in() {
    let stage = Stage::set("create_users = true\nrequire_amr = [\"mfa\", \"hwk\"]", "").await;
    for amr in [Value::Null, json!([]), json!(["pwd"]), json!("mfa")] {
        let mut browser = Browser::default();
        stage.sign_in(&mut browser, &plain(), "anna", &json!({ "amr": amr })).await.expect(403);
        assert!(!has_session(&browser), "{amr}");
    }
    stage.sign_in(&mut Browser::default(), &plain(), "anna", &json!({"amr": ["pwd", "mfa"]})).await.code();
}

#[tokio::test]
async fn signing_out_here_goes_on_to_the_provider_and_comes_back() {
    let stage = Stage::open().await;
    let out = "https://app.example/out";
    let leaver =
        Client { post_logout_redirect_uris: vec![out.into()], ..client("leaver", Role::App, AuthMethod::None) };
    stage.server.write(async |tx, now| store::client::insert(tx, &leaver, now).await).await;
    let mut browser = Browser::default();
    let request = with(&authorization("leaver"), &[("scope", "openid")]);
    let url = stage.depart(&mut browser, &request).await;
    let upstream_token = stage.up.sign("JWT", &stage.claims(&url, "anna", &json!({})), Signed::Well);
    let answer = json!({"access_token": "upstream access", "token_type": "Bearer", "id_token": upstream_token});
    let code = stage.up.code_for(&url, answer);
    let back = callback(&[("code", &code), ("state", &parameter(&url, "state")), ("iss", &stage.up.issuer)]);
    let code = browser.get(&stage.server, &back).await.code();
    let tokens = stage.server.exchange("leaver", &code).await.expect(200).json();
    let hint = tokens["id_token"].as_str().unwrap();
    let ask = [("id_token_hint", hint), ("post_logout_redirect_uri", out), ("state", "s")];
    let page = browser.get(&stage.server, &format!("/logout?{}", encode(&ask))).await.expect(200);
    assert!(!has_session(&browser), "signed out here before anything else");
    let there = link(&page);
    assert_eq!(there.as_str().split('?').next().unwrap(), format!("{}/end", stage.up.issuer));
    assert_eq!(parameter(&there, "id_token_hint"), upstream_token);
    assert_eq!(parameter(&there, "client_id"), CLIENT);
    assert_eq!(parameter(&there, "post_logout_redirect_uri"), "https://sofa.example/signed-out");
    let state = parameter(&there, "state");
    let back = format!("/signed-out?{}", encode(&[("state", &state)]));
    let stranger = Browser::default().get(&stage.server, &back).await.expect(200);
    assert!(stranger.text.contains("You are signed out") && stranger.header("location").is_empty());
    let answer = browser.get(&stage.server, &back).await.expect(303);
    assert_eq!(answer.header("location"), format!("{out}?state=s"));
    browser.get(&stage.server, &back).await.expect(200);
    browser.get(&stage.server, "/signed-out").await.expect(200);
    // Such a state is not one of a sign-in.
    browser.get(&stage.server, &callback(&[("code", "x"), ("state", &state)])).await.expect(400);

    stage.up.publish("end_session_endpoint", Value::Null);
    stage.server.clock.advance(Duration::from_secs(600));
    let code = stage.sign_in(&mut browser, &request, "anna", &json!({})).await.code();
    let tokens = stage.server.exchange("leaver", &code).await.expect(200).json();
    let ask = [("id_token_hint", tokens["id_token"].as_str().unwrap()), ("post_logout_redirect_uri", out)];
    let answer = browser.get(&stage.server, &format!("/logout?{}", encode(&ask))).await.expect(303);
    assert_eq!(answer.header("location"), out);
}

/// The claims of a good logout token, changed by `changes` (null takes one away).
fn logout_claims(stage: &Stage, changes: &Value) -> Value {
    let now = stage.server.clock.now().unix_timestamp();
    let mut claims = json!({
        "iss": stage.up.issuer, "aud": CLIENT, "iat": now, "exp": now + 120, "jti": random_token(), "sub": "anna",
        "sid": "sid-anna", "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => {
                claims.as_object_mut().unwrap().remove(name);
            }
            value => claims[name] = value.clone(),
        }
    }
    claims
}

async fn say(stage: &Stage, token: &str) -> Answer {
    stage.server.post("/backchannel-logout-up", &[("logout_token", token)], &[]).await
}

async fn is_signed_in(stage: &Stage, browser: &mut Browser) -> bool {
    let request = with(&authorization("app"), &[("scope", "openid"), ("prompt", "none")]);
    browser.authorize(&stage.server, &request).await.back().contains_key("code")
}

#[tokio::test]
async fn a_logout_upstream_ends_the_sessions_that_began_there() {
    let stage = Stage::open().await;
    let (mut first, mut second, mut other) = (Browser::default(), Browser::default(), Browser::default());
    let (launch, _) = stage.server.launch(|_| {}).await;
    let request = with(&launching(&launch), &[("scope", "launch openid online_access patient/*.rs")]);
    let code = stage.sign_in(&mut first, &request, "anna", &json!({"sid": "one"})).await.code();
    let tokens = stage.server.exchange("app", &code).await.expect(200).json();
    stage.sign_in(&mut second, &plain(), "anna", &json!({"sid": "two"})).await.code();
    stage.sign_in(&mut other, &plain(), "bert", &json!({"sid": "three"})).await.code();
    let mut local = Browser::default();
    local.sign_in(&stage.server, &plain(), "julie", PASSWORD).await.code();
    let token = stage.up.sign("logout+jwt", &logout_claims(&stage, &json!({"sid": "one"})), Signed::Well);
    say(&stage, &token).await.expect(200);
    assert!(!is_signed_in(&stage, &mut first).await && is_signed_in(&stage, &mut second).await);
    assert!(!stage.server.is_alive(tokens["access_token"].as_str().unwrap()).await);
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
    stage.server.token(&refresh).await.refused(400, "invalid_grant");
    say(&stage, &token).await.refused(400, "invalid_request");
    stage.sign_in(&mut first, &plain(), "anna", &json!({"sid": "four"})).await.code();
    let all = stage.up.sign("JWT", &logout_claims(&stage, &json!({"sid": null})), Signed::Well);
    say(&stage, &all).await.expect(200);
    assert!(!is_signed_in(&stage, &mut first).await && !is_signed_in(&stage, &mut second).await);
    assert!(is_signed_in(&stage, &mut other).await && is_signed_in(&stage, &mut local).await);
    let by_sid =
        stage.up.sign("logout+jwt", &logout_claims(&stage, &json!({"sub": null, "sid": "three"})), Signed::Well);
    say(&stage, &by_sid).await.expect(200);
    assert!(!is_signed_in(&stage, &mut other).await && is_signed_in(&stage, &mut local).await);
}

#[tokio::test]
async fn nothing_but_a_whole_logout_token_ends_a_session() {
    let stage = Stage::open().await;
    let mut browser = Browser::default();
    let url = stage.depart(&mut browser, &plain()).await;
    let id_claims = stage.claims(&url, "anna", &json!({}));
    let back = stage.back(&url, &id_claims, Signed::Well);
    browser.get(&stage.server, &back).await.code();
    let now = stage.server.clock.now().unix_timestamp();
    let good = json!({});
    let event = "http://schemas.openid.net/event/backchannel-logout";
    for (what, typ, changes, signed) in [
        ("another issuer", "logout+jwt", json!({"iss": "https://evil.example"}), Signed::Well),
        ("another audience", "logout+jwt", json!({"aud": "another client"}), Signed::Well),
        ("another audience too", "logout+jwt", json!({"aud": [CLIENT, "another client"]}), Signed::Well),
        ("too old", "logout+jwt", json!({"iat": now - 400, "exp": null}), Signed::Well),
        ("expired", "logout+jwt", json!({"exp": now - 61}), Signed::Well),
        ("of a time to come", "logout+jwt", json!({"iat": now + 120}), Signed::Well),
        ("no time", "logout+jwt", json!({"iat": null}), Signed::Well),
        ("no events", "logout+jwt", json!({"events": null}), Signed::Well),
        ("another event", "logout+jwt", json!({"events": {"urn:x": {}}}), Signed::Well),
        ("an event that is no object", "logout+jwt", json!({"events": {event: true}}), Signed::Well),
        ("a nonce", "logout+jwt", json!({"nonce": "n"}), Signed::Well),
        ("nobody", "logout+jwt", json!({"sub": null, "sid": null}), Signed::Well),
        ("no jti", "logout+jwt", json!({"jti": null}), Signed::Well),
        ("another type", "at+jwt", good.clone(), Signed::Well),
        ("another key", "logout+jwt", good.clone(), Signed::ByAnother),
        ("a broken signature", "logout+jwt", good.clone(), Signed::Broken),
        ("the shared secret", "logout+jwt", good.clone(), Signed::WithSecret),
        ("no signature", "logout+jwt", good.clone(), Signed::Not),
    ] {
        let token = stage.up.sign(typ, &logout_claims(&stage, &changes), signed);
        say(&stage, &token).await.refused(400, "invalid_request");
        assert!(is_signed_in(&stage, &mut browser).await, "{what}");
    }
    let id_token = stage.up.sign("JWT", &id_claims, Signed::Well);
    for token in ["nonsense", "a.b.c", "", &id_token] {
        say(&stage, token).await.refused(400, "invalid_request");
    }
    stage.server.post("/backchannel-logout-nobody", &[("logout_token", "x")], &[]).await.expect(404);
    assert!(is_signed_in(&stage, &mut browser).await);
}

#[tokio::test]
async fn people_from_upstream_are_not_asked_for_a_second_factor_of_ours() {
    let stage = Stage::set("create_users = true", "[accounts]\nsecond_factor = \"required\"").await;
    stage.sign_in(&mut Browser::default(), &plain(), "anna", &json!({})).await.code();
    let page = Browser::default().sign_in(&stage.server, &plain(), "julie", PASSWORD).await.expect(200);
    assert!(page.text.contains("action=\"enrol\""), "{}", page.text);
}
