//! The door: newcomers are admitted, wait for a place, or are turned away.
//!
//! Owns how long newcomers wait, and that those of one address do not delay those of others. Must
//! not know which connections make room.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::domain::network::Networks;
use crate::telemetry::metrics::{self, Shed};

use super::line::Line;
use super::service::Service;
use super::shed;
use super::table::{Caps, Full, Seat, Table, Wait};
use super::tls::Tls;

/// How long the system tries to deliver data that a client does not acknowledge, in milliseconds.
/// The system's probes of a client that does not read count too. This time is a little longer than
/// the process's own deadline for such a client, so the process's deadline comes first, and no
/// other.
#[cfg(target_os = "linux")]
const USER_TIMEOUT_MILLIS: u32 = 20_000;

/// How many clients at once are told that there is no room. More connections are closed without a
/// response.
const MAX_TOLD: usize = 32;

/// How long a newcomer waits for connections of its address to make room.
const PLACE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a newcomer waits if all places are taken and as many connections as may be ending are
/// ending. Most of these have less time to end.
const EMPTYING_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause before a newcomer tries again.
const PAUSE: Duration = Duration::from_millis(10);

/// The same pause for a newcomer that holds up no other.
const WAIT_PAUSE: Duration = Duration::from_millis(20);

/// If connections make room soon and no newcomer may wait elsewhere, the next newcomer waits before
/// it is admitted, and those behind it, of any address, wait in the system's queue. These are the
/// longest such waits in each `PAUSES_WINDOW`: for places in all, and for places of one address.
/// After that, a newcomer that finds no room is turned away at once.
const MAX_PAUSES: Duration = Duration::from_secs(2);
const MAX_PAUSES_FOR_SOURCE: Duration = Duration::from_millis(500);
const PAUSES_WINDOW: Duration = Duration::from_secs(10);

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
    /// What the listener offers in its handshakes. `None` means plain HTTP.
    pub tls: Option<Arc<Tls>>,
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
            tls: None,
        }
    }
}

/// Admits connections, or turns them away.
pub(super) struct Door {
    router: Router,
    rules: Rules,
    table: Arc<Table>,
    open: JoinSet<()>,
    told: Arc<Semaphore>,
    pauses: Pauses,
}

/// The beginning of the present window, and how long newcomers have waited since then.
struct Pauses {
    since: Instant,
    total: Duration,
    of_source: Duration,
}

/// A new connection.
struct Newcomer {
    stream: TcpStream,
    peer: SocketAddr,
    source: Option<IpAddr>,
}

impl Door {
    /// A door to an empty table.
    pub(super) fn new(router: Router, rules: Rules) -> Self {
        let table = Table::new(rules.caps);
        let told = Arc::new(Semaphore::new(MAX_TOLD));
        Self {
            router,
            rules,
            table,
            open: JoinSet::new(),
            told,
            pauses: Pauses::new(),
        }
    }

    /// Forgets one connection that has ended. Never ready while there is none.
    pub(super) async fn reap(&mut self) {
        if self.open.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Makes room for the case that the system has no file descriptor left.
    pub(super) fn make_room(&self) {
        self.table.make_room();
    }

    /// Ends all connections, and waits for the last.
    pub(super) async fn close(&mut self) {
        self.table.end();
        while self.open.join_next().await.is_some() {}
    }

    /// Admits a connection, lets it wait, or turns it away. If all places were taken a moment ago,
    /// some connections make room soon.
    pub(super) async fn let_in(&mut self, stream: TcpStream, peer: SocketAddr) {
        let _ = stream.set_nodelay(true);
        #[cfg(target_os = "linux")]
        let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, USER_TIMEOUT_MILLIS);
        let source = (!self.rules.proxies.contains(peer.ip())).then(|| peer.ip());
        let newcomer = Newcomer {
            stream,
            peer,
            source,
        };
        let began = Instant::now();
        loop {
            let (full, wait) = match newcomer.enter(&self.table) {
                Ok((seat, line)) => {
                    self.open.spawn(newcomer.serve(seat, line, self.service()));
                    return;
                }
                Err(Full::Source) => (Full::Source, self.table.wait()),
                Err(Full::Total) => (Full::Total, None),
            };
            if let Some(wait) = wait {
                let service = self.service();
                let (table, told) = (Arc::clone(&self.table), Arc::clone(&self.told));
                self.open.spawn(async move {
                    match wait_for_place(&newcomer, &table, &wait).await {
                        Ok((seat, line)) => {
                            drop(wait);
                            newcomer.serve(seat, line, service).await;
                        }
                        Err(full) => {
                            drop(wait);
                            newcomer.turn_away(full, &told, service.tls.is_some()).await;
                        }
                    }
                });
                return;
            }
            // Nobody is turned away while connections are ending: newcomers wait in the system's
            // queue.
            let is_emptying = full == Full::Total
                && self.table.is_emptying()
                && began.elapsed() < EMPTYING_TIMEOUT;
            let may_wait =
                is_emptying || (self.table.will_have_room() && self.pauses.may_pause(full));
            if !may_wait {
                let (told, is_secret) = (Arc::clone(&self.told), self.rules.tls.is_some());
                self.open
                    .spawn(async move { newcomer.turn_away(full, &told, is_secret).await });
                return;
            }
            sleep(PAUSE).await;
        }
    }
}

impl Door {
    fn service(&self) -> Service {
        Service {
            router: self.router.clone(),
            idle_timeout: self.rules.idle_timeout,
            tls: self.rules.tls.clone(),
        }
    }
}

impl Pauses {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            total: Duration::ZERO,
            of_source: Duration::ZERO,
        }
    }

    /// Whether one more pause is allowed. If it is, it counts.
    fn may_pause(&mut self, full: Full) -> bool {
        if self.since.elapsed() >= PAUSES_WINDOW {
            *self = Self::new();
        }
        let (paused, most) = match full {
            Full::Total => (&mut self.total, MAX_PAUSES),
            Full::Source => (&mut self.of_source, MAX_PAUSES_FOR_SOURCE),
        };
        *paused = paused.saturating_add(PAUSE);
        *paused <= most
    }
}

impl Newcomer {
    /// A place for the connection, and the line that the connection shares. The line's wait for the
    /// client begins now: the time before admission is not the client's fault.
    fn enter(&self, table: &Arc<Table>) -> Result<(Seat, Arc<Line>), Full> {
        let line = Arc::new(Line::new());
        let seat = table.admit(self.source, &line)?;
        Ok((seat, line))
    }

    async fn serve(self, seat: Seat, line: Arc<Line>, service: Service) {
        service.serve(self.stream, self.peer, seat, line).await;
    }

    /// Before a handshake, a client of TLS can be told nothing.
    async fn turn_away(self, full: Full, told: &Semaphore, is_secret: bool) {
        metrics::shed(match full {
            Full::Total => Shed::Connections,
            Full::Source => Shed::ConnectionsOfSource,
        });
        if is_secret {
            return;
        }
        if let Ok(_place) = told.try_acquire() {
            shed::turn_away(self.stream).await;
        }
    }
}

/// Waits until connections of the newcomer's address have made room. Gives up after
/// `PLACE_TIMEOUT`, or earlier if other addresses need the places.
async fn wait_for_place(
    newcomer: &Newcomer,
    table: &Arc<Table>,
    wait: &Wait,
) -> Result<(Seat, Arc<Line>), Full> {
    let began = Instant::now();
    loop {
        sleep(WAIT_PAUSE).await;
        match newcomer.enter(table) {
            Err(_) if began.elapsed() < PLACE_TIMEOUT && !wait.is_over() => {}
            done => return done,
        }
    }
}
