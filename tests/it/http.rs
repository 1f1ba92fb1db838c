//! What HTTP itself demands of every route: addresses, methods, headers, conditions (R4, http.html).

use serde_json::{Value, json};
use sofa::store;
use sofa::store::client::{AuthMethod, Role};

use crate::support::answer::Answer;
use crate::support::server::TestServer;
use crate::support::session::Session;
use crate::support::world::unregistered;

async fn service() -> (TestServer, Session) {
    service_with("").await
}

async fn service_with(config: &str) -> (TestServer, Session) {
    let server = TestServer::configured(config).await;
    let service = server.service("service").await;
    (server, service)
}

fn organization(name: &str) -> Value {
    json!({"resourceType": "Organization", "name": name})
}

fn named(id: &str) -> String {
    json!({"resourceType": "Organization", "id": id, "name": "named"}).to_string()
}

async fn get(session: &Session, path: &str, headers: &[(&str, &str)]) -> Answer {
    session.send("GET", path, headers, None).await
}

#[tokio::test]
async fn the_statement_has_a_tag_that_tells_whether_it_changed() {
    let (server, _service) = service().await;
    let stranger = server.stranger();
    let statement = stranger.get("metadata").await.expect(200);
    let tag = statement.header("etag").to_owned();
    assert!(tag.starts_with("W/\"") && tag.len() > 20, "{tag}");
    let known = get(&stranger, "metadata", &[("if-none-match", &tag)]).await.expect(304);
    assert_eq!((known.text.as_str(), known.header("etag")), ("", &*tag));
    get(&stranger, "metadata", &[("if-none-match", "W/\"other\"")]).await.expect(200);
    let replica = |base: String| Session { fhir: base, ..stranger.clone() };
    let same = replica(server.replica("").await).get("metadata").await.expect(200);
    assert_eq!(same.header("etag"), tag, "a restart changes nothing");
    let other = replica(server.replica("[fhir]\nupdate_create = \"all\"").await).get("metadata").await.expect(200);
    assert_ne!(other.header("etag"), tag);
    assert_ne!(other.json()["rest"], statement.json()["rest"]);
}

#[tokio::test]
async fn the_mode_chooses_the_statement() {
    let (server, _service) = service().await;
    let stranger = server.stranger();
    let whole = stranger.get("metadata").await.expect(200);
    for mode in ["full", "normative", "unheard-of", ""] {
        assert_eq!(stranger.get(&format!("metadata?mode={mode}")).await.expect(200).text, whole.text, "{mode}");
    }
    let terminology = stranger.get("metadata?mode=terminology").await.expect(200);
    assert_eq!(terminology.json()["resourceType"], "TerminologyCapabilities");
    assert_ne!(terminology.header("etag"), whole.header("etag"));
    let xml = stranger.get("metadata?mode=terminology&_format=xml").await.expect(200);
    assert!(xml.text.contains("<TerminologyCapabilities"), "{}", xml.text);
}

#[tokio::test]
async fn a_slash_at_the_end_changes_nothing() {
    let (server, service) = service().await;
    let id = service.post("Organization/", &organization("x")).await.expect(201).id();
    for path in ["Organization", "Organization/_history", "_history", &*format!("Organization/{id}"), "metadata"] {
        let (bare, slash) = (service.get(path).await, service.get(&format!("{path}/")).await);
        assert_eq!((bare.status, slash.status), (200, 200), "{path}");
        assert_eq!(bare.json().get("entry"), slash.json().get("entry"), "{path}");
    }
    let batch = json!({"resourceType": "Bundle", "type": "batch"});
    service.post("", &batch).await.expect(200);
    service.post(&format!("{}/", server.fhir), &batch).await.expect(200);
    for base in ["", &*format!("{}/", server.fhir)] {
        let refused = service.send("PUT", base, &[], Some(named("x"))).await.expect(405).expect_outcome();
        assert!(refused.header("allow").contains("POST"), "{:?}", refused.headers);
    }
    service.put(&format!("Organization/{id}/"), &named(&id)).await.expect(200);
    service.delete(&format!("Organization/{id}/")).await.expect(204);
}

