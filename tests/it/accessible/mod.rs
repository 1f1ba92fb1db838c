//! The pages people see, in a real browser: used by the keyboard alone, and looked over for barriers with axe-core, in
//! both languages.

use std::path::{Path, PathBuf};
use std::process::Command;

use sofa::config::ConsentPolicy;
use sofa::id::token_digest;
use sofa::store;
use sofa::store::client::{AuthMethod, Client, Role};
use sofa::store::user::{FactorRule, User};
use url::Url;

use crate::fixtures::SetContext;
use crate::oauth::second_factor::code_at;
use crate::support::browser::{self, Browser, Tab};
use crate::support::server::TestServer;
use crate::support::world::{PASSWORD, unregistered};

/// The button of a provider, which nobody presses here.
const UPSTREAM: &str = "[[federation.providers]]\nid = \"up\"\nname_en = \"The Clinic\"\nissuer = \"https://up.example\"\n\
    client_id = \"sofa\"\ntenants = [7]\n";
const SCOPE: &str = "launch/patient launch/encounter openid patient/*.rs user/Practitioner.r";

/// The source of axe-core, installed once as the lock file says; `None` where there is no npm.
fn axe() -> Option<String> {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/accessible");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("accessible");
    let script = folder.join("node_modules/axe-core/axe.min.js");
    if !script.is_file() {
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["package.json", "package-lock.json"] {
            std::fs::copy(from.join(name), folder.join(name)).unwrap();
        }
        let npm = Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(&folder)
            .output();
        let Ok(done) = npm else {
            assert!(std::env::var_os("CI").is_none(), "no npm: install it");
            return None;
        };
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    Some(std::fs::read_to_string(script).unwrap())
}

/// A person with a browser.
struct Person<'a> {
    browser: Browser,
    tab: Tab,
    axe: Option<&'a str>,
    language: &'static str,
}

impl Person<'_> {
    async fn go_to(&mut self, url: &str) {
        self.browser.go_to(&self.tab, url, self.language).await;
    }

    /// Waits for the page that holds this, takes its picture and demands that it has no barrier.
    async fn arrive(&mut self, name: &str, selector: &str) {
        let is_there = format!("document.readyState === 'complete' && document.querySelector({selector:?})");
        self.browser.until(&self.tab, &is_there).await;
        let language = self.browser.eval(&self.tab, "document.documentElement.lang").await;
        assert_eq!(language, self.language, "{name}");
        self.browser.picture(&self.tab, &format!("page-{name}-{}", self.language)).await;
        let Some(axe) = self.axe else { return };
        self.browser.eval(&self.tab, &format!("{axe}; 0")).await;
        let look = "axe.run(document).then(found => found.violations.map(one => \
            one.id + ': ' + one.nodes.map(node => node.html).join(' ')))";
        let barriers = self.browser.eval(&self.tab, look).await;
        assert_eq!(barriers.as_array().map(Vec::len), Some(0), "{name} in {}: {barriers:#}", self.language);
    }

    /// Goes to a button by the Tab key and presses it.
    async fn press(&mut self, selector: &str) {
        self.browser.tab_to(&self.tab, selector).await;
        self.browser.press(&self.tab, "Enter").await;
    }

    async fn fill(&mut self, selector: &str, text: &str) {
        self.browser.tab_to(&self.tab, selector).await;
        self.browser.enter_text(&self.tab, text).await;
    }

    async fn landed(&mut self) -> String {
        self.browser.until(&self.tab, "location.pathname === '/landed'").await;
        self.browser.eval(&self.tab, "location.search").await.as_str().unwrap().to_owned()
    }
}

/// The address of an authorization request of `client`.
fn request(server: &TestServer, client: &str, scope: &str, launch: Option<&str>) -> String {
    let redirect = format!("{}/landed", server.url);
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    let mut parameters = vec![
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", &redirect),
        ("scope", scope),
        ("state", "s"),
        ("aud", &server.fhir),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256"),
    ];
    parameters.extend(launch.map(|launch| ("launch", launch)));
    Url::parse_with_params(&format!("{}/authorize", server.url), parameters).unwrap().into()
}

