//! Data that look alike: every launch has the same names, identifiers, dates, codes and values; what tells them apart are
//! their ids and each side's marker.
//!
//! `«shared.ward»` stands for the reference to a resource made before; `«patient»` for one of the same launch.

use serde_json::{Value, json};

use super::cast::Side;

fn narrative(text: &str) -> Value {
    json!({"status": "generated", "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>{text}</p></div>")})
}

fn reference(to: &str) -> Value {
    json!({"reference": format!("«{to}»")})
}

/// An identifier that looks like everybody's, and one that is this side's.
fn identifiers(mark: &str) -> Value {
    json!([{"system": "urn:number", "value": "N1"}, {"system": "urn:secret", "value": mark}])
}

/// A coding, the marker in its text.
fn concept(system: &str, code: &str, text: &str) -> Value {
    json!({"coding": [{"system": system, "code": code, "display": format!("Display of {code}")}], "text": text})
}

fn hl7(system: &str, code: &str) -> Value {
    json!({"coding": [{"system": format!("http://terminology.hl7.org/CodeSystem/{system}"), "code": code}]})
}

fn person(kind: &str, mark: &str) -> Value {
    json!({
        "resourceType": kind,
        "meta": {"tag": [{"system": "urn:tag", "code": "vip"}, {"system": "urn:tag", "code": mark}], "source": "urn:source:1"},
        "text": narrative(&format!("Anna Müller, vertigo, {mark}")),
        "identifier": [{"system": "urn:mrn", "value": "A1"}, {"system": "urn:secret", "value": mark}],
        "name": [{"family": "Müller", "given": ["Anna"]}, {"text": mark}],
        "telecom": [{"system": "email", "value": "anna@example.org"}, {"system": "phone", "value": mark}],
        "gender": "female",
        "birthDate": "1980-03-15",
        "address": [{"city": "Montréal", "line": [mark]}],
    })
}

fn patient(mark: &str) -> Value {
    let mut patient = person("Patient", mark);
    patient["active"] = json!(true);
    patient["managingOrganization"] = reference("shared.ward");
    patient["generalPractitioner"] = json!([reference("shared.doctor")]);
    patient
}

fn visit(mark: &str) -> Value {
    json!({
        "resourceType": "Encounter",
        "identifier": [{"system": "urn:visit", "value": "V1"}, {"system": "urn:secret", "value": mark}],
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": reference("patient"),
        "participant": [{"individual": reference("shared.doctor")}],
        "period": {"start": "2020-01-10", "end": "2020-01-20"},
        "reasonCode": [{"text": mark}],
        "serviceProvider": reference("shared.ward"),
    })
}

