//! The listener: from a bound socket and a shutdown future to served connections.
//!
//! Owns connection limits: header time, HTTP version, draining. Must not know any route.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::response::Response;
use futures_util::FutureExt;
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::{Service, ServiceExt};

/// How long a client may take for a request's head, and how long an idle connection is kept.
const HEADER_PATIENCE: Duration = Duration::from_secs(15);

/// The largest head of a request, in bytes.
const LARGEST_HEAD: usize = 32 * 1024;

/// When the process stops, a connection without a request is kept so much longer: one may be on its way,
/// and would be lost unread. What is answered meanwhile is the connection's last.
const LAST_CALL: Duration = Duration::from_millis(500);

/// How many connections can wait to be taken in when the process stops: the length of the system's queue.
const BACKLOG: usize = 4_096;

/// How much of a body that nobody wants is still read, in bytes, and for how long.
const MOST_DISCARDED: usize = 16 * 1024 * 1024;
const DISCARD_PATIENCE: Duration = Duration::from_secs(2);

/// After an accept that failed, for want of file descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `router` until `shutdown` resolves; then stops accepting at once and waits up to `drain` for
/// what is in flight.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
    drain: Duration,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let builder = Arc::new(builder());
    let mut services = router.into_make_service_with_connect_info::<SocketAddr>();
    let (stop, stopped) = watch::channel(false);
    let mut open = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
            Some(_) = open.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Ok(service) = services.call(peer).await;
                open.spawn(carry(Arc::clone(&builder), stream, service, stopped.clone()));
            }
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
    // The system has accepted these for this process already; a listener that is closed resets them.
    for _ in 0..BACKLOG {
        let Some(Ok((stream, peer))) = listener.accept().now_or_never() else { break };
        let Ok(service) = services.call(peer).await;
        open.spawn(carry(Arc::clone(&builder), stream, service, stopped.clone()));
    }
    drop(listener);
    let _ = stop.send(true);
    let _ = timeout(drain, async { while open.join_next().await.is_some() {} }).await;
    Ok(())
}

/// Reads and forgets the body of a request that is answered without it, while it is answered. A connection
/// that is closed amid what the client sends is reset, and the answer with it.
pub fn discard(body: Body) {
    if body.is_end_stream() {
        return;
    }
    let mut body = Limited::new(body, MOST_DISCARDED);
    tokio::spawn(timeout(DISCARD_PATIENCE, async move { while let Some(Ok(_)) = body.frame().await {} }));
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_PATIENCE).max_buf_size(LARGEST_HEAD);
    builder
}

/// Serves one connection to its end. What breaks it is the client's affair.
async fn carry<S>(
    builder: Arc<Builder<TokioExecutor>>,
    stream: TcpStream,
    service: S,
    mut stopped: watch::Receiver<bool>,
) where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let _ = stream.set_nodelay(true);
    // Told only once the listener is closed: who is sent away must not knock again in vain.
    let last = stopped.clone();
    let service = service
        .map_request(|request: axum::http::Request<_>| request.map(Body::new))
        .map_response(move |response| with_farewell(response, *last.borrow()));
    let service = TowerToHyperService::new(service);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = &mut connection => return,
        _ = stopped.wait_for(|stop| *stop) => {}
    }
    if timeout(LAST_CALL, &mut connection).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

/// After a connection's last answer the client is to open another, elsewhere.
fn with_farewell(mut response: Response, is_last: bool) -> Response {
    if is_last {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

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
