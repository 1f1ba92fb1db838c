//! create, read, vread, update, delete and history over HTTP (R4, http.html).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::fixtures::{SetContext, examples, observation, patient};
use crate::support::app::Launched;
use crate::support::poc::{Launch, PointOfCare};
use crate::support::receiver::Receiver;
use crate::support::server::TestServer;
use crate::support::session::Session;

/// A service that writes shared data: no PoC is asked.
async fn service() -> (TestServer, Session) {
    service_with("").await
}

async fn service_with(config: &str) -> (TestServer, Session) {
    let server = TestServer::configured(config).await;
    let service = server.service("service").await;
    (server, service)
}

/// An app in a launch.
async fn app() -> (TestServer, PointOfCare, Receiver, Launch, Launched) {
    let server = TestServer::start().await;
    let (poc, receiver) = server.subscribed_poc("poc", 7).await;
    server.user("user", 7).await;
    let launch = poc.launch(&SetContext::patient("Smith").build()).await;
    let app = server.app("app").await.launch(&launch.id, "user").await;
    (server, poc, receiver, launch, app)
}

fn organization(name: &str) -> Value {
    json!({"resourceType": "Organization", "name": name})
}

#[tokio::test]
async fn a_create_is_answered_with_location_version_and_the_resource() {
    let (server, _poc, _receiver, launch, app) = app().await;
    let mut sent = observation(launch.first("Patient"), "x");
    sent["id"] = json!("chosen-by-the-client");
    sent["meta"] =
        json!({"versionId": "77", "lastUpdated": "1999-01-01T00:00:00Z", "tag": [{"system": "urn:t", "code": "kept"}]});
    let answer = app.post("Observation", &sent).await.expect(201);
    let body = answer.json();
    let id = answer.id();
    assert_ne!(id, "chosen-by-the-client");
    assert_eq!(answer.header("location"), format!("{}/Observation/{id}/_history/1", server.fhir));
    assert_eq!(answer.header("etag"), "W/\"1\"");
    assert!(answer.header("last-modified").ends_with(" GMT"), "{:?}", answer.headers);
    assert!(answer.header("content-type").starts_with("application/fhir+json"));
    assert_eq!(body["meta"]["versionId"], "1");
    assert_ne!(body["meta"]["lastUpdated"], "1999-01-01T00:00:00Z");
    assert_eq!(body["meta"]["tag"][0]["code"], "kept");
    assert_eq!(body["valueString"], "x");
    let read = app.get(&format!("Observation/{id}")).await.expect(200);
    assert_eq!(read.text, answer.text);
    assert_eq!(read.header("etag"), "W/\"1\"");
    assert_eq!(read.header("last-modified"), answer.header("last-modified"));
}

#[tokio::test]
async fn a_resource_comes_back_as_it_went_in() {
    let (_server, service) = service().await;
    let text = r#"{"resourceType":"Basic","code":{"text":"täxt \"quoted\" \\ 💊 \u00e9"},
      "extension":[{"url":"urn:d","valueDecimal":1.0},{"url":"urn:d","valueDecimal":1.00},{"url":"urn:d","valueDecimal":-0.0},
      {"url":"urn:d","valueDecimal":1E+3},{"url":"urn:d","valueDecimal":0.1000000000000000055511151231257827},
      {"url":"urn:d","valueDecimal":123456789012345678901234567890.1234567890},{"url":"urn:i","valueInteger":2147483647}]}"#;
    let created = service.post("Basic", &text).await.expect(201);
    let read = service.get(&format!("Basic/{}", created.id())).await.expect(200);
    for number in [
        "1.0}",
        "1.00}",
        "-0.0}",
        "1E+3}",
        "0.1000000000000000055511151231257827}",
        "123456789012345678901234567890.1234567890}",
    ] {
        assert!(read.text.contains(number), "{number} in {}", read.text);
    }
    assert_eq!(read.json()["code"]["text"], "täxt \"quoted\" \\ 💊 é");
    let mut again = read.text.clone();
    again = again.replace("\"valueInteger\":2147483647", "\"valueInteger\":1");
    let updated = service.put(&format!("Basic/{}", created.id()), &again).await.expect(200);
    assert!(updated.text.contains("1.00}"), "{}", updated.text);
    let old = service.get(&format!("Basic/{}/_history/1", created.id())).await.expect(200);
    assert_eq!(old.text, read.text);
}

