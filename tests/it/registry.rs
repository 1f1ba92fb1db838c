//! The registry of clients, as its operator keeps it: by commands and by the configuration file.

use serde_json::{Value, json};
use sofa::access::Rules;
use sofa::clock::{Clock, SystemClock};
use sofa::config::Config;
use sofa::fhir::definition::registry::Registry;
use sofa::oauth::configured;
use sofa::store::client::{AuthMethod, Client, Role, Source};
use sofa::{id, store};

use crate::cli::{err, out, with};
use crate::oauth::{Oauth, SECRET, assertion, basic, client, exchange, signed, with as with_fields};
use crate::support::db::TestDb;
use crate::support::key::Key;

fn shown(db: &TestDb, client_id: &str) -> Value {
    serde_json::from_str(&out(&with(db, &["client", "show", client_id], ""))).unwrap()
}

/// What the command says when it refuses.
#[track_caller]
fn refused(db: &TestDb, arguments: &[&str]) -> String {
    let output = with(db, arguments, "");
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    err(&output)
}

/// The line of the output that begins so.
#[track_caller]
fn line(output: &str, name: &str) -> String {
    output.lines().find_map(|line| line.strip_prefix(name)).expect(output).trim().to_owned()
}

fn file(content: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    file
}

async fn is_believed(server: &Oauth, secret: &str) -> bool {
    let header = basic("basic", secret);
    let answer = server.post("/introspect", &[("token", "x")], &[("authorization", &header)]).await;
    answer.status == 200
}

#[tokio::test]
async fn everything_of_a_client_is_shown_but_its_secret() {
    let server = Oauth::start().await;
    let added = out(&with(
        &server.db,
        &[
            "client",
            "add",
            "chart",
            "--role",
            "app",
            "--auth",
            "client_secret_basic",
            "--redirect-uri",
            "https://chart.example/cb",
            "--launch-url",
            "https://chart.example/launch",
            "--post-logout-redirect-uri",
            "https://chart.example/out",
            "--backchannel-logout-uri",
            "https://chart.example/logout",
            "--may-introspect",
        ],
        "",
    ));
    let secret = line(&added, "client_secret:");
    let shown = shown(&server.db, "chart");
    for (name, expected) in [
        ("role", json!("app")),
        ("redirect_uris", json!(["https://chart.example/cb"])),
        ("launch_urls", json!(["https://chart.example/launch"])),
        ("origins", json!(["https://chart.example"])),
        ("post_logout_redirect_uris", json!(["https://chart.example/out"])),
        ("backchannel_logout_uri", json!("https://chart.example/logout")),
        ("may_introspect", json!(true)),
        ("source", json!("cli")),
        ("enabled", json!(true)),
    ] {
        assert_eq!(shown[name], expected, "{name}");
    }
    let digest: Vec<u8> = id::token_digest(&secret);
    assert!(!shown.to_string().contains(&secret) && !shown.to_string().contains(&format!("{digest:?}")));
    assert!(refused(&server.db, &["client", "show", "nobody"]).contains("there is no client nobody"));
}

