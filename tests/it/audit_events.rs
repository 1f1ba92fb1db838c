//! `[base]/AuditEvent`: who may look, what is shown of each action, and how it is searched. Every answer of these tests is
//! also checked against R4 by the validator.

use serde_json::{Value, json};
use sofa::clock::{Clock, SystemClock};
use sofa::store;
use sofa::store::audit::{Entry, Row};
use sofa::store::client::{AuthMethod, Client, Role};

use crate::fixtures::{SetContext, observation};
use crate::support::answer::link;
use crate::support::app::Launched;
use crate::support::key::Key;
use crate::support::poc::{Launch, PointOfCare, WIDEST};
use crate::support::receiver::Receiver;
use crate::support::server::TestServer;
use crate::support::session::Session;
use crate::support::world::unregistered;

struct Scene {
    server: TestServer,
    poc: PointOfCare,
    _receiver: Receiver,
    launch: Launch,
    app: Launched,
    auditor: Session,
}

async fn scene() -> Scene {
    let server = TestServer::start().await;
    let (poc, receiver) = server.subscribed_poc("poc", 7).await;
    server.user("user", 7).await;
    let launch = poc.launch(&SetContext::patient("Smith").build()).await;
    let app = server.app("app").await.launch(&launch.id, "user").await;
    let auditor = server.service_with("auditor", "system/*.cruds system/AuditEvent.rs").await;
    Scene { server, poc, _receiver: receiver, launch, app, auditor }
}

fn events(bundle: &Value) -> Vec<&Value> {
    bundle["entry"].as_array().into_iter().flatten().map(|entry| &entry["resource"]).collect()
}

