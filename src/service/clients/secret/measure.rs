//! What secrets cost at the moment, as gauges. Must not know how often it is asked.

use crate::telemetry::metrics;

use super::Secrets;

impl Secrets {
    /// Sets the gauges of the hash queues and of the memory of proven secrets.
    pub(crate) fn measure(&self) {
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        for (lane, waiting) in self.pool.waiting() {
            metrics::hash_queue(lane, number(waiting));
        }
        metrics::cached_proofs(number(self.memory.len()));
    }
}
