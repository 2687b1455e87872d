//! The command line.
//!
//! Owns the table of commands, exit codes (0 done, 1 failed, 2 bad usage or configuration) and what a
//! person sees: data on stdout, everything else on stderr. Must not know how anything is done: each
//! command reads its arguments, calls a service and prints the answer.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};

use crate::app::{Given, Reloading};
use crate::config::raw::Raw;
use crate::config::{Config, LogFormat, MasterKeyNeed};
use crate::telemetry::{self, Format, Output};

mod agent;
mod completions;
mod config;
mod failure;
mod healthcheck;
mod import;
mod input;
mod key;
mod new_secret;
mod output;
mod rows;
mod scope;
mod serve;
mod token;

use failure::Failure;
use output::Printer;

/// A token server for machines: OAuth 2.0 client credentials in, short-lived signed tokens out.
#[derive(Parser)]
#[command(name = "sealwright", version, max_term_width = 100)]
struct Cli {
    /// Read configuration from this TOML file
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print data as JSON
    #[arg(long, global = true)]
    json: bool,
    /// Set one configuration key, before the command; repeatable
    #[arg(long, value_name = "SECTION.KEY=VALUE", value_parser = input::key_value)]
    set: Vec<(String, String)>,
    #[command(subcommand)]
    command: Option<Command>,
}

/// The table of commands.
#[derive(Subcommand)]
enum Command {
    /// Serve tokens; what `sealwright` alone does
    Serve(serve::ServeArgs),
    /// Make, show, change and stop agents
    #[command(subcommand)]
    Agent(agent::AgentCommand),
    /// The catalogue of scopes
    #[command(subcommand)]
    Scope(scope::ScopeCommand),
    /// Signing keys
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Lay a token open, or revoke it
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Bring the store's schema up to date
    Migrate,
    /// Check or show the configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Ask the server on this machine whether it is ready
    Healthcheck,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Runs one command and says how the process is to end. `arguments` begin with the program's name.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> ExitCode {
    match Cli::try_parse_from(arguments) {
        Ok(cli) => match execute(cli, environment) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.report(),
        },
        Err(error) => {
            // Help and version go to stdout and end well; a pipe that is closed ends them too.
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { 2 } else { 0 })
        }
    }
}

fn execute(cli: Cli, environment: impl IntoIterator<Item = (OsString, OsString)>) -> Result<(), Failure> {
    let command = cli.command.unwrap_or_else(|| Command::Serve(serve::ServeArgs::default()));
    if let Command::Completions { shell } = command {
        return completions::print(shell);
    }
    let need = match command {
        Command::Migrate | Command::Healthcheck => MasterKeyNeed::Never,
        _ => MasterKeyNeed::WithPostgres,
    };
    let environment: Vec<(OsString, OsString)> = environment.into_iter().collect();
    let (file, flags) = (cli.config, cli.set);
    let reread = move || Raw::read(file.as_deref().map(Path::new), environment.iter().cloned(), &flags);
    let raw = reread();
    let config = Config::resolve(&raw, need).map_err(Failure::Configuration)?;
    let out = Printer::new(cli.json);
    let (_logging, filter) = match command {
        Command::Serve(_) => {
            let format = match config.log.format {
                LogFormat::Auto => Format::Auto,
                LogFormat::Json => Format::Json,
                LogFormat::Human => Format::Human,
            };
            telemetry::start_logging(&config.log.filter, format, Output::Stdout)
        }
        // A command's own words say what it did; the log says only what went wrong besides.
        _ => telemetry::start_logging("warn", Format::Human, Output::Stderr),
    };
    let url = config.database.url.clone();
    let done = match command {
        Command::Serve(args) => {
            let running = config.show(&raw);
            let reread = Arc::new(move || {
                let raw = reread();
                let config = Config::resolve(&raw, need)?;
                Ok(Given { shown: config.show(&raw), config })
            });
            serve::run(&args, config, Reloading { reread, filter, running })
        }
        Command::Migrate => serve::migrate(&config),
        Command::Agent(command) => block_on(agent::run(command, &config, out)),
        Command::Scope(command) => block_on(scope::run(command, &config, out)),
        Command::Key(command) => block_on(key::run(command, &config, out)),
        Command::Token(command) => block_on(token::run(command, &config, out)),
        Command::Config(command) => config::run(&command, &config, &raw, out),
        Command::Healthcheck => healthcheck::run(&config),
        Command::Completions { shell } => completions::print(shell),
    };
    done.map_err(|failure| failure.of_store(&url))
}

/// Runs a command's work on a runtime of its own.
fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // What still waits for a file's lock may wait for ever: it has no say in when the process ends.
    runtime.shutdown_background();
    done
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_table_of_commands_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn config_and_json_are_taken_in_any_position() {
        for line in [
            "sealwright --json --config f agent list",
            "sealwright agent --json list --config f",
            "sealwright agent list --config f --json",
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert!(cli.json && cli.config == Some("f".into()), "{line}");
        }
    }
}
