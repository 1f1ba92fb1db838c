//! Authorization requests that a page of another site posts.
//!
//! Browsers send `Lax` cookies with no such post, so here nobody would be signed in, and a new browser cookie would make
//! the forms in the person's other tabs worthless. The request is kept, and the browser sent to take it up itself: that is
//! a navigation, and its cookies come along.
//!
//! | situation | answer |
//! |---|---|
//! | `POST /authorize` with `Sec-Fetch-Site: cross-site` and without our cookies | 303 to `GET /authorize?request_token=…` |
//! | that, once and within a minute | as if the parameters had come by `GET` |
//! | that, again or later | 400, a page |
//! | more of these from one address than sign-in forms may be opened | 429, a page |
//! | larger than any request that could be granted | 400, a page |
//!
//! The token names the parameters and nothing else: whoever has it could have sent them.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use time::Duration;

use super::OauthState;
use super::page::Problem;
use super::visitor::Visitor;
use crate::id::{random_token, token_digest};
use crate::store;
use crate::store::flow::{Form, Stage, Step};

/// The parameter that names a kept request.
pub const TOKEN: &str = "request_token";
/// The browser comes back at once.
const LIFE: Duration = Duration::minutes(1);
/// In bytes. All parameters of a good request together are shorter.
const LONGEST: usize = 16 * 1024;

/// Whether the browser may have held its cookies back.
pub fn is_from_elsewhere(headers: &HeaderMap, visitor: &Visitor) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") && visitor.cookies.browser_digest().is_none()
}

/// Keeps the parameters (a form's body) and sends the browser to take them up.
pub async fn keep(state: &OauthState, visitor: &Visitor, body: &[u8]) -> Result<Response, Problem> {
    let body = std::str::from_utf8(body).ok().filter(|body| body.len() <= LONGEST && !body.contains('\0'));
    let body = body.ok_or(Problem::Malformed)?;
    state.limits.sign_in(visitor.address).map_err(|_| Problem::TooMany)?;
    let token = random_token();
    let digest = token_digest(&token);
    let kept = async {
        let mut tx = store::begin(&state.engine.pool).await?;
        let stage = Stage { step: Step::Authorize, signed_in: None, choice: &Value::Null };
        // No browser is known yet: the token alone finds it.
        let form = Form { digest: &digest, browser_digest: &digest };
        store::flow::insert(&mut tx, form, stage, &Value::from(body), state.now() + LIFE).await?;
        tx.commit().await
    };
    kept.await.map_err(|error| unavailable(&error))?;
    let address = format!("{}/authorize?{TOKEN}={token}", state.public_url());
    let address = HeaderValue::from_str(&address).map_err(|_| Problem::Unavailable)?;
    let headers = [(header::LOCATION, address), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

/// The parameters that were kept, once.
pub async fn take(state: &OauthState, token: &str) -> Result<String, Problem> {
    let digest = token_digest(token);
    let taken = async {
        let mut tx = store::begin(&state.engine.pool).await?;
        let form = Form { digest: &digest, browser_digest: &digest };
        let found = store::flow::find(tx.conn(), form, Step::Authorize, state.now()).await?;
        let is_first = store::flow::end(&mut tx, &digest, Step::Authorize).await?;
        tx.commit().await?;
        Ok(found.filter(|_| is_first))
    };
    let waiting = taken.await.map_err(|error| unavailable(&error))?.ok_or(Problem::FormGone)?;
    waiting.parameters.as_str().map(str::to_owned).ok_or(Problem::FormGone)
}

fn unavailable(error: &store::Error) -> Problem {
    tracing::error!(%error, "a posted authorization request could not be kept or found");
    Problem::Unavailable
}
