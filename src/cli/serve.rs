//! `sealwright serve` and `sealwright migrate`: both call the composition root (`app`).

use clap::Args;

use crate::app::{self, NewStore, Reloading, Supervisor};
use crate::config::Config;

use crate::service::upgrade::Finished;

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

#[derive(Args)]
pub(super) struct MigrateArgs {
    /// Also switch on what servers of earlier releases do not enforce; refused while one runs
    #[arg(long)]
    finish: bool,
}

/// Brings the store's schema up to date.
pub(super) fn migrate(args: &MigrateArgs, config: &Config) -> Result<(), CommandFailure> {
    block_on(async {
        tell_new_path(app::migrate(config).await?.as_deref());
        tell("the schema is up to date");
        if !args.finish {
            return Ok(());
        }
        match app::finish(config).await? {
            Finished::Done => {
                tell("the upgrade is finished: what earlier releases do not enforce is on");
                Ok(())
            }
            Finished::InTheWay(who) => Err(CommandFailure::Failed(format!(
                "the upgrade is not finished, because a server of an earlier release uses the store. Stop each of \
                 these and run the command again; one that was killed counts for another minute: {}",
                who.join("; ")
            ))),
        }
    })
}
