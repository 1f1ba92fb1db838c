//! `$clear-context` and expiry: every situation of the contract's section on them.

use std::time::Duration;

use serde_json::{Value, json};
use sofa::context::expiry;

use crate::fixtures::{SetContext, halo_sample, observation, patient};
use crate::support::app::{Launched, WIDEST};
use crate::support::poc::{HALO, Launch, PointOfCare, clear_parameters};
use crate::support::receiver::{Behaviour, Receiver};
use crate::support::server::{Options, TestServer};

/// A PoC with a launch in which an app has written an Observation, twice.
struct Scene {
    server: TestServer,
    poc: PointOfCare,
    receiver: Receiver,
    launch: Launch,
    app: Launched,
    /// `Observation/id`, at version 2.
    written: String,
}

async fn scene(options: Options<'_>) -> Scene {
    let server = TestServer::with(options).await;
    let (poc, receiver) = server.subscribed_poc("poc", 7).await;
    server.user("user", 7).await;
    let launch = poc.launch(&SetContext::patient("Smith").build()).await;
    let app = server.app("app").await.launch_with(&launch.id, "user", WIDEST).await.expect("a launch");
    let subject = launch.first("Patient");
    let id = app.post("Observation", &observation(subject, "first")).await.expect(201).id();
    let mut second = observation(subject, "second");
    second["id"] = json!(id);
    app.put(&format!("Observation/{id}"), &second).await.expect(200);
    Scene { server, poc, receiver, launch, app, written: format!("Observation/{id}") }
}

/// Everything of the launch is gone, in every version, and its tokens with it.
async fn assert_gone(scene: &Scene) {
    for reference in scene.launch.created.iter().chain([&scene.written]) {
        for path in [reference.clone(), format!("{reference}/_history/1")] {
            let answer = scene.poc.get(&path).await.expect(410).expect_outcome();
            assert!(!answer.text.contains("Smith") && !answer.text.contains("first"), "{}", answer.text);
        }
        let history = scene.poc.get(&format!("{reference}/_history")).await;
        assert!(!history.text.contains("Smith") && !history.text.contains("second"), "{}", history.text);
    }
    let dead = scene.app.get(&scene.written).await.expect(401).expect_outcome();
    assert!(dead.header("www-authenticate").contains("invalid_token"), "{:?}", dead.headers);
    let bodies = "select count(*) from (select body from resource where body is not null and type <> 'Subscription'
      union all select body from resource_history where body is not null and type <> 'Subscription') as kept";
    assert_eq!(scene.server.count(bodies).await, 0, "no content is left in the database");
    assert_eq!(scene.server.count("select count(*) from search_token left join resource using (tenant, key) where type is distinct from 'Subscription'").await, 0);
}

#[tokio::test]
async fn a_clear_removes_what_the_poc_and_the_app_made_and_ends_the_tokens() {
    let scene = scene(Options::default()).await;
    let answer = scene.poc.clear(&scene.launch.id).await.expect(200).json();
    assert_eq!(answer["resourceType"], "Parameters");
    let outcomes: Vec<_> = answer["parameter"].as_array().unwrap().iter().collect();
    assert!(!outcomes.is_empty() && outcomes.iter().all(|one| one["name"] == "outcome"), "{answer}");
    let said = outcomes.iter().map(|one| one["resource"].to_string()).collect::<String>();
    assert!(said.contains("OperationOutcome"), "{said}");
    for word in ["Patient", "Observation", "1"] {
        assert!(said.contains(word), "how many of which types: {said}");
    }
    assert_gone(&scene).await;
}

#[tokio::test]
async fn after_a_clear_neither_refresh_token_nor_code_nor_launch_works() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    server.user("user", 7).await;
    let launch = poc.launch(&SetContext::patient("Smith").build()).await;
    let app = server.app("app").await;
    let launched = app.launch_with(&launch.id, "user", WIDEST).await.expect("a launch");
    let refresh = launched.tokens["refresh_token"].as_str().expect("a refresh token").to_owned();
    let verifier = sofa::id::random_token();
    let code = app.authorize(&verifier, &launch.id, "user", "launch patient/*.rs").await.expect("a code");
    poc.clear(&launch.id).await.expect(200);
    assert_eq!(app.refresh(&refresh).await.expect(400).json()["error"], "invalid_grant");
    assert_eq!(app.exchange(&code, &verifier).await.expect(400).json()["error"], "invalid_grant");
    assert!(app.launch_with(&launch.id, "user", "launch patient/*.rs").await.is_err());
}

