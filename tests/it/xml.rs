//! FHIR XML wherever FHIR is spoken: bodies, answers, errors and notifications (R4 xml.html, http.html#mime-type).

use std::time::Instant;

use serde_json::{Value, json};
use sofa::fhir::{json::Limits, xml};

use crate::fixtures::{SetContext, bundle, entry, observation, patient};
use crate::support::answer::{Answer, issues_of};
use crate::support::poc::{Launch, clear_parameters, subscription};
use crate::support::process::Process;
use crate::support::receiver::{Behaviour, PATIENCE, Receiver};
use crate::support::server::TestServer;
use crate::support::session::Session;

const XML: &str = "application/fhir+xml";
const SENT: (&str, &str) = ("content-type", XML);
const WANTED: (&str, &str) = ("accept", XML);

async fn service() -> (TestServer, Session) {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    (server, service)
}

fn xml_of(resource: &Value) -> String {
    xml::from_json(&resource.to_string(), &Limits::default()).unwrap()
}

/// The JSON of an answer that must be XML.
#[track_caller]
fn json_of(answer: &Answer) -> Value {
    assert_eq!(answer.header("content-type"), "application/fhir+xml; charset=utf-8", "{}", answer.asked);
    let json = xml::read(&answer.text, &Limits::default()).unwrap_or_else(|issues| panic!("{issues:?}"));
    serde_json::from_str(&json).unwrap()
}

/// The issues' texts of an OperationOutcome that must be XML.
#[track_caller]
fn faults(answer: &Answer) -> Vec<String> {
    let outcome = json_of(answer);
    assert_eq!(outcome["resourceType"], "OperationOutcome", "{}", answer.text);
    issues_of(&outcome).into_iter().map(|issue| issue.text).collect()
}

#[tokio::test]
async fn a_resource_sent_in_xml_comes_back_in_either_format() {
    let (server, service) = service().await;
    let sent = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Basic xmlns=\"http://hl7.org/fhir\">\n  <text><status value=\"generated\"/><div xmlns=\"http://www.w3.org/1999/xhtml\"><p>1 &lt; 2 <br/></p></div></text>\n  <extension url=\"urn:d\"><valueDecimal value=\"1.00\"/></extension>\n  <code><text value=\"a&#10;b\"/></code>\n</Basic>";
    let created = service.send("POST", "Basic", &[SENT], Some(sent.into())).await.expect(201);
    let id = json_of(&created)["id"].as_str().unwrap().to_owned();
    assert_eq!(created.header("location"), format!("{}/Basic/{id}/_history/1", server.fhir));
    let path = format!("Basic/{id}");
    let json = service.get(&path).await.expect(200);
    assert_eq!(json.header("content-type"), "application/fhir+json; charset=utf-8");
    assert!(json.text.contains("\"valueDecimal\":1.00}") && json.text.contains("\"a\\nb\""), "{}", json.text);
    let read = service.send("GET", &path, &[WANTED], None).await.expect(200);
    assert_eq!(json_of(&read), json.json());
    assert_eq!(read.text, created.text);
    assert_eq!(read.header("etag"), "W/\"1\"");
    assert!(read.headers.get_all("vary").iter().any(|value| value == "accept"));
    assert!(read.text.contains("<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>1 &lt; 2 <br/></p></div>"));
    let head = service.send("HEAD", &path, &[WANTED], None).await.expect(200);
    assert_eq!((head.text.as_str(), head.header("content-type")), ("", read.header("content-type")));
    assert_eq!(head.header("content-length"), read.text.len().to_string());
    let unchanged = service.send("GET", &path, &[WANTED, ("if-none-match", "W/\"1\"")], None).await.expect(304);
    assert_eq!(unchanged.text, "");
    let update = read.text.replace("1.00", "2.50");
    let updated = service.send("PUT", &path, &[SENT, ("accept", "application/json")], Some(update)).await.expect(200);
    assert!(updated.text.contains("\"valueDecimal\":2.50}"), "{}", updated.text);
    let old = service.get(&format!("{path}/_history/1?_format=xml")).await.expect(200);
    assert_eq!(old.text, read.text);
    let history = service.get(&format!("{path}/_history?_format=xml&_count=1&_pretty=true")).await.expect(200);
    assert_eq!(json_of(&history)["entry"][0]["resource"]["meta"]["versionId"], "2");
    let minimal = service.send("PUT", &path, &[SENT, ("prefer", "return=minimal")], Some(read.text)).await.expect(200);
    assert_eq!(minimal.text, "");
    service.send("DELETE", &path, &[WANTED], None).await.expect(204);
}