#[tokio::test]
async fn what_is_wrong_with_a_registration_is_told_before_anything_is_stored() {
    let db = crate::support::db::db().await;
    let key = Key::es384("k");
    let (mut private, mut other_curve) = (key.jwks.clone(), key.jwks.clone());
    private["keys"][0]["d"] = json!("secret");
    other_curve["keys"][0]["crv"] = json!("P-256");
    let doubled = json!({"keys": [key.jwk(), key.jwk()]});
    let files = [private, other_curve, doubled, json!({})].map(|set| file(&set.to_string()));
    let [private, other_curve, doubled, no_set] = files.each_ref().map(|file| file.path().to_str().unwrap());
    let no_json = file("nonsense");
    for (rest, told) in [
        (&["--jwks-file", private][..], "private member \"d\""),
        (&["--jwks-file", other_curve], "P-384"),
        (&["--jwks-file", doubled], "two keys have the kid \"k\""),
        (&["--jwks-file", no_set], "no array \"keys\""),
        (&["--jwks-file", no_json.path().to_str().unwrap()], "is not JSON"),
        (&["--jwks-file", "/nowhere"], "cannot read /nowhere"),
        (&["--jwks-uri", "http://lab.example/jwks"], "unencrypted http://"),
        (&["--jwks-uri", "https://10.0.0.1/jwks"], "private, local or reserved"),
        (&["--jwks-uri", "lab.example/jwks"], "not an absolute https URL"),
        (&[], "either a JWKS or a jwks_uri"),
        (
            &[
                "--jwks-uri",
                "https://lab.example/jwks",
                "--scope",
                "system/Patient.rs system/Observation.rs?code:not=x",
            ],
            "scope system/Observation.rs?code:not=x: code:not: the server does not limit scopes by this modifier",
        ),
        (&["--jwks-uri", "https://lab.example/jwks", "--launch-url", "https://lab.example/"], "only an app"),
        (&["--jwks-uri", "https://lab.example/jwks", "--frame-ancestor", "https://lab.example"], "only a PoC"),
        (&["--jwks-uri", "https://lab.example/jwks", "--backchannel-logout-uri", "https://127.0.0.1/"], "private"),
    ] {
        let arguments = [&["client", "add", "lab", "--role", "service"][..], rest].concat();
        let said = refused(&db, &arguments);
        assert!(said.contains(told), "{arguments:?}: {said}");
    }
    let id = "0190a5f0-7b3e-7cc2-a3b4-0123456789ab";
    let said = refused(&db, &["client", "add", id, "--role", "app", "--redirect-uri", "https://a.example/"]);
    assert!(said.contains("UUID"), "{said}");
    assert!(out(&with(&db, &["client", "list"], "")).starts_with("no clients yet"));
    let added =
        out(&with(&db, &["client", "add", "lab", "--role", "service", "--jwks-uri", "https://lab.example/jwks"], ""));
    assert_eq!(added, "registered lab\n", "whoever publishes keys needs no reminder");
    let good = file(&key.jwks.to_string());
    let path = good.path().to_str().unwrap();
    let added = out(&with(&db, &["client", "add", "lab-2", "--role", "service", "--jwks-file", path], ""));
    assert!(added.contains("ask it to send you new ones"), "{added}");
}

#[tokio::test]
async fn what_is_set_is_changed_and_the_rest_stays() {
    let server = Oauth::start().await;
    let before = shown(&server.db, "app");
    let set = ["client", "set", "app", "--name", "New name", "--redirect-uri", "https://b.example/cb"];
    out(&with(&server.db, &set, ""));
    let after = shown(&server.db, "app");
    assert_eq!(after["name"], "New name");
    assert_eq!(after["redirect_uris"], json!([before["redirect_uris"][0], "https://b.example/cb"]));
    assert_eq!(after["origins"], json!(["https://app.example", "https://b.example"]));
    for name in ["scope", "role", "launch_urls", "may_introspect", "token_endpoint_auth_method", "enabled"] {
        assert_eq!(after[name], before[name], "{name}");
    }
    out(&with(&server.db, &["client", "remove-redirect", "app", "https://b.example/cb"], ""));
    let after = shown(&server.db, "app");
    assert_eq!((&after["redirect_uris"], &after["origins"]), (&before["redirect_uris"], &before["origins"]));
    for (arguments, told) in [
        (&["client", "set", "app"][..], "nothing to change"),
        (&["client", "set", "nobody", "--name", "x"], "there is no client nobody"),
        (&["client", "set", "app", "--redirect-uri", "http://b.example/cb"], "redirect URI http://b.example/cb"),
        (&["client", "set", "app", "--scope", "nonsense"], "nothing this server grants"),
        (&["client", "set", "app", "--frame-ancestor", "https://b.example"], "only a PoC"),
        (&["client", "remove-redirect", "app", "https://c.example/"], "has no redirect URI"),
        (&["client", "remove-redirect", "app", before["redirect_uris"][0].as_str().unwrap()], "at least one redirect"),
    ] {
        assert!(refused(&server.db, arguments).contains(told), "{arguments:?}");
    }
    assert_eq!(shown(&server.db, "app"), after);
}

#[tokio::test]
async fn a_scope_that_becomes_less_ends_what_was_granted_and_one_that_becomes_more_does_not() {
    let server = Oauth::start().await;
    let token = server.tokens("launch patient/*.rs").await["access_token"].as_str().unwrap().to_owned();
    let scope = shown(&server.db, "app")["scope"].as_str().unwrap().to_owned();
    let wider = format!("{scope} launch/ImagingStudy openid");
    out(&with(&server.db, &["client", "set", "app", "--scope", &wider], ""));
    assert!(server.is_alive(&token).await);
    let told = out(&with(&server.db, &["client", "set", "app", "--scope", "launch patient/Patient.rs"], ""));
    assert!(told.contains("1 grants with the wider scope have ended"), "{told}");
    assert!(!server.is_alive(&token).await);
}

