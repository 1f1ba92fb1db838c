//! The user's own record: whoever is told `fhirUser` can read what it names, and nothing more by it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::fixtures::{SetContext, observation, patient};
use crate::set_context::stage;
use crate::standalone::{REGISTERED, Way, is_resource};
use crate::support::app::Launched;
use crate::support::server::TestServer;
use crate::support::session::Session;

fn practitioner(family: &str) -> Value {
    json!({"resourceType": "Practitioner", "name": [{"family": family}]})
}

/// `Practitioner/id` of a new shared one.
async fn shared(service: &Session, family: &str) -> String {
    format!("Practitioner/{}", service.post("Practitioner", &practitioner(family)).await.expect(201).id())
}

/// The claims of the ID token.
fn claims(launched: &Launched) -> Value {
    let token = launched.tokens["id_token"].as_str().expect("an ID token");
    let claims = token.split('.').nth(1).expect("claims");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64url")).expect("JSON")
}

/// A user linked with this resource, in a launch of the PoC that names nobody.
async fn launched(server: &TestServer, reference: &str, scope: &str) -> (Launched, String) {
    let (poc, _receiver) = server.subscribed_poc("poc", 7).await;
    server.user("julie", 7).await;
    is_resource(server, "julie", reference).await;
    let launch = poc.launch(&SetContext::patient("Smith").build()).await;
    let app = server.app("app").await.launch_with(&launch.id, "julie", scope).await.expect("a launch");
    (app, launch.first("Patient").to_owned())
}

#[tokio::test]
async fn a_user_known_by_the_account_can_read_what_the_claim_names() {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    let (own, other) = (shared(&service, "Jones").await, shared(&service, "Other").await);
    let (app, jane) = launched(&server, &own, "launch openid fhirUser patient/Observation.rs").await;
    let claim = claims(&app)["fhirUser"].as_str().expect("the claim").to_owned();
    assert_eq!(claim, format!("{}/{own}", server.fhir));
    app.get(&claim).await.expect(200);
    app.get(&format!("{own}/_history/1")).await.expect(200);
    app.get(&format!("{own}/_history")).await.expect(200);
    app.get(&other).await.expect(403);
    app.get(&jane).await.expect(403);
    app.get("Practitioner").await.expect(403);
    let mut changed = practitioner("Changed");
    changed["id"] = json!(own.split_once('/').unwrap().1);
    app.put(&own, &changed).await.expect(403);
    app.delete(&own).await.expect(403);
}

#[tokio::test]
async fn without_the_scope_nothing_is_claimed_and_nothing_is_read() {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    let own = shared(&service, "Jones").await;
    let (app, _) = launched(&server, &own, "launch openid patient/Observation.rs").await;
    assert!(claims(&app).get("fhirUser").is_none(), "{}", claims(&app));
    app.get(&own).await.expect(403);
    let userinfo = server.http.get(format!("{}/userinfo", server.url)).bearer_auth(app.token.as_ref().unwrap());
    let told: Value = userinfo.send().await.unwrap().json().await.unwrap();
    assert!(told["sub"].is_string() && told.get("fhirUser").is_none(), "{told}");
}

#[tokio::test]
async fn the_walls_stand_before_the_own_record_too() {
    let server = TestServer::start().await;
    let (foreign, _receiver) = server.subscribed_poc("foreign", 8).await;
    let jones = practitioner("Jones");
    let held = foreign.launch(&SetContext::patient("Far").entry("urn:uuid:j", &jones).build()).await;
    let own = held.first("Practitioner");
    // An account may be linked with what its bearer cannot see: the link opens nothing.
    let (app, _) = launched(&server, own, "launch openid fhirUser patient/Observation.rs").await;
    app.get(own).await.expect(404);
}

#[tokio::test]
async fn outside_a_launch_the_own_record_can_be_read_as_well() {
    let server = TestServer::start().await;
    let service = server.service("service").await;
    let own = service.post("Patient", &patient("Own")).await.expect(201).id();
    let other = service.post("Patient", &patient("Other")).await.expect(201).id();
    server.user("jane", 0).await;
    is_resource(&server, "jane", &format!("Patient/{own}")).await;
    let standing = server.app_with_scope("standing", REGISTERED).await;
    let way = Way::begin(&server, &standing, "jane", "launch/patient patient/Observation.rs openid fhirUser").await;
    let app = way.tokens().await;
    let claim = claims(&app)["fhirUser"].as_str().expect("the claim").to_owned();
    assert_eq!(claim, format!("{}/Patient/{own}", server.fhir));
    app.get(&claim).await.expect(200);
    app.get(&format!("Patient/{other}")).await.expect(403);
    app.get("Patient").await.expect(403);
}

/// A point-of-care system whose user has signed in with it: the one who acts is known, and so may not be said to be
/// somebody else.
#[tokio::test]
async fn nobody_is_presented_to_an_app_as_somebody_else() {
    let (server, poc, _receiver) = stage().await;
    let julie = server.user_known_as("julie", 7, &[("urn:licence", "1")]).await;
    let app = server.app("app").await;
    for (number, is_julie) in [("1", true), ("2", false)] {
        let mut named = practitioner("Jones");
        named["identifier"] = json!([{"system": "urn:licence", "value": number}]);
        let input = SetContext::patient("Smith").reference("fhirUser", "urn:uuid:j").entry("urn:uuid:j", &named);
        let launch = poc.launch(&input.build()).await;
        // As for a call with the token of this user.
        let owned = sqlx::query("update context set owner_user = $1").bind(julie.id);
        owned.execute(&server.db.pool).await.unwrap();
        let launched = app.launch_with(&launch.id, "julie", "launch openid fhirUser patient/Observation.rs").await;
        match launched {
            Ok(launched) => {
                assert!(is_julie, "{}", claims(&launched));
                let written = observation(launch.first("Patient"), "80");
                launched.post("Observation", &written).await.expect(403);
            }
            Err(refused) => assert!(!is_julie && refused.code() == "access_denied", "{refused:?}"),
        }
    }
}