#[tokio::test]
async fn bundles_are_read_and_answered_in_xml() {
    let (_server, service) = service().await;
    let sent = bundle("transaction", &[entry("urn:uuid:a", "POST", "Patient", Some(&patient("Smith")))]);
    let headers = [SENT, ("prefer", "return=representation")];
    let answer = service.send("POST", "", &headers, Some(xml_of(&sent))).await.expect(200);
    let answer = json_of(&answer);
    assert_eq!(answer["type"], "transaction-response");
    assert_eq!(answer["entry"][0]["resource"]["name"][0]["family"], "Smith");
}

#[tokio::test]
async fn the_answer_has_the_format_that_is_asked_for() {
    let (_server, service) = service().await;
    let id = service.post("Basic", &json!({"resourceType": "Basic", "code": {"text": "a"}})).await.expect(201).id();
    let path = format!("Basic/{id}");
    for (query, accept, expected) in [
        ("", "*/*", "json"),
        ("", "application/fhir+xml", "xml"),
        ("", "text/xml", "xml"),
        ("", "application/xml;q=0.9, */*;q=0.8", "xml"),
        ("", "application/fhir+xml;q=0.9, application/fhir+json", "json"),
        ("", "application/fhir+xml; fhirVersion=4.0", "xml"),
        ("?_format=xml", "application/fhir+json", "xml"),
        ("?_format=application/fhir+xml", "*/*", "xml"),
        ("?_format=json", "application/fhir+xml", "json"),
    ] {
        let answer = service.send("GET", &format!("{path}{query}"), &[("accept", accept)], None).await.expect(200);
        let kind = format!("application/fhir+{expected}; charset=utf-8");
        assert_eq!(answer.header("content-type"), kind, "{query} {accept}");
    }
    for (query, accept) in
        [("", "text/html"), ("", "application/fhir+xml; fhirVersion=5.0"), ("", "text/turtle"), ("?_format=ttl", "*/*")]
    {
        let answer = service.send("GET", &format!("{path}{query}"), &[("accept", accept)], None).await;
        answer.expect_issue(406, "not-supported");
    }
    // The body's format says nothing of the answer's once that is asked for, and _format nothing of the body's.
    let xml = xml_of(&json!({"resourceType": "Basic", "code": {"text": "a"}}));
    service.send("POST", "Basic?_format=json", &[SENT], Some(xml.clone())).await.expect(201).id();
    service.post("Basic?_format=xml", &xml).await.expect(400);
    for kind in ["application/xml", "text/xml; charset=UTF-8", "application/xml+fhir"] {
        json_of(&service.send("POST", "Basic", &[("content-type", kind)], Some(xml.clone())).await.expect(201));
    }
    for kind in ["application/fhir+xml; charset=iso-8859-1", "application/fhir+xml; fhirVersion=3.0", "text/html"] {
        service
            .send("POST", "Basic", &[("content-type", kind)], Some(xml.clone()))
            .await
            .expect_issue(415, "not-supported");
    }
}

