//! Whom a good `/authorize` request is answered to, and why it is refused (RFC 6749 section 4.1.2.1, OpenID Connect Core 1.0
//! section 3.1.2.6).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use uuid::Uuid;

use super::form::Repeated;
use super::visitor::{Visitor, record};
use super::{OauthState, register, strangers};
use crate::store;
use crate::store::audit::Entry;
use crate::store::client::Client;
use crate::web::peer;

/// Why an authorization is refused, once it is known where to say so.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} is there more than once")]
    Repeated(&'static str),
    #[error("{0} is longer than this server takes")]
    TooLong(&'static str),
    #[error("response_type must be code")]
    ResponseType,
    #[error("this client may not use the authorization code flow")]
    Client,
    #[error("only an app can be launched")]
    NotAnApp,
    #[error("code_challenge_method must be S256")]
    ChallengeMethod,
    #[error("code_challenge must be a SHA-256 in base64url: 43 characters")]
    Challenge,
    #[error("aud must be the FHIR base URL of this server")]
    Audience,
    #[error("aud and resource differ")]
    TwoAudiences,
    #[error("the launch is unknown, has ended, or was made too long ago")]
    Launch,
    #[error("the launch parameter and the launch scope belong together")]
    LaunchScope,
    #[error("the launch is for another app")]
    OtherApp,
    #[error("this server gives apps FHIR scopes only for a patient: within a launch, or with launch/patient")]
    NoLaunch,
    #[error("nothing of the requested scope can be granted")]
    Scope,
    #[error("{0}")]
    Conditions(String),
    #[error("the launch belongs to another user")]
    NotOwner,
    #[error("the user belongs to another organisation")]
    OtherOrganisation,
    #[error("the user did not agree")]
    Cancelled,
    #[error("the user must sign in")]
    LoginRequired,
    #[error("request objects are not supported: send the parameters themselves")]
    RequestObject,
    #[error("request_uri is not supported: send the parameters themselves")]
    RequestUri,
    #[error("response_mode must be query")]
    ResponseMode,
    #[error("prompt must be none alone, or one or more of login, select_account and consent")]
    Prompt,
    #[error("max_age must be a number of seconds")]
    MaxAge,
    #[error("too many people sign in from there at the moment")]
    TooMany,
    #[error("what was picked was not offered")]
    NotOffered,
    #[error("patients cannot be listed at the moment")]
    NoList,
    #[error("the user must say who they are")]
    InteractionRequired,
    #[error("the user must be asked")]
    ConsentRequired,
    #[error("the server cannot do this at the moment")]
    Unavailable(#[from] store::Error),
}

impl Refusal {
    /// The error code (RFC 6749 section 4.1.2.1; OpenID Connect Core 1.0 section 3.1.2.6).
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(_)
            | Self::Repeated(_)
            | Self::TooLong(_)
            | Self::ChallengeMethod
            | Self::Challenge
            | Self::Audience
            | Self::TwoAudiences
            | Self::Launch
            | Self::LaunchScope
            | Self::ResponseMode
            | Self::Prompt
            | Self::MaxAge => "invalid_request",
            Self::RequestObject => "request_not_supported",
            Self::RequestUri => "request_uri_not_supported",
            Self::ResponseType => "unsupported_response_type",
            Self::Client | Self::NotAnApp => "unauthorized_client",
            Self::NoLaunch | Self::Scope | Self::Conditions(_) => "invalid_scope",
            Self::OtherApp | Self::NotOwner | Self::OtherOrganisation | Self::NotOffered | Self::Cancelled => {
                "access_denied"
            }
            Self::LoginRequired => "login_required",
            Self::TooMany => "temporarily_unavailable",
            Self::InteractionRequired => "interaction_required",
            Self::ConsentRequired => "consent_required",
            Self::NoList => "temporarily_unavailable",
            Self::Unavailable(error) if error.is_transient() => "temporarily_unavailable",
            Self::Unavailable(_) => "server_error",
        }
    }
}

impl From<Repeated> for Refusal {
    fn from(Repeated(name): Repeated) -> Self {
        Self::Repeated(name)
    }
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(error.into())
    }
}

/// Whom to answer, and where: known good before anything is sent there.
#[derive(Clone)]
pub struct Recipient {
    /// Who answers: this server.
    pub issuer: String,
    /// Origins that may show the pages in a frame: those of the point-of-care system that made the launch.
    pub frames: Vec<String>,
    pub client: Client,
    pub redirect_uri: String,
    pub state: Option<String>,
    /// The launch that is asked for, for the audit trail.
    pub context: Option<Uuid>,
}

impl Recipient {
    /// The app's name as people are shown it.
    pub fn shown_name(&self) -> String {
        register::shown_name(&self.client.name, self.client.source, std::slice::from_ref(&self.redirect_uri))
    }

    /// Sends the browser back to the app, with `state` and `iss`. 303, so that a form is never posted again to another server.
    pub fn answer(&self, members: &[(&str, &str)]) -> Response {
        let mut location = self.redirect_uri.clone();
        let state = self.state.as_deref().map(|state| ("state", state));
        let members = members.iter().copied().chain(state).chain([("iss", self.issuer.as_str())]);
        for (name, value) in members {
            location.push(if location.contains('?') { '&' } else { '?' });
            location.push_str(name);
            location.push('=');
            location.extend(utf8_percent_encode(value, QUERY_VALUE));
        }
        let Ok(location) = HeaderValue::from_str(&location) else { return StatusCode::BAD_REQUEST.into_response() };
        let headers = [(header::LOCATION, location), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        (StatusCode::SEE_OTHER, headers).into_response()
    }
}

/// Everything but RFC 3986 "unreserved": safe for clients that read '+' either way.
const QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Tells the app, and the audit trail, that it was refused. `user` is whoever has signed in for it.
pub async fn refuse(
    state: &OauthState,
    visitor: &Visitor,
    recipient: &Recipient,
    refusal: &Refusal,
    user: Option<Uuid>,
) -> Response {
    if let Refusal::Unavailable(error) = refusal {
        tracing::error!(%error, "the database failed an authorization request");
    }
    let description = refusal.to_string();
    let address = peer::network(visitor.address).to_string();
    let entry = Entry {
        action: "authorize",
        outcome: if matches!(refusal, Refusal::Unavailable(_)) { "failed" } else { "refused" },
        client_id: Some(&recipient.client.client_id),
        user_id: user,
        context: recipient.context,
        address: Some(&address),
        tenant: recipient.client.tenant,
        request_id: visitor.request_id.as_deref(),
        detail: Some(&description),
        ..Entry::default()
    };
    // Who knows a launchID is no stranger.
    match (user, recipient.context) {
        (None, None) => strangers::refused(state, &entry).await,
        _ => record(state, &entry).await,
    }
    recipient.answer(&[("error", refusal.code()), ("error_description", &description)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::client::Role;

    #[test]
    fn the_answer_keeps_the_query_and_returns_the_state_unchanged() {
        let recipient = Recipient {
            issuer: "https://s.example".into(),
            frames: Vec::new(),
            client: Client::new("c", Role::App),
            redirect_uri: "https://app.example/cb?keep=1".into(),
            state: Some("a b&c=d+é#".into()),
            context: None,
        };
        let response = recipient.answer(&[("code", "x")]);
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        let location = response.headers()[header::LOCATION].to_str().unwrap();
        assert_eq!(
            location,
            "https://app.example/cb?keep=1&code=x&state=a%20b%26c%3Dd%2B%C3%A9%23&iss=https%3A%2F%2Fs.example"
        );
    }
}
