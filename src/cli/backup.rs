//! `sealwright backup`: a copy of a SQLite store, beside a running server.

use std::path::PathBuf;

use clap::Args;

use crate::api::restore::BackupJson;
use crate::app;
use crate::config::Config;

use super::failure::{CommandFailure, tell};
use super::output::{Printer, Sheet};

#[derive(Args)]
pub(super) struct BackupArgs {
    /// The file to write, which must not be there
    file: PathBuf,
}

pub(super) async fn run(
    args: BackupArgs,
    config: &Config,
    out: Printer,
) -> Result<(), CommandFailure> {
    let bytes = app::back_up(config, &args.file).await?;
    let shown = BackupJson {
        file: args.file.display().to_string(),
        bytes,
    };
    out.print(&shown, || {
        Sheet::of(vec![
            ("file", shown.file.clone()),
            ("bytes", shown.bytes.to_string()),
        ])
    })?;
    tell(
        "the master key is no part of the backup, which opens only with the master key of its day: keep \
         that (master.key, or keys.master_key) too, in another place",
    );
    Ok(())
}
