//! `sealwright audit`: the events, and the tamper-evident log.

use clap::Subcommand;

use crate::api::log::{CheckpointJson, LogKeyJson};
use crate::config::Config;

use super::audit_events::{self, EventArgs, ListArgs};
use super::audit_verify::{self, VerifyArgs};
use super::failure::CommandFailure;
use super::output::Printer;
use super::runtime::open;

#[derive(Subcommand)]
pub(super) enum AuditCommand {
    /// List events, newest first
    List(ListArgs),
    /// Write all events as lines of JSON; the last line tells that the export is complete
    Export(EventArgs),
    /// Print the newest checkpoint of the log, a signed note to keep outside the database
    Checkpoint,
    /// Print the key that verifies the log's checkpoints
    Key,
    /// Verify the whole log against the events, and against checkpoints that were kept
    Verify(VerifyArgs),
}

pub(super) async fn run(
    command: AuditCommand,
    config: &Config,
    out: Printer,
) -> Result<(), CommandFailure> {
    let opened = open(config).await?;
    let log = opened.audit_log(config);
    match command {
        AuditCommand::List(args) => audit_events::list(args, &opened.audit(), out).await,
        AuditCommand::Export(args) => {
            audit_events::export(args, &opened.audit(), opened.operator()).await
        }
        AuditCommand::Checkpoint => {
            let newest = log.checkpoint(None).await?.ok_or_else(|| {
                CommandFailure::Failed(
                    "the log has no checkpoint yet: a running server makes it".to_owned(),
                )
            })?;
            let shown = CheckpointJson::from(&newest);
            out.print_text(&shown, &shown.note)
        }
        AuditCommand::Key => {
            let shown = LogKeyJson::from(&log.verifier_key().await?);
            out.print_text(&shown, &format!("{}\n", shown.key))
        }
        AuditCommand::Verify(args) => {
            audit_verify::run(&args, &opened.log_verifier(config), out).await
        }
    }
}
