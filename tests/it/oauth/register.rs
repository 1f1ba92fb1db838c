//! Clients that register themselves (RFC 7591).

use sofa::store::initial_token::{self, InitialToken};

use super::*;
use crate::support::key::Key;

const ON: &str = "[registry]\ndynamic = true\n";

/// Leave to register, as a token.
async fn leave(server: &Oauth, role: Role, uses_left: i32) -> String {
    let (token, now) = (random_token(), server.clock.now());
    let allowed = InitialToken {
        label: token.clone(),
        role,
        tenant: if role == Role::Poc { 7 } else { 0 },
        uses_left,
        created_at: now,
        expires_at: now + Duration::from_secs(3600),
    };
    server.write(async |tx, _| initial_token::insert(tx, &token_digest(&token), &allowed).await).await;
    token
}

async fn register(server: &Oauth, token: &str, metadata: &Value) -> Answer {
    let request = Request::post("/register")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, format!("Bearer {token}"));
    server.send(request.body(Body::from(metadata.to_string())).unwrap()).await
}

#[track_caller]
fn refused(answer: Answer, status: u16, error: &str) -> Answer {
    let answer = answer.expect(status);
    assert_eq!(answer.json()["error"], error, "{}", answer.text);
    let description = answer.json()["error_description"].as_str().unwrap().to_owned();
    assert!(description.is_ascii() && !description.contains(['"', '\\', '\n']), "{description}");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("www-authenticate").starts_with("Bearer "), status == 401);
    answer
}

/// Agrees to everything on the consent page.
async fn agree(server: &Oauth, browser: &mut Browser, page: &Answer) -> Answer {
    assert!(page.status == 200 && page.text.contains("action=\"consent\""), "{}", page.text);
    let token = form_token(page);
    let boxes = page.text.split("<input type=\"checkbox\"").skip(1).map(|rest| rest.split('>').next().unwrap());
    let scopes: Vec<&str> = boxes.map(|tag| tag.split("value=\"").nth(1).unwrap().split('"').next().unwrap()).collect();
    let mut fields = vec![("request", token.as_str()), ("action", "allow")];
    fields.extend(scopes.iter().map(|scope| ("scope", *scope)));
    browser.post(server, "/consent", &fields).await
}

