//! What this process reports about itself to the store. Must not know when it reports.

use std::sync::Arc;

use crate::clock::StoreClock;
use crate::domain::id::ProcessId;
use crate::entropy::{Entropy, uuid_v7};
use crate::keys::seal::MasterKey;
use crate::service::processes::ServingReport;
use crate::store::{ProcessReport, Records};

use super::error::AppError;
use super::operator::host;

/// The report of this process.
pub(super) fn presence(
    records: &Arc<dyn Records>,
    clock: &Arc<StoreClock>,
    entropy: &dyn Entropy,
    master_key: &MasterKey,
) -> Result<ServingReport, AppError> {
    let drawn = uuid_v7(&**clock, entropy).map_err(crate::service::Error::from)?;
    let report = ProcessReport {
        process_id: ProcessId(drawn),
        host: host(),
        pid: i64::from(std::process::id()),
        release: env!("CARGO_PKG_VERSION").to_owned(),
        master_keys: master_key.fingerprints(),
    };
    let (records, clock) = (Arc::clone(records), Arc::clone(clock));
    Ok(ServingReport::new(records, clock, report))
}
