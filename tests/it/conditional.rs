//! Interactions that name their resource by a condition, and patches (FHIR R4 http.html#cond-update, #patch).

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::fixtures::{SetContext, observation, patient};
use crate::support::app::WIDEST;
use crate::support::receiver::Receiver;
use crate::support::server::TestServer;
use crate::support::session::Session;

async fn service() -> (TestServer, Session) {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    (server, service)
}

fn organization(value: &str, name: &str) -> Value {
    json!({"resourceType": "Organization", "identifier": [{"system": "urn:o", "value": value}], "name": name})
}

const JSON_PATCH: (&str, &str) = ("content-type", "application/json-patch+json");

#[tokio::test]
async fn a_conditional_update_creates_updates_or_refuses() {
    let (server, service) = service().await;
    let put = |query: &'static str, body: Value| {
        let service = service.clone();
        async move { service.put(&format!("Organization?{query}"), &body).await }
    };
    let made = put("identifier=urn:o|1", organization("1", "first")).await.expect(201);
    assert!(made.header("location").contains("/_history/1"));
    let changed = put("identifier=urn:o|1", organization("1", "second")).await.expect(200);
    assert_eq!((changed.id(), changed.header("etag")), (made.id(), "W/\"2\""));
    let mut own = organization("1", "third");
    own["id"] = json!(made.id());
    put("identifier=urn:o|1", own.clone()).await.expect(200);
    own["id"] = json!("other");
    put("identifier=urn:o|1", own.clone()).await.expect_issue(400, "value");
    // None, and an id: an update of an id that does not exist, which this server refuses unless configured.
    put("identifier=urn:o|none", own).await.expect(405);
    let mut taken = organization("2", "x");
    taken["id"] = json!(made.id());
    put("identifier=urn:o|none", taken).await.expect_issue(409, "duplicate");
    service.post("Organization", &organization("1", "twin")).await.expect(201);
    put("identifier=urn:o|1", organization("1", "fourth")).await.expect_issue(412, "multiple-matches");
    for unusable in ["", "bogus=1", "_count=1", "identifier="] {
        service.put(&format!("Organization?{unusable}"), &organization("1", "x")).await.expect(400).expect_outcome();
    }
    assert_eq!(server.count("select count(*) from resource").await, 2);
    let stale = [("if-match", "W/\"1\"")];
    let body = organization("3", "x").to_string();
    service.send("PUT", "Organization?identifier=urn:o|3", &stale, Some(body)).await.expect(412);
}

#[tokio::test]
async fn a_conditional_update_that_finds_nothing_creates_under_a_chosen_id_where_that_is_offered() {
    let server = TestServer::configured("[fhir]\nupdate_create = \"shared\"").await;
    let service = server.service("service").await;
    let mut chosen = organization("1", "first");
    chosen["id"] = json!("chosen");
    let path = "Organization?identifier=urn:o|1";
    let made = service.put(path, &chosen).await.expect(201);
    assert_eq!(made.header("location"), format!("{}/Organization/chosen/_history/1", server.fhir));
    assert_eq!(service.put(path, &chosen).await.expect(200).header("etag"), "W/\"2\"");
    // The id is in use, by what the condition does not match.
    service.put("Organization?identifier=urn:o|2", &chosen).await.expect_issue(409, "duplicate");
    service.delete("Organization/chosen").await.expect(204);
    let revived = service.put(path, &chosen).await.expect(200);
    assert_eq!((revived.id(), revived.header("etag")), ("chosen".to_owned(), "W/\"4\""));
}

#[tokio::test]
async fn of_many_equal_conditional_writes_one_creates() {
    let (server, service) = service().await;
    let puts = (0..20).map(|n| {
        let service = service.clone();
        async move { service.put("Organization?identifier=urn:o|race", &organization("race", &format!("n{n}"))).await }
    });
    let statuses: Vec<_> = join_all(puts).await.into_iter().map(|answer| answer.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 201].contains(status)), "{statuses:?}");
    assert_eq!(server.count("select count(*) from resource").await, 1);
    assert_eq!(server.count("select max(version) from resource").await, 20);
}

