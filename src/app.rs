//! The composition root: from a configuration to a store, a keyring, services, routers and tasks.
//!
//! The only namer of concrete types. Owns start-up and shut-down; must not know protocol rules.

use std::fs::{self, OpenOptions};
use std::io::{IsTerminal as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::config::{Config, DatabaseUrl};
use crate::domain::agent::{AgentName, Audience, Profile};
use crate::domain::event::Actor;
use crate::domain::grant::Policy;
use crate::domain::id::AgentId;
use crate::domain::quota::PlanName;
use crate::domain::scope::{BUILT_IN, Scope};
use crate::entropy::{Entropy, SystemEntropy};
use crate::http;
use crate::http::health::Health;
use crate::http::metadata::Metadata;
use crate::http::state::{Draining, RequestIds, State};
use crate::keys::Keyring;
use crate::keys::seal::MasterKey;
use crate::service::agents::{Agents, NewAgent};
use crate::service::authenticate::Authenticator;
use crate::service::issue::Mint;
use crate::service::keys::{KeyService, ensure_tag_keys};
use crate::service::limits::Limits;
use crate::service::revocations::RevocationList;
use crate::service::revoke::Revocation;
use crate::service::secret::{HashPool, Secrets};
use crate::service::tokens::Tokens;
use crate::store::batch::Batched;
use crate::store::cache::Cached;
use crate::store::postgres::{self, PostgresStore};
use crate::store::sqlite::SqliteStore;
use crate::store::{OpenError, Store};
use crate::tasks::{self, Loop};
use crate::telemetry::metrics::Metrics;

/// The size of one clean-up step, in rows of each kind.
const PRUNE_STEP: i64 = 1_000;

/// Why a command could not do its work. Its text is for the operator's terminal.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
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

/// A store and what belongs to it: enough for any command that works on it directly.
pub struct Opened {
    /// The store, wrapped as asked.
    pub store: Arc<dyn Store>,
    /// An empty keyring under the store's master key; [`KeyService::refresh`] fills it.
    pub keyring: Arc<Keyring>,
    /// Makes and checks secrets.
    pub secrets: Arc<Secrets>,
    /// Makes and rotates keys.
    pub keys: Arc<KeyService>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// How a store is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapping {
    /// Not at all: a command reads what is there now and waits for its own commit.
    Direct,
    /// `Cached(Batched(store))`, for a server.
    Serving,
}

/// Opens the configured store for a command. SQLite stores are made and migrated; on Postgres only
/// `migrate` migrates.
pub async fn open(config: &Config) -> Result<Opened, AppError> {
    open_with(config, Wrapping::Direct, Arc::new(SystemClock), Arc::new(SystemEntropy::default())).await
}

/// As [`open`], with a wrapping, clock and entropy of the caller's.
pub async fn open_with(
    config: &Config,
    wrapping: Wrapping,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<Opened, AppError> {
    let backend: Arc<dyn Store> = match &config.database.url {
        DatabaseUrl::Sqlite(path) => {
            create_folder(path)?;
            Arc::new(SqliteStore::open(path).await?)
        }
        DatabaseUrl::Postgres(url) => {
            Arc::new(PostgresStore::open(url, config.database.max_connections).await?)
        }
    };
    let store: Arc<dyn Store> = match wrapping {
        Wrapping::Direct => backend,
        Wrapping::Serving => Arc::new(Cached::over(Arc::new(Batched::over(backend)))),
    };
    let master_key = master_key(config, &*entropy)?;
    let keyring = Arc::new(Keyring::new(config.token.issuer.clone(), config.token.typ, master_key));
    let tag_keys = ensure_tag_keys(&*store, &keyring, &*clock, &*entropy).await?;
    let threads = match config.limits.hash_threads {
        0 => std::thread::available_parallelism().map_or(1, |n| (n.get() / 2).max(1)),
        n => n,
    };
    let pool = HashPool::start(threads, config.limits.hash_queue).map_err(system("cannot start threads"))?;
    let secrets = Secrets::new(tag_keys, Arc::clone(&entropy), pool).map_err(crate::service::Error::from)?;
    let keys = Arc::new(KeyService::new(
        Arc::clone(&store),
        Arc::clone(&keyring),
        Arc::clone(&clock),
        Arc::clone(&entropy),
        config.keys.rsa_bits,
        config.keys.announce_seconds,
    ));
    Ok(Opened { store, keyring, secrets: Arc::new(secrets), keys, clock, entropy })
}

impl Opened {
    /// The operations on agents.
    pub fn agents(&self, config: &Config) -> Agents {
        Agents {
            store: Arc::clone(&self.store),
            secrets: Arc::clone(&self.secrets),
            plans: config.plans.clone(),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
        }
    }
}

/// Brings the configured store's schema up to date.
pub async fn migrate(config: &Config) -> Result<(), AppError> {
    match &config.database.url {
        DatabaseUrl::Sqlite(path) => {
            create_folder(path)?;
            SqliteStore::open(path).await?;
        }
        DatabaseUrl::Postgres(url) => postgres::migrate(url).await?,
    }
    Ok(())
}

fn folder_of(database: &Path) -> PathBuf {
    database.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

fn create_folder(database: &Path) -> Result<(), AppError> {
    let folder = folder_of(database);
    if folder.is_dir() {
        return Ok(());
    }
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.map_err(system(format!("cannot create {}", folder.display())))
}

/// The configured master key; with SQLite one is made beside the database when there is none.
fn master_key(config: &Config, entropy: &dyn Entropy) -> Result<MasterKey, AppError> {
    if let Some(key) = &config.keys.master_key {
        return Ok(key.clone());
    }
    let DatabaseUrl::Sqlite(database) = &config.database.url else {
        return Err(AppError::Other("Postgres needs keys.master_key".to_owned()));
    };
    let path = folder_of(database).join("master.key");
    let shown = path.display().to_string();
    // Two processes may start at once: one of them links its whole file into place, both read that one.
    if !path.exists() {
        let fresh = MasterKey::generate(entropy).map_err(crate::service::Error::from)?;
        publish_file(&path, fresh.to_text().as_bytes()).map_err(system(format!("cannot write {shown}")))?;
    }
    let text =
        zeroize::Zeroizing::new(fs::read_to_string(&path).map_err(system(format!("cannot read {shown}")))?);
    MasterKey::parse(&text).map_err(|rule| AppError::Other(format!("{shown}: {rule}")))
}

/// Writes a file of mode 0600 under a name of its own and then links it to `path`, so that `path`
/// never holds half of it. A file that is there already stays as it is.
fn publish_file(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    let draft = PathBuf::from(draft);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    let linked = match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    };
    fs::remove_file(&draft)?;
    linked
}

/// The services of a server, as its routers share them.
pub fn compose(config: &Config, opened: &Opened, draining: Arc<Draining>) -> Result<Arc<State>, AppError> {
    let Opened { store, keyring, secrets, keys, clock, entropy } = opened;
    let issuer = &config.token.issuer;
    let default_audience = match &config.token.default_audience {
        Some(audience) => audience.clone(),
        None => Audience::parse(issuer).map_err(|rule| AppError::Other(rule.to_string()))?,
    };
    let own_audiences = vec![issuer.clone(), default_audience.as_str().to_owned()];
    let limits = Arc::new(Limits::new(config.limits.requests_per_minute, config.limits.failures_per_minute));
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
    let list = Arc::new(RevocationList::new(Arc::clone(store), Arc::clone(clock), config.token.default_ttl));
    let mint = Mint {
        authenticator: Arc::clone(&authenticator),
        store: Arc::clone(store),
        keyring: Arc::clone(keyring),
        policy: Policy {
            default_ttl: config.token.default_ttl,
            default_audience,
            high_risk: config.scopes.high_risk.clone(),
        },
        plans: config.plans.clone(),
        limits: Arc::clone(&limits),
        clock: Arc::clone(clock),
        entropy: Arc::clone(entropy),
    };
    let mut process = [0u8; 8];
    entropy.fill(&mut process).map_err(crate::service::Error::from)?;
    Ok(Arc::new(State {
        mint,
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
        agents: opened.agents(config),
        store: Arc::clone(store),
        limits,
        metadata: Metadata::new(issuer),
        health: Health::new(draining),
        metrics: Metrics::install().map_err(|error| AppError::Other(error.to_string()))?,
        log_requests: config.log.requests,
        request_ids: RequestIds::new(u64::from_be_bytes(process)),
    }))
}

/// Runs a server until SIGTERM or SIGINT: stops accepting, finishes what is in flight, flushes the
/// batch. A second signal ends it at once.
pub async fn serve(config: Config) -> Result<(), AppError> {
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::default());
    // The first draw of a process gathers entropy for some 25 ms: let that happen while the store opens.
    let warm = Arc::clone(&entropy);
    let warming = std::thread::spawn(move || warm.fill(&mut [0u8; 1]));
    let _alone = match &config.database.url {
        DatabaseUrl::Sqlite(path) => {
            create_folder(path)?;
            Some(SqliteStore::lock_serve(path).map_err(|taken| AppError::Other(taken.to_string()))?)
        }
        DatabaseUrl::Postgres(_) => None,
    };
    let public = bind(config.server.listen)?;
    let ops = bind(config.server.ops_listen)?;
    let opened = open_with(&config, Wrapping::Serving, Arc::new(SystemClock), entropy).await?;
    // A thread that could not draw is seen by everybody who draws after it.
    let _ = warming.join();
    opened.keys.ensure_signing_key().await?;
    let draining = Arc::new(Draining::default());
    let state = compose(&config, &opened, Arc::clone(&draining))?;
    state.list.catch_up().await?;
    let first_start = create_operator(&config, &opened).await?;
    announce(&config, &public, &ops, first_start.as_deref());

    let drain = Duration::from_secs(config.server.drain_seconds);
    // The operators' listener outlives the other: for as long as requests are being finished a probe
    // can learn that this process is no longer ready.
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (stop_ops, ops_stopped) = tokio::sync::oneshot::channel::<()>();
    let until = |stopped: tokio::sync::oneshot::Receiver<()>| async move {
        let _ = stopped.await;
    };
    let ops_server = tokio::spawn(http::serve::serve(
        ops,
        http::ops_router(&state),
        until(ops_stopped),
        Duration::from_secs(1),
    ));
    let public_server =
        tokio::spawn(http::serve::serve(public, http::public_router(&state), until(stopped), drain));
    let loops = tasks::run(background(&config, &opened, &state));
    tokio::select! {
        () = signalled() => {}
        name = loops => return Err(AppError::Other(format!("background loop {name} died"))),
    }
    draining.begin();
    tracing::info!("stopping: finishing what is in flight");
    let _ = stop.send(());
    tokio::select! {
        ended = public_server => match ended {
            Ok(result) => result.map_err(system("the listener failed"))?,
            Err(died) => return Err(AppError::Other(died.to_string())),
        },
        () = signalled() => return Err(AppError::Other("stopped by a second signal".to_owned())),
    }
    let _ = stop_ops.send(());
    let _ = ops_server.await;
    tracing::info!("stopped");
    Ok(())
}

fn bind(address: SocketAddr) -> Result<TcpListener, AppError> {
    TcpListener::bind(address).map_err(system(format!("cannot listen on {address}")))
}

async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let (term, int) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    match (term, int) {
        (Ok(mut term), Ok(mut int)) => tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        },
        // Without signal handlers the system's own end the process.
        _ => std::future::pending().await,
    }
}

