//! A TCP proxy that misbehaves: between the server and its database it delays, stalls, resets,
//! half-closes, and loses answers after the question was forwarded.
//!
//! It reads just enough of PostgreSQL's protocol to know when a statement that counts tokens, or a
//! commit, has been sent completely.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to what passes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Forward,
    /// Each piece waits so long, in both directions.
    Delay(Duration),
    /// Connections stay open and nothing moves.
    Stall,
    /// One in so many writes (see [`Kind`]) is answered to nobody: the database's answer is awaited,
    /// then the connection is cut.
    LoseAnswer(u64),
    /// One in so many writes is cut as soon as it was forwarded, finished or not.
    CutAtOnce(u64),
    /// One in so many pieces from the server resets the connection.
    Reset(u64),
    /// One in so many pieces from the server ends the database's direction and leaves the other.
    HalfClose(u64),
}

/// What counts as a write.
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

/// The proxy. Dropped, its listener goes with the runtime.
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// In front of a local port.
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

    /// How many connections were cut so far.
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::Relaxed)
    }

    /// The address of a database behind the proxy.
    pub fn url(&self, direct: &str) -> String {
        let mut url = url::Url::parse(direct).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url.into()
    }
}

/// What is to be done with a connection after a piece from the server.
enum Fate {
    Goes,
    /// Cut after the database's next answer, or at once.
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
            // The answer that the server was not to see.
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
                // The other direction goes on until the server gives up.
                while near.read(&mut up).await.is_ok_and(|n| n > 0) {}
                return;
            }
        }
    }
}

/// What is known of the statement that is being sent.
#[derive(Default)]
struct Sentence {
    counts_batches: bool,
    under_way: bool,
}

impl Sentence {
    fn fate(&mut self, piece: &[u8], mode: Mode, shared: &Shared) -> Fate {
        let holds = |words: &[u8]| piece.windows(words.len()).any(|w| w == words);
        self.counts_batches |= holds(b"insert into batch");
        // Bind begins what executes a prepared statement, Sync ends it; a commit is a simple query.
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