#[tokio::test]
async fn a_secret_is_replaced_at_once_or_beside_the_old_one_for_a_while() {
    let server = Oauth::start().await;
    let second =
        line(&out(&with(&server.db, &["client", "new-secret", "basic", "--keep-old", "7days"], "")), "client_secret:");
    assert!(is_believed(&server, SECRET).await && is_believed(&server, &second).await);
    // The command's clock is the machine's, months ahead of the server's here.
    let ahead = SystemClock.now() - server.clock.now() + time::Duration::days(7);
    server.clock.advance(ahead.unsigned_abs());
    assert!(!is_believed(&server, SECRET).await && is_believed(&server, &second).await);
    let third = line(&out(&with(&server.db, &["client", "new-secret", "basic"], "")), "client_secret:");
    assert!(!is_believed(&server, &second).await && is_believed(&server, &third).await);
    assert!(!is_believed(&server, "").await);
    assert!(refused(&server.db, &["client", "new-secret", "app"]).contains("proves itself by none"));
    assert!(refused(&server.db, &["client", "new-secret", "service"]).contains("proves itself by private_key_jwt"));
}

#[tokio::test]
async fn keys_are_replaced_by_others_or_by_an_address_and_only_by_good_ones() {
    let server = Oauth::start().await;
    let ask = async |assertion: String| {
        let fields = [("grant_type", "client_credentials"), ("scope", "system/*.rs")];
        server.token(&[fields.to_vec(), signed(&assertion).to_vec()].concat()).await
    };
    ask(assertion(&server, "service", &json!({}))).await.expect(200);
    let key = Key::rs384("next");
    let good = file(&key.jwks.to_string());
    let told = out(&with(&server.db, &["client", "keys", "service", good.path().to_str().unwrap()], ""));
    assert!(told.contains("sofa client disable service"), "{told}");
    ask(assertion(&server, "service", &json!({}))).await.refused(401, "invalid_client");
    ask(key.assertion("service", &format!("{}/token", crate::oauth::ISSUER), server.clock.now())).await.expect(200);
    out(&with(&server.db, &["client", "keys", "service", "--jwks-uri", "https://lab.example/jwks"], ""));
    let after = shown(&server.db, "service");
    assert_eq!((&after["jwks"], &after["jwks_uri"]), (&Value::Null, &json!("https://lab.example/jwks")));
    assert_eq!(after["fetched_keys"], Value::Null);
    for (arguments, told) in [
        (&["client", "keys", "service", "--jwks-uri", "https://127.0.0.1/jwks"][..], "private, local or reserved"),
        (&["client", "keys", "app", "--jwks-uri", "https://lab.example/jwks"], "proves itself by none"),
    ] {
        assert!(refused(&server.db, arguments).contains(told), "{arguments:?}");
    }
}

#[tokio::test]
async fn disabling_ends_everything_and_enabling_revives_nothing() {
    let server = Oauth::start().await;
    let tokens = server.tokens("launch patient/*.rs offline_access").await;
    let (launch, _) = server.launch(|_| {}).await;
    let code = server.code("app", &launch, "launch patient/*.rs").await;
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let renew = [("grant_type", "refresh_token"), ("refresh_token", refresh), ("client_id", "app")];
    out(&with(&server.db, &["client", "disable", "app"], ""));
    assert!(!server.is_alive(tokens["access_token"].as_str().unwrap()).await);
    server.token(&renew).await.refused(401, "invalid_client");
    out(&with(&server.db, &["client", "enable", "app"], ""));
    assert!(!server.is_alive(tokens["access_token"].as_str().unwrap()).await);
    server.token(&renew).await.refused(400, "invalid_grant");
    server.token(&with_fields(&exchange(&code), &[("client_id", "app")])).await.refused(400, "invalid_grant");
    assert!(server.tokens("launch patient/*.rs").await["access_token"].is_string(), "a new launch works");
    for command in ["disable", "enable", "delete"] {
        assert!(refused(&server.db, &["client", command, "nobody"]).contains("there is no client nobody"));
    }
    assert_eq!(
        (server.audited("client-disable", "success").await, server.audited("client-enable", "success").await),
        (1, 1)
    );
}

#[tokio::test]
async fn an_app_is_deleted_with_all_that_was_granted_and_a_point_of_care_system_is_not() {
    let server = Oauth::start().await;
    let token = server.tokens("launch patient/*.rs offline_access").await["access_token"].as_str().unwrap().to_owned();
    out(&with(&server.db, &["client", "delete", "app"], ""));
    assert!(!server.is_alive(&token).await);
    assert!(refused(&server.db, &["client", "show", "app"]).contains("there is no client app"));
    out(&with(&server.db, &["client", "delete", "basic"], ""));
    let secrets = "select count(*) from client_secret where client_id = 'basic'";
    assert_eq!(sqlx::query_scalar::<_, i64>(secrets).fetch_one(&server.db.pool).await.unwrap(), 0);
    assert!(refused(&server.db, &["client", "delete", "poc"]).contains("point-of-care system"));
    assert_eq!(server.audited("client-delete", "success").await, 2);
}

