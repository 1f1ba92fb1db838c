//! Search parameters of packages, and the index made anew for them.

use std::fs;
use std::sync::Arc;

use serde_json::json;
use sofa::clock::SystemClock;
use sofa::interaction::search::reindex::{reindex, waiting};

use crate::support::server::TestServer;
use crate::support::session::Session;

/// A package with one search parameter: patients by the colour in an extension.
fn package() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let manifest = json!({"name": "test.colour", "version": "1.0.0", "fhirVersions": ["4.0.1"], "dependencies": {}});
    fs::write(folder.path().join("package.json"), manifest.to_string()).unwrap();
    let parameter = json!({
        "resourceType": "SearchParameter", "id": "colour", "url": "http://example.org/SearchParameter/colour",
        "name": "colour", "status": "active", "description": "by colour", "code": "colour", "base": ["Patient"],
        "type": "string", "expression": "Patient.extension.where(url = 'http://example.org/colour').value.ofType(string)"
    });
    fs::write(folder.path().join("SearchParameter-colour.json"), parameter.to_string()).unwrap();
    folder
}

fn names(bundle: &serde_json::Value) -> usize {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    entries.iter().filter(|entry| entry["search"]["mode"] == "match").count()
}

#[tokio::test]
async fn a_new_parameter_finds_old_resources_once_the_index_was_made_anew() {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    let red = json!({"resourceType": "Patient", "name": [{"family": "A"}],
        "extension": [{"url": "http://example.org/colour", "valueString": "Red"}]});
    for _ in 0..3 {
        service.post("Patient", &red).await.expect(201);
    }
    let strict = [("prefer", "handling=strict")];
    service.send("GET", "Patient?colour=red", &strict, None).await.expect(400);
    assert!(
        waiting(&server.engine.pool, &server.engine.parameters)
            .await
            .unwrap()
            .iter()
            .any(|name| name == "Patient.name")
    );

    let folder = package();
    let config = format!("[validation]\npackages = [{:?}]", folder.path().display().to_string());
    let (fhir, engine) = server.replica_engine(&config).await;
    let session = Session { fhir, ..service.clone() };
    assert_eq!(names(&session.get("Patient?colour=red").await.expect(200).json()), 0);
    let clock = Arc::new(SystemClock) as sofa::clock::SharedClock;
    let mut told = Vec::new();
    let done =
        reindex(&server.engine.pool, &clock, &engine.parameters, &engine.base, |progress| told.push(progress.left))
            .await;
    assert_eq!((done.unwrap(), told.first(), told.last()), (3, Some(&3), Some(&0)));
    assert_eq!(names(&session.get("Patient?colour=red").await.expect(200).json()), 3);
    assert_eq!(names(&session.get("Patient?colour:exact=Red&name=a&_sort=colour").await.expect(200).json()), 3);
    assert_eq!(waiting(&server.engine.pool, &engine.parameters).await.unwrap(), Vec::<String>::new());
    // The other replica still knows nothing of it.
    service.send("GET", "Patient?colour=red", &strict, None).await.expect(400);
}