fn observation(mark: &str, code: &str, more: &Value) -> Value {
    let mut observation = json!({
        "resourceType": "Observation",
        "identifier": identifiers(mark),
        "meta": {"profile": ["http://example.org/StructureDefinition/p"], "source": "urn:source:1"},
        "status": "final",
        "category": [hl7("observation-category", "vital-signs")],
        "code": concept("http://loinc.org", code, &format!("measured {mark}")),
        "subject": reference("patient"),
        "encounter": reference("visit"),
        "effectiveDateTime": "2020-01-15T10:00:00Z",
        "performer": [reference("shared.doctor")],
        "note": [{"text": mark}],
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        observation[name] = value.clone();
    }
    observation
}

fn quantity(value: f64, unit: &str) -> Value {
    json!({"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit})
}

fn condition(mark: &str) -> Value {
    json!({
        "resourceType": "Condition",
        "identifier": identifiers(mark),
        "clinicalStatus": hl7("condition-clinical", "active"),
        "verificationStatus": hl7("condition-ver-status", "confirmed"),
        "category": [hl7("condition-category", "encounter-diagnosis")],
        "code": concept("http://snomed.info/sct", "44054006", mark),
        "subject": reference("patient"),
        "encounter": reference("visit"),
        "onsetDateTime": "2019-06-01",
        "note": [{"text": format!("beekeeper {mark}")}],
    })
}

/// A resource with the tag by which granular scopes know what they let through.
fn open(mut resource: Value) -> Value {
    let tags = &mut resource["meta"]["tag"];
    let mut all = tags.as_array().cloned().unwrap_or_default();
    all.push(json!({"system": "urn:tag", "code": "open"}));
    *tags = Value::Array(all);
    resource
}

/// The types of these data.
const KINDS: [&str; 14] = [
    "Patient",
    "Encounter",
    "Observation",
    "Condition",
    "RelatedPerson",
    "Location",
    "MedicationRequest",
    "DiagnosticReport",
    "List",
    "Provenance",
    "Organization",
    "Practitioner",
    "PractitionerRole",
    "Basic",
];

/// Scopes that let through what is tagged.
pub fn granular_scopes() -> String {
    KINDS.map(|kind| format!("patient/{kind}.cruds?_tag=urn:tag|open")).join(" ")
}

/// What the launch of `Mine` holds about its patient beside what is tagged: the like of it, without the tag.
pub fn apart() -> Vec<(&'static str, Value)> {
    let all = untagged(Side::Apart).into_iter().filter(|(name, _)| *name != "patient");
    let about_mine = |resource: Value| {
        let text = resource.to_string().replace("«patient»", "urn:uuid:mine.patient");
        serde_json::from_str(&text).expect("JSON")
    };
    all.map(|(name, resource)| (name, about_mine(resource))).collect()
}

/// What the patient of `Mine` and the one beside have: all of it in that patient's compartment.
pub fn chart(side: Side) -> Vec<(&'static str, Value)> {
    untagged_chart(side).into_iter().map(|(name, resource)| (name, open(resource))).collect()
}

fn untagged_chart(side: Side) -> Vec<(&'static str, Value)> {
    let mark = &side.marker();
    vec![
        ("patient", patient(mark)),
        ("visit", visit(mark)),
        ("weight", observation(mark, "29463-7", &json!({"valueQuantity": quantity(72.5, "kg")}))),
        ("diabetes", condition(mark)),
    ]
}

/// What a launch holds.
pub fn launch(side: Side) -> Vec<(&'static str, Value)> {
    untagged(side).into_iter().map(|(name, resource)| (name, open(resource))).collect()
}

fn untagged(side: Side) -> Vec<(&'static str, Value)> {
    let mark = &side.marker();
    let component = |code: &str, value: f64| json!({"code": concept("http://loinc.org", code, mark), "valueQuantity": quantity(value, "mm[Hg]")});
    let mut all = untagged_chart(side);
    let mut related = person("RelatedPerson", mark);
    related["patient"] = reference("patient");
    all.extend([
        ("related", related),
        ("room", json!({"resourceType": "Location", "name": "Room 2", "description": mark, "managingOrganization": reference("shared.ward")})),
        ("pressure", observation(mark, "85354-9", &json!({"component": [component("8480-6", 120.0), component("8462-4", 80.0)]}))),
        ("panel", observation(mark, "24331-1", &json!({"hasMember": [reference("weight"), reference("pressure")]}))),
        ("remark", observation(mark, "8867-4", &json!({"valueString": format!("high {mark}"), "derivedFrom": [reference("weight")]}))),
        ("gone", observation(mark, "8310-5", &json!({"valueQuantity": quantity(36.8, "Cel")}))),
        ("drug", json!({
            "resourceType": "MedicationRequest", "identifier": identifiers(mark), "status": "active", "intent": "order",
            "medicationCodeableConcept": concept("urn:drug", "D1", mark),
            "subject": reference("patient"), "encounter": reference("visit"), "authoredOn": "2020-01-15",
            "requester": reference("shared.doctor"), "reasonReference": [reference("diabetes")],
        })),
        ("report", json!({
            "resourceType": "DiagnosticReport", "identifier": identifiers(mark), "status": "final", "code": concept("http://loinc.org", "24331-1", mark),
            "subject": reference("patient"), "encounter": reference("visit"), "effectiveDateTime": "2020-01-15",
            "result": [reference("weight"), reference("pressure")], "conclusion": mark,
        })),
        ("list", json!({
            "resourceType": "List", "identifier": identifiers(mark), "status": "current", "mode": "working", "title": mark, "subject": reference("patient"),
            "code": concept("http://loinc.org", "11450-4", mark),
            "entry": [{"item": reference("patient")}, {"item": reference("weight")}, {"item": reference("diabetes")}],
        })),
        ("origin", json!({
            "resourceType": "Provenance", "target": [reference("weight"), reference("patient")],
            "recorded": "2020-01-15T10:00:00Z", "agent": [{"who": {"reference": "«shared.doctor»", "display": mark}}],
        })),
    ]);
    all
}

/// What the jurisdiction has about a patient, who looks like everybody else's.
pub fn registered(side: Side) -> Vec<(&'static str, Value)> {
    let mark = &side.marker();
    let mut registered = patient(mark);
    registered["identifier"] = json!([
        {"system": "urn:mrn", "value": "A1"}, {"system": "urn:card", "value": "C1"}, {"system": "urn:secret", "value": mark},
    ]);
    let mut weight = observation(mark, "29463-7", &json!({"valueQuantity": quantity(72.5, "kg")}));
    weight["encounter"] = json!({"display": "elsewhere"});
    vec![("patient", open(registered)), ("weight", open(weight))]
}

/// What the jurisdiction has that is no patient's.
pub fn shared() -> Vec<(&'static str, Value)> {
    let all = untagged_shared().into_iter();
    all.map(|(name, resource)| (name, open(resource))).collect()
}

fn untagged_shared() -> Vec<(&'static str, Value)> {
    vec![
        (
            "clinic",
            json!({"resourceType": "Organization", "name": "North Clinic", "identifier": [{"system": "urn:org", "value": "1"}]}),
        ),
        ("ward", json!({"resourceType": "Organization", "name": "Ward, east", "partOf": reference("shared.clinic")})),
        (
            "doctor",
            json!({
                "resourceType": "Practitioner", "name": [{"family": "Roy", "given": ["Élise"]}],
                "identifier": [{"system": "urn:licence", "value": "L1"}],
            }),
        ),
        (
            "role",
            json!({
                "resourceType": "PractitionerRole", "practitioner": reference("shared.doctor"), "organization": reference("shared.ward"),
            }),
        ),
        (
            "site",
            json!({"resourceType": "Location", "name": "Room 2", "managingOrganization": reference("shared.ward")}),
        ),
    ]
}

/// An Observation of this side that refers to others' resources, whoever these belong to.
pub fn crossing(side: Side, subject: &str, encounter: &str, member: &str) -> Value {
    let mut crossing = observation(&side.marker(), "29463-7", &json!({"valueQuantity": quantity(72.5, "kg")}));
    crossing["subject"] = reference(subject);
    crossing["encounter"] = reference(encounter);
    crossing["hasMember"] = json!([reference(member)]);
    open(crossing)
}

/// A list of others' resources.
pub fn crossing_list(side: Side, items: &[String]) -> Value {
    let items: Vec<Value> = items.iter().map(|item| json!({"item": reference(item)})).collect();
    open(json!({
        "resourceType": "List", "identifier": identifiers(&side.marker()), "status": "current", "mode": "working",
        "title": side.marker(),
        "code": concept("http://loinc.org", "11450-4", &side.marker()), "entry": items,
    }))
}

/// A Patient of this side who is said to be another's.
pub fn crossing_link(side: Side, to: &str) -> Value {
    let mut linked = patient(&side.marker());
    linked["link"] = json!([{"other": reference(to), "type": "seealso"}]);
    open(linked)
}
