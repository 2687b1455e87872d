//! `sealwright completions`: a script that lets a shell complete this command line.

use std::io::{self, Write};

use clap::CommandFactory;

use super::commands::Cli;
use super::failure::CommandFailure;

/// Prints the script.
pub(super) fn print(shell: clap_complete::Shell) -> Result<(), CommandFailure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sealwright", &mut script);
    Ok(io::stdout().write_all(&script)?)
}
