//! The asynchronous runtime for a command's work.

use crate::app;

use super::failure::CommandFailure;

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
