//! The revocation list (contract §4) that clients poll. It is kept in memory, updated by version,
//! and served even during a database outage.
//!
//! Owns when the list is written down; `reading` reads the news, `entries` owns what is on the list,
//! `text` its exact bytes, `gzip` its compressed form. `feed` tells what came after a version, as a
//! document of `delta`, to requests that `held` holds until there is news. Must not know HTTP.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::clock::{Clock as _, StoreClock};
use crate::document::Document;
use crate::domain::ttl::Ttl;
use crate::store::Records;
use crate::store::gate::StoreGate;
use crate::telemetry::metrics::{self, ListMeasure};

use crate::service::error::Error;
use delta::DeltaCache;
use entries::{Entries, MAX_LOOK_UPS};
use gzip::Packer;
use held::HeldPolls;
pub(crate) use held::HoldEnd;
use tags::RecentTags;
pub(crate) use text::Listing;

mod delta;
mod entries;
mod feed;
mod gzip;
mod held;
mod members;
mod reading;
mod tags;
mod text;

/// The list of this process.
pub struct RevocationList {
    /// Closed while the store is a restored one. Then the list keeps what it has.
    gate: Arc<StoreGate>,
    records: Arc<dyn Records>,
    clock: Arc<StoreClock>,
    default_ttl: Ttl,
    /// The most tokens of one killed agent that are listed one by one.
    max_tokens: usize,
    /// How many readings of the news have begun.
    readings: AtomicU64,
    /// The second of the last reading. Entries that had expired by then have been removed.
    read_at: AtomicI64,
    /// When the news were last read, by the steady clock.
    steady_at: AtomicI64,
    /// The number of the last successful reading. The lock is held while the news are read, so that
    /// they are read in order.
    reading: tokio::sync::Mutex<u64>,
    /// The end of the record of events at each of the last look-ups of tokens, the oldest first.
    /// The lock is held during a look-up.
    looking: tokio::sync::Mutex<VecDeque<i64>>,
    /// Never held across an await: an outage must not keep anybody from the list.
    entries: Mutex<Entries>,
    /// Whether the entries hold more than the written list.
    is_stale: AtomicBool,
    written: ArcSwap<Listing>,
    /// The packer, locked while it packs a list, and the list that was packed last.
    packing: tokio::sync::Mutex<Arc<Mutex<Packer>>>,
    packed: ArcSwapOption<Document>,
    /// How often something was added to the list, or all of it was read anew. Changed under the lock
    /// of the entries.
    changes: AtomicU64,
    /// The entries' version, for readers that do not take the lock.
    version: AtomicI64,
    /// The number of the last successful reading, for those who wait for the next one.
    looks: tokio::sync::watch::Sender<u64>,
    tags: Mutex<RecentTags>,
    deltas: DeltaCache,
    /// Held while a document of the feed is written down.
    writing_deltas: tokio::sync::Mutex<()>,
    polls: HeldPolls,
}

impl RevocationList {
    /// An empty list; [`RevocationList::refresh`] fills it.
    pub(crate) fn new(
        gate: Arc<StoreGate>,
        records: Arc<dyn Records>,
        clock: Arc<StoreClock>,
        default_ttl: Ttl,
        max_tokens: usize,
        held_polls: usize,
    ) -> Self {
        let (entries, steady) = (Entries::default(), clock.steady());
        Self {
            gate,
            records,
            clock,
            default_ttl,
            max_tokens,
            readings: AtomicU64::new(0),
            read_at: AtomicI64::new(i64::MIN),
            steady_at: AtomicI64::new(steady),
            reading: tokio::sync::Mutex::new(0),
            looking: tokio::sync::Mutex::default(),
            written: ArcSwap::from_pointee(entries.write_down()),
            entries: Mutex::new(entries),
            is_stale: AtomicBool::new(false),
            packing: tokio::sync::Mutex::default(),
            packed: ArcSwapOption::empty(),
            changes: AtomicU64::new(0),
            version: AtomicI64::new(0),
            looks: tokio::sync::watch::Sender::new(0),
            tags: Mutex::default(),
            deltas: DeltaCache::default(),
            writing_deltas: tokio::sync::Mutex::default(),
            polls: HeldPolls::new(held_polls),
        }
    }

