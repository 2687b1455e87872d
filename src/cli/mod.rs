//! The command line.
//!
//! Owns the commands (their table is `commands`), the exit codes (0 done, 1 failed, 2 bad usage or
//! configuration) and what a person sees: data on stdout, everything else on stderr. Must not know
//! how anything is done: each command reads its arguments, calls a service and prints the answer.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use zeroize::Zeroizing;

use crate::app::{Reloading, Reread, SOCKET_VARIABLE, Supervisor};
use crate::config::raw::Raw;
use crate::config::{Config, FileKinds, LogFormat, MasterKeyNeed};
use crate::telemetry::{self, Format, Output};

mod agent;
mod agent_args;
mod agent_bulk;
mod agent_filter;
mod agent_ref;
mod agent_sheet;
mod audit;
mod audit_events;
mod audit_verify;
mod backup;
mod commands;
mod completions;
mod config;
mod core_dumps;
mod credential;
mod credential_sheet;
mod doctor;
mod failure;
mod federation_args;
mod healthcheck;
mod import;
mod input;
mod json_row;
mod key;
mod new_secret;
mod openapi;
mod org;
mod output;
mod partner;
mod partner_args;
mod plan;
mod restore;
mod revocation;
mod row_members;
mod rows;
mod runtime;
mod scope;
mod serve;
mod token;
mod token_get;

use commands::{Cli, Command};
use failure::CommandFailure;
use output::Printer;
use runtime::block_on;
use token::TokenCommand;

/// Runs one command and returns the exit code of the process. The first of `arguments` is the
/// program's name.
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
            // Help and version are printed on stdout and exit with 0. Ignore a write error: the
            // reader may have closed the pipe.
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { 2 } else { 0 })
        }
    }
}

fn execute(
    cli: Cli,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(), CommandFailure> {
    let command = cli
        .command
        .unwrap_or_else(|| Command::Serve(serve::ServeArgs::default()));
    if let Command::Completions { shell } = command {
        return completions::print(shell);
    }
    // The configuration holds the master key, so dumps are off before it is read.
    core_dumps::forbid();
    let need = match command {
        Command::Migrate(_)
        | Command::Backup(_)
        | Command::Healthcheck
        | Command::Openapi
        | Command::Token(TokenCommand::Get(_)) => MasterKeyNeed::Never,
        _ => MasterKeyNeed::WithPostgres,
    };
    let environment: Vec<(OsString, OsString)> = environment.into_iter().collect();
    let variable = |wanted: &str| {
        let found = environment.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_os_str())
    };
    let secret = variable(token_get::SECRET_VARIABLE)
        .and_then(|value| value.to_str())
        .map(|value| Zeroizing::new(value.to_owned()));
    let socket = variable(SOCKET_VARIABLE).map(std::ffi::OsStr::to_owned);
    let certificates = variable("SSL_CERT_FILE").filter(|path| !path.is_empty());
    let certificates = certificates.map(PathBuf::from);
    let (file, flags) = (cli.config, cli.set);
    let read = move |kinds| {
        Raw::read_kinds(
            kinds,
            file.as_deref().map(Path::new),
            environment.iter().cloned(),
            &flags,
        )
    };
    let raw = read(FileKinds::Any);
    let mut config = Config::resolve(&raw, need).map_err(CommandFailure::Configuration)?;
    config.outbound.system_certs = certificates;
    if config.server.core_dumps {
        core_dumps::allow();
    }
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
        // A command prints what it did. Its log only adds warnings and errors.
        _ => telemetry::start_logging("warn", Format::Human, Output::Stderr),
    };
    let url = config.database.url.clone();
    let done = match command {
        Command::Serve(args) => {
            let running = config.show(&raw);
            let reread = Arc::new(move || {
                let raw = read(FileKinds::Regular);
                let config = Config::resolve(&raw, need)?;
                Ok(Reread {
                    shown: config.show(&raw),
                    config,
                })
            });
            serve::run(
                &args,
                config,
                Reloading {
                    reread,
                    filter,
                    running,
                },
                &Supervisor::at(socket.as_deref()),
            )
        }
        Command::Migrate(args) => serve::migrate(&args, &config),
        Command::Agent(command) => block_on(agent::run(command, &config, out)),
        Command::Credential(command) => block_on(credential::run(command, &config, out)),
        Command::Plan(command) => block_on(plan::run(command, &config, out)),
        Command::Org(command) => block_on(org::run(command, &config, out)),
        Command::Partner(command) => block_on(partner::run(command, &config, out)),
        Command::Scope(command) => block_on(scope::run(command, &config, out)),
        Command::Key(command) => block_on(key::run(command, &config, out)),
        Command::Token(command) => block_on(token::run(command, &config, secret, out)),
        Command::Revocation(command) => block_on(revocation::run(command, &config, out)),
        Command::Audit(command) => block_on(audit::run(command, &config, out)),
        Command::Backup(args) => block_on(backup::run(args, &config, out)),
        Command::Restore(args) => block_on(restore::run(args, &config, out)),
        Command::Config(command) => config::run(&command, &config, &raw, out),
        Command::Doctor(args) => block_on(doctor::run(args, &config, &raw, out)),
        Command::Healthcheck => healthcheck::run(&config),
        Command::Openapi => openapi::print(&config),
        Command::Completions { shell } => completions::print(shell),
    };
    done.map_err(|failure| failure.of_store(&url))
}