#[tokio::test]
async fn a_conditional_delete_deletes_one_at_most() {
    let (_server, service) = service().await;
    service.delete("Organization?identifier=urn:o|1").await.expect(204);
    let one = service.post("Organization", &organization("1", "x")).await.expect(201).id();
    service.delete("Organization?identifier=urn:o|1").await.expect(204);
    service.get(&format!("Organization/{one}")).await.expect(410);
    for _ in 0..2 {
        service.post("Organization", &organization("2", "x")).await.expect(201);
    }
    service.delete("Organization?identifier=urn:o|2").await.expect_issue(412, "multiple-matches");
    service.delete("Organization").await.expect(400).expect_outcome();
    service.delete("Organization?bogus=1").await.expect(400);
}

#[tokio::test]
async fn a_patch_is_an_update() {
    let (_server, service) = service().await;
    let made = service.post("Organization", &organization("1", "before")).await.expect(201);
    let path = format!("Organization/{}", made.id());
    let rename = |name: &str| json!([{"op": "replace", "path": "/name", "value": name}]).to_string();
    let patched = service.send("PATCH", &path, &[JSON_PATCH], Some(rename("after"))).await.expect(200);
    assert_eq!((patched.json()["name"].as_str(), patched.header("etag")), (Some("after"), "W/\"2\""));
    let minimal = [JSON_PATCH, ("prefer", "return=minimal")];
    assert_eq!(service.send("PATCH", &path, &minimal, Some(rename("b"))).await.expect(200).text, "");
    let stale = [JSON_PATCH, ("if-match", "W/\"1\"")];
    service.send("PATCH", &path, &stale, Some(rename("c"))).await.expect(412);
    let current = [JSON_PATCH, ("if-match", "W/\"3\"")];
    service.send("PATCH", &path, &current, Some(rename("d"))).await.expect(200);
    for (patch, status) in [
        (json!([{"op": "test", "path": "/name", "value": "z"}]), 422),
        (json!([{"op": "remove", "path": "/nothing"}]), 422),
        (json!([{"op": "replace", "path": "/id", "value": "z"}]), 422),
        (json!([{"op": "replace", "path": "/name", "value": 1}]), 422),
        (json!([{"op": "add", "path": "/bogus", "value": 1}]), 422),
        (json!([{"op": "replace", "path": "name", "value": "z"}]), 400),
        (json!({}), 400),
    ] {
        let answer = service.send("PATCH", &path, &[JSON_PATCH], Some(patch.to_string())).await;
        answer.expect(status).expect_outcome();
    }
    for odd in ["application/json", "application/xml-patch+xml", "text/plain"] {
        let answer = service.send("PATCH", &path, &[("content-type", odd)], Some(rename("x"))).await.expect(415);
        assert!(answer.header("accept-patch").contains("application/json-patch+json"));
    }
    service.send("PATCH", "Organization/none", &[JSON_PATCH], Some(rename("x"))).await.expect(404);
    let history = service.get(&format!("{path}/_history")).await.expect(200).json();
    assert_eq!(history["entry"][0]["request"]["method"], "PUT");
    service.delete(&path).await.expect(204);
    service.send("PATCH", &path, &[JSON_PATCH], Some(rename("x"))).await.expect(410);
}

#[tokio::test]
async fn a_patch_can_be_fhirpath_in_json_and_xml_and_conditional() {
    let (_server, service) = service().await;
    let made = service.post("Organization", &organization("1", "before")).await.expect(201);
    let path = format!("Organization/{}", made.id());
    let patch = |name: &str| {
        json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
            {"name": "type", "valueCode": "replace"},
            {"name": "path", "valueString": "Organization.name"},
            {"name": "value", "valueString": name}
        ]}]})
    };
    let json = [("content-type", "application/fhir+json")];
    let answer = service.send("PATCH", &path, &json, Some(patch("a").to_string())).await.expect(200);
    assert_eq!(answer.json()["name"], "a");
    let xml = r#"<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/>
        <part><name value="type"/><valueCode value="delete"/></part>
        <part><name value="path"/><valueString value="Organization.name"/></part></parameter></Parameters>"#;
    let headers = [("content-type", "application/fhir+xml"), ("accept", "application/fhir+json")];
    let answer = service.send("PATCH", &path, &headers, Some(xml.to_owned())).await.expect(200);
    assert_eq!(answer.json()["name"], Value::Null);
    let by_condition = "Organization?identifier=urn:o|1";
    let answer = service.send("PATCH", by_condition, &json, Some(patch("b").to_string())).await;
    // It has no name any more.
    answer.expect(422);
    let add = json!([{"op": "add", "path": "/name", "value": "c"}]).to_string();
    service.send("PATCH", by_condition, &[JSON_PATCH], Some(add.clone())).await.expect(200);
    service.send("PATCH", "Organization?identifier=none", &[JSON_PATCH], Some(add.clone())).await.expect(404);
    service.post("Organization", &organization("1", "twin")).await.expect(201);
    service.send("PATCH", by_condition, &[JSON_PATCH], Some(add)).await.expect(412);
}

