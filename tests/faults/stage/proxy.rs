//! A TCP proxy between the server and its database that misbehaves: it delays, stalls, resets,
//! half-closes, and loses a response after it has forwarded the request.
//!
//! The proxy reads just enough of PostgreSQL's protocol to know when the server has sent a whole
//! statement that counts tokens, or a whole commit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the proxy does with the bytes that pass through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Forward,
    /// Delays each piece by this time, in both directions.
    Delay(Duration),
    /// Keeps connections open and forwards nothing.
    Stall,
    /// Loses the response to one in so many writes (see [`Kind`]): waits for the database's
    /// response, then cuts the connection.
    LoseAnswer(u64),
    /// Cuts the connection right after forwarding one in so many writes, whether the database has
    /// finished it or not.
    CutAtOnce(u64),
    /// Resets the connection after one in so many pieces from the server.
    Reset(u64),
    /// Closes the direction from the database after one in so many pieces from the server, and
    /// leaves the other direction open.
    HalfClose(u64),
}

/// Which statements count as writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The statement that counts a batch of tokens.
    Batches,
    /// The commit of any other change.
    Commits,
}

struct Shared {
    upstream: SocketAddr,
    mode: watch::Sender<Mode>,
    kind: Kind,
    seen: AtomicU64,
    cuts: AtomicU64,
}

/// The proxy. Its listener ends with the runtime, not when this value is dropped.
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Starts a proxy in front of a local port.
    pub async fn start(port: u16, kind: Kind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream: SocketAddr::from(([127, 0, 0, 1], port)),
            mode: watch::Sender::new(Mode::Forward),
            kind,
            seen: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
        });
        let accepted = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, Arc::clone(&accepted)));
            }
        });
        Self { address, shared }
    }

    pub fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// How many connections have been cut so far.
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::Relaxed)
    }

    /// The URL of a database through the proxy.
    pub fn url(&self, direct: &str) -> String {
        let mut url = url::Url::parse(direct).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url.into()
    }
}

/// What the proxy does with a connection after a piece from the server.
enum Fate {
    Goes,
    /// Cut after the database's next response, or at once.
    Cut {
        answered: bool,
    },
    Reset,
    HalfClose,
}

async fn carry(mut near: TcpStream, shared: Arc<Shared>) {
    let mut modes = shared.mode.subscribe();
    if modes.wait_for(|mode| *mode != Mode::Stall).await.is_err() {
        return;
    }
    let Ok(mut far) = TcpStream::connect(shared.upstream).await else {
        return;
    };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let mut sentence = Sentence::default();
    let (mut up, mut down) = (vec![0u8; 64 * 1024], vec![0u8; 64 * 1024]);
    let mut doomed = false;
    loop {
        let (from_server, count) = tokio::select! {
            read = near.read(&mut up) => (true, read.unwrap_or(0)),
            read = far.read(&mut down) => (false, read.unwrap_or(0)),
        };
        if modes.wait_for(|mode| *mode != Mode::Stall).await.is_err() {
            return;
        }
        let mode = *modes.borrow();
        if let Mode::Delay(time) = mode {
            tokio::time::sleep(time).await;
        }
        if count == 0 {
            return;
        }
        if !from_server {
            // This is the database's response that the server must not get.
            if doomed || near.write_all(&down[..count]).await.is_err() {
                return;
            }
            continue;
        }
        if far.write_all(&up[..count]).await.is_err() {
            return;
        }
        match sentence.fate(&up[..count], mode, &shared) {
            Fate::Goes => {}
            Fate::Cut { answered: true } => doomed = true,
            Fate::Cut { answered: false } => return,
            Fate::Reset => {
                let _ = near.set_zero_linger();
                return;
            }
            Fate::HalfClose => {
                let _ = near.shutdown().await;
                // Keep the other direction open until the server closes it.
                while near.read(&mut up).await.is_ok_and(|n| n > 0) {}
                return;
            }
        }
    }
}

/// What the proxy knows about the statement that is being sent.
#[derive(Default)]
struct Sentence {
    counts_batches: bool,
    under_way: bool,
}

impl Sentence {
    fn fate(&mut self, piece: &[u8], mode: Mode, shared: &Shared) -> Fate {
        let holds = |words: &[u8]| piece.windows(words.len()).any(|w| w == words);
        self.counts_batches |= holds(b"insert into batch");
        // Bind begins the execution of a prepared statement and Sync ends it. A commit is a simple
        // query.
        self.under_way |= match shared.kind {
            Kind::Batches => self.counts_batches && piece.first() == Some(&b'B'),
            Kind::Commits => piece.first() == Some(&b'Q') && holds(b"commit\0"),
        };
        let complete = piece.ends_with(&[b'S', 0, 0, 0, 4]) || piece.first() == Some(&b'Q');
        let one_in = |every: u64| shared.seen.fetch_add(1, Ordering::Relaxed) % every == every - 1;
        let fate = match mode {
            Mode::Reset(every) if one_in(every) => Fate::Reset,
            Mode::HalfClose(every) if one_in(every) => Fate::HalfClose,
            Mode::LoseAnswer(every) if self.under_way && complete && one_in(every) => {
                Fate::Cut { answered: true }
            }
            Mode::CutAtOnce(every) if self.under_way && complete && one_in(every) => {
                Fate::Cut { answered: false }
            }
            _ => Fate::Goes,
        };
        if complete {
            self.under_way = false;
        }
        if !matches!(fate, Fate::Goes) {
            shared.cuts.fetch_add(1, Ordering::Relaxed);
        }
        fate
    }
}