/// The table of background loops.
fn background(config: &Config, opened: &Opened, state: &Arc<State>) -> Vec<Loop> {
    let keep = i64::from(config.audit.keep_days).saturating_mul(86_400);
    let (keys, list) = (Arc::clone(&opened.keys), Arc::clone(&state.list));
    let (store, clock) = (Arc::clone(&opened.store), Arc::clone(&opened.clock));
    let (limits, metrics) = (Arc::clone(&state.limits), state.metrics.clone());
    vec![
        every("revocation list", 1, move || {
            let list = Arc::clone(&list);
            async move { list.catch_up().await.map_err(|e| e.to_string()) }
        }),
        every("keys", 60, move || {
            let keys = Arc::clone(&keys);
            async move { keys.refresh().await.map_err(|e| e.to_string()) }
        }),
        every("prune", 60, move || {
            let (store, clock) = (Arc::clone(&store), Arc::clone(&clock));
            async move { prune(&*store, &*clock, keep).await }
        }),
        every("limits", 30, move || {
            limits.sweep();
            async { Ok(()) }
        }),
        every("metrics", 5, move || {
            metrics.upkeep();
            async { Ok(()) }
        }),
    ]
}

fn every<F>(name: &'static str, seconds: u64, mut step: impl FnMut() -> F + Send + 'static) -> Loop
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    Loop {
        name,
        period: Duration::from_secs(seconds),
        step: Box::new(move || {
            let turn = step();
            let logged: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
                if let Err(error) = turn.await {
                    tracing::warn!(name, error, "a background step failed and will be tried again");
                }
            });
            logged
        }),
    }
}

