//! Federated sign-on: people sign in at an OpenID provider of their organisation (OpenID Connect Core 1.0, as its client).
//!
//! | what | where |
//! |---|---|
//! | which providers a sign-in form offers, `POST /login-with` | here |
//! | discovery, the authorization request, the code, the ID token | [`provider`] |
//! | `GET /callback-<id>` | [`callback`] |
//! | who that is here | [`person`] |
//! | signing out in both directions: `GET /signed-out`, `POST /backchannel-logout-<id>` | [`single_logout`] |
//!
//! Home realm: a form offers the providers of the organisation whose point-of-care system made the launch, without a launch
//! all; whoever types a name at one of a provider's `email_domains` is sent there. Where a provider is `exclusive`, its
//! organisations' people cannot sign in with a password, whatever form they find.
//!
//! What stands between a stranger and an account: `state` works once, in the browser that was sent, for the provider it was
//! sent to (mix-up); each provider has a callback of its own, and its `iss` is compared where it sends one (RFC 9207); the
//! code is bound by PKCE and the ID token by `nonce`; the token's signature, issuer, audience and times are checked by the
//! `openidconnect` library, and never with a shared secret or without a signature; a person is the pair of issuer and
//! subject, never a name or an address; a provider vouches for people of its own organisations only.
//!
//! Decided: a browser goes upstream by a page with `http-equiv="refresh"` and a link, not by a redirect after the form. A
//! policy of where forms may end (`form-action`) would have to list every host that a provider may redirect to on its way.
//! Decided: whoever comes back without having signed in there just now (`auth_time`) is asked "continue as …?" where a
//! local sign-in would not be: on a shared computer the provider may still know the person before. Providers that do not
//! tell `auth_time` are treated so too.

mod callback;
mod person;
mod provider;
mod single_logout;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use openidconnect::ClientSecret;
use serde::{Deserialize, Serialize};
use time::Duration;

use super::OauthState;
use super::flow::Purpose;
use super::form::Parameters;
use super::login::{self, Waits};
use super::page::{self, Again, Problem};
use super::visitor::{Language, Visitor};
use crate::config;
use crate::id::{random_token, token_digest};
use crate::outbound::{self, Guard};
use crate::store;
use crate::store::flow::Step;
use crate::store::upstream::Journey;

pub use provider::Upstream;
pub use single_logout::sign_out_upstream;

/// How long a browser may be away.
const JOURNEY_LIFE: Duration = Duration::minutes(10);

/// Why the configured providers cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the system's certificates cannot be read: {0}")]
    Http(#[from] reqwest::Error),
    #[error("federation.providers: {id}: cannot read {}: {cause}", path.display())]
    Unreadable { id: String, path: PathBuf, cause: std::io::Error },
}

/// The configured providers. Cloning shares them.
#[derive(Clone)]
pub struct Federation(Arc<Vec<Upstream>>);

/// What waits here for a browser that is on its way.
#[derive(Serialize, Deserialize)]
struct Luggage {
    /// The token of the sign-in form.
    form: String,
    nonce: String,
    verifier: String,
    /// Whether the person must sign in there anew.
    anew: bool,
}

impl Federation {
    /// Reads the secrets. Nothing is fetched before somebody wants to sign in.
    pub fn new(config: &config::Federation) -> Result<Self, Error> {
        let http = outbound::Client::new(Guard::new(config))?;
        let mut providers = Vec::with_capacity(config.providers.len());
        for provider in &config.providers {
            let secret = match &provider.client_secret_file {
                Some(path) => {
                    let read = std::fs::read_to_string(path).map_err(|cause| Error::Unreadable {
                        id: provider.id.clone(),
                        path: path.clone(),
                        cause,
                    })?;
                    Some(ClientSecret::new(read.trim().to_owned()))
                }
                None => None,
            };
            providers.push(Upstream::new(provider.clone(), secret, http.clone(), config.fetch_timeout));
        }
        Ok(Self(Arc::new(providers)))
    }

