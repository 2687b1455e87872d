//! The composition root: from a configuration to a store, a keyring, services, routers and tasks.
//!
//! The only namer of concrete types. Owns start-up and shut-down; must not know protocol rules.
//! `open` opens a store for any command, `beside` the files next to one, `operator` is the first start,
//! `listen` the listeners and their limits, `background` the loops, `reload` a configuration read again,
//! `time` waits for a clock that was set.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::clock::SystemClock;
use crate::config::{Config, DatabaseUrl};
use crate::domain::agent::Audience;
use crate::domain::grant::Policy;
use crate::entropy::{Entropy, SystemEntropy};
use crate::http;
use crate::http::body::Bodies;
use crate::http::client_address::ClientAddresses;
use crate::http::server_metadata::ServerMetadata;
use crate::http::state::{RequestIds, State};
use crate::service::clients::authenticate::Authenticator;
use crate::service::issue::Mint;
use crate::service::limits::Limits;
use crate::service::readiness::{Draining, Readiness};
use crate::service::replay::Replays;
use crate::service::revocations::RevocationList;
use crate::service::revoke::Revocation;
use crate::service::tokens::Tokens;
use crate::store::OpenError;
use crate::store::sqlite::SqliteStore;
use crate::tasks;
use crate::telemetry::error_chain;
use crate::telemetry::metrics::Metrics;

pub mod background;
mod beside;
mod listen;
mod open;
mod operator;
mod reload;
mod time;

pub use beside::{NewStore, renew_operator_file};
pub use open::{Opened, Wrapping, look, migrate, open, open_with};
pub use reload::{Given, Reloading};

