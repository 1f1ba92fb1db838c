//! What the demonstration sends: HALO's own sample of a context, a Subscription, a heart rate. All persons are invented.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// HALO's topic "SOFA Content Update".
pub const TOPIC: &str = "http://fhir.infoway-inforoute.ca/io/HALO/SubscriptionTopic/sofa-content-update";

/// The identifier of Dr Julie Jones in the sample context: system and value. Her user here is linked to it.
pub const JULIE_JONES: (&str, &str) =
    ("https://fhir.infoway-inforoute.ca/NamingSystem/ca-on-license-physician", "DEMO-73051");

/// The identifier of the clinician who has nothing to do with the sample context.
pub const SAM_ROY: (&str, &str) =
    ("https://fhir.infoway-inforoute.ca/NamingSystem/ca-on-license-physician", "DEMO-40877");

const SET_CONTEXT: &str = include_str!("assets/set-context.json");
const BACKPORT: &str = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition";

/// The body of `$set-context`: Jane Smith, an Encounter, Dr Julie Jones as Practitioner and PractitionerRole, an Organization
/// and a Location, linked by `urn:uuid:`; for `app` only, when given.
pub fn set_context(app: Option<&str>) -> Result<Value> {
    let mut body: Value = serde_json::from_str(SET_CONTEXT).context("the sample context")?;
    if let (Some(app), Some(parameters)) = (app, body["parameter"].as_array_mut()) {
        parameters.insert(0, json!({ "name": "appID", "valueString": app }));
    }
    Ok(body)
}

/// The resource of one type in the sample context.
pub fn resource(resource_type: &str) -> Result<Value> {
    let body = set_context(None)?;
    let parameters = body["parameter"].as_array().into_iter().flatten();
    let entries = parameters.filter_map(|parameter| parameter["resource"]["entry"].as_array()).flatten();
    let mut resources = entries.map(|entry| &entry["resource"]);
    let found = resources.find(|resource| resource["resourceType"] == resource_type);
    found.cloned().with_context(|| format!("no {resource_type} in the sample context"))
}

/// A Subscription (Backport profile) to HALO's topic: rest-hook to `endpoint`, whole resources, with the header given.
pub fn subscription(endpoint: &str, header: &str) -> Value {
    json!({
        "resourceType": "Subscription",
        "meta": { "profile": [format!("{BACKPORT}/backport-subscription")] },
        "status": "requested",
        "reason": "Changes that apps make in our launches go into the chart",
        "criteria": TOPIC,
        "channel": {
            "type": "rest-hook",
            "endpoint": endpoint,
            "header": [header],
            "payload": "application/fhir+json",
            "_payload": {
                "extension": [{ "url": format!("{BACKPORT}/backport-payload-content"), "valueCode": "full-resource" }]
            },
            "extension": [{ "url": format!("{BACKPORT}/backport-timeout"), "valueUnsignedInt": 5 }]
        }
    })
}

/// A heart rate (LOINC 8867-4), in beats per minute.
pub fn heart_rate(patient: &str, encounter: &str, per_minute: u16, at: OffsetDateTime) -> Result<Value> {
    Ok(json!({
        "resourceType": "Observation",
        "status": "final",
        "category": [{ "coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"
        }] }],
        "code": {
            "coding": [{ "system": "http://loinc.org", "code": "8867-4", "display": "Heart rate" }],
            "text": "Heart rate"
        },
        "subject": { "reference": format!("Patient/{patient}") },
        "encounter": { "reference": format!("Encounter/{encounter}") },
        "effectiveDateTime": at.format(&Rfc3339)?,
        "valueQuantity": {
            "value": per_minute, "unit": "beats/minute", "system": "http://unitsofmeasure.org", "code": "/min"
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_links_its_resources_by_urn_uuid_and_leaves_none_dangling() {
        let body = set_context(None).unwrap();
        let text = body.to_string();
        let resources = body["parameter"].as_array().unwrap().iter().find(|one| one["name"] == "resources").unwrap();
        let entries = resources["resource"]["entry"].as_array().unwrap();
        let types: Vec<_> = entries.iter().map(|entry| entry["resource"]["resourceType"].as_str().unwrap()).collect();
        assert_eq!(types, ["Patient", "Encounter", "Practitioner", "PractitionerRole", "Organization", "Location"]);
        let known: Vec<_> = entries.iter().map(|entry| entry["fullUrl"].as_str().unwrap()).collect();
        for (at, _) in text.match_indices("urn:uuid:") {
            assert!(known.contains(&&text[at..at + 45]), "{}", &text[at..at + 45]);
        }
        assert!(resource("Patient").unwrap().get("identifier").is_none());
        assert_eq!(resource("Practitioner").unwrap()["identifier"][0]["value"], JULIE_JONES.1);
    }

    #[test]
    fn an_app_named_comes_first() {
        assert_eq!(set_context(Some("a")).unwrap()["parameter"][0], json!({ "name": "appID", "valueString": "a" }));
    }
}