#[tokio::test]
async fn leave_to_register_is_given_listed_and_taken_back() {
    let db = crate::support::db::db().await;
    let made = out(&with(&db, &["client", "token", "new", "vendor", "--uses", "3", "--lifetime", "1day"], ""));
    let token = line(&made, "initial_access_token:");
    assert!(token.len() == 43 && made.contains("registry.dynamic"), "{made}");
    let listed = out(&with(&db, &["client", "token", "list"], ""));
    assert!(listed.contains("vendor") && listed.contains("for 3 more") && !listed.contains(&token), "{listed}");
    for (arguments, told) in [
        (&["client", "token", "new", "vendor"][..], "there is a token vendor already"),
        (&["client", "token", "new", "clinic", "--role", "poc"], "tenant is above 0"),
        (&["client", "token", "new", "x", "--tenant", "7"], "tenant is above 0"),
        (&["client", "token", "revoke", "nobody"], "there is no token nobody"),
    ] {
        assert!(refused(&db, arguments).contains(told), "{arguments:?}");
    }
    out(&with(&db, &["client", "token", "revoke", "vendor"], ""));
    assert_eq!(out(&with(&db, &["client", "token", "list"], "")), "");
}

/// Brings the registry in line with `[[registry.clients]]` of this text.
async fn apply(server: &Oauth, clients: &str) -> Result<usize, String> {
    let config = Config::from_toml(clients).map_err(|error| error.to_string())?;
    let rules = Rules::of(Registry::built_in(), config.server.fhir_base(), config.standalone.shared_patients);
    let done = configured::apply(&server.db.pool, &config, &rules, server.clock.now()).await;
    done.map_err(|error| error.to_string())
}

