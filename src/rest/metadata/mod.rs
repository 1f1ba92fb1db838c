//! `GET [base]/metadata`: the CapabilityStatement (FHIR R4 capabilitystatement.html), built once from the table of routes
//! and from what this program has.
//!
//! | `mode` | answer |
//! |---|---|
//! | none, `full`, `normative`, anything else | the whole statement |
//! | `terminology` | TerminologyCapabilities: this server has no terminology operations |

mod search;

use std::collections::BTreeMap;

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    RestState,
    error::RestError,
    extract::{Parameters, Query},
    reply,
    routes::{self, Claim},
    unchanged::unless_changed,
};
use crate::{
    access::audit::AUDIT_EVENT,
    config::{Config, UpdateCreate},
    fhir::{definition::types::R4, instant, types},
    interaction::{Engine, audit},
    subscription::topic,
};

const BACKPORT: &str = "http://hl7.org/fhir/uv/subscriptions-backport";

/// The two statements, as they are answered.
pub struct Metadata {
    capabilities: Statement,
    terminology: Statement,
}

struct Statement {
    /// JSON text, shared by all answers.
    text: Bytes,
    /// Of the content without its date: it changes when the program or its configuration does, not with a restart.
    tag: HeaderValue,
}

/// Answers with a statement; 304 with `If-None-Match`.
pub async fn get(
    State(state): State<RestState>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
) -> Result<Response, RestError> {
    let terminology = query.iter().any(|(name, value)| name == "mode" && value == "terminology");
    let metadata = &state.metadata;
    let statement = if terminology { &metadata.terminology } else { &metadata.capabilities };
    let mut response = reply::json(StatusCode::OK, statement.text.clone());
    response.headers_mut().insert(header::ETAG, statement.tag.clone());
    // Anyone may keep it, if they ask whether it still holds.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(unless_changed(&headers, response))
}

impl Metadata {
    /// Builds both from the routes, the configuration and the loaded packages.
    pub fn build(engine: &Engine) -> Self {
        let date = instant::format(engine.now());
        Self {
            capabilities: Statement::dated(capabilities(engine), &date),
            terminology: Statement::dated(terminology(engine), &date),
        }
    }
}

impl Statement {
    fn dated(mut content: Value, date: &str) -> Self {
        let digest = Sha256::digest(content.to_string());
        let digest: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        content["date"] = json!(date);
        let tag = HeaderValue::try_from(format!("W/\"{digest}\"")).unwrap_or(HeaderValue::from_static("W/\"0\""));
        Self { text: content.to_string().into(), tag }
    }
}

fn terminology(engine: &Engine) -> Value {
    json!({
        "resourceType": "TerminologyCapabilities",
        "status": "active",
        "kind": "instance",
        "software": software(),
        "implementation": {"description": "SMART on FHIR Accelerator", "url": engine.base},
    })
}

fn software() -> Value {
    json!({"name": "sofa", "version": env!("CARGO_PKG_VERSION")})
}

fn capabilities(engine: &Engine) -> Value {
    let claims = routes::claims();
    let patch_formats = all(&claims, |claim| match claim {
        Claim::PatchFormat(format) => Some(json!(format)),
        _ => None,
    });
    let mut statement = json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "kind": "instance",
        "instantiates": [format!("{BACKPORT}/CapabilityStatement/backport-subscription-server-r4")],
        "software": software(),
        "implementation": {"description": "SMART on FHIR Accelerator", "url": engine.base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "application/fhir+xml", "json", "xml"],
        "implementationGuide": ["http://hl7.org/fhir/smart-app-launch/ImplementationGuide/hl7.fhir.uv.smart-app-launch"],
        "rest": [rest(engine, &claims)],
    });
    put(&mut statement, "patchFormat", patch_formats);
    statement
}

fn rest(engine: &Engine, claims: &[Claim]) -> Value {
    let mut rest = json!({"mode": "server", "security": security(&engine.config)});
    let including = search::reverse_includes(&engine.parameters);
    rest["resource"] = types::resource_types().map(|kind| resource(engine, kind, claims, &including)).collect();
    let interactions = all(claims, |claim| match claim {
        Claim::System(code) => Some(json!({"code": code})),
        _ => None,
    });
    put(&mut rest, "interaction", interactions);
    if claims.contains(&Claim::System("search-system")) {
        put(&mut rest, "searchParam", search::parameters(engine.parameters.common()));
    }
    let operations = all(claims, |claim| match claim {
        Claim::SystemOperation(name, definition) => Some(operation(name, definition)),
        _ => None,
    });
    put(&mut rest, "operation", operations);
    let compartments = all(claims, |claim| match claim {
        Claim::Compartment(definition) => Some(json!(definition)),
        _ => None,
    });
    put(&mut rest, "compartment", compartments);
    rest
}

