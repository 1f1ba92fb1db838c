//! Who the client is: HTTP Basic, a signed assertion, or (for public clients) its bare id (RFC 6749 section 2.3).
//!
//! | situation | answer |
//! |---|---|
//! | the proof of the registered method | the client |
//! | two proofs at once | 400 `invalid_request` |
//! | a proof that fails, of another method, of an unknown or disabled client, or a `client_id` that contradicts it | 401 `invalid_client` |
//! | `client_secret` in the body | 401 `invalid_client`: only the advertised methods work |

use axum::http::{HeaderMap, header::AUTHORIZATION};
use base64::{Engine, engine::general_purpose::STANDARD};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::OauthState;
use super::client_keys;
use super::error::{Code, Failure};
use super::form::Form;
use crate::id::token_digest;
use crate::secret::Secret;
use crate::store;
use crate::store::client::{AuthMethod, Client};
use crate::token::assertion::{self, ASSERTION_TYPE, AssertionError, Expected};

/// Why a client is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Refused {
    #[error("only one way of client authentication may be used at once")]
    TwoProofs,
    #[error("client authentication is missing")]
    Missing,
    /// Unknown, disabled, another method or a wrong secret: a stranger is not told which.
    #[error("the client is unknown or could not be authenticated")]
    NotBelieved,
    #[error("the Authorization header is not of the form Basic base64(id:secret)")]
    Basic,
    #[error("client_id is not the client that is authenticated")]
    OtherClientId,
    #[error("client_secret in the body is not supported: use HTTP Basic")]
    SecretInBody,
    #[error("client_assertion and client_assertion_type jwt-bearer belong together")]
    AssertionType,
    #[error(transparent)]
    Assertion(#[from] AssertionError),
    #[error("the client's keys could not be fetched from its jwks_uri")]
    Keys,
    #[error("the assertion's jti was used before")]
    Replay,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let code = match refused {
            Refused::TwoProofs => Code::InvalidRequest,
            Refused::Missing
            | Refused::NotBelieved
            | Refused::Basic
            | Refused::OtherClientId
            | Refused::SecretInBody
            | Refused::AssertionType
            | Refused::Assertion(_)
            | Refused::Keys
            | Refused::Replay => Code::InvalidClient,
        };
        Self::new(code, refused.to_string())
    }
}

/// What a request offers as proof.
enum Proof<'a> {
    Basic(String),
    Assertion(&'a str),
    /// Only the name.
    Name(&'a str),
}

/// The client that sent this request.
pub async fn authenticate(state: &OauthState, headers: &HeaderMap, form: &Form) -> Result<Client, Failure> {
    Ok(authenticate_if_named(state, headers, form).await?.ok_or(Refused::Missing)?)
}

/// The client that sent this request; `None` when the request says nothing about it.
pub async fn authenticate_if_named(
    state: &OauthState,
    headers: &HeaderMap,
    form: &Form,
) -> Result<Option<Client>, Failure> {
    let client = match proof(headers, form)? {
        None => return Ok(None),
        Some(Proof::Basic(credentials)) => by_secret(state, &credentials).await?,
        Some(Proof::Assertion(jwt)) => by_assertion(state, jwt).await?,
        Some(Proof::Name(client_id)) => enabled(state, client_id, AuthMethod::None).await?,
    };
    if client.auth_method != AuthMethod::None {
        state.limits.client(&client.client_id)?;
    }
    // Not needed beside a proof; tolerated when it agrees (two client libraries send it).
    match form.optional("client_id")? {
        Some(client_id) if client_id != client.client_id => Err(Refused::OtherClientId.into()),
        _ => Ok(Some(client)),
    }
}

fn proof<'a>(headers: &HeaderMap, form: &'a Form) -> Result<Option<Proof<'a>>, Failure> {
    let basic = match headers.get(AUTHORIZATION) {
        Some(header) => Some(header.to_str().ok().and_then(decode_basic).ok_or(Refused::Basic)?),
        None => None,
    };
    let assertion = form.optional("client_assertion")?;
    if form.optional("client_secret")?.is_some() {
        return Err(if basic.is_some() { Refused::TwoProofs } else { Refused::SecretInBody }.into());
    }
    if form.optional("client_assertion_type")? != assertion.map(|_| ASSERTION_TYPE) {
        return Err(Refused::AssertionType.into());
    }
    match (basic, assertion, form.optional("client_id")?) {
        (Some(_), Some(_), _) => Err(Refused::TwoProofs.into()),
        (Some(credentials), None, _) => Ok(Some(Proof::Basic(credentials))),
        (None, Some(jwt), _) => Ok(Some(Proof::Assertion(jwt))),
        (None, None, name) => Ok(name.map(Proof::Name)),
    }
}

