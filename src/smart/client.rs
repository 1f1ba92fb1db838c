//! What a client is, and what a registration must hold (SMART App Launch 2.1.0, "Registering"; RFC 7591 names).

use serde_json::Value;
use url::Url;

use super::jwks::{self, JwksError};
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

/// How a client was registered; decides who may change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// By an operator's command.
    Cli,
    /// By the configuration file.
    Config,
    /// By itself, over HTTP (RFC 7591). Nobody looked at its redirect URIs.
    Dynamic,
}

impl Source {
    /// The word stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cli => "cli",
            Self::Config => "config",
            Self::Dynamic => "dynamic",
        }
    }

    /// The source of a word; `None` for any other word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Cli, Self::Config, Self::Dynamic].into_iter().find(|source| source.as_str() == word)
    }
}

/// Why a registration is refused; the text is meant for the person who registers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    #[error("a client id is 1 to 200 printable ASCII characters without spaces or ':'")]
    ClientId,
    /// The `sub` of people is a UUID: a client's must not be taken for one (RFC 9700 section 4.15).
    #[error("a client id must not look like a UUID: such are the ids of people")]
    ClientIdOfPeople,
    #[error("an app needs at least one redirect URI")]
    NoRedirect,
    #[error("a service uses no browser and takes no redirect URI")]
    ServiceRedirect,
    #[error(
        "redirect URI {0}: not an absolute URI without fragment, https or an app's own scheme as in com.example.app:/path (http only for this machine)"
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
    #[error("private_key_jwt needs either a JWKS or a jwks_uri; the other methods take neither")]
    Keys,
    #[error("jwks_uri {0}: not an absolute https URL without fragment and user")]
    JwksUri(String),
    #[error("JWKS: {0}")]
    Jwks(#[from] JwksError),
    #[error("launch URL {0}: not an absolute https URL without fragment and user (http only for this machine)")]
    LaunchUrl(String),
    #[error("only an app has launch URLs")]
    NotLaunched,
    #[error("only a PoC shows this server's pages in frames")]
    NoFrames,
    #[error("backchannel_logout_uri {0}: not an absolute https URL without fragment and user")]
    LogoutUri(String),
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
    pub launch_urls: &'a [String],
    pub frame_ancestors: &'a [String],
    pub post_logout_redirect_uris: &'a [String],
    pub backchannel_logout_uri: Option<&'a str>,
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
        if uuid::Uuid::try_parse(id).is_ok() {
            return Err(RegistrationError::ClientIdOfPeople);
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
        match (self.auth_method, self.jwks, self.jwks_uri) {
            (AuthMethod::PrivateKeyJwt, Some(jwks), None) => Ok(jwks::check(jwks)?),
            (AuthMethod::PrivateKeyJwt, None, Some(uri)) if is_server_url(uri) => Ok(()),
            (AuthMethod::PrivateKeyJwt, None, Some(uri)) => Err(RegistrationError::JwksUri(uri.to_owned())),
            (AuthMethod::None | AuthMethod::ClientSecretBasic, None, None) => Ok(()),
            _ => Err(RegistrationError::Keys),
        }
    }

    fn check_addresses(&self) -> Result<(), RegistrationError> {
        match self.role {
            Role::App if self.redirect_uris.is_empty() => return Err(RegistrationError::NoRedirect),
            Role::Service if !self.redirect_uris.is_empty() => return Err(RegistrationError::ServiceRedirect),
            _ => {}
        }
        if self.role != Role::App && !self.launch_urls.is_empty() {
            return Err(RegistrationError::NotLaunched);
        }
        if self.role != Role::Poc && !self.frame_ancestors.is_empty() {
            return Err(RegistrationError::NoFrames);
        }
        let is_page = |uri: &&String| is_server_url(uri) && redirect_is_acceptable(uri);
        if let Some(url) = self.launch_urls.iter().find(|url| !is_page(url)) {
            return Err(RegistrationError::LaunchUrl(url.clone()));
        }
        if let Some(uri) = self.backchannel_logout_uri.filter(|uri| !is_server_url(uri)) {
            return Err(RegistrationError::LogoutUri(uri.to_owned()));
        }
        if let Some(uri) = self.post_logout_redirect_uris.iter().find(|uri| !redirect_is_acceptable(uri)) {
            return Err(RegistrationError::Redirect(uri.clone()));
        }
        for uri in self.redirect_uris {
            let pattern = self.loopback_redirects && LOOPBACK_PATTERNS.contains(&uri.as_str());
            if !pattern && !redirect_is_acceptable(uri) {
                return Err(RegistrationError::Redirect(uri.clone()));
            }
        }
        let is_origin = |text: &str| Url::parse(text).is_ok_and(|url| url.origin().ascii_serialization() == text);
        match self.origins.iter().chain(self.frame_ancestors).find(|origin| !is_origin(origin)) {
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

/// https anywhere, http on this machine only, or a private-use scheme (RFC 8252 section 7.1: it holds a '.', and names no
/// host: `com.example.app:/path`).
fn redirect_is_acceptable(uri: &str) -> bool {
    let Ok(url) = Url::parse(uri) else { return false };
    let scheme_is_fine = match url.scheme() {
        "https" => true,
        // Plain http to another machine would carry the code in the clear; `.test` never resolves outside a laboratory.
        "http" => url.host_str().is_some_and(|host| is_this_machine(host) || host.ends_with(".test")),
        scheme => scheme.contains('.') && !url.has_authority(),
    };
    scheme_is_fine
        && url.fragment().is_none()
        && !uri.contains('*')
        && url.username().is_empty()
        && is_visible_ascii(uri)
}

/// Where an answer goes, as far as a person can judge it: the host, with its port where that is not the usual one, or the
/// scheme that an app claims on its device (`com.example.app:`). The rest of such an address is the app's own invention:
/// in `com.example.app://hospital.example/` nothing leads to that host.
pub fn destination(redirect_uri: &str) -> String {
    let Ok(url) = Url::parse(redirect_uri) else { return String::new() };
    match (url.scheme(), url.host_str(), url.port()) {
        ("https" | "http", Some(host), None) => host.to_owned(),
        ("https" | "http", Some(host), Some(port)) => format!("{host}:{port}"),
        (scheme, ..) => format!("{scheme}:"),
    }
}

/// Whether any program of a device can claim to be the one that answers there: an app's own scheme, or a port of the
/// device itself (RFC 8252 section 8.6).
pub fn may_be_claimed(redirect_uri: &str) -> bool {
    let Ok(url) = Url::parse(redirect_uri) else { return true };
    match url.scheme() {
        "https" => false,
        "http" => url.host_str().is_some_and(is_this_machine),
        _ => true,
    }
}

fn is_this_machine(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]") || host.ends_with(".localhost")
}

/// A URL that this server, or a person, may call. Whether `http:` may be called is for the deployment's rules to say.
fn is_server_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "https" | "http")
            && url.has_host()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
            && is_visible_ascii(text)
    })
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
            launch_urls: &[],
            frame_ancestors: &[],
            post_logout_redirect_uris: &[],
            backchannel_logout_uri: None,
        }
    }

    #[test]
    fn an_app_without_redirect_uri_is_refused() {
        assert_eq!(app(&[]).check(), Err(RegistrationError::NoRedirect));
        assert_eq!(app(&["https://app.example/cb".into()]).check(), Ok(()));
    }

    #[test]
    fn redirect_uris_that_would_leak_a_code_are_refused() {
        for bad in [
            "http://app.example/cb",
            "https://app.example/cb#x",
            "/cb",
            "javascript:alert(1)",
            "http://127.0.0.1:*",
            "com.example.app://hospital.example/cb",
            "com.example.app:///cb",
        ] {
            let uris = [bad.to_owned()];
            assert_eq!(app(&uris).check(), Err(RegistrationError::Redirect(bad.to_owned())), "{bad}");
        }
    }

    #[test]
    fn the_destination_is_a_host_only_where_one_is_asked() {
        for (uri, told) in [
            ("https://app.example/cb?x=1", "app.example"),
            ("https://app.example:8443/cb", "app.example:8443"),
            ("http://127.0.0.1:9000/cb", "127.0.0.1:9000"),
            ("com.example.app:/cb", "com.example.app:"),
            ("com.evil.app://hospital.example/cb", "com.evil.app:"),
        ] {
            assert_eq!(destination(uri), told);
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
    fn keys_come_by_value_or_by_url_and_never_both() {
        let jwks =
            json!({"keys": [{"kty": "EC", "kid": "1", "crv": "P-384", "x": "7".repeat(64), "y": "7".repeat(64)}]});
        let uris = ["https://app.example/cb".to_owned()];
        let check = |jwks, jwks_uri| {
            let auth_method = AuthMethod::PrivateKeyJwt;
            Registration { auth_method, jwks, jwks_uri, ..app(&uris) }.check()
        };
        assert_eq!(check(Some(&jwks), None), Ok(()));
        assert_eq!(check(None, Some("https://app.example/jwks.json?x=1")), Ok(()));
        assert_eq!(check(None, None), Err(RegistrationError::Keys));
        assert_eq!(check(Some(&jwks), Some("https://app.example/jwks")), Err(RegistrationError::Keys));
        for bad in ["", "/jwks", "ftp://a.example/", "https://u@a.example/", "https://a.example/#x", "file:///etc/x"] {
            assert_eq!(check(None, Some(bad)), Err(RegistrationError::JwksUri(bad.into())), "{bad}");
        }
        let public = Registration { jwks_uri: Some("https://app.example/jwks"), ..app(&uris) };
        assert_eq!(public.check(), Err(RegistrationError::Keys));
    }

    #[test]
    fn a_key_set_without_kid_or_with_private_parts_is_refused() {
        let uris = ["https://app.example/cb".to_owned()];
        for key in [
            json!({"kty": "EC", "crv": "P-384", "x": "7".repeat(64), "y": "7".repeat(64)}),
            json!({"kty": "EC", "kid": "1", "crv": "P-384", "x": "7".repeat(64), "y": "7".repeat(64), "d": "secret"}),
            json!({"kty": "EC", "kid": "1", "crv": "P-256", "x": "7".repeat(43), "y": "7".repeat(43)}),
            json!({"kty": "oct", "kid": "1", "k": "secret"}),
        ] {
            let jwks = json!({ "keys": [key] });
            let signing = Registration { auth_method: AuthMethod::PrivateKeyJwt, jwks: Some(&jwks), ..app(&uris) };
            assert!(matches!(signing.check(), Err(RegistrationError::Jwks(JwksError::Key(1, _)))), "{jwks}");
        }
    }

    #[test]
    fn a_client_id_that_could_be_a_persons_is_refused() {
        let uris = ["https://app.example/cb".to_owned()];
        let check = |client_id| Registration { client_id, ..app(&uris) }.check();
        for bad in ["0190a5f0-7b3e-7cc2-a3b4-0123456789ab", "0190A5F07B3E7CC2A3B40123456789AB"] {
            assert_eq!(check(bad), Err(RegistrationError::ClientIdOfPeople), "{bad}");
        }
        assert_eq!(check("app-0190a5f0-7b3e-7cc2-a3b4-0123456789ab"), Ok(()));
    }

    #[test]
    fn launch_urls_are_an_apps_and_frames_a_point_of_care_systems() {
        let uris = ["https://app.example/cb".to_owned()];
        let (good, origins) = (["https://app.example/launch".to_owned()], ["https://emr.example".to_owned()]);
        assert_eq!(Registration { launch_urls: &good, ..app(&uris) }.check(), Ok(()));
        assert_eq!(Registration { frame_ancestors: &origins, ..app(&uris) }.check(), Err(RegistrationError::NoFrames));
        let poc = Registration {
            role: Role::Poc,
            tenant: 7,
            auth_method: AuthMethod::ClientSecretBasic,
            has_secret: true,
            ..app(&uris)
        };
        assert_eq!(Registration { frame_ancestors: &origins, ..poc }.check(), Ok(()));
        assert_eq!(Registration { launch_urls: &good, ..poc }.check(), Err(RegistrationError::NotLaunched));
        let no_origin = ["https://emr.example/path".to_owned()];
        assert!(matches!(
            Registration { frame_ancestors: &no_origin, ..poc }.check(),
            Err(RegistrationError::Origin(_))
        ));
        for bad in ["http://app.example/launch", "launch", "https://app.example/#launch", "com.example.app:/launch"] {
            let urls = [bad.to_owned()];
            let checked = Registration { launch_urls: &urls, ..app(&uris) }.check();
            assert_eq!(checked, Err(RegistrationError::LaunchUrl(bad.into())), "{bad}");
        }
    }

    #[test]
    fn addresses_after_signing_out_are_as_strict_as_redirect_uris() {
        let uris = ["https://app.example/cb".to_owned()];
        for bad in ["http://app.example/out", "https://app.example/#out", "out"] {
            let out = [bad.to_owned()];
            let checked = Registration { post_logout_redirect_uris: &out, ..app(&uris) }.check();
            assert_eq!(checked, Err(RegistrationError::Redirect(bad.into())), "{bad}");
        }
        let checked = Registration { backchannel_logout_uri: Some("app:/out"), ..app(&uris) }.check();
        assert_eq!(checked, Err(RegistrationError::LogoutUri("app:/out".into())));
    }
}
