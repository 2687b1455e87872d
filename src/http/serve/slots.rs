//! The entries of the table of connections, and which of them make room.
//!
//! Owns how long a connection may take to end. Must not know how many connections there may be. A
//! connection whose entry is removed is told to end.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::line::Line;

/// Making room ends one in `ROOM_PART` of the open connections at once, because each search goes
/// through the whole table.
const ROOM_PART: usize = 32;

/// One in `LEAVING_PART` of the cap may be ending at once, each with its file descriptor. The cap of
/// one source has such a part too, so that no source delays the newcomers of others.
pub(super) const LEAVING_PART: usize = 16;

/// How long a connection that is ended to make room may take to finish what it is writing.
pub(super) const LEAVING_TIMEOUT: Duration = Duration::from_secs(1);

/// The same time if more than a quarter of those that may be ending are ending already. Then
/// newcomers wait for their places.
pub(super) const CROWDED_LEAVING_TIMEOUT: Duration = Duration::from_millis(100);

/// If no connection could be ended, the table does not search again for this long.
const BARREN: Duration = Duration::from_millis(50);

/// How long a connection must have waited for its client before it may be ended to make room.
const MIN_WAIT: Duration = Duration::from_millis(250);

/// If one in `BURST_PART` of a source's connections came, or began a request, less than `MIN_WAIT`
/// ago, kept connections of this source are not ended: soon the new ones can be ended.
const BURST_PART: usize = 8;

/// The connections that are open.
#[derive(Default)]
pub(super) struct OpenSlots {
    /// The number of the next connection.
    pub next: u64,
    /// The connections by number.
    pub entries: HashMap<u64, ConnectionEntry>,
    /// How many connections have no entry any longer but have not ended yet.
    pub leaving: usize,
    /// How many newcomers wait for a place.
    pub waiting: usize,
    /// The counts of each source that has a connection.
    pub sources: HashMap<IpAddr, SourceSlots>,
    barren_until: Option<Instant>,
    /// Whether the process stops.
    pub is_closed: bool,
}

/// One connection.
pub(super) struct ConnectionEntry {
    /// The address or network that it counts for.
    pub source: Option<IpAddr>,
    /// The state that it shares.
    pub line: Arc<Line>,
    /// Tells the connection to end, and how long that may take. Dropped if the process stops.
    pub told: oneshot::Sender<Duration>,
}

/// The counts of one source.
#[derive(Default)]
pub(super) struct SourceSlots {
    /// How many connections it has.
    pub count: usize,
    /// How many of this source's connections have no entry any longer but have not ended yet.
    pub leaving: usize,
    barren_until: Option<Instant>,
}

impl OpenSlots {
    /// Removes an entry, if there is one.
    pub(super) fn remove(&mut self, number: u64) -> Option<ConnectionEntry> {
        let entry = self.entries.remove(&number)?;
        self.update_source(entry.source, |slots| {
            slots.count = slots.count.saturating_sub(1);
        });
        Some(entry)
    }

    /// Changes the counts of a source, and forgets the source if it has no connection any longer.
    pub(super) fn update_source(
        &mut self,
        source: Option<IpAddr>,
        update: impl FnOnce(&mut SourceSlots),
    ) {
        if let Some(source) = source
            && let Some(slots) = self.sources.get_mut(&source)
        {
            update(slots);
            if slots.count == 0 && slots.leaving == 0 {
                self.sources.remove(&source);
            }
        }
    }

    /// Ends the connections that have waited longest. Returns whether there were any.
    pub(super) fn make_room(&mut self, cap: usize) -> bool {
        let now = Instant::now();
        let is_barren = self.barren_until.is_some_and(|until| now < until);
        if is_barren || self.leaving >= leaving_limit(cap) {
            return false;
        }
        let waiting: Vec<(Instant, u64)> = self
            .entries
            .iter()
            .filter_map(|(number, entry)| Some((entry.line.waiting_since()?, *number)))
            .filter(|(since, _)| now.saturating_duration_since(*since) >= MIN_WAIT)
            .collect();
        let waiting = if waiting.is_empty() {
            self.held(now, |_| true)
        } else {
            waiting
        };
        if waiting.is_empty() {
            self.barren_until = Some(now + BARREN);
        }
        let (open, leaving) = (self.entries.len(), self.leaving);
        self.end_oldest(waiting, open, leaving, cap)
    }