/// Why a command could not do its work. Its text is for the operator's terminal.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The store cannot be opened.
    #[error("cannot open {url}")]
    Open {
        /// Which one, without passwords.
        url: String,
        /// Why.
        #[source]
        cause: OpenError,
    },
    /// Something failed on the way.
    #[error(transparent)]
    Service(#[from] crate::service::Error),
    /// A file or a listener could not be had.
    #[error("{what}: {cause}")]
    System {
        /// What was being done.
        what: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Anything else that only an operator can mend.
    #[error("{0}")]
    Other(String),
}

fn system(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> AppError {
    move |cause| AppError::System { what: what.into(), cause }
}

/// The services of a server, as its routers share them.
pub fn compose(config: &Config, opened: &Opened, draining: Arc<Draining>) -> Result<Arc<State>, AppError> {
    let Opened { store, keyring, secrets, keys, codes, clock, entropy } = opened;
    let issuer = &config.token.issuer;
    let default_audience = match &config.token.default_audience {
        Some(audience) => audience.clone(),
        None => Audience::parse_stored(issuer).map_err(|rule| AppError::Other(rule.to_string()))?,
    };
    let own_audiences = vec![issuer.clone(), default_audience.as_str().to_owned()];
    let limits = Arc::new(Limits::new(&reload::rates(config)));
    let authenticator = Arc::new(Authenticator::new(
        Arc::clone(store),
        Arc::clone(secrets),
        Arc::clone(&limits),
        Arc::clone(clock),
    ));
    let tokens = Arc::new(Tokens::new(
        Arc::clone(store),
        Arc::clone(keyring),
        Arc::clone(keys),
        Arc::clone(clock),
        own_audiences,
    ));
    let list = Arc::new(RevocationList::new(
        Arc::clone(store),
        Arc::clone(clock),
        config.token.default_ttl,
        config.limits.listed_tokens,
    ));
    let agents = opened.agents(config);
    let mint = Mint {
        authenticator: Arc::clone(&authenticator),
        store: Arc::clone(store),
        keys: Arc::clone(keys),
        codes: Arc::clone(codes),
        replays: Replays::new(Arc::clone(store), Arc::clone(codes), Arc::clone(&list), Arc::clone(clock)),
        keyring: Arc::clone(keyring),
        policy: Policy {
            default_ttl: config.token.default_ttl,
            default_audience,
            risk: config.scopes.clone(),
        },
        plans: Arc::clone(&agents.plans),
        limits: Arc::clone(&limits),
        clock: Arc::clone(clock),
        entropy: Arc::clone(entropy),
    };
    let mut process = [0u8; 8];
    entropy.fill(&mut process).map_err(crate::service::Error::from)?;
    Ok(Arc::new(State {
        mint,
        codes: Arc::clone(codes),
        authenticator,
        revocation: Revocation::new(
            Arc::clone(store),
            Arc::clone(&tokens),
            Arc::clone(&list),
            Arc::clone(clock),
        ),
        tokens,
        list,
        keyring: Arc::clone(keyring),
        agents,
        metadata: ServerMetadata::new(issuer),
        readiness: Readiness::new(draining, Arc::clone(store)),
        metrics: Metrics::install().map_err(|error| AppError::Other(error.to_string()))?,
        log_requests: config.log.requests,
        clients: ClientAddresses::new(
            config.server.trusted_proxies.clone(),
            config.server.client_address_header.as_deref(),
        ),
        bodies: Bodies::default(),
        request_ids: RequestIds::new(u64::from_be_bytes(process)),
    }))
}

/// Runs a server until SIGTERM, SIGINT or SIGQUIT: stops accepting and finishes what is in flight, the batch
/// that it waits for included. A second signal ends it at once. SIGHUP has it read its configuration again.
pub async fn serve(config: Config, new_store: NewStore, reloading: Reloading) -> Result<(), AppError> {
    let (mut hangups, mut stops) = (reload::hangups(), Stops::listen());
    if new_store == NewStore::OnCleanGround {
        beside::demand_no_remains(&config.database.url)?;
    }
    let clock = SystemClock::default();
    tokio::select! {
        () = time::wait_for_time(&clock) => {}
        () = stops.next() => return Ok(()),
    }
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::default());
    // The first draw of a process gathers entropy for some 25 ms: let that happen while the store opens.
    let warm = Arc::clone(&entropy);
    let warming = std::thread::spawn(move || warm.fill(&mut [0u8; 1]));
    let _alone = match &config.database.url {
        DatabaseUrl::Sqlite(path) => {
            open::create_folder(path)?;
            let taken =
                |why| AppError::Other(format!("cannot serve {}: {}", config.database.url, error_chain(&why)));
            Some(SqliteStore::lock_serve(path).map_err(taken)?)
        }
        DatabaseUrl::Postgres(_) => None,
    };
    let descriptors = listen::raise_descriptors();
    let public = listen::bind("server.listen", config.server.listen)?;
    let ops = listen::bind("server.ops_listen", config.server.ops_listen)?;
    let opened = open_with(&config, Wrapping::Serving, Arc::new(clock), entropy).await?;
    // A thread that could not draw is seen by everybody who draws after it.
    let _ = warming.join();
    opened.keys.ensure_signing_key().await?;
    let draining = Arc::new(Draining::default());
    let state = compose(&config, &opened, Arc::clone(&draining))?;
    state.list.refresh().await?;
    let first_start = operator::create_operator(&config, &opened).await?;
    announce(&config, &public, &ops, first_start.as_deref());

    let drain = Duration::from_secs(config.server.drain_seconds);
    let rules = listen::public_rules(&config.server, descriptors);
    let (mut public_server, stop_public) =
        listen::spawn_server(public, http::public_router(&state), rules, drain);
    let rules = listen::ops_rules(&config.server);
    let (mut ops_server, stop_ops) =
        listen::spawn_server(ops, http::ops_router(&state), rules, Duration::from_secs(1));
    let loops = tasks::run(background::loops(&config, &opened, &state));
    tokio::select! {
        () = stops.next() => {}
        never = reload::run(&mut hangups, reloading, &state) => match never {},
        name = loops => return Err(AppError::Other(format!("background loop {name} died"))),
        // A server that nobody reaches is better restarted.
        ended = &mut public_server => return finished(ended).and(Err(unasked("public"))),
        ended = &mut ops_server => return finished(ended).and(Err(unasked("operators'"))),
    }
    draining.begin();
    if config.server.drain_delay_seconds > 0 {
        tracing::info!(seconds = config.server.drain_delay_seconds, "stopping: not ready from now on");
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(config.server.drain_delay_seconds)) => {}
            () = stops.next() => return Err(AppError::Other("stopped by a second signal".to_owned())),
        }
    }
    tracing::info!("stopping: finishing what is in flight");
    drop(stop_public);
    tokio::select! {
        ended = public_server => finished(ended)?,
        () = stops.next() => return Err(AppError::Other("stopped by a second signal".to_owned())),
    }
    // The operators' listener outlives the public one, so that probes see why it is gone.
    drop(stop_ops);
    finished(ops_server.await)?;
    opened.store.close().await;
    tracing::info!("stopped");
    Ok(())
}

