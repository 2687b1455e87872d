//! The revocation list (contract §4) that clients poll: kept in memory, read by version, served even
//! while the database is away.
//!
//! Owns when what is new is read and when the list is written down; `entries` owns what is on it, `text` its
//! exact bytes, `gzip` their packed form. Must not know HTTP.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::clock::{Clock as _, StoreClock};
use crate::document::Document;
use crate::domain::ttl::Ttl;
use crate::store::Records;
use crate::telemetry::metrics;

use crate::service::error::Error;
use entries::{Entries, KILL_LISTED, LOOKS};
use gzip::Packer;
pub(crate) use text::Listing;

mod entries;
mod gzip;
mod text;

/// A clock that goes back by more than so many seconds was ahead, and entries are gone that still hold.
const MAX_STEP_BACK: i64 = 2;

/// The list of this process.
pub struct RevocationList {
    records: Arc<dyn Records>,
    clock: Arc<StoreClock>,
    default_ttl: Ttl,
    /// At most so many tokens of one killed agent are listed one by one.
    max_tokens: usize,
    /// How many readings of the news have begun.
    readings: AtomicU64,
    /// The second of the last reading. What had expired by then is gone from the entries.
    read_at: AtomicI64,
    /// Which reading was the last to succeed. Held while the news are read, so that they are read in order.
    reading: tokio::sync::Mutex<u64>,
    /// Where the record of events ended at each of the last steps that looked up tokens, the oldest first.
    /// Held while they are looked up.
    looking: tokio::sync::Mutex<VecDeque<i64>>,
    /// Never held across an await: an outage must not keep anybody from the list.
    entries: Mutex<Entries>,
    /// Whether the entries hold more than was written down.
    is_stale: AtomicBool,
    written: ArcSwap<Listing>,
    /// What packs the list, held by whoever packs; and the form that was packed last.
    packing: tokio::sync::Mutex<Arc<Mutex<Packer>>>,
    packed: ArcSwapOption<Document>,
}

impl RevocationList {
    /// An empty list; [`RevocationList::refresh`] fills it.
    pub fn new(
        records: Arc<dyn Records>,
        clock: Arc<StoreClock>,
        default_ttl: Ttl,
        max_tokens: usize,
    ) -> Self {
        let entries = Entries::default();
        Self {
            records,
            clock,
            default_ttl,
            max_tokens,
            readings: AtomicU64::new(0),
            read_at: AtomicI64::new(i64::MIN),
            reading: tokio::sync::Mutex::new(0),
            looking: tokio::sync::Mutex::default(),
            written: ArcSwap::from_pointee(entries.write_down()),
            entries: Mutex::new(entries),
            is_stale: AtomicBool::new(false),
            packing: tokio::sync::Mutex::default(),
            packed: ArcSwapOption::empty(),
        }
    }

    /// All that there is to know: for the start, before anybody is served.
    pub async fn refresh(&self) -> Result<(), Error> {
        self.catch_up().await?;
        self.look_up().await
    }

    /// Reads what changed since the last time. Versions are handed out under a row lock, so what was
    /// read up to a version is complete up to it. Run once a second, and after each revocation of this
    /// process, so it reads nothing but the news; whoever waited while a reading began that was later than
    /// its own revocation need not read again.
    pub async fn catch_up(&self) -> Result<(), Error> {
        let begun = self.readings.load(Ordering::SeqCst);
        let mut last = self.reading.lock().await;
        if *last > begun {
            return Ok(());
        }
        let this = self.readings.fetch_add(1, Ordering::SeqCst) + 1;
        let since = self.entries().version();
        let now = self.clock.now();
        let kills_after = now.saturating_add(-KILL_LISTED);
        let mut news = self.records.revocations(since, now, kills_after).await?;
        let is_wound_back = news.version < since;
        let was_ahead = now.0.saturating_add(MAX_STEP_BACK) < self.read_at.load(Ordering::SeqCst);
        if is_wound_back || was_ahead {
            tracing::warn!(
                known = since,
                found = news.version,
                "the revocation list is read anew: the store was wound back, or the clock was set back"
            );
            news = self.records.revocations(0, now, kills_after).await?;
            let mut entries = self.entries();
            entries.forget();
            entries.apply(news, now);
            entries.rewrite_if_moved();
            self.is_stale.store(true, Ordering::SeqCst);
        } else {
            let changed = self.entries().apply(news, now);
            self.is_stale.fetch_or(changed, Ordering::SeqCst);
        }
        // Only now: a reading anew that failed is made up for at the next turn.
        self.read_at.store(now.0, Ordering::SeqCst);
        *last = this;
        Ok(())
    }

