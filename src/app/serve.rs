//! Runs a server: opens its store, serves, and stops in order. Must not know what it serves.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;

use crate::clock::SystemClock;
use crate::config::{Config, DatabaseUrl, ServerConfig};
use crate::entropy::{Entropy, SystemEntropy};
use crate::http;
use crate::service::readiness::Draining;
use crate::store::sqlite::SqliteStore;
use crate::tasks;
use crate::telemetry::error_chain;

use super::alone::Alone;
use super::announce::announce;
use super::beside::{NewStore, demand_no_remains};
use super::certificates::CertificateFiles;
use super::error::{AppError, system};
use super::files::create_folder;
use super::first_start::create_operator;
use super::listen;
use super::loops::loops;
use super::open::{Opened, Wrapping, not_opened, open_with};
use super::plans::missing_plans;
use super::reload::{self, Reloading};
use super::services::compose;
use super::signals::{Stops, hangups};
use super::supervisor::Supervisor;
use super::time::wait_for_time;

/// How long a stop may take beyond the times for requests in flight: for the operators' listener, the
/// last writes, and closing the store.
const STOP_MARGIN: Duration = Duration::from_secs(15);

/// Runs a server until SIGTERM, SIGINT or SIGQUIT. Then the server stops accepting connections and
/// finishes the requests in flight, including the batch that they wait for. A second signal ends
/// the process at once. On SIGHUP the server reads its configuration again.
pub(crate) async fn serve(
    config: Config,
    new_store: NewStore,
    reloading: Reloading,
    supervisor: &Supervisor,
) -> Result<(), AppError> {
    let (hangups, mut stops) = (hangups(), Stops::listen());
    if new_store == NewStore::OnCleanGround {
        demand_no_remains(&config.database.url).await?;
    }
    let clock = SystemClock::default();
    tokio::select! {
        () = wait_for_time(&clock) => {}
        () = stops.next() => return Ok(()),
    }
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::default());
    // The first draw of random bytes in a process takes about 25 ms. Do it while the store opens.
    let warm = Arc::clone(&entropy);
    let warming = std::thread::spawn(move || warm.fill(&mut [0u8; 1]));
    let file = match &config.database.url {
        DatabaseUrl::Sqlite(path) => {
            create_folder(path)?;
            Some(path.as_path())
        }
        DatabaseUrl::Postgres(_) => None,
    };
    let mut alone = tokio::select! {
        alone = Alone::demand(file, config.database.url.to_string()) => alone?,
        () = stops.next() => return Ok(()),
    };
    if let Some(file) = file {
        let whole = SqliteStore::demand_whole(file).await;
        whole.map_err(not_opened(&config))?;
    }
    let descriptors = listen::raise_descriptors();
    let certificates = certificates(&config)?;
    let public = listen::bind("server.listen", config.server.listen)?;
    let ops = listen::bind("server.ops_listen", config.server.ops_listen)?;
    let opened = open_with(&config, Wrapping::Serving, Arc::new(clock), entropy).await?;
    // Ignore a failed draw in that thread: each later draw would fail and report it.
    let _ = warming.join();
    if let Err(refused) = opened.demand_acknowledged().await {
        opened.presence.end().await;
        return Err(refused);
    }
    if let Err(error) = opened.records.begin_use().await {
        // Only a copy of the file by hand is not recognised then.
        let error = error_chain(&error);
        tracing::warn!(error, "the database could not be marked as in use");
    }
    let start = Start {
        hangups,
        stops,
        descriptors,
        certificates,
        public,
        ops,
        reloading,
    };
    let served = serve_store(&config, &opened, start, &mut alone, supervisor).await;
    opened.presence.end().await;
    opened.store.close().await;
    // The next server may begin once the run of this one is over.
    drop(alone);
    served?;
    tracing::info!("stopped");
    Ok(())
}

/// What a server has before it opens its store.
struct Start {
    hangups: Option<Signal>,
    stops: Stops,
    descriptors: usize,
    certificates: Option<Arc<CertificateFiles>>,
    public: TcpListener,
    ops: TcpListener,
    reloading: Reloading,
}