#[tokio::test]
async fn head_answers_whatever_get_answers_without_its_body() {
    let (server, service) = service().await;
    let id = service.post("Organization", &organization("x")).await.expect(201).id();
    for path in [
        "metadata".to_owned(),
        format!("Organization/{id}"),
        format!("Organization/{id}?_format=xml"),
        format!("Organization/{id}?_pretty=true"),
        format!("Organization/{id}/_history"),
        format!("Organization/{id}/_history/1"),
        format!("Organization/{id}/$validate"),
        "Organization?_count=1".to_owned(),
        "Organization/_history".to_owned(),
        "_history?_format=xml".to_owned(),
        "Organization/nothing".to_owned(),
        "Foo/1".to_owned(),
        "no/such/route/at/all".to_owned(),
    ] {
        let got = service.get(&path).await;
        let head = service.send("HEAD", &path, &[], None).await;
        assert_eq!((head.status, head.text.as_str()), (got.status, ""), "{path}");
        for name in ["content-type", "etag", "last-modified", "cache-control", "vary"] {
            assert_eq!(head.header(name), got.header(name), "{path}: {name}");
        }
        assert_eq!(head.header("content-length"), got.text.len().to_string(), "{path}");
    }
    server.stranger().send("HEAD", &format!("Organization/{id}"), &[], None).await.expect(401);
}

#[tokio::test]
async fn pretty_answers_are_laid_out_and_keep_their_numbers() {
    let (_server, service) = service().await;
    let text = r#"{"resourceType":"Basic","code":{"text":"x"},"extension":[{"url":"urn:d","valueDecimal":1.00}]}"#;
    let id = service.post("Basic", &text).await.expect(201).id();
    let pretty = service.get(&format!("Basic/{id}?_pretty=true")).await.expect(200);
    assert!(pretty.text.contains("\n      \"valueDecimal\": 1.00\n"), "{}", pretty.text);
    let plain = service.get(&format!("Basic/{id}")).await.expect(200);
    assert_eq!(pretty.json(), plain.json());
    assert_eq!(service.get(&format!("Basic/{id}?_pretty=false")).await.expect(200).text, plain.text);
    assert!(service.get("Basic/none?_pretty=true").await.expect(404).text.contains("\n  \"issue\": [\n"));
    service.get(&format!("Basic/{id}?_pretty=true&_format=xml")).await.expect(200);
}

#[tokio::test]
async fn addresses_are_utf8_and_types_are_case_sensitive() {
    let (_server, service) = service().await;
    let id = service.post("Organization", &organization("x")).await.expect(201).id();
    for path in ["organization", "ORGANIZATION", "Foo"] {
        for method in ["GET", "PUT", "DELETE", "PATCH", "POST"] {
            let answer = service.send(method, &format!("{path}/{id}"), &[], Some(named(&id))).await;
            answer.expect_issue(404, "not-found");
        }
        service.send("POST", path, &[], Some(named(&id))).await.expect_issue(404, "not-found");
        service.get(&format!("{path}/{id}/_history")).await.expect_issue(404, "not-found");
    }
    service.get(&format!("Organization/{}", id.to_uppercase())).await.expect(404);
    for bad in ["Organization/%FF", "Organization/%", "Organization/%4", "Organization?name=%C3%28", "_history?_at=%zz"]
    {
        service.get(bad).await.expect_issue(400, "value");
    }
    let xml = service.get("Organization/%FF?_format=xml").await.expect(400);
    assert!(xml.text.contains("<OperationOutcome"), "{}", xml.text);
    assert_eq!(service.get("Organization?name=M%C3%BCller").await.status, 200);
}

#[tokio::test]
async fn a_long_address_works_and_a_too_long_one_is_refused() {
    let (_server, service) = service().await;
    let long = format!("Organization/_history?_count=1&x={}", "y".repeat(8 << 10));
    service.get(&long).await.expect(200);
    let too_long = format!("Organization/_history?x={}", "y".repeat(40 << 10));
    service.get(&too_long).await.expect_issue(414, "too-long");
    service.get(&format!("Organization/{}", "y".repeat(40 << 10))).await.expect_issue(414, "too-long");
}

