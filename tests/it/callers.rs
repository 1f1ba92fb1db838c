//! Every route against every kind of caller: who gets past the door.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::fixtures::{SetContext, bundle, entry, observation, patient};
use crate::support::answer::Answer;
use crate::support::poc::{clear_parameters, subscription};
use crate::support::receiver::Receiver;
use crate::support::server::{Options, TestServer};
use crate::support::session::Session;

/// A request of the table.
struct Route {
    name: &'static str,
    method: &'static str,
    path: String,
    body: Option<Value>,
    /// Status per caller, in the order of [`CALLERS`].
    expected: [u16; 8],
}

const CALLERS: [&str; 8] = [
    "no token",
    "garbage",
    "expired",
    "cleared launch",
    "narrow scope",
    "app of the launch",
    "app of another launch",
    "the PoC",
];

/// The callers of the table, built once.
async fn callers(server: &TestServer, receiver: &Receiver) -> (BTreeMap<&'static str, Session>, Vec<String>, String) {
    let mut poc = server.poc("poc", 7).await;
    let subscription = poc.subscribe(receiver).await;
    server.user("user", 7).await;
    let app = server.app("app").await;
    // One hour before the present: its access token is about to run out.
    let early = poc.launch(&SetContext::patient("Early").build()).await;
    let expired = app.launch(&early.id, "user").await;
    server.advance(std::time::Duration::from_secs(3601));
    poc.renew(server).await;
    let cleared = poc.launch(&SetContext::patient("Cleared").build()).await;
    let dead = app.launch(&cleared.id, "user").await;
    poc.clear(&cleared.id).await.expect(200);
    let input = SetContext::patient("Smith").entry("urn:uuid:o", &observation("urn:uuid:patient", "x")).build();
    let launch = poc.launch(&input).await;
    let within = app.launch(&launch.id, "user").await;
    let narrow = app.launch_with(&launch.id, "user", "launch patient/Encounter.r").await.expect("a launch");
    let other = poc.launch(&SetContext::patient("Other").build()).await;
    let outside = app.launch(&other.id, "user").await;
    let sessions = [
        server.stranger(),
        server.stranger().with_token(Some("garbage")),
        expired.session,
        dead.session,
        narrow.session,
        within.session,
        outside.session,
        poc.session.clone(),
    ];
    (CALLERS.into_iter().zip(sessions).collect(), launch.created, subscription)
}

