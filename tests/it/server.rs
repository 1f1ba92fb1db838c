//! The listener: TLS, the peer's address, an orderly end.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use sofa::config::Config;
use sofa::server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

/// `/slow` says when it was entered, and answers when it is let go.
fn router(entered: CancellationToken, let_go: CancellationToken) -> Router {
    let slow = move || async move {
        entered.cancel();
        let_go.cancelled().await;
        "done"
    };
    Router::new()
        .route("/peer", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() }))
        .route("/slow", get(slow))
}

struct Running {
    port: u16,
    shutdown: CancellationToken,
    entered: CancellationToken,
    let_go: CancellationToken,
    served: tokio::task::JoinHandle<anyhow::Result<()>>,
}

fn start(config: Config) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let shutdown = CancellationToken::new();
    let (token, entered, let_go) = (shutdown.clone(), CancellationToken::new(), CancellationToken::new());
    let router = router(entered.clone(), let_go.clone());
    let served = tokio::spawn(async move { server::serve_router(router, &config.server, listener, token).await });
    Running { port, shutdown, entered, let_go, served }
}

/// Sends a ClientHello that offers TLS up to that version only; gives the first two bytes of the answer: the kind of record
/// (21 is an alert, 22 a handshake) and the major version.
async fn offer(port: u16, version: [u8; 2]) -> [u8; 2] {
    // ECDHE with ECDSA: AES-128-GCM-SHA256, AES-128-CBC-SHA.
    let suites = [0, 4, 0xc0, 0x2b, 0xc0, 0x09];
    // Curve P-256, points not compressed, ECDSA with P-256 and SHA-256.
    let extensions = [0, 22, 0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3];
    let body = [&version[..], &[7; 32], &[0], &suites, &[1, 0], &extensions].concat();
    let length = u8::try_from(body.len()).unwrap();
    let hello = [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat();
    let mut line = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    line.write_all(&hello).await.unwrap();
    let mut answer = [0; 2];
    line.read_exact(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_certificate_makes_it_https_with_http2() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let config = format!("[server]\ntls_cert = {:?}\ntls_key = {:?}", cert.display(), key.display());
    let config = Config::for_tests(&config);
    assert!(config.server.public_url.starts_with("https://"));
    let running = start(config);
    let root = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([root]).no_proxy().build().unwrap();
    let answer = client.get(format!("https://localhost:{}/peer", running.port)).send().await.unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    assert_eq!(answer.text().await.unwrap(), "127.0.0.1");
    assert_eq!(offer(running.port, [3, 2]).await, [21, 3], "TLS 1.1 is answered with an alert");
    assert_eq!(offer(running.port, [3, 1]).await, [21, 3], "TLS 1.0 too");
    assert_eq!(offer(running.port, [3, 3]).await, [22, 3], "TLS 1.2 with a handshake");
    let plain = reqwest::get(format!("http://localhost:{}/peer", running.port)).await;
    assert!(plain.is_err(), "no plain HTTP on a TLS port");
}

#[tokio::test]
async fn a_certificate_that_cannot_be_read_is_named() {
    let config = Config::for_tests("[server]\ntls_cert = \"/nonexistent.pem\"\ntls_key = \"/nonexistent.key\"");
    let error = start(config).served.await.unwrap().unwrap_err();
    assert!(format!("{error:#}").contains("server.tls_cert = \"/nonexistent.pem\""), "{error:#}");
}

#[tokio::test]
async fn a_request_in_flight_is_finished_and_a_later_one_refused() {
    let running = start(Config::for_tests(""));
    let url = format!("http://127.0.0.1:{}/slow", running.port);
    let in_flight = tokio::spawn(reqwest::get(url.clone()));
    running.entered.cancelled().await;
    running.shutdown.cancel();
    running.let_go.cancel();
    assert_eq!(in_flight.await.unwrap().unwrap().text().await.unwrap(), "done");
    running.served.await.unwrap().unwrap();
    assert!(reqwest::get(url).await.is_err());
}

#[tokio::test]
async fn the_grace_has_an_end() {
    let running = start(Config::for_tests("[server]\nshutdown_grace = \"100ms\""));
    let in_flight = tokio::spawn(reqwest::get(format!("http://127.0.0.1:{}/slow", running.port)));
    running.entered.cancelled().await;
    let begun = Instant::now();
    running.shutdown.cancel();
    running.served.await.unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(in_flight.await.unwrap().is_err());
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let error = server::bind(taken.local_addr().unwrap()).unwrap_err();
    assert!(error.to_string().contains("--listen"), "{error}");
}
