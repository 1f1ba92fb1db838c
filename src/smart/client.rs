//! What a client is, and what a registration must hold (SMART App Launch 2.1.0, "Registering"; RFC 7591 names).

use serde_json::Value;
use url::Url;

use super::scope::ScopeSet;

/// What a client is: decides the grants and the scopes it can ever have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A SMART app: launched, acts for a person within one launch context.
    App,
    /// A point-of-care system: sets and clears contexts, for itself or for its signed-in user.
    Poc,
    /// A backend service: acts for itself on shared data.
    Service,
}

impl Role {
    /// The word stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Poc => "poc",
            Self::Service => "service",
        }
    }

    /// The role of a word; `None` for any other word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::App, Self::Poc, Self::Service].into_iter().find(|role| role.as_str() == word)
    }
}

/// How a client proves who it is at the token endpoint (`token_endpoint_auth_method`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthMethod {
    /// It does not: a public client, held by PKCE alone.
    None,
    /// HTTP Basic with a shared secret.
    ClientSecretBasic,
    /// A signed assertion (RFC 7523).
    PrivateKeyJwt,
}

impl AuthMethod {
    /// The registered name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }

    /// The method of a registered name; `None` for any other.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::None, Self::ClientSecretBasic, Self::PrivateKeyJwt].into_iter().find(|method| method.as_str() == name)
    }
}

/// Why a registration is refused; the text is meant for the person who registers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    #[error("a client id is 1 to 200 printable ASCII characters without spaces or ':'")]
    ClientId,
    #[error("an app needs at least one redirect URI")]
    NoRedirect,
    #[error("a service uses no browser and takes no redirect URI")]
    ServiceRedirect,
    #[error(
        "redirect URI {0}: not an absolute URI without fragment, https or an app's own scheme (http only for this machine)"
    )]
    Redirect(String),
    #[error("origin {0}: not of the form https://host[:port]")]
    Origin(String),
    #[error("scope: nothing this server grants is in it")]
    Scope,
    #[error("a PoC acts for one organisation: its tenant is above 0; all others have tenant 0")]
    Tenant,
    #[error("a {role} must use one of: {allowed}", role = .0.as_str(), allowed = .1)]
    AuthMethod(Role, &'static str),
    #[error("client_secret_basic needs a secret, the other methods take none")]
    Secret,
    #[error("private_key_jwt needs a JWKS given inline; the other methods take none")]
    Keys,
    #[error("jwks_uri is not supported yet: give the JWKS inline")]
    JwksUri,
    #[error("JWKS: {0}")]
    Jwks(&'static str),
}

/// What is judged of a registration, whichever way it arrives.
#[derive(Clone, Copy, Debug)]
pub struct Registration<'a> {
    pub client_id: &'a str,
    pub role: Role,
    pub tenant: i64,
    pub auth_method: AuthMethod,
    pub has_secret: bool,
    pub jwks: Option<&'a Value>,
    pub jwks_uri: Option<&'a str>,
    pub redirect_uris: &'a [String],
    pub loopback_redirects: bool,
    pub scope: &'a str,
    pub origins: &'a [String],
}

