//! How far the ledger lags behind the events. Must not know why.
//!
//! Read from the store, not from the ledger of this process: that one may have stopped, or wait
//! while another process works.

use crate::clock::{Clock as _, StoreClock};
use crate::service::error::Error;
use crate::store::Records;
use crate::telemetry::metrics;

use super::ledger::LEDGER;

/// What is recorded and not yet logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerLag {
    /// How many events there are at most: ids that the log does not cover. Some ids have no event.
    pub events: i64,
    /// The age of the oldest of these events in seconds, or 0 if there is none.
    pub seconds: i64,
}

/// Reads the lag, and sets the metrics that tell it.
pub async fn measure_lag(records: &dyn Records, clock: &StoreClock) -> Result<LedgerLag, Error> {
    let place = records.place(LEDGER).await?.unwrap_or(0);
    let oldest = records.events(place, i64::MAX, 1).await?;
    let lag = match oldest.first() {
        None => LedgerLag {
            events: 0,
            seconds: 0,
        },
        Some(oldest) => LedgerLag {
            events: records.newest_event().await?.saturating_sub(place),
            seconds: clock.now().0.saturating_sub(oldest.at),
        },
    };
    let lag = LedgerLag {
        events: lag.events.max(0),
        seconds: lag.seconds.max(0),
    };
    metrics::ledger_lag(lag.events.unsigned_abs(), lag.seconds.unsigned_abs());
    Ok(lag)
}
