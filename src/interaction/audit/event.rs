//! A row of the audit trail as an R4 AuditEvent, by the patterns of IHE BALP (Basic Audit Log Patterns) where there is one:
//! those events name their profile.
//!
//! Client and user are named by identifier, as the tokens name them; no names of people are kept in the trail.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{fhir::instant, store::audit::Stored};

const DCM: &str = "http://dicom.nema.org/resources/ontology/DCM";
const RESTFUL: &str = "http://hl7.org/fhir/restful-interaction";
const BALP: &str = "https://profiles.ihe.net/ITI/BALP";

/// This server's words for what happened with their `AuditEvent.action`; all others are `E`, executed.
pub const ACTIONS: [(&str, &str); 21] = [
    ("create", "C"),
    ("client-add", "C"),
    ("client-token-add", "C"),
    ("user-add", "C"),
    ("read", "R"),
    ("vread", "R"),
    ("history", "R"),
    ("update", "U"),
    ("patch", "U"),
    ("meta-add", "U"),
    ("meta-delete", "U"),
    ("subscription-status", "U"),
    ("client-change", "U"),
    ("client-enable", "U"),
    ("client-disable", "U"),
    ("client-secret", "U"),
    ("user-passwd", "U"),
    ("delete", "D"),
    ("purge", "D"),
    ("client-delete", "D"),
    ("client-token-delete", "D"),
];

/// The word of the trail for a code of `AuditEvent.outcome`.
pub fn outcome_of(code: &str) -> &str {
    match code {
        "0" => "success",
        "4" => "refused",
        "8" => "failed",
        other => other,
    }
}

