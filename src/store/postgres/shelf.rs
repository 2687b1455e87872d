//! Holds the idle connections of all lanes.
//!
//! Owns how long a connection may be idle. Must not know what a lane is for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;

/// A connection that was unused for this long is not trusted: something between this process and
/// the database may have dropped it silently.
const TRUSTED_IDLE: Duration = Duration::from_mins(2);

/// A connection that was unused for this long is closed, unless it is the last of its lane.
const IDLE_TTL: Duration = Duration::from_secs(3);

struct Idle {
    lane: usize,
    since: Instant,
    conn: PgConnection,
    open: Open,
}

/// Idle connections. Of each lane, the most recently used connection is last.
#[derive(Default)]
pub(super) struct Shelf(Mutex<Vec<Idle>>);

impl Shelf {
    /// How long the last connection of a lane may be idle before it is checked.
    pub(super) const CHECKED: Duration = Duration::from_secs(30);

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The most recently used connection of this lane.
    pub(super) fn take(&self, lane: usize) -> Option<(PgConnection, Open)> {
        let mut idle = self.idle();
        let place = idle.iter().rposition(|one| one.lane == lane)?;
        let one = idle.remove(place);
        drop(idle);
        (one.since.elapsed() < TRUSTED_IDLE).then_some((one.conn, one.open))
    }

    /// The connection of this lane that was unused for the longest time.
    pub(super) fn take_oldest(&self, lane: usize) -> Option<(PgConnection, Open)> {
        let mut idle = self.idle();
        let place = idle.iter().position(|one| one.lane == lane)?;
        let one = idle.remove(place);
        Some((one.conn, one.open))
    }

    /// How long the connection of [`Shelf::take_oldest`] was unused.
    pub(super) fn oldest(&self, lane: usize) -> Option<Duration> {
        self.idle()
            .iter()
            .find(|one| one.lane == lane)
            .map(|one| one.since.elapsed())
    }

    /// How many connections of this lane are idle.
    pub(super) fn count(&self, lane: usize) -> usize {
        self.idle().iter().filter(|one| one.lane == lane).count()
    }

    /// Puts a connection back.
    pub(super) fn put(&self, lane: usize, conn: PgConnection, open: Open) {
        self.idle().push(Idle {
            lane,
            since: Instant::now(),
            conn,
            open,
        });
    }

    /// Drops the connections of these lanes.
    pub(super) fn clear(&self, lanes: impl Fn(usize) -> bool) {
        self.drop_if(|one| lanes(one.lane));
    }

    /// Drops the connections to servers of earlier turns.
    pub(super) fn clear_before(&self, turn: u64) {
        self.drop_if(|one| one.open.turn < turn);
    }

    /// Drops the connections that were idle too long, but keeps the last of the lane's `open`
    /// connections.
    pub(super) fn shrink(&self, lane: usize, open: usize) {
        let mut spare = open.saturating_sub(1);
        self.drop_if(|one| {
            let is_spare = one.lane == lane && one.since.elapsed() >= IDLE_TTL && spare > 0;
            spare -= usize::from(is_spare);
            is_spare
        });
    }

    fn drop_if(&self, mut is_dropped: impl FnMut(&Idle) -> bool) {
        // The connections are dropped after the lock is released.
        let dropped: Vec<Idle> = self.idle().extract_if(.., |one| is_dropped(one)).collect();
        drop(dropped);
    }
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Shelf").field(&self.idle().len()).finish()
    }
}

/// Counts a connection of its lane as long as the connection exists.
#[derive(Debug)]
pub(super) struct Open {
    count: Arc<AtomicUsize>,
    /// The turn of the server that it goes to.
    pub(super) turn: u64,
}

impl Open {
    /// Adds one connection to this count.
    pub(super) fn one_of(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self {
            count: Arc::clone(count),
            turn: 0,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}
