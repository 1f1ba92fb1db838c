//! Tokens by `client_credentials` with a signed assertion (SMART App Launch, Backend Services), for the PoC and the service.

use anyhow::{Context as _, Result};
use jsonwebtoken::{Header, encode};
use reqwest::Method;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::http::Http;
use super::keys::ClientKey;
use crate::id;

/// Who asks.
pub struct Asker<'a> {
    /// The client id.
    pub client_id: &'a str,
    /// Its key.
    pub key: &'a ClientKey,
    /// The scope it asks for.
    pub scope: &'a str,
}

/// Finds the token endpoint of a FHIR base and asks it for a token; the whole answer.
pub async fn client_credentials(http: &Http, fhir: &str, asker: &Asker<'_>, now: OffsetDateTime) -> Result<Value> {
    let url = format!("{fhir}/.well-known/smart-configuration");
    let found = http.send(http.request(Method::GET, &url)).await?.expect(200)?.json()?;
    let endpoint = found["token_endpoint"].as_str().context("discovery names no token_endpoint")?;
    let assertion = assertion(asker, endpoint, now)?;
    let fields = [
        ("grant_type", "client_credentials"),
        ("scope", asker.scope),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", &assertion),
    ];
    http.form(endpoint, &fields).await?.expect(200)?.json()
}

/// A signed client assertion (RFC 7523), good for one minute.
fn assertion(asker: &Asker<'_>, audience: &str, now: OffsetDateTime) -> Result<String> {
    let mut header = Header::new(asker.key.algorithm());
    header.kid = Some(asker.key.kid()?);
    let issued = now.unix_timestamp();
    let claims = json!({
        "iss": asker.client_id,
        "sub": asker.client_id,
        "aud": audience,
        "iat": issued,
        "exp": issued + 60,
        "jti": id::random_token(),
    });
    Ok(encode(&header, &claims, &asker.key.encoding_key()?)?)
}
