//! The sample SMART app: static pages on an origin of their own, with `fhirclient` in the browser. Nothing happens here.
//!
//! | Route | What |
//! |---|---|
//! | `GET /launch.html` | the launch address: `iss` and `launch` come in the query; discovery, PKCE, off to the SoFA |
//! | `GET /` | the redirect address: code for token, the patient, a heart rate to write |
//! | `GET /app.json` | the app's client id |

use axum::response::Html;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use super::pages::{css, guarded, origin, script};

/// What the sample app asks for (SMART v2 scopes).
pub const SCOPE: &str = "launch openid fhirUser patient/Patient.r patient/Encounter.r patient/Observation.cruds";

/// The sample app's routes. `fhir` is the SoFA's FHIR base, the only address its pages may call.
pub fn router(client_id: String, fhir: &str) -> Router {
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' {}; img-src data:; base-uri 'none'; \
         frame-ancestors 'none'; form-action 'none'",
        origin(fhir)
    );
    let pages = Router::new()
        .route("/", get(async || Html(include_str!("assets/app.html"))))
        .route("/launch.html", get(async || Html(include_str!("assets/launch.html"))))
        .route("/app.js", get(async || script(include_str!("assets/app.js"))))
        .route("/launch.js", get(async || script(include_str!("assets/launch.js"))))
        .route("/style.css", get(async || css(include_str!("assets/style.css"))))
        .route("/fhirclient.js", get(async || script(include_str!("assets/fhirclient/fhir-client.pure.min.js"))))
        .route("/app.json", get(async move || Json(json!({ "clientId": client_id, "scope": SCOPE }))));
    guarded(pages, policy)
}