/// The words of the trail that a code of `AuditEvent.subtype` stands for.
pub fn words_of(code: &str) -> Vec<String> {
    let words: &[&str] = match code {
        "search-type" | "search-system" => &["search"],
        "history-instance" | "history-type" | "history-system" => &["history"],
        "batch" | "transaction" => &["bundle"],
        "110122" => &["login"],
        "110123" => &["logout"],
        own => return vec![own.to_owned()],
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The event. `issuer` is this server's name for itself.
pub fn of(row: &Stored, issuer: &str) -> Value {
    let target = row.target.as_deref().unwrap_or_default();
    let kind = Kind::of(&row.action, target);
    let mut event = json!({
        "resourceType": "AuditEvent",
        "id": row.seq.to_string(),
        "type": kind.type_(),
        "subtype": kind.subtypes(&row.action, issuer),
        "action": action(&row.action),
        "recorded": instant::format(row.at),
        "outcome": match row.outcome.as_str() {
            "success" => "0",
            "refused" => "4",
            _ => "8",
        },
        "agent": agents(row, kind, issuer),
        "source": {
            "observer": {"identifier": {"system": "urn:ietf:rfc:3986", "value": issuer}},
            "type": [coding("http://terminology.hl7.org/CodeSystem/security-source-type", "4", "Application Server")],
        },
    });
    if let Some(profile) = profile(row, kind) {
        event["meta"] = json!({"profile": [format!("{BALP}/StructureDefinition/IHE.BasicAudit.{profile}")]});
    }
    if let Some(detail) = &row.detail {
        event["outcomeDesc"] = json!(detail);
    }
    let entities = entities(row, kind, target, issuer);
    if !entities.is_empty() {
        event["entity"] = json!(entities);
    }
    event
}

fn action(word: &str) -> &'static str {
    ACTIONS.iter().find(|(own, _)| *own == word).map_or("E", |(_, code)| code)
}

fn coding(system: &str, code: &str, display: &str) -> Value {
    json!({"system": system, "code": code, "display": display})
}

/// What sort of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// An interaction or operation of the FHIR API, with R4's code.
    Rest(&'static str),
    SignIn(Option<(&'static str, &'static str)>),
    ClientAuthentication,
    /// Refused access.
    Alert,
    /// Something was sent to a point-of-care system.
    Export,
    /// Clients, people, keys.
    Registry,
    /// The server itself.
    Server,
}

impl Kind {
    fn of(word: &str, target: &str) -> Self {
        let parts = target.split('/').filter(|part| !part.is_empty()).count();
        match word {
            "create" => Self::Rest("create"),
            "read" => Self::Rest("read"),
            "vread" => Self::Rest("vread"),
            "update" | "subscription-status" => Self::Rest("update"),
            "patch" => Self::Rest("patch"),
            "delete" => Self::Rest("delete"),
            "search" => Self::Rest(if parts == 0 { "search-system" } else { "search-type" }),
            "history" => Self::Rest(match parts {
                0 | 1 => "history-system",
                2 => "history-type",
                _ => "history-instance",
            }),
            "bundle" => Self::Rest("transaction"),
            "everything" | "validate" | "meta" | "meta-add" | "meta-delete" | "status" | "events" | "set-context"
            | "clear-context" | "context-set" | "context-clear" | "operation" => Self::Rest("operation"),
            "login" => Self::SignIn(Some(("110122", "Login"))),
            "logout" => Self::SignIn(Some(("110123", "Logout"))),
            "client-auth" => Self::ClientAuthentication,
            "access" => Self::Alert,
            "notification" => Self::Export,
            "purge" | "context-expire" => Self::Server,
            _ if word.starts_with("client-") || word.starts_with("user-") || word.starts_with("key-") => Self::Registry,
            // Launches, consent, tokens.
            _ => Self::SignIn(None),
        }
    }

    fn type_(self) -> Value {
        match self {
            Self::Rest(_) => {
                coding("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest", "RESTful Operation")
            }
            Self::SignIn(_) => coding(DCM, "110114", "User Authentication"),
            Self::ClientAuthentication => coding(DCM, "110126", "Node Authentication"),
            Self::Alert => coding(DCM, "110113", "Security Alert"),
            Self::Export => coding(DCM, "110106", "Export"),
            Self::Registry => coding(DCM, "110136", "Security Roles Changed"),
            Self::Server => coding(DCM, "110100", "Application Activity"),
        }
    }

    /// R4's or DICOM's code where there is one, and this server's own word.
    fn subtypes(self, word: &str, issuer: &str) -> Value {
        let own = json!({"system": format!("{issuer}/CodeSystem/audit-action"), "code": word});
        match self {
            Self::Rest(code) => json!([{"system": RESTFUL, "code": code}, own]),
            Self::SignIn(Some((code, display))) => json!([coding(DCM, code, display), own]),
            _ => json!([own]),
        }
    }

    /// Whether what is asked for flows to the client.
    const fn is_read(self) -> bool {
        matches!(self, Self::Rest(code) if matches!(code.as_bytes(), b"read" | b"vread"))
    }
}

/// The BALP profile that the event follows: successes of known clients at known addresses.
fn profile(row: &Stored, kind: Kind) -> Option<String> {
    if row.outcome != "success" || row.client_id.is_none() || row.address.is_none() {
        return None;
    }
    let plain = match kind {
        Kind::Rest("read" | "vread") => "Read",
        Kind::Rest("search-type" | "search-system") => "Query",
        Kind::Rest("create") => "Create",
        Kind::Rest("update") => "Update",
        _ => return None,
    };
    let is_of_one = row.patients.as_ref().is_some_and(|patients| patients.len() == 1);
    Some(if is_of_one { format!("Patient{plain}") } else { plain.to_owned() })
}

/// Client, server and user; whoever works at the machine itself has no client.
fn agents(row: &Stored, kind: Kind, issuer: &str) -> Value {
    let (source, destination) = (coding(DCM, "110153", "Source Role ID"), coding(DCM, "110152", "Destination Role ID"));
    let (of_client, of_server) = if kind.is_read() { (destination, source) } else { (source, destination) };
    let mut agents = Vec::new();
    if let Some(client) = &row.client_id {
        let mut agent = json!({
            "type": concept(&of_client),
            "who": {"identifier": {"system": format!("{issuer}/client"), "value": client}},
            "altId": client,
            "requestor": row.user_id.is_none(),
        });
        if let Some(grant) = row.grant_id {
            agent["policy"] = json!([format!("urn:uuid:{grant}")]);
        }
        agents.push(agent);
    } else if row.user_id.is_none() {
        agents.push(json!({"type": concept(&of_client), "requestor": true}));
    }
    if let (Some(address), Some(agent)) = (&row.address, agents.first_mut()) {
        agent["network"] = json!({"address": address, "type": "2"});
    }
    let host = url::Url::parse(issuer).ok().and_then(|url| url.host_str().map(str::to_owned));
    agents.push(json!({
        "type": concept(&of_server),
        "who": {"identifier": {"system": "urn:ietf:rfc:3986", "value": issuer}},
        "requestor": false,
        "network": {"address": host.as_deref().unwrap_or(issuer), "type": "1"},
    }));
    if let Some(user) = row.user_id {
        let participation = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
        let of_user = match kind {
            Kind::Rest("create" | "update" | "patch" | "delete") => coding(participation, "AUT", "author (originator)"),
            _ => coding(participation, "IRCP", "information recipient"),
        };
        agents.push(json!({
            "type": concept(&of_user),
            "who": {"identifier": {"system": issuer, "value": user}},
            "altId": user,
            "requestor": true,
        }));
    }
    json!(agents)
}

fn concept(coding: &Value) -> Value {
    json!({"coding": [coding]})
}

fn entities(row: &Stored, kind: Kind, target: &str, issuer: &str) -> Vec<Value> {
    let of_type = |code, display| coding("http://terminology.hl7.org/CodeSystem/audit-entity-type", code, display);
    let role = |code, display| coding("http://terminology.hl7.org/CodeSystem/object-role", code, display);
    let mut entities = Vec::new();
    if let Some(request_id) = &row.request_id {
        entities.push(json!({
            "what": {"identifier": {"value": request_id}},
            "type": {"system": format!("{BALP}/CodeSystem/BasicAuditEntityType"), "code": "XrequestId"},
        }));
    }
    let is_query = matches!(kind, Kind::Rest("search-type" | "search-system" | "history-type" | "history-system"));
    if is_query {
        let query = row.query.as_deref().filter(|query| !query.is_empty());
        let text = query.map_or_else(|| target.to_owned(), |query| format!("{target}?{query}"));
        // base64 has no empty text.
        let text = if text.is_empty() { "?" } else { &text };
        entities.push(json!({
            "type": of_type("2", "System Object"),
            "role": role("24", "Query"),
            "description": text,
            "query": STANDARD.encode(text),
        }));
    } else if let Some(reference) = reference(target) {
        entities.push(json!({
            "what": {"reference": reference},
            "type": of_type("2", "System Object"),
            "role": role("4", "Domain Resource"),
        }));
    }
    for patient in row.patients.iter().flatten() {
        entities.push(json!({
            "what": {"reference": format!("Patient/{patient}")},
            "type": of_type("1", "Person"),
            "role": role("1", "Patient"),
        }));
    }
    if let Some(context) = row.context {
        entities.push(json!({
            "what": {"identifier": {"system": format!("{issuer}/launch-context"), "value": context}},
            "type": of_type("4", "Other"),
            "description": "launch context",
        }));
    }
    entities
}

/// The resource of a path, with its version.
fn reference(target: &str) -> Option<String> {
    let parts: Vec<_> = target.split('/').collect();
    match parts.as_slice() {
        [kind, id, rest @ ..] if crate::fhir::types::is_resource(kind) && crate::fhir::types::is_id(id) => {
            Some(match rest {
                ["_history", version, ..] => format!("{kind}/{id}/_history/{version}"),
                _ => format!("{kind}/{id}"),
            })
        }
        _ => None,
    }
}
