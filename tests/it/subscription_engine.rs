//! Subscriptions below HTTP: accepted, asked by a handshake, shown, reported.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use sofa::access::audit::Trail;
use sofa::access::{Act, Caller, Permit, Walls, authorize};
use sofa::clock::{Clock, ManualClock};
use sofa::config::Config;
use sofa::fhir::json::Limits;
use sofa::fhir::resource::Resource;
use sofa::fhir::search::Handling;
use sofa::interaction::write::Written;
use sofa::interaction::{Engine, Failure, create, delete, history, read, subscription, update};
use sofa::smart::scope::ScopeSet;
use sofa::store::client::Role;
use sofa::subscription::request::BACKPORT;
use time::macros::datetime;

use crate::support::db::{TestDb, db};
use crate::support::engine::engine;

/// A receiver that answers with a status of the test's choice and keeps what it got.
#[derive(Clone, Default)]
struct Receiver {
    status: Arc<AtomicU16>,
    got: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
    url: String,
}

impl Receiver {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/notify", listener.local_addr().unwrap());
        let this = Self { url, status: Arc::new(AtomicU16::new(200)), ..Self::default() };
        let router = axum::Router::new().route("/{*path}", axum::routing::post(Self::receive)).with_state(this.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        this
    }

    async fn receive(State(this): State<Self>, headers: HeaderMap, axum::Json(body): axum::Json<Value>) -> StatusCode {
        this.got.lock().unwrap().push((headers, body));
        StatusCode::from_u16(this.status.load(Ordering::Relaxed)).unwrap()
    }

    fn answers(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    fn count(&self) -> usize {
        self.got.lock().unwrap().len()
    }

    fn last(&self) -> (HeaderMap, Value) {
        self.got.lock().unwrap().last().unwrap().clone()
    }
}

struct World {
    db: TestDb,
    engine: Engine,
    clock: Arc<ManualClock>,
    receiver: Receiver,
}

impl World {
    async fn new() -> Self {
        let db = db().await;
        let clock = Arc::new(ManualClock::at(datetime!(2026-01-02 03:04:05 UTC)));
        let engine = engine(db.pool.clone(), clock.clone(), Config::for_tests(""));
        Self { db, engine, clock, receiver: Receiver::start().await }
    }

    fn subscription(&self) -> Value {
        let level = json!({"url": format!("{BACKPORT}/backport-payload-content"), "valueCode": "full-resource"});
        json!({
            "resourceType": "Subscription",
            "status": "requested",
            "reason": "to know",
            "criteria": sofa::subscription::topic::all()[0].url,
            "channel": {
                "type": "rest-hook",
                "endpoint": self.receiver.url,
                "payload": "application/fhir+json",
                "_payload": {"extension": [level]},
                "header": ["Authorization: Bearer secret:1", "X-Own: a"]
            }
        })
    }

    async fn create(&self, value: &Value) -> Result<Written, Failure> {
        let permit = permit("poc", Act::Create { kind: "Subscription", conditional: false });
        create::create(&self.engine, &caller("poc"), permit, resource(value), None).await
    }

    async fn update(&self, id: &str, mut value: Value) -> Value {
        value["id"] = json!(id);
        let permit = permit("poc", Act::Update { kind: "Subscription" });
        let written = update::update(&self.engine, &caller("poc"), permit, id, resource(&value), None).await.unwrap();
        serde_json::from_str(&written.stored.unwrap().body).unwrap()
    }

    /// Creates the usual Subscription; its answer.
    async fn created(&self) -> Value {
        serde_json::from_str(&self.create(&self.subscription()).await.unwrap().stored.unwrap().body).unwrap()
    }

    async fn read(&self, id: &str) -> Value {
        let read = read::read(&self.engine, &reader("poc"), "Subscription", id).await.unwrap();
        serde_json::from_str(&read.body).unwrap()
    }

    /// Waits for the handshake to be over. Each round is a query, so nothing is slept away.
    async fn settled(&self, id: &str) -> Value {
        for _ in 0..2000 {
            let found = self.read(id).await;
            if found["status"] != "requested" {
                return found;
            }
        }
        panic!("the handshake never ended");
    }

    async fn reported(&self, id: &str) -> Value {
        serde_json::from_str(&subscription::status(&self.engine, &reader("poc"), id).await.unwrap()).unwrap()
    }

