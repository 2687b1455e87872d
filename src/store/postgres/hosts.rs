//! The servers that the URL names. One of them is the primary: it is not in recovery.
//!
//! Owns which server a new connection goes to. Must not know what a connection is used for. A
//! standby may not know what was revoked a moment ago, so it is never used.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};

use crate::store::error::OpenError;

use super::errors::is_broken;
use super::options::options;
use super::query_planning::REPORTS;

/// How long a server may be silent before the next one is asked beside it.
const STAGGER: Duration = Duration::from_millis(200);

/// How long one of several servers may take for a new connection. A server that stands still accepts
/// connections and never answers. With the most servers that a URL may name, all tries end before the
/// timeout of a call.
const ONE_TIMEOUT: Duration = Duration::from_millis(1_200);

/// The servers of one database, in the order of the URL.
pub(super) struct Hosts {
    each: Vec<Host>,
    used: Mutex<Used>,
}

struct Host {
    /// The host and the port, or the folder of the socket.
    name: String,
    options: PgConnectOptions,
}

/// Which server is in use.
#[derive(Debug, Clone, Copy, Default)]
struct Used {
    /// Its place among all.
    place: usize,
    /// How many servers were used one after the other. Zero before the first connection.
    turn: u64,
}

/// A new connection, and the number of the turn of its server; see [`Hosts::turn`].
pub(super) type Connected = (PgConnection, u64);

/// Whether a server that answered takes writes.
enum Access {
    Writes,
    ReadsOnly,
}

/// Why no server could be used.
#[derive(Debug, thiserror::Error)]
#[error("no server of the database is its primary: {0}")]
struct NoPrimary(String);

impl std::fmt::Debug for Hosts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The options hold a password.
        let names: Vec<&str> = self.each.iter().map(|host| &*host.name).collect();
        f.debug_tuple("Hosts").field(&names).finish()
    }
}

impl Hosts {
    /// From one URL for each server.
    pub(super) fn new(urls: &[impl AsRef<str>]) -> Result<Self, OpenError> {
        let host = |url| {
            let options = options(url)?;
            Ok(Host {
                name: name_of(&options),
                options,
            })
        };
        let each = urls
            .iter()
            .map(|url| host(url.as_ref()))
            .collect::<Result<_, OpenError>>()?;
        Ok(Self {
            each,
            used: Mutex::default(),
        })
    }

    /// The same servers, whose sessions do not log slow statements.
    pub(super) fn without_statement_log(mut self) -> Self {
        for host in &mut self.each {
            host.options = host.options.clone().disable_statement_logging();
        }
        self
    }

    /// The host and port of the server in use, or the folder of its socket. `None` before the first
    /// connection.
    pub(super) fn in_use(&self) -> Option<&str> {
        let used = *self.used();
        let host = self.each.get(used.place).filter(|_| used.turn > 0)?;
        Some(&host.name)
    }

    /// How many servers were used one after the other. A connection of an earlier turn goes to a
    /// server that is no longer the primary.
    pub(super) fn turn(&self) -> u64 {
        self.used().turn
    }

    /// Connects to the primary and sends these settings of the session, each with a semicolon at its
    /// end. Several servers are asked one beside the other, the one in use first. A server that is
    /// not in recovery and takes no writes is used only if no other one takes them.
    pub(super) async fn connect(&self, settings: &'static str) -> sqlx::Result<Connected> {
        if let [host] = &*self.each {
            let (conn, _) = host.connect(settings).await?;
            return Ok((conn, self.note(0)));
        }
        let first = self.used().place;
        let mut waiting = (first..self.each.len()).chain(0..first);
        let mut tries = FuturesUnordered::new();
        let (mut spare, mut refusals) = (None, Vec::new());
        loop {
            let next = waiting.next();
            let is_last = next.is_none();
            tries.extend(next.map(|place| self.try_at(place, settings)));
            let done = tokio::select! {
                done = tries.next() => done,
                () = tokio::time::sleep(STAGGER), if !is_last => continue,
            };
            match done {
                Some((place, Ok((conn, Access::Writes)))) => return Ok((conn, self.note(place))),
                Some((place, Ok((conn, Access::ReadsOnly)))) => {
                    spare.get_or_insert((place, conn));
                }
                Some((place, Err(error))) => refusals.push((place, error)),
                None if is_last => break,
                None => {}
            }
        }
        match spare {
            Some((place, conn)) => Ok((conn, self.note(place))),
            None => Err(self.no_primary(refusals)),
        }
    }

