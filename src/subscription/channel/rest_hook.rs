//! Channel `rest-hook`: one POST per notification; a 2xx acknowledges it.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;

use crate::{
    fhir::{json::Limits, xml},
    outbound::{Answer, Client, Failed},
    subscription::{delivery::Delivery, header::Headers, request::Spec},
};

const MOST_TEXT_CHARS: usize = 2000;

/// Where and how one Subscription's notifications are sent.
#[derive(Clone, Debug)]
pub struct Target {
    /// Absolute URL.
    pub endpoint: String,
    /// `Content-Type` of the POST.
    pub mime: String,
    /// The Subscription's own headers.
    pub headers: HeaderMap,
}

impl Target {
    /// The target that a Subscription describes.
    pub fn new(spec: &Spec, headers: &Headers) -> Self {
        Self { endpoint: spec.channel.endpoint().to_owned(), mime: spec.payload.clone(), headers: headers.to_map() }
    }
}

/// Sends one notification. `timeout` covers the whole attempt.
pub async fn send(client: &Client, target: &Target, body: String, timeout: Duration) -> Delivery {
    let mut headers = target.headers.clone();
    match HeaderValue::from_str(&target.mime) {
        Ok(mime) => headers.insert(CONTENT_TYPE, mime),
        Err(_) => return Delivery::NeverSent { reason: "the payload's MIME type is no header value".to_owned() },
    };
    match client.post(&target.endpoint, headers, body, timeout).await {
        Ok(answer) if answer.status.is_success() => Delivery::Acknowledged,
        Ok(answer) => Delivery::Refused { status: answer.status.as_u16(), text: outcome_text(&answer) },
        Err(Failed::NeverSent(reason)) => Delivery::NeverSent { reason },
        Err(Failed::Unknown(reason)) => Delivery::Unknown { reason },
    }
}

/// What the receiver's OperationOutcome, in JSON or XML, says to people.
fn outcome_text(answer: &Answer) -> Option<String> {
    let outcome: Value = match serde_json::from_slice(&answer.body) {
        Ok(outcome) => outcome,
        Err(_) => {
            serde_json::from_str(&xml::read(std::str::from_utf8(&answer.body).ok()?, &Limits::default()).ok()?).ok()?
        }
    };
    if outcome["resourceType"] != "OperationOutcome" {
        return None;
    }
    let issues = outcome["issue"].as_array()?.iter();
    let texts = issues.filter_map(|issue| issue["details"]["text"].as_str().or(issue["diagnostics"].as_str()));
    let text = texts.collect::<Vec<_>>().join("; ");
    (!text.is_empty()).then(|| text.chars().take(MOST_TEXT_CHARS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(body: &'static str) -> Option<String> {
        outcome_text(&Answer {
            status: reqwest::StatusCode::UNPROCESSABLE_ENTITY,
            headers: HeaderMap::new(),
            body: body.into(),
        })
    }

    #[test]
    fn the_receivers_own_words_are_kept() {
        let outcome = r#"{"resourceType":"OperationOutcome","issue":[{"details":{"text":"locked"}},{"diagnostics":"by Dr X"},{}]}"#;
        assert_eq!(text_of(outcome).as_deref(), Some("locked; by Dr X"));
        let outcome = r#"<?xml version="1.0"?><OperationOutcome xmlns="http://hl7.org/fhir"><issue><details><text value="locked"/></details></issue><issue><diagnostics value="by &quot;Dr X&quot;"/></issue></OperationOutcome>"#;
        assert_eq!(text_of(outcome).as_deref(), Some("locked; by \"Dr X\""));
        for other in
            ["", "no", "{}", "<html/>", r#"{"resourceType":"OperationOutcome"}"#, r#"{"issue":[{"diagnostics":"x"}]}"#]
        {
            assert_eq!(text_of(other), None, "{other}");
        }
    }
}
