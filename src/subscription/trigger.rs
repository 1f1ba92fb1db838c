//! Whether a change is an event of a Subscription. Pure.

use std::collections::HashSet;

use super::{
    change::{Change, Method},
    filter::Filter,
    request::Spec,
    topic::{self, Interaction, Parameter},
};
use crate::fhir::{compartment, reference};

/// What filters look at in a change, computed once for all Subscriptions.
#[derive(Clone, Debug)]
pub struct Subject {
    type_name: String,
    interaction: Interaction,
    patients: HashSet<String>,
    encounters: HashSet<String>,
}

impl Subject {
    /// Of a change as it will be stored; `base` is this server's FHIR base.
    pub fn of(change: &Change, base: &str) -> Self {
        let interaction = match change.method {
            Method::Post => Interaction::Create,
            Method::Put => Interaction::Update,
            Method::Delete => Interaction::Delete,
        };
        let mut subject =
            Self { type_name: change.kind.clone(), interaction, patients: HashSet::new(), encounters: HashSet::new() };
        if let Some(after) = &change.after {
            subject.patients.extend(compartment::patients(after, &change.id, base));
            let references = reference::all(after);
            let local = references.iter().filter_map(|found| reference::local(&found.reference, base));
            subject.encounters.extend(local.filter(|(kind, _)| kind == "Encounter").map(|(_, id)| id));
        }
        if change.kind == "Encounter" {
            subject.encounters.insert(change.id.clone());
        }
        subject
    }
}

/// Whether `subject` is an event of the Subscription `spec`: its topic is triggered, and every filter that applies to the
/// resource's type holds (FHIR R5, Subscription.filterBy).
pub fn matches(spec: &Spec, subject: &Subject) -> bool {
    topic::find(&spec.topic).is_some_and(|topic| topic.interactions.contains(&subject.interaction))
        && spec.filters.iter().all(|filter| holds(filter, subject))
}

fn holds(filter: &Filter, subject: &Subject) -> bool {
    if filter.resource.as_ref().is_some_and(|resource| *resource != subject.type_name) {
        return true;
    }
    match filter.parameter {
        Parameter::Patient => filter.values.iter().any(|id| subject.patients.contains(id)),
        Parameter::Encounter => filter.values.iter().any(|id| subject.encounters.contains(id)),
        Parameter::ResourceType => filter.values.contains(&subject.type_name),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::{
        fhir::{json::Limits, resource::Resource},
        subscription::{
            filter,
            request::{Channel, Content},
        },
    };

    const BASE: &str = "http://h/fhir";

    fn subject(method: Method, text: &str) -> Subject {
        let after = Resource::parse(text, &Limits::default()).unwrap();
        let change = Change {
            tenant: 1,
            context: None,
            poc_client: None,
            kind: after.type_name().to_owned(),
            id: "own".to_owned(),
            version: 1,
            updated: datetime!(2026-01-02 03:04:05 UTC),
            method,
            after: Some(after),
            body: None,
            before: None,
        };
        Subject::of(&change, BASE)
    }

    fn spec(filters: &[&str]) -> Spec {
        let topic = &topic::all()[0];
        Spec {
            topic: topic.url.clone(),
            filters: filters.iter().map(|text| filter::parse(text, topic, BASE).unwrap()).collect(),
            channel: Channel::RestHook { endpoint: String::new() },
            content: Content::Empty,
            payload: String::new(),
            heartbeat: None,
            timeout: None,
            max_count: None,
            end: None,
        }
    }

    #[test]
    fn creates_and_updates_are_events_and_deletes_are_none() {
        let text = r#"{"resourceType":"Observation"}"#;
        assert!(matches(&spec(&[]), &subject(Method::Post, text)));
        assert!(matches(&spec(&[]), &subject(Method::Put, text)));
        assert!(!matches(&spec(&[]), &subject(Method::Delete, text)));
    }

    #[test]
    fn every_filter_that_applies_must_hold() {
        let observation = subject(
            Method::Post,
            r#"{"resourceType":"Observation","subject":{"reference":"Patient/p"},"encounter":{"reference":"http://h/fhir/Encounter/e"}}"#,
        );
        let encounter = subject(Method::Put, r#"{"resourceType":"Encounter","subject":{"reference":"Patient/p"}}"#);
        for (filters, on_observation, on_encounter) in [
            (&["patient=p"][..], true, true),
            (&["patient=q"], false, false),
            (&["patient=q,p"], true, true),
            (&["encounter=e"], true, false),
            (&["encounter=own"], false, true),
            (&["resourceType=Observation"], true, false),
            (&["patient=p", "encounter=x"], false, false),
            (&["Encounter?patient=q"], true, false),
        ] {
            assert_eq!(matches(&spec(filters), &observation), on_observation, "{filters:?}");
            assert_eq!(matches(&spec(filters), &encounter), on_encounter, "{filters:?}");
        }
    }
}
