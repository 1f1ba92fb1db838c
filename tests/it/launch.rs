//! Launches that `$set-context` made: what the token response says, who may own one, for how long it may begin.

use crate::fixtures::{self, SetContext, halo_sample, patient};
use crate::set_context::stage;
use crate::support::server::{Options, TestServer};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

#[tokio::test]
async fn the_launch_carries_the_values_of_the_call_as_smart_writes_them() {
    let (server, poc, _receiver) = stage().await;
    server.user_known_as("julie", 7, &[fixtures::JULIE]).await;
    let launch = poc.launch(&halo_sample()).await;
    let app = server.app("app").await.launch(&launch.id, "julie").await;
    let bare = |reference: &str| reference.split('/').next_back().unwrap().to_owned();
    assert_eq!(app.tokens["patient"], bare(launch.first("Patient")));
    assert_eq!(app.tokens["encounter"], bare(launch.first("Encounter")));
    let context =
        [launch.first("Organization"), launch.first("Location")].map(|reference| json!({"reference": reference}));
    assert_eq!(app.tokens["fhirContext"], json!(context));
    assert_eq!(app.tokens["need_patient_banner"], json!(true));
    assert_eq!(app.tokens["intent"], "reconcile-medications");
    assert_eq!(app.tokens["smart_style_url"], "https://poc.example.org/style/v1.json");
    assert_eq!(app.tokens["tenant"], "clinic-7");
    assert!(app.tokens.get("fhirUser").is_none(), "fhirUser is a claim of the ID token only: {}", app.tokens);
    assert!(app.tokens.get("appID").is_none(), "{}", app.tokens);
}

#[tokio::test]
async fn a_launch_that_names_a_user_admits_nobody_else() {
    let (server, poc, _receiver) = stage().await;
    server.user("mallory", 7).await;
    server.user_known_as("julie", 7, &[fixtures::JULIE]).await;
    let launch = poc.launch(&halo_sample()).await;
    let app = server.app("app").await;
    let refused = app.launch_with(&launch.id, "mallory", "launch patient/*.rs").await;
    assert_eq!(refused.err().expect("a refusal").code(), "access_denied");
    app.launch(&launch.id, "julie").await;
}

#[tokio::test]
async fn a_launch_that_names_nobody_belongs_to_the_first_who_completes_it() {
    let (server, poc, _receiver) = stage().await;
    server.user("first", 7).await;
    server.user("second", 7).await;
    server.user("foreigner", 8).await;
    let launch = poc.launch(&SetContext::patient("Smith").build()).await;
    let app = server.app("app").await;
    let foreigner = app.launch_with(&launch.id, "foreigner", "launch patient/*.rs").await;
    assert_eq!(foreigner.err().expect("a refusal").code(), "access_denied");
    app.launch(&launch.id, "first").await;
    let second = app.launch_with(&launch.id, "second", "launch patient/*.rs").await;
    assert_eq!(second.err().expect("a refusal").code(), "access_denied");
    app.launch(&launch.id, "first").await;
}

#[tokio::test]
async fn a_strict_server_admits_nobody_to_a_launch_that_names_nobody() {
    let server = TestServer::configured("[context]\nowner = \"strict\"").await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    server.user("somebody", 7).await;
    let launch = poc.launch(&SetContext::patient("Smith").build()).await;
    let refused = server.app("app").await.launch_with(&launch.id, "somebody", "launch patient/*.rs").await;
    assert_eq!(refused.err().expect("a refusal").code(), "access_denied");
}

#[tokio::test]
async fn only_the_named_app_may_use_a_launch() {
    let (server, poc, _receiver) = stage().await;
    server.user("user", 7).await;
    let (named, other) = (server.app("named").await, server.app("other").await);
    let app_id = json!({"name": "appID", "valueString": "named"});
    let launch = poc.launch(&SetContext::patient("Smith").parameter(app_id).build()).await;
    let refused = other.launch_with(&launch.id, "user", "launch patient/*.rs").await;
    assert_eq!(refused.err().expect("a refusal").code(), "access_denied");
    named.launch(&launch.id, "user").await;
}

#[tokio::test]
async fn a_launch_begins_within_its_window_only() {
    let server = TestServer::with(Options {
        manual_clock: true,
        config: "[context]\nlaunch_window = \"15m\"",
        ..Options::default()
    })
    .await;
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    server.user("user", 7).await;
    let app = server.app("app").await;
    let launch = poc.launch(&SetContext::patient("Smith").build()).await;
    server.advance(std::time::Duration::from_secs(14 * 60));
    let launched = app.launch(&launch.id, "user").await;
    server.advance(std::time::Duration::from_secs(2 * 60));
    let late = app.launch_with(&launch.id, "user", "launch patient/*.rs").await;
    assert_ne!(late.err().expect("a refusal").code(), "");
    let patient = format!("Patient/{}", launched.patient());
    launched.get(&patient).await.expect(200);
}

#[tokio::test]
async fn the_id_token_names_the_launching_user_and_the_app_may_read_that_record() {
    let (server, poc, _receiver) = stage().await;
    server.user_known_as("julie", 7, &[fixtures::JULIE]).await;
    let launch = poc.launch(&halo_sample()).await;
    let scope = "launch openid fhirUser patient/Observation.r";
    let app = server.app("app").await.launch_with(&launch.id, "julie", scope).await.expect("a launch");
    let claims = app.tokens["id_token"].as_str().expect("an ID token").split('.').nth(1).expect("claims");
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64url")).expect("JSON");
    let expected = format!("{}/{}", server.fhir, launch.first("Practitioner"));
    assert_eq!(claims["fhirUser"], expected, "the Practitioner behind the PractitionerRole");
    app.get(&expected).await.expect(200);
    app.get(launch.first("Organization")).await.expect(403);
}

#[tokio::test]
async fn an_encounter_alone_or_a_context_alone_makes_a_launch() {
    let (server, poc, _receiver) = stage().await;
    server.user("user", 7).await;
    let app = server.app("app").await;
    let organization = json!({"resourceType": "Organization", "name": "Clinic"});
    let input = SetContext::default().reference("fhirContext", "urn:uuid:o").entry("urn:uuid:o", &organization);
    let launch = poc.launch(&input.build()).await;
    let launched = app.launch_with(&launch.id, "user", "launch user/Organization.rs").await.expect("a launch");
    assert_eq!(launched.tokens["fhirContext"], json!([{"reference": launch.first("Organization")}]));
    assert!(launched.tokens.get("patient").is_none(), "{}", launched.tokens);
    launched.get(launch.first("Organization")).await.expect(200);
    let only_resources = SetContext::default().entry("urn:uuid:o", &organization);
    poc.launch(&only_resources.build()).await;
}

#[tokio::test]
async fn without_a_patient_in_context_no_patient_scope_works() {
    let (server, poc, _receiver) = stage().await;
    server.user("user", 7).await;
    let input = SetContext::default().entry("urn:uuid:p", &patient("Smith")).build();
    let launch = poc.launch(&input).await;
    let app = server.app("app").await;
    // Refused, or granted without it: never a patient scope that reaches somebody.
    if let Ok(launched) = app.launch_with(&launch.id, "user", "launch patient/*.cruds user/Organization.r").await {
        let granted = launched.tokens["scope"].as_str().expect("a scope").to_owned();
        let read = launched.get(launch.first("Patient")).await;
        assert!(matches!(read.status, 403 | 404), "{granted}: {}", read.status);
    }
}
