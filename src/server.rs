//! The listener: plain HTTP or TLS, and an orderly end.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum_server::Handle;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::config;

/// How long a client may take to send the head of a request, and to shake hands.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// Chooses the cryptography of every TLS connection of this process. May be called again.
pub fn install_crypto() {
    let _already_chosen = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Opens the listening socket.
pub fn bind(address: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(address).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => " (another program listens there: choose another with --listen)",
            std::io::ErrorKind::PermissionDenied => " (ports below 1024 need rights this user has not)",
            _ => "",
        };
        anyhow::anyhow!("cannot listen on {address}: {error}{hint}")
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves the whole program until `shutdown`. Its background loops are the caller's to start.
pub async fn serve(app: App, listener: TcpListener, shutdown: CancellationToken) -> Result<()> {
    serve_router(app.router(), &app.config.server, listener, shutdown).await
}

/// Serves `router` until `shutdown`; then takes no more connections and gives requests in flight `shutdown_grace`.
///
/// Every request carries `ConnectInfo<SocketAddr>`.
pub async fn serve_router(
    router: Router,
    server: &config::Server,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<()> {
    install_crypto();
    listener.set_nonblocking(true)?;
    let handle = Handle::new();
    let ending = end_on(shutdown, handle.clone(), server.shutdown_grace);
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let mut listening = axum_server::from_tcp(listener)?
        .handle(handle)
        .first_request_timeout(HEAD_TIMEOUT)
        .accept_error_handler(|peer, error| tracing::debug!(?peer, %error, "a connection could not be accepted"));
    let http = listening.http_builder();
    http.http1().header_read_timeout(HEAD_TIMEOUT);
    http.http2().keep_alive_interval(Duration::from_secs(30)).max_concurrent_streams(256);
    let served = match (&server.tls_cert, &server.tls_key) {
        (Some(cert), Some(key)) => {
            let tls = RustlsAcceptor::new(certificate(cert, key).await?).handshake_timeout(HEAD_TIMEOUT);
            listening.acceptor(tls.acceptor(NoDelayAcceptor::new())).serve(service).await
        }
        _ => listening.acceptor(NoDelayAcceptor::new()).serve(service).await,
    };
    ending.abort();
    served.context("the listener failed")
}

fn end_on(shutdown: CancellationToken, handle: Handle<SocketAddr>, grace: Duration) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        shutdown.cancelled().await;
        tracing::info!(connections = handle.connection_count(), "stopping");
        handle.graceful_shutdown(Some(grace));
    })
}

/// Reads the certificate chain and its key.
async fn certificate(cert: &Path, key: &Path) -> Result<RustlsConfig> {
    RustlsConfig::from_pem_chain_file(cert, key).await.with_context(|| {
        format!("server.tls_cert = {:?} and server.tls_key = {:?} cannot be used", cert.display(), key.display())
    })
}

/// Cancels `shutdown` at the first SIGTERM or Ctrl-C; at the second one the process ends at once.
pub fn stop_on_signal(shutdown: CancellationToken) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        let mut either = async || tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} };
        either().await;
        shutdown.cancel();
        either().await;
        std::process::exit(130);
    });
    Ok(())
}
