//! The restored store of a server and of a command. Must not know what a restore changes.

use std::sync::Arc;

use crate::config::Config;
use crate::service::generation::Sight;
use crate::service::restore::Restores;

use super::error::AppError;
use super::open::Opened;

impl Opened {
    /// Acknowledges that a backup was restored.
    pub fn restores(&self, config: &Config) -> Restores {
        Restores::new(
            Arc::clone(&self.store),
            Arc::clone(&self.records),
            Arc::clone(&self.clock),
            config.token.issuer.clone(),
        )
    }

    /// Refuses a restored store that nobody has acknowledged.
    pub(super) async fn demand_acknowledged(&self) -> Result<(), AppError> {
        match self.watch.look().await? {
            Sight::Known | Sight::Begun(_) => Ok(()),
            Sight::Restored => Err(AppError::Other(
                "a backup was restored into this store, and nobody has acknowledged it: tokens that were \
                 killed after the backup would be alive. Run `sealwright restore --acknowledge`, which kills \
                 every token issued until now"
                    .to_owned(),
            )),
        }
    }
}
