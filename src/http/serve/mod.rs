//! The listener: from a bound socket and a shutdown future to served connections.
//!
//! Owns the order of start and end. Must not know any route. `door` admits newcomers, `table` counts
//! connections, `slots` says which of them make room, `service` and `connection` serve one, `stream` has the
//! deadlines, `tls` makes a
//! connection a secret one, `upload` is a request's body while it arrives, `download` a response's body while it is made, `date` makes the first `Date` of a
//! thread, `line` is the state that these share, `shed` turns away clients for whom there is no room,
//! and `discard` reads what such clients still send.

use std::net::TcpListener;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use futures_util::FutureExt;
use rustix::io::Errno;
use tokio::time::{sleep, timeout};

mod connection;
mod date;
mod discard;
mod door;
mod download;
mod line;
mod service;
mod shed;
mod slots;
mod stream;
mod table;
mod tls;
mod upload;

pub(crate) use date::make_first_date;
use door::Door;
pub use door::Rules;
pub(crate) use line::OwnLine;
pub use table::Caps;
pub use tls::{Tls, TlsFault};

/// The most connections that wait to be accepted: the length of the system's queue. The system's
/// own limit may be lower.
pub(crate) const BACKLOG: i32 = 4_096;

/// The pause after an accept that failed, for example because no file descriptor was left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `router` until `shutdown` resolves. Then stops accepting at once, and waits up to `drain`
/// for the requests in flight.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    rules: Rules,
    shutdown: impl Future<Output = ()> + Send + 'static,
    drain: Duration,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut door = Door::new(router, rules);
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
            () = door.reap() => continue,
        };
        match accepted {
            Ok((stream, peer)) => door.let_in(stream, peer).await,
            Err(error) => {
                if matches!(
                    Errno::from_io_error(&error),
                    Some(Errno::MFILE | Errno::NFILE)
                ) {
                    door.make_room();
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // The system has already accepted these connections for this process. Closing the listener
    // would reset them.
    for _ in 0..BACKLOG {
        let Some(Ok((stream, peer))) = listener.accept().now_or_never() else {
            break;
        };
        door.let_in(stream, peer).await;
    }
    // Close the listener before any connection is told to end. Otherwise its client could connect
    // to this process again in vain.
    drop(listener);
    let _ = timeout(drain, door.close()).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    /// What a server sends in response to these bytes. One read, which waits for the response.
    async fn reply_to(bytes: &[u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", axum::routing::any(|| async { "answered" }));
        let server = tokio::spawn(serve(
            listener,
            router,
            Rules::default(),
            std::future::pending(),
            Duration::ZERO,
        ));
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(bytes).await.unwrap();
        let mut reply = [0u8; 1_024];
        let read = tokio::time::timeout(Duration::from_secs(5), client.read(&mut reply));
        let length = read.await.expect("a reply, not silence").unwrap_or(0);
        server.abort();
        String::from_utf8_lossy(&reply[..length]).into_owned()
    }

    #[tokio::test]
    async fn who_comes_when_all_places_were_just_taken_by_idle_connections_is_served() {
        for caps in [
            Caps {
                total: 8,
                per_source: 0,
            },
            Caps {
                total: 64,
                per_source: 8,
            },
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let router = Router::new().route("/", axum::routing::any(|| async { "answered" }));
            let rules = Rules {
                caps,
                ..Rules::default()
            };
            let server = tokio::spawn(serve(
                listener,
                router,
                rules,
                std::future::pending(),
                Duration::ZERO,
            ));
            let mut idle = Vec::new();
            for _ in 0..40 {
                idle.push(TcpStream::connect(address).await.unwrap());
            }
            let mut client = TcpStream::connect(address).await.unwrap();
            client
                .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                .await
                .unwrap();
            let mut reply = [0u8; 1_024];
            let read = timeout(Duration::from_mins(1), client.read(&mut reply));
            let length = read.await.unwrap().unwrap_or(0);
            server.abort();
            let reply = String::from_utf8_lossy(&reply[..length]).into_owned();
            assert!(reply.starts_with("HTTP/1.1 200 "), "{caps:?}: {reply:?}");
        }
    }

    #[tokio::test]
    async fn bytes_behind_a_request_do_not_hold_back_its_reply() {
        let post = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\na=b";
        // Old clients send a line break after a body. Other clients have begun to send the next
        // request.
        for behind in ["", "\r\n", "\n", "GET / HT"] {
            let reply = reply_to(format!("{post}{behind}").as_bytes()).await;
            assert!(reply.starts_with("HTTP/1.1 200 "), "{behind:?}: {reply:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_http_is_told_so() {
        let long = format!(
            "GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
            "a".repeat(2 * connection::MAX_HEAD)
        );
        let lengths =
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab";
        for (bytes, status) in [
            (long.as_str(), "431"),
            (lengths, "400"),
            ("\u{1}\r\n\r\n", "400"),
        ] {
            let reply = reply_to(bytes.as_bytes()).await;
            assert!(
                reply.starts_with(&format!("HTTP/1.1 {status} ")),
                "{status}: {reply:?}"
            );
        }
    }
}