    /// Ends connections of one source that have waited long: those without a complete request, else
    /// kept ones. Returns whether there were any.
    pub(super) fn make_room_in(&mut self, source: IpAddr, cap: usize) -> bool {
        let now = Instant::now();
        let slots = self.sources.entry(source).or_default();
        let is_barren = slots.barren_until.is_some_and(|until| now < until);
        if is_barren || slots.leaving >= leaving_limit(cap) {
            return false;
        }
        let (open, leaving) = (slots.count, slots.leaving);
        let (mut incomplete, mut kept, mut arriving) = (Vec::new(), Vec::new(), 0_usize);
        for (number, entry) in &self.entries {
            let Some(since) = entry.line.waiting_since() else {
                continue;
            };
            if entry.source != Some(source) {
                continue;
            }
            let has_waited = now.saturating_duration_since(since) >= MIN_WAIT;
            match (entry.line.is_incomplete(), has_waited) {
                (true, true) => incomplete.push((since, *number)),
                (true, false) => arriving += 1,
                (false, true) => kept.push((since, *number)),
                (false, false) => {}
            }
        }
        // A burst of requests that never complete must not end what other clients of the same
        // address keep.
        let is_burst = arriving > 0 && arriving >= open / BURST_PART;
        let waiting = match (incomplete.is_empty(), is_burst) {
            (false, _) => incomplete,
            (true, false) => kept,
            (true, true) => Vec::new(),
        };
        let waiting = if waiting.is_empty() && !is_burst {
            self.held(now, |entry| entry.source == Some(source))
        } else {
            waiting
        };
        if waiting.is_empty()
            && let Some(slots) = self.sources.get_mut(&source)
        {
            slots.barren_until = Some(now + BARREN);
        }
        self.end_oldest(waiting, open, leaving, cap)
    }

    /// The connections of this kind whose request has long been held until there is news. Its client
    /// can come again, so these make room if no other can.
    fn held(
        &self,
        now: Instant,
        is_meant: impl Fn(&ConnectionEntry) -> bool,
    ) -> Vec<(Instant, u64)> {
        let held = self.entries.iter().filter(|(_, entry)| is_meant(entry));
        held.filter_map(|(number, entry)| Some((entry.line.held_since()?, *number)))
            .filter(|(since, _)| now.saturating_duration_since(*since) >= MIN_WAIT)
            .collect()
    }

    /// Ends the oldest of these connections: a part of the `open` ones, and no more than may be
    /// ending beside the `leaving` ones. Returns whether it ended any.
    fn end_oldest(
        &mut self,
        mut waiting: Vec<(Instant, u64)>,
        open: usize,
        leaving: usize,
        cap: usize,
    ) -> bool {
        let limit = leaving_limit(cap);
        let room = (open / ROOM_PART + 1)
            .min(waiting.len())
            .min(limit.saturating_sub(leaving));
        if room == 0 {
            return false;
        }
        waiting.select_nth_unstable(room - 1);
        for (ended, (_, number)) in waiting.iter().take(room).enumerate() {
            let timeout = if leaving + ended > limit / 4 {
                CROWDED_LEAVING_TIMEOUT
            } else {
                LEAVING_TIMEOUT
            };
            // The number of its source's ending connections is written first, because a source
            // without any connection has no slots.
            let source = self.entries.get(number).and_then(|entry| entry.source);
            self.update_source(source, |slots| slots.leaving += 1);
            if let Some(entry) = self.remove(*number) {
                self.leaving += 1;
                let _ = entry.told.send(timeout);
                entry.line.recall();
            }
        }
        true
    }
}

/// How many connections may be ending at once beside `cap` open ones.
pub(super) fn leaving_limit(cap: usize) -> usize {
    cap / LEAVING_PART + 1
}
