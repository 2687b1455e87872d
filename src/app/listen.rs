//! Listeners and the file descriptors behind them.
//!
//! Owns how many connections this process may have. Must not know what the connections serve.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::config::ServerConfig;
use crate::domain::network::Networks;
use crate::http::serve::{BACKLOG, Caps, Rules, Tls, serve};

use super::error::{AppError, system};

/// The least number of file descriptors kept for everything except clients' connections: the
/// store's files and connections, the operators' listener, and connections that are being refused.
const RESERVE: usize = 128;

/// The most connections to the operators' listener: a few scrapers and probes.
const MAX_OPS_CONNECTIONS: usize = 32;

/// The number of descriptors to assume when the system sets no limit.
const UNLIMITED: usize = 1_000_000;

/// The most connections when the configuration names no number. More connections need so much
/// memory that the operator should ask for them.
const MAX_AUTOMATIC: usize = 65_536;

/// The most connections from one address when the configuration names no number. If half of all
/// connections is a smaller number, that number applies: one address alone cannot fill the table.
const MAX_AUTOMATIC_PER_SOURCE: usize = 4_096;

/// Raises the soft limit of file descriptors to the hard limit and returns the limit that now
/// holds. If the soft limit cannot be raised, it stays unchanged.
pub(super) fn raise_descriptors() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = current != maximum
        && setrlimit(
            Resource::Nofile,
            Rlimit {
                current: maximum,
                maximum,
            },
        )
        .is_ok();
    let limit = if raised { maximum } else { current };
    limit.map_or(UNLIMITED, |limit| {
        usize::try_from(limit).unwrap_or(UNLIMITED).min(UNLIMITED)
    })
}

/// The rules for clients' connections.
pub(super) fn public_rules(
    server: &ServerConfig,
    descriptors: usize,
    tls: Option<Arc<Tls>>,
) -> Rules {
    let fitting = clients_part(descriptors);
    let total = match server.max_connections {
        0 => fitting.min(MAX_AUTOMATIC),
        total => total,
    };
    let per_source = server
        .max_connections_per_source
        .unwrap_or_else(|| automatic_per_source(total));
    if total > fitting {
        tracing::warn!(
            max_connections = total,
            descriptors,
            "server.max_connections is more than the system's limit of descriptors allows (ulimit -n)"
        );
    }
    tracing::info!(
        max_connections = total,
        per_source,
        descriptors,
        "so many connections there may be"
    );
    Rules {
        idle_timeout: Duration::from_secs(server.idle_seconds),
        caps: Caps { total, per_source },
        proxies: server.trusted_proxies.clone(),
        tls,
    }
}

/// The rules for operators' connections. Clients' connections do not count against their limit.
pub(super) fn ops_rules(server: &ServerConfig) -> Rules {
    Rules {
        idle_timeout: Duration::from_secs(server.idle_seconds),
        caps: Caps {
            total: MAX_OPS_CONNECTIONS,
            per_source: 0,
        },
        proxies: Networks::default(),
        tls: None,
    }
}

/// The clients' part of the descriptors: nine tenths of them, or all except the reserve if that is
/// less. It is a quarter of them at least.
fn clients_part(descriptors: usize) -> usize {
    let nine_tenths = descriptors - descriptors.div_ceil(10);
    nine_tenths
        .min(descriptors.saturating_sub(RESERVE))
        .max(descriptors / 4)
        .max(1)
}

fn automatic_per_source(total: usize) -> usize {
    (total / 2).clamp(1, MAX_AUTOMATIC_PER_SOURCE)
}

/// A listening socket whose queue holds [`BACKLOG`] connections. `key` tells the operator which
/// setting to change when another program uses the port.
pub(super) fn bind(key: &str, address: SocketAddr) -> Result<TcpListener, AppError> {
    let failed = || format!("cannot listen on {key} {address}");
    let listener = TcpListener::bind(address).map_err(system(failed()))?;
    rustix::net::listen(&listener, BACKLOG).map_err(|error| system(failed())(error.into()))?;
    Ok(listener)
}

/// Starts a server in a task of its own. The server stops when the returned sender is dropped.
pub(super) fn spawn_server(
    listener: TcpListener,
    router: axum::Router,
    rules: Rules,
    drain: Duration,
) -> (JoinHandle<std::io::Result<()>>, oneshot::Sender<()>) {
    let (stop, stopped) = oneshot::channel();
    let until_stopped = async {
        let _ = stopped.await;
    };
    (
        tokio::spawn(serve(listener, router, rules, until_stopped, drain)),
        stop,
    )
}

#[cfg(test)]
mod tests {
    use crate::config::raw::Raw;
    use crate::config::{Config, MasterKeyNeed};

    use super::*;

    #[test]
    fn clients_leave_a_part_of_the_descriptors_to_the_store_and_the_operators() {
        for (descriptors, clients) in [
            (1_048_576, 943_718),
            (4_096, 3_686),
            (1_024, 896),
            (256, 128),
            (100, 25),
        ] {
            assert_eq!(clients_part(descriptors), clients, "{descriptors}");
        }
    }

    #[test]
    fn no_address_alone_fills_the_table_unless_the_operator_says_so() {
        let raw = Raw::read(None, [], &[]);
        let defaults = Config::resolve(&raw, MasterKeyNeed::Never).unwrap().server;
        let caps =
            |server: &ServerConfig, descriptors| public_rules(server, descriptors, None).caps;
        for (descriptors, total, per_source) in [
            (1_024, 896, 448),
            (256, 128, 64),
            (20_000, 18_000, 4_096),
            (UNLIMITED, 65_536, 4_096),
        ] {
            assert_eq!(
                caps(&defaults, descriptors),
                Caps { total, per_source },
                "{descriptors}"
            );
        }
        for said in [0, 1, 4_096] {
            let server = ServerConfig {
                max_connections_per_source: Some(said),
                ..defaults.clone()
            };
            assert_eq!(caps(&server, 1_024).per_source, said);
        }
        let server = ServerConfig {
            max_connections: 100_000,
            ..defaults
        };
        assert_eq!(
            caps(&server, UNLIMITED),
            Caps {
                total: 100_000,
                per_source: 4_096
            }
        );
    }

    /// By default the queue holds only 128 connections, fewer than this burst.
    #[test]
    fn a_burst_of_connections_waits_until_it_is_taken_in() {
        let listener = bind("server.listen", SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let connect = |_| std::net::TcpStream::connect_timeout(&address, Duration::from_secs(5));
        let burst: Result<Vec<_>, _> = (0..400).map(connect).collect();
        assert_eq!(burst.map(|all| all.len()).unwrap(), 400);
    }

    #[test]
    fn the_limit_of_descriptors_is_raised_as_far_as_it_goes() {
        let allowed = raise_descriptors();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current, maximum);
        assert!(allowed > 0);
    }
}
