//! Whether this process should get requests. Reads from the database at most once a second and
//! writes to it at most once in five seconds, however many callers ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::clock::StoreClock;
use crate::keys::Keyring;
use crate::store::Store;
use crate::store::gate::StoreGate;

use super::clock;
use super::generation::GenerationWatch;
use super::issue::Mint;
use super::revocations::RevocationList;

/// How long the result of one read counts.
const READ_TTL: Duration = Duration::from_secs(1);

/// How long the result of one write counts.
const WRITE_TTL: Duration = Duration::from_secs(5);

/// How long a read or a write may take, because probes wait only a short time.
const CHECK_TIMEOUT: Duration = Duration::from_millis(900);

/// Whether this process should get requests.
pub struct Readiness {
    draining: Arc<Draining>,
    gate: Arc<StoreGate>,
    store: Arc<dyn Store>,
    clock: Arc<StoreClock>,
    read: LastCheck,
    written: LastCheck,
}

/// When the database was last checked, and whether the check passed.
type LastCheck = Mutex<Option<(Instant, bool)>>;

/// One condition of readiness.
pub struct Check {
    /// The name of the check.
    pub name: &'static str,
    /// Whether the check passed.
    pub passed: bool,
    /// The reason to show if the check did not pass.
    pub reason: &'static str,
}

impl Readiness {
    /// The process is ready until `draining` begins, while the database responds and tokens can be
    /// counted.
    pub fn new(
        draining: Arc<Draining>,
        watch: &GenerationWatch,
        store: Arc<dyn Store>,
        clock: Arc<StoreClock>,
    ) -> Self {
        Self {
            draining,
            gate: Arc::clone(watch.gate()),
            store,
            clock,
            read: LastCheck::default(),
            written: LastCheck::default(),
        }
    }

    /// All conditions of readiness. The first check that did not pass gives the reason that is
    /// shown.
    pub async fn checks(&self, mint: &Mint, keyring: &Keyring) -> [Check; 6] {
        // A check that fails because of the gate would be remembered after the gate has opened.
        let (answers, counts) = if self.gate.is_closed() {
            (false, false)
        } else {
            tokio::join!(self.store_answers(), self.tokens_are_counted(mint))
        };
        [
            self.is_staying(),
            check("signing_key", keyring.can_sign(), "no signing key"),
            check(
                "clock",
                !clock::is_off(&self.clock),
                "this machine's clock differs from the database's",
            ),
            check(
                "restore",
                !self.gate.is_closed(),
                "a restore of the store is not acknowledged",
            ),
            check("database", answers, "database"),
            check("writes", counts, "the database cannot be written"),
        ]
    }

    /// The conditions under which this process should get the requests of those who verify tokens by
    /// themselves. They read the key set and the revocation list, which are in memory: a lost
    /// database changes nothing.
    pub fn verification_checks(&self, keyring: &Keyring, list: &RevocationList) -> [Check; 3] {
        [
            self.is_staying(),
            check("keys", keyring.can_verify(), "no keys"),
            check(
                "revocation_list",
                list.is_loaded(),
                "the revocation list was not read",
            ),
        ]
    }

    fn is_staying(&self) -> Check {
        check("draining", !self.draining.has_begun(), "draining")
    }

    async fn store_answers(&self) -> bool {
        looked(&self.read, READ_TTL, self.store.ping()).await
    }

    /// Counts in the same way as for a token, so that the check covers the token's queue, its
    /// connection, its rights and the disk.
    async fn tokens_are_counted(&self, mint: &Mint) -> bool {
        looked(&self.written, WRITE_TTL, mint.count_nobody()).await
    }
}

fn check(name: &'static str, passed: bool, reason: &'static str) -> Check {
    Check {
        name,
        passed,
        reason,
    }
}

/// The result of the last check, or of a new one if the last is older than `ttl`.
async fn looked<E>(
    last: &LastCheck,
    ttl: Duration,
    look: impl Future<Output = Result<(), E>>,
) -> bool {
    // One check at a time: a caller that waits here gets the result of the check before it.
    let mut last = last.lock().await;
    if let Some((at, passed)) = *last
        && at.elapsed() < ttl
    {
        return passed;
    }
    let passed = matches!(tokio::time::timeout(CHECK_TIMEOUT, look).await, Ok(Ok(())));
    *last = Some((Instant::now(), passed));
    passed
}

/// Tells everything that shares this value that the process is about to stop.
#[derive(Debug, Default)]
pub struct Draining(AtomicBool);

impl Draining {
    /// From now on the process is not ready.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether draining has begun.
    fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
