//! Every reason to refuse a Subscription, and what is made of a good one.

use serde_json::{Value, json};
use time::macros::datetime;

use super::*;
use crate::{config::Config, fhir::json::Limits, subscription::topic::Parameter};

const BASE: &str = "http://h/fhir";
const NOW: OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);

fn subscription() -> Value {
    json!({
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "to know",
        "criteria": topic::all()[0].url,
        "channel": {
            "type": "rest-hook",
            "endpoint": "https://poc.example/notify",
            "payload": "application/fhir+json",
            "_payload": {"extension": [{"url": format!("{BACKPORT}/backport-payload-content"), "valueCode": "full-resource"}]},
            "header": ["Authorization: Bearer secret", "X-Time: 10:30"]
        }
    })
}

fn read(subscription: &Value) -> Result<Request, Outcome> {
    let resource = Resource::parse(&subscription.to_string(), &Limits::default()).unwrap();
    let guard = Guard::new(&Config::from_toml("").unwrap().delivery);
    Request::read(&resource, &guard, BASE, NOW)
}

/// The subscription with the value at a JSON pointer set, or removed by `null`.
fn with(pointer: &str, value: Value) -> Value {
    let mut subscription = subscription();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = subscription.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        parent.remove(name);
    } else {
        parent.insert(name.to_owned(), value);
    }
    subscription
}

fn extension(name: &str, key: &str, value: impl Into<Value>) -> Value {
    let value = value.into();
    json!([{"url": format!("{BACKPORT}/backport-{name}"), key: value}])
}

fn faults(subscription: &Value) -> Vec<String> {
    let outcome = read(subscription).unwrap_err();
    outcome.issues().map(|issue| issue.expression.clone().unwrap()).collect()
}

#[test]
fn a_complete_subscription_is_read() {
    let mut good = with("/channel/extension", {
        let mut all = Vec::new();
        for (name, key, value) in [
            ("heartbeat-period", "valueUnsignedInt", 60),
            ("timeout", "valueUnsignedInt", 2),
            ("max-count", "valuePositiveInt", 20),
        ] {
            all.extend(extension(name, key, json!(value)).as_array().unwrap().clone());
        }
        all.push(json!({"url": "http://example.org/own", "valueString": "kept"}));
        json!(all)
    });
    good["_criteria"] = json!({"extension": extension("filter-criteria", "valueString", json!("patient=Patient/1"))});
    good["end"] = json!("2026-01-03T00:00:00Z");
    let request = read(&good).unwrap();
    let spec = &request.spec;
    assert_eq!((spec.heartbeat, spec.timeout, spec.max_count), (Some(60), Some(2), Some(20)));
    assert_eq!(spec.filters[0].parameter, Parameter::Patient);
    assert_eq!(spec.channel.endpoint(), "https://poc.example/notify");
    assert_eq!(spec.end, Some(datetime!(2026-01-03 00:00 UTC)));
    assert_eq!(request.headers, ["Authorization: Bearer secret", "X-Time: 10:30"]);
    assert!(request.advice.is_empty());
    assert_eq!(spec.timeout(Duration::from_secs(5)), Duration::from_secs(2));
    assert_eq!((spec.max_count(10), spec.max_count(100)), (10, 20));
    let stored = serde_json::to_value(spec).unwrap();
    assert!(!stored.to_string().contains("secret"));
    assert_eq!(serde_json::from_value::<Spec>(stored).unwrap(), *spec);
}

#[test]
fn a_client_switches_off_or_asks_and_a_handshake_decides() {
    use Status::{Active, Error, Off, Requested};

    let same = Channel::RestHook { endpoint: "https://poc.example/notify".to_owned() };
    let other = Channel::RestHook { endpoint: "https://poc.example/other".to_owned() };
    for (sent, current, next) in [
        (Requested, None, Requested),
        (Active, None, Requested),
        (Error, None, Requested),
        (Off, None, Off),
        (Active, Some((Active, &same)), Active),
        (Active, Some((Active, &other)), Requested),
        (Requested, Some((Active, &same)), Requested),
        (Active, Some((Error, &same)), Requested),
        (Error, Some((Error, &same)), Error),
        (Active, Some((Off, &same)), Requested),
        (Off, Some((Active, &same)), Off),
    ] {
        let request = read(&with("/status", json!(sent.as_str()))).unwrap();
        assert_eq!(request.next(current), next, "{sent:?} after {current:?}");
    }
}

