//! The runtime that a command's work is done on.

use super::failure::CommandFailure;

/// Runs a command's work on a runtime of its own.
pub(super) fn block_on(
    work: impl Future<Output = Result<(), CommandFailure>>,
) -> Result<(), CommandFailure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let done = runtime.block_on(work);
    // What still waits for a file's lock may wait for ever: it has no say in when the process ends.
    runtime.shutdown_background();
    done
}
