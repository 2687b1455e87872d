//! The asynchronous runtime for a command's work, and the store that it opens.

use std::path::Path;

use crate::app::{self, Opened};
use crate::config::Config;

use super::failure::{CommandFailure, tell};

/// Runs a command's work on a runtime of its own.
pub(super) fn block_on(
    work: impl Future<Output = Result<(), CommandFailure>>,
) -> Result<(), CommandFailure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .on_thread_start(app::prepare_thread)
        .build()?;
    let done = runtime.block_on(work);
    // A blocking thread may still wait for a file's lock, perhaps for ever. Do not wait for it.
    runtime.shutdown_background();
    done
}

/// Opens the store for a command that works on what is there.
pub(super) async fn open(config: &Config) -> Result<Opened, CommandFailure> {
    Ok(tell_new_store(app::open(config).await?))
}

/// Opens the store for a command that adds to it, which may make the store.
pub(super) async fn open_or_create(config: &Config) -> Result<Opened, CommandFailure> {
    Ok(tell_new_store(app::open_or_create(config).await?))
}

fn tell_new_store(opened: Opened) -> Opened {
    tell_new_path(opened.new_store.as_deref());
    opened
}

/// Says where a new SQLite store was made, if one was: somebody in another folder than they think
/// must not miss it.
pub(super) fn tell_new_path(path: Option<&Path>) {
    if let Some(path) = path {
        tell(&format!("a new store was made: {}", path.display()));
    }
}
