//! Client metadata (RFC 7591 section 2) as a client sends it when it registers itself, and what is usual for each role.

use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::client::{AuthMethod, Role};
use super::scope::ScopeSet;

/// The longest name people are shown.
const LONGEST_NAME: usize = 100;
/// No authorization request may name a longer redirect URI; in bytes.
const LONGEST_ADDRESS: usize = 2048;
/// No authorization request may ask for a longer scope; in bytes.
const LONGEST_SCOPE: usize = 8192;
/// More addresses than any client needs.
const MOST_ADDRESSES: usize = 20;

/// What a client may say of itself. Members that are not understood are ignored, as the standard demands.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Metadata {
    pub redirect_uris: Vec<String>,
    pub token_endpoint_auth_method: Option<String>,
    pub grant_types: Option<Vec<String>>,
    pub response_types: Option<Vec<String>>,
    pub client_name: Option<String>,
    pub scope: Option<String>,
    pub jwks: Option<Value>,
    pub jwks_uri: Option<String>,
    /// Where it can be launched (OpenID Connect Dynamic Client Registration 1.0 section 2).
    pub initiate_login_uri: Option<String>,
    pub post_logout_redirect_uris: Vec<String>,
    pub backchannel_logout_uri: Option<String>,
    pub software_statement: Option<String>,
}

/// Why metadata is refused; the text is meant for the developer of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    #[error("software statements are not accepted")]
    SoftwareStatement,
    #[error("token_endpoint_auth_method must be none, client_secret_basic or private_key_jwt")]
    AuthMethod,
    #[error("grant_types holds one that this kind of client cannot use: {0} can be used")]
    GrantTypes(&'static str),
    #[error("response_types must be [\"code\"], or empty for a client that uses no browser")]
    ResponseTypes,
    #[error("client_name must have 1 to {LONGEST_NAME} printable characters, and no brackets")]
    Name,
    #[error("more than {MOST_ADDRESSES} addresses")]
    TooManyAddresses,
    #[error("an address is longer than {LONGEST_ADDRESS} bytes")]
    LongAddress,
    #[error("the scope is longer than {LONGEST_SCOPE} bytes")]
    LongScope,
    #[error("nothing of the scope can be registered")]
    Scope,
}

impl Metadata {
    /// The method; HTTP Basic where none is named.
    pub fn auth_method(&self) -> Result<AuthMethod, MetadataError> {
        let named = self.token_endpoint_auth_method.as_deref();
        named.map_or(Some(AuthMethod::ClientSecretBasic), AuthMethod::parse).ok_or(MetadataError::AuthMethod)
    }

    /// Refuses what cannot be kept to, whatever else the registration says.
    pub fn check(&self, role: Role) -> Result<(), MetadataError> {
        if self.software_statement.is_some() {
            return Err(MetadataError::SoftwareStatement);
        }
        let usable = grant_types(role, self.auth_method()?);
        if self.grant_types.iter().flatten().any(|asked| !usable.contains(&asked.as_str())) {
            return Err(MetadataError::GrantTypes(match role {
                Role::App => "authorization_code, refresh_token",
                Role::Poc => "authorization_code, refresh_token, with private_key_jwt client_credentials too",
                Role::Service => "client_credentials",
            }));
        }
        if self.response_types.iter().flatten().any(|asked| role == Role::Service || asked != "code") {
            return Err(MetadataError::ResponseTypes);
        }
        if !self.client_name.as_deref().is_none_or(is_name) {
            return Err(MetadataError::Name);
        }
        if self.redirect_uris.len() > MOST_ADDRESSES || self.post_logout_redirect_uris.len() > MOST_ADDRESSES {
            return Err(MetadataError::TooManyAddresses);
        }
        let others = [&self.jwks_uri, &self.initiate_login_uri, &self.backchannel_logout_uri];
        let lists = self.redirect_uris.iter().chain(&self.post_logout_redirect_uris);
        if lists.chain(others.into_iter().flatten()).any(|address| address.len() > LONGEST_ADDRESS) {
            return Err(MetadataError::LongAddress);
        }
        if self.scope.as_ref().is_some_and(|scope| scope.len() > LONGEST_SCOPE) {
            return Err(MetadataError::LongScope);
        }
        Ok(())
    }

    /// What is registered of the scope: as far as `widest` goes, all of that where none is named.
    pub fn scope_within(&self, widest: &str) -> Result<String, MetadataError> {
        let widest = ScopeSet::parse(widest);
        let scope = match &self.scope {
            None => widest,
            Some(asked) => ScopeSet::parse(asked).within(&widest),
        };
        if scope.is_empty() { Err(MetadataError::Scope) } else { Ok(scope.to_string()) }
    }
}

/// What is unseen could turn round the text around the name, and a name with an address in parentheses could be taken for
/// one beside which this server wrote the address.
static MISLEADING: LazyLock<Result<Regex, regex::Error>> =
    LazyLock::new(|| Regex::new(r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Ps}\p{Pe}]"));

fn is_name(name: &str) -> bool {
    let is_plain = MISLEADING.as_ref().is_ok_and(|misleading| !misleading.is_match(name));
    (1..=LONGEST_NAME).contains(&name.chars().count()) && is_plain && !name.trim().is_empty()
}

/// The grant types that a client of the role can use: to act for itself it signs.
pub const fn grant_types(role: Role, auth_method: AuthMethod) -> &'static [&'static str] {
    match (role, auth_method) {
        (Role::Poc, AuthMethod::PrivateKeyJwt) => &["authorization_code", "refresh_token", "client_credentials"],
        (Role::App | Role::Poc, _) => &["authorization_code", "refresh_token"],
        (Role::Service, _) => &["client_credentials"],
    }
}