    fn find(&self, id: &str) -> Option<&Upstream> {
        self.0.iter().find(|upstream| upstream.config.id == id)
    }

    /// The provider to which a typed name belongs.
    pub fn of_name(&self, name: &str) -> Option<&Upstream> {
        let (_, domain) = name.rsplit_once('@')?;
        let is_of =
            |upstream: &&Upstream| upstream.config.email_domains.iter().any(|one| one.eq_ignore_ascii_case(domain));
        self.0.iter().find(is_of)
    }

    /// Whether people of this organisation sign in upstream only.
    pub fn is_exclusive(&self, tenant: i64) -> bool {
        self.0.iter().any(|upstream| upstream.config.exclusive && upstream.config.serves(tenant))
    }

    /// What a form offers for a launch of this organisation; without one, for everybody.
    pub fn offer(&self, tenant: Option<i64>, language: Language) -> Offer {
        let serves = |upstream: &&Upstream| {
            tenant.is_none_or(|tenant| upstream.config.serves(tenant) || upstream.config.serves(0))
        };
        let name = |upstream: &Upstream| {
            let config = &upstream.config;
            let english = config.name_en.as_ref().unwrap_or(&config.id);
            match language {
                Language::English => english,
                Language::French => config.name_fr.as_ref().unwrap_or(english),
            }
            .clone()
        };
        let providers = self
            .0
            .iter()
            .filter(serves)
            .map(|upstream| Choice { id: upstream.config.id.clone(), name: name(upstream) });
        Offer {
            providers: providers.collect(),
            local: tenant.is_none_or(|tenant| !self.is_exclusive(tenant)),
            by_name: self.0.iter().any(|upstream| !upstream.config.email_domains.is_empty()),
        }
    }
}

/// What a sign-in form offers.
#[derive(Clone, Debug)]
pub struct Offer {
    pub providers: Vec<Choice>,
    /// Name and password.
    pub local: bool,
    /// A name alone may lead to a provider.
    pub by_name: bool,
}

/// A provider's button.
#[derive(Clone, Debug)]
pub struct Choice {
    pub id: String,
    pub name: String,
}

/// The form's other button, which only our pages may send.
pub fn form_routes() -> Router<OauthState> {
    Router::new().route("/login-with", post(choose))
}

/// Where providers send browsers to.
pub fn routes(state: &OauthState) -> Router<OauthState> {
    let mut router = Router::new().route("/signed-out", get(single_logout::came_back));
    for upstream in state.federation.0.iter() {
        let id = upstream.config.id.clone();
        let handler = move |State(state): State<OauthState>, visitor: Visitor, query: axum::extract::RawQuery| {
            callback::handler(state, visitor, query, id)
        };
        router = router.route(&format!("/callback-{}", upstream.config.id), get(handler));
    }
    router
}

/// What providers themselves call.
pub fn provider_routes(state: &OauthState) -> Router<OauthState> {
    let mut router = Router::new();
    for upstream in state.federation.0.iter() {
        let id = upstream.config.id.clone();
        let handler =
            move |State(state): State<OauthState>, form: super::form::Form| single_logout::told(state, form, id);
        router = router.route(&format!("/backchannel-logout-{}", upstream.config.id), post(handler));
    }
    router
}

/// `POST /login-with`.
async fn choose(State(state): State<OauthState>, visitor: Visitor, body: Bytes) -> Response {
    let form = Parameters::parse(&body);
    let waits = match login::find_waiting(&state, &visitor, &form, Step::SignIn).await {
        Ok((waits, _)) => waits,
        Err(problem) => return page::problem(visitor.language, problem),
    };
    let offer = state.federation.offer(waits.tenant, visitor.language);
    let chosen = form.one("provider").ok().flatten();
    let upstream = chosen.filter(|id| offer.providers.iter().any(|choice| choice.id == *id));
    match upstream.and_then(|id| state.federation.find(id)) {
        Some(upstream) => {
            let name = form.one("name").ok().flatten().map(str::trim).filter(|name| name.contains('@'));
            send(&state, &visitor, &waits, upstream, name).await
        }
        None => page::problem(visitor.language, Problem::Malformed),
    }
}

