//! Opens a store: the backend that the URL names, its wrappers, its master key and tag keys.
//!
//! Must not know what a command does with the store.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clock::{Clock, StoreClock, SystemClock, require_time};
use crate::config::{Config, DatabaseUrl};
use crate::entropy::{Entropy, SystemEntropy};
use crate::keys::Keyring;
use crate::keys::cursor::CursorKey;
use crate::outbound::network::{OuterNetwork, SystemNetwork};
use crate::service::clients::secret::{HashPool, Secrets};
use crate::service::clock::measure_clock;
use crate::service::codes::Codes;
use crate::service::generation::GenerationWatch;
use crate::service::keys::KeyService;
use crate::service::manage::idempotency::Idempotency;
use crate::service::processes::ServingReport;
use crate::service::store_keys::ensure_store_keys;
use crate::service::upgrade::{Finished, finish_upgrade};
use crate::store::batch::Batched;
use crate::store::cache::Cached;
use crate::store::gate::StoreGate;
use crate::store::postgres::{self, PostgresStore};
use crate::store::records::Upkeep as _;
use crate::store::sqlite::SqliteStore;
use crate::store::{Backend, OpenError, Records, Store};
use crate::telemetry::metrics::Metrics;

use super::beside::{demand_no_remains, demand_store, warn_of_open_files};
use super::error::{AppError, system};
use super::files::create_folder;
use super::master_key::master_key;
use super::processes::presence;
use super::rotation::rotation_times;

/// A store and everything that belongs to it: enough for any command that works directly on a
/// store.
pub struct Opened {
    /// The store, wrapped as the caller asked.
    pub store: Arc<dyn Store>,
    /// Reads that no token request needs, from the same database.
    pub records: Arc<dyn Records>,
    /// An empty keyring with the store's master key. [`KeyService::refresh`] fills it.
    pub keyring: Arc<Keyring>,
    /// The report of this process. A command makes none.
    pub presence: Arc<ServingReport>,
    /// Watches whether the store was wound back.
    pub watch: Arc<GenerationWatch>,
    /// Makes and checks secrets.
    pub secrets: Arc<Secrets>,
    /// Makes and rotates keys.
    pub keys: Arc<KeyService>,
    /// Makes and opens authorization codes.
    pub codes: Arc<Codes>,
    /// Authenticates the cursors of lists.
    pub cursors: Arc<CursorKey>,
    /// Answers requests that are sent again.
    pub idempotency: Arc<Idempotency>,
    /// The store's clock.
    pub clock: Arc<StoreClock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Where the servers of others are.
    pub network: Arc<dyn OuterNetwork>,
    /// The absolute path of the SQLite file, if it was made just now.
    pub new_store: Option<PathBuf>,
}

/// How a store is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapping {
    /// Not at all, for a command: it reads the current rows and waits for its own commit.
    Direct,
    /// `Cached(Batched(store))`, for a server.
    Serving,
}

/// Opens the configured store for a command that works on what is there. Migrates a SQLite store,
/// and makes it if no operator chose its path. On Postgres, only the command `migrate` migrates.
pub async fn open(config: &Config) -> Result<Opened, AppError> {
    demand_no_remains(&config.database.url).await?;
    demand_store(config).await?;
    open_or_create(config).await
}

/// Like [`open`], for a command that adds to the store. Makes a SQLite store wherever there is none.
pub(crate) async fn open_or_create(config: &Config) -> Result<Opened, AppError> {
    demand_no_remains(&config.database.url).await?;
    let clock = SystemClock::default();
    require_time(&clock).map_err(|why| AppError::Other(why.to_string()))?;
    open_with(
        config,
        Wrapping::Direct,
        Arc::new(clock),
        Arc::new(SystemEntropy::default()),
    )
    .await
}

/// The backend of the configured database, and the path of its file if the file is new.
async fn open_backend(
    config: &Config,
    wrapping: Wrapping,
) -> Result<(Arc<dyn Backend>, Option<PathBuf>), AppError> {
    match &config.database.url {
        DatabaseUrl::Sqlite(path) => {
            let (store, made) = open_file(config, path).await?;
            warn_of_open_files(path);
            Ok((Arc::new(store), made))
        }
        DatabaseUrl::Postgres(url) => {
            // One connection is enough: a command does one thing after the other. The servers
            // need the other connections.
            let most = if wrapping == Wrapping::Direct {
                1
            } else {
                config.database.max_connections
            };
            let store = PostgresStore::open(url.each(), most)
                .await
                .map_err(not_opened(config))?;
            if wrapping == Wrapping::Serving {
                // Open the idle connections now. Ignore an error: a background loop tries again
                // every second and logs its error.
                let _ = store.rest().await;
            }
            Ok((Arc::new(store), None))
        }
    }
}

