//! The PoC's own HTTP server: the receiver of notifications, and the page with the chart.
//!
//! | Route | For | What |
//! |---|---|---|
//! | `POST /notifications` | the SoFA | 200 taken, 422 refused, 401 without the Subscription's header |
//! | `GET /` | the person | the chart |
//! | `GET /state`, `GET /events` | the page | what is known; what happens from now on (Server-Sent Events) |
//! | `POST /launch` | the person | `$set-context`, then 303 to the app's launch address |
//! | `POST /clear`, `POST /refuse` | the page | `$clear-context` for every open launch; refuse the next notification or not |
//! | `GET /demo.json` | outside tools | addresses and credentials of everything in this demonstration |

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::BroadcastStream;

use super::http::bearer;
use super::pages::{css, guarded, script};
use super::poc::Poc;
use super::sample;
use crate::secret::same_bytes;

/// What the PoC's pages need.
#[derive(Clone)]
pub struct Pages {
    /// The PoC.
    pub poc: Arc<Poc>,
    /// The sample app's launch address.
    pub app_launch: String,
    /// The sample app's client id.
    pub app_client: String,
    /// `/demo.json`.
    pub document: Arc<Value>,
    /// Name and password to sign in with, for the hint on the page.
    pub user: (String, String),
}

/// The PoC's routes.
pub fn router(pages: Pages) -> Router {
    // Chromium applies form-action to the redirects that follow: the app's origin, to which a launch leads.
    let app_origin = super::pages::origin(&pages.app_launch);
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
         frame-ancestors 'none'; form-action 'self' {app_origin}"
    );
    let for_people = Router::new()
        .route("/", get(async || Html(include_str!("assets/poc.html"))))
        .route("/poc.js", get(async || script(include_str!("assets/poc.js"))))
        .route("/style.css", get(async || css(include_str!("assets/style.css"))))
        .route("/state", get(state))
        .route("/events", get(events))
        .route("/launch", post(launch))
        .route("/clear", post(clear))
        .route("/refuse", post(refuse))
        .layer(middleware::from_fn(own_pages_only));
    Router::new()
        .route("/notifications", post(receive))
        .route("/demo.json", get(async |State(pages): State<Pages>| Json(pages.document.as_ref().clone())))
        .merge(guarded(for_people, policy))
        .with_state(pages)
}

/// Another site open in the same browser must not press the buttons of this page.
async fn own_pages_only(request: Request, next: Next) -> Response {
    let from = request.headers().get("sec-fetch-site").and_then(|value| value.to_str().ok());
    if request.method() == "POST" && !matches!(from, None | Some("same-origin")) {
        return StatusCode::FORBIDDEN.into_response();
    }
    next.run(request).await
}

async fn receive(State(pages): State<Pages>, headers: HeaderMap, body: Bytes) -> Response {
    let given = headers.get(header::AUTHORIZATION).map_or(&[][..], |value| value.as_bytes());
    if !same_bytes(given, bearer(&pages.poc.identity().receiver_secret).as_bytes()) {
        return (StatusCode::UNAUTHORIZED, outcome("login", "not a notification of our Subscription")).into_response();
    }
    let taken = serde_json::from_slice(&body).map_err(Into::into).and_then(|bundle| pages.poc.receive(bundle));
    match taken {
        Ok(true) => StatusCode::OK.into_response(),
        Ok(false) => {
            let text = "The clinic's system does not take this change (the demonstration was told to refuse it)";
            (StatusCode::UNPROCESSABLE_ENTITY, outcome("business-rule", text)).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, outcome("structure", &format!("{error:#}"))).into_response(),
    }
}

fn outcome(code: &str, text: &str) -> Response {
    let body = json!({
        "resourceType": "OperationOutcome",
        "issue": [{ "severity": "error", "code": code, "diagnostics": text }]
    });
    ([(header::CONTENT_TYPE, super::http::FHIR_JSON)], body.to_string()).into_response()
}

async fn state(State(pages): State<Pages>) -> Response {
    let chart = ["Patient", "Encounter", "Practitioner", "Organization", "Location"].map(|resource_type| {
        let resource = sample::resource(resource_type).unwrap_or_default();
        (resource_type.to_owned(), resource)
    });
    Json(json!({
        "chart": chart.into_iter().collect::<serde_json::Map<_, _>>(),
        "notifications": pages.poc.notifications().iter().map(super::poc::Notification::shown).collect::<Vec<_>>(),
        "open": pages.poc.open_launches(),
        "refuse": pages.poc.refuses_next(),
        "user": { "name": pages.user.0, "password": pages.user.1 },
        "fhir": pages.poc.identity().fhir,
    }))
    .into_response()
}