/// Sends the browser to the provider. `name` is what was typed, if that helps there.
pub async fn send(
    state: &OauthState,
    visitor: &Visitor,
    waits: &Waits,
    upstream: &Upstream,
    name: Option<&str>,
) -> Response {
    let Some(browser_digest) = visitor.cookies.browser_digest() else {
        return page::problem(visitor.language, Problem::FormGone);
    };
    let anew = waits.app.as_ref().is_some_and(|(request, _)| request.sign_in_anew);
    let luggage = Luggage { form: waits.token.clone(), nonce: random_token(), verifier: random_token(), anew };
    let sent_state = random_token();
    let wanted = provider::Wanted {
        redirect_uri: callback_uri(state, upstream),
        state: &sent_state,
        nonce: &luggage.nonce,
        verifier: &luggage.verifier,
        anew,
        max_age: state.engine.config.oauth.session_ttl,
        login_hint: name,
        language: visitor.language,
    };
    let url = match upstream.authorize(&wanted, state.now()).await {
        Ok(url) => url,
        Err(failed) => {
            tracing::warn!(provider = upstream.config.id, error = %failed, "nobody can be sent to this provider");
            return login::show(state, visitor, waits, name.unwrap_or_default(), Some(Again::ProviderDown));
        }
    };
    let packed = serde_json::to_vec(&luggage).unwrap_or_default();
    let digest = token_digest(&sent_state);
    let journey = Journey { state_digest: &digest, browser_digest: &browser_digest, provider: &upstream.config.id };
    match pack(state, journey, &packed).await {
        Ok(()) => page::onward(visitor.language, &url),
        Err(error) => {
            tracing::error!(%error, "a browser's way to a provider could not be kept");
            page::problem(visitor.language, Problem::Unavailable)
        }
    }
}

fn callback_uri(state: &OauthState, upstream: &Upstream) -> String {
    format!("{}/callback-{}", state.public_url(), upstream.config.id)
}

async fn pack(state: &OauthState, journey: Journey<'_>, plain: &[u8]) -> store::Result<()> {
    let sealed = state.engine.sealer.seal(&purpose(&journey), plain);
    let mut tx = store::begin(&state.engine.pool).await?;
    store::upstream::insert_journey(&mut tx, journey, &sealed, state.now() + JOURNEY_LIFE).await?;
    tx.commit().await
}

/// What was kept for a journey; `None` when there is none of this browser, or it has ended.
async fn unpack(state: &OauthState, journey: Journey<'_>) -> store::Result<Option<Vec<u8>>> {
    let mut conn = state.engine.pool.acquire().await?;
    let sealed = store::upstream::take_journey(&mut conn, journey, state.now()).await?;
    Ok(sealed.and_then(|sealed| state.engine.sealer.open(&purpose(&journey), &sealed).ok()))
}

fn purpose(journey: &Journey<'_>) -> String {
    use std::fmt::Write;
    let mut purpose = "upstream_login.".to_owned();
    for byte in journey.state_digest {
        let _infallible = write!(purpose, "{byte:02x}");
    }
    purpose
}

/// The organisation whose point-of-care system made the launch that a form is for.
pub async fn tenant_of(state: &OauthState, purpose: &Purpose) -> store::Result<Option<i64>> {
    let Purpose::Authorize(request) = purpose else { return Ok(None) };
    let Some(context) = request.context else { return Ok(None) };
    let context = store::context::find(&mut *state.engine.pool.acquire().await?, context).await?;
    Ok(context.map(|context| context.tenant))
}
