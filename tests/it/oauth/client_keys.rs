//! Clients that sign with RS384 and ES384, with keys given at registration or published at an address of their own.

use sofa::oauth::{OauthState, router};

use super::*;
use crate::support::key::Key;
use crate::support::key_server::{KeyServer, Says};

/// Keys may be fetched from this machine.
const LOCAL: &str = "[registry]\nallow_http = true\nallow_private_addresses = true\nfetch_timeout = \"300ms\"\n";

static KEY: LazyLock<Key> = LazyLock::new(|| Key::es384("first"));
static NEXT: LazyLock<Key> = LazyLock::new(|| Key::es384("second"));
static RSA: LazyLock<Key> = LazyLock::new(|| Key::rs384("rsa"));

/// A server and a service whose keys are at `jwks_uri`.
async fn start_with(rules: &str, jwks_uri: &str) -> Oauth {
    let server = Oauth::start_with(rules).await;
    register(&server, "remote", jwks_uri).await;
    server
}

async fn register(server: &Oauth, client_id: &str, jwks_uri: &str) {
    let usual = client(client_id, Role::Service, AuthMethod::PrivateKeyJwt);
    let client = Client { jwks: None, jwks_uri: Some(jwks_uri.to_owned()), ..usual };
    client.registration().check().unwrap();
    server.write(async |tx, now| store::client::insert(tx, &client, now).await).await;
}

async fn start(says: Says) -> (KeyServer, Oauth) {
    let keys = KeyServer::start(says).await;
    let server = start_with(LOCAL, &keys.url).await;
    (keys, server)
}

fn audience() -> String {
    format!("{ISSUER}/token")
}

fn ask(assertion: &str) -> Vec<(&str, &str)> {
    [vec![("grant_type", "client_credentials"), ("scope", "system/*.rs")], signed(assertion).to_vec()].concat()
}

/// What comes of a fresh assertion of `remote` by `key`.
async fn try_with(server: &Oauth, key: &Key) -> Answer {
    server.token(&ask(&key.assertion("remote", &audience(), server.clock.now()))).await
}

fn for_ten_minutes(keys: &[&Value]) -> Says {
    Says::keys(keys, "max-age=600")
}

#[tokio::test]
async fn rs384_and_es384_keys_work_by_value_and_by_url_for_services_and_apps() {
    let keys = KeyServer::start(for_ten_minutes(&[KEY.jwk(), RSA.jwk()])).await;
    let server = start_with(LOCAL, &keys.url).await;
    for (name, key) in [("es", &*KEY), ("rs", &*RSA)] {
        try_with(&server, key).await.expect(200);
        for (kind, jwks, jwks_uri) in [("inline", Some(key.jwks.clone()), None), ("url", None, Some(keys.url.clone()))]
        {
            let app = format!("{name}-{kind}");
            let usual = self::client(&app, Role::App, AuthMethod::PrivateKeyJwt);
            let registered = Client { jwks, jwks_uri, ..usual };
            registered.registration().check().unwrap();
            server.write(async |tx, now| store::client::insert(tx, &registered, now).await).await;
            let (launch, _) = server.launch(|_| {}).await;
            let code = server.code(&app, &launch, "launch patient/*.rs offline_access").await;
            let proof = || key.assertion(&app, &audience(), server.clock.now());
            let text = proof();
            let reply = server.token(&[exchange(&code), signed(&text).to_vec()].concat()).await.expect(200).json();
            let fields = [("grant_type", "refresh_token"), ("refresh_token", reply["refresh_token"].as_str().unwrap())];
            let text = proof();
            server.token(&[fields.to_vec(), signed(&text).to_vec()].concat()).await.expect(200);
            let (token, text) = (reply["access_token"].as_str().unwrap(), proof());
            let told =
                server.post("/introspect", &[vec![("token", token)], signed(&text).to_vec()].concat(), &[]).await;
            assert_eq!(told.expect(200).json()["active"], true, "{app}");
        }
    }
    assert_eq!(keys.count(), 1, "one address, one fetch");
}

#[tokio::test]
async fn another_rsa_key_or_another_algorithm_of_the_same_key_is_refused() {
    let (_keys, server) = start(for_ten_minutes(&[RSA.jwk()])).await;
    try_with(&server, &Key::rs384("rsa")).await.refused(401, "invalid_client");
    try_with(&server, &Key::es384("rsa")).await.refused(401, "invalid_client");
    try_with(&server, &RSA).await.expect(200);
}