fn unasked(which: &str) -> AppError {
    AppError::Other(format!("the {which} listener ended unasked"))
}

fn finished(ended: Result<std::io::Result<()>, tokio::task::JoinError>) -> Result<(), AppError> {
    ended.map_err(|died| AppError::Other(died.to_string()))?.map_err(system("a listener failed"))
}

/// The signals that stop a server. One listener for its whole life: a signal that came while nobody listened
/// would be lost.
struct Stops([Option<Signal>; 3]);

impl Stops {
    fn listen() -> Self {
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::quit()];
        // Without a handler the system's own ends the process.
        Self(kinds.map(|kind| signal(kind).ok()))
    }

    /// The next one.
    async fn next(&mut self) {
        let [term, int, quit] = &mut self.0;
        tokio::select! {
            () = received(term) => {}
            () = received(int) => {}
            () = received(quit) => {}
        }
    }
}

async fn received(signal: &mut Option<Signal>) {
    if let Some(signal) = signal
        && signal.recv().await.is_some()
    {
        return;
    }
    std::future::pending::<()>().await;
}

/// Says where the server listens, and on a first start how to get a token. Never a secret.
fn announce(config: &Config, public: &TcpListener, ops: &TcpListener, operator: Option<&Path>) {
    let address = |listener: &TcpListener| {
        listener.local_addr().map_or_else(|_| "unknown".to_owned(), |address| address.to_string())
    };
    tracing::info!(
        listen = address(public),
        ops_listen = address(ops),
        issuer = config.token.issuer,
        "serving"
    );
    let Some(path) = operator else { return };
    let file = shell_word(path);
    let base = reachable(public);
    let line = format!(
        ". {file} && curl -s -d grant_type=client_credentials -d client_id=$CLIENT_ID -d client_secret=$CLIENT_SECRET {base}/api/v1/token"
    );
    tracing::info!(curl = line, "first start: an agent named operator was made");
    // A log escapes what it is given; this stands on a line of its own, to be pasted. One write, so that no
    // line of the log comes between its pieces; nobody may be there to read it.
    let _ = std::io::stderr().write_all(format!("\n{line}\n\n").as_bytes());
}

/// A path as a shell reads it from a pasted line. A bare name would be looked for in `PATH`.
fn shell_word(path: &Path) -> String {
    let path = path.display().to_string();
    let path = if path.contains('/') { path } else { format!("./{path}") };
    if path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b)) {
        return path;
    }
    format!("'{}'", path.replace('\'', "'\\''"))
}

/// Where a client on this machine reaches a listener: one on all addresses by loopback.
fn reachable(listener: &TcpListener) -> String {
    let Ok(mut address) = listener.local_addr() else { return "http://127.0.0.1:3000".to_owned() };
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    format!("http://{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_the_pasted_line() {
        for (path, word) in [
            ("sealwright-data/operator.env", "sealwright-data/operator.env"),
            ("operator.env", "./operator.env"),
            ("/var/a b/operator.env", "'/var/a b/operator.env'"),
            ("/it's/$HOME/operator.env", "'/it'\\''s/$HOME/operator.env'"),
        ] {
            assert_eq!(shell_word(Path::new(path)), word);
        }
    }
}
