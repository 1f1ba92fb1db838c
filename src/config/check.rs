//! Contradictions: keys that are well formed each, but not together. A section in a file of its own checks itself there.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Config;
use crate::telemetry;

/// A key and what is wrong with it.
pub(super) struct Wrong {
    pub key: &'static str,
    pub message: String,
}

pub(super) type Checked = Result<(), Wrong>;

pub(super) fn demand(holds: bool, key: &'static str, message: impl Into<String>) -> Checked {
    if holds { Ok(()) } else { Err(Wrong { key, message: message.into() }) }
}

/// Demands that none of these times, named by their keys, is zero.
pub(super) fn longer_than_zero(times: &[(&'static str, Duration)]) -> Checked {
    times.iter().try_for_each(|(key, time)| demand(!time.is_zero(), key, "must be longer than zero"))
}

/// Every rule that one key alone cannot express.
pub(super) fn check(config: &Config) -> Checked {
    server(config)?;
    database(config)?;
    limits(config)?;
    validation(config)?;
    times(config)?;
    config.oauth.check()?;
    config.keys.check()?;
    config.standalone.check()?;
    config.registry.check()?;
    config.accounts.check()?;
    config.federation.check()?;
    let types = config.context.resource_types.iter().flatten();
    for name in types {
        let shaped =
            name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(|c| c.is_ascii_alphabetic());
        demand(shaped, "context.resource_types", format!("{name:?} is not the name of a resource type"))?;
    }
    let filter = telemetry::check_filter(&config.log.filter);
    filter.map_err(|error| Wrong { key: "log.filter", message: error.to_string().replacen("log.filter: ", "", 1) })
}

fn server(config: &Config) -> Checked {
    let server = &config.server;
    let tls = server.tls_cert.is_some();
    demand(!tls || server.tls_key.is_some(), "server.tls_cert", "needs server.tls_key")?;
    demand(tls || server.tls_key.is_none(), "server.tls_key", "needs server.tls_cert")?;
    let key = "server.public_url";
    let url = url::Url::parse(&server.public_url)
        .map_err(|error| Wrong { key, message: format!("{:?} is not an absolute URL: {error}", server.public_url) })?;
    demand(matches!(url.scheme(), "http" | "https") && url.has_host(), key, "must begin with http:// or https://")?;
    demand(!tls || url.scheme() == "https", key, "must begin with https:// when server.tls_cert is set")?;
    demand(!server.public_url.ends_with('/'), key, "must not end with a slash")?;
    let bare =
        url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    demand(bare, key, "must have neither query, fragment nor user")?;
    let safe = url.scheme() == "https" || server.insecure_public_url || is_this_machine(&url);
    let message = "must begin with https:// off this machine: over http everybody on the way reads codes, tokens and \
        patients (server.insecure_public_url = true allows it)";
    demand(safe, key, message)
}

/// Whether only programs of this machine can reach it.
fn is_this_machine(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn database(config: &Config) -> Checked {
    let database = &config.database;
    if let Some(url) = &database.url {
        let known = ["postgres://", "postgresql://"].iter().any(|scheme| url.expose().starts_with(scheme));
        demand(known, "database.url", "must begin with postgres:// or postgresql://")?;
    }
    demand(database.max_connections >= 2, "database.max_connections", "must be at least 2")?;
    let master_key = &config.security.master_key;
    let message = "is needed when database.url is set (make one: head -c 32 /dev/urandom | base64)";
    demand(database.url.is_none() || master_key.is_some(), "security.master_key", message)?;
    if let Some(master_key) = master_key {
        let bytes = STANDARD.decode(master_key.expose()).map(|bytes| bytes.len());
        demand(bytes == Ok(32), "security.master_key", "must be 32 bytes in base64")?;
    }
    Ok(())
}

fn limits(config: &Config) -> Checked {
    demand((4..=256).contains(&config.fhir.max_depth), "fhir.max_depth", "must be from 4 to 256")?;
    demand(config.fhir.max_body_bytes >= 1024, "fhir.max_body_bytes", "must be at least 1024")?;
    demand(config.fhir.max_bundle_entries >= 1, "fhir.max_bundle_entries", "must be at least 1")?;
    demand(config.search.page_size >= 1, "search.page_size", "must be at least 1")?;
    let message = "must be from search.page_size to 10000";
    demand((config.search.page_size..=10_000).contains(&config.search.max_page_size), "search.max_page_size", message)?;
    demand(config.delivery.max_count >= 1, "delivery.max_count", "must be at least 1")
}

fn validation(config: &Config) -> Checked {
    let packages = &config.validation.packages;
    let named = |path: &std::path::PathBuf| format!("{:?} is given twice", path.display().to_string());
    let twice = packages.iter().enumerate().find(|(at, path)| packages[..*at].contains(path));
    demand(twice.is_none(), "validation.packages", twice.map(|(_, path)| named(path)).unwrap_or_default())?;
    let empty = packages.iter().any(|path| path.as_os_str().is_empty());
    demand(!empty, "validation.packages", "must not have an empty path")
}

fn times(config: &Config) -> Checked {
    let Config { server, database, context, delivery, events, .. } = config;
    longer_than_zero(&[
        ("server.request_timeout", server.request_timeout),
        ("database.acquire_timeout", database.acquire_timeout),
        ("database.statement_timeout", database.statement_timeout),
        ("context.ttl", context.ttl),
        ("delivery.timeout", delivery.timeout),
        ("delivery.lock_wait", delivery.lock_wait),
        ("events.retention", events.retention),
    ])?;
    let longest_write = delivery.timeout + delivery.lock_wait;
    let longer = |key, value: Duration, other: &str, than: Duration| {
        let (value_text, than_text) = (humantime_serde::re::humantime::format_duration(value), format_duration(than));
        demand(value > than, key, format!("({value_text}) must be longer than {other} ({than_text})"))
    };
    longer("delivery.lease", delivery.lease, "delivery.timeout", delivery.timeout)?;
    let both = "delivery.timeout and delivery.lock_wait together";
    longer("server.request_timeout", server.request_timeout, both, longest_write)?;
    longer("server.request_timeout", server.request_timeout, "database.acquire_timeout", database.acquire_timeout)?;
    longer("server.request_timeout", server.request_timeout, "database.statement_timeout", database.statement_timeout)?;
    demand(context.launch_window <= context.ttl, "context.launch_window", "must not be longer than context.ttl")
}

fn format_duration(duration: Duration) -> humantime_serde::re::humantime::FormattedDuration {
    humantime_serde::re::humantime::format_duration(duration)
}