#[test]
fn every_fault_is_refused_at_its_element() {
    let endpoint = "Subscription.channel.endpoint";
    let payload = "Subscription.channel.payload";
    for (pointer, value, expression) in [
        ("/status", json!(null), "Subscription.status"),
        ("/status", json!("bogus"), "Subscription.status"),
        ("/reason", json!(null), "Subscription.reason"),
        ("/end", json!("tomorrow"), "Subscription.end"),
        ("/end", json!("2026-01-01T00:00:00Z"), "Subscription.end"),
        ("/criteria", json!(null), "Subscription.criteria"),
        ("/criteria", json!("Observation?code=1"), "Subscription.criteria"),
        ("/criteria", json!("http://example.org/topic"), "Subscription.criteria"),
        ("/modifierExtension", json!([{"url": "x"}]), "Subscription.modifierExtension[0]"),
        ("/channel", json!(null), "Subscription.channel"),
        ("/channel/modifierExtension", json!([{"url": "x"}]), "Subscription.channel.modifierExtension[0]"),
        ("/channel/type", json!(null), "Subscription.channel.type"),
        ("/channel/type", json!("websocket"), "Subscription.channel.type"),
        ("/channel/type", json!("email"), "Subscription.channel.type"),
        ("/channel/endpoint", json!(null), endpoint),
        ("/channel/endpoint", json!(""), endpoint),
        ("/channel/endpoint", json!("/notify"), endpoint),
        ("/channel/endpoint", json!("ftp://poc.example/"), endpoint),
        ("/channel/endpoint", json!("http://poc.example/"), endpoint),
        ("/channel/endpoint", json!("https://user:pw@poc.example/"), endpoint),
        ("/channel/endpoint", json!("https://127.0.0.1/"), endpoint),
        ("/channel/payload", json!(null), payload),
        ("/channel/payload", json!("text/bogus"), payload),
        ("/channel/payload", json!("text/turtle"), payload),
        ("/channel/payload", json!("application/fhir+xml; fhirVersion=5.0"), payload),
        ("/channel/payload", json!("application/fhir+json; fhirVersion=4.3"), payload),
        ("/channel/payload", json!("application/fhir+json; q=1"), payload),
        ("/channel/payload", json!("application/fhir+json;\r\n"), payload),
        ("/_criteria", json!([]), "Subscription.criteria"),
        ("/_criteria", json!({"extension": {}}), "Subscription.criteria.extension"),
        ("/channel/_payload", json!(null), "Subscription.channel.payload.extension"),
        ("/channel/header", json!(["X: 1", "Host: other"]), "Subscription.channel.header[1]"),
        ("/channel/extension", json!({}), "Subscription.channel.extension"),
        ("/channel/header", json!("X: 1"), "Subscription.channel.header"),
        ("/channel/header", json!([1]), "Subscription.channel.header[0]"),
    ] {
        assert_eq!(faults(&with(pointer, value.clone())), [expression], "{pointer} {value}");
    }
}

#[test]
fn every_extension_is_checked() {
    let criteria = |value| extension("filter-criteria", "valueString", json!(value));
    let cross_version = "http://hl7.org/fhir/5.0/subscriptions-backport/StructureDefinition/backport-filter-criteria";
    for (pointer, extensions, expression) in [
        ("/_criteria", criteria("code=1"), "Subscription.criteria.extension[0].value"),
        ("/_criteria", extension("filter-criteria", "valueCode", json!(1)), "Subscription.criteria.extension[0].value"),
        ("/_criteria", json!([{"url": cross_version, "valueString": "x"}]), "Subscription.criteria.extension[0]"),
        ("/channel/_type", extension("channel-type", "valueCoding", json!({})), "Subscription.channel.type"),
        ("/channel/_payload", json!([]), "Subscription.channel.payload.extension"),
        (
            "/channel/_payload",
            extension("payload-content", "valueCode", json!("all")),
            "Subscription.channel.payload.extension[0]",
        ),
    ] {
        assert_eq!(faults(&with(pointer, json!({"extension": extensions}))), [expression], "{pointer} {extensions}");
    }
    for (name, key, value) in [
        ("timeout", "valueUnsignedInt", json!(0)),
        ("timeout", "valueUnsignedInt", json!("5")),
        ("heartbeat-period", "valueUnsignedInt", json!(-1)),
        ("max-count", "valueUnsignedInt", json!(5)),
        ("max-count", "valuePositiveInt", json!(1.5)),
    ] {
        let bad = with("/channel/extension", extension(name, key, value));
        assert_eq!(faults(&bad), ["Subscription.channel.extension[0].value"], "{bad}");
    }
}

#[test]
fn all_faults_are_told_together_and_no_header_value_among_them() {
    let mut bad = with("/channel/header", json!(["Host: secret", "X: secret\n"]));
    bad["criteria"] = json!("unknown");
    bad["channel"]["payload"] = json!("text/turtle");
    let outcome = read(&bad).unwrap_err();
    assert_eq!(outcome.issues().count(), 4);
    assert!(!outcome.to_json().to_string().contains("secret"));
}

#[test]
fn payloads_that_name_what_they_do_not_show_are_accepted_with_advice() {
    for code in ["empty", "id-only"] {
        let level = json!({"extension": extension("payload-content", "valueCode", json!(code))});
        let request = read(&with("/channel/_payload", level)).unwrap();
        assert_eq!(request.advice.len(), 1);
    }
    for (mime, format) in [
        ("application/json", Format::Json),
        ("application/fhir+json; fhirVersion=4.0", Format::Json),
        ("application/fhir+json;charset=UTF-8", Format::Json),
        ("application/fhir+xml", Format::Xml),
        ("text/xml; charset=utf-8", Format::Xml),
    ] {
        let spec = read(&with("/channel/payload", json!(mime))).unwrap().spec;
        assert_eq!((&*spec.payload, spec.format()), (mime, format));
    }
}
