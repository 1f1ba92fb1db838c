//! What one entry of a Bundle is answered with.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{Detail, StatusOf};
use crate::{
    fhir::{instant, json::quote},
    interaction::{
        Failure, Stored,
        write::{Fate, Written},
    },
};

/// What one entry got.
pub enum Got {
    Version(Stored),
    /// What the client has already.
    Unchanged(Stored),
    /// A searchset or history, as JSON text.
    Bundle(String),
    Written(Box<Written>),
}

/// The entry of what was got.
pub fn answer(base: &str, got: Got, detail: Detail) -> String {
    let (status, stored, shown, outcome) = match got {
        Got::Version(stored) => ("200 OK", Some(stored), true, None),
        Got::Unchanged(stored) => ("304 Not Modified", Some(stored), false, None),
        Got::Bundle(bundle) => return format!("{{\"resource\":{bundle},\"response\":{{\"status\":\"200 OK\"}}}}"),
        Got::Written(written) => {
            let status = match written.fate {
                Fate::Created => "201 Created",
                Fate::Updated | Fate::Found => "200 OK",
                Fate::Deleted => "204 No Content",
            };
            // Advice is told whether or not outcomes were asked for.
            let outcome = (detail == Detail::Outcomes || !written.advice.is_empty()).then(|| written.outcome());
            (status, written.stored, detail == Detail::Resources && written.is_shown, outcome)
        }
    };
    let mut response = json!({"status": status});
    let Some(stored) = stored else { return format!("{{\"response\":{response}}}") };
    let (kind, id, version) = (&stored.kind, &stored.id, stored.version);
    response["location"] = Value::from(format!("{base}/{kind}/{id}/_history/{version}"));
    response["etag"] = Value::from(format!("W/\"{version}\""));
    response["lastModified"] = Value::from(instant::format(stored.updated));
    if let Some(outcome) = outcome {
        response["outcome"] = outcome.to_json();
    }
    let full_url = quote(&format!("{base}/{kind}/{id}"));
    // The stored text goes in as it is: its numbers keep their digits.
    let resource = if shown { format!(",\"resource\":{}", stored.body) } else { String::new() };
    format!("{{\"fullUrl\":{full_url}{resource},\"response\":{response}}}")
}

/// What a failed entry is answered with.
pub fn failed(failure: &Failure, status: StatusOf<'_>) -> String {
    let response = json!({"status": status(failure), "outcome": failure.outcome().to_json()});
    format!("{{\"response\":{response}}}")
}

/// The whole answer. A Bundle names a resource once (invariant bdl-7): what is read again goes without `fullUrl`.
pub fn response(kind: &str, answers: &[String]) -> String {
    let mut named = HashSet::new();
    let once = |answer: &String| {
        let name = answer.strip_prefix("{\"fullUrl\":").and_then(|rest| rest.split_once(','));
        match name {
            Some((name, rest)) if !named.insert(name.to_owned()) => format!("{{{rest}"),
            _ => answer.clone(),
        }
    };
    let answers: Vec<String> = answers.iter().map(once).collect();
    let entries = if answers.is_empty() { String::new() } else { format!(",\"entry\":[{}]", answers.join(",")) };
    format!("{{\"resourceType\":\"Bundle\",\"type\":\"{kind}\"{entries}}}")
}