/// Serves from an open store until a signal stops the server.
async fn serve_store(
    config: &Config,
    opened: &Opened,
    start: Start,
    alone: &mut Alone,
    supervisor: &Supervisor,
) -> Result<(), AppError> {
    let Start {
        mut hangups,
        mut stops,
        descriptors,
        certificates,
        public,
        ops,
        reloading,
    } = start;
    opened.keys.ensure_signing_key().await?;
    if let Some(missing) = missing_plans(config, &*opened.records).await? {
        return Err(AppError::Other(format!("plans: {missing}")));
    }
    let draining = Arc::new(Draining::default());
    let state = compose(config, opened, Arc::clone(&draining))?;
    state.list.refresh().await?;
    if let Some(path) = &opened.new_store {
        tracing::info!(path = %path.display(), "a new store was made");
    }
    let first_start = create_operator(config, opened).await?;
    let schema = opened.records.schema().await;
    let schema = schema.map_err(crate::service::Error::from)?;
    let generation = opened.records.generation().await;
    let generation = generation.map_err(crate::service::Error::from)?.number;
    let listeners = [&public, &ops];
    announce(
        config,
        &schema,
        generation,
        listeners,
        first_start.as_deref(),
    );

    let drain = Duration::from_secs(config.server.drain_seconds);
    let tls = certificates.as_ref().map(|files| Arc::clone(&files.tls));
    let rules = listen::public_rules(&config.server, descriptors, tls);
    let (mut public_server, stop_public) =
        listen::spawn_server(public, http::public_router(&state), rules, drain);
    let rules = listen::ops_rules(&config.server);
    let (mut ops_server, stop_ops) =
        listen::spawn_server(ops, http::ops_router(&state), rules, Duration::from_secs(1));
    let loops = tasks::run(loops(config, opened, &state)?);
    supervisor.tell_ready();
    tokio::select! {
        () = stops.next() => {}
        never = reload::run(&mut hangups, reloading, &state, certificates.as_deref(), supervisor) => match never {},
        never = watch(certificates.as_ref()) => match never {},
        // The other server goes on with this one's file, so nothing is drained.
        over = alone.is_over() => return Err(over),
        name = loops => return Err(AppError::Other(format!("background loop {name} died"))),
        // A server without its listener is unreachable. End the process, so that it is restarted.
        ended = &mut public_server => return finished(ended).and(Err(unasked("public"))),
        ended = &mut ops_server => return finished(ended).and(Err(unasked("operators'"))),
    }
    draining.begin();
    state.list.drain_polls();
    supervisor.tell_stopping(longest_stop(&config.server));
    if config.server.drain_delay_seconds > 0 {
        tracing::info!(
            seconds = config.server.drain_delay_seconds,
            "stopping: not ready from now on"
        );
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
    // Stop the operators' listener after the public one, so that probes can see why the public one
    // is gone.
    drop(stop_ops);
    finished(ops_server.await)?;
    if let Err(error) = state.refusals.write().await {
        tracing::warn!(
            error = error_chain(&error),
            "the counts of refused requests were not recorded"
        );
    }
    Ok(())
}

fn certificates(config: &Config) -> Result<Option<Arc<CertificateFiles>>, AppError> {
    let (Some(certificate), Some(key)) = (&config.server.tls_cert, &config.server.tls_key) else {
        return Ok(None);
    };
    CertificateFiles::open(certificate.clone(), key.clone()).map(|files| Some(Arc::new(files)))
}

/// Watches the files of the certificate, if there are any.
async fn watch(certificates: Option<&Arc<CertificateFiles>>) -> Infallible {
    loop {
        match certificates {
            Some(files) => files.watch().await,
            None => std::future::pending().await,
        }
    }
}

/// How long a stop may take. A supervisor that waits for less time would kill requests in flight.
fn longest_stop(server: &ServerConfig) -> Duration {
    Duration::from_secs(server.drain_delay_seconds)
        .saturating_add(Duration::from_secs(server.drain_seconds))
        .saturating_add(STOP_MARGIN)
}

fn unasked(which: &str) -> AppError {
    AppError::Other(format!("the {which} listener ended unasked"))
}

fn finished(ended: Result<std::io::Result<()>, tokio::task::JoinError>) -> Result<(), AppError> {
    ended
        .map_err(|died| AppError::Other(died.to_string()))?
        .map_err(system("a listener failed"))
}