#[tokio::test]
async fn every_r4_resource_type_can_be_stored() {
    let (_server, service) = service_with("[validation]\nca_core = \"off\"\n").await;
    let mut stored = BTreeSet::new();
    for (file, text) in examples() {
        let (kind, _) = file.split_once(['-', '.']).unwrap();
        // A Subscription is more than its resource: a PoC's, with a handshake.
        // An AuditEvent is written by the server alone.
        if kind == "Subscription" || kind == "AuditEvent" || stored.contains(kind) {
            continue;
        }
        let answer = service.post(kind, &text).await;
        if answer.status == 201 {
            service.get(&format!("{kind}/{}", answer.id())).await.expect(200);
            stored.insert(kind.to_owned());
        }
    }
    assert_eq!(stored.len(), 135, "of every type that HL7 has a valid example of: {stored:?}");
    for unknown in ["Foo", "patient", "DomainResource", "Resource", "SubscriptionTopic"] {
        service.post(unknown, &json!({"resourceType": unknown})).await.expect(404).expect_outcome();
        service.get(&format!("{unknown}/1")).await.expect(404).expect_outcome();
    }
}

#[tokio::test]
async fn what_does_not_exist_is_not_found_and_what_was_deleted_is_gone() {
    let (_server, service) = service().await;
    service.get("Organization/nothing").await.expect_issue(404, "not-found");
    service.get("Organization/nothing/_history/1").await.expect(404).expect_outcome();
    service.get("Organization/nothing/_history").await.expect(404).expect_outcome();
    for shape in ["Organization/a_b", "Organization/%20", &format!("Organization/{}", "x".repeat(65))] {
        service.get(shape).await.expect_issue(404, "not-found");
    }
    let id = service.post("Organization", &organization("a")).await.expect(201).id();
    let path = format!("Organization/{id}");
    service.get(&format!("{path}/_history/2")).await.expect(404).expect_outcome();
    service.get(&format!("Patient/{id}")).await.expect(404).expect_outcome();
    let deleted = service.delete(&path).await.expect(204);
    assert!(deleted.text.is_empty());
    service.get(&path).await.expect_issue(410, "deleted");
    service.get(&format!("{path}/_history/2")).await.expect(410).expect_outcome();
    service.get(&format!("{path}/_history/1")).await.expect(200);
    service.delete(&path).await.expect(204);
    service.delete("Organization/never-there").await.expect(204);
}

#[tokio::test]
async fn an_update_makes_the_next_version_and_keeps_the_one_before() {
    let (_server, service) = service().await;
    let first = service.post("Organization", &organization("one")).await.expect(201);
    let path = format!("Organization/{}", first.id());
    let mut next = organization("two");
    next["id"] = json!(first.id());
    next["meta"] = json!({"versionId": "9", "lastUpdated": "1999-01-01T00:00:00Z"});
    let second = service.put(&path, &next).await.expect(200);
    assert_eq!(second.header("etag"), "W/\"2\"");
    assert_eq!(second.json()["meta"]["versionId"], "2");
    assert!(second.json()["meta"]["lastUpdated"].as_str() >= first.json()["meta"]["lastUpdated"].as_str());
    assert_eq!(service.get(&path).await.expect(200).text, second.text);
    assert_eq!(service.get(&format!("{path}/_history/1")).await.expect(200).text, first.text);
    assert_eq!(service.get(&format!("{path}/_history/2")).await.expect(200).text, second.text);
    let same = service.put(&path, &next).await.expect(200);
    assert_eq!(same.header("etag"), "W/\"3\"", "an equal update is a version too");
}

#[tokio::test]
async fn an_update_whose_id_does_not_fit_is_refused() {
    let (_server, service) = service().await;
    let id = service.post("Organization", &organization("one")).await.expect(201).id();
    let path = format!("Organization/{id}");
    service.put(&path, &organization("no id")).await.expect(400).expect_outcome();
    let mut other = organization("other id");
    other["id"] = json!("other");
    service.put(&path, &other).await.expect(400).expect_outcome();
    let mut wrong_type = patient("x");
    wrong_type["id"] = json!(id);
    service.put(&path, &wrong_type).await.expect(400).expect_outcome();
    assert_eq!(service.get(&path).await.expect(200).header("etag"), "W/\"1\"");
}

