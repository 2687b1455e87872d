//! The process: takes arguments and environment, returns the exit code.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Costs less than the system's allocator at every request. The feature `no_thp` is on, so mimalloc
/// does not ask for huge pages: each of them would keep 2 MiB for the few KiB that are in use.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    sealwright::cli::run(std::env::args_os(), std::env::vars_os())
}
