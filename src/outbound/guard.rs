//! Which URLs and addresses may be called.
//!
//! Two checks, because each sees what the other cannot: [`Guard::check`] looks at the URL (scheme, user info, an address
//! written as the host, for which no name is resolved), [`PublicOnly`] at what a name resolves to, at the moment of the
//! connection, so that a name cannot point elsewhere after it was checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use url::Host;

use crate::config;

/// Why a URL may not be called. The text is meant for the one who chose the URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not an absolute URL.
    #[error("expected an absolute https:// URL, found '{0}'")]
    NotAbsolute(String),
    /// A scheme that is never called.
    #[error("expected an https:// URL, found the scheme '{0}'")]
    Scheme(String),
    /// `http:` where the deployment does not allow it.
    #[error("expected an https:// URL: this server sends nothing over unencrypted http://")]
    Unencrypted,
    /// `https://user:password@host`.
    #[error("a URL must not carry a user name or a password; use a header")]
    UserInfo,
    /// Not among the hosts the operator listed.
    #[error("the host '{0}' is not among the hosts this server may call")]
    NotListed(String),
    /// An address that is not public.
    #[error("the host '{0}' is a private, local or reserved address, which this server does not call")]
    NotPublic(String),
}

/// What a deployment decides about calls for one purpose. Each purpose has rules of its own: hosts inside that are opened
/// for notifications are not opened for whoever registers a client.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// Whether `http:` is allowed.
    pub allow_http: bool,
    /// Whether private, loopback and link-local addresses are.
    pub allow_private_addresses: bool,
    /// The only hosts, at whatever address; empty means any.
    pub allowed_hosts: &'a [String],
}

impl<'a> From<&'a config::Delivery> for Rules<'a> {
    fn from(delivery: &'a config::Delivery) -> Self {
        Self {
            allow_http: delivery.allow_http,
            allow_private_addresses: delivery.allow_private_addresses,
            allowed_hosts: &delivery.allowed_hosts,
        }
    }
}

impl<'a> From<&'a config::Registry> for Rules<'a> {
    fn from(registry: &'a config::Registry) -> Self {
        Self {
            allow_http: registry.allow_http,
            allow_private_addresses: registry.allow_private_addresses,
            allowed_hosts: &registry.allowed_hosts,
        }
    }
}

impl<'a> From<&'a config::Federation> for Rules<'a> {
    fn from(federation: &'a config::Federation) -> Self {
        Self {
            allow_http: federation.allow_http,
            allow_private_addresses: federation.allow_private_addresses,
            allowed_hosts: &federation.allowed_hosts,
        }
    }
}

/// The rules for outgoing calls of one purpose.
#[derive(Clone, Debug)]
pub struct Guard {
    allow_http: bool,
    allow_private: bool,
    /// Lower case. When there are any, nothing else is called; a listed host may be at a private address.
    hosts: Vec<String>,
}

impl Guard {
    /// The guard of these rules.
    pub fn new<'a>(rules: impl Into<Rules<'a>>) -> Self {
        let rules = rules.into();
        Self {
            allow_http: rules.allow_http,
            allow_private: rules.allow_private_addresses,
            hosts: rules.allowed_hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
        }
    }

    /// The parsed URL, if the rules allow to call it. A name is judged when it is resolved, not here.
    pub fn check(&self, url: &str) -> Result<Url, Refused> {
        let not_absolute = || Refused::NotAbsolute(url.to_owned());
        let url = Url::parse(url).map_err(|_| not_absolute())?;
        match url.scheme() {
            "https" => {}
            "http" if self.allow_http => {}
            "http" => return Err(Refused::Unencrypted),
            other => return Err(Refused::Scheme(other.to_owned())),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::UserInfo);
        }
        let host = url.host_str().ok_or_else(not_absolute)?.to_owned();
        if !self.hosts.is_empty() {
            return if self.hosts.contains(&host) { Ok(url) } else { Err(Refused::NotListed(host)) };
        }
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            _ => None,
        };
        match literal {
            Some(address) if !self.allow_private && !is_public(address) => Err(Refused::NotPublic(host)),
            _ => Ok(url),
        }
    }

    /// Whether `name` may resolve to any address, private ones included.
    fn trusts(&self, name: &str) -> bool {
        self.allow_private || self.hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
    }
}

