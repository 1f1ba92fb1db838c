//! Signing in and out with a second, independent OpenID provider (npm oidc-provider), in a real browser.

use std::process::Stdio;

use serde_json::{Value, json};
use sofa::id::token_digest;
use sofa::store::client::{AuthMethod, Client, Role};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use url::Url;

use crate::clients::libraries;
use crate::fixtures::{JULIE, halo_sample};
use crate::support::browser::{self, Browser, Tab};
use crate::support::server::TestServer;
use crate::support::world::unregistered;

const SECRET: &str = "a secret of the test, long enough for anybody";

/// The provider, until it is dropped.
struct Provider {
    issuer: String,
    _child: Child,
    told: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
}

impl Provider {
    /// Starts it; `None` without npm.
    async fn start() -> Option<Self> {
        let mut script = Command::new("node");
        script.arg("provider.mjs").current_dir(libraries().await?);
        let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let told = child.stdin.take().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let first: Value = serde_json::from_str(&said.next_line().await.unwrap().unwrap()).unwrap();
        Some(Self { issuer: first["issuer"].as_str().unwrap().to_owned(), _child: child, told, said })
    }

    /// Tells it of the server.
    async fn register(&mut self, url: &str, people: &Value) {
        let client = json!({
            "client_id": "sofa", "client_secret": SECRET, "redirect_uris": [format!("{url}/callback-up")],
            "post_logout_redirect_uris": [format!("{url}/signed-out")], "response_types": ["code"],
            "grant_types": ["authorization_code"], "backchannel_logout_uri": format!("{url}/backchannel-logout-up"),
            "backchannel_logout_session_required": true,
        });
        let line = format!("{}\n", json!({ "client": client, "people": people }));
        self.told.write_all(line.as_bytes()).await.unwrap();
        assert_eq!(self.said.next_line().await.unwrap().unwrap(), r#"{"ready":true}"#);
    }
}

/// A person with a browser.
struct Person<'a> {
    browser: Browser,
    tab: Tab,
    server: &'a TestServer,
}

impl Person<'_> {
    async fn go_to(&mut self, url: &str) {
        self.browser.go_to(&self.tab, url, "en").await;
    }

    async fn until(&mut self, holds: &str) {
        self.browser.until(&self.tab, &format!("document.readyState === 'complete' && ({holds})")).await;
    }

    async fn press(&mut self, selector: &str) {
        self.until(&format!("document.querySelector({selector:?})")).await;
        self.browser.tab_to(&self.tab, selector).await;
        self.browser.press(&self.tab, "Enter").await;
    }

    /// Waits for a page that says this.
    async fn reads(&mut self, text: &str) {
        self.until(&format!("document.body.innerText.includes({text:?})")).await;
    }

    /// Signs in at the provider's own page.
    async fn enter_upstream(&mut self, name: &str) {
        self.until("document.querySelector('#login')").await;
        self.browser.tab_to(&self.tab, "#login").await;
        self.browser.enter_text(&self.tab, name).await;
        self.browser.press(&self.tab, "Enter").await;
    }

    /// The parameters with which the app gets its answer.
    async fn landed(&mut self) -> String {
        self.until("location.pathname === '/landed'").await;
        self.browser.eval(&self.tab, "location.search").await.as_str().unwrap().to_owned()
    }

    /// Opens the app with that launch, and chooses the provider if somebody has to sign in.
    async fn launch(&mut self, launch: &str) {
        let redirect = format!("{}/landed", self.server.url);
        let parameters = [
            ("response_type", "code"),
            ("client_id", "app"),
            ("redirect_uri", &redirect),
            ("scope", "launch openid patient/*.rs"),
            ("state", "s"),
            ("aud", &self.server.fhir),
            ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            ("code_challenge_method", "S256"),
            ("launch", launch),
        ];
        let url = Url::parse_with_params(&format!("{}/authorize", self.server.url), parameters).unwrap();
        self.go_to(url.as_str()).await;
    }
}