#[tokio::test]
async fn keys_are_fetched_as_smart_says_and_kept_as_long_as_their_cache_control() {
    let (keys, server) = start(for_ten_minutes(&[KEY.jwk()])).await;
    try_with(&server, &KEY).await.expect(200);
    let asked = keys.asked();
    assert_eq!((asked[0].method.as_str(), &asked[0].headers["accept"]), ("GET", &"application/json".parse().unwrap()));
    server.clock.advance(Duration::from_secs(599));
    try_with(&server, &KEY).await.expect(200);
    assert_eq!(keys.count(), 1);
    keys.say(for_ten_minutes(&[NEXT.jwk()]));
    server.clock.advance(Duration::from_secs(1));
    try_with(&server, &KEY).await.refused(401, "invalid_client");
    assert_eq!(keys.count(), 2, "ten minutes are over");
    try_with(&server, &NEXT).await.expect(200);
}

#[tokio::test]
async fn what_must_not_be_kept_is_fetched_each_time() {
    for cache_control in ["no-store", "max-age=0"] {
        let (keys, server) = start(Says::keys(&[KEY.jwk()], cache_control)).await;
        for count in 1..=3 {
            try_with(&server, &KEY).await.expect(200);
            assert_eq!(keys.count(), count, "{cache_control}");
        }
    }
}

#[tokio::test]
async fn an_unknown_key_is_looked_for_once_a_minute() {
    let (keys, server) = start(for_ten_minutes(&[KEY.jwk()])).await;
    try_with(&server, &KEY).await.expect(200);
    keys.say(for_ten_minutes(&[KEY.jwk(), NEXT.jwk()]));
    try_with(&server, &NEXT).await.expect(200);
    assert_eq!(keys.count(), 2, "a new kid is looked for at once");
    let unknown = Key::es384("third");
    for _ in 0..3 {
        try_with(&server, &unknown).await.refused(401, "invalid_client");
    }
    assert_eq!(keys.count(), 2, "but not again within a minute");
    try_with(&server, &KEY).await.expect(200);
    server.clock.advance(Duration::from_secs(60));
    for _ in 0..3 {
        try_with(&server, &unknown).await.refused(401, "invalid_client");
    }
    assert_eq!(keys.count(), 3);
}

#[tokio::test]
async fn many_assertions_at_once_cost_one_fetch() {
    let (keys, server) = start(for_ten_minutes(&[KEY.jwk()])).await;
    let tries = (0..100).map(|_| try_with(&server, &KEY));
    for answer in futures_util::future::join_all(tries).await {
        answer.expect(200);
    }
    assert_eq!(keys.count(), 1);
}

#[tokio::test]
async fn replicas_share_what_one_of_them_fetched() {
    let (keys, server) = start(for_ten_minutes(&[KEY.jwk()])).await;
    try_with(&server, &KEY).await.expect(200);
    let other =
        Oauth { router: router(OauthState::new(server.engine.clone(), server.keys.clone()).unwrap()), ..server };
    try_with(&other, &KEY).await.expect(200);
    assert_eq!(keys.count(), 1);
}

#[tokio::test]
async fn a_jku_must_be_the_registered_address_and_no_other_is_ever_asked() {
    let (keys, server) = start(for_ten_minutes(&[KEY.jwk()])).await;
    let stranger = KeyServer::start(for_ten_minutes(&[KEY.jwk()])).await;
    let with_jku = |client: &str, key: &Key, jku: &str| {
        key.assertion_with(client, &audience(), server.clock.now(), |header| header.jku = Some(jku.to_owned()))
    };
    let foreign = with_jku("remote", &KEY, &stranger.url);
    server.token(&ask(&foreign)).await.refused(401, "invalid_client");
    assert_eq!((stranger.count(), keys.count()), (0, 0), "nothing is fetched for it");
    let own = with_jku("remote", &KEY, &keys.url);
    server.token(&ask(&own)).await.expect(200);
    // A client with an inline set has no address at all.
    let text = with_jku("service", &KEY, &keys.url);
    server.token(&ask(&text)).await.refused(401, "invalid_client");
    assert_eq!((stranger.count(), keys.count()), (0, 1));
}

#[tokio::test]
async fn nothing_is_fetched_for_an_assertion_that_is_wrong_anyway() {
    let (keys, server) = start(for_ten_minutes(&[KEY.jwk()])).await;
    let now = server.clock.now();
    for text in [
        KEY.assertion_with("remote", &audience(), now, |header| header.kid = None),
        KEY.assertion_with("remote", &audience(), now, |header| header.typ = Some("at+jwt".into())),
        KEY.assertion_with("remote", &audience(), now, |header| header.crit = Some(vec!["b64".into()])),
        KEY.assertion("nobody", &audience(), now),
    ] {
        server.token(&ask(&text)).await.refused(401, "invalid_client");
    }
    server.write(async |tx, now| store::client::disable(tx, "remote", now).await).await;
    try_with(&server, &KEY).await.refused(401, "invalid_client");
    assert_eq!(keys.count(), 0);
}