#[tokio::test]
async fn no_patch_of_many_at_once_is_lost() {
    let (_server, service) = service().await;
    let made = service.post("Organization", &organization("1", "x")).await.expect(201);
    let path = format!("Organization/{}", made.id());
    let patches = (0..20).map(|n| {
        let (service, path) = (service.clone(), path.clone());
        let append = json!([{"op": "add", "path": "/identifier/-", "value": {"value": n.to_string()}}]);
        async move { service.send("PATCH", &path, &[JSON_PATCH], Some(append.to_string())).await }
    });
    let statuses: Vec<_> = join_all(patches).await.into_iter().map(|answer| answer.status).collect();
    let done = statuses.iter().filter(|status| **status == 200).count();
    assert!(statuses.iter().all(|status| [200, 409].contains(status)), "{statuses:?}");
    let stored = service.get(&path).await.expect(200).json();
    assert_eq!(stored["identifier"].as_array().unwrap().len(), 1 + done);
    assert_eq!(stored["meta"]["versionId"], (1 + done).to_string());
}

#[tokio::test]
async fn the_poc_hears_of_a_patch_as_of_an_update() {
    let server = TestServer::start().await;
    let (poc, receiver) = (server.poc("poc", 1).await, Receiver::start().await);
    poc.subscribe(&receiver).await;
    server.user("user", 1).await;
    let input = SetContext::default().reference("patient", "urn:uuid:p").entry("urn:uuid:p", &patient("Smith")).build();
    let launch = poc.launch(&input).await;
    let app = server.app("app").await.launch_with(&launch.id, "user", WIDEST).await.expect("a launch");
    let made = app.post("Observation", &observation(launch.first("Patient"), "one")).await.expect(201).id();
    let patch = json!([{"op": "replace", "path": "/status", "value": "amended"}]).to_string();
    app.send("PATCH", &format!("Observation/{made}"), &[JSON_PATCH], Some(patch)).await.expect(200);
    let told = receiver.wait_for(2).await;
    assert_eq!(told[1].resources()[0]["status"], "amended");
    // What the PoC refuses is not patched.
    receiver.behave(crate::support::receiver::Behaviour::refuse(422, "no"));
    let patch = json!([{"op": "replace", "path": "/status", "value": "cancelled"}]).to_string();
    app.send("PATCH", &format!("Observation/{made}"), &[JSON_PATCH], Some(patch)).await.expect(422);
    assert_eq!(app.get(&format!("Observation/{made}")).await.expect(200).json()["status"], "amended");
}

fn bundle(kind: &str, entries: Vec<Value>) -> Value {
    json!({"resourceType": "Bundle", "type": kind, "entry": entries})
}

fn entry(method: &str, url: &str, resource: Option<Value>) -> Value {
    let mut entry = json!({"request": {"method": method, "url": url}});
    if let Some(resource) = resource {
        entry["resource"] = resource;
    }
    entry
}

