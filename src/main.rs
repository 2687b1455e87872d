//! The process: arguments and environment in, exit code out.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Costs less than the system's at every request. It is built with `no_thp`: it does not ask for huge pages,
/// each of which would keep 2 MiB for the few KiB that are used of it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    sealwright::cli::run(std::env::args_os(), std::env::vars_os())
}