#[tokio::test]
async fn every_request_has_an_id_and_the_clients_comes_back() {
    let (server, service) = service().await;
    let given = get(&service, "Organization/x", &[("x-request-id", "abc-123")]).await;
    assert_eq!((given.header("x-request-id"), given.header("x-correlation-id")), ("abc-123", ""));
    let long = "x".repeat(200);
    for unfit in [long.as_str(), "has a space", ""] {
        let own = get(&service, "Organization/x", &[("x-request-id", unfit)]).await;
        assert!(!own.header("x-request-id").is_empty() && own.header("x-request-id") != unfit);
        assert_eq!(own.header("x-correlation-id"), unfit);
    }
    for path in ["metadata", "Foo/1", "no/such/route/at/all", "Organization/%FF"] {
        let answer = server.stranger().get(path).await;
        assert!(!answer.header("x-request-id").is_empty(), "{path}");
        assert!(answer.headers.get("x-intermediary").is_none() && answer.headers.get("x-correlation-id").is_none());
    }
}

#[tokio::test]
async fn a_page_of_a_registered_origin_may_use_all_of_the_api() {
    let (server, service) = service().await;
    let mut app = unregistered("app", Role::App, 0, AuthMethod::None);
    app.origins = vec!["https://app.example".to_owned()];
    let mut tx = store::begin(&server.db.pool).await.unwrap();
    store::client::insert(&mut tx, &app, server.now()).await.unwrap();
    tx.commit().await.unwrap();
    let origin = ("origin", "https://app.example");
    let wanted =
        "authorization,content-type,if-match,if-modified-since,if-none-exist,if-none-match,prefer,x-request-id";
    for path in ["Organization", "Organization/1", "Organization/_history", "_history", "no/such/route/at/all", ""] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let headers =
                [origin, ("access-control-request-method", method), ("access-control-request-headers", wanted)];
            let answer = server.stranger().send("OPTIONS", path, &headers, None).await.expect(200);
            let list = |name: &str| answer.header(name).to_ascii_lowercase();
            assert_eq!(list("access-control-allow-origin"), "https://app.example", "{method} {path}");
            assert!(list("access-control-allow-methods").contains(&method.to_ascii_lowercase()), "{method} {path}");
            for header in wanted.split(',') {
                assert!(list("access-control-allow-headers").contains(header), "{header}");
            }
        }
    }
    for path in ["Organization/nothing", "Foo/1", "Organization/1?_format=ttl", "Organization/%FF"] {
        let answer = get(&service, path, &[origin]).await;
        assert_eq!(answer.header("access-control-allow-origin"), "https://app.example", "{path}");
        let exposed = answer.header("access-control-expose-headers").to_ascii_lowercase();
        for header in [
            "etag",
            "location",
            "content-location",
            "x-request-id",
            "preference-applied",
            "x-correlation-id",
            "accept-patch",
        ] {
            assert!(exposed.split(',').any(|one| one == header), "{path}: {header} in {exposed}");
        }
    }
    let statement = get(&server.stranger(), "metadata", &[("origin", "https://anyone.example")]).await.expect(200);
    assert_eq!(statement.header("access-control-allow-origin"), "*");
    assert!(statement.header("access-control-expose-headers").contains("etag"));
}

#[tokio::test]
async fn conditional_reads_spare_what_the_client_has() {
    let (_server, service) = service().await;
    let id = service.post("Organization", &organization("x")).await.expect(201).id();
    let path = format!("Organization/{id}");
    let read = service.get(&path).await.expect(200);
    let modified = read.header("last-modified").to_owned();
    for path in [path.clone(), format!("{path}/_history/1")] {
        for (name, value, status) in [
            ("if-none-match", "W/\"1\"", 304),
            ("if-none-match", "\"1\"", 304),
            ("if-none-match", "W/\"9\", W/\"1\"", 304),
            ("if-none-match", "*", 304),
            ("if-none-match", "W/\"2\"", 200),
            ("if-modified-since", &*modified, 304),
            ("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT", 200),
            ("if-modified-since", "not a date", 200),
        ] {
            for format in ["json", "xml"] {
                let answer = get(&service, &format!("{path}?_format={format}"), &[(name, value)]).await.expect(status);
                assert_eq!(answer.header("etag"), "W/\"1\"", "{name}: {value}");
                assert_eq!(answer.text.is_empty(), status == 304, "{name}: {value}");
            }
        }
    }
    let both = [("if-none-match", "W/\"2\""), ("if-modified-since", &*modified)];
    get(&service, &path, &both).await.expect(200);
    get(&service, "Organization/none", &[("if-none-match", "*")]).await.expect(404);
}