async fn stored(server: &Oauth, client_id: &str) -> Client {
    store::client::find(&mut server.db.pool.acquire().await.unwrap(), client_id).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_configuration_file_registers_changes_and_disables_clients() {
    let server = Oauth::start().await;
    let secret = file("a-secret-of-thirty-two-characters\n");
    let entry = |scope: &str, path: &str| {
        format!(
            "[[registry.clients]]\nid = \"filed\"\nrole = \"app\"\nauth = \"client_secret_basic\"\nsecret_file = {path:?}\n\
             redirect_uris = [\"https://app.example/cb?keep=1\"]\nscope = {scope:?}\nconsent = \"never\"\n"
        )
    };
    let first = entry("launch patient/*.rs", secret.path().to_str().unwrap());
    assert_eq!(apply(&server, &first).await, Ok(1));
    assert_eq!(apply(&server, &first).await, Ok(0), "a second start changes nothing");
    let client = stored(&server, "filed").await;
    assert_eq!(
        (client.source, client.role, client.auth_method),
        (Source::Config, Role::App, AuthMethod::ClientSecretBasic)
    );
    let (launch, _) = server.launch(|_| {}).await;
    let code = server.code("filed", &launch, "launch patient/*.rs").await;
    let header = basic("filed", "a-secret-of-thirty-two-characters");
    let reply = server.post("/token", &exchange(&code), &[("authorization", &header)]).await.expect(200).json();
    let token = reply["access_token"].as_str().unwrap();

    let other = file("another-secret-of-32-characters!!");
    let second = entry("launch patient/Patient.rs", other.path().to_str().unwrap());
    assert_eq!(apply(&server, &second).await, Ok(1));
    assert_eq!(stored(&server, "filed").await.scope, "launch patient/Patient.rs");
    assert!(!server.is_alive(token).await, "the file allows less than was granted");
    let code = server.code("filed", &launch, "launch patient/Patient.rs").await;
    let fresh = basic("filed", "another-secret-of-32-characters!!");
    let reply = server.post("/token", &exchange(&code), &[("authorization", &fresh)]).await.expect(200).json();
    let token = reply["access_token"].as_str().unwrap();
    let wider = entry("launch patient/*.rs", other.path().to_str().unwrap());
    assert_eq!(apply(&server, &wider).await, Ok(1));
    assert!(server.is_alive(token).await, "more is allowed: nothing ends");
    assert_eq!(apply(&server, &second).await, Ok(1));
    assert!(!server.is_alive(token).await);
    let old = server.post("/introspect", &[("token", "x")], &[("authorization", &header)]).await;
    old.refused(401, "invalid_client");

    assert_eq!(apply(&server, "").await, Ok(1), "it is no longer named");
    assert!(!stored(&server, "filed").await.enabled && !server.is_alive(token).await);
    assert_eq!(apply(&server, "").await, Ok(0));
    assert_eq!(apply(&server, &second).await, Ok(1), "it comes back");
    assert!(stored(&server, "filed").await.enabled && !server.is_alive(token).await);
}

#[tokio::test]
async fn a_client_of_the_file_is_changed_there_and_disabled_anywhere() {
    let server = Oauth::start().await;
    let entry = "[[registry.clients]]\nid = \"filed\"\nrole = \"app\"\nredirect_uris = [\"https://app.example/cb\"]\n";
    apply(&server, entry).await.unwrap();
    for arguments in [
        &["client", "set", "filed", "--name", "x"][..],
        &["client", "remove-redirect", "filed", "https://app.example/cb"],
        &["client", "new-secret", "filed"],
        &["client", "keys", "filed", "--jwks-uri", "https://app.example/jwks"],
        &["client", "delete", "filed"],
    ] {
        assert!(refused(&server.db, arguments).contains("registered by the configuration file"), "{arguments:?}");
    }
    out(&with(&server.db, &["client", "disable", "filed"], ""));
    assert_eq!(apply(&server, entry).await, Ok(0), "a start does not undo what an operator did");
    assert!(!stored(&server, "filed").await.enabled);
    out(&with(&server.db, &["client", "enable", "filed"], ""));
    assert!(stored(&server, "filed").await.enabled);
}

#[tokio::test]
async fn a_client_that_the_file_describes_wrongly_is_named_with_what_is_wrong() {
    let server = Oauth::start().await;
    let short = file("short");
    let private = file(&json!({"keys": [{"kty": "oct", "kid": "1", "k": "x"}]}).to_string());
    let (short, private) = (short.path().to_str().unwrap(), private.path().to_str().unwrap());
    let app = "role = \"app\"\nredirect_uris = [\"https://app.example/cb\"]";
    for (entry, told) in [
        ("role = \"nurse\"".to_owned(), "filed: the role \"nurse\""),
        (format!("{app}\nauth = \"client_secret_post\""), "auth \"client_secret_post\""),
        (format!("{app}\nauth = \"client_secret_basic\""), "needs a secret"),
        (format!("{app}\nauth = \"client_secret_basic\"\nsecret_file = {short:?}"), "fewer than 32 characters"),
        (format!("{app}\nauth = \"client_secret_basic\"\nsecret_file = \"/nowhere\""), "cannot read /nowhere"),
        (format!("{app}\nsecret = \"in the clear\""), "unknown field `secret`"),
        (format!("role = \"service\"\njwks_file = {private:?}"), "private member \"k\""),
        ("role = \"service\"\njwks_uri = \"https://10.0.0.1/\"".to_owned(), "private, local or reserved"),
        ("role = \"app\"".to_owned(), "at least one redirect URI"),
        (
            format!("{app}\nscope = \"launch patient/Observation.rs?bogus=1\""),
            "filed: scope patient/Observation.rs?bogus=1: bogus: the server has no such search parameter",
        ),
        (format!("{app}\nscope = \"launch patient/*.rs?_tag=x\""), "conditions on all types"),
        ("role = \"poc\"\njwks_uri = \"https://a.example/\"".to_owned(), "tenant is above 0"),
    ] {
        let told_now = apply(&server, &format!("[[registry.clients]]\nid = \"filed\"\n{entry}\n")).await.unwrap_err();
        assert!(told_now.contains(told), "{entry}: {told_now}");
    }
    let twice = format!("[[registry.clients]]\nid = \"a\"\n{app}\n[[registry.clients]]\nid = \"a\"\n{app}\n");
    assert!(apply(&server, &twice).await.unwrap_err().contains("\"a\" is given twice"));
    let taken = format!("[[registry.clients]]\nid = \"app\"\n{app}\n");
    assert!(apply(&server, &taken).await.unwrap_err().contains("registered already, not by this file"));
    let filed = format!("[[registry.clients]]\nid = \"filed\"\n{app}\n");
    apply(&server, &filed).await.unwrap();
    let service = "[[registry.clients]]\nid = \"filed\"\nrole = \"service\"\njwks_uri = \"https://a.example/\"\n";
    assert!(apply(&server, service).await.unwrap_err().contains("another kind of client"));
    assert_eq!(stored(&server, "app").await, client("app", Role::App, AuthMethod::None));
    assert_eq!(stored(&server, "filed").await.role, Role::App, "what is wrong changes nothing");
}