    /// Reads everything, before the first request is served.
    pub async fn refresh(&self) -> Result<(), Error> {
        self.read_changes().await?;
        self.find_killed_tokens().await
    }

    /// Looks up the tokens of recently killed agents, for clients that read only `revoked_jtis`.
    /// The first look-up reads all of an agent's tokens, and later ones read what was recorded
    /// since. The look-ups end when no batch that was in progress at the kill can still be
    /// committed. Run once a second, separately from the news.
    pub async fn find_killed_tokens(&self) -> Result<(), Error> {
        if self.gate.is_closed() {
            return Ok(());
        }
        let mut ends = self.looking.lock().await;
        let end = self.records.newest_event().await?;
        ends.push_back(end);
        // Look-ups are a second apart, so the oldest position is from long enough ago.
        let settled = if ends.len() > MAX_LOOK_UPS {
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
                // The lock is taken for each agent separately, so that a reader of the list waits
                // for one agent's tokens at most.
                self.entries()
                    .put_tokens(*version, found, settled, self.max_tokens);
            }
        }
        self.find_tokens_of_orgs(settled).await?;
        let mut entries = self.entries();
        metrics::unlisted_tokens(entries.warn_of_unlisted(self.max_tokens));
        if entries.rewrite_if_moved() {
            self.note_change(&entries);
            drop(entries);
            self.polls.wake(false);
        }
        Ok(())
    }

    /// Sets the gauges of the list.
    pub fn measure(&self) {
        let bytes = self.written.load().document.body.len();
        let age = self
            .clock
            .steady()
            .saturating_sub(self.steady_at.load(Ordering::SeqCst));
        let (version, [tokens, agents, orgs, keys]) = {
            let entries = self.entries();
            (entries.version(), entries.count())
        };
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        metrics::held_polls(number(self.polls.count()));
        metrics::revocation_list(&ListMeasure {
            version: version.max(0).unsigned_abs(),
            tokens: number(tokens),
            agents: number(agents),
            orgs: number(orgs),
            keys: number(keys),
            bytes: number(bytes),
            age: Duration::from_millis(age.max(0).unsigned_abs()),
        });
    }

    /// Whether the list was read from the store, so that it lacks nothing from before the start.
    pub fn is_loaded(&self) -> bool {
        self.read_at.load(Ordering::SeqCst) != i64::MIN
    }

    /// The present list. It is made from memory alone, expired entries removed. New entries come
    /// after what was already written, so only the end is written and hashed anew.
    pub fn current(&self) -> Arc<Listing> {
        let now = self.clock.now();
        let is_true =
            |listing: &Listing| now < listing.valid_until && !self.is_stale.load(Ordering::SeqCst);
        let written = self.written.load_full();
        if is_true(&written) {
            return written;
        }
        let mut entries = self.entries();
        // Another caller may have written the list while it held the lock.
        let written = self.written.load_full();
        if is_true(&written) {
            return written;
        }
        // Cleared before the entries are read: entries that are added later are not in this list.
        self.is_stale.store(false, Ordering::SeqCst);
        // Decided by the entries in memory: an entry that was added since the last writing may have
        // expired already.
        if entries.valid_until() <= now {
            entries.expire(now);
            // If the clock was ahead here and is set back later, this time makes the list be read
            // anew.
            self.read_at.fetch_max(now.0, Ordering::SeqCst);
        }
        let listing = Arc::new(entries.write_down());
        self.written.store(Arc::clone(&listing));
        let change = self.changes.load(Ordering::SeqCst);
        self.tags().remember(&listing.document.etag, change);
        listing
    }

    /// Notes that these entries are not those of the written list.
    fn note_change(&self, entries: &Entries) {
        self.version.store(entries.version(), Ordering::SeqCst);
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.is_stale.store(true, Ordering::SeqCst);
    }

    /// The list compressed with gzip, once for all clients. The work is not done on a thread that
    /// serves requests, because millions of bytes take a while.
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

    fn tags(&self) -> MutexGuard<'_, RecentTags> {
        self.tags.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