#[tokio::test]
async fn a_posted_search_says_in_its_form_what_it_is_answered_in() {
    let (_server, service) = service().await;
    service.post("Basic", &json!({"resourceType": "Basic", "code": {"text": "a"}})).await.expect(201);
    let form = ("content-type", "application/x-www-form-urlencoded");
    for (path, body, accept, expected) in [
        ("Basic/_search", "_format=xml", "application/fhir+json", "xml"),
        ("Basic/_search", "_count=1&_format=application%2Ffhir%2Bxml", "text/html", "xml"),
        ("_search", "_type=Basic&_format=json", "application/fhir+xml", "json"),
        ("Patient/1/Basic/_search", "_format=xml", "*/*", "xml"),
        ("Basic/_search?_format=json", "_format=xml", "*/*", "json"),
        ("Basic/_search", "", "application/fhir+xml", "xml"),
        ("Basic/_search", "_format=", "*/*", "json"),
    ] {
        let headers = [form, ("accept", accept), ("prefer", "handling=strict")];
        let answer = service.send("POST", path, &headers, Some(body.to_owned())).await;
        // An empty form parameter of the protocol is none; nothing of the protocol is searched by.
        assert_eq!(answer.status, 200, "{path} {body}: {}", answer.text);
        let kind = format!("application/fhir+{expected}; charset=utf-8");
        assert_eq!(answer.header("content-type"), kind, "{path} {body} {accept}");
        assert!(!answer.text.contains("_format"), "{path} {body}: {}", answer.text);
    }
    for (path, body, accept) in [
        ("Basic/_search", "_format=ttl", "*/*"),
        ("Basic/_search?_format=ttl", "_format=json", "*/*"),
        ("Basic/_search", "_count=1", "text/html"),
        ("Basic/_search", "", "text/turtle"),
        ("Basic", "_format=ttl", "*/*; q=0"),
    ] {
        let answer = service.send("POST", path, &[form, ("accept", accept)], Some(body.to_owned())).await;
        answer.expect_issue(406, "not-supported");
    }
    let laid_out = service.send("POST", "Basic/_search", &[form], Some("_pretty=true".to_owned())).await.expect(200);
    assert!(laid_out.text.starts_with("{\n"), "{}", laid_out.text);
    let refused = service.send("POST", "Basic/_search", &[form], Some("_format=xml&_id:exact=x".to_owned())).await;
    assert!(!faults(&refused.expect(400)).is_empty());
}

#[tokio::test]
async fn errors_have_the_format_of_answers() {
    let (server, service) = service().await;
    let stranger = server.stranger();
    for (who, method, path, status) in [
        (&service, "GET", "Basic/unknown", 404),
        (&service, "GET", "nothing/at/all/here", 404),
        (&service, "PUT", "metadata", 405),
        (&service, "DELETE", "Basic", 400),
        (&service, "GET", "Basic/a/_history?_count=x", 400),
        (&stranger, "GET", "Basic/a", 401),
        (&stranger, "POST", "$set-context", 401),
    ] {
        let answer = who.send(method, path, &[WANTED], None).await.expect(status);
        assert!(!faults(&answer).is_empty(), "{method} {path}");
        assert_eq!(answer.header("www-authenticate").is_empty(), status != 401, "{method} {path}");
    }
    let unread = service.send("POST", "Basic", &[WANTED, ("content-type", "text/plain")], Some("a".into())).await;
    assert!(faults(&unread.expect(415))[0].contains("text/plain"));
    let broken = service.send("POST", "Basic", &[SENT], Some("<Basic".into())).await.expect(400);
    assert!(faults(&broken)[0].starts_with("line 1, column 1: not well-formed XML"));
    let other = service.send("POST", "Basic", &[SENT], Some(xml_of(&patient("Smith")))).await.expect(400);
    assert!(faults(&other)[0].contains("Patient"));
}

#[tokio::test]
async fn the_capability_statement_is_there_in_xml_and_says_so() {
    let server = TestServer::start().await;
    let answer = server.stranger().get("metadata?_format=xml").await.expect(200);
    let statement = json_of(&answer);
    assert_eq!(statement["format"], json!(["application/fhir+json", "application/fhir+xml", "json", "xml"]));
    let json = server.stranger().get("metadata").await.expect(200);
    assert_eq!(statement, json.json());
}

#[tokio::test]
async fn all_faults_of_a_document_are_told_and_nothing_is_stored() {
    let (server, service) = service().await;
    let sent = "<Patient xmlns=\"http://hl7.org/fhir\">\n<birthDate value=\"1970\"/>\n<gender value=\"male\"/>\n<foo/>\n<name><given value=\"\"/></name></Patient>";
    let answer = service.send("POST", "Patient", &[SENT], Some(sent.into())).await.expect(400);
    let issues = issues_of(&json_of(&answer));
    let found: Vec<_> =
        issues.iter().map(|one| (&one.text[..7], one.code.as_str(), one.expression[0].as_str())).collect();
    assert_eq!(
        found,
        [
            ("line 3,", "structure", "Patient.gender"),
            ("line 4,", "structure", "Patient.foo"),
            ("line 5,", "structure", "Patient.name"),
            ("line 5,", "value", "Patient.name[0].given[0]"),
        ]
    );
    assert_eq!(server.count("select count(*) from resource").await, 0);
}

