//! Who sent a request, as a network address: the TCP peer, or whom a trusted proxy names.
//!
//! Every entry of `X-Forwarded-For` was written by the hop behind it, so the list is believed from its end, and only as far
//! as the hops are this deployment's own (`server.trusted_proxies`): anything further left may be invented. The header of
//! a peer that is not trusted is not looked at. `Forwarded` (RFC 7239) is not looked at either: a gateway that writes one
//! of the two passes the other through as the client sent it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Extensions, HeaderMap, HeaderName};
use axum::middleware::Next;
use axum::response::Response;
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of a request's sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Finds out who sent each request.
pub async fn middleware(State(trusted): State<Arc<[IpNet]>>, mut request: Request, next: Next) -> Response {
    if let Some(ConnectInfo(tcp)) = request.extensions().get::<ConnectInfo<SocketAddr>>().copied() {
        let address = sender(tcp.ip(), request.headers(), &trusted);
        request.extensions_mut().insert(Peer(address));
    }
    next.run(request).await
}

/// The sender's address. Where the server does not know it, all senders count as one.
pub fn of(extensions: &Extensions) -> IpAddr {
    extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Peer(address)| *address)
}

/// What is counted as one sender: an IPv4 address, or the 64 bits of an IPv6 address that a network is given; the rest of
/// it anybody chooses anew for every request.
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

fn sender(tcp: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut sender = tcp.to_canonical();
    let lists: Vec<&str> = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    let mut hops = lists.iter().rev().flat_map(|list| list.rsplit(','));
    while trusted.iter().any(|network| network.contains(&sender)) {
        // A hop that cannot be read ends what is known.
        let Some(before) = hops.next().and_then(hop) else { break };
        sender = before;
    }
    sender
}

/// One entry: an address, with brackets and port as some gateways write it.
fn hop(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = text.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.ok().or_else(bare).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn sent_by(tcp: &str, lists: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for list in lists {
            headers.append(FORWARDED_FOR, HeaderValue::from_str(list).unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        sender(tcp.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn the_header_of_a_peer_that_is_not_trusted_is_ignored() {
        for trusted in [&[][..], &["10.0.0.0/8"], &["203.0.113.8/32"]] {
            assert_eq!(sent_by("203.0.113.9", &["198.51.100.1"], trusted), "203.0.113.9", "{trusted:?}");
        }
    }

    #[test]
    fn the_last_hop_that_is_not_trusted_is_the_sender() {
        let trusted = &["10.0.0.0/8", "2001:db8::/32"];
        for (lists, sender) in [
            (&[][..], "10.0.0.1"),
            (&["198.51.100.1"], "198.51.100.1"),
            (&["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
            (&["6.6.6.6,198.51.100.1, 10.1.1.1"], "198.51.100.1"),
            (&["6.6.6.6", "198.51.100.1, 10.1.1.1"], "198.51.100.1"),
            (&["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
            (&["198.51.100.1:4711"], "198.51.100.1"),
            (&["2001:db9::7"], "2001:db9::7"),
            (&["[2001:db9::7]:4711"], "2001:db9::7"),
            (&["[2001:db9::7], 2001:db8::1"], "2001:db9::7"),
            (&["::ffff:198.51.100.1"], "198.51.100.1"),
        ] {
            assert_eq!(sent_by("10.0.0.1", lists, trusted), sender, "{lists:?}");
        }
        assert_eq!(sent_by("::ffff:10.0.0.1", &["198.51.100.1"], trusted), "198.51.100.1");
    }

    #[test]
    fn a_hop_that_cannot_be_read_ends_what_is_known() {
        for list in ["", "unknown", "198.51.100.1, unknown", "198.51.100.1,", "_hidden", "1.2.3", "a:b", "[]"] {
            assert_eq!(sent_by("10.0.0.1", &[list], &["10.0.0.0/8"]), "10.0.0.1", "{list}");
        }
    }

    #[test]
    fn a_network_of_version_6_is_one_sender() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("2001:db8:1:2:ffff::1"), "2001:db8:1:2::");
        assert_eq!(network("198.51.100.1"), "198.51.100.1");
    }
}
