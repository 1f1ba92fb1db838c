//! `sofa healthcheck`: asks the server of this configuration, on this machine, for `/readyz`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::config::Config;

/// Docker's own limit is longer; an answer that takes this long is none.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn run(config: Config) -> Result<()> {
    let tls = config.server.tls_cert.is_some();
    let url = format!("{}://{}/readyz", if tls { "https" } else { "http" }, reachable(config.server.listen));
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        // The certificate names the public host, and this asks the listener on this machine.
        .tls_danger_accept_invalid_certs(true)
        .build()?;
    let answer = client.get(&url).send().await.with_context(|| format!("no answer from {url}"))?;
    let status = answer.status();
    if !status.is_success() {
        bail!("{url} says {status}: {}", answer.text().await.unwrap_or_default().trim());
    }
    println!("ready");
    Ok(())
}

/// An address to connect to: a listener on every interface is reached through loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_interface_is_asked_through_loopback() {
        for (listen, asked) in
            [("0.0.0.0:8080", "127.0.0.1:8080"), ("[::]:8080", "[::1]:8080"), ("10.0.0.7:80", "10.0.0.7:80")]
        {
            assert_eq!(reachable(listen.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