#[tokio::test]
async fn a_second_clear_is_told_that_it_is_gone() {
    let scene = scene(Options::default()).await;
    scene.poc.clear(&scene.launch.id).await.expect(200);
    scene.poc.clear(&scene.launch.id).await.expect(410).expect_outcome();
}

#[tokio::test]
async fn of_two_clears_at_once_one_does_it() {
    let scene = scene(Options::default()).await;
    let (one, two) = tokio::join!(scene.poc.clear(&scene.launch.id), scene.poc.clear(&scene.launch.id));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 410], "{} {}", one.text, two.text);
    assert_gone(&scene).await;
}

#[tokio::test]
async fn a_launch_of_another_poc_is_indistinguishable_from_none() {
    let scene = scene(Options::default()).await;
    let (rival, _theirs) = scene.server.subscribed_poc("rival", 8).await;
    let foreign = rival.clear(&scene.launch.id).await.expect(404).expect_outcome();
    let unknown = rival.clear(&sofa::id::random_token()).await.expect(404).expect_outcome();
    assert_eq!(foreign.text.replace(&scene.launch.id, ""), unknown.text);
    scene.app.get(&scene.written).await.expect(200);
    scene.poc.clear(&scene.launch.id).await.expect(200);
    rival.clear(&scene.launch.id).await.expect(404);
}

#[tokio::test]
async fn misshapen_calls_are_refused() {
    let scene = scene(Options::default()).await;
    let launch_id = json!({"name": "launchID", "valueString": scene.launch.id});
    let with = |parameters: Value| json!({"resourceType": "Parameters", "parameter": parameters});
    for (why, input) in [
        ("no parameter", with(json!([]))),
        ("no parameters at all", json!({"resourceType": "Parameters"})),
        ("twice", with(json!([launch_id, launch_id]))),
        ("wrong type", with(json!([{"name": "launchID", "valueId": scene.launch.id}]))),
        ("a number", with(json!([{"name": "launchID", "valueInteger": 3}]))),
        ("wrong case", with(json!([{"name": "launchId", "valueString": scene.launch.id}]))),
        ("an unknown one beside it", with(json!([launch_id, {"name": "force", "valueBoolean": true}]))),
        ("another resource", patient("Smith")),
    ] {
        let answer = scene.poc.post("$clear-context", &input).await;
        assert_eq!(answer.status, 400, "{why}: {}", answer.text);
        answer.expect_outcome();
    }
    scene.poc.post("$clear-context", &"{").await.expect(400).expect_outcome();
    scene.app.get(&scene.written).await.expect(200);
}

#[tokio::test]
async fn get_is_not_allowed() {
    let server = TestServer::start().await;
    let poc = server.poc("poc", 7).await;
    assert!(poc.get("$clear-context").await.expect(405).expect_outcome().header("allow").contains("POST"));
}

#[tokio::test]
async fn only_a_poc_with_the_scope_may_clear() {
    let scene = scene(Options::default()).await;
    let input = clear_parameters(&scene.launch.id);
    scene.server.stranger().post("$clear-context", &input).await.expect(401).expect_outcome();
    scene.app.post("$clear-context", &input).await.expect(403).expect_outcome();
    scene.server.service("service").await.post("$clear-context", &input).await.expect(403).expect_outcome();
    let set_only = scene.poc.scoped(&scene.server, &format!("{HALO}OperationDefinition/set-context")).await;
    set_only.post("$clear-context", &input).await.expect(403).expect_outcome();
    scene.app.get(&scene.written).await.expect(200);
    let alias = scene.poc.scoped(&scene.server, "Context.write").await;
    alias.post("$clear-context", &input).await.expect(200);
}

