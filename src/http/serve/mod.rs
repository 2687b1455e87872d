//! The listener: from a bound socket and a shutdown future to served connections.
//!
//! Owns how many connections there are and how long each may wait. Must not know any route. `table`
//! counts connections, `connection` serves one, `stream` has the deadlines, `upload` is a request's
//! body while it arrives, `date` makes the first `Date` of a thread, `line` is the state that these
//! share, `shed` turns away clients for whom there is no room, and `discard` reads what such clients
//! still send.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::FutureExt;
use rustix::io::Errno;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::domain::network::Networks;
use crate::telemetry::metrics::{self, Shed};

mod connection;
mod date;
mod discard;
mod line;
mod shed;
mod stream;
mod table;
mod upload;

pub(crate) use date::make_first_date;
use line::Line;
pub use table::Caps;
use table::{BARREN, Full, Seat, Table};

/// The most connections that wait to be accepted: the length of the system's queue. The system's
/// own limit may be lower.
pub(crate) const BACKLOG: i32 = 4_096;

/// How long the system tries to deliver data that a client does not acknowledge, in milliseconds.
/// The system's probes of a client that does not read count too. This time is a little longer than
/// the process's own deadline for such a client, so the process's deadline comes first, and no
/// other.
#[cfg(target_os = "linux")]
const USER_TIMEOUT_MILLIS: u32 = 20_000;

/// How many clients at once are told that there is no room. More connections are closed without a
/// response.
const MAX_TOLD: usize = 32;

/// The pause after an accept that failed, for example because no file descriptor was left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a new connection waits for connections that are ending. Those have less time to end.
const LEAVING_TIMEOUT: Duration = Duration::from_secs(5);

/// If all places were taken a moment ago, the next connection waits before it is admitted, and the
/// connections after it wait in the system's queue. There may be `MAX_WAITS` such waits in each
/// `WAITS_WINDOW`. After that, a connection that finds no room is turned away at once.
const MAX_WAITS: u32 = 40;
const WAITS_WINDOW: Duration = Duration::from_secs(10);

/// The rules for all connections of one listener.
#[derive(Debug, Clone)]
pub struct Rules {
    /// How long a connection is kept between two requests.
    pub idle_timeout: Duration,
    /// How many connections there may be.
    pub caps: Caps,
    /// The proxies in front of this server. A proxy sends the requests of many clients, so the cap
    /// per address does not apply to it.
    pub proxies: Networks,
}

impl Default for Rules {
    /// The values of the default configuration, for a process with about 1,000 file descriptors.
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(75),
            caps: Caps {
                total: 900,
                per_source: 0,
            },
            proxies: Networks::default(),
        }
    }
}

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
            Some(_) = door.open.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer)) => door.let_in(stream, peer).await,
            Err(error) => {
                if matches!(
                    Errno::from_io_error(&error),
                    Some(Errno::MFILE | Errno::NFILE)
                ) {
                    door.table.make_room();
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
    door.table.end();
    let _ = timeout(drain, async {
        while door.open.join_next().await.is_some() {}
    })
    .await;
    Ok(())
}

/// Admits connections, or turns them away.
struct Door {
    router: Router,
    rules: Rules,
    table: Arc<Table>,
    open: JoinSet<()>,
    told: Arc<Semaphore>,
    /// The beginning of the present window, and how often connections have waited since then.
    waits: (Instant, u32),
}

impl Door {
    fn new(router: Router, rules: Rules) -> Self {
        let table = Table::new(rules.caps);
        let told = Arc::new(Semaphore::new(MAX_TOLD));
        Self {
            router,
            rules,
            table,
            open: JoinSet::new(),
            told,
            waits: (Instant::now(), 0),
        }
    }

    async fn let_in(&mut self, stream: TcpStream, peer: SocketAddr) {
        let _ = stream.set_nodelay(true);
        #[cfg(target_os = "linux")]
        let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, USER_TIMEOUT_MILLIS);
        let source = (!self.rules.proxies.contains(peer.ip())).then(|| peer.ip());
        match self.admit(source).await {
            Ok((mut seat, line)) => {
                let (router, idle) = (self.router.clone(), self.rules.idle_timeout);
                self.open.spawn(async move {
                    connection::carry(stream, peer, router, line, &mut seat.ending, idle).await;
                });
            }
            Err(full) => {
                metrics::shed(match full {
                    Full::Total => Shed::Connections,
                    Full::Source => Shed::ConnectionsOfSource,
                });
                if let Ok(place) = Arc::clone(&self.told).try_acquire_owned() {
                    self.open.spawn(async move {
                        shed::turn_away(stream).await;
                        drop(place);
                    });
                }
            }
        }
    }

    /// A place for a connection, and the line that the connection shares. If all places were taken
    /// a moment ago, some connections make room soon.
    async fn admit(&mut self, source: Option<IpAddr>) -> Result<(Seat, Arc<Line>), Full> {
        let began = Instant::now();
        loop {
            // The line's wait for the client begins now: the time before admission is not the
            // client's fault.
            let line = Arc::new(Line::new());
            match self.table.admit(source, &line) {
                Ok(seat) => return Ok((seat, line)),
                // Nobody is turned away while connections are ending: new connections wait in the
                // system's queue.
                Err(_) if self.table.is_emptying() && began.elapsed() < LEAVING_TIMEOUT => {
                    sleep(BARREN).await;
                }
                Err(full) if !self.table.will_have_room() || !self.may_wait() => return Err(full),
                Err(_) => sleep(BARREN).await,
            }
        }
    }

    fn may_wait(&mut self) -> bool {
        if self.waits.0.elapsed() >= WAITS_WINDOW {
            self.waits = (Instant::now(), 0);
        }
        self.waits.1 = self.waits.1.saturating_add(1);
        self.waits.1 <= MAX_WAITS
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

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