#[tokio::test]
async fn entities_and_dtds_are_refused() {
    let (server, service) = service().await;
    let laughs: String = (1..30).map(|n| format!("<!ENTITY l{n} \"&l{};&l{};\">", n - 1, n - 1)).collect();
    for prolog in [
        "<!DOCTYPE Basic>".to_owned(),
        "<!DOCTYPE Basic [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>".to_owned(),
        "<!DOCTYPE Basic SYSTEM \"http://127.0.0.1:9/x.dtd\">".to_owned(),
        "<!DOCTYPE Basic [<!ENTITY % x SYSTEM \"http://127.0.0.1:9/x\"> %x;]>".to_owned(),
        format!("<!DOCTYPE Basic [<!ENTITY l0 \"ha\">{laughs}]>"),
        String::new(),
    ] {
        let sent = format!("{prolog}<Basic xmlns=\"http://hl7.org/fhir\"><language value=\"&l29;\"/></Basic>");
        let answer = service.send("POST", "Basic", &[SENT], Some(sent)).await.expect(400);
        let expected = if prolog.is_empty() { "not well-formed XML" } else { "no document type declaration" };
        assert!(matches!(&*faults(&answer), [one] if one.contains(expected)), "{prolog}: {}", answer.text);
    }
    let deep = format!("<Basic xmlns=\"http://hl7.org/fhir\">{}", "<extension url=\"a\">".repeat(40_000));
    let answer = service.send("POST", "Basic", &[SENT], Some(deep)).await.expect(400);
    assert!(faults(&answer)[0].contains("at most 64 levels"), "{}", answer.text);
    assert_eq!(server.count("select count(*) from resource").await, 0);
}

#[tokio::test]
async fn what_has_no_xml_form_is_told_to_the_reader_and_hides_no_write() {
    let (_server, service) = service().await;
    let sent = json!({"resourceType": "Basic", "code": {"text": "a\u{ffff}"}}).to_string();
    let created = service.send("POST", "Basic", &[WANTED, ("content-type", "application/json")], Some(sent)).await;
    let id = created.expect(201).id();
    let answer = service.send("GET", &format!("Basic/{id}"), &[WANTED], None).await.expect(406);
    assert!(faults(&answer)[0].contains("Basic.code.text cannot be written in XML"), "{}", answer.text);
    let form = ("content-type", "application/x-www-form-urlencoded");
    for (path, body) in [("Basic/_search", "_format=xml"), ("_search?_format=xml", "_type=Basic")] {
        let answer = service.send("POST", path, &[form], Some(body.to_owned())).await.expect(406);
        assert!(faults(&answer)[0].contains("code.text cannot be written in XML"), "{}", answer.text);
    }
    // A Bundle of requests may have written: it is answered in JSON.
    let sent = bundle("batch", &[entry("", "GET", &format!("Basic/{id}"), None)]).to_string();
    let answer =
        service.send("POST", "", &[WANTED, ("content-type", "application/json")], Some(sent)).await.expect(200);
    assert_eq!(answer.json()["entry"][0]["resource"]["id"], id);
    service.get(&format!("Basic/{id}")).await.expect(200);
}

