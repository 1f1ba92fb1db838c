//! `GET [base]/metadata`: the CapabilityStatement, built from what this program has (FHIR R4 capabilitystatement.html).

use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::{Value, json};

use super::{RestState, reply};
use crate::{
    config::UpdateCreate,
    fhir::{HALO, definition::types::R4, instant, types},
    interaction::Engine,
    subscription::topic,
};

const BACKPORT: &str = "http://hl7.org/fhir/uv/subscriptions-backport";

/// Answers with the statement.
pub async fn get(State(state): State<RestState>) -> Response {
    reply::json(StatusCode::OK, state.metadata.to_string())
}

/// The statement as JSON text.
pub fn text(engine: &Engine) -> String {
    let base = &engine.base;
    let public = &engine.config.server.public_url;
    let endpoint = |name: &str, path: &str| json!({"url": name, "valueUri": format!("{public}{path}")});
    let oauth = json!({
        "url": "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris",
        "extension": [
            endpoint("authorize", "/authorize"),
            endpoint("token", "/token"),
            endpoint("introspect", "/introspect"),
            endpoint("revoke", "/revoke"),
        ],
    });
    let service = json!({
        "coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
            "code": "SMART-on-FHIR",
        }],
        "text": "OAuth2 using the SMART App Launch profile (see http://hl7.org/fhir/smart-app-launch)",
    });
    let statement = json!({
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": instant::format(engine.now()),
        "kind": "instance",
        "instantiates": [format!("{BACKPORT}/CapabilityStatement/backport-subscription-server-r4")],
        "software": {"name": "sofa", "version": env!("CARGO_PKG_VERSION")},
        "implementation": {"description": "SMART on FHIR Accelerator", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "application/fhir+xml", "json", "xml"],
        "implementationGuide": ["http://hl7.org/fhir/smart-app-launch/ImplementationGuide/hl7.fhir.uv.smart-app-launch"],
        "rest": [{
            "mode": "server",
            "security": {"extension": [oauth], "cors": true, "service": [service]},
            "resource": types::resource_types().map(|kind| resource(engine, kind)).collect::<Vec<_>>(),
            "interaction": [{"code": "transaction"}, {"code": "batch"}],
            "operation": [
                {"name": "set-context", "definition": format!("{HALO}/OperationDefinition/set-context")},
                {"name": "clear-context", "definition": format!("{HALO}/OperationDefinition/clear-context")},
            ],
        }],
    });
    statement.to_string()
}

fn resource(engine: &Engine, kind: &str) -> Value {
    let codes = ["read", "vread", "update", "delete", "history-instance", "create"];
    let mut resource = json!({
        "type": kind,
        "interaction": codes.map(|code| json!({"code": code})),
        "versioning": "versioned",
        "readHistory": true,
        "updateCreate": engine.config.fhir.update_create != UpdateCreate::Off && kind != "Subscription",
        "conditionalCreate": kind != "Subscription",
        "operation": [{"name": "validate", "definition": "http://hl7.org/fhir/OperationDefinition/Resource-validate"}],
    });
    let profiles = profiles(engine, kind);
    if !profiles.is_empty() {
        resource["supportedProfile"] = json!(profiles);
    }
    if kind == "Subscription" {
        resource["extension"] = topic::all()
            .iter()
            .map(|topic| {
                json!({
                    "url": format!("{BACKPORT}/StructureDefinition/capabilitystatement-subscriptiontopic-canonical"),
                    "valueCanonical": topic.url,
                })
            })
            .collect();
        let backport = format!("{BACKPORT}/StructureDefinition/backport-subscription");
        resource["supportedProfile"] = profiles.into_iter().chain([&*backport]).collect();
        resource["operation"] = json!([
            resource["operation"][0],
            {"name": "status", "definition": format!("{BACKPORT}/OperationDefinition/backport-subscription-status")},
            {"name": "events", "definition": format!("{BACKPORT}/OperationDefinition/backport-subscription-events")},
        ]);
    }
    resource
}

/// The loaded profiles on a type: those of packages, R4's own aside.
fn profiles<'e>(engine: &'e Engine, kind: &str) -> Vec<&'e str> {
    let structures = engine.validator.registry().structures();
    let own = structures.filter(|one| one.is_constraint && one.type_name == kind && !one.url.starts_with(R4));
    own.map(|one| &*one.url)
        .filter(|url| *url != format!("{BACKPORT}/StructureDefinition/backport-subscription"))
        .collect()
}
