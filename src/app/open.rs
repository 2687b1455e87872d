//! Opening a store: the backend that the URL names, its wrappers, its master key and tag keys.
//!
//! Owns the files beside a SQLite database. Must not know what a command does with the store.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::clock::{Clock, StoreClock, SystemClock, require_time};
use crate::config::{Config, DatabaseUrl};
use crate::entropy::{Entropy, SystemEntropy};
use crate::keys::Keyring;
use crate::keys::seal::MasterKey;
use crate::service::clients::secret::{HashPool, Secrets};
use crate::service::clock::measure_clock;
use crate::service::codes::Codes;
use crate::service::keys::{KeyService, ensure_store_keys};
use crate::service::manage::agents::Agents;
use crate::store::batch::Batched;
use crate::store::cache::Cached;
use crate::store::postgres::{self, PostgresStore};
use crate::store::sqlite::{SqliteStore, give_to_owner_of};
use crate::store::{OpenError, Store};

use super::beside::{demand_no_remains, demand_private, demand_same_owner, warn_of_open_files};
use super::{AppError, system};

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
    /// Makes and opens authorization codes.
    pub codes: Arc<Codes>,
    /// The store's clock.
    pub clock: Arc<StoreClock>,
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
    demand_no_remains(&config.database.url)?;
    let clock = SystemClock::default();
    require_time(&clock).map_err(|why| AppError::Other(why.to_string()))?;
    open_with(config, Wrapping::Direct, Arc::new(clock), Arc::new(SystemEntropy::default())).await
}

/// As [`open`], with a wrapping, a clock of the process and entropy of the caller's.
pub async fn open_with(
    config: &Config,
    wrapping: Wrapping,
    process: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<Opened, AppError> {
    let backend: Arc<dyn Store> = match &config.database.url {
        DatabaseUrl::Sqlite(path) => {
            create_folder(path)?;
            let store = SqliteStore::open(path).await.map_err(not_opened(config))?;
            warn_of_open_files(path);
            Arc::new(store)
        }
        DatabaseUrl::Postgres(url) => {
            // A command does one thing after the other, beside servers that need the rest.
            let most = if wrapping == Wrapping::Direct { 1 } else { config.database.max_connections };
            let store = PostgresStore::open(url, most).await.map_err(not_opened(config))?;
            if wrapping == Wrapping::Serving {
                // What cannot be had now is asked for every second, and says so then.
                let _ = store.rest().await;
            }
            Arc::new(store)
        }
    };
    let store: Arc<dyn Store> = match wrapping {
        Wrapping::Direct => backend,
        Wrapping::Serving => Arc::new(Cached::over(Arc::new(Batched::over(backend)))),
    };
    // Before anything is written: a command has no later chance to learn what time it is.
    let clock = Arc::new(StoreClock::new(process));
    measure_clock(&*store, &clock).await?;
    let master_key = master_key(config, &*store, &*entropy).await?;
    let keyring = Arc::new(Keyring::new(config.token.issuer.clone(), config.token.typ, master_key));
    let store_keys = ensure_store_keys(&*store, &keyring, &clock, &*entropy).await?;
    let threads = match config.limits.hash_threads {
        0 => std::thread::available_parallelism().map_or(1, |n| (n.get() / 2).max(1)),
        n => n,
    };
    let pool = HashPool::start(threads, config.limits.hash_queue).map_err(system("cannot start threads"))?;
    let secrets =
        Secrets::new(store_keys.tags, Arc::clone(&entropy), pool).map_err(crate::service::Error::from)?;
    let keys = Arc::new(KeyService::new(
        Arc::clone(&store),
        Arc::clone(&keyring),
        Arc::clone(&clock),
        Arc::clone(&entropy),
        config.keys.rsa_bits,
        config.keys.announce_seconds,
    ));
    let codes = Codes::new(Arc::clone(&store), store_keys.code, Arc::clone(&clock), Arc::clone(&entropy));
    let (secrets, codes) = (Arc::new(secrets), Arc::new(codes));
    Ok(Opened { store, keyring, secrets, keys, codes, clock, entropy })
}

impl Opened {
    /// The operations on agents.
    pub fn agents(&self, config: &Config) -> Agents {
        Agents {
            store: Arc::clone(&self.store),
            secrets: Arc::clone(&self.secrets),
            plans: Arc::new(ArcSwap::from_pointee(config.plans.clone())),
            rules: config.scopes.clone(),
            default_ttl: config.token.default_ttl,
            credentials_per_agent: config.limits.credentials_per_agent,
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
        }
    }
}

/// The configured store if there is one, to read from: a SQLite file is neither made nor migrated.
pub async fn look(config: &Config) -> Result<Option<Arc<dyn Store>>, AppError> {
    match &config.database.url {
        DatabaseUrl::Sqlite(path) => {
            Ok(path.is_file().then(|| -> Arc<dyn Store> { Arc::new(SqliteStore::look(path)) }))
        }
        DatabaseUrl::Postgres(url) => {
            Ok(Some(Arc::new(PostgresStore::open(url, 1).await.map_err(not_opened(config))?)))
        }
    }
}

/// Brings the configured store's schema up to date.
pub async fn migrate(config: &Config) -> Result<(), AppError> {
    demand_no_remains(&config.database.url)?;
    match &config.database.url {
        DatabaseUrl::Sqlite(path) => {
            create_folder(path)?;
            SqliteStore::open(path).await.map_err(not_opened(config))?;
        }
        DatabaseUrl::Postgres(url) => postgres::migrate(url).await.map_err(not_opened(config))?,
    }
    Ok(())
}

fn not_opened(config: &Config) -> impl FnOnce(OpenError) -> AppError {
    let url = config.database.url.to_string();
    move |cause| AppError::Open { url, cause }
}

/// The folder that a database file lies in.
pub(super) fn folder_of(database: &Path) -> PathBuf {
    database.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// Makes the folder of a database file, for its owner alone.
pub(super) fn create_folder(database: &Path) -> Result<(), AppError> {
    let folder = folder_of(database);
    if folder.is_dir() {
        return Ok(());
    }
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.map_err(system(format!("cannot create {}", folder.display())))
}

/// The configured master key; with SQLite one is made beside the database when there is none.
async fn master_key(
    config: &Config,
    store: &dyn Store,
    entropy: &dyn Entropy,
) -> Result<MasterKey, AppError> {
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
        // A new key opens nothing that an old one sealed: better to say so than to make one.
        if !store.store_keys().await.map_err(crate::service::Error::from)?.is_empty() {
            let what = "is missing and sealed the keys of this store: restore it, or set keys.master_key";
            return Err(AppError::Other(format!("{shown} {what}")));
        }
        let fresh = MasterKey::generate(entropy).map_err(crate::service::Error::from)?;
        publish_file(&path, fresh.to_text().as_bytes(), database)
            .map_err(system(format!("cannot write {shown}")))?;
    }
    demand_private(&path)?;
    demand_same_owner(&path, database)?;
    let text =
        zeroize::Zeroizing::new(fs::read_to_string(&path).map_err(system(format!("cannot read {shown}")))?);
    MasterKey::parse(&text).map_err(|rule| AppError::Other(format!("{shown}: {rule}")))
}

/// Writes a file of mode 0600 under a name of its own and then gives it the name `path`, so that `path`
/// never holds half of it. A file that is there already stays as it is. It belongs to whom `like` belongs to.
/// When this returns, neither the file nor its name is lost with the machine's power.
pub(super) fn publish_file(path: &Path, text: &[u8], like: &Path) -> io::Result<()> {
    publish_by(|draft, path| fs::hard_link(draft, path), path, text, like)
}

fn publish_by(
    link: impl FnOnce(&Path, &Path) -> io::Result<()>,
    path: &Path,
    text: &[u8],
    like: &Path,
) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    let draft = PathBuf::from(draft);
    // A process that ended half-way may have had this number. The mode binds only a file that is made.
    allow(fs::remove_file(&draft), io::ErrorKind::NotFound)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let owned = give_to_owner_of(like, &file);
    let written = owned.and_then(|()| file.write_all(text)).and_then(|()| file.write_all(b"\n"));
    let named = written.and_then(|()| file.sync_all()).and_then(|()| match link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // FAT, some network and FUSE file systems know no hard links, and say so each in its own way.
        Err(_) => rename_once(&draft, path),
        Ok(()) => Ok(()),
    });
    allow(fs::remove_file(&draft), io::ErrorKind::NotFound)?;
    named?;
    fs::File::open(folder_of(path))?.sync_all()
}