/// Removes what only time removes, in small steps with room between them for everybody else.
async fn prune(store: &dyn Store, clock: &dyn Clock, keep_seconds: i64) -> Result<(), String> {
    loop {
        let now = clock.now();
        let before = now.saturating_add(-keep_seconds);
        let gone = store.prune(now, before, PRUNE_STEP).await.map_err(|e| e.to_string())?;
        if gone == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The first start on an empty SQLite store: an operator with all scopes, its secret in a file of mode
/// 0600. The file is written first, so that no agent exists whose secret nobody has. Returns the file.
async fn create_operator(config: &Config, opened: &Opened) -> Result<Option<PathBuf>, AppError> {
    let DatabaseUrl::Sqlite(database) = &config.database.url else { return Ok(None) };
    if !opened.store.agents(None, 1).await.map_err(crate::service::Error::from)?.is_empty() {
        return Ok(None);
    }
    let invalid = |rule: crate::domain::Invalid| AppError::Other(rule.to_string());
    let agent_id = AgentId::parse("operator").map_err(invalid)?;
    let unlimited = PlanName::parse("unlimited").map_err(invalid)?;
    let (plan, missing) =
        if config.plans.limit(&unlimited).is_some() { (unlimited, false) } else { (PlanName::free(), true) };
    if missing {
        tracing::warn!("plan unlimited is not configured: the operator is on plan free");
    }
    let scopes: Result<Vec<Scope>, _> = BUILT_IN.iter().map(|b| Scope::parse(b.name)).collect();
    let profile = Profile {
        name: AgentName::parse("operator").map_err(invalid)?,
        scopes: scopes.map_err(invalid)?,
        ttl: None,
        plan,
        audiences: vec![],
        redirect_uris: vec![],
        user_ids: vec![],
    };
    let drawn = opened.secrets.generate(&agent_id).map_err(crate::service::Error::from)?;
    let (secret, _) = drawn.ok_or_else(|| AppError::Other("the store has no tag key".to_owned()))?;
    let path = folder_of(database).join("operator.env");
    let text = format!("CLIENT_ID={agent_id}\nCLIENT_SECRET={}", secret.expose());
    let shown = path.display().to_string();
    // One of an earlier start that ended half-way holds a secret of nobody.
    let _ = fs::remove_file(&path);
    publish_file(&path, text.as_bytes()).map_err(system(format!("cannot write {shown}")))?;
    let new = NewAgent { agent_id: Some(agent_id), secret: Some(secret), profile };
    let created = opened.agents(config).create(new, Actor::System).await;
    created.map_err(|error| AppError::Other(format!("cannot create the operator agent: {error}")))?;
    Ok(Some(path))
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
    let path = path.display().to_string();
    let file = if path.contains('/') { path } else { format!("./{path}") };
    let base = reachable(public);
    let line = format!(
        ". {file} && curl -s -d grant_type=client_credentials -d client_id=$CLIENT_ID -d client_secret=$CLIENT_SECRET {base}/api/v1/token"
    );
    if std::io::stdout().is_terminal() {
        tracing::info!("first start: an agent named operator was made; get a token with\n\n    {line}\n");
    } else {
        // In a JSON log the line cannot be pasted from, so it stands on stderr as well.
        tracing::info!(curl = line, "first start: an agent named operator was made");
        eprintln!("{line}");
    }
}

/// Where a client on this machine reaches a listener: one on all addresses by loopback.
fn reachable(listener: &TcpListener) -> String {
    let Ok(mut address) = listener.local_addr() else { return "http://127.0.0.1:3000".to_owned() };
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    format!("http://{address}")
}
