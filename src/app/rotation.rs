//! When signing keys are rotated, as the configuration and the store say. Must not know how a key is
//! made.

use crate::config::Config;
use crate::keys::rotation::RotationTimes;
use crate::store::Records;

/// How many days a key signs in a new store, if the configuration does not say it.
const DEFAULT_ROTATE_DAYS: u32 = 30;

/// When keys are made. If the configuration leaves it to the store, keys of a store that an earlier
/// release made are rotated by hand.
pub(super) async fn rotation_times(
    config: &Config,
    records: &dyn Records,
) -> Result<RotationTimes, crate::service::Error> {
    let days = match config.keys.rotate_days {
        Some(days) => days,
        None if records.rotates_by_default().await? => DEFAULT_ROTATE_DAYS,
        None => 0,
    };
    Ok(RotationTimes {
        announce_seconds: config.keys.announce_seconds,
        period_seconds: i64::from(days) * 86_400,
    })
}
