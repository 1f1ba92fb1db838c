//! `/demo.json`: everything an outside tool needs to play any part in the demonstration.

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::credentials::Credentials;
use super::register::{APPS, POC, REDIRECT, SERVICE, people};
use crate::smart::client::LOOPBACK_PATTERNS;

/// Where the demonstration's parts are.
pub struct Addresses {
    /// The SoFA: the issuer.
    pub issuer: String,
    /// The simulated PoC.
    pub poc: String,
    /// The sample app.
    pub app: String,
}

/// The document: `fhir`, `issuer`, `poc`, `service`, `apps`, `users` and `pages`.
pub fn document(addresses: &Addresses, credentials: &Credentials) -> Result<Value> {
    let mut apps = Map::new();
    for (kind, client_id) in APPS {
        let mut app = json!({
            "client_id": client_id,
            "redirect_uris": [REDIRECT, LOOPBACK_PATTERNS[0], LOOPBACK_PATTERNS[1]]
        });
        match kind {
            "basic" => app["client_secret"] = credentials.app_secret.as_str().into(),
            "es384" => app["private_jwk"] = credentials.app_es384.private_jwk()?,
            "rs384" => app["private_jwk"] = credentials.app_rs384.private_jwk()?,
            _ => {}
        }
        apps.insert(kind.to_owned(), app);
    }
    let fhir = format!("{}/fhir", addresses.issuer);
    let users: Vec<_> = people(credentials)
        .iter()
        .map(|person| {
            json!({
                "name": person.name,
                "password": person.password,
                "fhirUser": format!("{fhir}/{}", person.fhir_user),
                "identifier": { "system": person.identifier.0, "value": person.identifier.1 }
            })
        })
        .collect();
    Ok(json!({
        "fhir": fhir,
        "issuer": addresses.issuer,
        "poc": { "client_id": POC, "private_jwk": credentials.poc.private_jwk()? },
        "service": { "client_id": SERVICE, "private_jwk": credentials.service.private_jwk()? },
        "apps": apps,
        "users": users,
        "pages": { "poc": format!("{}/", addresses.poc), "app": format!("{}/launch.html", addresses.app) }
    }))
}
