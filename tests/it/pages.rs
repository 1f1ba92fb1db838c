//! Paging links of searches whose parameters are too long for an address: those of long forms, POSTed.

use std::time::Duration;

use serde_json::Value;

use crate::fixtures::{SetContext, observation};
use crate::support::server::{Options, TestServer};
use crate::support::session::Session;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// What a link may be long.
const SHORT: usize = 4096 + 200;

/// A form of 64 kB that asks for these ids, among many others.
fn long_form(ids: &[String]) -> String {
    let others: Vec<_> = (0..1700).map(|_| sofa::id::new_uuid().to_string()).collect();
    format!("_count=1&_id={},{}", others.join(","), ids.join(","))
}

async fn post(session: &Session, path: &str, form: &str) -> Value {
    session.send("POST", path, &[FORM], Some(form.to_owned())).await.expect(200).json()
}

fn link(bundle: &Value, relation: &str) -> Option<String> {
    let link = bundle["link"].as_array().unwrap().iter().find(|link| link["relation"] == relation)?;
    Some(link["url"].as_str().unwrap().to_owned())
}

fn ids(bundle: &Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().into_iter().flatten();
    entries.map(|entry| entry["resource"]["id"].as_str().unwrap().to_owned()).collect()
}

async fn organizations(service: &Session, count: usize) -> Vec<String> {
    let mut made = Vec::new();
    for _ in 0..count {
        let organization = serde_json::json!({"resourceType": "Organization", "name": "x"});
        made.push(service.post("Organization", &organization).await.expect(201).id());
    }
    made.reverse();
    made
}

const KEPT: &str = "select count(*) from search_page";

#[tokio::test]
async fn a_long_form_is_paged_by_short_links() {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    let made = organizations(&service, 3).await;
    let form = long_form(&made);
    for path in ["Organization/_search", "_search?_type=Organization"] {
        let first = post(&service, path, &form).await;
        assert_eq!(ids(&first), made[..1]);
        assert!(link(&first, "self").unwrap().len() > 60_000, "self says what was asked");
        let mut page = first.clone();
        for (at, id) in made.iter().enumerate() {
            assert_eq!(ids(&page), std::slice::from_ref(id), "{path}");
            for relation in ["first", "previous", "next", "last"] {
                if let Some(url) = link(&page, relation) {
                    assert!(url.len() < SHORT, "{relation}: {}", url.len());
                    let expected = match relation {
                        "first" => 0,
                        "previous" => at - 1,
                        "next" => at + 1,
                        _ => made.len() - 1,
                    };
                    assert_eq!(
                        ids(&service.get(&url).await.expect(200).json()),
                        [made[expected].clone()],
                        "{relation}"
                    );
                }
            }
            assert_eq!(link(&page, "previous").is_some(), at > 0);
            if let Some(url) = link(&page, "next") {
                page = service.get(&url).await.expect(200).json();
                assert_eq!(link(&page, "self").unwrap(), url);
            }
        }
        assert_eq!(link(&page, "next"), None);
    }
    assert_eq!(server.count(KEPT).await, 2, "one for each listing, whatever its pages");
    post(&service, "Organization/_search", &form).await;
    assert_eq!(server.count(KEPT).await, 2, "the same question is kept once");
    let kept: Vec<u8> =
        sqlx::query_scalar("select sealed from search_page limit 1").fetch_one(&server.db.pool).await.unwrap();
    assert!(!kept.windows(36).any(|bytes| bytes == made[0].as_bytes()), "sealed");
}

#[tokio::test]
async fn what_fits_into_a_link_or_on_a_page_is_not_kept() {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    let made = organizations(&service, 2).await;
    let short = post(&service, "Organization/_search", &format!("_count=1&_id={}", made.join(","))).await;
    assert_eq!(ids(&service.get(&link(&short, "next").unwrap()).await.expect(200).json()), made[1..]);
    assert!(link(&short, "first").unwrap().contains("_id="));
    let alone = post(&service, "Organization/_search", &long_form(&made[..1])).await;
    assert_eq!((ids(&alone), link(&alone, "first"), link(&alone, "next")), (made[..1].to_vec(), None, None));
    let count = post(&service, "Organization/_search", &format!("{}&_summary=count", long_form(&made))).await;
    assert_eq!(count["total"], 2);
    assert_eq!(server.count(KEPT).await, 0);
}

#[tokio::test]
async fn kept_parameters_are_of_no_use_to_anybody_else_and_go_with_their_launch() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    server.user("user", 7).await;
    let (sample, second) = (server.app("app").await, server.app("second").await);
    let launch = poc.launch(&SetContext::patient("Smith").build()).await;
    let elsewhere = poc.launch(&SetContext::patient("Jones").build()).await;
    let app = sample.launch(&launch.id, "user").await;
    let mut made = Vec::new();
    for text in ["a", "b"] {
        made.push(app.post("Observation", &observation(launch.first("Patient"), text)).await.expect(201).id());
    }
    let form = long_form(&made);
    let next = link(&post(&app, "Observation/_search", &form).await, "next").unwrap();
    let of_poc = link(&post(&poc, "Observation/_search", &form).await, "next").unwrap();
    assert_eq!(server.count(KEPT).await, 2, "each caller has its own");
    let again = sample.launch(&launch.id, "user").await;
    assert_eq!(ids(&again.get(&next).await.expect(200).json()), made[..1], "a new token, the same caller");
    let (of_other_launch, of_other_app) =
        (sample.launch(&elsewhere.id, "user").await, second.launch(&launch.id, "user").await);
    for stranger in [&poc.session, &of_other_launch, &of_other_app] {
        stranger.get(&next).await.expect_issue(404, "not-found");
    }
    app.get(&of_poc).await.expect_issue(404, "not-found");
    app.get(&next.replace("/Observation?", "/Patient?")).await.expect_issue(404, "not-found");
    poc.clear(&launch.id).await.expect(200);
    app.get(&next).await.expect(401);
    assert_eq!(server.count(KEPT).await, 1, "the launch's are gone");
    assert_eq!(ids(&poc.get(&of_poc).await.expect(200).json()), Vec::<String>::new(), "as what they were about");
}

#[tokio::test]
async fn kept_parameters_are_forgotten_a_day_after_their_last_use() {
    let server = TestServer::with(Options { manual_clock: true, without_workers: true, ..Options::default() }).await;
    let mut poc = server.poc("poc", 7).await;
    let made = organizations(&poc, 2).await;
    let next = link(&post(&poc, "Organization/_search", &long_form(&made)).await, "next").unwrap();
    for (hours, answer, kept) in [(20, 200, 1), (20, 200, 1), (24, 404, 1), (0, 404, 0)] {
        server.advance(Duration::from_secs(hours * 3600));
        if hours == 0 {
            sofa::context::expiry::sweep(&server.engine).await.unwrap();
        }
        poc.renew(&server).await;
        assert_eq!(poc.get(&next).await.status, answer);
        assert_eq!(server.count(KEPT).await, kept);
    }
}
