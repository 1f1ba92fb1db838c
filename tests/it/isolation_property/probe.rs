//! The ways by which something hidden would show first, each aimed at one side's data: chance alone takes long to find them.

use serde_json::{Value, json};

use super::cast::Side;
use super::data;
use super::request::Request;
use crate::fixtures::SetContext;

/// How many there are.
pub const PROBES: u64 = 30;

fn get(path: &str, query: &[(&str, &str)]) -> Request {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Request { query: query.iter().map(pair).collect(), ..Request::new("GET", path) }
}

fn patient(side: Side) -> Value {
    let mut patient = data::chart(side).swap_remove(0).1;
    drop(patient.as_object_mut().map(|patient| patient.remove("identifier")));
    patient
}

/// Probe `number` (from 0, cyclic) of what `side` has, by someone whose own data are `own`'s.
pub fn probe(number: u64, side: Side, own: Side) -> Request {
    if number % PROBES < 16 { by_search(number % PROBES, side) } else { by_other_means(number % PROBES, side, own) }
}

fn by_search(number: u64, side: Side) -> Request {
    let (name, mark) = (side.name(), side.marker());
    let secret = &format!("urn:secret|{mark}");
    let its = |what: &str| format!("«#{name}.{what}»");
    match number {
        0 => get("Patient", &[("identifier", "urn:mrn|A1"), ("_total", "accurate"), ("_count", "1")]),
        1 => get("Observation", &[("_summary", "count")]),
        2 => get("Patient", &[("identifier", secret)]),
        3 => get("Patient", &[("name:contains", &mark)]),
        4 => get("Observation", &[("subject:Patient.identifier", secret)]),
        5 => get("Observation", &[("encounter.identifier", secret), ("_summary", "count")]),
        6 => get("Patient", &[("_has:Observation:patient:identifier", secret)]),
        7 => get("Patient", &[("_list", &its("listing-mine"))]),
        8 => get("Observation", &[("_list", &its("list"))]),
        9 => get(
            "Patient",
            &[("_id", "«#mine.patient»"), ("_revinclude", "Observation:patient"), ("_revinclude", "List:item")],
        ),
        10 => get(
            "Observation",
            &[
                ("subject", &its("patient")),
                ("_include", "Observation:subject"),
                ("_include", "Observation:has-member"),
            ],
        ),
        11 => get("List", &[("_include", "List:item"), ("_include:iterate", "*")]),
        12 => get("", &[("_type", "Patient,Observation,Condition"), ("_content", &mark)]),
        13 => get("Patient", &[("_text", &mark)]),
        14 => get("Observation", &[("_sort", "-date"), ("_count", "2")]),
        _ => get("Patient/«#mine.patient»/*", &[("_count", "50")]),
    }
}

fn by_other_means(number: u64, side: Side, own: Side) -> Request {
    let (name, secret) = (side.name(), format!("urn:secret|{}", side.marker()));
    let found = format!("identifier={secret}");
    let its = |what: &str| format!("«{name}.{what}»");
    match number {
        16 => get(&its("weight"), &[]),
        17 => get(&format!("{}/_history/1", its("weight")), &[]),
        18 => get(&format!("{}/_history", its("gone")), &[]),
        19 => get("_history", &[("_count", "50")]),
        20 => get(&format!("{}/_history", "Observation"), &[("_list", &format!("«#{name}.list»"))]),
        21 => get(&format!("{}/$everything", its("patient")), &[]),
        22 => get("Patient/«#mine.patient»/$everything", &[]),
        23 => Request::with_body("POST", "Patient", &patient(own)).with("if-none-exist", &found),
        24 => get("Patient", &[("identifier", &secret)]).of("PUT", &patient(own)),
        25 => {
            let mut about = data::crossing(own, "mine.patient", "mine.visit", "mine.weight");
            about["hasMember"] = json!([{"reference": format!("Observation?{found}")}]);
            Request::with_body("POST", "", &transaction(&about))
        }
        26 => Request::new("DELETE", its("diabetes")),
        27 => {
            let mut about =
                data::crossing(own, &format!("{name}.patient"), &format!("{name}.visit"), &format!("{name}.weight"));
            drop(about.as_object_mut().map(|about| about.remove("identifier")));
            let input = SetContext::default().reference("patient", &its("patient")).entry("urn:uuid:o", &about);
            Request::with_body("POST", "$set-context", &input.build())
        }
        28 => {
            let input = SetContext::default().reference("patient", "urn:uuid:p");
            let input = input.entry_if_none_exist("urn:uuid:p", &patient(own), &found);
            Request::with_body("POST", "$set-context", &input.build())
        }
        _ => {
            let reads =
                ["patient", "weight", "list"].map(|what| json!({"request": {"method": "GET", "url": its(what)}}));
            Request::with_body("POST", "", &json!({"resourceType": "Bundle", "type": "batch", "entry": reads}))
        }
    }
}

fn transaction(resource: &Value) -> Value {
    let request = json!({"method": "POST", "url": resource["resourceType"]});
    json!({"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": resource, "request": request}]})
}