/// Resolves names by the operating system and gives only the addresses the guard allows.
pub(super) struct PublicOnly(pub(super) Guard);

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let trusted = self.0.trusts(&name);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let usable: Vec<SocketAddr> = found.filter(|address| trusted || is_public(address.ip())).collect();
            if usable.is_empty() {
                return Err(Refused::NotPublic(name).into());
            }
            Ok(Box::new(usable.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is reachable through the public Internet, by the IANA special-purpose registries (RFC 6890). IPv6
/// forms that carry an IPv4 address are judged by that address.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let reserved = a == 0 // "this network"
        || a >= 240 // reserved, and the limited broadcast
        || (a == 100 && (64..128).contains(&b)) // shared address space of carriers
        || (a, b, c) == (192, 0, 0) // protocol assignments
        || (a, b, c) == (192, 88, 99) // the former 6to4 relays
        || (a == 198 && (b == 18 || b == 19)); // benchmarks
    !(reserved
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = address.to_ipv4_mapped() {
        return is_public_v4(inner);
    }
    let [a, b, ..] = address.segments();
    // Only 2000::/3 is global unicast. Inside it 2001::/23 (Teredo among it), documentation and 6to4 are not for calls.
    // 64:ff9b::/96, which carries IPv4 addresses, lies outside.
    a & 0xe000 == 0x2000 && a != 0x2002 && a != 0x3fff && !(a == 0x2001 && (b < 0x200 || b == 0xdb8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn guard(rules: &str) -> Guard {
        Guard::new(&Config::from_toml(&format!("[delivery]\n{rules}")).unwrap().delivery)
    }

    #[test]
    fn addresses_inside_the_deployment_are_refused_however_they_are_written() {
        let guard = guard("allow_http = true");
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://169.254.169.254/latest/meta-data",
            "http://0/",
            "https://[64:ff9b::10.0.0.1]/",
            "https://[fd00::1]/",
            "https://100.64.0.1/",
        ] {
            assert!(matches!(guard.check(url), Err(Refused::NotPublic(_))), "{url}");
        }
        assert_eq!(guard.check("file:///etc/passwd"), Err(Refused::Scheme("file".into())));
        assert_eq!(guard.check("ftp://poc.example/"), Err(Refused::Scheme("ftp".into())));
        assert_eq!(guard.check("http://user@10.0.0.1/"), Err(Refused::UserInfo));
        for url in ["", "/notify", "poc.example/notify", "https://"] {
            assert_eq!(guard.check(url), Err(Refused::NotAbsolute(url.into())), "{url}");
        }
        assert!(guard.check("https://93.184.216.34/").is_ok());
        assert!(guard.check("http://poc.example:8443/notify?x=1").is_ok());
    }

    #[test]
    fn what_is_opened_for_one_purpose_stays_closed_for_another() {
        let open = "[delivery]\nallow_http = true\nallow_private_addresses = true\n";
        let config = Config::from_toml(open).unwrap();
        assert!(Guard::new(&config.delivery).check("http://10.0.0.1/").is_ok());
        assert_eq!(Guard::new(&config.registry).check("http://10.0.0.1/"), Err(Refused::Unencrypted));
        assert!(Guard::new(&config.registry).check("https://10.0.0.1/").is_err());
    }

    #[test]
    fn http_needs_the_operators_word() {
        assert_eq!(guard("").check("http://poc.example/"), Err(Refused::Unencrypted));
        assert!(guard("").check("https://poc.example/").is_ok());
    }

    #[test]
    fn a_list_of_hosts_admits_these_and_no_other() {
        let guard = guard("allowed_hosts = [\"POC.example\", \"10.0.0.1\"]");
        assert!(guard.check("https://poc.example/").is_ok());
        assert!(guard.check("https://10.0.0.1/").is_ok());
        assert_eq!(guard.check("https://other.example/"), Err(Refused::NotListed("other.example".into())));
    }

    #[test]
    fn special_ranges_are_not_public() {
        for text in [
            "10.1.2.3",
            "172.16.0.1",
            "192.168.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "198.51.100.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "fe80::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:a00:1::",
            "3fff::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in ["8.8.8.8", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "2001:4860:4860::8888"] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[tokio::test]
    async fn a_name_is_judged_by_what_it_resolves_to() {
        let resolve = |rules| PublicOnly(guard(rules)).resolve("localhost".parse().unwrap());
        let refused = resolve("").await.map(Iterator::count).unwrap_err();
        assert_eq!(refused.to_string(), Refused::NotPublic("localhost".into()).to_string());
        assert!(resolve("allow_private_addresses = true").await.unwrap().count() > 0);
        assert!(resolve("allowed_hosts = [\"localhost\"]").await.unwrap().count() > 0);
    }
}
