//! Warnings that a credential or an agent expires soon, and the event that an agent is expired.
//!
//! Owns how early they come. Must not know who reads them.

use crate::clock::{Clock as _, StoreClock};
use crate::domain::act::Act;
use crate::domain::time::Timestamp;
use crate::service::error::Error;
use crate::store::{Change, Records, Store, UsageChange, Write};

/// How many days before an expiry a warning is recorded, the nearest first.
const WARNED_DAYS: [i64; 2] = [1, 7];

const DAY: i64 = 86_400;

/// The time after its expiry in which it is still recorded that an agent is expired, in seconds. So
/// a step reads few of the agents that expired long ago, and a store that was not served meanwhile
/// makes up for it.
const MAX_LATE: i64 = 30 * DAY;

/// How many credentials or agents one step records, of each kind.
const MAX_WARNED: i64 = 1_000;

/// Records what is due and not recorded yet. Every process may do this: the store records each
/// warning once. A credential or an agent that is made with less than a day to live gets only the
/// warning of the last day.
pub async fn warn_of_expiry(
    store: &dyn Store,
    records: &dyn Records,
    clock: &StoreClock,
) -> Result<(), Error> {
    let now = clock.now();
    for (between, days) in due_warnings(now) {
        let expiring = records
            .expiring_credentials(between, days, MAX_WARNED)
            .await?;
        let changes = expiring
            .into_iter()
            .map(|expiring| UsageChange::NoteExpiry {
                credential: expiring.credential,
                days,
            });
        record(store, clock, changes).await?;
        let expiring = records.expiring_agents(between, days, MAX_WARNED).await?;
        let changes = expiring
            .into_iter()
            .map(|expiring| UsageChange::NoteAgentExpiry(expiring, days));
        record(store, clock, changes).await?;
    }
    let late = (now.saturating_add(-MAX_LATE), now);
    let expired = records.expiring_agents(late, 0, MAX_WARNED).await?;
    let changes = expired
        .into_iter()
        .map(|expired| UsageChange::NoteAgentExpiry(expired, 0));
    record(store, clock, changes).await
}

/// For each kind of warning, the expiries that are due, and how many days before them it comes.
fn due_warnings(now: Timestamp) -> impl Iterator<Item = ((Timestamp, Timestamp), i64)> {
    let mut nearest = 0;
    WARNED_DAYS.into_iter().map(move |days| {
        let after = now.saturating_add(nearest);
        nearest = days.saturating_mul(DAY);
        ((after, now.saturating_add(nearest)), days)
    })
}

async fn record(
    store: &dyn Store,
    clock: &StoreClock,
    changes: impl Iterator<Item = UsageChange>,
) -> Result<(), Error> {
    let act = Act::system(clock.moment());
    let write = |change| Write::new(act.clone(), Change::Usage(change));
    let writes: Vec<Write> = changes.map(write).collect();
    if !writes.is_empty() {
        store.commit(writes).await?;
    }
    Ok(())
}