fn codes(event: &Value) -> Vec<&str> {
    event["subtype"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn only_a_scope_that_names_audit_events_shows_them() {
    let scene = scene().await;
    let own = scene.poc.scoped(&scene.server, "system/AuditEvent.rs").await;
    let all_of_poc = scene.poc.scoped(&scene.server, WIDEST).await;
    let service = scene.server.service_with("service", "system/*.cruds").await;
    let reader = scene.server.service_with("reader", "system/AuditEvent.r").await;
    scene.auditor.get("AuditEvent").await.expect(200);
    own.get("AuditEvent").await.expect(200);
    reader.get("AuditEvent/1").await.expect(200);
    for (session, why) in [(&service, "*"), (&all_of_poc, "a PoC's *"), (&scene.app.session, "an app"), (&reader, "r")]
    {
        let answer = session.get("AuditEvent").await;
        answer.expect_issue(403, "forbidden");
        if why != "r" {
            session.get("AuditEvent/1").await.expect_issue(403, "forbidden");
        }
    }
    scene.server.stranger().get("AuditEvent").await.expect(401);
    // A registration with `*` is not enough to be granted it either.
    let key = Key::es384("own-key");
    let client = Client {
        jwks: Some(key.jwks.clone()),
        scope: "system/*.cruds".to_owned(),
        ..unregistered("all", Role::Service, 0, AuthMethod::PrivateKeyJwt)
    };
    scene.server.register(&client).await;
    let asked = scene.server.client_credentials("all", &key, "system/AuditEvent.rs").await;
    assert_eq!(asked.status, 400, "{}", asked.text);
    for path in ["?_type=AuditEvent", "Patient/1/AuditEvent", "_history?_type=AuditEvent"] {
        let answer = service.get(path).await;
        assert!(answer.status == 403 || !answer.text.contains("\"AuditEvent\""), "{path}: {}", answer.text);
    }
    let everything = scene.auditor.get("?_count=1000").await.expect(200);
    assert!(!everything.text.contains("\"resourceType\":\"AuditEvent\""));
}

#[tokio::test]
async fn nobody_writes_an_audit_event() {
    let scene = scene().await;
    let event = json!({"resourceType": "AuditEvent", "id": "1"});
    let count = "select count(*) from resource where type = 'AuditEvent'";
    for (method, path) in [
        ("POST", "AuditEvent"),
        ("PUT", "AuditEvent/1"),
        ("PUT", "AuditEvent?_id=1"),
        ("PATCH", "AuditEvent/1"),
        ("DELETE", "AuditEvent/1"),
        ("DELETE", "AuditEvent?_id=1"),
        ("POST", "AuditEvent/1/$meta-add"),
        ("GET", "AuditEvent/1/_history"),
        ("GET", "AuditEvent/1/_history/1"),
        ("GET", "AuditEvent/_history"),
        ("GET", "AuditEvent/1/$meta"),
    ] {
        let body = (method != "GET").then(|| event.to_string());
        let answer = scene.auditor.send(method, path, &[], body).await.expect(405).expect_outcome();
        assert!(answer.headers.contains_key("allow"), "{method} {path}");
    }
    let entry = json!({"resource": event, "request": {"method": "POST", "url": "AuditEvent"}});
    for kind in ["batch", "transaction"] {
        let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": [entry]});
        let answer = scene.auditor.post("", &bundle).await;
        assert!(answer.status == 403 || answer.text.contains("\"status\":\"403"), "{kind}: {}", answer.text);
    }
    let set = SetContext::patient("Smith").entry("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", &event).build();
    scene.poc.set_context(&set).await.expect(422);
    assert_eq!(scene.server.count(count).await, 0);
}

#[tokio::test]
async fn a_point_of_care_system_sees_its_own_organisation_alone() {
    let scene = scene().await;
    let (other, _receiver) = scene.server.subscribed_poc("other-poc", 8).await;
    other.launch(&SetContext::patient("Jones").build()).await;
    let own = scene.poc.scoped(&scene.server, "system/AuditEvent.rs").await;
    let told = own.get("AuditEvent?_count=1000").await.expect(200);
    assert!(told.text.contains("\"poc\"") && !told.text.contains("other-poc"), "{}", told.text);
    let all = scene.auditor.get("AuditEvent?_count=1000").await.expect(200);
    assert!(all.text.contains("\"other-poc\""));
    let foreign = scene.auditor.get("AuditEvent?agent=other-poc&_count=1").await.expect(200).json();
    let id = events(&foreign)[0]["id"].as_str().unwrap().to_owned();
    own.get(&format!("AuditEvent/{id}")).await.expect_issue(404, "not-found");
    assert!(events(&own.get(&format!("AuditEvent?_id={id}")).await.expect(200).json()).is_empty());
    assert!(events(&own.get("AuditEvent?agent=other-poc").await.expect(200).json()).is_empty());
}

#[tokio::test]
async fn a_read_is_shown_by_the_pattern_of_balp() {
    let scene = scene().await;
    let patient = scene.launch.first("Patient").to_owned();
    scene.app.send("GET", &patient, &[("x-request-id", "my-request")], None).await.expect(200);
    let found = scene.auditor.get("AuditEvent?subtype=read&agent=app").await.expect(200).json();
    let event = events(&found)[0];
    let profile = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientRead";
    assert_eq!(event["meta"]["profile"], json!([profile]));
    assert_eq!(
        (&event["action"], &event["outcome"], &event["type"]["code"]),
        (&json!("R"), &json!("0"), &json!("rest"))
    );
    assert_eq!(codes(event), ["read", "read"]);
    let agent = |code: &str| {
        let agents = event["agent"].as_array().unwrap();
        agents.iter().find(|agent| agent["type"]["coding"][0]["code"] == code).unwrap()
    };
    let client = agent("110152");
    assert_eq!(client["who"]["identifier"]["value"], "app");
    assert_eq!(client["network"], json!({"address": "127.0.0.1", "type": "2"}));
    assert_eq!(agent("110153")["who"]["identifier"]["value"], json!(scene.server.url));
    assert_eq!(agent("IRCP")["requestor"], true);
    let entities = event["entity"].as_array().unwrap();
    let of_type = |code: &str| entities.iter().find(|entity| entity["type"]["code"] == code).unwrap();
    assert_eq!(of_type("XrequestId")["what"]["identifier"]["value"], "my-request");
    assert_eq!(of_type("2")["what"]["reference"], json!(patient));
    assert_eq!(of_type("1")["what"]["reference"], json!(patient));
    let same = scene.auditor.get(&format!("AuditEvent/{}", event["id"].as_str().unwrap())).await.expect(200).json();
    assert_eq!(&same, event);
    let xml = scene.auditor.get("AuditEvent?subtype=read&_format=xml").await.expect(200);
    assert!(xml.text.starts_with("<?xml") || xml.text.starts_with("<Bundle"), "{}", xml.text);
}

#[tokio::test]
async fn a_search_is_shown_with_its_query_and_without_its_secrets() {
    let scene = scene().await;
    scene.app.get("Patient?name=Smith&_count=7").await.expect(200);
    let found = scene.auditor.get("AuditEvent?subtype=search-type&agent=app").await.expect(200);
    assert!(!found.text.contains("Smith"));
    let found = found.json();
    let event = events(&found)[0];
    let query = event["entity"].as_array().unwrap().iter().find(|entity| entity["role"]["code"] == "24").unwrap();
    assert_eq!(query["description"], "Patient?name=…&_count=7");
    assert!(event["meta"]["profile"][0].as_str().unwrap().ends_with("IHE.BasicAudit.PatientQuery"));
}

/// Every action that is written anywhere, and one of a later version.
const ACTIONS: [&str; 50] = [
    "create",
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "search",
    "history",
    "bundle",
    "everything",
    "validate",
    "meta",
    "meta-add",
    "meta-delete",
    "status",
    "events",
    "set-context",
    "clear-context",
    "context-set",
    "context-clear",
    "context-expire",
    "purge",
    "operation",
    "subscription-status",
    "notification",
    "login",
    "logout",
    "launch",
    "authorize",
    "consent",
    "token",
    "token-refused",
    "token-revoke",
    "client-auth",
    "access",
    "access-end",
    "introspect",
    "userinfo",
    "client-add",
    "client-change",
    "client-enable",
    "client-disable",
    "client-delete",
    "client-secret",
    "client-token-add",
    "client-token-delete",
    "user-add",
    "user-passwd",
    "key-rotate",
    "something-new",
];

#[tokio::test]
async fn an_event_of_every_action_and_outcome_is_valid() {
    let server = TestServer::start().await;
    let auditor = server.service_with("auditor", "system/AuditEvent.rs").await;
    let one = ["p".to_owned()];
    let two = ["p".to_owned(), "q".to_owned()];
    let (now, id) = (SystemClock.now(), sofa::id::new_uuid());
    let mut rows = Vec::new();
    for action in ACTIONS {
        for outcome in ["success", "refused", "failed"] {
            let bare = Entry { action, outcome, ..Entry::default() };
            let full = Entry {
                client_id: Some("app"),
                user_id: Some(id),
                context: Some(id),
                tenant: 7,
                target: Some("Observation/1/_history/2"),
                request_id: Some("r"),
                detail: Some("404"),
                patients: &one,
                grant_id: Some(id),
                address: Some("::1"),
                query: Some("code=…"),
                found: Some(3),
                ..bare
            };
            for entry in [
                bare,
                full,
                Entry { target: Some("Observation"), patients: &two, user_id: None, ..full },
                Entry { target: None, patients: &[], address: None, ..full },
                Entry { target: Some("Patient/1/?"), query: Some(""), client_id: None, ..full },
            ] {
                rows.push(Row::of(&entry, now));
            }
        }
    }
    let count = rows.len();
    let mut tx = store::begin(&server.db.pool).await.unwrap();
    store::audit::append_group(tx.conn(), &rows).await.unwrap();
    tx.commit().await.unwrap();
    // The answer is held against R4 as a whole.
    let mut next = Some("AuditEvent?_count=200".to_owned());
    let mut seen = 0;
    while let Some(page) = next {
        let bundle = auditor.get(&page).await.expect(200).json();
        seen += events(&bundle).len();
        for event in events(&bundle) {
            assert!(codes(event).iter().any(|code| ACTIONS.contains(code)), "{event}");
        }
        next = link(&bundle, "next");
    }
    assert!(seen >= count, "{seen} of {count}");
}

#[tokio::test]
async fn each_parameter_finds_what_it_names() {
    let scene = scene().await;
    let patient = scene.app.patient().to_owned();
    let id = scene.app.post("Observation", &observation(scene.launch.first("Patient"), "x")).await.expect(201).id();
    scene.app.get(&format!("Observation/{id}")).await.expect(200);
    scene.app.get("Observation/none").await.expect(404);
    scene.app.delete(&format!("Observation/{id}")).await.expect(204);
    let user = "select id::text from user_account where name = 'user'";
    let user: String = sqlx::query_scalar(user).fetch_one(&scene.server.db.pool).await.unwrap();
    let day = sofa::fhir::instant::format(SystemClock.now())[..10].to_owned();
    let url = &scene.server.url;
    for (query, holds) in [
        (format!("patient={patient}&agent=app"), "create read delete"),
        (format!("patient=Patient/{patient}&action=R"), "read"),
        (format!("entity=Observation/{id}&agent=app"), "create read delete"),
        (format!("entity={id}&action=C,D"), "create delete"),
        (format!("agent={user}&action=E"), "token login launch"),
        (format!("agent:identifier={url}/client|app&outcome=4"), "read"),
        ("altid=app&action=D".to_owned(), "delete"),
        ("subtype=login".to_owned(), "login"),
        (format!("date={day}&subtype=delete"), "delete"),
        (format!("date=ge{day}&subtype=delete"), "delete"),
        (format!("date=lt{day}"), ""),
        ("date=gt2999".to_owned(), ""),
        ("address=127.0.&subtype=delete".to_owned(), "delete"),
        ("address=10.".to_owned(), ""),
        ("patient=nobody".to_owned(), ""),
        ("entity=Observation/none2".to_owned(), ""),
        ("_id=999999999".to_owned(), ""),
        ("outcome=12".to_owned(), ""),
    ] {
        let bundle = scene.auditor.get(&format!("AuditEvent?{query}")).await.expect(200).json();
        let found: std::collections::BTreeSet<_> = events(&bundle).into_iter().flat_map(codes).collect();
        if holds.is_empty() {
            assert!(found.is_empty(), "{query}: {found:?}");
        }
        for word in holds.split_ascii_whitespace() {
            assert!(found.contains(word), "{query}: {word} not in {found:?}");
        }
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let posted = scene.auditor.send("POST", "AuditEvent/_search", &form, Some("subtype=delete".to_owned())).await;
    assert_eq!(events(&posted.expect(200).json()).len(), 1);
    for wrong in ["bonkers=1", "date=x", "_sort=date", "_include=*", "patient.name=Smith", "_count=x", "entity=Foo/1"] {
        scene.auditor.get(&format!("AuditEvent?{wrong}")).await.expect(400).expect_outcome();
    }
}

#[tokio::test]
async fn pages_tell_each_row_once_and_only_to_their_caller() {
    let scene = scene().await;
    let before = scene.server.count("select max(seq) from audit").await;
    let mut ids = Vec::new();
    let first = scene.auditor.get("AuditEvent?_count=3").await.expect(200).json();
    let stolen = link(&first, "next").unwrap();
    let mut page = Some(first);
    while let Some(bundle) = page {
        ids.extend(events(&bundle).into_iter().map(|event| event["id"].as_str().unwrap().parse::<i64>().unwrap()));
        page = match link(&bundle, "next") {
            Some(next) => Some(scene.auditor.get(&next).await.expect(200).json()),
            None => None,
        };
    }
    let expected: Vec<_> = (1..=before).rev().collect();
    assert_eq!(ids, expected, "the looks themselves are newer than the first page");
    let other = scene.server.service_with("other", "system/AuditEvent.rs").await;
    other.get(&stolen).await.expect_issue(404, "not-found");
}

#[tokio::test]
async fn every_look_is_recorded_itself() {
    let scene = scene().await;
    scene.auditor.get("AuditEvent?patient=p&date=2026").await.expect(200);
    scene.auditor.get("AuditEvent/1").await.expect(200);
    scene.app.get("AuditEvent/1").await.expect(403);
    let rows: Vec<(String, String, String, Option<String>)> = sqlx::query_as(
        "select action, outcome, client_id, query from audit where target like 'AuditEvent%' order by seq",
    )
    .fetch_all(&scene.server.db.pool)
    .await
    .unwrap();
    let row = |action: &str, outcome: &str, client: &str, query: Option<&str>| {
        (action.to_owned(), outcome.to_owned(), client.to_owned(), query.map(str::to_owned))
    };
    let expected = [
        row("search", "success", "auditor", Some("patient=p&date=…")),
        row("read", "success", "auditor", None),
        row("read", "refused", "app", None),
    ];
    assert_eq!(rows, expected);
}
