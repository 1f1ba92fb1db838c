//! Notification Bundles and Subscription status, as JSON text, and the same in XML.
//!
//! Subscriptions R5 Backport 1.2.0-ballot, R4 profiles `backport-subscription-notification-r4` and
//! `backport-subscription-status-r4`. A resource is embedded byte for byte as it is stored, so its decimals keep their
//! digits.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    change::Method,
    request::{BACKPORT, Content},
    status::Status,
};
use crate::fhir::{
    format::Format,
    instant,
    json::Limits,
    xml::{self, NotXml},
};

/// The Subscription a notification speaks for, at the moment it is made.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// This server's FHIR base, without a slash at the end.
    pub base: &'a str,
    /// The Subscription's logical id.
    pub subscription: &'a str,
    /// The topic as the owner wrote it.
    pub topic: &'a str,
    /// How much is shown.
    pub content: Content,
    /// The highest event number given out so far.
    pub last_event: i64,
    /// `Bundle.timestamp`.
    pub now: OffsetDateTime,
    /// The id of the status resource; a fresh one per notification.
    pub notification: Uuid,
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// Its number in this Subscription.
    pub number: i64,
    /// When it happened.
    pub occurred_at: OffsetDateTime,
    /// The type of what changed.
    pub type_name: &'a str,
    /// The logical id of what changed.
    pub id: &'a str,
    /// The version the change made.
    pub version: i64,
    /// How it changed.
    pub method: Method,
    /// The resource's JSON text; `None` where it can no longer be shown.
    pub body: Option<&'a str>,
    /// Nothing happened under this number: it is listed without a focus.
    pub withdrawn: bool,
}

/// `handshake`: asks the receiver of a Subscription in `requested` whether it listens.
pub fn handshake(about: &About<'_>) -> String {
    bundle(about, "handshake", Status::Requested, about.last_event, &[])
}

/// `event-notification` of one or several events in number order.
pub fn event_notification(about: &About<'_>, events: &[Event<'_>]) -> String {
    let last = events.iter().map(|event| event.number).max().unwrap_or(about.last_event);
    bundle(about, "event-notification", Status::Active, last, events)
}

/// `query-event`: the answer of `$events`.
pub fn query_event(about: &About<'_>, status: Status, events: &[Event<'_>]) -> String {
    bundle(about, "query-event", status, about.last_event, events)
}

/// `query-status`: one `Parameters` of the answer of `$status`. `error` says why the status is `error`.
pub fn query_status(about: &About<'_>, status: Status, error: Option<&str>) -> Value {
    let mut parameters = status_parameters(about, "query-status", status, about.last_event, &[]);
    if let (Status::Error, Some(error)) = (status, error) {
        let coding =
            json!({"system": "http://terminology.hl7.org/CodeSystem/subscription-error", "code": "no-response"});
        let concept = json!({"coding": [coding], "text": error});
        if let Some(list) = parameters["parameter"].as_array_mut() {
            list.push(json!({"name": "error", "valueCodeableConcept": concept}));
        }
    }
    parameters
}

/// The answer of `$status`: a searchset Bundle of [`query_status`] resources.
pub fn searchset(statuses: &[Value]) -> Value {
    let entries = statuses.iter().map(|status| {
        let full_url = format!("urn:uuid:{}", status["id"].as_str().unwrap_or_default());
        json!({"fullUrl": full_url, "resource": status, "search": {"mode": "match"}})
    });
    let entries: Vec<_> = entries.collect();
    let mut bundle = json!({"resourceType": "Bundle", "type": "searchset", "total": statuses.len()});
    // What is empty is left out (R4 json.html).
    if !entries.is_empty() {
        bundle["entry"] = Value::Array(entries);
    }
    bundle
}

/// A notification in the format of its Subscription. `limits` are those of the resources in it.
pub fn in_format(notification: String, format: Format, limits: &Limits) -> Result<String, NotXml> {
    match format {
        Format::Json => Ok(notification),
        Format::Xml => xml::from_json(&notification, limits),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bundle<'a> {
    resource_type: &'static str,
    meta: Value,
    r#type: &'static str,
    timestamp: String,
    entry: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    full_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<Cow<'a, RawValue>>,
    request: Value,
    response: Value,
}

fn bundle(about: &About<'_>, kind: &str, status: Status, last: i64, events: &[Event<'_>]) -> String {
    let parameters = status_parameters(about, kind, status, last, events);
    let status_entry = Entry {
        full_url: format!("urn:uuid:{}", about.notification),
        resource: to_raw_value(&parameters).ok().map(Cow::Owned),
        request: json!({"method": "GET", "url": format!("{}/Subscription/{}/$status", about.base, about.subscription)}),
        response: json!({"status": "200"}),
    };
    let told = events.iter().filter(|event| about.content != Content::Empty && !event.withdrawn);
    let bundle = Bundle {
        resource_type: "Bundle",
        meta: json!({"profile": [format!("{BACKPORT}/backport-subscription-notification-r4")]}),
        r#type: "history",
        timestamp: instant::format(about.now),
        entry: std::iter::once(status_entry).chain(told.map(|event| entry(about, event))).collect(),
    };
    serde_json::to_string(&bundle).unwrap_or_default()
}

