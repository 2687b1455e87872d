//! What the ledger writes about usage, and when it warns about a quota.
//!
//! Must not know how events are read, or the log.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use crate::domain::id::AgentId;
use crate::domain::quota::{PlanName, Plans};
use crate::domain::time::Month;
use crate::domain::usage::{UsageFold, UsageSums};
use crate::service::error::Error;
use crate::service::plans::SharedPlans;
use crate::store::{Change, Records, UsageChange};

/// The parts of a quota at which an event warns, in percent.
const THRESHOLDS: [u8; 2] = [80, 100];

/// How many warnings are remembered as recorded. The store knows all of them.
const MAX_REMEMBERED: usize = 10_000;

/// The part of a quota from which on an agent is near its end, in percent.
const NEAR: u8 = THRESHOLDS[0];

/// How many agents have used at least 80 % of the month's tokens of their plan.
pub(crate) async fn count_near_quota(
    records: &dyn Records,
    plans: &Plans,
    month: Month,
) -> Result<i64, Error> {
    let from: Vec<(PlanName, i64)> = plans
        .0
        .iter()
        .filter_map(|(plan, limit)| Some((plan.clone(), least_use(limit.as_ref().copied()?)?)))
        .collect();
    if from.is_empty() {
        return Ok(0);
    }
    Ok(records.agents_near_quota(month, &from).await?)
}

/// The least use of this limit that is near its end. `None` if nothing can be used of it.
fn least_use(limit: i64) -> Option<i64> {
    let hundredths = i128::from(limit).checked_mul(i128::from(NEAR))?;
    let least = hundredths.checked_add(99)?.div_euclid(100);
    (limit > 0).then(|| i64::try_from(least).ok()).flatten()
}

/// Makes writes of the sums of a pass.
pub(crate) struct UsageLedger {
    records: Arc<dyn Records>,
    plans: SharedPlans,
    /// Warnings that were handed to a commit, so that the next pass need not try them again.
    noted: HashSet<(AgentId, Month, u8)>,
}

impl UsageLedger {
    /// A ledger that has written nothing yet.
    pub(crate) fn new(records: Arc<dyn Records>, plans: SharedPlans) -> Self {
        Self {
            records,
            plans,
            noted: HashSet::new(),
        }
    }

    /// The changes for the events that were added up, which the fold then forgets.
    pub(crate) async fn changes(&mut self, fold: &mut UsageFold) -> Result<Vec<Change>, Error> {
        let Some(sums) = fold.take() else {
            return Ok(Vec::new());
        };
        let mut changes = self.quota_changes(&sums).await?;
        changes.push(UsageChange::Add(Box::new(sums)));
        Ok(changes.into_iter().map(Change::Usage).collect())
    }

    /// A warning for each agent that has used a part of its month's tokens. The store records each
    /// only once. The count is the counter's own, which may be ahead of the events.
    async fn quota_changes(&mut self, sums: &UsageSums) -> Result<Vec<UsageChange>, Error> {
        let mut months: BTreeMap<Month, BTreeSet<&AgentId>> = BTreeMap::new();
        for (agent_id, day, _) in &sums.issued {
            months.entry(day.month()).or_default().insert(agent_id);
        }
        let mut changes = Vec::new();
        for (month, agents) in months {
            let agents: Vec<AgentId> = agents.into_iter().cloned().collect();
            let plans = self.plans.load_full();
            for quota in self.records.quota_uses(&agents, month).await? {
                let Some(Some(limit)) = plans.limit(&quota.plan) else {
                    continue;
                };
                for percent in THRESHOLDS {
                    if !has_reached(quota.used, limit, percent) {
                        continue;
                    }
                    let note = (quota.agent_id.clone(), month, percent);
                    if self.noted.len() >= MAX_REMEMBERED {
                        self.noted.clear();
                    }
                    if self.noted.insert(note) {
                        changes.push(UsageChange::NoteQuota {
                            agent_id: quota.agent_id.clone(),
                            month,
                            percent,
                            issued: quota.used,
                            limit,
                        });
                    }
                }
            }
        }
        Ok(changes)
    }

    /// Forgets which warnings were handed to a commit: that commit may have failed.
    pub(crate) fn forget(&mut self) {
        self.noted.clear();
    }
}

/// Whether `used` is at least this part of `limit`. A limit of 0 is never reached: nothing can be
/// used of it.
fn has_reached(used: i64, limit: i64, percent: u8) -> bool {
    limit > 0 && i128::from(used) * 100 >= i128::from(limit) * i128::from(percent)
}

#[cfg(test)]
mod tests {
    use super::{NEAR, has_reached, least_use};

    #[test]
    fn the_least_use_near_the_end_is_where_the_warning_comes() {
        for limit in [1, 2, 4, 5, 7, 99, 100, 101, 10_000, i64::MAX] {
            let least = least_use(limit).unwrap();
            assert!(has_reached(least, limit, NEAR), "{least} of {limit}");
            assert!(!has_reached(least - 1, limit, NEAR), "{least} of {limit}");
        }
        assert_eq!((least_use(0), least_use(-5)), (None, None));
    }

    #[test]
    fn a_threshold_is_reached_with_the_token_that_makes_it_full() {
        for (used, limit, percent, expected) in [
            (79, 100, 80, false),
            (80, 100, 80, true),
            (99, 100, 100, false),
            (100, 100, 100, true),
            (1, 1, 100, true),
            (4, 5, 80, true),
            (3, 5, 80, false),
            (0, 0, 80, false),
            (i64::MAX, i64::MAX, 100, true),
            (i64::MAX - 1, i64::MAX, 100, false),
        ] {
            assert_eq!(
                has_reached(used, limit, percent),
                expected,
                "{used} of {limit}"
            );
        }
    }
}
