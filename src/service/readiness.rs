//! Whether this process should be sent requests. Reads from the database once a second and writes to it once in
//! five, whoever asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::keys::Keyring;
use crate::store::Store;

use super::clock;
use super::issue::Mint;

/// How long one look at the database is good for.
const READ_TTL: Duration = Duration::from_secs(1);

/// How long one write is good for.
const WRITE_TTL: Duration = Duration::from_secs(5);

/// How long a look may take: a prober's patience is short.
const CHECK_TIMEOUT: Duration = Duration::from_millis(900);

/// Whether this process should be sent requests.
pub struct Readiness {
    draining: Arc<Draining>,
    store: Arc<dyn Store>,
    read: LastCheck,
    written: LastCheck,
}

/// When the database was last looked at, and whether that went well.
type LastCheck = Mutex<Option<(Instant, bool)>>;

/// One thing that readiness rests on.
pub struct Check {
    /// Its word.
    pub name: &'static str,
    /// Whether it did.
    pub passed: bool,
    /// What is told when it did not.
    pub reason: &'static str,
}

impl Readiness {
    /// Ready until `draining` begins, while the database answers and tokens can be counted.
    pub fn new(draining: Arc<Draining>, store: Arc<dyn Store>) -> Self {
        Self {
            draining,
            store,
            read: LastCheck::default(),
            written: LastCheck::default(),
        }
    }

    /// Everything that readiness rests on; the first that did not pass is the reason that is told.
    pub async fn checks(&self, mint: &Mint, keyring: &Keyring) -> [Check; 5] {
        let (answers, counts) = tokio::join!(self.store_answers(), self.tokens_are_counted(mint));
        let check = |name, passed, reason| Check {
            name,
            passed,
            reason,
        };
        [
            check("draining", !self.draining.has_begun(), "draining"),
            check("signing_key", keyring.can_sign(), "no signing key"),
            check(
                "clock",
                !clock::is_off(&mint.clock),
                "this machine's clock differs from the database's",
            ),
            check("database", answers, "database"),
            check("writes", counts, "the database cannot be written"),
        ]
    }

    async fn store_answers(&self) -> bool {
        looked(&self.read, READ_TTL, self.store.ping()).await
    }

    /// On the way of a token, so that its queue, its connection, its rights and the disk are asked.
    async fn tokens_are_counted(&self, mint: &Mint) -> bool {
        looked(&self.written, WRITE_TTL, mint.count_nobody()).await
    }
}

/// What the last look found, or a new one when that is older than `ttl`.
async fn looked<E>(
    last: &LastCheck,
    ttl: Duration,
    look: impl Future<Output = Result<(), E>>,
) -> bool {
    // One look at a time: whoever waits here finds the answer of the one before.
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

/// Says once, to all who ask, that the process is about to stop.
#[derive(Debug, Default)]
pub struct Draining(AtomicBool);

impl Draining {
    /// From now on the process is not ready.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