fn statuses(answer: &Value) -> Vec<&str> {
    answer["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["response"]["status"].as_str().unwrap()[..3])
        .collect()
}

#[tokio::test]
async fn bundles_take_conditions_patches_and_searches() {
    let (server, service) = service().await;
    let kept = service.post("Organization", &organization("1", "one")).await.expect(201).id();
    let gone = service.post("Organization", &organization("2", "two")).await.expect(201).id();
    let rename = json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Organization.name"},
        {"name": "value", "valueString": "patched"}
    ]}]});
    for kind in ["batch", "transaction"] {
        let made = format!("m-{kind}");
        let entries = vec![
            entry("GET", "Organization?_sort=_lastUpdated&_elements=name", None),
            entry("PATCH", &format!("Organization/{kept}"), Some(rename.clone())),
            entry("PUT", &format!("Organization?identifier=urn:o|{made}"), Some(organization(&made, "made"))),
            entry("DELETE", "Organization?identifier=urn:o|2", None),
            entry("DELETE", "Organization?identifier=urn:o|none", None),
            entry("GET", &format!("Organization/{kept}"), None),
            entry("GET", &format!("Organization/{kept}/_history?_count=1"), None),
        ];
        let answer = service.post("", &bundle(kind, entries)).await.expect(200).json();
        assert_eq!(statuses(&answer), ["200", "200", "201", "204", "204", "200", "200"], "{kind}: {answer}");
        if kind == "transaction" {
            // Searches see what the transaction did.
            let found = answer["entry"][0]["resource"]["entry"].as_array().unwrap();
            let names: Vec<_> = found.iter().map(|entry| entry["resource"]["name"].as_str().unwrap()).collect();
            assert_eq!(names, ["made", "made", "patched"]);
        }
        assert_eq!(answer["entry"][5]["resource"]["name"], "patched");
        assert_eq!(answer["entry"][6]["resource"]["type"], "history");
    }
    service.get(&format!("Organization/{gone}")).await.expect(410);
    let before = server.count("select count(*) from resource").await;
    for (entries, status) in [
        // The same by its id and by a condition.
        (
            vec![
                entry("PUT", "Organization?identifier=urn:o|1", Some(organization("1", "x"))),
                entry("DELETE", &format!("Organization/{kept}"), None),
            ],
            400,
        ),
        (
            vec![
                entry("POST", "Organization", Some(organization("9", "x"))),
                entry("POST", "Organization/$validate", Some(organization("9", "x"))),
            ],
            400,
        ),
        (
            vec![
                entry("POST", "Organization", Some(organization("9", "x"))),
                entry("GET", "Organization?name:bogus=1", None),
            ],
            400,
        ),
        (
            vec![
                entry("POST", "Organization", Some(organization("9", "x"))),
                entry("PATCH", "Organization?identifier=none", Some(rename.clone())),
            ],
            400,
        ),
    ] {
        service.post("", &bundle("transaction", entries)).await.expect(status).expect_outcome();
    }
    assert_eq!(server.count("select count(*) from resource").await, before);
}

#[tokio::test]
async fn a_transactions_order_does_not_depend_on_its_entries() {
    let (_server, service) = service().await;
    let old = service.post("Organization", &organization("1", "old")).await.expect(201).id();
    let mut create = entry("POST", "Organization", Some(organization("1", "new")));
    create["request"]["ifNoneExist"] = json!("identifier=urn:o|1");
    for entries in [[0, 1], [1, 0]] {
        let old = service.get("Organization?identifier=urn:o|1").await.expect(200).json()["entry"][0]["resource"]["id"]
            .clone();
        let both = [create.clone(), entry("DELETE", &format!("Organization/{}", old.as_str().unwrap()), None)];
        let answer = service.post("", &bundle("transaction", entries.map(|at| both[at].clone()).to_vec())).await;
        // Deletes come first: what goes is not found.
        let answer = answer.expect(200).json();
        let mut told = statuses(&answer);
        told.sort_unstable();
        assert_eq!(told, ["201", "204"], "{answer}");
    }
    service.get(&format!("Organization/{old}")).await.expect(410);
}

#[tokio::test]
async fn a_bundles_reads_are_conditional_too() {
    let (_server, service) = service().await;
    let made = service.post("Organization", &organization("1", "x")).await.expect(201).id();
    let mut known = entry("GET", &format!("Organization/{made}"), None);
    known["request"]["ifNoneMatch"] = json!("W/\"1\"");
    let mut since = entry("GET", &format!("Organization/{made}"), None);
    since["request"]["ifModifiedSince"] = json!("2099-01-01T00:00:00Z");
    let mut other = entry("GET", &format!("Organization/{made}"), None);
    other["request"]["ifNoneMatch"] = json!("W/\"7\"");
    let answer = service.post("", &bundle("batch", vec![known, since, other])).await.expect(200).json();
    assert_eq!(statuses(&answer), ["304", "304", "200"]);
    assert_eq!(answer["entry"][0]["resource"], Value::Null);
}