#[tokio::test]
async fn an_update_may_ask_that_nothing_is_there() {
    let (_server, service) = service_with("[fhir]\nupdate_create = \"shared\"").await;
    let put = async |value: &str| {
        service.send("PUT", "Organization/chosen", &[("if-none-match", value)], Some(named("chosen"))).await
    };
    put("*").await.expect(201);
    put("*").await.expect_issue(412, "conflict");
    put("W/\"1\"").await.expect_issue(400, "value");
    assert_eq!(service.get("Organization/chosen").await.expect(200).header("etag"), "W/\"1\"");
    service.delete("Organization/chosen").await.expect(204);
    let revived = put("*").await.expect(200);
    assert_eq!(revived.header("etag"), "W/\"3\"");
}

#[tokio::test]
async fn no_cache_keeps_what_is_about_patients() {
    let (server, service) = service().await;
    let made = service.post("Organization", &organization("x")).await.expect(201);
    assert_eq!(made.header("cache-control"), "no-store");
    let path = format!("Organization/{}", made.id());
    for path in [&*path, "Organization", "_history", "Organization/none", "Foo/1"] {
        assert_eq!(service.get(path).await.header("cache-control"), "no-store", "{path}");
    }
    assert_eq!(server.stranger().get("metadata").await.header("cache-control"), "no-cache");
}

#[tokio::test]
async fn a_refused_method_is_told_the_others() {
    let (_server, service) = service().await;
    let id = service.post("Organization", &organization("x")).await.expect(201).id();
    for (method, path, allowed) in [
        ("POST", format!("Organization/{id}"), "GET, HEAD, PUT, DELETE"),
        ("PUT", format!("Organization/{id}/_history"), "GET, HEAD"),
        ("DELETE", format!("Organization/{id}/_history/1"), "GET, HEAD"),
        ("GET", "$set-context".to_owned(), "POST"),
        ("DELETE", "metadata".to_owned(), "GET, HEAD"),
        ("POST", "metadata/".to_owned(), "GET, HEAD"),
        // Ids are given by the server: what the method asks for is refused, not the method everywhere.
        ("PUT", "Organization/never".to_owned(), "GET, HEAD, DELETE"),
    ] {
        let refused = service.send(method, &path, &[], Some(named("never"))).await.expect_issue(405, "not-supported");
        let told: Vec<_> = refused.header("allow").split(", ").map(str::to_owned).collect();
        for method in allowed.split(", ") {
            assert!(told.iter().any(|one| one == method), "{method} {path}: {told:?}");
        }
        assert!(!told.iter().any(|one| one == method), "{method} {path}: {told:?}");
    }
}

#[tokio::test]
async fn a_body_in_another_charset_is_refused() {
    let (_server, service) = service().await;
    let post = async |kind: &str| {
        service.send("POST", "Organization", &[("content-type", kind)], Some(organization("é").to_string())).await
    };
    for kind in ["application/fhir+json; charset=utf-8", "application/fhir+json;charset=\"UTF-8\"", "text/json"] {
        post(kind).await.expect(201);
    }
    for kind in ["application/fhir+json; charset=iso-8859-1", "application/fhir+json; charset=utf-16", "charset=utf-8"]
    {
        post(kind).await.expect_issue(415, "not-supported");
    }
}

#[tokio::test]
async fn deletes_answer_204_or_200_as_preferred() {
    let (_server, service) = service().await;
    for (prefer, status) in [
        ("", 204),
        ("return=minimal", 204),
        ("return=representation", 204),
        ("return=OperationOutcome", 200),
        ("handling=strict, return=\"OperationOutcome\"", 200),
    ] {
        let id = service.post("Organization", &organization("x")).await.expect(201).id();
        let path = format!("Organization/{id}");
        for round in ["there", "deleted already"] {
            let answer = service.send("DELETE", &path, &[("prefer", prefer)], None).await.expect(status);
            assert_eq!(answer.text.is_empty(), status == 204, "{prefer}, {round}: {}", answer.text);
            if status == 200 {
                assert_eq!(answer.json()["resourceType"], "OperationOutcome");
            }
            // Of what is deleted there is no representation: that preference is not applied.
            let applied = prefer.rsplit(", ").next().unwrap().replace('"', "").replace("return=representation", "");
            assert_eq!(answer.header("preference-applied"), applied, "{prefer}, {round}");
        }
        service.get(&path).await.expect(410);
    }
    service.delete("Organization/a_b").await.expect(404).expect_outcome();
}

