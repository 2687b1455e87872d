//! Which issued tokens may be removed: those of whole blocks of the log whose time is over, once an
//! `audit.pruned` event tells it.
//!
//! Owns that nothing is removed which the log does not cover. Must not know how rows are removed.
//! The place of this reader is the id up to which tokens may be missing.

use std::sync::Arc;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::act::Act;
use crate::domain::id::HolderId;
use crate::domain::time::Timestamp;
use crate::service::error::Error;
use crate::store::{Change, LogChange, LogEntryKind, Pass, Records, Write};

use super::settle::LEASE_TTL;

/// The name of the reader. The store's clean-up removes no token above its place.
pub(crate) const PRUNER: &str = "prune";

/// The seconds of one step of the time that is over. So there is one event an hour at most.
const STEP_SECONDS: i64 = 3_600;

/// How many blocks one step looks at.
const MAX_BLOCKS: usize = 1_000;

/// How many blocks that are too young are looked behind. A clock may have been ahead for a while,
/// and must not keep the tokens of that while for longer than those of later blocks.
const MAX_YOUNG_BLOCKS: usize = 64;

/// Announces what may be removed, in one process at a time.
pub struct TokenPruner {
    records: Arc<dyn Records>,
    clock: Arc<StoreClock>,
    holder: HolderId,
    /// The time up to which everything is announced.
    done: Option<i64>,
}

impl TokenPruner {
    /// `holder` is drawn for this value alone.
    pub(crate) fn new(records: Arc<dyn Records>, clock: Arc<StoreClock>, holder: HolderId) -> Self {
        Self {
            records,
            clock,
            holder,
            done: None,
        }
    }

    /// Announces the tokens that were issued more than `keep` seconds before `now`, which is certain
    /// to have come. Run before each clean-up.
    pub async fn announce(&mut self, now: Timestamp, keep: i64) -> Result<(), Error> {
        let before = now.0.saturating_sub(keep).div_euclid(STEP_SECONDS);
        let before = before.saturating_mul(STEP_SECONDS);
        if self.done == Some(before) {
            return Ok(());
        }
        let at = self.clock.moment();
        let lease = self.records.take_lease(PRUNER, self.holder, LEASE_TTL, at);
        let Some(lease) = lease.await? else {
            return Ok(());
        };
        let (through, is_all) = self.over(lease.place, before).await?;
        if through > lease.place {
            let change = Change::Log(LogChange::Prune { to_id: through });
            let pass = Pass {
                lease,
                to: through,
                writes: vec![Write::new(Act::system(at), change)],
                ttl: LEASE_TTL,
                at,
            };
            // If the lease was lost, another process announces.
            self.records.commit_pass(&pass).await?;
        }
        self.done = is_all.then_some(before);
        Ok(())
    }

    /// The last token of the last block behind `place` that ends before this time, and whether no
    /// further block can be such a block.
    async fn over(&self, place: i64, before: i64) -> Result<(i64, bool), Error> {
        let (mut through, mut next, mut young) = (place, place.saturating_add(1), 0);
        for _ in 0..MAX_BLOCKS {
            let block = self.records.log_entry_from(LogEntryKind::Tokens, next);
            let Some(block) = block.await? else {
                return Ok((through, true));
            };
            let last = block.last_id;
            let row = self.records.events(last.saturating_sub(1), last, 1).await?;
            if row.first().is_none_or(|row| row.at < before) {
                (through, young) = (last, 0);
            } else {
                young += 1;
            }
            if young >= MAX_YOUNG_BLOCKS {
                return Ok((through, true));
            }
            next = last.saturating_add(1);
        }
        Ok((through, false))
    }
}