/// Like [`open`], but the caller chooses the wrapping, the clock of the process and the entropy.
pub async fn open_with(
    config: &Config,
    wrapping: Wrapping,
    process: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<Opened, AppError> {
    if wrapping == Wrapping::Serving {
        // The store's series begin when it opens.
        Metrics::install().map_err(|error| AppError::Other(error.to_string()))?;
    }
    let (backend, new_store) = open_backend(config, wrapping).await?;
    let records = Arc::clone(&backend) as Arc<dyn Records>;
    let (direct, gate) = (Arc::clone(&backend), Arc::new(StoreGate::default()));
    let store: Arc<dyn Store> = match wrapping {
        Wrapping::Direct => backend,
        Wrapping::Serving => {
            let batched = Arc::new(Batched::over(backend));
            Arc::new(Cached::over(batched, Arc::clone(&gate)))
        }
    };
    // Read the store's clock before anything is written: a command has no later chance to do it.
    let clock = Arc::new(StoreClock::new(process));
    measure_clock(&*records, &clock).await?;
    let watch = GenerationWatch::new(gate, direct, Arc::clone(&records), Arc::clone(&clock));
    let master_key = master_key(config, &*records, &*entropy).await?;
    let presence = Arc::new(presence(&records, &clock, &*entropy, &master_key)?);
    if wrapping == Wrapping::Serving {
        // Before the keys are read, so that whoever changes their seals knows of this process.
        presence.begin().await;
    }
    let keyring = Arc::new(Keyring::new(
        config.token.issuer.clone(),
        config.token.typ,
        master_key,
    ));
    let store_keys = ensure_store_keys(&*store, &*records, &keyring, &clock, &*entropy).await;
    if store_keys.is_err() && wrapping == Wrapping::Serving {
        presence.end().await;
    }
    let store_keys = store_keys?;
    let threads = match config.limits.hash_threads {
        0 => std::thread::available_parallelism().map_or(1, |n| (n.get() / 2).max(1)),
        n => n,
    };
    let pool = HashPool::start(threads, config.limits.hash_queue)
        .map_err(system("cannot start threads"))?;
    let secrets = Secrets::new(store_keys.tags, Arc::clone(&entropy), pool)
        .map_err(crate::service::Error::from)?;
    let keys = KeyService::new(
        Arc::clone(&store),
        Arc::clone(&records),
        Arc::clone(&keyring),
        Arc::clone(&clock),
        Arc::clone(&entropy),
        config.keys.rsa_bits,
        rotation_times(config, &*records).await?,
    );
    let keys = Arc::new(keys.behind(Arc::clone(watch.gate())));
    let codes = Codes::new(
        Arc::clone(&store),
        store_keys.code,
        Arc::clone(&clock),
        Arc::clone(&entropy),
    );
    let (secrets, codes) = (Arc::new(secrets), Arc::new(codes));
    let cursors = Arc::new(store_keys.cursor);
    let idempotency = Arc::new(Idempotency::new(
        Arc::clone(&store),
        Arc::clone(&records),
        store_keys.reply,
        Arc::clone(&clock),
        Arc::clone(&entropy),
    ));
    Ok(Opened {
        store,
        records,
        keyring,
        presence,
        watch: Arc::new(watch),
        secrets,
        keys,
        codes,
        cursors,
        idempotency,
        clock,
        entropy,
        network: Arc::new(SystemNetwork),
        new_store,
    })
}

/// Opens a SQLite file. If there is none, makes it and returns its absolute path too.
async fn open_file(
    config: &Config,
    path: &Path,
) -> Result<(SqliteStore, Option<PathBuf>), AppError> {
    let is_there = fs::metadata(path).is_ok_and(|file| file.len() > 0);
    create_folder(path)?;
    let store = SqliteStore::open(path).await.map_err(not_opened(config))?;
    let made = (!is_there).then(|| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()));
    Ok((store, made))
}

/// Opens the configured store for reading, if it exists. A SQLite file is neither created nor
/// migrated.
pub(super) async fn open_to_read(config: &Config) -> Result<Option<Arc<dyn Backend>>, AppError> {
    match &config.database.url {
        DatabaseUrl::Sqlite(path) => Ok(path
            .is_file()
            .then(|| -> Arc<dyn Backend> { Arc::new(SqliteStore::open_to_read(path)) })),
        DatabaseUrl::Postgres(url) => Ok(Some(Arc::new(
            PostgresStore::open(url.each(), 1)
                .await
                .map_err(not_opened(config))?,
        ))),
    }
}

/// Brings the configured store's schema up to date. Returns the absolute path of a SQLite file that
/// was made for it.
pub async fn migrate(config: &Config) -> Result<Option<PathBuf>, AppError> {
    demand_no_remains(&config.database.url).await?;
    match &config.database.url {
        DatabaseUrl::Sqlite(path) => open_file(config, path).await.map(|(_, made)| made),
        DatabaseUrl::Postgres(url) => {
            postgres::migrate(url.each())
                .await
                .map_err(not_opened(config))?;
            Ok(None)
        }
    }
}

/// Switches on what servers of earlier releases do not enforce, unless one runs. The store has this
/// program's schema.
pub(crate) async fn finish(config: &Config) -> Result<Finished, AppError> {
    let records: Arc<dyn Records> = match &config.database.url {
        DatabaseUrl::Sqlite(path) => Arc::new(open_file(config, path).await?.0),
        DatabaseUrl::Postgres(url) => {
            let opened = PostgresStore::open(url.each(), 1).await;
            Arc::new(opened.map_err(not_opened(config))?)
        }
    };
    let clock = StoreClock::new(Arc::new(SystemClock::default()));
    measure_clock(&*records, &clock).await?;
    Ok(finish_upgrade(&*records, &clock).await?)
}

/// The error of a store that cannot be opened.
pub(super) fn not_opened(config: &Config) -> impl FnOnce(OpenError) -> AppError {
    let url = config.database.url.to_string();
    move |cause| AppError::Open { url, cause }
}
