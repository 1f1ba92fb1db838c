//! npm `fhirclient` in a real browser: the app is two pages of an origin of its own, the person clicks through ours.

use axum::Router;
use axum::http::header;
use axum::response::Html;
use axum::routing::get;
use serde_json::{Value, json};
use sofa::store::client::{Client, Role};
use url::Url;

use super::{From, KINDS, Kind, Stage, name};
use crate::support::browser::{self, Browser};
use crate::support::world::PASSWORD;

const PAGE: &str = r#"<!doctype html><html lang="en"><title>App</title><body>
<script src="fhir-client.js"></script><script src="in-browser.js"></script></body></html>"#;

/// Serves the app's pages; the address of its origin.
async fn app_pages(stage: &Stage) -> String {
    let script = |name: &str| {
        let text = std::fs::read_to_string(stage.libraries.join(name)).unwrap();
        get(move || async move { ([(header::CONTENT_TYPE, "text/javascript")], text) })
    };
    let pages = Router::new()
        .route("/launch.html", get(|| async { Html(PAGE) }))
        .route("/back.html", get(|| async { Html(PAGE) }))
        .route("/fhir-client.js", script("node_modules/fhirclient/build/fhir-client.js"))
        .route("/in-browser.js", script("in-browser.js"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, pages).into_future());
    origin
}

/// A person launches the app, does what they are asked, and this is what the app says at the end.
async fn play(browser: &mut Browser, origin: &str, scene: &Value) -> Value {
    let url = Url::parse_with_params(&format!("{origin}/launch.html"), [("scene", scene.to_string())]).unwrap();
    let tab = browser.open(url.as_str()).await;
    let is_told = "document.body.dataset.outcome";
    let next = format!("document.readyState === 'complete' && ({is_told} || document.querySelector('form button'))");
    for _ in 0..5 {
        browser.until(&tab, &next).await;
        let told = browser.eval(&tab, is_told).await;
        if let Some(told) = told.as_str() {
            return serde_json::from_str(told).unwrap();
        }
        let here = browser.eval(&tab, "location.href").await;
        if browser.eval(&tab, "document.querySelector('input[type=password]') !== null").await == true {
            browser.fill(&tab, "input[name=name]", "julie").await;
            browser.fill(&tab, "input[type=password]", PASSWORD).await;
        }
        let offered = "button[name=choice]";
        let picks = browser.eval(&tab, &format!("document.querySelector('{offered}') !== null")).await == true;
        browser.eval(&tab, "document.body.dataset.left = 'yes'").await;
        browser.click(&tab, if picks { offered } else { "form button" }).await;
        browser.until(&tab, &format!("location.href !== {here} || !document.body.dataset.left")).await;
    }
    panic!("the app is never reached: {scene}");
}

#[tokio::test]
async fn fhirclient_in_a_browser_launches_reads_and_refreshes_as_each_kind_of_app() {
    let Some(program) = browser::program() else {
        assert!(std::env::var_os("CI").is_none(), "no Chromium: install chromium-headless-shell");
        println!("skipped: no Chromium (install chromium-headless-shell, or set SOFA_TEST_BROWSER)");
        return;
    };
    let Some(stage) = Stage::set().await else { return };
    let origin = app_pages(&stage).await;
    let in_browser = |kind| format!("{}-in-browser", name(kind));
    for kind in KINDS {
        let usual = stage.client(&in_browser(kind), Role::App, kind);
        let registered =
            Client { redirect_uris: vec![format!("{origin}/back.html")], origins: vec![origin.clone()], ..usual };
        stage.server.register(&registered).await;
    }
    let mut browser = Browser::start(&program).await;
    for (kind, from) in KINDS.into_iter().flat_map(|kind| From::BOTH.map(|from| (kind, from))) {
        let (mut scene, patient) = stage.scene("fhirclient", kind, from).await;
        scene["client"] = json!(in_browser(kind));
        let result = play(&mut browser, &origin, &scene).await;
        let expected = json!({
            "id": patient, "read": patient, "found": 1, "scope": from.scope().replace(" fhirUser", ""), "kept": false,
        });
        let mut told = result.clone();
        let rotated = told.as_object_mut().unwrap().remove("rotated");
        assert_eq!(told, expected, "{kind:?} {from:?}: {result} {:?}", browser.complaints);
        assert_eq!(rotated, matches!(kind, Kind::Public | Kind::Basic).then(|| json!(true)), "{kind:?} {from:?}");
    }
}
