//! `sealwright serve` and `sealwright migrate`: both call the composition root (`app`).

use clap::Args;

use crate::app::{self, NewStore, Reloading, Supervisor};
use crate::config::Config;

use super::failure::{CommandFailure, tell};
use super::runtime::{block_on, tell_new_path};

#[derive(Args, Default)]
pub(super) struct ServeArgs {
    /// Begin a new store although files beside the database tell of one that was there
    #[arg(long)]
    new_store: bool,
}

/// Serves until a signal stops the server.
pub(super) fn run(
    args: &ServeArgs,
    config: Config,
    reloading: Reloading,
    supervisor: &Supervisor,
) -> Result<(), CommandFailure> {
    let new_store = if args.new_store {
        NewStore::Anywhere
    } else {
        NewStore::OnCleanGround
    };
    block_on(async { Ok(app::serve(config, new_store, reloading, supervisor).await?) })
}

/// Brings the store's schema up to date.
pub(super) fn migrate(config: &Config) -> Result<(), CommandFailure> {
    block_on(async {
        tell_new_path(app::migrate(config).await?.as_deref());
        tell("the schema is up to date");
        Ok(())
    })
}
