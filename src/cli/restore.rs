//! `sealwright restore`: puts a backup of a SQLite store in place, and acknowledges that a backup was
//! restored.

use std::path::PathBuf;

use clap::Args;

use crate::api::restore::AcknowledgedJson;
use crate::app;
use crate::config::Config;
use crate::service::restore::Unmarked;

use super::failure::CommandFailure;
use super::input::Why;
use super::output::{Printer, Sheet};
use super::runtime::open;

#[derive(Args)]
pub(super) struct RestoreArgs {
    /// A backup of a SQLite store, to be put in place of the store, and acknowledged
    #[arg(
        required_unless_present = "acknowledge",
        conflicts_with = "acknowledge"
    )]
    file: Option<PathBuf>,
    /// Acknowledge that a backup was restored: kill every token issued until now, and let servers serve
    #[arg(long)]
    acknowledge: bool,
    /// Acknowledge a store that bears no sign of a restore too
    #[arg(long, requires = "acknowledge")]
    force: bool,
    #[command(flatten)]
    why: Why,
}

pub(super) async fn run(
    args: RestoreArgs,
    config: &Config,
    out: Printer,
) -> Result<(), CommandFailure> {
    // Held until the restore is acknowledged, so that no server starts before that.
    let placed = if let Some(file) = &args.file {
        Some(app::put_in_place(config, file).await?)
    } else {
        app::accept_copy(config).await?;
        None
    };
    let opened = open(config).await?;
    let act = opened.operator().because(args.why.reason);
    let unmarked = if args.force {
        Unmarked::Accept
    } else {
        Unmarked::Refuse
    };
    let done = opened.restores(config).acknowledge(&act, unmarked).await;
    // Moves the content of a file's log into the file.
    opened.store.close().await;
    let done = done?;
    let Some(done) = done else {
        return Err(CommandFailure::Failed(
            "the store bears no sign of a restore, and nothing was changed. If a backup was restored all the \
             same, for example by point-in-time recovery: `sealwright restore --acknowledge --force`. It \
             kills every token issued until now"
                .to_owned(),
        ));
    };
    let kept = placed.as_ref().and_then(|placed| placed.kept.as_deref());
    let shown = AcknowledgedJson::new(done, kept);
    out.print(&shown, || {
        let mut properties = vec![
            ("generation", shown.generation.to_string()),
            ("agents whose tokens were killed", shown.agents.to_string()),
        ];
        properties.extend(shown.kept.clone().map(|kept| ("the store before", kept)));
        Sheet::of(properties)
    })
}