#[tokio::test]
async fn if_match_admits_the_current_version_only() {
    let (_server, service) = service().await;
    let first = service.post("Organization", &organization("one")).await.expect(201);
    let path = format!("Organization/{}", first.id());
    let mut next = organization("two");
    next["id"] = json!(first.id());
    let put = |etag: &'static str| {
        let (service, path, body) = (&service, &path, next.to_string());
        async move { service.send("PUT", path, &[("if-match", etag)], Some(body)).await }
    };
    put("W/\"2\"").await.expect_issue(412, "conflict");
    put("W/\"1\"").await.expect(200);
    put("W/\"1\"").await.expect(412).expect_outcome();
    put("\"2\"").await.expect(200);
    service.send("DELETE", &path, &[("if-match", "W/\"1\"")], None).await.expect(412).expect_outcome();
    service.get(&path).await.expect(200);
    service.send("DELETE", &path, &[("if-match", "W/\"3\"")], None).await.expect(204);
}

#[tokio::test]
async fn a_version_is_won_by_one_of_many_parallel_updates() {
    let (_server, service) = service().await;
    let first = service.post("Organization", &organization("one")).await.expect(201);
    let path = format!("Organization/{}", first.id());
    let bodies: Vec<_> = (0..12)
        .map(|number| {
            let mut next = organization(&number.to_string());
            next["id"] = json!(first.id());
            next.to_string()
        })
        .collect();
    let puts = bodies.iter().map(|body| service.send("PUT", &path, &[("if-match", "W/\"1\"")], Some(body.clone())));
    let answers = futures_util::future::join_all(puts).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 409 | 412)), "{answers:#?}");
    assert_eq!(service.get(&path).await.header("etag"), "W/\"2\"");
}

#[tokio::test]
async fn put_creates_only_where_the_deployment_says_so() {
    let named = |id: &str| {
        let mut one = organization("named");
        one["id"] = json!(id);
        one
    };
    let (_server, off) = service().await;
    let refused = off.put("Organization/chosen", &named("chosen")).await.expect(405).expect_outcome();
    let allowed: Vec<_> = refused.header("allow").split(", ").collect();
    assert!(allowed.contains(&"GET") && !allowed.contains(&"PUT"), "{allowed:?}");
    off.get("Organization/chosen").await.expect(404);
    let (server, on) = service_with("[fhir]\nupdate_create = \"shared\"").await;
    let created = on.put("Organization/chosen", &named("chosen")).await.expect(201);
    assert_eq!(created.header("location"), format!("{}/Organization/chosen/_history/1", server.fhir));
    on.put("Organization/chosen", &named("chosen")).await.expect(200);
    let bad = format!("Organization/{}", "x".repeat(65));
    on.put(&bad, &named(&"x".repeat(65))).await.expect_issue(400, "value");
}

#[tokio::test]
async fn put_after_delete_revives_with_a_new_version() {
    let (_server, service) = service_with("[fhir]\nupdate_create = \"shared\"").await;
    let id = service.post("Organization", &organization("one")).await.expect(201).id();
    let path = format!("Organization/{id}");
    service.delete(&path).await.expect(204);
    let mut next = organization("back");
    next["id"] = json!(id);
    let revived = service.put(&path, &next).await.expect(200);
    assert_eq!(revived.header("etag"), "W/\"3\"");
    let methods: Vec<_> =
        history(&service, &path).await.iter().map(|entry| entry["request"]["method"].clone()).collect();
    assert_eq!(methods, ["PUT", "DELETE", "POST"]);
}

#[tokio::test]
async fn if_none_exist_creates_finds_or_refuses() {
    let (server, service) = service().await;
    let mut one = organization("one");
    one["identifier"] = json!([{"system": "https://example.org/o", "value": "1"}]);
    let create = |query: &'static str| {
        let (service, body) = (&service, one.to_string());
        async move { service.send("POST", "Organization", &[("if-none-exist", query)], Some(body)).await }
    };
    let made = create("identifier=https://example.org/o|1").await.expect(201);
    let found = create("identifier=https://example.org/o|1").await.expect(200);
    assert_eq!(found.id(), made.id());
    assert_eq!(found.header("etag"), "W/\"1\"");
    assert_eq!(found.header("location"), made.header("location"));
    create("identifier=https%3A%2F%2Fexample.org%2Fo%7C1").await.expect(200);
    create("identifier=1").await.expect(200);
    create("identifier=https://example.org/other|1").await.expect(201);
    assert_eq!(server.count("select count(*) from resource").await, 2);
    create("identifier=https://example.org/o|1").await.expect_issue(412, "multiple-matches");
    create("identifier=|1").await.expect(201);
    for unusable in ["", "identifier=", "bogus=1", "_id"] {
        create(unusable).await.expect(400).expect_outcome();
    }
    assert_eq!(server.count("select count(*) from resource").await, 3);
    let by_id = format!("_id={}", made.id());
    let found =
        service.send("POST", "Organization", &[("if-none-exist", &by_id)], Some(one.to_string())).await.expect(200);
    assert_eq!(found.id(), made.id());
    service.delete(&format!("Organization/{}", made.id())).await.expect(204);
    service.send("POST", "Organization", &[("if-none-exist", &by_id)], Some(one.to_string())).await.expect(201);
}

