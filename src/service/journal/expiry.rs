//! Warnings that a credential expires soon.
//!
//! Owns how early they come. Must not know who reads them.

use crate::clock::{Clock as _, StoreClock};
use crate::domain::act::Act;
use crate::service::error::Error;
use crate::store::{Change, Records, Store, UsageChange, Write};

/// How many days before an expiry a warning is recorded, the nearest first.
const WARNED_DAYS: [i64; 2] = [1, 7];

const DAY: i64 = 86_400;

/// How many credentials one step warns about, of each kind.
const MAX_WARNED: i64 = 1_000;

/// Records the warnings that are due and not recorded yet. Every process may do this: the store
/// records each warning once. A credential that is made with less than a day to live gets only the
/// warning of the last day.
pub async fn warn_of_expiry(
    store: &dyn Store,
    records: &dyn Records,
    clock: &StoreClock,
) -> Result<(), Error> {
    let now = clock.now();
    let mut nearest = 0;
    for days in WARNED_DAYS {
        let between = (
            now.saturating_add(nearest),
            now.saturating_add(days.saturating_mul(DAY)),
        );
        nearest = days.saturating_mul(DAY);
        let expiring = records
            .expiring_credentials(between, days, MAX_WARNED)
            .await?;
        let act = Act::system(clock.moment());
        let writes: Vec<Write> = expiring
            .into_iter()
            .map(|expiring| Write {
                act: act.clone(),
                change: Change::Usage(UsageChange::NoteExpiry {
                    credential: expiring.credential,
                    days,
                }),
            })
            .collect();
        if !writes.is_empty() {
            store.commit(writes).await?;
        }
    }
    Ok(())
}
