//! The pages people see, one per file: plain HTML forms without script. Their words are in [`super::text`].

mod chooser;
mod consent;
mod continue_as;
mod headers;
mod login;
mod manage;
mod new_password;
mod onward;
mod problem;
mod second_factor;
mod sign_out;

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

use super::OauthState;

pub use chooser::{Candidate, Chooser, chooser};
pub use consent::{ConsentForm, Item, consent};
pub use continue_as::{ContinueAs, continue_as};
pub use headers::framed_by;
pub use login::{Again, Login, login};
pub use manage::{Access, Manage, Use, manage};
pub use new_password::{Unfit, new_password};
pub use onward::onward;
pub use problem::{Problem, problem};
pub use second_factor::{Enrol, enrol, recovery_codes, second_factor};
pub use sign_out::{Farewell, farewell, sign_out};

/// What the pages need beside themselves.
pub fn routes() -> Router<OauthState> {
    Router::new().route("/login.css", get(style))
}

/// `GET /login.css`.
async fn style() -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "public, max-age=3600")];
    (headers, include_str!("login.css"))
}