#[tokio::test]
async fn an_updated_identifier_is_found_by_its_new_value_only() {
    let (_server, service) = service().await;
    let with = |value: &str| {
        let mut one = organization("one");
        one["identifier"] = json!([{"system": "s", "value": value}]);
        one
    };
    let id = service.post("Organization", &with("old")).await.expect(201).id();
    let mut next = with("new");
    next["id"] = json!(id);
    service.put(&format!("Organization/{id}"), &next).await.expect(200);
    let find = |query: &'static str| {
        let (service, body) = (&service, with("new").to_string());
        async move { service.send("POST", "Organization", &[("if-none-exist", query)], Some(body)).await }
    };
    assert_eq!(find("identifier=s|new").await.expect(200).id(), id);
    assert_ne!(find("identifier=s|old").await.expect(201).id(), id);
}

#[tokio::test]
async fn prefer_decides_the_body_of_a_success() {
    let (_server, service) = service().await;
    let create = |prefer: &'static str| {
        let (service, body) = (&service, organization("x").to_string());
        async move { service.send("POST", "Organization", &[("prefer", prefer)], Some(body)).await.expect(201) }
    };
    let minimal = create("return=minimal").await;
    assert_eq!(minimal.text, "");
    assert!(minimal.header("location").contains("/Organization/") && minimal.header("etag") == "W/\"1\"");
    assert_eq!(create("return=representation").await.json()["name"], "x");
    assert_eq!(create("return=OperationOutcome").await.json()["resourceType"], "OperationOutcome");
    assert_eq!(create("handling=strict, return=minimal").await.text, "");
    let path = minimal.header("location").split("/_history").next().unwrap().to_owned();
    let mut next = organization("y");
    next["id"] = json!(path.rsplit('/').next().unwrap());
    let put = service.send("PUT", &path, &[("prefer", "return=minimal")], Some(next.to_string())).await.expect(200);
    assert_eq!((put.text.as_str(), put.header("etag")), ("", "W/\"2\""));
    let failed = service.send("POST", "Organization", &[("prefer", "return=minimal")], Some("{".to_owned())).await;
    failed.expect(400).expect_outcome();
}

async fn history(session: &Session, path: &str) -> Vec<Value> {
    let bundle = session.get(&format!("{path}/_history")).await.expect(200).json();
    assert_eq!((&bundle["resourceType"], &bundle["type"]), (&json!("Bundle"), &json!("history")));
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    assert_eq!(bundle["total"], entries.len());
    entries
}

#[tokio::test]
async fn the_history_of_an_instance_is_newest_first_with_the_deletes() {
    let (server, service) = service().await;
    let id = service.post("Organization", &organization("one")).await.expect(201).id();
    let path = format!("Organization/{id}");
    let mut next = organization("two");
    next["id"] = json!(id);
    service.put(&path, &next).await.expect(200);
    service.delete(&path).await.expect(204);
    let entries = history(&service, &path).await;
    let methods: Vec<_> = entries.iter().map(|entry| entry["request"]["method"].as_str().unwrap()).collect();
    assert_eq!(methods, ["DELETE", "PUT", "POST"]);
    for entry in &entries {
        assert_eq!(entry["fullUrl"], format!("{}/{path}", server.fhir));
        assert!(entry["response"]["status"].is_string() && entry["response"]["lastModified"].is_string(), "{entry}");
        assert_eq!(entry.get("resource").is_some(), entry["request"]["method"] != "DELETE", "{entry}");
    }
    assert_eq!(entries[0]["request"]["url"], path);
    assert_eq!(entries[1]["resource"]["name"], "two");
    assert_eq!(
        (&entries[2]["resource"]["name"], &entries[2]["request"]["url"]),
        (&json!("one"), &json!("Organization"))
    );
    let few = service.get(&format!("{path}/_history?_count=1")).await.expect(200).json();
    assert_eq!(few["entry"].as_array().unwrap().len(), 1);
    assert_eq!(few["entry"][0]["request"]["method"], "DELETE");
    let future = service.get(&format!("{path}/_history?_since=2999-01-01T00:00:00Z")).await.expect(200).json();
    assert_eq!(future["entry"].as_array().map_or(0, Vec::len), 0);
    service.get(&format!("{path}/_history?_since=yesterday")).await.expect(400).expect_outcome();
}