    async fn try_at(
        &self,
        place: usize,
        settings: &'static str,
    ) -> (usize, sqlx::Result<(PgConnection, Access)>) {
        let silent = || sqlx::Error::Io(std::io::Error::other("it does not answer"));
        let done = match self.each.get(place) {
            Some(host) => tokio::time::timeout(ONE_TIMEOUT, host.connect(settings))
                .await
                .unwrap_or_else(|_| Err(silent())),
            None => Err(silent()),
        };
        (place, done)
    }

    /// The error of all servers. What the database itself says, of the login for instance, is more
    /// telling than that another server is away.
    fn no_primary(&self, mut refusals: Vec<(usize, sqlx::Error)>) -> sqlx::Error {
        let is_said =
            |error: &sqlx::Error| matches!(error, sqlx::Error::Database(_)) && !is_broken(error);
        if let Some(said) = refusals.iter().position(|(_, error)| is_said(error)) {
            return refusals.swap_remove(said).1;
        }
        refusals.sort_by_key(|(place, _)| *place);
        let told = |(place, error): &(usize, sqlx::Error)| {
            let name = self.each.get(*place).map_or("", |host| &*host.name);
            format!("{name}: {error}")
        };
        let told: Vec<String> = refusals.iter().map(told).collect();
        sqlx::Error::Io(std::io::Error::other(NoPrimary(told.join("; "))))
    }

    /// Notes that the server at this place is used. Returns the number of its turn.
    fn note(&self, place: usize) -> u64 {
        let mut used = self.used();
        if used.turn == 0 || used.place != place {
            let is_change = used.turn > 0;
            *used = Used {
                place,
                turn: used.turn + 1,
            };
            if is_change && let Some(host) = self.each.get(place) {
                tracing::warn!(
                    server = host.name,
                    "another server is the primary of the database now"
                );
            }
        }
        used.turn
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host {
    async fn connect(&self, settings: &'static str) -> sqlx::Result<(PgConnection, Access)> {
        let mut conn = PgConnection::connect_with(&self.options).await?;
        // All in one round trip: the settings, whether the server is a standby and whether it takes no
        // writes. The lock tells the connection from those of a release that does not report its
        // processes.
        let (class, object) = REPORTS;
        let sql = format!(
            "{settings} select pg_is_in_recovery(), current_setting('transaction_read_only') = 'on', \
             pg_advisory_lock_shared({class}, {object})::text"
        );
        let row = sqlx::raw_sql(AssertSqlSafe(sql))
            .fetch_one(&mut conn)
            .await?;
        if row.try_get(0)? {
            return Err(sqlx::Error::Io(std::io::Error::other(
                "the database is a standby",
            )));
        }
        let takes_none: bool = row.try_get(1)?;
        Ok((
            conn,
            if takes_none {
                Access::ReadsOnly
            } else {
                Access::Writes
            },
        ))
    }
}

fn name_of(options: &PgConnectOptions) -> String {
    let (host, port) = (options.get_host(), options.get_port());
    match options.get_socket() {
        Some(folder) => folder.display().to_string(),
        None if host.contains(':') => format!("[{host}]:{port}"),
        None => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_without_a_password() {
        for (url, name) in [
            ("postgres://sw:hunter2@db.example/sw", "db.example:5432"),
            ("postgres://sw:hunter2@[::1]:6000/sw", "[::1]:6000"),
            (
                "postgres:///sw?user=sw&host=/run/postgresql",
                "/run/postgresql",
            ),
        ] {
            let hosts = Hosts::new(&[url]).unwrap();
            assert_eq!(hosts.in_use(), None);
            assert_eq!(hosts.note(0), 1);
            assert_eq!(hosts.in_use(), Some(name));
            assert!(!format!("{hosts:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_turn_ends_when_another_server_is_used() {
        let hosts = Hosts::new(&["postgres://sw@h1/x", "postgres://sw@h2/x"]).unwrap();
        assert_eq!(
            [1, 1, 0, 0, 1].map(|place| hosts.note(place)),
            [1, 1, 2, 2, 3]
        );
        assert_eq!(hosts.in_use(), Some("h2:5432"));
    }

    #[test]
    fn what_the_database_says_is_told_before_what_is_away() {
        let hosts = Hosts::new(&["postgres://sw@h1/x", "postgres://sw@h2/x"]).unwrap();
        let io = |text| sqlx::Error::Io(std::io::Error::other(text));
        let told = hosts.no_primary(vec![(1, io("refused")), (0, io("a standby"))]);
        assert!(is_broken(&told), "{told:?}");
        let told = told.to_string();
        assert!(
            told.contains("h1:5432: ") && told.contains("a standby; h2:5432: "),
            "{told}"
        );
    }
}