    /// Looks up the tokens of recently killed agents, for clients that read only `revoked_jtis`: all of them
    /// once, then what was recorded since, until no batch that was under way at the kill can still be
    /// committed. Run once a second, apart from the news.
    pub async fn look_up(&self) -> Result<(), Error> {
        let mut ends = self.looking.lock().await;
        let end = self.records.newest_event().await?;
        ends.push_back(end);
        // A step comes a second after the one before, so this one was long enough ago.
        let settled = if ends.len() > LOOKS {
            ends.pop_front()
        } else {
            None
        };
        let (first, further) = self.entries().sought(self.default_ttl);
        for (kills, after) in [(first.kills, None), (further.kills, further.after)] {
            if kills.is_empty() {
                continue;
            }
            let now = self.clock.now();
            let sought: Vec<_> = kills.iter().map(|(sought, _)| sought.clone()).collect();
            let found = self
                .records
                .killed_tokens(&sought, after, now, self.max_tokens)
                .await?;
            for ((_, version), found) in kills.iter().zip(found) {
                // Locked for each by itself: whoever reads the list waits for one agent's tokens at most.
                self.entries()
                    .put_tokens(*version, found, settled, self.max_tokens);
            }
        }
        let mut entries = self.entries();
        metrics::unlisted_tokens(entries.warn_of_unlisted(self.max_tokens));
        if entries.rewrite_if_moved() {
            self.is_stale.store(true, Ordering::SeqCst);
        }
        Ok(())
    }

    /// The list as it is now. Reads nothing: an expired entry is dropped from memory alone. What was added is
    /// behind what was written before, so nothing but the end is written and hashed anew.
    pub fn current(&self) -> Arc<Listing> {
        let now = self.clock.now();
        let is_true =
            |listing: &Listing| now < listing.valid_until && !self.is_stale.load(Ordering::SeqCst);
        let written = self.written.load_full();
        if is_true(&written) {
            return written;
        }
        let mut entries = self.entries();
        // Whoever held the lock before may have written it.
        let written = self.written.load_full();
        if is_true(&written) {
            return written;
        }
        // Before the entries are read: what is added from now on is not in them.
        self.is_stale.store(false, Ordering::SeqCst);
        // By what is in memory: what was added since the last writing may have expired unseen.
        if entries.valid_until() <= now {
            entries.expire(now);
            // A clock that was ahead here and is set back has the list read anew.
            self.read_at.fetch_max(now.0, Ordering::SeqCst);
        }
        let listing = Arc::new(entries.write_down());
        self.written.store(Arc::clone(&listing));
        listing
    }

    /// A list packed with gzip, once for all who ask. Not on a thread that serves requests: millions of
    /// bytes take a while.
    pub async fn gzipped(&self, listing: &Arc<Listing>) -> Result<Arc<Document>, Error> {
        let tag = listing.document.gzip_etag();
        let known = || self.packed.load_full().filter(|packed| packed.etag == tag);
        if let Some(packed) = known() {
            return Ok(packed);
        }
        let packing = self.packing.lock().await;
        if let Some(packed) = known() {
            return Ok(packed);
        }
        let (shared, listing) = (Arc::clone(&packing), Arc::clone(listing));
        let work = tokio::task::spawn_blocking(move || {
            shared
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pack(&listing)
        });
        let done = work.await.map_err(|died| Error::Fault(Arc::new(died)))?;
        let packed = Arc::new(done.map_err(|error| Error::Fault(Arc::new(error)))?);
        self.packed.store(Some(Arc::clone(&packed)));
        Ok(packed)
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