#[tokio::test]
async fn bodies_that_are_no_resource_of_that_type_are_refused() {
    let (server, service) = service().await;
    for text in [
        "",
        " ",
        "{",
        "[]",
        "null",
        "\"x\"",
        "{}",
        "{\"resourceType\":7}",
        "{\"resourceType\":\"Patient\"}",
        "{\"resourceType\":\"Organization\",\"name\":\"a\",\"name\":\"b\"}",
        "{\"resourceType\":\"Organization\"} trailing",
        "{\"resourceType\":\"Organization\",\"name\":01}",
        "{\"resourceType\":\"Organization\",\"name\":\"\u{1}\"}",
    ] {
        service.post("Organization", &text).await.expect(400).expect_outcome();
    }
    let not_utf8 = server
        .http
        .post(format!("{}/Organization", server.fhir))
        .bearer_auth(service.token.as_deref().unwrap())
        .header("content-type", "application/fhir+json")
        .body(b"{\"resourceType\":\"Organization\",\"name\":\"\xff\"}".to_vec());
    assert_eq!(not_utf8.send().await.unwrap().status(), 400);
    assert_eq!(server.count("select count(*) from resource").await, 0);
}

#[tokio::test]
async fn media_types_are_negotiated() {
    let (_server, service) = service().await;
    let body = || Some(organization("x").to_string());
    for kind in [
        "application/fhir+json",
        "application/json",
        "application/fhir+json; charset=utf-8",
        "application/fhir+json; fhirVersion=4.0",
    ] {
        service.send("POST", "Organization", &[("content-type", kind)], body()).await.expect(201);
    }
    for kind in ["text/plain", "text/turtle", "application/octet-stream", "application/fhir+json; fhirVersion=5.0"] {
        service.send("POST", "Organization", &[("content-type", kind)], body()).await.expect(415).expect_outcome();
    }
    let id = service.post("Organization", &organization("x")).await.expect(201).id();
    let path = format!("Organization/{id}");
    for accept in [
        "application/fhir+json",
        "application/json",
        "*/*",
        "application/*",
        "application/fhir+xml;q=0.5, application/fhir+json",
        "text/html, */*;q=0.1",
    ] {
        let answer = service.send("GET", &path, &[("accept", accept)], None).await.expect(200);
        assert!(answer.header("content-type").contains("json"), "{accept}: {}", answer.header("content-type"));
    }
    service.send("GET", &path, &[("accept", "application/foobar")], None).await.expect(406).expect_outcome();
    service.send("GET", &path, &[("accept", "text/turtle")], None).await.expect(406).expect_outcome();
    service.send("GET", &format!("{path}?_format=json"), &[("accept", "text/turtle")], None).await.expect(200);
    service.get(&format!("{path}?_format=ttl")).await.expect(406).expect_outcome();
}

#[tokio::test]
async fn limits_have_their_own_answers() {
    let (_server, service) =
        service_with("[fhir]\nmax_body_bytes = 2000\nmax_depth = 10\nmax_bundle_entries = 2").await;
    service.post("Organization", &organization(&"x".repeat(3000))).await.expect(413).expect_outcome();
    let mut deep = json!({"url": "urn:x"});
    for _ in 0..8 {
        deep = json!({"url": "urn:x", "extension": [deep]});
    }
    let mut one = organization("deep");
    one["extension"] = json!([deep]);
    service.post("Organization", &one).await.expect(400).expect_outcome();
    let entry = json!({"request": {"method": "POST", "url": "Organization"}, "resource": organization("x")});
    for kind in ["batch", "transaction"] {
        let two = json!({"resourceType": "Bundle", "type": kind, "entry": [entry, entry]});
        service.post("", &two).await.expect(200);
        let three = json!({"resourceType": "Bundle", "type": kind, "entry": [entry, entry, entry]});
        service.post("", &three).await.expect(413).expect_outcome();
    }
}

