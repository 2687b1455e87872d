//! `sealwright serve` and `sealwright migrate`: both are the composition root's work.

use crate::app;
use crate::config::Config;

use super::block_on;
use super::failure::{Failure, tell};

/// Serves until it is told to stop.
pub fn run(config: Config) -> Result<(), Failure> {
    block_on(async { Ok(app::serve(config).await?) })
}

/// Brings the store's schema up to date.
pub fn migrate(config: &Config) -> Result<(), Failure> {
    block_on(async {
        app::migrate(config).await?;
        tell("the schema is up to date");
        Ok(())
    })
}
