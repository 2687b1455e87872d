//! The process: arguments and environment in, exit code out.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Gives memory back after a storm of password hashes, and costs less than the system's at every request.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    sealwright::cli::run(std::env::args_os(), std::env::vars_os())
}