/// Renames without replacing: those who do it at once take turns by a lock on the folder.
fn rename_once(draft: &Path, path: &Path) -> io::Result<()> {
    let folder = fs::File::open(folder_of(path))?;
    // Where a folder cannot be locked either, only two first starts in the same moment could meet.
    let _locked = folder.lock();
    if fs::symlink_metadata(path).is_ok() {
        return Ok(());
    }
    fs::rename(draft, path)
}

fn allow(done: io::Result<()>, kind: io::ErrorKind) -> io::Result<()> {
    done.or_else(|error| if error.kind() == kind { Ok(()) } else { Err(error) })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_file_is_its_owners_alone_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        // What an earlier process with this number left open to everybody.
        let leftover = folder.path().join(format!("master.key.{}", std::process::id()));
        fs::write(&leftover, "old").unwrap();
        fs::set_permissions(&leftover, fs::Permissions::from_mode(0o666)).unwrap();
        publish_file(&path, b"first", folder.path()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        publish_file(&path, b"second", folder.path()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "first\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_without_hard_links_gets_its_file_once_too() {
        for kind in [io::ErrorKind::PermissionDenied, io::ErrorKind::Unsupported, io::ErrorKind::Other] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("master.key");
            let publish = |text: &[u8]| publish_by(|_, _| Err(kind.into()), &path, text, folder.path());
            publish(b"first").unwrap();
            publish(b"second").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "first\n");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn of_many_that_write_a_file_at_once_without_hard_links_all_read_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let seen: Vec<String> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8)
                .map(|i| {
                    let (path, draft) = (&path, folder.path().join(format!("draft-{i}")));
                    scope.spawn(move || {
                        fs::write(&draft, format!("{i}")).unwrap();
                        rename_once(&draft, path).unwrap();
                        fs::read_to_string(path).unwrap()
                    })
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        assert!(seen.iter().all(|text| *text == seen[0]), "{seen:?}");
    }
}