/// The scope a client of the role usually needs. An app gets nothing of `user/`, which no patient limits: whoever needs it
/// says so.
pub const fn usual_scope(role: Role) -> &'static str {
    match role {
        Role::App => {
            "launch launch/patient launch/encounter openid fhirUser profile offline_access online_access patient/*.cruds"
        }
        Role::Poc => "Context.write system/*.rs system/Subscription.crud",
        Role::Service => "system/*.rs",
    }
}

/// The web origins of the redirect URIs that have one.
pub fn origins_of(redirect_uris: &[String]) -> Vec<String> {
    let urls = redirect_uris.iter().filter_map(|uri| Url::parse(uri).ok());
    let origins = urls.map(|url| url.origin()).filter(url::Origin::is_tuple);
    let mut origins: Vec<String> = origins.map(|origin| origin.ascii_serialization()).collect();
    origins.sort();
    origins.dedup();
    origins
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(metadata: Value) -> Metadata {
        serde_json::from_value(metadata).unwrap()
    }

    #[test]
    fn what_is_not_said_is_as_the_standard_has_it() {
        let empty = read(json!({"logo_uri": "https://app.example/logo.png"}));
        assert_eq!(empty.auth_method(), Ok(AuthMethod::ClientSecretBasic));
        assert_eq!(empty.check(Role::App), Ok(()));
        assert_eq!(empty.scope_within("openid launch").as_deref(), Ok("openid launch"));
    }

    #[test]
    fn a_scope_is_cut_to_what_may_be_registered() {
        let scope = |asked: &str| read(json!({ "scope": asked })).scope_within("launch openid patient/*.rs");
        assert_eq!(scope("openid patient/Observation.cruds user/*.rs").as_deref(), Ok("openid patient/Observation.rs"));
        assert_eq!(scope("user/*.rs system/*.rs"), Err(MetadataError::Scope));
        assert_eq!(scope("nonsense"), Err(MetadataError::Scope));
    }

    #[test]
    fn what_cannot_be_kept_to_is_refused() {
        let long_address = format!("https://a.example/{}", "x".repeat(2048));
        for (metadata, role, expected) in [
            (json!({"software_statement": "a.b.c"}), Role::App, MetadataError::SoftwareStatement),
            (
                json!({"grant_types": ["implicit"]}),
                Role::App,
                MetadataError::GrantTypes("authorization_code, refresh_token"),
            ),
            (
                json!({"grant_types": ["client_credentials"]}),
                Role::App,
                MetadataError::GrantTypes("authorization_code, refresh_token"),
            ),
            (
                json!({"grant_types": ["authorization_code"]}),
                Role::Service,
                MetadataError::GrantTypes("client_credentials"),
            ),
            (json!({"response_types": ["token"]}), Role::App, MetadataError::ResponseTypes),
            (json!({"response_types": ["code"]}), Role::Service, MetadataError::ResponseTypes),
            (json!({"client_name": ""}), Role::App, MetadataError::Name),
            (json!({"client_name": "  "}), Role::App, MetadataError::Name),
            (json!({"client_name": "a\u{0}b"}), Role::App, MetadataError::Name),
            (json!({"client_name": "x".repeat(101)}), Role::App, MetadataError::Name),
            (json!({"client_name": "Growth \u{202e}"}), Role::App, MetadataError::Name),
            (json!({"client_name": "Growth\u{2066}"}), Role::App, MetadataError::Name),
            (json!({"client_name": "Gro\u{200b}wth"}), Role::App, MetadataError::Name),
            (json!({"client_name": "Growth\u{2028}"}), Role::App, MetadataError::Name),
            (json!({"client_name": "Growth (hospital.example)"}), Role::App, MetadataError::Name),
            (json!({"client_name": "Growth （hospital.example）"}), Role::App, MetadataError::Name),
            (
                json!({"grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_basic"}),
                Role::Poc,
                MetadataError::GrantTypes(
                    "authorization_code, refresh_token, with private_key_jwt client_credentials too",
                ),
            ),
            (json!({"redirect_uris": vec!["https://a.example/"; 21]}), Role::App, MetadataError::TooManyAddresses),
            (json!({"redirect_uris": [long_address.clone()]}), Role::App, MetadataError::LongAddress),
            (json!({"post_logout_redirect_uris": [long_address.clone()]}), Role::App, MetadataError::LongAddress),
            (json!({"initiate_login_uri": long_address}), Role::App, MetadataError::LongAddress),
            (json!({"scope": "openid ".repeat(1171)}), Role::App, MetadataError::LongScope),
        ] {
            assert_eq!(read(metadata.clone()).check(role), Err(expected), "{metadata}");
        }
        for bad in ["client_secret_post", "client_secret_jwt", "tls_client_auth", ""] {
            let metadata = read(json!({ "token_endpoint_auth_method": bad }));
            assert_eq!(metadata.auth_method(), Err(MetadataError::AuthMethod), "{bad}");
        }
        let fine = json!({"grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"], "client_name": "Café"});
        assert_eq!(read(fine).check(Role::App), Ok(()));
        let signs = json!({"grant_types": ["client_credentials"], "token_endpoint_auth_method": "private_key_jwt"});
        assert_eq!(read(signs).check(Role::Poc), Ok(()));
    }

    #[test]
    fn origins_are_those_of_the_redirect_uris_that_have_one() {
        let uris = ["https://b.example/x", "com.example.app:/cb", "https://a.example:8443/cb", "https://b.example/y"];
        let uris: Vec<String> = uris.map(str::to_owned).to_vec();
        assert_eq!(origins_of(&uris), ["https://a.example:8443", "https://b.example"]);
    }
}