/// The input of `$meta-add` and `$meta-delete`.
fn tag() -> Value {
    let meta = json!({"tag": [{"system": "urn:tag", "code": "t"}]});
    json!({"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]})
}

fn routes(created: &[String], subscription_id: &str, endpoint: &str) -> Vec<Route> {
    let (jane, seen) = (created[0].as_str(), created[1].as_str());
    let id = |reference: &str| reference.split_once('/').unwrap().1.to_owned();
    let mut next = observation(jane, "next");
    next["id"] = json!(id(seen));
    let mut subscription_next = subscription(endpoint, "id-only");
    subscription_next["id"] = json!(subscription_id);
    let route =
        |name, method, path: &str, body, expected| Route { name, method, path: path.to_owned(), body, expected };
    let one = format!("Subscription/{subscription_id}");
    vec![
        //                                                                    none garbage expired cleared narrow within outside PoC
        route("read", "GET", seen, None, [401, 401, 401, 401, 403, 200, 404, 200]),
        route("vread", "GET", &format!("{seen}/_history/1"), None, [401, 401, 401, 401, 403, 200, 404, 200]),
        route("history", "GET", &format!("{seen}/_history"), None, [401, 401, 401, 401, 403, 200, 404, 200]),
        route("create", "POST", "Observation", Some(observation(jane, "n")), [401, 401, 401, 401, 403, 201, 0, 0]),
        route("update", "PUT", seen, Some(next), [401, 401, 401, 401, 403, 200, 405, 0]),
        route("type history", "GET", "Observation/_history", None, [401, 401, 401, 401, 403, 200, 200, 200]),
        route("system history", "GET", "_history", None, [401, 401, 401, 401, 403, 200, 200, 200]),
        route("unknown type", "GET", "Foo/1", None, [404, 404, 404, 404, 404, 404, 404, 404]),
        route(
            "transaction",
            "POST",
            "",
            Some(bundle("transaction", &[entry("", "GET", seen, None)])),
            [401, 401, 401, 401, 403, 200, 404, 200],
        ),
        route("batch", "POST", "", Some(bundle("batch", &[])), [401, 401, 401, 401, 200, 200, 200, 200]),
        route(
            "$set-context",
            "POST",
            "$set-context",
            Some(SetContext::patient("X").build()),
            [401, 401, 401, 401, 403, 403, 403, 200],
        ),
        route(
            "$clear-context",
            "POST",
            "$clear-context",
            Some(clear_parameters("unknown")),
            [401, 401, 401, 401, 403, 403, 403, 404],
        ),
        route("Subscription read", "GET", &one, None, [401, 401, 401, 401, 403, 403, 403, 200]),
        route(
            "Subscription create",
            "POST",
            "Subscription",
            Some(subscription(endpoint, "empty")),
            [401, 401, 401, 401, 403, 403, 403, 201],
        ),
        route("Subscription update", "PUT", &one, Some(subscription_next), [401, 401, 401, 401, 403, 403, 403, 200]),
        route("$status", "GET", &format!("{one}/$status"), None, [401, 401, 401, 401, 403, 403, 403, 200]),
        route("$status of all", "GET", "Subscription/$status", None, [401, 401, 401, 401, 403, 403, 403, 200]),
        route("$events", "GET", &format!("{one}/$events"), None, [401, 401, 401, 401, 403, 403, 403, 200]),
        route("Subscription delete", "DELETE", &one, None, [401, 401, 401, 401, 403, 403, 403, 204]),
        route(
            "$validate of a type",
            "POST",
            "Observation/$validate",
            Some(observation(jane, "v")),
            [401, 401, 401, 401, 200, 200, 200, 200],
        ),
        route(
            "$validate of a resource",
            "GET",
            &format!("{seen}/$validate"),
            None,
            [401, 401, 401, 401, 403, 200, 404, 200],
        ),
        route("$everything", "GET", &format!("{jane}/$everything"), None, [401, 401, 401, 401, 403, 200, 404, 200]),
        route("$meta", "GET", &format!("{seen}/$meta"), None, [401, 401, 401, 401, 403, 200, 404, 200]),
        route(
            "$meta of a version",
            "GET",
            &format!("{seen}/_history/1/$meta"),
            None,
            [401, 401, 401, 401, 403, 200, 404, 200],
        ),
        route("$meta-add", "POST", &format!("{seen}/$meta-add"), Some(tag()), [401, 401, 401, 401, 403, 200, 404, 200]),
        route(
            "$meta-delete",
            "POST",
            &format!("{seen}/$meta-delete"),
            Some(tag()),
            [401, 401, 401, 401, 403, 200, 404, 200],
        ),
        route("an operation that is none", "POST", &format!("{seen}/$expunge"), Some(tag()), [405; 8]),
        route(
            "$get-ws-binding-token",
            "GET",
            &format!("{one}/$get-ws-binding-token"),
            None,
            [401, 401, 401, 401, 404, 404, 404, 404],
        ),
        route("delete", "DELETE", seen, None, [401, 401, 401, 401, 403, 204, 204, 0]),
        route("metadata", "GET", "metadata", None, [200, 200, 200, 200, 200, 200, 200, 200]),
        route("discovery", "GET", ".well-known/smart-configuration", None, [200, 200, 200, 200, 200, 200, 200, 200]),
    ]
}

#[tokio::test]
async fn every_route_lets_in_whom_it_should_and_nobody_else() {
    let config = "[oauth]\nservice_token_ttl = \"5m\"\n[delivery]\ntimeout = \"10s\"";
    let server = TestServer::with(Options { manual_clock: true, config, ..Options::default() }).await;
    let receiver = Receiver::start().await;
    let (sessions, created, subscription) = callers(&server, &receiver).await;
    let mut wrong = Vec::new();
    for route in routes(&created, &subscription, &receiver.url()) {
        for (caller, expected) in CALLERS.iter().zip(route.expected) {
            let sent = route.body.as_ref().map(Value::to_string);
            let answer = sessions[caller].send(route.method, &route.path, &[], sent).await;
            // 0: another table's concern.
            if expected != 0 && answer.status != expected {
                wrong.push(format!(
                    "{} as {caller}: {} instead of {expected}: {}",
                    route.name, answer.status, answer.text
                ));
            }
            check_refusal(&answer, caller);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A refusal is an OperationOutcome, and a 401 says how to do better.
fn check_refusal(answer: &Answer, caller: &str) {
    if answer.status == 401 {
        let challenge = answer.header("www-authenticate");
        assert!(challenge.starts_with("Bearer"), "{}: {:?}", answer.asked, answer.headers);
        assert_eq!(challenge.contains("invalid_token"), caller != "no token", "{}: {challenge}", answer.asked);
        let code = &answer.json()["issue"][0]["code"];
        assert_eq!(code, if caller == "expired" { "expired" } else { "login" }, "{}", answer.asked);
    }
    if answer.status == 403 {
        assert!(
            answer.header("www-authenticate").contains("insufficient_scope"),
            "{}: {:?}",
            answer.asked,
            answer.headers
        );
    }
    if answer.status >= 400 {
        answer.clone().expect_outcome();
    }
}

#[tokio::test]
async fn each_letter_of_a_scope_allows_its_own_interaction_only() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    server.user("user", 7).await;
    let app = server.app("app").await;
    let input = SetContext::patient("Smith").entry("urn:uuid:o", &observation("urn:uuid:patient", "x")).build();
    for (letter, expected) in [
        // read vread history update create conditional-create delete
        ("c", [403, 403, 403, 403, 201, 403, 403]),
        ("r", [200, 200, 200, 403, 403, 403, 403]),
        ("u", [403, 403, 403, 200, 403, 403, 403]),
        ("d", [403, 403, 403, 403, 403, 403, 204]),
        ("s", [403, 403, 403, 403, 403, 403, 403]),
        ("read", [200, 200, 200, 403, 403, 403, 403]),
        ("write", [403, 403, 403, 200, 201, 403, 204]),
        ("*", [200, 200, 200, 200, 201, 201, 204]),
    ] {
        for level in ["patient", "user"] {
            let launch = poc.launch(&input).await;
            let (jane, seen) = (launch.created[0].as_str(), launch.created[1].as_str());
            let scope = format!("launch {level}/Observation.{letter}");
            let app = app.launch_with(&launch.id, "user", &scope).await.expect("a launch");
            let mut next = observation(jane, "next");
            next["id"] = json!(seen.split_once('/').unwrap().1);
            let mut identified = observation(jane, "once");
            identified["identifier"] = json!([{"system": "urn:once", "value": "1"}]);
            let conditional = app.send(
                "POST",
                "Observation",
                &[("if-none-exist", "identifier=urn:once|1")],
                Some(identified.to_string()),
            );
            let found = [
                app.get(seen).await.status,
                app.get(&format!("{seen}/_history/1")).await.status,
                app.get(&format!("{seen}/_history")).await.status,
                app.put(seen, &next).await.status,
                app.post("Observation", &observation(jane, "new")).await.status,
                conditional.await.status,
                app.delete(seen).await.status,
            ];
            assert_eq!(found, expected, "{scope}");
            app.get(jane).await.expect(403);
        }
    }
}

#[tokio::test]
async fn a_create_without_leave_to_read_tells_nothing_but_what_was_sent() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    server.user("user", 7).await;
    let launch = poc.launch(&SetContext::patient("Smith").build()).await;
    let app = server
        .app("app")
        .await
        .launch_with(&launch.id, "user", "launch patient/Observation.c")
        .await
        .expect("a launch");
    let made = app.post("Observation", &observation(launch.first("Patient"), "x")).await.expect(201);
    assert!(!made.text.contains("Smith"));
    app.get(made.header("location")).await.expect(403);
}

#[tokio::test]
async fn a_disabled_client_and_a_disabled_user_are_out_at_once() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    let user = server.user("user", 7).await;
    let launch = poc.launch(&SetContext::patient("Smith").build()).await;
    let app = server.app("app").await.launch(&launch.id, "user").await;
    let path = launch.first("Patient");
    let now = server.now();
    let switch = async |client: Option<(&str, bool)>, enabled_user: Option<bool>| {
        let mut tx = sofa::store::begin(&server.db.pool).await.unwrap();
        if let Some((id, on)) = client {
            assert!(sofa::store::client::set_enabled(&mut tx, id, on, now).await.unwrap());
        }
        if let Some(on) = enabled_user {
            assert!(sofa::store::user::set_enabled(&mut tx, user.id, on, now).await.unwrap());
        }
        tx.commit().await.unwrap();
    };
    app.get(path).await.expect(200);
    switch(Some(("app", false)), None).await;
    app.get(path).await.expect(401);
    switch(Some(("app", true)), Some(false)).await;
    app.get(path).await.expect(401);
    switch(None, Some(true)).await;
    app.get(path).await.expect(200);
    switch(Some(("poc", false)), None).await;
    poc.get(path).await.expect(401);
    app.get(path).await.expect(401);
    switch(Some(("poc", true)), None).await;
    app.get(path).await.expect(200);
    let mut tx = sofa::store::begin(&server.db.pool).await.unwrap();
    assert!(sofa::store::client::disable(&mut tx, "poc", now).await.unwrap());
    tx.commit().await.unwrap();
    switch(Some(("poc", true)), None).await;
    app.get(path).await.expect(401);
    poc.get(path).await.expect(401);
}

#[tokio::test]
async fn tokens_of_elsewhere_and_tokens_in_the_wrong_place_are_refused() {
    let (here, there) = tokio::join!(TestServer::start(), TestServer::start());
    let foreign = there.poc("poc", 7).await;
    let mine = here.poc("poc", 7).await;
    here.stranger().with_token(foreign.token.as_deref()).get("Patient/1").await.expect(401).expect_outcome();
    let token = mine.token.clone().unwrap();
    here.stranger().get(&format!("Patient/1?access_token={token}")).await.expect(401).expect_outcome();
    let basic = here.stranger().send("GET", "Patient/1", &[("authorization", &format!("Basic {token}"))], None).await;
    basic.expect(401).expect_outcome();
    // Signed by nobody: the same claims without a signature.
    let mut parts: Vec<_> = token.split('.').map(str::to_owned).collect();
    parts[2] = String::new();
    here.stranger().with_token(Some(&parts.join("."))).get("Patient/1").await.expect(401).expect_outcome();
    let none =
        base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, "{\"alg\":\"none\",\"typ\":\"JWT\"}");
    here.stranger()
        .with_token(Some(&format!("{none}.{}.", parts[1])))
        .get("Patient/1")
        .await
        .expect(401)
        .expect_outcome();
    mine.get("Patient/1").await.expect(404);
}

#[tokio::test]
async fn a_launch_of_another_server_begins_nothing_here() {
    let (here, there) = tokio::join!(TestServer::start(), TestServer::start());
    let (foreign, _receiver) = there.subscribed_poc("poc", 7).await;
    here.poc("poc", 7).await;
    here.user("user", 7).await;
    let launch = foreign.launch(&SetContext::patient("Smith").build()).await;
    let refused = here.app("app").await.launch_with(&launch.id, "user", "launch patient/*.rs").await;
    assert_eq!(refused.err().expect("a refusal").code(), "invalid_request");
}

#[tokio::test]
async fn an_app_outside_a_launch_gets_no_data() {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    let id = service.post("Patient", &patient("Shared")).await.expect(201).id();
    server.user("user", 7).await;
    let app = server.app("app").await;
    let refused = app.launch_with("no-such-launch", "user", "launch patient/*.rs").await;
    assert!(refused.is_err());
    server.stranger().get(&format!("Patient/{id}")).await.expect(401);
}

#[tokio::test]
async fn to_search_and_to_patch_take_letters_of_their_own() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    server.user("user", 7).await;
    let app = server.app("app").await;
    let input = SetContext::patient("Smith").entry("urn:uuid:o", &observation("urn:uuid:patient", "x")).build();
    for (letter, expected) in [
        // search, search by POST, type history, patch
        ("c", [403, 403, 403, 403]),
        ("r", [403, 403, 403, 403]),
        ("u", [403, 403, 403, 200]),
        ("d", [403, 403, 403, 403]),
        ("s", [200, 200, 200, 403]),
        ("read", [200, 200, 200, 403]),
        ("write", [403, 403, 403, 200]),
        ("*", [200, 200, 200, 200]),
    ] {
        for level in ["patient", "user"] {
            let launch = poc.launch(&input).await;
            let seen = launch.created[1].as_str();
            let scope = format!("launch {level}/Observation.{letter}");
            let app = app.launch_with(&launch.id, "user", &scope).await.expect("a launch");
            let patch = json!([{"op": "replace", "path": "/status", "value": "amended"}]).to_string();
            let found = [
                app.get("Observation").await.status,
                app.send(
                    "POST",
                    "Observation/_search",
                    &[("content-type", "application/x-www-form-urlencoded")],
                    Some(String::new()),
                )
                .await
                .status,
                app.get("Observation/_history").await.status,
                app.send("PATCH", seen, &[("content-type", "application/json-patch+json")], Some(patch)).await.status,
            ];
            assert_eq!(found, expected, "{scope}");
            app.get("Condition").await.expect(403);
        }
    }
}

#[tokio::test]
async fn what_another_server_with_the_same_keys_handed_out_is_worth_nothing_here() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    server.user("user", 7).await;
    let launch = poc.launch(&SetContext::patient("Smith").build()).await;
    let app = server.app("app").await.launch(&launch.id, "user").await;
    let neighbour = server.neighbour().await;
    for session in [&app.session, &poc.session] {
        session.get(launch.first("Patient")).await.expect(200);
        let there = Session { fhir: neighbour.clone(), ..session.clone() };
        there.get(launch.first("Patient")).await.expect(401).expect_outcome();
    }
}