    async fn events(&self, id: &str, inputs: &[(&str, &str)]) -> Result<Value, Failure> {
        let inputs: Vec<_> = inputs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let text = subscription::events(&self.engine, &reader("poc"), id, &inputs).await?;
        Ok(serde_json::from_str(&text).unwrap())
    }
}

fn resource(value: &Value) -> Resource {
    Resource::parse(&value.to_string(), &Limits::default()).unwrap()
}

fn caller(client: &str) -> Caller {
    Caller {
        client_id: client.to_owned(),
        role: Role::Poc,
        tenant: 1,
        user_id: None,
        grant_id: sofa::id::new_uuid(),
        scopes: ScopeSet::parse("system/Subscription.cruds"),
        launch: None,
        patient: None,
        fhir_user: None,
        shared_patients: Some(Vec::new()),
        rules: None,
        request_id: None,
        address: None,
        trail: Trail::default(),
        walls: Walls::default(),
    }
}

fn permit(client: &str, act: Act<'_>) -> Permit {
    authorize(&caller(client), act).unwrap()
}

fn reader(client: &str) -> Permit {
    permit(client, Act::Read { kind: "Subscription", id: "" })
}

fn parameter<'v>(parameters: &'v Value, name: &str) -> Option<&'v Value> {
    parameters["parameter"].as_array().unwrap().iter().find(|one| one["name"] == name)
}

#[tokio::test]
async fn an_acknowledged_handshake_makes_a_subscription_active() {
    let world = World::new().await;
    let created = world.created().await;
    assert_eq!(created["status"], "requested");
    assert_eq!(created["channel"]["header"], json!(["Authorization: Bearer secret:1", "X-Own: a"]));
    let id = created["id"].as_str().unwrap();
    let settled = world.settled(id).await;
    assert_eq!((&settled["status"], &settled["meta"]["versionId"]), (&json!("active"), &json!("2")));
    let (headers, body) = world.receiver.last();
    assert_eq!(headers["authorization"], "Bearer secret:1");
    assert_eq!(headers["x-own"], "a");
    assert_eq!(headers["content-type"], "application/fhir+json");
    let status = &body["entry"][0]["resource"];
    assert_eq!(parameter(status, "type").unwrap()["valueCode"], "handshake");
    assert_eq!(parameter(status, "events-since-subscription-start").unwrap()["valueString"], "0");
    assert_eq!(world.receiver.count(), 1);
    assert!(world.create(&json!({"resourceType": "Subscription"})).await.is_err());
}

#[tokio::test]
async fn a_failed_handshake_ends_in_error_until_the_owner_asks_again() {
    let world = World::new().await;
    world.receiver.answers(500);
    let id = world.created().await["id"].as_str().unwrap().to_owned();
    let failed = world.settled(&id).await;
    assert_eq!(failed["status"], "error");
    assert!(failed["error"].as_str().unwrap().contains("500"));
    let bundle = world.reported(&id).await;
    let status = &bundle["entry"][0]["resource"];
    assert_eq!(bundle["type"], "searchset");
    assert_eq!(parameter(status, "status").unwrap()["valueCode"], "error");
    assert!(parameter(status, "error").is_some());
    world.receiver.answers(200);
    let mut asked = world.subscription();
    asked["status"] = json!("error");
    assert_eq!(world.update(&id, asked).await["status"], "error");
    assert_eq!(world.receiver.count(), 1);
    let again = world.update(&id, world.subscription()).await;
    assert_eq!((&again["status"], &again["error"]), (&json!("requested"), &json!(null)));
    assert_eq!(world.settled(&id).await["status"], "active");
    assert_eq!(world.receiver.count(), 2);
}

#[tokio::test]
async fn an_update_shakes_hands_again_only_when_it_must() {
    let world = World::new().await;
    let id = world.created().await["id"].as_str().unwrap().to_owned();
    world.settled(&id).await;
    let mut same = world.subscription();
    same["status"] = json!("active");
    same["reason"] = json!("to know more");
    assert_eq!(world.update(&id, same.clone()).await["status"], "active");
    assert_eq!(world.receiver.count(), 1);
    same["channel"]["endpoint"] = json!(format!("{}/other", world.receiver.url));
    assert_eq!(world.update(&id, same.clone()).await["status"], "requested");
    assert_eq!(world.settled(&id).await["status"], "active");
    assert_eq!(world.receiver.count(), 2);
    same["status"] = json!("off");
    assert_eq!(world.update(&id, same).await["status"], "off");
    assert_eq!(world.receiver.count(), 2);
}

