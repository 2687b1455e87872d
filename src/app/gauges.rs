//! The loops that set gauges: what this process has in memory, and what must be read from the
//! store. Must not know who reads the metrics, or how often.

use std::sync::Arc;

use crate::clock::{Clock as _, StoreClock};
use crate::http::state::State;
use crate::service::clients::secret::Secrets;
use crate::service::journal::usage::count_near_quota;
use crate::store::{Records, Store};
use crate::tasks::{Loop, every};
use crate::telemetry::{error_chain, metrics};

use super::open::Opened;

/// What has numbers that are in memory.
struct GaugeSources {
    store: Arc<dyn Store>,
    records: Arc<dyn Records>,
    secrets: Arc<Secrets>,
    clock: Arc<StoreClock>,
    state: Arc<State>,
}

impl GaugeSources {
    fn measure(&self) {
        for (queue, waiting) in self.store.queues() {
            metrics::store_queue(queue, number(waiting));
        }
        for lane in self.records.lanes() {
            metrics::store_connections(lane.lane, number(lane.used), number(lane.idle));
        }
        self.secrets.measure();
        self.state.list.measure();
        self.state.keys.measure();
        let ahead = self.clock.ahead_millis();
        // A difference of years is told as one of weeks.
        let ahead = ahead.clamp(i32::MIN.into(), i32::MAX.into());
        let ahead = i32::try_from(ahead).unwrap_or_default();
        metrics::clock_ahead(f64::from(ahead) / 1_000.0);
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Sets the gauges that need no read of the store.
pub(super) fn in_memory(opened: &Opened, state: &Arc<State>) -> Loop {
    let sources = GaugeSources {
        store: Arc::clone(&opened.store),
        records: Arc::clone(&opened.records),
        secrets: Arc::clone(&opened.secrets),
        clock: Arc::clone(&opened.clock),
        state: Arc::clone(state),
    };
    every("metrics", 5, move || {
        sources.state.metrics.upkeep();
        sources.measure();
        async { Ok(()) }
    })
}

/// Counts the agents that have used most of their quota.
pub(super) fn near_quota(opened: &Opened, state: &Arc<State>) -> Loop {
    let (records, clock) = (Arc::clone(&opened.records), Arc::clone(&opened.clock));
    let plans = state.mint.plans();
    every("agents near their quota", 60, move || {
        let (records, month) = (Arc::clone(&records), clock.now().month());
        let plans = plans.load_full();
        async move {
            let counted = count_near_quota(&*records, &plans, month).await;
            let agents = counted.map_err(|e| error_chain(&e))?;
            metrics::agents_near_quota(agents.max(0).unsigned_abs());
            Ok(())
        }
    })
}
