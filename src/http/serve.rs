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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    /// What a server answers to these bytes, read for as long as it takes to have one reply.
    async fn reply_to(bytes: &[u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", axum::routing::any(|| async { "answered" }));
        let server = tokio::spawn(serve(listener, router, std::future::pending(), Duration::ZERO));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(bytes).await.unwrap();
        let mut reply = [0u8; 1_024];
        let read = tokio::time::timeout(Duration::from_secs(5), client.read(&mut reply));
        let length = read.await.expect("a reply, not silence").unwrap_or(0);
        server.abort();
        String::from_utf8_lossy(&reply[..length]).into_owned()
    }

    #[tokio::test]
    async fn bytes_behind_a_request_do_not_hold_back_its_reply() {
        let post = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\na=b";
        // Old clients end a body with a line break; others have begun to send the next request.
        for behind in ["", "\r\n", "\n", "GET / HT"] {
            let reply = reply_to(format!("{post}{behind}").as_bytes()).await;
            assert!(reply.starts_with("HTTP/1.1 200 "), "{behind:?}: {reply:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_http_is_told_so() {
        let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "a".repeat(2 * LARGEST_HEAD));
        let lengths = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab";
        for (bytes, status) in [(long.as_str(), "431"), (lengths, "400"), ("\u{1}\r\n\r\n", "400")] {
            let reply = reply_to(bytes.as_bytes()).await;
            assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {reply:?}");
        }
    }
}