fn security(config: &Config) -> Value {
    let public = &config.server.public_url;
    let endpoint = |name: &str, path: &str| json!({"url": name, "valueUri": format!("{public}{path}")});
    let mut oauth = json!({
        "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
        "extension": [
            endpoint("authorize", "/authorize"),
            endpoint("token", "/token"),
            endpoint("introspect", "/introspect"),
            endpoint("revoke", "/revoke"),
            endpoint("manage", "/manage"),
        ],
    });
    if config.registry.dynamic
        && let Some(endpoints) = oauth["extension"].as_array_mut()
    {
        endpoints.push(endpoint("register", "/register"));
    }
    let service = json!({
        "coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
            "code": "SMART-on-FHIR",
        }],
        "text": "OAuth2 using the SMART App Launch profile (see http://hl7.org/fhir/smart-app-launch)",
    });
    json!({"extension": [oauth], "cors": true, "service": [service]})
}

/// AuditEvents: what the audit trail's own routes offer.
fn audit_events(engine: &Engine) -> Value {
    let own = engine.parameters.of(AUDIT_EVENT).filter(|parameter| audit::PARAMETERS.contains(&&*parameter.code));
    json!({
        "type": AUDIT_EVENT,
        "documentation": "for auditors, with a scope that names AuditEvent; written by this server alone",
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "versioning": "no-version",
        "readHistory": false,
        "updateCreate": false,
        "searchParam": search::parameters(own),
        "operation": [operation("validate", "http://hl7.org/fhir/OperationDefinition/Resource-validate")],
    })
}

fn resource(engine: &Engine, kind: &str, claims: &[Claim], including: &BTreeMap<&str, Vec<Value>>) -> Value {
    if kind == AUDIT_EVENT {
        return audit_events(engine);
    }
    let mut resource = json!({"type": kind});
    if kind == "Subscription" {
        put(&mut resource, "extension", topics());
    }
    put(&mut resource, "supportedProfile", profiles(engine, kind).into_iter().map(Value::from).collect());
    let interactions = all(claims, |claim| match claim {
        Claim::Type(code) => Some(json!({"code": code})),
        _ => None,
    });
    put(&mut resource, "interaction", interactions);
    resource["versioning"] = json!("versioned");
    resource["readHistory"] = json!(claims.contains(&Claim::Type("vread")));
    // A Subscription is made by a handshake: never under a chosen id, never found instead.
    let is_subscription = kind == "Subscription";
    resource["updateCreate"] = json!(engine.config.fhir.update_create != UpdateCreate::Off && !is_subscription);
    for claim in claims {
        match *claim {
            Claim::Flag("conditionalCreate") => resource["conditionalCreate"] = json!(!is_subscription),
            Claim::Flag(name) => resource[name] = json!(true),
            Claim::Code(name, code) => resource[name] = json!(code),
            _ => {}
        }
    }
    resource["referencePolicy"] = json!(["literal", "logical"]);
    if claims.contains(&Claim::Type("search-type")) {
        put(&mut resource, "searchInclude", search::includes(&engine.parameters, kind));
        let including = including.get(kind).cloned().unwrap_or_default();
        put(&mut resource, "searchParam", search::of_type(&engine.parameters, kind, &including));
        put(&mut resource, "searchRevInclude", including);
    }
    let operations = all(claims, |claim| match *claim {
        Claim::Operation(name, definition) => Some(operation(name, definition)),
        Claim::OperationOf(of, name, definition) if of == kind => Some(operation(name, definition)),
        _ => None,
    });
    put(&mut resource, "operation", operations);
    resource
}

fn operation(name: &str, definition: &str) -> Value {
    json!({"name": name, "definition": definition})
}

/// What `tell` makes of the claims.
fn all(claims: &[Claim], tell: impl Fn(&Claim) -> Option<Value>) -> Vec<Value> {
    claims.iter().filter_map(tell).collect()
}

/// Adds a list, unless it is empty: FHIR has no empty lists.
fn put(to: &mut Value, name: &str, list: Vec<Value>) {
    if !list.is_empty() {
        to[name] = Value::Array(list);
    }
}

fn topics() -> Vec<Value> {
    let url = format!("{BACKPORT}/StructureDefinition/capabilitystatement-subscriptiontopic-canonical");
    topic::all().iter().map(|topic| json!({"url": url, "valueCanonical": topic.url})).collect()
}

/// The loaded profiles on a type: those of packages, R4's own aside.
fn profiles(engine: &Engine, kind: &str) -> Vec<String> {
    let backport = format!("{BACKPORT}/StructureDefinition/backport-subscription");
    let structures = engine.validator.registry().structures();
    let own = structures.filter(|one| one.is_constraint && one.type_name == kind && !one.url.starts_with(R4));
    let mut profiles: Vec<_> = own.map(|one| one.url.to_string()).filter(|url| *url != backport).collect();
    if kind == "Subscription" {
        profiles.push(backport);
    }
    profiles
}