impl Registration<'_> {
    /// Refuses the first thing that is wrong.
    pub fn check(&self) -> Result<(), RegistrationError> {
        self.check_identity()?;
        self.check_proof()?;
        self.check_addresses()?;
        if ScopeSet::parse(self.scope).is_empty() {
            return Err(RegistrationError::Scope);
        }
        Ok(())
    }

    fn check_identity(&self) -> Result<(), RegistrationError> {
        let id = self.client_id;
        // A ':' would end the user name of HTTP Basic (RFC 7617).
        if !(1..=200).contains(&id.len()) || !id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') {
            return Err(RegistrationError::ClientId);
        }
        if (self.role == Role::Poc) != (self.tenant > 0) || self.tenant < 0 {
            return Err(RegistrationError::Tenant);
        }
        Ok(())
    }

    fn check_proof(&self) -> Result<(), RegistrationError> {
        if self.role == Role::Service && self.auth_method != AuthMethod::PrivateKeyJwt {
            return Err(RegistrationError::AuthMethod(self.role, "private_key_jwt"));
        }
        if self.role == Role::Poc && self.auth_method == AuthMethod::None {
            return Err(RegistrationError::AuthMethod(self.role, "client_secret_basic, private_key_jwt"));
        }
        if self.has_secret != (self.auth_method == AuthMethod::ClientSecretBasic) {
            return Err(RegistrationError::Secret);
        }
        if self.jwks_uri.is_some() {
            return Err(RegistrationError::JwksUri);
        }
        match (self.auth_method, self.jwks) {
            (AuthMethod::PrivateKeyJwt, Some(jwks)) => check_jwks(jwks),
            (AuthMethod::PrivateKeyJwt, None) | (_, Some(_)) => Err(RegistrationError::Keys),
            (_, None) => Ok(()),
        }
    }

    fn check_addresses(&self) -> Result<(), RegistrationError> {
        match self.role {
            Role::App if self.redirect_uris.is_empty() => return Err(RegistrationError::NoRedirect),
            Role::Service if !self.redirect_uris.is_empty() => return Err(RegistrationError::ServiceRedirect),
            _ => {}
        }
        for uri in self.redirect_uris {
            let pattern = self.loopback_redirects && LOOPBACK_PATTERNS.contains(&uri.as_str());
            if !pattern && !redirect_is_acceptable(uri) {
                return Err(RegistrationError::Redirect(uri.clone()));
            }
        }
        let is_origin = |text: &str| Url::parse(text).is_ok_and(|url| url.origin().ascii_serialization() == text);
        match self.origins.iter().find(|origin| !is_origin(origin)) {
            Some(origin) => Err(RegistrationError::Origin(origin.clone())),
            None => Ok(()),
        }
    }
}

/// Patterns a demonstration client may register: any port and any path on this machine.
pub const LOOPBACK_PATTERNS: [&str; 2] = ["http://127.0.0.1:*", "http://localhost:*"];

/// Whether a requested redirect URI is one of the registered ones: equal character by character (RFC 6749 section
/// 3.1.2.3), or on this machine when `loopback_patterns` are honoured.
pub fn redirect_is_registered(requested: &str, registered: &[String], loopback_patterns: bool) -> bool {
    registered.iter().any(|known| known == requested)
        || (loopback_patterns && registered.iter().any(|pattern| matches_loopback(requested, pattern)))
}

/// Whether a redirect URI or an origin is one that [`LOOPBACK_PATTERNS`] mean.
pub fn is_loopback(address: &str) -> bool {
    LOOPBACK_PATTERNS.iter().any(|pattern| matches_loopback(address, pattern))
}

fn matches_loopback(requested: &str, pattern: &str) -> bool {
    let (Some(pattern), Ok(url)) = (pattern.strip_suffix(":*"), Url::parse(requested)) else { return false };
    let Ok(pattern) = Url::parse(pattern) else { return false };
    url.scheme() == "http"
        && url.host_str() == pattern.host_str()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && is_visible_ascii(requested)
}

/// It goes into a Location header as it is.
fn is_visible_ascii(uri: &str) -> bool {
    uri.bytes().all(|byte| byte.is_ascii_graphic())
}

/// https anywhere, http on this machine only, or a private-use scheme (RFC 8252 section 7.1: it holds a '.').
fn redirect_is_acceptable(uri: &str) -> bool {
    let Ok(url) = Url::parse(uri) else { return false };
    let scheme_is_fine = match url.scheme() {
        "https" => true,
        // Plain http to another machine would carry the code in the clear; `.test` never resolves outside a laboratory.
        "http" => url.host_str().is_some_and(|host| {
            matches!(host, "localhost" | "127.0.0.1" | "[::1]")
                || host.ends_with(".localhost")
                || host.ends_with(".test")
        }),
        scheme => scheme.contains('.'),
    };
    scheme_is_fine
        && url.fragment().is_none()
        && !uri.contains('*')
        && url.username().is_empty()
        && is_visible_ascii(uri)
}