#[tokio::test]
async fn interactions_that_do_not_exist_are_refused_with_an_outcome() {
    let (_server, service) = service().await;
    let id = service.post("Organization", &organization("x")).await.expect(201).id();
    for (method, path, status) in [
        // An Organization is no patch.
        ("PATCH", format!("Organization/{id}"), 400),
        ("POST", format!("Organization/{id}"), 405),
        // Without a condition.
        ("DELETE", "Organization".to_owned(), 400),
        ("PUT", "Organization".to_owned(), 400),
        ("DELETE", format!("Organization/{id}/_history"), 405),
    ] {
        let answer = service.send(method, &path, &[], Some(organization("x").to_string())).await;
        answer.expect(status).expect_outcome();
    }
    for path in ["Organization/x/y/z", "$nothing", "Organization/$nothing", "Organization/x/$nothing"] {
        service.get(path).await.expect(404).expect_outcome();
    }
    service.get(&format!("Organization/{id}")).await.expect(200);
}

#[tokio::test]
async fn metadata_needs_no_token() {
    let (server, _service) = service().await;
    let answer = server.stranger().get("metadata").await.expect(200);
    let statement = answer.json();
    assert_eq!(statement["resourceType"], "CapabilityStatement");
    assert_eq!(statement["fhirVersion"], "4.0.1");
    let rest = &statement["rest"][0];
    assert_eq!(rest["mode"], "server");
    let kinds: Vec<_> = rest["resource"].as_array().unwrap().iter().map(|one| one["type"].as_str().unwrap()).collect();
    for kind in ["Patient", "Observation", "Subscription", "VisionPrescription"] {
        assert!(kinds.contains(&kind), "{kind}");
    }
    let operations: Vec<_> =
        rest["operation"].as_array().unwrap().iter().map(|one| one["definition"].as_str().unwrap()).collect();
    for name in ["set-context", "clear-context"] {
        let url = format!("{}OperationDefinition/{name}", crate::support::poc::HALO);
        assert!(operations.contains(&url.as_str()), "{operations:?}");
    }
    let security = rest["security"].to_string();
    assert!(security.contains("oauth-uris") && security.contains("SMART-on-FHIR"), "{security}");
}

#[tokio::test]
async fn a_body_without_a_media_type_is_refused() {
    let (server, service) = service().await;
    let request =
        server.http.post(format!("{}/Organization", server.fhir)).bearer_auth(service.token.as_deref().unwrap());
    let answer = request.body(organization("x").to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 415);
    assert_eq!(server.count("select count(*) from resource").await, 0);
}

#[tokio::test]
async fn every_write_is_audited_with_ids_only_and_for_good() {
    let (server, _poc, _receiver, launch, app) = app().await;
    let subject = launch.first("Patient");
    let secret = app.post("Observation", &observation(subject, "very secret text")).await.expect(201);
    let rows: Vec<String> =
        sqlx::query_scalar("select audit::text from audit").fetch_all(&server.db.pool).await.unwrap();
    let target = format!("Observation/{}", secret.id());
    assert!(rows.iter().any(|row| row.contains(&target)), "{rows:#?}");
    assert!(rows.iter().all(|row| !row.contains("very secret") && !row.contains("Smith")), "{rows:#?}");
    let changed = sqlx::query("update audit set detail = 'x'").execute(&server.db.pool).await;
    let removed = sqlx::query("delete from audit").execute(&server.db.pool).await;
    assert!(changed.is_err() && removed.is_err(), "audit is append-only");
}

#[tokio::test]
async fn hostile_texts_come_back_as_they_went_in() {
    let (_server, service) = service().await;
    for text in [
        "'; drop table resource; --",
        "\\u0000 is not a NUL",
        "${jndi:x} {{7*7}} <script>",
        "\u{202e}\u{feff}\u{1f469}\u{200d}\u{2695}",
        "\\\"/",
    ] {
        let made = service.post("Organization", &organization(text)).await.expect(201);
        let read = service.get(&format!("Organization/{}", made.id())).await.expect(200);
        assert_eq!(read.json()["name"], text);
    }
    let nul = "{\"resourceType\":\"Organization\",\"name\":\"a\\u0000b\"}";
    service.post("Organization", &nul).await.expect(400).expect_outcome();
}