/// `id:secret` of a Basic header.
pub(super) fn decode_basic(header: &str) -> Option<String> {
    let (scheme, encoded) = header.split_once(' ')?;
    let decoded = scheme.eq_ignore_ascii_case("Basic").then(|| STANDARD.decode(encoded.trim()).ok())??;
    String::from_utf8(decoded).ok().filter(|text| text.contains(':'))
}

async fn by_secret(state: &OauthState, credentials: &str) -> Result<Client, Failure> {
    let (id, secret) = credentials.split_once(':').ok_or(Refused::Basic)?;
    // RFC 6749 wants both parts form-urlencoded; many clients send them raw. Both readings are tried.
    let id_decoded = form_decode(id);
    let secrets = [Secret::new(form_decode(secret)), Secret::new(secret.to_owned())];
    let client = match enabled(state, &id_decoded, AuthMethod::ClientSecretBasic).await {
        Err(_) if id_decoded != id => enabled(state, id, AuthMethod::ClientSecretBasic).await?,
        found => found?,
    };
    let digests = secrets.map(|secret| token_digest(secret.expose()));
    let mut conn = state.engine.pool.acquire().await?;
    let right = store::client_secret::holds(&mut conn, &client.client_id, &digests, state.now()).await?;
    if right { Ok(client) } else { Err(Refused::NotBelieved.into()) }
}

fn form_decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

async fn by_assertion(state: &OauthState, jwt: &str) -> Result<Client, Failure> {
    let client_id = assertion::claimed_client(jwt).map_err(Refused::from)?;
    let client = enabled(state, &client_id, AuthMethod::PrivateKeyJwt).await?;
    let jwks = keys(state, &client, jwt).await?;
    let expected = Expected {
        client_id: &client.client_id,
        jwks: &jwks,
        jwks_uri: client.jwks_uri.as_deref(),
        audience: &format!("{}/token", state.public_url()),
        only_audience: state.engine.config.registry.strict_assertion_audience,
        now: state.now(),
    };
    let accepted = assertion::check(jwt, &expected).map_err(Refused::from)?;
    if accepted.shared_audience {
        tracing::info!(client_id, "a client assertion names other audiences beside this server");
    }
    // On its own, before anything else: a request that fails later has still used its assertion up.
    let mut tx = store::begin(&state.engine.pool).await?;
    let first =
        store::assertion::see(&mut tx, &client.client_id, &accepted.jti_digest, accepted.remember_until).await?;
    tx.commit().await?;
    if first { Ok(client) } else { Err(Refused::Replay.into()) }
}

/// The keys that an assertion of this client is checked with. Nothing is fetched for one whose header is refused already.
async fn keys(state: &OauthState, client: &Client, jwt: &str) -> Result<Value, Failure> {
    let Some(jwks_uri) = &client.jwks_uri else { return Ok(client.jwks.clone().unwrap_or_default()) };
    let kid = assertion::kid(jwt, Some(jwks_uri)).map_err(Refused::from)?;
    state.client_keys.of(jwks_uri, &kid).await.map_err(|error| match error {
        client_keys::Error::Store(error) => error.into(),
        client_keys::Error::NotFetched => Refused::Keys.into(),
    })
}

async fn enabled(state: &OauthState, client_id: &str, method: AuthMethod) -> Result<Client, Failure> {
    // No text of the database can hold it.
    if client_id.contains('\0') {
        return Err(Refused::NotBelieved.into());
    }
    let found = store::client::find(&mut *state.engine.pool.acquire().await?, client_id).await?;
    Ok(found.filter(|client| client.enabled && client.auth_method == method).ok_or(Refused::NotBelieved)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_basic_header_with_a_colon_is_read() {
        assert_eq!(decode_basic("Basic YTpi").as_deref(), Some("a:b"));
        assert_eq!(decode_basic("basic YTpi").as_deref(), Some("a:b"));
        for bad in ["Basic", "Basic YWI=", "Bearer YTpi", "Basic !!!", "Basic /w=="] {
            assert_eq!(decode_basic(bad), None, "{bad}");
        }
    }

    #[test]
    fn encoded_parts_are_decoded_as_forms_are() {
        assert_eq!(form_decode("a%3Ab+c%25"), "a:b c%");
    }
}
