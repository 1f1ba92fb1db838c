//! `POST /continue`: "continue as …?", for a launch that is nobody's yet.
//!
//! Without it, whoever is still signed in on a shared computer would own for good a launch that somebody else began, and
//! a mere link would make a person own a launch that a stranger prepared.
//!
//! | situation | answer |
//! |---|---|
//! | continue | the next page, or 303 to the app with its code |
//! | another person | the login form |
//! | cancelled | 303 to the app with `access_denied` |
//! | form too old, sent before, of another page, browser or session | 400, a page |

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;

use super::OauthState;
use super::flow::{self, Flow};
use super::form::Parameters;
use super::login;
use super::page::{self, ContinueAs, Problem};
use super::recipient::Refusal;
use super::visitor::Visitor;
use crate::store::flow::Step;

/// The route of this page's form.
pub fn routes() -> Router<OauthState> {
    Router::new().route("/continue", post(handler))
}

/// The page. `poc`: the name of the point-of-care system that made the launch.
pub fn page(visitor: &Visitor, flow: &Flow, poc: Option<&str>, token: &str) -> Response {
    let page = page::continue_as(&ContinueAs {
        language: visitor.language,
        client: &flow.recipient.shown_name(),
        redirect_uri: &flow.recipient.redirect_uri,
        request: token,
        person: &flow.signed_in.user.display_name,
        poc,
    });
    page::framed_by(page, &flow.recipient.frames)
}

/// `POST /continue`.
async fn handler(State(state): State<OauthState>, visitor: Visitor, body: Bytes) -> Response {
    let form = Parameters::parse(&body);
    let mut flow = match flow::take(&state, &visitor, &form, Step::Continue).await {
        Ok(flow) => flow,
        Err(problem) => return page::problem(visitor.language, problem),
    };
    match form.one("action").ok().flatten() {
        Some("continue") => {
            flow.progress.present = true;
            flow::go_on(&state, &visitor, flow).await
        }
        Some("other") => another_person(&state, &visitor, &flow).await,
        _ => flow::refuse(&state, &visitor, &flow, &Refusal::Cancelled).await,
    }
}

async fn another_person(state: &OauthState, visitor: &Visitor, flow: &Flow) -> Response {
    match flow::back_to_sign_in(state, flow).await {
        Ok(Some(token)) => {
            let form = Parameters::of_form(&token);
            match login::find_waiting(state, visitor, &form, Step::SignIn).await {
                Ok((waits, _)) => login::show(state, visitor, &waits, "", None),
                Err(problem) => page::problem(visitor.language, problem),
            }
        }
        Ok(None) => page::problem(visitor.language, Problem::FormGone),
        Err(error) => {
            tracing::error!(%error, "a form could not be taken back to the sign-in");
            page::problem(visitor.language, Problem::Unavailable)
        }
    }
}