async fn events(State(pages): State<Pages>) -> Sse<impl tokio_stream::Stream<Item = Result<Event, Infallible>>> {
    // A page that was too slow and missed some loads /state again: EventSource reconnects when the stream ends.
    let events = BroadcastStream::new(pages.poc.feed()).map_while(Result::ok);
    Sse::new(events.map(|text| Ok(Event::default().data(text)))).keep_alive(KeepAlive::default())
}

async fn launch(State(pages): State<Pages>) -> Response {
    match pages.poc.set_context(Some(&pages.app_client)).await {
        Ok(launch) => {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("iss", &pages.poc.identity().fhir)
                .append_pair("launch", &launch.id)
                .finish();
            Redirect::to(&format!("{}?{query}", pages.app_launch)).into_response()
        }
        Err(error) => failed(&error),
    }
}

async fn clear(State(pages): State<Pages>) -> Response {
    match pages.poc.clear_all().await {
        Ok(cleared) => Json(json!({ "cleared": cleared })).into_response(),
        Err(error) => failed(&error),
    }
}

/// The body of `POST /refuse`.
#[derive(Deserialize)]
struct Refuse {
    on: bool,
}

async fn refuse(State(pages): State<Pages>, Form(asked): Form<Refuse>) -> StatusCode {
    pages.poc.refuse_next(asked.on);
    StatusCode::NO_CONTENT
}

fn failed(error: &anyhow::Error) -> Response {
    (StatusCode::BAD_GATEWAY, format!("The SoFA did not do it.\n\n{error:#}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tower::ServiceExt as _;

    use super::super::http::Http;
    use super::super::keys::ClientKey;
    use super::super::poc::Identity;
    use super::*;
    use crate::clock::SystemClock;

    fn pages() -> Pages {
        let identity = Identity {
            fhir: "http://127.0.0.1:1/fhir".to_owned(),
            client_id: "poc".to_owned(),
            key: ClientKey::es384().unwrap(),
            own_url: "http://127.0.0.1:2".to_owned(),
            receiver_secret: "secret".to_owned(),
        };
        Pages {
            poc: Poc::new(identity, Http::new(false).unwrap(), Arc::new(SystemClock)),
            app_launch: "http://127.0.0.1:3/launch.html".to_owned(),
            app_client: "app".to_owned(),
            document: Arc::new(json!({})),
            user: ("julie".to_owned(), "password".to_owned()),
        }
    }

    fn notification(number: u64, rate: u64) -> Value {
        json!({
            "resourceType": "Bundle",
            "type": "history",
            "entry": [
                { "resource": { "resourceType": "Parameters", "parameter": [
                    { "name": "type", "valueCode": "event-notification" },
                    { "name": "notification-event", "part": [
                        { "name": "event-number", "valueString": number.to_string() }
                    ] }
                ] } },
                { "resource": {
                    "resourceType": "Observation", "id": format!("o{number}"), "meta": { "versionId": "1" },
                    "code": { "text": "Heart rate" }, "effectiveDateTime": "2026-03-02T09:40:00-05:00",
                    "valueQuantity": { "value": rate, "unit": "beats/minute" }
                } }
            ]
        })
    }

    async fn post(pages: &Pages, path: &str, header: (&str, &str), body: String) -> StatusCode {
        let request = Request::post(path).header(header.0, header.1);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(Body::from(body));
        router(pages.clone()).oneshot(request.unwrap()).await.unwrap().status()
    }

    #[tokio::test]
    async fn the_receiver_takes_refuses_once_and_knows_its_subscription() {
        let pages = pages();
        let own = ("authorization", "Bearer secret");
        let send = async |header, body: Value| post(&pages, "/notifications", header, body.to_string()).await;
        assert_eq!(send(("authorization", "Bearer other"), notification(1, 70)).await, 401);
        assert_eq!(send(own, json!({ "entry": [] })).await, 400);
        assert_eq!(send(own, notification(1, 70)).await, 200);
        assert_eq!(post(&pages, "/refuse", ("sec-fetch-site", "same-origin"), "on=true".to_owned()).await, 204);
        assert_eq!(send(own, notification(2, 300)).await, 422);
        assert_eq!(send(own, notification(3, 71)).await, 200);
        assert_eq!(send(own, notification(3, 71)).await, 200, "sent again");
        let seen: Vec<_> = pages.poc.notifications().iter().map(|one| (one.numbers.clone(), one.accepted)).collect();
        assert_eq!(seen, [(vec![1], true), (vec![2], false), (vec![3], true)]);
    }

    #[tokio::test]
    async fn another_site_cannot_press_the_buttons() {
        let pages = pages();
        for path in ["/launch", "/clear", "/refuse"] {
            assert_eq!(post(&pages, path, ("sec-fetch-site", "cross-site"), "on=true".to_owned()).await, 403, "{path}");
        }
        assert!(!pages.poc.refuses_next());
    }
}