#[tokio::test]
async fn a_key_server_that_misbehaves_locks_nobody_but_its_client_out() {
    let huge = format!("{{\"keys\": [], \"x\": \"{}\"}}", "x".repeat(300_000));
    let elsewhere = KeyServer::start(for_ten_minutes(&[KEY.jwk()])).await;
    let redirect =
        Says::Answer { status: 302, headers: vec![("location", elsewhere.url.clone())], body: String::new() };
    let private =
        json!({"kty": "EC", "kid": "first", "crv": "P-384", "x": KEY.jwk()["x"], "y": KEY.jwk()["y"], "d": "x"});
    for (name, says) in [
        ("a redirect", redirect),
        ("an error", Says::status(500, &KEY.jwks.to_string())),
        ("nothing there", Says::status(404, "")),
        ("HTML", Says::status(200, "<html></html>")),
        ("no set", Says::status(200, "[]")),
        ("a set without keys", for_ten_minutes(&[])),
        ("only keys that cannot be used", for_ten_minutes(&[&private])),
        ("two keys of one kid", for_ten_minutes(&[KEY.jwk(), Key::es384("first").jwk()])),
        ("too much", Says::status(200, &huge)),
        ("silence", Says::Nothing),
    ] {
        let (keys, server) = start(says).await;
        let refused = try_with(&server, &KEY).await.refused(401, "invalid_client");
        assert!(!refused.text.contains("127.0.0.1"), "{name}: {}", refused.text);
        assert_eq!(keys.count(), 1, "{name}");
        let service = assertion(&server, "service", &json!({}));
        server.token(&ask(&service)).await.expect(200);
    }
    assert_eq!(elsewhere.count(), 0, "a redirect is not followed");
}

#[tokio::test]
async fn a_fetch_that_fails_is_tried_again_after_ten_seconds() {
    let (keys, server) = start(Says::status(503, "")).await;
    try_with(&server, &KEY).await.refused(401, "invalid_client");
    keys.say(for_ten_minutes(&[KEY.jwk()]));
    try_with(&server, &KEY).await.refused(401, "invalid_client");
    assert_eq!(keys.count(), 1);
    server.clock.advance(Duration::from_secs(10));
    try_with(&server, &KEY).await.expect(200);
    assert_eq!(keys.count(), 2);
}

#[tokio::test]
async fn keys_outlive_a_failure_but_not_their_time() {
    let (keys, server) = start(for_ten_minutes(&[KEY.jwk()])).await;
    try_with(&server, &KEY).await.expect(200);
    keys.say(Says::status(503, ""));
    try_with(&server, &NEXT).await.refused(401, "invalid_client");
    assert_eq!(keys.count(), 2);
    try_with(&server, &KEY).await.expect(200);
    server.clock.advance(Duration::from_secs(600));
    try_with(&server, &KEY).await.refused(401, "invalid_client");
    assert_eq!(keys.count(), 3);
}

#[tokio::test]
async fn addresses_inside_the_deployment_are_asked_only_where_the_registrys_own_rules_allow_it() {
    let keys = KeyServer::start(for_ten_minutes(&[KEY.jwk()])).await;
    for rules in [
        // What notifications may do says nothing about keys.
        "[delivery]\nallow_http = true\nallow_private_addresses = true\n",
        "[registry]\nallow_private_addresses = true\n",
        "[registry]\nallow_http = true\n",
        "[registry]\nallow_http = true\nallow_private_addresses = true\nallowed_hosts = [\"keys.example\"]\n",
    ] {
        let server = start_with(rules, &keys.url).await;
        try_with(&server, &KEY).await.refused(401, "invalid_client");
    }
    assert_eq!(keys.count(), 0);
    let server = start_with("[registry]\nallow_http = true\nallowed_hosts = [\"127.0.0.1\"]\n", &keys.url).await;
    try_with(&server, &KEY).await.expect(200);
}

#[tokio::test]
async fn a_strict_server_refuses_an_assertion_that_others_could_use_too() {
    for (rules, strict) in [("", false), ("[registry]\nstrict_assertion_audience = true\n", true)] {
        let server = Oauth::start_with(rules).await;
        let text = assertion(&server, "service", &json!({"aud": [audience(), "https://elsewhere.example/token"]}));
        let answer = server.token(&ask(&text)).await;
        let answer = if strict { answer.refused(401, "invalid_client") } else { answer.expect(200) };
        assert_eq!(answer.text.contains("access_token"), !strict);
        let text = assertion(&server, "service", &json!({"aud": [audience()]}));
        server.token(&ask(&text)).await.expect(200);
        let old = server.clock.now().unix_timestamp() - 3601;
        let text = assertion(&server, "service", &json!({"iat": old}));
        server.token(&ask(&text)).await.refused(401, "invalid_client");
    }
}
