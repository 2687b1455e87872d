//! The lanes of a store, and which of them have connections of their own now.
//!
//! Owns how the available connections are distributed. Must not know any table. With five
//! connections each lane has its own; with fewer, some lanes share.

use std::sync::Arc;
use std::time::Instant;

use crate::store::error::StoreError;
use crate::store::lane_use::LaneUse;

use super::errors::bounded;
use super::hosts::Hosts;
use super::lane::Lane;
use super::query_planning::QueryPlanning;
use super::reserve::Reserve;
use super::schema;
use super::shelf::Shelf;

/// How many lanes there are.
const MAX_OWN: usize = 5;

/// All lanes, each with the number of connections from which it has its own.
#[derive(Debug)]
pub(super) struct Lanes {
    /// From 2: counts tokens. It has one connection, so that batches wait in line.
    issue: Lane,
    /// From 3: every other write, above all kills. They never wait behind tokens.
    commit: Lane,
    /// From 4: reads that decide whether a token is valid, and reads of changes to the revocation
    /// list. A long look-up in the general lane must not delay them.
    standing: Lane,
    /// From 5: revocations of single tokens, which any client may request. They never delay an
    /// operator's kill.
    revoke: Lane,
    /// Every other read, and pruning.
    general: Arc<Lane>,
    reserve: Reserve,
}

impl Lanes {
    /// The lanes beside `general`, for at most this many connections.
    pub(super) fn new(
        hosts: &Arc<Hosts>,
        shelf: &Arc<Shelf>,
        general: &Arc<Lane>,
        budget: usize,
        max_connections: usize,
    ) -> Self {
        let lane = |planning, name, number| Lane::new(hosts, planning, shelf, (name, number));
        Self {
            issue: lane(QueryPlanning::ByIndex, "issue", 1),
            commit: lane(QueryPlanning::ByServer, "commit", 2),
            standing: lane(QueryPlanning::ByIndex, "standing", 3),
            revoke: lane(QueryPlanning::ByServer, "revoke", 4),
            general: Arc::clone(general),
            reserve: Reserve::new(budget, max_connections.min(MAX_OWN)),
        }
    }

    /// The lane that counts tokens.
    pub(super) fn issue(&self) -> &Lane {
        self.own_or(2, &self.issue, &self.general)
    }

    /// The lane of other writes.
    pub(super) fn commit(&self) -> &Lane {
        self.own_or(3, &self.commit, &self.general)
    }

    /// The lane of reads that decide whether a token is valid.
    pub(super) fn standing(&self) -> &Lane {
        self.own_or(4, &self.standing, &self.general)
    }

    /// The lane of revocations of single tokens.
    pub(super) fn revoke(&self) -> &Lane {
        self.own_or(5, &self.revoke, self.commit())
    }

    fn own_or<'a>(&self, from: usize, lane: &'a Lane, otherwise: &'a Lane) -> &'a Lane {
        if self.reserve.own() >= from {
            lane
        } else {
            otherwise
        }
    }

    /// How many connections each lane has.
    pub(super) fn uses(&self) -> Vec<LaneUse> {
        [
            ("general", &*self.general),
            ("issue", &self.issue),
            ("commit", &self.commit),
            ("standing", &self.standing),
            ("revoke", &self.revoke),
        ]
        .into_iter()
        .map(|(lane, connections)| {
            let (open, idle) = (connections.open(), connections.idle());
            LaneUse {
                lane,
                used: open.saturating_sub(idle),
                idle,
            }
        })
        .collect()
    }

    /// Keeps one connection of each lane open, closes connections that are idle, and leaves one of
    /// the database's connections to the commands, which are processes of their own: lanes share if
    /// there are too few.
    pub(super) async fn rest(&self) -> Result<(), StoreError> {
        // In the order in which they lose their own connections: the last first.
        let lanes = [
            &*self.general,
            &self.issue,
            &self.commit,
            &self.standing,
            &self.revoke,
        ];
        let (mut done, free) = match self.free(&lanes).await {
            Ok(free) => (Ok(()), free),
            Err(error) => (Err(error), None),
        };
        if let Some(free) = free {
            let open = lanes.iter().map(|lane| lane.open()).sum();
            if self.reserve.update(open, free, Instant::now()) {
                self.general.lower_own_allowance();
            }
        }
        let mut spare = free.map_or(i64::MAX, |free| free.saturating_sub(1));
        let own = self.reserve.own();
        for lane in &lanes[own..] {
            lane.forget();
        }
        for lane in &lanes[..own] {
            if lane.open() > 0 {
                done = done.and(bounded(lane.rest()).await);
            } else if spare > 0 {
                spare -= 1;
                done = done.and(bounded(lane.open_first()).await);
            }
        }
        done
    }

    /// How many more connections the database gives. `None` if no connection is idle to ask on, or if
    /// there is no limit. The general lane is asked last, because it would open another connection
    /// for the next read.
    async fn free(&self, lanes: &[&Lane]) -> Result<Option<i64>, StoreError> {
        let Some(mut held) = lanes.iter().rev().find_map(|lane| lane.take_idle()) else {
            return Ok(None);
        };
        bounded(async {
            let answer = schema::free_connections(&mut held.conn).await;
            held.settle(answer)
        })
        .await
    }
}
