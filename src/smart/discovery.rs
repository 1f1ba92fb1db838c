//! The two discovery documents: what is listed here works, and a test probes each entry.

use serde_json::{Value, json};

use super::pkce;
use super::scope::{CLEAR_CONTEXT, SET_CONTEXT};

/// SMART capabilities (App Launch 2.1.0, "Conformance"). Together they hold the sets "Clinician Access for EHR Launch" and
/// "Patient Access for EHR Launch".
const CAPABILITIES: [&str; 16] = [
    "launch-ehr",
    "authorize-post",
    "client-public",
    "client-confidential-symmetric",
    "client-confidential-asymmetric",
    "sso-openid-connect",
    "context-banner",
    "context-style",
    "context-ehr-patient",
    "context-ehr-encounter",
    "permission-offline",
    "permission-online",
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
];
/// With launches that begin at the app: the two sets for standalone apps.
const STANDALONE: [&str; 3] = ["launch-standalone", "context-standalone-patient", "context-standalone-encounter"];
/// `Context.write`, which stands for the last two, is understood and not advertised: a server's own scopes are full URIs.
const SCOPES: [&str; 13] = [
    "openid",
    "fhirUser",
    "profile",
    "launch",
    "launch/patient",
    "launch/encounter",
    "offline_access",
    "online_access",
    "patient/*.cruds",
    "user/*.cruds",
    "system/*.cruds",
    SET_CONTEXT,
    CLEAR_CONTEXT,
];
const GRANT_TYPES: [&str; 3] = ["authorization_code", "refresh_token", "client_credentials"];
/// SMART's list names only proofs; OpenID Connect's also names their absence.
const PROOFS: [&str; 2] = ["client_secret_basic", "private_key_jwt"];
const AUTH_METHODS: [&str; 3] = ["none", "client_secret_basic", "private_key_jwt"];
const ASSERTION_ALGORITHMS: [&str; 2] = ["RS384", "ES384"];

/// `[base]/.well-known/smart-configuration`. `issuer` is the server's public URL, without a slash at the end; `standalone`:
/// whether a launch may begin at the app.
pub fn smart_configuration(issuer: &str, standalone: bool) -> Value {
    let mut document = shared(issuer);
    let more: &[&str] = if standalone { &STANDALONE } else { &[] };
    document["capabilities"] = json!([&CAPABILITIES, more].concat());
    document
}

/// `[issuer]/.well-known/openid-configuration` (OpenID Connect Discovery 1.0 section 3).
pub fn openid_configuration(issuer: &str) -> Value {
    let mut document = shared(issuer);
    document["userinfo_endpoint"] = json!(format!("{issuer}/userinfo"));
    document["token_endpoint_auth_methods_supported"] = json!(AUTH_METHODS);
    document["response_modes_supported"] = json!(["query"]);
    document["end_session_endpoint"] = json!(format!("{issuer}/logout"));
    document["backchannel_logout_supported"] = json!(true);
    document["backchannel_logout_session_supported"] = json!(true);
    document["subject_types_supported"] = json!(["public"]);
    document["id_token_signing_alg_values_supported"] = json!(["RS256"]);
    document["claims_supported"] = json!([
        "iss",
        "sub",
        "aud",
        "exp",
        "iat",
        "auth_time",
        "nonce",
        "sid",
        "fhirUser",
        "name",
        "preferred_username"
    ]);
    document["prompt_values_supported"] = json!(["none", "login", "select_account", "consent"]);
    document["ui_locales_supported"] = json!(["en", "fr"]);
    document["claims_parameter_supported"] = json!(false);
    document["request_parameter_supported"] = json!(false);
    document["request_uri_parameter_supported"] = json!(false);
    document
}

fn shared(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/jwks"),
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "introspection_endpoint": format!("{issuer}/introspect"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "management_endpoint": format!("{issuer}/manage"),
        "grant_types_supported": GRANT_TYPES,
        "response_types_supported": ["code"],
        "scopes_supported": SCOPES,
        "code_challenge_methods_supported": [pkce::METHOD],
        "authorization_response_iss_parameter_supported": true,
        "token_endpoint_auth_methods_supported": PROOFS,
        "token_endpoint_auth_signing_alg_values_supported": ASSERTION_ALGORITHMS,
        "introspection_endpoint_auth_methods_supported": AUTH_METHODS,
        "introspection_endpoint_auth_signing_alg_values_supported": ASSERTION_ALGORITHMS,
        "revocation_endpoint_auth_methods_supported": AUTH_METHODS,
        "revocation_endpoint_auth_signing_alg_values_supported": ASSERTION_ALGORITHMS,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smart::scope::ScopeSet;

    #[test]
    fn every_advertised_scope_is_understood() {
        for scope in SCOPES {
            assert_eq!(ScopeSet::parse(scope).to_string(), scope);
        }
    }

    #[test]
    fn a_scope_that_no_standard_defines_is_a_full_uri() {
        let is_standard = |scope: &str| {
            ["openid", "fhirUser", "profile", "launch", "offline_access", "online_access"].contains(&scope)
                || ["launch/", "patient/", "user/", "system/"].iter().any(|start| scope.starts_with(start))
        };
        let own: Vec<_> = SCOPES.into_iter().filter(|scope| !is_standard(scope)).collect();
        assert_eq!(own, [SET_CONTEXT, CLEAR_CONTEXT]);
        assert!(own.iter().all(|scope| url::Url::parse(scope).is_ok_and(|url| url.has_host())));
    }

    #[test]
    fn every_endpoint_is_absolute_and_the_issuer_is_the_same_in_both() {
        let (smart, openid) =
            (smart_configuration("https://sofa.example", true), openid_configuration("https://sofa.example"));
        assert_eq!(smart["issuer"], openid["issuer"]);
        for (name, value) in smart.as_object().unwrap() {
            if name.ends_with("_endpoint") || name == "jwks_uri" {
                assert!(value.as_str().unwrap().starts_with("https://sofa.example/"), "{name}");
            }
        }
        assert_eq!(smart["code_challenge_methods_supported"], json!(["S256"]));
    }
}