#[tokio::test]
async fn a_launch_and_its_notifications_go_by_xml() {
    let server = TestServer::configured("[delivery]\ntimeout = \"1s\"").await;
    let (poc, receiver) = (server.poc("poc", 7).await, Receiver::start().await);
    let mut wanted = subscription(&receiver.url(), "full-resource");
    wanted["channel"]["payload"] = json!("application/fhir+xml; fhirVersion=4.0");
    let created = poc.send("POST", "Subscription", &[SENT], Some(xml_of(&wanted))).await.expect(201);
    let id = json_of(&created)["id"].as_str().unwrap().to_owned();
    let handshake = receiver.wait_for_handshakes(1).await.remove(0);
    poc.until_status(&id, "active").await;
    assert_eq!(handshake.headers["content-type"], "application/fhir+xml; fhirVersion=4.0");
    assert!(handshake.text.starts_with("<Bundle xmlns=\"http://hl7.org/fhir\">"), "{}", handshake.text);
    server.user("user", 7).await;
    let sent = xml_of(&SetContext::patient("Smith").build());
    let answer = poc.send("POST", "$set-context", &[SENT], Some(sent)).await.expect(200);
    let launch = Launch::read(&json_of(&answer));
    let app = server.app("app").await.launch(&launch.id, "user").await;
    let mut written = observation(launch.first("Patient"), "unused");
    written.as_object_mut().unwrap().remove("valueString");
    written["valueQuantity"] = json!({"unit": "\"<&'"});
    let text = written.to_string().replace("{\"unit\"", "{\"value\":1.50,\"unit\"");
    let stored = app.post("Observation", &text).await.expect(201);
    let event = receiver.wait_for(1).await.remove(0);
    assert_eq!(event.headers["content-type"], "application/fhir+xml; fhirVersion=4.0");
    assert!(
        event.text.contains("<valueQuantity><value value=\"1.50\"/><unit value=\"&quot;&lt;&amp;'\"/>"),
        "{}",
        event.text
    );
    assert_eq!(event.resources(), [&stored.json()]);
    // What a PoC says in XML is understood.
    let refusal = json!({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "business-rule", "details": {"text": "chart <locked>"}}]});
    receiver.next([Behaviour::Answer(409, xml_of(&refusal))]);
    app.post("Observation", &text).await.expect_issue(422, "processing").saying("chart <locked>");
    // A change that cannot be told is not made.
    let unspeakable = observation(launch.first("Patient"), "a\u{ffff}");
    app.post("Observation", &unspeakable).await.expect(422).saying("value cannot be written in XML");
    let status = poc.send("GET", &format!("Subscription/{id}/$status"), &[WANTED], None).await.expect(200);
    assert_eq!(json_of(&status)["type"], "searchset");
    let asked = json!({"resourceType": "Parameters", "parameter": [{"name": "eventsSinceNumber", "valueString": "1"}]});
    let events =
        poc.send("POST", &format!("Subscription/{id}/$events"), &[SENT], Some(xml_of(&asked))).await.expect(200);
    assert!(events.text.contains("<value value=\"1.50\"/>"), "{}", events.text);
    let cleared = poc.send("POST", "$clear-context", &[SENT], Some(xml_of(&clear_parameters(&launch.id)))).await;
    assert_eq!(json_of(&cleared.expect(200))["resourceType"], "Parameters");
}

#[tokio::test]
async fn after_a_crash_the_resource_is_told_again_byte_for_byte() {
    let settings = [("SOFA__DELIVERY__LEASE", "3s"), ("SOFA__DELIVERY__TIMEOUT", "2s")];
    let mut process = Process::start(&settings).await;
    let (poc, receiver) = (process.poc("poc", 7).await, Receiver::start().await);
    let mut wanted = subscription(&receiver.url(), "full-resource");
    wanted["channel"]["payload"] = json!(XML);
    poc.subscribe_with(&receiver, &wanted).await;
    process.user("user", 7).await;
    let launch = poc.launch(&SetContext::patient("Smith").build()).await;
    let app = process.app("app").await.launch(&launch.id, "user").await;
    receiver.behave(Behaviour::Hang);
    let (session, body) = (app.session.clone(), observation(launch.first("Patient"), "in flight"));
    let write = tokio::spawn(async move { session.try_send("POST", "Observation", &body).await });
    receiver.wait_for(1).await;
    process.kill().await;
    assert!(write.await.unwrap().is_none());
    receiver.behave(Behaviour::Accept);
    process.start_again().await;
    let events = receiver.wait_for(2).await;
    let resource =
        |text: &str| text[text.find("<Observation>").unwrap()..text.find("</Observation>").unwrap()].to_owned();
    assert_eq!(resource(&events[1].text), resource(&events[0].text));
    assert_eq!(events[1].events(), events[0].events());
    let begun = Instant::now();
    while process.count("select count(*) from intent").await != 0 {
        assert!(begun.elapsed() < PATIENCE, "the intent is never finished");
    }
    let (_, focus) = events[0].events().remove(0);
    app.send("GET", &focus.unwrap(), &[WANTED], None).await.expect(200);
}
