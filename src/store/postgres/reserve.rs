//! How many lanes may have a connection of their own, so that one connection stays free for commands.
//!
//! Owns when a lane gives its connection back, and when it gets one again. Must not know how many
//! connections the database allows, or how they are counted.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long the lanes share after one of them gave its connection back.
const MIN_HOLD: Duration = Duration::from_secs(10);

/// The longest such time. It doubles each time that a lane got a connection in vain: several servers
/// may see the same free connections at once.
const MAX_HOLD: Duration = Duration::from_mins(10);

/// A lane got its connection in vain if a lane gives one back within this time.
const TRIAL: Duration = Duration::from_secs(10);

/// The number of lanes with connections of their own.
#[derive(Debug)]
pub(super) struct Reserve {
    own: AtomicUsize,
    max_own: usize,
    history: Mutex<History>,
}

#[derive(Debug)]
struct History {
    hold: Duration,
    held_until: Option<Instant>,
    raised: Option<Instant>,
    /// Whether the last look found no free connection.
    was_short: bool,
}

impl Reserve {
    /// Begins with `own` lanes, of which there are `max_own`.
    pub(super) fn new(own: usize, max_own: usize) -> Self {
        Self {
            own: AtomicUsize::new(own.clamp(1, max_own.max(1))),
            max_own: max_own.max(1),
            history: Mutex::new(History {
                hold: MIN_HOLD,
                held_until: None,
                raised: None,
                was_short: false,
            }),
        }
    }

    /// How many lanes have connections of their own now: at least one.
    pub(super) fn own(&self) -> usize {
        self.own.load(Ordering::Relaxed)
    }

    /// Follows what the database says: this process has `open` connections, and so many more are
    /// `free` for everybody; negative if the limit was lowered. Changes the number of lanes by one
    /// at most, because other servers see the same and act as well. Returns whether connections
    /// must be given back: two looks in a row found none free. One look may have met a command.
    pub(super) fn update(&self, open: usize, free: i64, now: Instant) -> bool {
        let mut history = self.history();
        let as_number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let is_short = free < 1;
        let must_give_back = std::mem::replace(&mut history.was_short, is_short) && is_short;
        let own = self.own();
        // As many as this process may have if it leaves one.
        let most = free.saturating_add(as_number(open)).saturating_sub(1);
        if must_give_back && own > 1 && most < as_number(own) {
            let was_in_vain = history
                .raised
                .take()
                .is_some_and(|raised| now.saturating_duration_since(raised) < TRIAL);
            history.hold = if was_in_vain {
                history.hold.saturating_mul(2).min(MAX_HOLD)
            } else {
                MIN_HOLD
            };
            history.held_until = now.checked_add(history.hold);
            self.own.store(own - 1, Ordering::Relaxed);
        } else if own < self.max_own
            && most > as_number(own)
            && history.held_until.is_none_or(|until| now >= until)
        {
            history.raised = Some(now);
            self.own.store(own + 1, Ordering::Relaxed);
        }
        must_give_back
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Idle servers that share a limit, each with a connection for each of its lanes. Each looks
    /// once a second. Returns how many connections are free after each second.
    fn seconds_of(servers: &[Reserve], limit: i64, seconds: u64) -> Vec<i64> {
        let free = || {
            let open: usize = servers.iter().map(Reserve::own).sum();
            limit - i64::try_from(open).unwrap()
        };
        let began = Instant::now();
        (0..seconds)
            .map(|second| {
                let seen = free();
                for server in servers {
                    server.update(server.own(), seen, began + Duration::from_secs(second));
                }
                free()
            })
            .collect()
    }

    fn servers(count: usize) -> Vec<Reserve> {
        (0..count).map(|_| Reserve::new(5, 5)).collect()
    }

    #[test]
    fn idle_servers_leave_one_connection_free() {
        for (count, limit) in [(1, 4), (1, 5), (2, 8), (2, 10), (3, 15), (3, 5)] {
            let free = seconds_of(&servers(count), limit, 5);
            assert!(
                free[4] >= 1,
                "{count} servers, {limit} connections: {free:?}"
            );
        }
    }

    #[test]
    fn lanes_with_room_keep_their_connections() {
        let servers = servers(2);
        assert!(seconds_of(&servers, 11, 100).iter().all(|free| *free == 1));
    }

    #[test]
    fn a_lane_gets_its_connection_again_and_seldom_in_vain() {
        let alone = servers(1);
        seconds_of(&alone, 3, 10);
        assert_eq!(alone[0].own(), 2);
        seconds_of(&alone, 30, 30);
        assert_eq!(alone[0].own(), 5);
        // A command that was seen once took nothing, and one that was seen twice not for long.
        let few = [Reserve::new(2, 5)];
        let now = Instant::now();
        assert!(!few[0].update(2, 0, now) && few[0].own() == 2);
        assert!(few[0].update(2, 0, now) && few[0].own() == 1);
        assert!(!few[0].update(1, 2, now + MIN_HOLD) && few[0].own() == 2);
        assert!(!few[0].update(2, 1, now + MIN_HOLD) && few[0].own() == 2);
        // All three servers take what they see, and give it back.
        let crowd = servers(3);
        let free = seconds_of(&crowd, 15, 3_600);
        let without = free.iter().filter(|free| **free < 1).count();
        assert!((1..=40).contains(&without), "{without} seconds of an hour");
    }

    proptest! {
        #[test]
        fn the_last_connection_is_never_given_back(
            steps in prop::collection::vec((0_usize..40, -40_i64..40, 0_u64..20), 0..200)
        ) {
            let reserve = Reserve::new(5, 5);
            let mut now = Instant::now();
            for (open, free, seconds) in steps {
                now += Duration::from_secs(seconds);
                let before = reserve.own();
                reserve.update(open, free, now);
                prop_assert!((1..=5).contains(&reserve.own()));
                prop_assert!(before.abs_diff(reserve.own()) <= 1);
            }
        }
    }
}