/// The entry of one event; without a resource where the content level or the passing of time forbids to show it.
fn entry<'a>(about: &About<'_>, event: &Event<'a>) -> Entry<'a> {
    let (url, status) = match event.method {
        Method::Post => (event.type_name.to_owned(), "201"),
        Method::Put => (format!("{}/{}", event.type_name, event.id), "200"),
        Method::Delete => (format!("{}/{}", event.type_name, event.id), "204"),
    };
    let body = event.body.filter(|_| about.content == Content::FullResource);
    Entry {
        full_url: focus(about, event),
        resource: body.and_then(|body| serde_json::from_str::<&RawValue>(body).ok()).map(Cow::Borrowed),
        request: json!({"method": event.method.as_str(), "url": url}),
        response: json!({
            "status": status,
            "etag": format!("W/\"{}\"", event.version),
            "lastModified": instant::format(event.occurred_at),
        }),
    }
}

fn focus(about: &About<'_>, event: &Event<'_>) -> String {
    format!("{}/{}/{}", about.base, event.type_name, event.id)
}

fn status_parameters(about: &About<'_>, kind: &str, status: Status, last: i64, events: &[Event<'_>]) -> Value {
    let subscription = format!("{}/Subscription/{}", about.base, about.subscription);
    let mut parameters = vec![json!({"name": "subscription", "valueReference": {"reference": subscription}})];
    if about.content != Content::Empty {
        parameters.push(json!({"name": "topic", "valueCanonical": about.topic}));
    }
    parameters.push(json!({"name": "status", "valueCode": status.as_str()}));
    parameters.push(json!({"name": "type", "valueCode": kind}));
    parameters.push(json!({"name": "events-since-subscription-start", "valueString": last.to_string()}));
    for event in events {
        let mut parts = vec![
            json!({"name": "event-number", "valueString": event.number.to_string()}),
            json!({"name": "timestamp", "valueInstant": instant::format(event.occurred_at)}),
        ];
        if about.content != Content::Empty && !event.withdrawn {
            parts.push(json!({"name": "focus", "valueReference": {"reference": focus(about, event)}}));
        }
        parameters.push(json!({"name": "notification-event", "part": parts}));
    }
    json!({
        "resourceType": "Parameters",
        "id": about.notification,
        "meta": {"profile": [format!("{BACKPORT}/backport-subscription-status-r4")]},
        "parameter": parameters,
    })
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const BODY: &str =
        r#"{"resourceType":"Observation","id":"o","valueQuantity":{"value":1.50,"x":12345678901234567890.0}}"#;

    fn about(content: Content) -> About<'static> {
        About {
            base: "http://h/fhir",
            subscription: "s",
            topic: "http://topic",
            content,
            last_event: 9,
            now: datetime!(2026-01-02 03:04:06 UTC),
            notification: Uuid::nil(),
        }
    }

    fn event(number: i64) -> Event<'static> {
        Event {
            number,
            occurred_at: datetime!(2026-01-02 03:04:05 UTC),
            type_name: "Observation",
            id: "o",
            version: 2,
            method: Method::Put,
            body: Some(BODY),
            withdrawn: false,
        }
    }

    #[test]
    fn a_handshake_is_this_document() {
        let expected = r#"{"resourceType":"Bundle","meta":{"profile":["EXT/backport-subscription-notification-r4"]},"type":"history",
"timestamp":"2026-01-02T03:04:06.000Z","entry":[{"fullUrl":"urn:uuid:00000000-0000-0000-0000-000000000000",
"resource":{"resourceType":"Parameters","id":"00000000-0000-0000-0000-000000000000",
"meta":{"profile":["EXT/backport-subscription-status-r4"]},"parameter":[
{"name":"subscription","valueReference":{"reference":"http://h/fhir/Subscription/s"}},
{"name":"topic","valueCanonical":"http://topic"},{"name":"status","valueCode":"requested"},
{"name":"type","valueCode":"handshake"},{"name":"events-since-subscription-start","valueString":"9"}]},
"request":{"method":"GET","url":"http://h/fhir/Subscription/s/$status"},"response":{"status":"200"}}]}"#;
        assert_eq!(handshake(&about(Content::IdOnly)), expected.replace('\n', "").replace("EXT", BACKPORT));
    }

    #[test]
    fn a_full_resource_notification_embeds_the_resource_byte_for_byte() {
        let text = event_notification(&about(Content::FullResource), &[event(3), event(4)]);
        assert_eq!(text.matches(&format!("\"resource\":{BODY}")).count(), 2);
        let bundle: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            bundle["entry"][1]["response"],
            json!({"status": "200", "etag": "W/\"2\"", "lastModified": "2026-01-02T03:04:05.000Z"})
        );
        assert_eq!(bundle["entry"][1]["request"], json!({"method": "PUT", "url": "Observation/o"}));
        assert_eq!(bundle["entry"][1]["fullUrl"], "http://h/fhir/Observation/o");
        let parameters = bundle["entry"][0]["resource"]["parameter"].as_array().unwrap();
        assert_eq!(parameters[2], json!({"name": "status", "valueCode": "active"}));
        assert_eq!(parameters[4], json!({"name": "events-since-subscription-start", "valueString": "4"}));
        assert_eq!(
            parameters[5]["part"],
            json!([
                {"name": "event-number", "valueString": "3"},
                {"name": "timestamp", "valueInstant": "2026-01-02T03:04:05.000Z"},
                {"name": "focus", "valueReference": {"reference": "http://h/fhir/Observation/o"}}
            ])
        );
    }

    #[test]
    fn id_only_names_the_resource_and_shows_nothing_of_it() {
        let post = Event { method: Method::Post, ..event(1) };
        let text = event_notification(&about(Content::IdOnly), &[post]);
        let bundle: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(bundle["entry"][1]["request"], json!({"method": "POST", "url": "Observation"}));
        assert_eq!(bundle["entry"][1]["response"]["status"], "201");
        assert_eq!(bundle["entry"][1]["resource"], Value::Null);
        assert!(text.contains("\"focus\"") && text.contains("\"topic\"") && !text.contains("valueQuantity"));
    }

    #[test]
    fn empty_says_only_that_something_happened() {
        let text = event_notification(&about(Content::Empty), &[event(1)]);
        let bundle: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(bundle["entry"].as_array().unwrap().len(), 1);
        assert!(text.contains("\"event-number\"") && !text.contains("\"focus\"") && !text.contains("\"topic\""));
    }

    #[test]
    fn what_can_no_longer_be_shown_keeps_its_entry_and_what_never_happened_has_none() {
        let gone = Event { body: None, ..event(1) };
        let withdrawn = Event { withdrawn: true, body: None, ..event(2) };
        let text = query_event(&about(Content::FullResource), Status::Error, &[gone, withdrawn]);
        let bundle: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(bundle["entry"].as_array().unwrap().len(), 2);
        assert_eq!(bundle["entry"][1]["resource"], Value::Null);
        let parameters = bundle["entry"][0]["resource"]["parameter"].as_array().unwrap();
        assert_eq!(parameters[3], json!({"name": "type", "valueCode": "query-event"}));
        assert_eq!(parameters[5]["part"].as_array().unwrap().len(), 3);
        assert_eq!(parameters[6]["part"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn xml_says_the_same_as_json() {
        let body = r#"{"resourceType":"Observation","id":"o","valueQuantity":{"value":1.50}}"#;
        let text = event_notification(&about(Content::FullResource), &[Event { body: Some(body), ..event(3) }]);
        assert_eq!(in_format(text.clone(), Format::Json, &Limits::default()).as_ref(), Ok(&text));
        let xml = in_format(text.clone(), Format::Xml, &Limits::default()).unwrap();
        assert!(xml.starts_with("<Bundle xmlns=\"http://hl7.org/fhir\"><meta>"), "{xml}");
        let json = xml::read(&xml, &Limits::default()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), serde_json::from_str::<Value>(&text).unwrap());
        assert!(json.contains(&format!("\"resource\":{body}")));
        let unknown = Event { body: Some(BODY), ..event(3) };
        let text = event_notification(&about(Content::FullResource), &[unknown]);
        let not = in_format(text, Format::Xml, &Limits::default()).unwrap_err();
        assert_eq!(not.path, "Bundle.entry[1].resource.value.x");
    }

    #[test]
    fn status_says_why_it_is_in_error() {
        let status = query_status(&about(Content::Empty), Status::Error, Some("no connection"));
        let last = status["parameter"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(last["valueCodeableConcept"]["text"], "no connection");
        let set = searchset(&[status]);
        assert_eq!(set["entry"][0]["fullUrl"], format!("urn:uuid:{}", Uuid::nil()));
        assert_eq!(set["total"], 1);
    }
}
