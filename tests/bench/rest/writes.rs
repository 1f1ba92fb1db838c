//! Writing. Each number is a resource of its own, so that parallel writers do not wait for each other.

use serde_json::{Value, json};

use super::row::{Ask, Row};
use super::sample::Samples;

pub fn rows() -> Vec<Row> {
    vec![
        Row::new("create", &[201], |samples, number| {
            Ask::post("Observation", observation(samples, number).to_string())
        }),
        Row::new("create, minimal", &[201], |samples, number| {
            Ask::post("Observation", observation(samples, number).to_string()).minimal()
        }),
        Row::new("conditional create", &[200, 201], conditional_create),
        Row::new("update", &[200], update),
        Row::new("patch", &[200], patch),
        Row::new("transaction of 10", &[200], transaction),
    ]
}

/// A new Observation like a sampled one.
fn observation(samples: &Samples, number: u64) -> Value {
    let mut body = samples.one("Observation", number).map(|one| one.body.clone()).unwrap_or_default();
    if let Some(members) = body.as_object_mut() {
        members.remove("id");
    }
    body
}

/// Every second one finds the one before.
fn conditional_create(samples: &Samples, number: u64) -> Ask {
    let value = format!("{}-{}", std::process::id(), number / 2);
    let mut body = observation(samples, number);
    body["identifier"] = json!([{"system": "urn:bench", "value": value}]);
    Ask::post("Observation", body.to_string()).with("if-none-exist", format!("identifier=urn:bench|{value}"))
}

fn update(samples: &Samples, number: u64) -> Ask {
    let Some(one) = samples.one("Observation", number) else { return Ask::get("Observation") };
    let mut body = one.body.clone();
    body["note"] = json!([{"text": format!("seen again, {number}")}]);
    Ask::put(one.reference(), body.to_string())
}

fn patch(samples: &Samples, number: u64) -> Ask {
    let body = json!([{"op": "add", "path": "/issued", "value": format!("2025-01-01T08:{:02}:00Z", number % 60)}]);
    let path = format!("Observation/{}", samples.id("Observation", number));
    Ask {
        method: "PATCH",
        path,
        headers: vec![("content-type", "application/json-patch+json".to_owned())],
        body: Some(body.to_string()),
    }
}

/// A visit and nine Observations of it.
fn transaction(samples: &Samples, number: u64) -> Ask {
    let url = |at: u64| format!("urn:uuid:00000000-0000-4000-8000-{at:012}");
    let mut visit = samples.one("Encounter", number).map(|one| one.body.clone()).unwrap_or_default();
    if let Some(members) = visit.as_object_mut() {
        members.remove("id");
    }
    let mut entries =
        vec![json!({"fullUrl": url(0), "resource": visit, "request": {"method": "POST", "url": "Encounter"}})];
    for at in 1..10 {
        let mut body = observation(samples, number * 9 + at);
        body["encounter"] = json!({"reference": url(0)});
        body["subject"] = visit["subject"].clone();
        let request = json!({"method": "POST", "url": "Observation"});
        entries.push(json!({"fullUrl": url(at), "resource": body, "request": request}));
    }
    Ask::post("", json!({"resourceType": "Bundle", "type": "transaction", "entry": entries}).to_string()).minimal()
}