fn app() -> Value {
    json!({"client_name": "Growth", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none"})
}

fn changed(name: &str, value: Value) -> Value {
    let mut metadata = app();
    metadata[name] = value;
    metadata
}

#[tokio::test]
async fn a_public_app_registers_itself_and_is_launched() {
    let server = Oauth::start_with(ON).await;
    let token = leave(&server, Role::App, 1).await;
    let answer = register(&server, &token, &changed("logo_uri", json!("https://app.example/logo"))).await.expect(201);
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
    let told = answer.json();
    let client_id = told["client_id"].as_str().unwrap();
    assert!(client_id.starts_with("dyn-") && told.get("client_secret").is_none() && told.get("logo_uri").is_none());
    assert_eq!(told["client_id_issued_at"], server.clock.now().unix_timestamp());
    assert_eq!(
        (&told["redirect_uris"], &told["grant_types"]),
        (&json!([REDIRECT]), &json!(["authorization_code", "refresh_token"]))
    );
    assert_eq!(told["scope"], sofa::config::Config::for_tests("").registry.dynamic_scope);
    let (launch, _) = server.launch(|_| {}).await;
    let request = [("launch", launch.as_str()), ("scope", "launch patient/*.cruds user/*.rs")];
    let mut browser = Browser::default();
    let page = browser.sign_in(&server, &with(&authorization(client_id), &request), "julie", PASSWORD).await;
    let code = agree(&server, &mut browser, &page).await.code();
    let reply = server.exchange(client_id, &code).await.expect(200).json();
    assert_eq!(reply["scope"], "launch patient/*.rs", "no more than the operator allows");
    assert_eq!(server.audited("client-add", "success").await, 1);
}

#[tokio::test]
async fn each_way_of_proof_can_be_registered() {
    let server = Oauth::start_with(ON).await;
    let (app_leave, service_leave) = (leave(&server, Role::App, 9).await, leave(&server, Role::Service, 9).await);
    let mut usual = app();
    usual.as_object_mut().unwrap().remove("token_endpoint_auth_method");
    let told = register(&server, &app_leave, &usual).await.expect(201).json();
    assert_eq!(told["token_endpoint_auth_method"], "client_secret_basic", "what the standard takes for granted");
    assert_eq!(told["client_secret_expires_at"], 0);
    let header = basic(told["client_id"].as_str().unwrap(), told["client_secret"].as_str().unwrap());
    server.post("/introspect", &[("token", "x")], &[("authorization", &header)]).await.expect(200);

    let key = Key::rs384("rsa");
    let mut set = key.jwks.clone();
    set["keys"][0]["x5t"] = json!("a\0b");
    let metadata =
        json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": set, "grant_types": ["client_credentials"]});
    let told = register(&server, &service_leave, &metadata).await.expect(201).json();
    assert_eq!((&told["jwks"], &told["response_types"]), (&key.jwks, &json!([])));
    let assertion = key.assertion(told["client_id"].as_str().unwrap(), &format!("{ISSUER}/token"), server.clock.now());
    let fields = [vec![("grant_type", "client_credentials"), ("scope", "system/*.rs")], signed(&assertion).to_vec()];
    server.token(&fields.concat()).await.expect(200);
    let by_url = json!({"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://lab.example/jwks"});
    let told = register(&server, &service_leave, &by_url).await.expect(201).json();
    assert_eq!(told["jwks_uri"], "https://lab.example/jwks");
}

#[tokio::test]
async fn nobody_registers_without_leave() {
    let server = Oauth::start_with(ON).await;
    let once = leave(&server, Role::App, 1).await;
    refused(register(&server, "nonsense", &app()).await, 401, "invalid_token");
    refused(register(&server, "nonsense", &json!([])).await, 401, "invalid_token");
    let request = Request::post("/register").header(header::CONTENT_TYPE, "application/json");
    let none = server.send(request.body(Body::from(app().to_string())).unwrap()).await;
    refused(none, 401, "invalid_token");
    let access = server.tokens("launch patient/*.rs").await["access_token"].as_str().unwrap().to_owned();
    refused(register(&server, &access, &app()).await, 401, "invalid_token");
    refused(register(&server, &once, &changed("client_name", json!(""))).await, 400, "invalid_client_metadata");
    register(&server, &once, &app()).await.expect(201);
    refused(register(&server, &once, &app()).await, 401, "invalid_token");
    let late = leave(&server, Role::App, 1).await;
    server.clock.advance(Duration::from_secs(3600));
    refused(register(&server, &late, &app()).await, 401, "invalid_token");
    let dynamic = "select count(*) from client where source = 'dynamic'";
    assert_eq!(sqlx::query_scalar::<_, i64>(dynamic).fetch_one(&server.db.pool).await.unwrap(), 1);
}

#[tokio::test]
async fn metadata_that_cannot_be_kept_to_are_refused_and_cost_nothing() {
    let server = Oauth::start_with(ON).await;
    let token = leave(&server, Role::App, 1).await;
    let private = json!({"keys": [{"kty": "oct", "kid": "1", "k": "x"}]});
    let signing = |name: &str, value: Value| {
        let mut metadata = changed("token_endpoint_auth_method", json!("private_key_jwt"));
        metadata[name] = value;
        metadata
    };
    for (metadata, error) in [
        (changed("redirect_uris", json!([])), "invalid_redirect_uri"),
        (changed("redirect_uris", json!(["http://app.example/cb"])), "invalid_redirect_uri"),
        (changed("redirect_uris", json!(["https://app.example/cb#é\"\\"])), "invalid_redirect_uri"),
        (changed("redirect_uris", json!(["http://127.0.0.1:*"])), "invalid_redirect_uri"),
        (changed("redirect_uris", json!(["com.evil.app://hospital.example/cb"])), "invalid_redirect_uri"),
        (changed("redirect_uris", json!("https://app.example/cb")), "invalid_client_metadata"),
        (changed("redirect_uris", json!(vec![REDIRECT; 21])), "invalid_client_metadata"),
        (changed("token_endpoint_auth_method", json!("client_secret_post")), "invalid_client_metadata"),
        (changed("grant_types", json!(["client_credentials"])), "invalid_client_metadata"),
        (changed("grant_types", json!(["implicit"])), "invalid_client_metadata"),
        (changed("response_types", json!(["token"])), "invalid_client_metadata"),
        (changed("client_name", json!("a\0b")), "invalid_client_metadata"),
        (changed("client_name", json!("Growth\u{202e}")), "invalid_client_metadata"),
        (changed("client_name", json!("Gro\u{200b}wth")), "invalid_client_metadata"),
        (changed("client_name", json!("Growth\u{2028}")), "invalid_client_metadata"),
        (changed("client_name", json!("Growth (hospital.example)")), "invalid_client_metadata"),
        (changed("scope", json!("system/*.rs")), "invalid_client_metadata"),
        (changed("scope", json!("patient/Observation.rs?bogus=1 patient/*.rs?_tag=x")), "invalid_client_metadata"),
        (changed("software_statement", json!("a.b.c")), "unapproved_software_statement"),
        (changed("jwks", json!({"keys": []})), "invalid_client_metadata"),
        (changed("initiate_login_uri", json!("http://app.example/launch")), "invalid_client_metadata"),
        (changed("backchannel_logout_uri", json!("https://10.0.0.1/")), "invalid_client_metadata"),
        (signing("jwks", private), "invalid_client_metadata"),
        (signing("jwks_uri", json!("https://127.0.0.1/jwks")), "invalid_client_metadata"),
        (signing("jwks_uri", json!("http://app.example/jwks")), "invalid_client_metadata"),
        (signing("jwks_uri", json!("ftp://app.example/jwks")), "invalid_client_metadata"),
        (json!([]), "invalid_client_metadata"),
        (json!("nonsense"), "invalid_client_metadata"),
        (changed("client_name", json!("x".repeat(70_000))), "invalid_client_metadata"),
    ] {
        refused(register(&server, &token, &metadata).await, 400, error);
    }
    let form = Request::post("/register").header(header::AUTHORIZATION, format!("Bearer {token}"));
    let form = form.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    refused(server.send(form.body(Body::from("client_name=x")).unwrap()).await, 400, "invalid_client_metadata");
    register(&server, &token, &app()).await.expect(201);
}

#[tokio::test]
async fn an_app_that_nobody_vetted_cannot_make_this_server_redirect_before_a_person_acts() {
    let server = Oauth::start_with(ON).await;
    let token = leave(&server, Role::App, 1).await;
    let client_id =
        register(&server, &token, &app()).await.expect(201).json()["client_id"].as_str().unwrap().to_owned();
    let request = with(&authorization(&client_id), &[("scope", "openid")]);
    for change in
        [("response_type", "token"), ("aud", "https://evil.example"), ("scope", "nonsense"), ("prompt", "none")]
    {
        let mut browser = Browser::default();
        let page = browser.authorize(&server, &with(&request, &[change])).await.expect(400);
        assert!(page.header("location").is_empty() && page.text.contains("What the app asks for"), "{}", page.text);
        let vetted = browser.authorize(&server, &with(&request, &[change, ("client_id", "app")])).await;
        assert_eq!(vetted.status, 303, "{change:?}");
    }
    assert!(server.audited("authorize", "refused").await >= 4);
    let mut browser = Browser::default();
    let page = browser.authorize(&server, &request).await.expect(200);
    assert!(page.text.contains("Growth (app.example)"), "{}", page.text);
    let again = browser.fill_in(&server, &page, "julie", "wrong").await.expect(403);
    assert!(again.text.contains("Growth (app.example)"), "{}", again.text);
    let page = browser.fill_in(&server, &page, "julie", PASSWORD).await;
    assert!(page.text.contains("Growth (app.example)"), "{}", page.text);
    agree(&server, &mut browser, &page).await.code();
    // Signed in: the person is asked again, nothing is sent back in silence.
    let page = browser.authorize(&server, &request).await;
    agree(&server, &mut browser, &page).await.code();
}

#[tokio::test]
async fn a_point_of_care_system_that_nobody_vetted_asks_each_time() {
    let server = Oauth::start_with(ON).await;
    let token = leave(&server, Role::Poc, 1).await;
    let mut metadata = app();
    metadata.as_object_mut().unwrap().remove("token_endpoint_auth_method");
    let told = register(&server, &token, &metadata).await.expect(201).json();
    assert_eq!(told["grant_types"], json!(["authorization_code", "refresh_token"]), "it has a secret: it cannot sign");
    let client_id = told["client_id"].as_str().unwrap();
    sqlx::query("update user_account set tenant = 0 where name = 'max'").execute(&server.db.pool).await.unwrap();
    for name in ["julie", "max"] {
        let mut browser = Browser::default();
        let openid = with(&authorization("app"), &[("scope", "openid")]);
        browser.sign_in(&server, &openid, name, PASSWORD).await.code();
        let request = with(&authorization(client_id), &[("scope", "Context.write")]);
        for _ in 0..2 {
            let page = browser.authorize(&server, &request).await.expect(200);
            assert!(page.text.contains("Growth (app.example)"), "{}", page.text);
            agree(&server, &mut browser, &page).await.code();
        }
    }
}

#[tokio::test]
async fn a_grant_type_that_its_proof_does_not_allow_is_not_registered() {
    let server = Oauth::start_with(ON).await;
    let token = leave(&server, Role::Poc, 1).await;
    let asked = changed("grant_types", json!(["client_credentials"]));
    for method in [json!("client_secret_basic"), Value::Null] {
        let mut metadata = asked.clone();
        metadata["token_endpoint_auth_method"] = method;
        refused(register(&server, &token, &metadata).await, 400, "invalid_client_metadata");
    }
    let mut signing = asked;
    signing["token_endpoint_auth_method"] = json!("private_key_jwt");
    signing["jwks"] = json!({ "keys": [CLIENT_KEY.1] });
    let told = register(&server, &token, &signing).await.expect(201).json();
    let client_id = told["client_id"].as_str().unwrap();
    assert!(told["grant_types"].as_array().unwrap().contains(&json!("client_credentials")), "{told}");
    let proof = assertion(&server, client_id, &json!({}));
    let fields = [vec![("grant_type", "client_credentials"), ("scope", "system/*.rs")], signed(&proof).to_vec()];
    server.token(&fields.concat()).await.expect(200);
}

#[tokio::test]
async fn registration_is_advertised_if_and_only_if_it_works() {
    for (rules, on) in [("", false), (ON, true)] {
        let server = Oauth::start_with(rules).await;
        let status = register(&server, "nonsense", &app()).await.status;
        assert_eq!(status, if on { 401 } else { 404 });
        for path in ["/.well-known/openid-configuration", "/fhir/.well-known/smart-configuration"] {
            let document = server.get(path).await.expect(200).json();
            let expected = if on { json!(format!("{ISSUER}/register")) } else { Value::Null };
            assert_eq!(document.get("registration_endpoint").cloned().unwrap_or_default(), expected, "{path}");
        }
    }
}