#[tokio::test]
async fn what_was_there_before_and_what_if_none_exist_found_stays() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    let service = server.service("service").await;
    let organization =
        json!({"resourceType": "Organization", "name": "Ministry", "identifier": [{"system": "s", "value": "1"}]});
    let shared = format!("Organization/{}", service.post("Organization", &organization).await.expect(201).id());
    let mut jane = patient("Smith");
    jane["managingOrganization"] = json!({"reference": "urn:uuid:o"});
    let input = SetContext::default()
        .reference("patient", "urn:uuid:p")
        .entry("urn:uuid:p", &jane)
        .entry_if_none_exist("urn:uuid:o", &organization, "identifier=s|1");
    let launch = poc.launch(&input.build()).await;
    assert_eq!(launch.first("Organization"), shared);
    poc.clear(&launch.id).await.expect(200);
    service.get(&shared).await.expect(200);
    poc.get(launch.first("Patient")).await.expect(410);
}

#[tokio::test]
async fn a_clear_leaves_other_launches_alone() {
    let scene = scene(Options::default()).await;
    let other = scene.poc.launch(&halo_sample()).await;
    scene.poc.clear(&scene.launch.id).await.expect(200);
    for reference in &other.created {
        scene.poc.get(reference).await.expect(200);
    }
    scene.poc.clear(&other.id).await.expect(200);
}

/// A request that finds its Patient again when it is sent again.
fn same_patient() -> Value {
    let mut jane = patient("Smith");
    jane["identifier"] = json!([{"system": "s", "value": "1"}]);
    SetContext::default()
        .reference("patient", "urn:uuid:p")
        .entry_if_none_exist("urn:uuid:p", &jane, "identifier=s|1")
        .build()
}

#[tokio::test]
async fn a_hit_of_if_none_exist_outlives_the_launch_that_made_it() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    let input = same_patient();
    let (first, second) = (poc.launch(&input).await, poc.launch(&input).await);
    assert_eq!(first.first("Patient"), second.first("Patient"));
    poc.clear(&first.id).await.expect(200);
    poc.get(second.first("Patient")).await.expect(200);
    poc.clear(&second.id).await.expect(200);
    poc.get(second.first("Patient")).await.expect(410);
}

#[tokio::test]
async fn a_clear_notifies_nobody() {
    let scene = scene(Options::default()).await;
    let before = scene.receiver.events().len();
    scene.poc.clear(&scene.launch.id).await.expect(200);
    // What comes after it has the next number, so nothing came between.
    let launch = scene.poc.launch(&SetContext::patient("Jones").build()).await;
    let app = scene.server.app("app-2").await.launch(&launch.id, "user").await;
    app.post("Observation", &observation(launch.first("Patient"), "x")).await.expect(201);
    let events = scene.receiver.wait_for(before + 1).await;
    assert_eq!(events.len(), before + 1);
    assert_eq!(events.last().unwrap().numbers(), [3]);
}

#[tokio::test]
async fn a_write_that_waits_for_its_poc_is_abandoned_by_a_clear() {
    let scene = scene(Options::default()).await;
    scene.receiver.behave(Behaviour::Hang);
    let observation = observation(scene.launch.first("Patient"), "waiting");
    let write = scene.app.post("Observation", &observation);
    let clear = async {
        scene.receiver.wait_for(3).await;
        let cleared = scene.poc.clear(&scene.launch.id).await.expect(200);
        scene.receiver.behave(Behaviour::Accept);
        cleared
    };
    let (written, _) = tokio::join!(write, clear);
    written.expect_issue(409, "conflict");
    assert_gone(&scene).await;
    assert_eq!(scene.server.count("select count(*) from intent").await, 0);
    assert_eq!(scene.server.count("select count(*) from write_lock").await, 0);
}

#[tokio::test]
async fn ten_thousand_resources_are_cleared_completely() {
    let server = TestServer::configured(
        "[fhir]
max_bundle_entries = 10000",
    )
    .await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    let mut input = SetContext::patient("Smith");
    for number in 1..10_000 {
        let resource = observation("urn:uuid:patient", &number.to_string());
        input = input.entry(&format!("urn:uuid:00000000-0000-4000-8000-{number:012}"), &resource);
    }
    let launch = poc.launch(&input.build()).await;
    assert_eq!(launch.created.len(), 10_000);
    let answer = poc.clear(&launch.id).await.expect(200);
    assert!(answer.text.contains("9999"), "{}", answer.text);
    let left = "select count(*) from resource where body is not null and type <> 'Subscription'";
    assert_eq!(server.count(left).await, 0);
    for reference in [&launch.created[0], &launch.created[9_999]] {
        poc.get(reference).await.expect(410);
    }
}