#[tokio::test]
async fn a_delete_of_a_whole_type_is_refused() {
    let (_server, service) = service().await;
    service.post("Organization", &organization("x")).await.expect(201);
    for path in ["Organization", "Organization/", "Organization?", "Organization?_format=json", "Organization?_count=5"]
    {
        service.delete(path).await.expect(400).expect_outcome();
    }
    assert_eq!(service.get("Organization").await.expect(200).json()["total"], 1);
}

#[tokio::test]
async fn what_was_applied_of_the_preferences_is_told() {
    let (_server, service) = service().await;
    for (prefer, applied) in [
        ("return=minimal", "return=minimal"),
        ("respond-async, return=representation", "return=representation"),
        ("return=\"OperationOutcome\"", "return=OperationOutcome"),
        ("respond-async", ""),
        ("return=nonsense", ""),
    ] {
        for format in ["json", "xml"] {
            let headers = [("prefer", prefer), ("accept", &*format!("application/fhir+{format}"))];
            let made = service.send("POST", "Organization", &headers, Some(organization("x").to_string())).await;
            let made = made.expect(201);
            assert_eq!(made.header("preference-applied"), applied, "{prefer}");
            assert_eq!(made.text.is_empty(), applied == "return=minimal");
            assert_eq!(made.text.contains("OperationOutcome"), applied == "return=OperationOutcome");
            assert!(made.text.is_empty() || made.text.starts_with('<') == (format == "xml"), "{}", made.text);
        }
    }
}

#[tokio::test]
async fn every_write_returns_what_is_preferred() {
    let (_server, service) = service().await;
    let mut one = organization("x");
    one["identifier"] = json!([{"system": "urn:o", "value": "1"}]);
    let id = service.post("Organization", &one).await.expect(201).id();
    let (path, by_condition) = (format!("Organization/{id}"), "Organization?identifier=urn:o|1");
    one["id"] = json!(id);
    let patch = json!([{"op": "add", "path": "/name", "value": "x"}]);
    let (fhir, json_patch) = ("application/fhir+json", "application/json-patch+json");
    for (method, path, kind, body) in [
        ("POST", "Organization", fhir, organization("x")),
        ("PUT", &*path, fhir, one.clone()),
        ("PUT", by_condition, fhir, one),
        ("PATCH", &*path, json_patch, patch.clone()),
        ("PATCH", by_condition, json_patch, patch),
    ] {
        let mut versions = Vec::new();
        for (preferred, returned) in [
            ("minimal", Value::Null),
            ("representation", json!("Organization")),
            ("OperationOutcome", json!("OperationOutcome")),
        ] {
            let prefer = format!("return={preferred}");
            let headers = [("content-type", kind), ("prefer", &*prefer)];
            let answer = service.send(method, path, &headers, Some(body.to_string())).await;
            assert_eq!(answer.status, if method == "POST" { 201 } else { 200 }, "{method} {path}: {}", answer.text);
            let kind = if answer.text.is_empty() { Value::Null } else { answer.json()["resourceType"].clone() };
            assert_eq!((kind, answer.header("preference-applied")), (returned, &*prefer), "{method} {path}");
            assert!(
                !answer.header("last-modified").is_empty()
                    && answer.header("location").is_empty() == (method != "POST")
            );
            versions.push(answer.header("etag")[3..].trim_end_matches('"').parse::<i64>().unwrap());
        }
        let steps: Vec<_> = versions.windows(2).map(|two| two[1] - two[0]).collect();
        assert_eq!(steps, if method == "POST" { [0, 0] } else { [1, 1] }, "{method} {path}");
    }
}

#[tokio::test]
async fn a_database_that_takes_too_long_ends_in_an_outcome() {
    let (server, service) = service_with("[database]\nstatement_timeout = \"300ms\"").await;
    let id = service.post("Organization", &organization("x")).await.expect(201).id();
    let mut holder = server.db.pool.begin().await.unwrap();
    sqlx::query("lock table resource in access exclusive mode").execute(&mut *holder).await.unwrap();
    for format in ["json", "xml"] {
        let answer = service.get(&format!("Organization/{id}?_format={format}")).await.expect(503);
        assert!(answer.text.contains("OperationOutcome") && answer.text.contains("too-costly"), "{}", answer.text);
        assert!(!answer.header("retry-after").is_empty());
    }
    holder.rollback().await.unwrap();
    service.get(&format!("Organization/{id}")).await.expect(200);
}