#[tokio::test]
async fn every_page_works_by_the_keyboard_alone_and_has_no_barrier() {
    let Some(program) = browser::program() else {
        assert!(std::env::var_os("CI").is_none(), "no Chromium: install chromium-headless-shell");
        println!("skipped: no Chromium (install chromium-headless-shell, or set SOFA_TEST_BROWSER)");
        return;
    };
    let axe = tokio::task::spawn_blocking(axe).await.unwrap();
    for language in ["en", "fr"] {
        let server = TestServer::configured(UPSTREAM).await;
        let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
        server.user("julie", 7).await;
        let app = Client {
            consent: ConsentPolicy::Once,
            redirect_uris: vec![format!("{}/landed", server.url)],
            scope: format!("launch {SCOPE}"),
            // With a secret: of a public app of this device people are asked every time.
            secret_digest: Some(token_digest("secret")),
            ..unregistered("app", Role::App, 0, AuthMethod::ClientSecretBasic)
        };
        server.register(&app).await;
        let mut browser = Browser::start(&program).await;
        let tab = browser.open("about:blank").await;
        let mut person = Person { browser, tab, axe: axe.as_deref(), language };

        // Signing in for a launch: a wrong password first, then declining one scope.
        let launch = poc.launch(&visited("Smith")).await;
        let launched = request(&server, "app", "launch openid patient/*.rs user/Practitioner.r", Some(&launch.id));
        person.go_to(&launched).await;
        person.arrive("sign-in", "#password").await;
        person.fill("#name", "julie").await;
        person.fill("#password", "wrong").await;
        person.browser.press(&person.tab, "Enter").await;
        person.arrive("sign-in-again", "[role=alert]").await;
        person.fill("#password", PASSWORD).await;
        person.browser.press(&person.tab, "Enter").await;
        person.arrive("consent", "fieldset").await;
        person.browser.tab_to(&person.tab, "input[value='user/Practitioner.r']").await;
        person.browser.press(&person.tab, "Space").await;
        let ticked = person.browser.eval(&person.tab, "document.querySelectorAll(':checked').length").await;
        assert_eq!(ticked, 2);
        person.press("button[value=allow]").await;
        assert!(person.landed().await.contains("code="));

        // Another launch that is nobody's yet.
        let another = poc.launch(&SetContext::patient("Miller").build()).await;
        person.go_to(&request(&server, "app", "launch openid", Some(&another.id))).await;
        person.arrive("continue", "button[value=continue]").await;
        person.press("button[value=continue]").await;
        assert!(person.landed().await.contains("code="));

        // Starting at the app: a search, a patient, a visit.
        person.go_to(&request(&server, "app", "launch/patient launch/encounter patient/*.rs", None)).await;
        person.arrive("patients", "button[name=choice]").await;
        person.fill("#name", "smith").await;
        person.browser.press(&person.tab, "Enter").await;
        person.browser.until(&person.tab, "document.querySelectorAll('button[name=choice]').length === 1").await;
        person.press("button[name=choice]").await;
        person.browser.until(&person.tab, "document.querySelector('button[value=no-visit]')").await;
        person.arrive("visits", "button[name=choice]").await;
        person.press("button[name=choice]").await;
        assert!(person.landed().await.contains("code="));

        // Taking it all back.
        person.go_to(&format!("{}/manage", server.url)).await;
        person.arrive("manage", "section").await;
        person.press("section button").await;
        person
            .browser
            .until(&person.tab, "location.pathname === '/manage' && !document.querySelector('section')")
            .await;
        person.arrive("manage-nothing", "main").await;

        out_and_in(&mut person, &server).await;

        person.go_to(&request(&server, "nobody", "openid", None)).await;
        person.arrive("problem", "[role=alert]").await;
        assert!(person.browser.complaints.is_empty(), "{:#?}", person.browser.complaints);
    }
}

/// Signing out, and in again as somebody who has everything still to do: a device, recovery codes, a password.
async fn out_and_in(person: &mut Person<'_>, server: &TestServer) {
    sign_out(person, server).await;
    let nina = User { second_factor: FactorRule::Required, must_change: true, ..server.user("nina", 7).await };
    let mut tx = store::begin(&server.db.pool).await.unwrap();
    store::user::update(&mut tx, &nina, server.now()).await.unwrap();
    tx.commit().await.unwrap();
    person.go_to(&request(server, "app", "openid", None)).await;
    person.arrive("sign-in-upstream", "button[name=provider]").await;
    sign_in(person, "nina", PASSWORD).await;
    person.arrive("enrol", "#secret").await;
    let secret = person.browser.eval(&person.tab, "document.querySelector('#secret').textContent").await;
    person.fill("#code", "000000").await;
    person.browser.press(&person.tab, "Enter").await;
    person.arrive("enrol-again", "[role=alert]").await;
    person.fill("#code", &code_at(secret.as_str().unwrap(), server.now().unix_timestamp())).await;
    person.browser.press(&person.tab, "Enter").await;
    person.arrive("recovery-codes", "li code").await;
    let recovery = person.browser.eval(&person.tab, "document.querySelector('li code').textContent").await;
    person.press("button[value=go-on]").await;
    person.arrive("new-password", "#again").await;
    for (new, page, there) in
        [("passwordpassword", "new-password-again", "[role=alert]"), (NEW, "consent-openid", "fieldset")]
    {
        person.fill("#password", new).await;
        person.fill("#again", new).await;
        person.browser.press(&person.tab, "Enter").await;
        person.arrive(page, there).await;
    }
    person.press("button[value=allow]").await;
    assert!(person.landed().await.contains("code="));

    sign_out(person, server).await;
    person.go_to(&request(server, "app", "openid", None)).await;
    person.arrive("sign-in-upstream", "#password").await;
    sign_in(person, "nina", NEW).await;
    person.arrive("second-factor", "#code").await;
    person.fill("#code", "000000").await;
    person.browser.press(&person.tab, "Enter").await;
    person.arrive("second-factor-again", "[role=alert]").await;
    person.fill("#code", recovery.as_str().unwrap()).await;
    person.browser.press(&person.tab, "Enter").await;
    assert!(person.landed().await.contains("code="));
}

const NEW: &str = "seven green lamps dance";

async fn sign_in(person: &mut Person<'_>, name: &str, password: &str) {
    person.fill("#name", name).await;
    person.fill("#password", password).await;
    person.browser.press(&person.tab, "Enter").await;
}

async fn sign_out(person: &mut Person<'_>, server: &TestServer) {
    person.go_to(&format!("{}/logout", server.url)).await;
    person.arrive("sign-out", "button[value=sign-out]").await;
    person.press("button[value=sign-out]").await;
    person.arrive("signed-out", "[role=status]").await;
}

/// A launch of a patient with two visits.
fn visited(family: &str) -> serde_json::Value {
    let visit = |began: &str| {
        serde_json::json!({
            "resourceType": "Encounter", "status": "in-progress", "subject": {"reference": "urn:uuid:patient"},
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB", "display": "ambulatory"},
            "period": {"start": began},
        })
    };
    let launch = SetContext::patient(family)
        .entry("urn:uuid:first", &visit("2026-01-02T10:00:00Z"))
        .entry("urn:uuid:second", &visit("2026-03-04T10:00:00Z"));
    launch.build()
}
