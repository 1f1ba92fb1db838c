//! The launch in a real browser: npm `fhirclient` as the sample app, the demonstration as a person sees it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use sofa::store;
use sofa::store::client::{AuthMethod, Role};

use crate::support::browser::{self, Browser};
use crate::support::server::TestServer;
use crate::support::world::unregistered;

/// `sofa demo` on free ports with a data folder of its own. Dropped, it ends.
struct Demo {
    child: Child,
    poc: String,
    document: Value,
    _folder: tempfile::TempDir,
}

impl Demo {
    fn start() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::Builder::new().prefix("sofa-browser").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_sofa"))
            .args(["demo", "--port", "0", "--data-dir"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let poc =
            said.find_map(|line| line.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned));
        let poc = poc.expect("the demonstration says what to open");
        std::thread::spawn(move || said.for_each(drop));
        let document = std::fs::read_to_string(Path::new(folder.path()).join("demo/demo.json")).unwrap();
        Self { child, poc, document: serde_json::from_str(&document).unwrap(), _folder: folder }
    }

    fn user(&self, member: &str) -> &str {
        self.document["users"][0][member].as_str().unwrap()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _status = self.child.wait();
    }
}

#[tokio::test]
async fn a_person_launches_the_app_and_the_chart_shows_what_it_writes() {
    let Some(program) = browser::program() else {
        assert!(std::env::var_os("CI").is_none(), "no Chromium: install chromium-headless-shell");
        println!("skipped: no Chromium (install chromium-headless-shell, or set SOFA_TEST_BROWSER)");
        return;
    };
    let demo = tokio::task::spawn_blocking(Demo::start).await.unwrap();
    let mut browser = Browser::start(&program).await;

    let chart = browser.open(&demo.poc).await;
    browser.until(&chart, "document.querySelector('#link.live')").await;
    browser.until(&chart, "document.querySelector('#patient-name').textContent === 'SMITH, Jane'").await;
    browser.picture(&chart, "1-chart").await;

    browser.click(&chart, "#launch").await;
    let app = browser.opened_tab().await;
    browser.until(&app, "document.querySelector('input[type=password]')").await;
    browser.picture(&app, "2-login").await;
    browser.fill(&app, "input[type=text], input:not([type])", demo.user("name")).await;
    browser.fill(&app, "input[type=password]", demo.user("password")).await;
    browser.click(&app, "form button").await;

    browser.until(&app, "document.querySelector('#patient-name').textContent === 'SMITH, Jane'").await;
    browser.until(&app, "document.querySelector('#context').innerText.includes('record-vital-signs')").await;
    let fhir_user = browser.eval(&app, "document.querySelector('#context').innerText").await;
    assert!(fhir_user.as_str().unwrap().contains("Practitioner/"), "{fhir_user}");

    browser.fill(&app, "#rate", "88").await;
    browser.click(&app, "#write:not([disabled])").await;
    browser.until(&app, "document.querySelector('#said.good')").await;
    browser.until(&chart, "document.querySelector('#vitals').innerText.includes('88')").await;
    browser.until(&chart, "document.querySelector('#log').innerText.includes('event 1')").await;
    browser.picture(&app, "3-app").await;

    browser.click(&chart, "#refuse").await;
    browser.fill(&app, "#rate", "299").await;
    browser.click(&app, "#write:not([disabled])").await;
    browser.until(&app, "document.querySelector('#said.bad')").await;
    browser.until(&chart, "document.querySelector('#log .bad')").await;
    browser.until(&chart, "!document.querySelector('#refuse').checked").await;
    assert_eq!(browser.eval(&chart, "document.querySelector('#vitals').innerText.includes('299')").await, false);
    browser.picture(&app, "4-app-refused").await;
    browser.picture(&chart, "5-chart-written").await;

    browser.click(&chart, "#clear").await;
    browser.until(&chart, "document.querySelector('#said.good')").await;
    browser.fill(&app, "#rate", "70").await;
    browser.click(&app, "#write:not([disabled])").await;
    browser.until(&app, "document.querySelector('#said.bad').textContent.includes('has ended')").await;
    browser.picture(&chart, "6-chart-cleared").await;

    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
}

/// What a browser asks before it lets a page send `method` with a token.
async fn preflight(url: &str, origin: &str, method: &str) -> (u16, String) {
    let asked = reqwest::Client::new()
        .request(reqwest::Method::OPTIONS, url)
        .header("origin", origin)
        .header("access-control-request-method", method)
        .header("access-control-request-headers", "authorization,content-type,prefer");
    let answer = asked.send().await.unwrap();
    let allowed = answer.headers().get("access-control-allow-origin").map(|value| value.to_str().unwrap().to_owned());
    (answer.status().as_u16(), allowed.unwrap_or_default())
}

#[tokio::test]
async fn a_page_of_a_registered_origin_may_call_the_fhir_api_and_no_other() {
    let mut app = unregistered("app", Role::App, 0, AuthMethod::None);
    app.origins = vec!["https://app.example".to_owned()];
    let mut demonstration = unregistered("demo", Role::App, 0, AuthMethod::None);
    demonstration.loopback_redirects = true;
    let routes =
        [("Patient/1", "GET"), ("Observation", "POST"), ("Observation/1", "PUT"), ("Patient/1/_history", "GET")];
    for (client, origin, other) in [
        (app, "https://app.example", "http://127.0.0.1:5173"),
        (demonstration, "http://localhost:5173", "http://localhost.example:5173"),
    ] {
        // One each: registered origins are remembered for a moment.
        let server = TestServer::start().await;
        let url = |path: &str| format!("{}/fhir/{path}", server.url);
        let mut tx = store::begin(&server.db.pool).await.unwrap();
        store::client::insert(&mut tx, &client, server.now()).await.unwrap();
        tx.commit().await.unwrap();
        for (path, method) in routes {
            assert_eq!(preflight(&url(path), origin, method).await, (200, origin.to_owned()), "{method} {path}");
            assert_eq!(preflight(&url(path), other, method).await.1, "", "{method} {path} from {other}");
        }
        assert_eq!(preflight(&url("metadata"), "https://anyone.example", "GET").await, (200, "*".to_owned()));
    }
}