#[tokio::test]
async fn header_values_are_stored_nowhere_in_the_clear_and_shown_to_the_owner_only() {
    let world = World::new().await;
    let id = world.created().await["id"].as_str().unwrap().to_owned();
    world.settled(&id).await;
    let mut changed = world.subscription();
    changed["channel"]["header"] = json!(["Authorization: Bearer secret:2"]);
    changed["status"] = json!("active");
    world.update(&id, changed).await;
    let stored: Vec<String> = sqlx::query_scalar(
        "select body from resource union all select body from resource_history
         union all select spec::text from subscription union all select encode(headers, 'escape') from subscription
         union all select coalesce(detail, '') from audit",
    )
    .fetch_all(&world.db.pool)
    .await
    .unwrap();
    assert!(stored.len() > 4 && stored.iter().all(|text| !text.contains("secret")), "{stored:?}");
    let place = history::Place::Instance { kind: "Subscription", id: &id };
    let bundle = history::history(&world.engine, &caller("poc"), place, &[], Handling::Lenient).await;
    let bundle: Value = serde_json::from_str(&bundle.unwrap()).unwrap();
    let header = |entry: usize| bundle["entry"][entry]["resource"]["channel"]["header"][0].clone();
    assert_eq!(header(0), "Authorization: Bearer secret:2");
    assert_eq!(header(1), "Authorization: ***");
    let other = read::read(&world.engine, &reader("other"), "Subscription", &id).await;
    assert!(matches!(other, Err(Failure::NotFound)));
    assert!(matches!(subscription::status(&world.engine, &reader("other"), &id).await, Err(Failure::NotFound)));
}

#[tokio::test]
async fn a_subscription_ends_by_its_end_and_by_delete() {
    let world = World::new().await;
    let mut ending = world.subscription();
    ending["end"] = json!("2026-01-02T04:00:00Z");
    let created = world.create(&ending).await.unwrap().stored.unwrap();
    world.settled(&created.id).await;
    world.clock.advance(Duration::from_secs(3600));
    let status = |bundle: &Value| parameter(&bundle["entry"][0]["resource"], "status").unwrap()["valueCode"].clone();
    assert_eq!(status(&world.reported(&created.id).await), "off");
    assert_eq!(subscription::switch_off_ended(&world.engine).await.unwrap(), 1);
    assert_eq!(subscription::switch_off_ended(&world.engine).await.unwrap(), 0);
    assert_eq!(world.read(&created.id).await["status"], "off");
    let permit = permit("poc", Act::Delete { kind: "Subscription" });
    delete::delete(&world.engine, &caller("poc"), permit, "Subscription", &created.id, None).await.unwrap();
    let gone = subscription::status(&world.engine, &reader("poc"), &created.id).await;
    assert!(matches!(gone, Err(Failure::NotFound)));
    let all = subscription::statuses(&world.engine, &reader("poc"), &[]).await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&all).unwrap()["total"], 0);
}

#[tokio::test]
async fn type_level_status_filters_by_id_and_status() {
    let world = World::new().await;
    let first = world.created().await["id"].as_str().unwrap().to_owned();
    let second = world.created().await["id"].as_str().unwrap().to_owned();
    world.settled(&first).await;
    world.settled(&second).await;
    let both = format!("{first},{second}");
    for (client, inputs, total) in [
        ("poc", &[][..], 2),
        ("poc", &[("id", first.as_str())], 1),
        ("poc", &[("id", &first), ("id", &second)], 2),
        ("poc", &[("id", &both), ("status", "active"), ("_format", "json")], 2),
        ("poc", &[("status", "error,off")], 0),
        ("other", &[], 0),
    ] {
        let inputs: Vec<_> = inputs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let text = subscription::statuses(&world.engine, &reader(client), &inputs).await.unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["total"], total, "{inputs:?}");
    }
    for bad in [("status", "bogus"), ("staus", "active")] {
        let inputs = [(bad.0.to_owned(), bad.1.to_owned())];
        let answer = subscription::statuses(&world.engine, &reader("poc"), &inputs).await;
        assert!(matches!(answer, Err(Failure::BadRequest(_))), "{bad:?}");
    }
}

