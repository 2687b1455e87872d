//! The listener: from a bound socket and a shutdown future to served connections.
//!
//! Owns connection limits: header time, HTTP version, draining. Must not know any route.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::accept::NoDelayAcceptor;
use hyper_util::rt::TokioTimer;

/// How long a client may take for a request's head, and how long an idle connection is kept.
const HEADER_PATIENCE: Duration = Duration::from_secs(15);

/// The largest head of a request, in bytes.
const LARGEST_HEAD: usize = 32 * 1024;

/// Serves `router` until `shutdown` resolves; then stops accepting at once and waits up to `drain` for
/// what is in flight.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
    drain: Duration,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let handle = Handle::new();
    tokio::spawn({
        let handle = handle.clone();
        async move {
            shutdown.await;
            handle.graceful_shutdown(Some(drain));
        }
    });
    let mut server =
        axum_server::from_tcp(listener)?.acceptor(NoDelayAcceptor::new()).handle(handle).http1_only();
    server
        .http_builder()
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_PATIENCE)
        .max_buf_size(LARGEST_HEAD);
    server.serve(router.into_make_service_with_connect_info::<SocketAddr>()).await
}