const CHOOSE: &str = "button[name=provider]";

#[tokio::test]
async fn a_person_signs_in_and_out_with_another_makers_provider() {
    let Some(program) = browser::program() else {
        assert!(std::env::var_os("CI").is_none(), "no Chromium: install chromium-headless-shell");
        println!("skipped: no Chromium (install chromium-headless-shell, or set SOFA_TEST_BROWSER)");
        return;
    };
    let Some(mut provider) = Provider::start().await else { return };
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), SECRET).unwrap();
    let config = format!(
        "[federation]\nallow_http = true\nallow_private_addresses = true\n[[federation.providers]]\nid = \"up\"\n\
         issuer = \"{}\"\nclient_id = \"sofa\"\nclient_secret_file = \"{}\"\nscopes = [\"profile\"]\ntenants = [7]\n\
         identifier_claim = \"licence\"\nidentifier_system = \"{}\"\nlink_by_identifier = true\n\
         create_users = true\n",
        provider.issuer,
        secret.path().display(),
        JULIE.0
    );
    let server = TestServer::configured(&config).await;
    let people = json!({
        "julie": {"name": "Dr Julie", "licence": JULIE.1}, "max": {"name": "Dr Max", "licence": "4712"},
        "eve": {"name": "Eve", "licence": JULIE.1},
    });
    provider.register(&server.url, &people).await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    let julie = server.user_known_as("julie", 7, &[JULIE]).await;
    let redirect_uris = vec![format!("{}/landed", server.url)];
    let scope = "launch openid patient/*.rs".to_owned();
    // With a secret: of a public app of this device people are asked every time.
    let usual = unregistered("app", Role::App, 0, AuthMethod::ClientSecretBasic);
    let secret_digest = Some(token_digest("secret"));
    server.register(&Client { redirect_uris, scope, secret_digest, ..usual }).await;
    let mut browser = Browser::start(&program).await;
    let tab = browser.open("about:blank").await;
    let mut person = Person { browser, tab, server: &server };

    // The licence makes the operator's account hers; a launch that names her is hers to use.
    let named = poc.launch(&halo_sample()).await;
    person.launch(&named.id).await;
    person.press(CHOOSE).await;
    person.enter_upstream("julie").await;
    assert!(person.landed().await.contains("code="));
    let identities = "select count(*) from upstream_identity where subject = 'julie' and user_id = $1";
    let linked: i64 = sqlx::query_scalar(identities).bind(julie.id).fetch_one(&server.db.pool).await.unwrap();
    assert_eq!(linked, 1);

    // Signing out here signs out there: the next one has to say who they are.
    person.go_to(&format!("{}/logout", server.url)).await;
    person.press("button[value=sign-out]").await;
    person.press("button[value=yes]").await;
    person.until("location.pathname === '/signed-out'").await;
    person.reads("You are signed out").await;
    person.launch(&named.id).await;
    person.press(CHOOSE).await;
    person.enter_upstream("max").await;
    let refused = person.landed().await;
    assert!(refused.contains("error=access_denied"), "max has an account now, and the launch is julie's: {refused}");
    let made: i64 =
        server.count("select count(*) from user_account where name = 'up/max' and password_hash is null").await;
    assert_eq!(made, 1);

    // Signing out there signs out here.
    person.go_to(&format!("{}/manage", server.url)).await;
    person.reads("Dr Max").await;
    person.go_to(&format!("{}/session/end", provider.issuer)).await;
    person.press("button[value=yes]").await;
    person.until("!document.querySelector('button[value=yes]')").await;
    person.go_to(&format!("{}/manage", server.url)).await;
    person.until("document.querySelector('#password')").await;

    // Another identity with julie's licence is not julie.
    person.press(CHOOSE).await;
    person.enter_upstream("eve").await;
    person.reads("you have no account here").await;
    assert!(person.browser.complaints.is_empty(), "{:#?}", person.browser.complaints);
}
