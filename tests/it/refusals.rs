//! What is refused, and that it is refused at every door that leads there (R4, http.html, search.html#errors).

use serde_json::{Value, json};

use crate::fixtures::{SetContext, bundle, entry, observation, patient};
use crate::support::answer::Answer;
use crate::support::server::TestServer;
use crate::support::session::Session;

const JSON_PATCH: &str = "application/json-patch+json";
const FHIR_JSON: &str = "application/fhir+json";
const FORM: &str = "application/x-www-form-urlencoded";

async fn service() -> (TestServer, Session) {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    (server, service)
}

fn organization(value: &str) -> Value {
    json!({"resourceType": "Organization", "identifier": [{"system": "urn:o", "value": value}], "name": "x"})
}

fn with_id(mut resource: Value, id: &str) -> Value {
    resource["id"] = json!(id);
    resource
}

fn rename() -> String {
    json!([{"op": "replace", "path": "/name", "value": "renamed"}]).to_string()
}

fn tagged() -> Value {
    let meta = json!({"tag": [{"system": "urn:tag", "code": "t"}]});
    json!({"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]})
}

/// Every way to write one Organization with `If-Match`: method, path, Content-Type, body.
fn writes(id: &str) -> Vec<(&'static str, String, &'static str, Option<String>)> {
    let (one, by_condition) = (format!("Organization/{id}"), "Organization?identifier=urn:o|1".to_owned());
    let whole = || Some(with_id(organization("1"), id).to_string());
    vec![
        ("PUT", one.clone(), FHIR_JSON, whole()),
        ("PUT", by_condition.clone(), FHIR_JSON, whole()),
        ("PATCH", one.clone(), JSON_PATCH, Some(rename())),
        ("PATCH", by_condition.clone(), JSON_PATCH, Some(rename())),
        ("POST", format!("{one}/$meta-add"), FHIR_JSON, Some(tagged().to_string())),
        ("POST", format!("{one}/$meta-delete"), FHIR_JSON, Some(tagged().to_string())),
        ("DELETE", one, "", None),
        ("DELETE", by_condition, "", None),
    ]
}

#[tokio::test]
async fn a_version_that_is_none_or_another_one_stops_every_write() {
    let (_server, service) = service().await;
    let id = service.post("Organization", &organization("1")).await.expect(201).id();
    for (method, path, kind, body) in writes(&id) {
        let send = async |value: &str| {
            let headers = [("if-match", value), ("content-type", kind)];
            let count = if body.is_some() { 2 } else { 1 };
            service.send(method, &path, &headers[..count], body.clone()).await
        };
        for none in
            ["1", "W/1", "\"x\"", "W/\"\"", "*", "", "W/\"1\", W/\"2\"", "W/W/\"1\"", "w/\"1\"", "W/\"+1\"", "W/\"01\""]
        {
            let answer = send(none).await;
            assert_eq!(answer.status, 400, "{method} {path} If-Match {none:?}: {}", answer.text);
            answer.expect_issue(400, "value");
        }
        for other in ["W/\"2\"", "\"0\"", "W/\"-1\""] {
            send(other).await.expect_issue(412, "conflict");
        }
    }
    assert_eq!(service.get(&format!("Organization/{id}")).await.expect(200).header("etag"), "W/\"1\"");
    let nothing = service.send(
        "PUT",
        "Organization?identifier=none",
        &[("if-match", "W/\"1\"")],
        Some(organization("9").to_string()),
    );
    nothing.await.expect_issue(412, "conflict");
}

#[tokio::test]
async fn a_precondition_that_is_not_understood_is_not_passed_over() {
    let (_server, service) = service().await;
    let id = service.post("Organization", &organization("1")).await.expect(201).id();
    let one = format!("Organization/{id}");
    for (method, path, kind, body) in writes(&id) {
        // These are patches whose own door looks at If-Match only.
        if path.contains('$') {
            continue;
        }
        let send = async |conditions: &[(&str, &str)]| {
            let mut headers = conditions.to_vec();
            headers.extend(body.is_some().then_some(("content-type", kind)));
            service.send(method, &path, &headers, body.clone()).await
        };
        send(&[("if-match", "W/\"1\""), ("if-match", "W/\"2\"")]).await.expect_issue(400, "value");
        send(&[("if-none-match", "W/\"1\"")]).await.expect(400).expect_outcome();
        send(&[("if-none-match", "*"), ("if-none-match", "*")]).await.expect(400).expect_outcome();
        // What has an id is asked for whether it is there.
        let status = if method == "PUT" && path == one { 412 } else { 400 };
        send(&[("if-none-match", "*")]).await.expect(status).expect_outcome();
    }
    let twice = [("if-none-exist", "identifier=urn:o|1"), ("if-none-exist", "identifier=urn:o|2")];
    let body = Some(organization("2").to_string());
    service.send("POST", "Organization", &twice, body).await.expect_issue(400, "value");
    assert_eq!(service.get(&one).await.expect(200).header("etag"), "W/\"1\"");
    assert_eq!(service.get("Organization?_summary=count").await.expect(200).json()["total"], 1);
}

/// Every entry of a Bundle that writes one Organization with a condition: method, address, resource.
fn entries(id: &str) -> Vec<Value> {
    let (one, by_condition) = (format!("Organization/{id}"), "Organization?identifier=urn:o|1");
    let whole = with_id(organization("1"), id);
    let operation =
        json!([{"name": "type", "valueCode": "delete"}, {"name": "path", "valueString": "Organization.name"}]);
    let patch = json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": operation}]});
    vec![
        entry("", "PUT", &one, Some(&whole)),
        entry("", "PUT", by_condition, Some(&whole)),
        entry("", "PATCH", &one, Some(&patch)),
        entry("", "PATCH", by_condition, Some(&patch)),
        entry("", "DELETE", &one, None),
        entry("", "DELETE", by_condition, None),
    ]
}

/// Sends an entry with these conditions in a batch and, behind a create, in a transaction: both fail with this status, at
/// this element of the entry's request.
async fn fails(service: &Session, one: &Value, conditions: &Value, status: u16, element: &str) {
    let mut one = one.clone();
    for (name, value) in conditions.as_object().unwrap() {
        one["request"][name] = value.clone();
    }
    let answer = service.post("", &bundle("batch", std::slice::from_ref(&one))).await.expect(200).json();
    let response = &answer["entry"][0]["response"];
    assert_eq!(response["status"].as_str().unwrap()[..3], status.to_string(), "{one}: {answer}");
    let other = entry("urn:uuid:other", "POST", "Organization", Some(&organization("other")));
    let answer = service.post("", &bundle("transaction", &[other, one.clone()])).await;
    assert_eq!(answer.status, status, "{one}: {}", answer.text);
    let answer = answer.expect_outcome();
    if !element.is_empty() {
        let place = |entry: usize| format!("Bundle.entry[{entry}].request.{element}");
        assert_eq!(response["outcome"]["issue"][0]["expression"][0], place(0), "{one}");
        answer.at(&place(1));
    }
}

#[tokio::test]
async fn a_precondition_of_an_entry_is_not_passed_over_either() {
    let (server, service) = service().await;
    let id = service.post("Organization", &organization("1")).await.expect(201).id();
    for one in entries(&id) {
        let is_update_of_an_id =
            one["request"]["method"] == "PUT" && one["request"]["url"] != "Organization?identifier=urn:o|1";
        for other in ["W/\"1\"", "W/\"7\"", "1", "", "*, *"] {
            fails(&service, &one, &json!({"ifNoneMatch": other}), 400, "ifNoneMatch").await;
        }
        // What has an id is asked for whether it is there.
        let status = if is_update_of_an_id { 412 } else { 400 };
        let element = if is_update_of_an_id { "" } else { "ifNoneMatch" };
        fails(&service, &one, &json!({"ifNoneMatch": "*"}), status, element).await;
        for version in ["W/\"1\"", "W/\"2\""] {
            fails(&service, &one, &json!({"ifNoneMatch": "*", "ifMatch": version}), 400, "ifNoneMatch").await;
        }
        for (name, none) in [("ifMatch", json!(1)), ("ifMatch", json!(["W/\"1\""])), ("ifNoneMatch", json!(true))] {
            fails(&service, &one, &json!({name: none}), 400, name).await;
        }
    }
    let create = entry("", "POST", "Organization", Some(&organization("1")));
    fails(&service, &create, &json!({"ifNoneExist": ["identifier=urn:o|1"]}), 400, "ifNoneExist").await;
    assert_eq!(server.count("select count(*) from resource").await, 1);
    assert_eq!(server.count("select count(*) from resource_history").await, 0);
    // With the version that is there, the same entries are done.
    for (index, mut one) in entries(&id).into_iter().enumerate().take(5) {
        one["request"]["ifMatch"] = json!(format!("W/\"{}\"", index + 1));
        let (status, _) = alone(&service, &one).await;
        assert!(status.starts_with('2'), "{one}: {status}");
    }
}

#[tokio::test]
async fn a_version_of_an_entry_that_is_none_or_another_one_stops_it() {
    let (server, service) = service().await;
    let id = service.post("Organization", &organization("1")).await.expect(201).id();
    for one in entries(&id) {
        for none in
            ["1", "W/1", "\"x\"", "*", "", "W/\"1\", W/\"2\"", "W/W/\"1\"", "w/\"1\"", "\"+1\"", "\"01\"", "\"\"1\"\""]
        {
            fails(&service, &one, &json!({"ifMatch": none}), 400, "ifMatch").await;
        }
        for other in ["W/\"2\"", "\"0\"", "W/\"-1\""] {
            fails(&service, &one, &json!({"ifMatch": other}), 412, "").await;
        }
    }
    assert_eq!(server.count("select count(*) from resource").await, 1);
    assert_eq!(server.count("select count(*) from resource_history").await, 0);
    for (tags, status) in
        [("W/\"1\"", "304"), ("\"2\", \"1\"", "304"), ("*", "304"), ("1", "200"), ("W/W/\"1\"", "200")]
    {
        let mut one = entry("", "GET", &format!("Organization/{id}"), None);
        one["request"]["ifNoneMatch"] = json!(tags);
        assert_eq!(alone(&service, &one).await.0, status, "{tags}");
    }
}

#[tokio::test]
async fn a_history_that_cannot_be_told_fails_its_transaction() {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    let id = service.post("Organization", &organization("1")).await.expect(201).id();
    let observer = server.service_with("observer", "system/Organization.cru system/Observation.rs").await;
    let written = entry("urn:uuid:a", "POST", "Organization", Some(&organization("2")));
    for (who, path, status) in [
        (&observer, "Organization/_history", 403),
        (&observer, "Patient/_history", 403),
        (&observer, "Patient/1/_history", 403),
        (&observer, "Observation/_history?_list=1", 403),
        (&service, "Organization/_history?_since=yesterday", 400),
        (&service, "_history?_count=1&_count=2", 400),
        (&service, "Organization/unknown/_history", 404),
        (&service, "Organization/_history?_page=x", 404),
    ] {
        let look = entry("", "GET", path, None);
        who.post("", &bundle("transaction", &[written.clone(), look])).await.expect(status).expect_outcome();
        assert_eq!(server.count("select count(*) from resource").await, 1, "{path}");
    }
    let looks = [format!("Organization/{id}/_history"), "Observation/_history".into(), "_history".into()];
    let looks = looks.iter().map(|path| entry("", "GET", path, None));
    let answer =
        observer.post("", &bundle("transaction", &std::iter::once(written).chain(looks).collect::<Vec<_>>())).await;
    let entries = answer.expect(200).json()["entry"].as_array().cloned().unwrap();
    let statuses: Vec<_> =
        entries.iter().map(|entry| entry["response"]["status"].as_str().unwrap()[..3].to_owned()).collect();
    assert_eq!(statuses, ["201", "200", "200", "200"]);
}

#[tokio::test]
async fn a_number_that_this_server_does_not_write_is_no_version() {
    let (_server, service) = service().await;
    let id = service.post("Organization", &organization("1")).await.expect(201).id();
    for version in ["0", "2", "01", "+1", "-1", "1.0", "x", "%31%20", "9223372036854775807", "9223372036854775808"] {
        let answer = service.get(&format!("Organization/{id}/_history/{version}")).await;
        answer.expect_issue(404, "not-found");
    }
    service.get(&format!("Organization/{id}/_history/1")).await.expect(200);
    // Percent-encoded it is the same address (RFC 3986 section 6.2.2.2).
    service.get(&format!("Organization/{id}/_history/%31")).await.expect(200);
}

#[tokio::test]
async fn every_body_says_a_media_type_that_its_door_takes() {
    let (server, service) = service().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    let id = service.post("Organization", &organization("1")).await.expect(201).id();
    let one = format!("Organization/{id}");
    let whole = with_id(organization("1"), &id).to_string();
    let (batch, context) = (bundle("batch", &[]).to_string(), SetContext::patient("X").build().to_string());
    for (who, method, path, body, takes) in [
        (&service, "POST", "Organization", organization("2").to_string(), FHIR_JSON),
        (&service, "PUT", &*one, whole.clone(), FHIR_JSON),
        (&service, "PUT", "Organization?identifier=urn:o|1", whole, FHIR_JSON),
        (&service, "PATCH", &*one, rename(), JSON_PATCH),
        (&service, "PATCH", "Organization?identifier=urn:o|1", rename(), JSON_PATCH),
        (&service, "POST", "", batch, FHIR_JSON),
        (&service, "POST", "Organization/$validate", organization("2").to_string(), FHIR_JSON),
        (&service, "POST", &*format!("{one}/$meta-add"), tagged().to_string(), FHIR_JSON),
        (&service, "POST", "Organization/_search", "name=x".to_owned(), FORM),
        (&service, "POST", "_search", "_type=Organization".to_owned(), FORM),
        (&service, "POST", "Patient/1/Observation/_search", "code=x".to_owned(), FORM),
        (&poc.session, "POST", "$set-context", context, FHIR_JSON),
    ] {
        let others = [FHIR_JSON, JSON_PATCH, FORM, "text/plain", "multipart/form-data; boundary=x", "nonsense", ""];
        // A FHIRPath Patch is FHIR: what it says is looked at, so the type is not what is wrong with it.
        let is_fhir_too = |kind: &str| takes == JSON_PATCH && kind == FHIR_JSON;
        for kind in others.into_iter().filter(|kind| *kind != takes && !is_fhir_too(kind)) {
            let answer = who.send(method, path, &[("content-type", kind)], Some(body.clone())).await;
            assert_eq!(answer.status, 415, "{method} {path} as {kind:?}: {}", answer.text);
            let answer = answer.expect_issue(415, "not-supported");
            assert_eq!(answer.header("accept-patch").is_empty(), method != "PATCH", "{method} {path} as {kind:?}");
        }
        let answer = who.send(method, path, &[("content-type", takes)], Some(body)).await;
        assert!(answer.status < 300, "{method} {path}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_is_a_body_too() {
    let (server, service) = service().await;
    let id = service.post("Organization", &organization("1")).await.expect(201).id();
    for path in ["Organization/$validate", &*format!("Organization/{id}/$validate")] {
        let sent = futures_util::stream::iter([Ok::<_, std::io::Error>(organization("1").to_string())]);
        let request = server.http.post(format!("{}/{path}", server.fhir)).body(reqwest::Body::wrap_stream(sent));
        let answer = request.bearer_auth(service.token.as_deref().unwrap()).send().await.unwrap();
        // It says no media type; to leave it unread would be to judge something else.
        Answer::read(path.to_owned(), answer).await.expect_issue(415, "not-supported");
    }
    service.send("POST", &format!("Organization/{id}/$validate"), &[], None).await.expect(200);
}

#[tokio::test]
async fn a_form_is_percent_encoded_utf8_as_an_address_is() {
    let (_server, service) = service().await;
    for form in ["name=%FF", "name=%", "name=100%", "name=%C3%28", "%zz=1"] {
        for path in ["Organization/_search", "_search?_type=Organization", "Patient/1/Observation/_search"] {
            let answer = service.send("POST", path, &[("content-type", FORM)], Some(form.to_owned())).await;
            answer.expect_issue(400, "value");
        }
    }
    let fine = service.send("POST", "Organization/_search", &[("content-type", FORM)], Some("name=M%C3%BC+x".into()));
    fine.await.expect(200);
}

/// The status of the only entry of a batch, and the code of its first issue.
async fn alone(session: &Session, one: &Value) -> (String, String) {
    let answer = session.post("", &bundle("batch", std::slice::from_ref(one))).await.expect(200).json();
    let response = &answer["entry"][0]["response"];
    let code = response["outcome"]["issue"][0]["code"].as_str().unwrap_or_default().to_owned();
    (response["status"].as_str().unwrap().chars().take(3).collect(), code)
}

#[tokio::test]
async fn a_malformed_condition_is_refused_at_every_door() {
    let (server, service) = service().await;
    service.post("Organization", &organization("1")).await.expect(201);
    let body = organization("1").to_string();
    for query in [
        "name:in=x",
        "name:bogus=x",
        "name:exact:contains=x",
        "identifier:exact=x",
        "identifier:of-type=MR|1",
        "identifier=a|b|c",
        "active:missing=maybe",
        "active:below=true",
        "partof=a_b",
        "partof:Patient=1",
        "partof:bogus.name=x",
        "partof.name:bogus=x",
        "name.family=x",
        "_has:Patient=x",
        "_has:Patient:organization:birthdate=abc",
        "_has:Patient:organization:name:bogus=x",
        "_id:exact=x",
        "_lastUpdated=gt",
        "_lastUpdated=2020-13",
        "_lastUpdated:missing=maybe",
        "_tag:exact=x",
        "_list=a_b",
        r"name=a\b",
        "name=%00",
    ] {
        let path = format!("Organization?{query}");
        let form = ("content-type", FORM);
        let patch = ("content-type", JSON_PATCH);
        for answer in [
            service.get(&path).await,
            service.send("HEAD", &path, &[], None).await,
            service.send("POST", "Organization/_search", &[form], Some(query.to_owned())).await,
            service.send("POST", &format!("Organization/_search?{query}"), &[form], Some(String::new())).await,
            service.send("POST", "Organization", &[("if-none-exist", query)], Some(body.clone())).await,
            service.send("PUT", &path, &[], Some(body.clone())).await,
            service.send("PATCH", &path, &[patch], Some(rename())).await,
            service.delete(&path).await,
        ] {
            assert_eq!(answer.status, 400, "{}: {query}: {}", answer.asked, answer.text);
            assert!(answer.asked.starts_with("HEAD") || answer.text.contains("OperationOutcome"), "{}", answer.asked);
        }
        let mut conditional = entry("urn:uuid:a", "POST", "Organization", Some(&organization("1")));
        conditional["request"]["ifNoneExist"] = json!(query);
        let mut child = organization("2");
        child["partOf"] = json!({"reference": path});
        for one in [
            entry("", "GET", &path, None),
            entry("", "DELETE", &path, None),
            entry("", "PUT", &path, Some(&organization("1"))),
            conditional,
            entry("urn:uuid:b", "POST", "Organization", Some(&child)),
        ] {
            let (status, _) = alone(&service, &one).await;
            assert_eq!(status, "400", "{query}: {one}");
            let whole = service.post("", &bundle("transaction", std::slice::from_ref(&one))).await;
            assert!(matches!(whole.status, 400 | 422), "{query}: {one}: {}", whole.text);
            whole.expect_outcome();
        }
    }
    assert_eq!(server.count("select count(*) from resource_history").await, 0);
    assert_eq!(server.count("select count(*) from resource").await, 1);
}

/// Every way to an interaction with a type of which `one` (`Type/id`) is a resource: method, path, Content-Type, body.
fn doors(one: &str, body: &Value) -> Vec<(&'static str, String, &'static str, Option<String>)> {
    let (kind, id) = one.split_once('/').unwrap();
    let whole = || Some(with_id(body.clone(), id).to_string());
    let patch = || Some("[]".to_owned());
    vec![
        ("GET", one.to_owned(), "", None),
        ("HEAD", one.to_owned(), "", None),
        ("GET", format!("{one}/_history/1"), "", None),
        ("GET", format!("{one}/_history"), "", None),
        ("GET", format!("{kind}/_history"), "", None),
        ("GET", kind.to_owned(), "", None),
        ("GET", format!("{kind}?_id={id}&_summary=count"), "", None),
        ("POST", format!("{kind}/_search"), FORM, Some(format!("_id={id}"))),
        ("GET", format!("?_type={kind}"), "", None),
        ("GET", format!("?_type=Observation,{kind}"), "", None),
        ("POST", "_search".to_owned(), FORM, Some(format!("_type={kind}"))),
        ("POST", kind.to_owned(), FHIR_JSON, Some(body.to_string())),
        ("PUT", one.to_owned(), FHIR_JSON, whole()),
        ("PUT", format!("{kind}?_id={id}"), FHIR_JSON, whole()),
        ("PATCH", one.to_owned(), JSON_PATCH, patch()),
        ("PATCH", format!("{kind}?_id={id}"), JSON_PATCH, patch()),
        ("DELETE", one.to_owned(), "", None),
        ("DELETE", format!("{kind}?_id={id}"), "", None),
        ("GET", format!("{one}/$validate"), "", None),
        ("GET", format!("{one}/$meta"), "", None),
        ("POST", format!("{one}/$meta-add"), FHIR_JSON, Some(tagged().to_string())),
        ("POST", format!("{one}/$meta-delete"), FHIR_JSON, Some(tagged().to_string())),
    ]
}

#[tokio::test]
async fn a_type_outside_the_scopes_is_forbidden_at_every_door() {
    let server = TestServer::start().await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    server.user("user", 7).await;
    let about = json!({"resourceType": "Condition", "subject": {"reference": "urn:uuid:patient"}, "code": {"text": "secret"},
        "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}});
    let input = SetContext::patient("Secret")
        .entry("urn:uuid:c", &about)
        .entry("urn:uuid:o", &observation("urn:uuid:patient", "x"))
        .build();
    let launch = poc.launch(&input).await;
    let [jane, condition, seen] = &launch.created[..] else { panic!("{launch:?}") };
    let scope = "launch patient/Observation.cruds user/Observation.cruds";
    let app = server.app("app").await.launch_with(&launch.id, "user", scope).await.expect("a launch");
    let mut of_condition = about.clone();
    of_condition["subject"] = json!({"reference": jane});
    let subscription = crate::support::poc::subscription("https://poc.example/hook", "empty");
    for (one, body) in
        [(condition.as_str(), &of_condition), (jane, &patient("X")), ("Subscription/none", &subscription)]
    {
        for (method, path, kind, sent) in doors(one, body) {
            let headers: &[(&str, &str)] = if kind.is_empty() { &[] } else { &[("content-type", kind)] };
            let answer = app.send(method, &path, headers, sent.clone()).await;
            assert_eq!(answer.status, 403, "{method} {path}: {}", answer.text);
            assert!(answer.header("www-authenticate").contains("insufficient_scope"), "{method} {path}");
            assert!(!answer.text.contains("ecret"), "{method} {path}: {}", answer.text);
            if kind == FORM || path.contains('$') || path.contains("_history?") || path.starts_with('?') {
                continue;
            }
            // As an entry of a Bundle, where entries of that kind are offered.
            let resource = sent.filter(|_| kind == FHIR_JSON).map(|text| serde_json::from_str::<Value>(&text).unwrap());
            if kind != JSON_PATCH {
                let one = entry("", method, &path, resource.as_ref());
                assert_eq!(alone(&app, &one).await, ("403".to_owned(), "forbidden".to_owned()), "{method} {path}");
                app.post("", &bundle("transaction", &[one])).await.expect_issue(403, "forbidden");
            }
        }
    }
    app.get(&format!("{jane}/Condition")).await.expect(403);
    app.get(&format!("{jane}/$everything")).await.expect(403);
    nothing_leaks(&app, jane, condition, seen).await;
}

/// What may be searched tells nothing of what may not.
async fn nothing_leaks(app: &Session, jane: &str, condition: &str, seen: &str) {
    let id = |reference: &str| reference.split_once('/').unwrap().1.to_owned();
    for (query, matches) in [
        ("Observation?_include=Observation:subject&_include=*".to_owned(), 1),
        ("Observation?_revinclude=*&_include:iterate=*&_revinclude:iterate=*".to_owned(), 1),
        ("Observation?subject:Patient.name=Secret".to_owned(), 0),
        ("Observation?subject:Patient.name:missing=true".to_owned(), 0),
        ("Observation?patient.gender:not=male".to_owned(), 0),
        (format!("Observation?patient._id={}", id(jane)), 0),
        ("Observation?patient._has:Condition:patient:code:text=secret".to_owned(), 0),
        (format!("Observation?_id={},{}", id(condition), id(seen)), 1),
        (format!("{jane}/*"), 1),
        ("?_lastUpdated=gt2020".to_owned(), 1),
    ] {
        let answer = app.get(&query).await.expect(200);
        let found = answer.json();
        let entries = found["entry"].as_array().cloned().unwrap_or_default();
        let kinds: Vec<_> = entries
            .iter()
            .filter(|entry| entry["search"]["mode"] != "outcome")
            .map(|entry| entry["resource"]["resourceType"].as_str().unwrap())
            .collect();
        assert_eq!(kinds, vec!["Observation"; matches], "{query}: {}", answer.text);
        let tells = ["\"family\"", "\"text\":\"secret\""].into_iter().any(|hidden| answer.text.contains(hidden));
        assert!(!tells, "{query}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_conditional_reference_to_several_fails_the_whole() {
    let (server, service) = service().await;
    for _ in 0..2 {
        service.post("Organization", &organization("twin")).await.expect(201);
    }
    let mut child = organization("child");
    child["partOf"] = json!({"reference": "Organization?identifier=urn:o|twin"});
    let input = bundle(
        "transaction",
        &[
            entry("urn:uuid:a", "POST", "Organization", Some(&organization("other"))),
            entry("urn:uuid:c", "POST", "Organization", Some(&child)),
        ],
    );
    service.post("", &input).await.expect_issue(412, "multiple-matches");
    assert_eq!(server.count("select count(*) from resource").await, 2);
}

#[tokio::test]
async fn a_json_patch_in_a_binary_patches_and_what_is_none_is_refused() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let (_server, service) = service().await;
    let id = service.post("Organization", &organization("1")).await.expect(201).id();
    let binary =
        |kind: &str, text: &str| json!({"resourceType": "Binary", "contentType": kind, "data": STANDARD.encode(text)});
    let path = format!("Organization/{id}");
    let patch = |resource: &Value| entry("", "PATCH", &path, Some(resource));
    for wrong in [
        binary("application/json", &rename()),
        binary(JSON_PATCH, "{}"),
        binary(JSON_PATCH, "[{\"op\":\"rename\"}]"),
        json!({"resourceType": "Binary", "contentType": JSON_PATCH}),
        organization("1"),
    ] {
        assert_eq!(alone(&service, &patch(&wrong)).await.0, "400", "{wrong}");
        service.post("", &bundle("transaction", &[patch(&wrong)])).await.expect(400).expect_outcome();
    }
    let refused = binary(JSON_PATCH, "[{\"op\":\"test\",\"path\":\"/name\",\"value\":\"y\"}]");
    assert_eq!(alone(&service, &patch(&refused)).await.0, "422");
    for (kind, version) in [("batch", "W/\"2\""), ("transaction", "W/\"3\"")] {
        let answer = service.post("", &bundle(kind, &[patch(&binary(JSON_PATCH, &rename()))])).await.expect(200).json();
        assert_eq!(answer["entry"][0]["response"]["etag"], version, "{answer}");
    }
    assert_eq!(service.get(&path).await.expect(200).json()["name"], "renamed");
}