#[tokio::test]
async fn events_are_listed_by_number_once_their_fate_is_decided() {
    let world = World::new().await;
    let id = world.created().await["id"].as_str().unwrap().to_owned();
    world.settled(&id).await;
    let context = sofa::id::new_uuid();
    let now = world.clock.now();
    let body = r#"{"resourceType":"Observation","id":"o","valueDecimal":1.50}"#;
    sqlx::query("insert into resource (tenant, type, id, version, updated, method, body) values (1, 'Observation', 'o', 2, $1, 'PUT', $2)")
        .bind(now).bind(body).execute(&world.db.pool).await.unwrap();
    for (number, version, state) in
        [(1, 1, "delivered"), (2, 2, "missed"), (3, 3, "withdrawn"), (4, 3, "waiting"), (5, 4, "withdrawn")]
    {
        sqlx::query("insert into event (tenant, subscription, number, intent, ord, context, type, id, version, method, state, occurred_at)
          values (1, $1, $2, $3, 0, $3, 'Observation', 'o', $4, 'PUT', $5, $6)")
            .bind(&id).bind(i64::from(number)).bind(context).bind(i64::from(version)).bind(state).bind(now)
            .execute(&world.db.pool).await.unwrap();
    }
    sqlx::query("update subscription set last_event = 5").execute(&world.db.pool).await.unwrap();
    let numbers = |bundle: &Value| {
        let events = bundle["entry"][0]["resource"]["parameter"].as_array().unwrap().clone();
        let events = events.into_iter().filter(|one| one["name"] == "notification-event");
        events.map(|one| one["part"][0]["valueString"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = world.events(&id, &[]).await.unwrap();
    assert_eq!(numbers(&all), ["1", "2", "3"]);
    let status = &all["entry"][0]["resource"];
    assert_eq!(parameter(status, "events-since-subscription-start").unwrap()["valueString"], "3");
    assert_eq!(all["entry"].as_array().unwrap().len(), 3);
    assert_eq!(all["entry"][1]["resource"], Value::Null, "version 1 is gone");
    assert_eq!(all["entry"][2]["resource"]["id"], "o");
    let some = world.events(&id, &[("eventsSinceNumber", "2"), ("eventsUntilNumber", "2"), ("content", "empty")]).await;
    let some = some.unwrap();
    assert_eq!((numbers(&some), some["entry"].as_array().unwrap().len()), (vec!["2".to_owned()], 1));
    for bad in [
        &[("eventsSinceNumber", "3"), ("eventsUntilNumber", "2")][..],
        &[("eventsSinceNumber", "two")],
        &[("eventsSinceNumber", "1"), ("eventsSinceNumber", "2")],
        &[("since", "1")],
        &[("content", "all")],
    ] {
        assert!(matches!(world.events(&id, bad).await, Err(Failure::BadRequest(_))), "{bad:?}");
    }
}

#[tokio::test]
async fn a_receiver_that_could_not_read_the_change_is_warned_about() {
    let world = World::new().await;
    let mut id_only = world.subscription();
    id_only["channel"]["_payload"]["extension"][0]["valueCode"] = json!("id-only");
    let written = world.create(&id_only).await.unwrap();
    assert!(written.outcome().summary().contains("before the change is committed"));
    assert!(world.create(&world.subscription()).await.unwrap().advice.is_empty());
}

#[tokio::test]
async fn a_handshake_left_behind_is_sent_by_whoever_comes_next() {
    let world = World::new().await;
    let id = world.created().await["id"].as_str().unwrap().to_owned();
    world.settled(&id).await;
    // As if the process had died before the answer came.
    sqlx::query("update subscription set status = 'requested'").execute(&world.db.pool).await.unwrap();
    assert_eq!(subscription::resume_handshakes(&world.engine).await.unwrap(), 0, "somebody may still be at it");
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(subscription::resume_handshakes(&world.engine).await.unwrap(), 1);
    assert_eq!(world.reported(&id).await["entry"][0]["resource"]["parameter"][2]["valueCode"], "active");
    assert_eq!(world.receiver.count(), 2);
}