/// The requirements of SMART's "Registering a client for asymmetric authentication" on an inline key set.
fn check_jwks(jwks: &Value) -> Result<(), RegistrationError> {
    let keys = jwks.get("keys").and_then(Value::as_array).ok_or(RegistrationError::Jwks("no \"keys\" array"))?;
    if keys.is_empty() {
        return Err(RegistrationError::Jwks("it holds no key"));
    }
    for key in keys {
        let has = |name: &str| key.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        if !has("kid") {
            return Err(RegistrationError::Jwks("a key without kid"));
        }
        // "d" is the private member of RSA and EC keys, "k" the secret of a symmetric one.
        if key.get("d").is_some() || key.get("k").is_some() {
            return Err(RegistrationError::Jwks("a key with private parts: register the public key only"));
        }
        match key.get("kty").and_then(Value::as_str) {
            Some("RSA") if has("n") && has("e") => {}
            Some("EC") if has("crv") && has("x") && has("y") => {}
            Some("RSA" | "EC") => return Err(RegistrationError::Jwks("a key without its public parameters")),
            _ => return Err(RegistrationError::Jwks("a key whose kty is neither RSA nor EC")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn app<'a>(redirect_uris: &'a [String]) -> Registration<'a> {
        Registration {
            client_id: "growth-chart",
            role: Role::App,
            tenant: 0,
            auth_method: AuthMethod::None,
            has_secret: false,
            jwks: None,
            jwks_uri: None,
            redirect_uris,
            loopback_redirects: false,
            scope: "launch patient/*.rs",
            origins: &[],
        }
    }

    #[test]
    fn an_app_without_redirect_uri_is_refused() {
        assert_eq!(app(&[]).check(), Err(RegistrationError::NoRedirect));
        assert_eq!(app(&["https://app.example/cb".into()]).check(), Ok(()));
    }

    #[test]
    fn redirect_uris_that_would_leak_a_code_are_refused() {
        for bad in
            ["http://app.example/cb", "https://app.example/cb#x", "/cb", "javascript:alert(1)", "http://127.0.0.1:*"]
        {
            let uris = [bad.to_owned()];
            assert_eq!(app(&uris).check(), Err(RegistrationError::Redirect(bad.to_owned())), "{bad}");
        }
    }

    #[test]
    fn a_redirect_uri_matches_character_by_character() {
        let known = ["https://app.example/cb".to_owned()];
        assert!(redirect_is_registered("https://app.example/cb", &known, false));
        for bad in [
            "https://app.example/cb?x=1",
            "https://app.example:8443/cb",
            "https://app.example/c",
            "https://app.example/cb/",
        ] {
            assert!(!redirect_is_registered(bad, &known, true), "{bad}");
        }
    }

    #[test]
    fn a_loopback_pattern_needs_the_flag_and_stays_on_this_machine() {
        let known = ["http://127.0.0.1:*".to_owned()];
        assert!(redirect_is_registered("http://127.0.0.1:9000/any/path", &known, true));
        assert!(!redirect_is_registered("http://127.0.0.1:9000/any/path", &known, false));
        for bad in [
            "http://127.0.0.1.evil.example/",
            "http://127.0.0.1:80@evil.example/",
            "https://127.0.0.1:1/",
            "http://localhost:1/",
        ] {
            assert!(!redirect_is_registered(bad, &known, true), "{bad}");
        }
    }

    #[test]
    fn a_key_set_without_kid_or_with_private_parts_is_refused() {
        let check = |key: Value| check_jwks(&json!({ "keys": [key] }));
        assert!(check(json!({"kty": "RSA", "kid": "1", "n": "x", "e": "AQAB"})).is_ok());
        assert!(check(json!({"kty": "RSA", "n": "x", "e": "AQAB"})).is_err());
        assert!(check(json!({"kty": "RSA", "kid": "1", "e": "AQAB"})).is_err());
        assert!(check(json!({"kty": "EC", "kid": "1", "crv": "P-384", "x": "x", "y": "y", "d": "secret"})).is_err());
        assert!(check(json!({"kty": "oct", "kid": "1", "k": "secret"})).is_err());
    }
}