#[tokio::test]
async fn an_expired_launch_is_dead_before_anybody_cleans_up() {
    let options =
        Options { manual_clock: true, without_workers: true, config: "[context]\nttl = \"12h\"", ..Options::default() };
    let mut scene = scene(options).await;
    scene.server.advance(Duration::from_secs(12 * 3600 + 1));
    scene.app.get(&scene.written).await.expect(401).expect_outcome();
    scene.poc.renew(&scene.server).await;
    scene.poc.clear(&scene.launch.id).await.expect(410).expect_outcome();
    let refused = scene.server.app("app-2").await.launch_with(&scene.launch.id, "user", "launch patient/*.rs").await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn an_expired_launch_is_cleared_by_the_server_itself_and_once() {
    let options =
        Options { manual_clock: true, without_workers: true, config: "[context]\nttl = \"12h\"", ..Options::default() };
    let mut scene = scene(options).await;
    let engine = scene.server.engine.clone();
    scene.server.advance(Duration::from_secs(12 * 3600 - 60));
    assert_eq!(expiry::sweep(&engine).await.expect("a sweep"), 0, "not before its time");
    scene.poc.renew(&scene.server).await;
    let later = scene.poc.launch(&SetContext::patient("Jones").build()).await;
    scene.server.advance(Duration::from_secs(61));
    let (one, two) = tokio::join!(expiry::sweep(&engine), expiry::sweep(&engine));
    assert_eq!(one.expect("a sweep") + two.expect("a sweep"), 1, "each context once, however many replicas look");
    scene.poc.get(later.first("Patient")).await.expect(200);
    scene.poc.clear(&later.id).await.expect(200);
    assert_gone(&scene).await;
    scene.poc.clear(&scene.launch.id).await.expect(410);
    assert_eq!(scene.receiver.events().len(), 2, "expiry notifies nobody");
    let rows = "select count(*) from audit where action = 'context-expire' or detail like '%expire%' or action like 'context%'";
    assert!(scene.server.count(rows).await >= 3);
}

#[tokio::test]
async fn only_an_audit_row_with_ids_remains() {
    let scene = scene(Options::default()).await;
    scene.poc.clear(&scene.launch.id).await.expect(200);
    let rows: Vec<String> =
        sqlx::query_scalar("select audit::text from audit").fetch_all(&scene.server.db.pool).await.unwrap();
    assert!(rows.iter().any(|row| row.contains("context-clear")), "{rows:#?}");
    assert!(rows.iter().any(|row| row.contains("context-set")), "{rows:#?}");
    assert!(rows.iter().all(|row| !row.contains("Smith") && !row.contains(&scene.launch.id)), "{rows:#?}");
}

#[tokio::test]
async fn contexts_that_share_a_resource_and_are_cleared_at_once_leave_nothing() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    let input = same_patient();
    for _ in 0..8 {
        let (first, second) = (poc.launch(&input).await, poc.launch(&input).await);
        assert_eq!(first.first("Patient"), second.first("Patient"));
        let (one, other) = tokio::join!(poc.clear(&first.id), poc.clear(&second.id));
        one.expect(200);
        other.expect(200);
        poc.get(first.first("Patient")).await.expect(410);
    }
    assert_eq!(server.count("select count(*) from resource where type = 'Patient' and body is not null").await, 0);
}

#[tokio::test]
async fn a_launch_never_links_what_is_just_being_cleared() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    let input = same_patient();
    for _ in 0..8 {
        let first = poc.launch(&input).await;
        let (cleared, second) = tokio::join!(poc.clear(&first.id), poc.launch(&input));
        cleared.expect(200);
        // Handed over or made anew: the launch has its patient.
        poc.get(second.first("Patient")).await.expect(200);
        poc.clear(&second.id).await.expect(200);
        poc.get(second.first("Patient")).await.expect(410);
    }
}
