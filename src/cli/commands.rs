//! The table of commands, from which the command line is parsed.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::agent::AgentCommand;
use super::audit::AuditCommand;
use super::backup::BackupArgs;
use super::config::ConfigCommand;
use super::credential::CredentialCommand;
use super::doctor::DoctorArgs;
use super::input;
use super::key::KeyCommand;
use super::org::OrgCommand;
use super::partner::PartnerCommand;
use super::plan::PlanCommand;
use super::restore::RestoreArgs;
use super::revocation::RevocationCommand;
use super::scope::ScopeCommand;
use super::serve::{MigrateArgs, ServeArgs};
use super::token::TokenCommand;

/// A token server for machines: OAuth 2.0 client credentials in, short-lived signed tokens out.
#[derive(Parser)]
#[command(name = "sealwright", version, max_term_width = 100)]
pub(super) struct Cli {
    /// Read configuration from this TOML file
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print data as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Set one configuration key, before the command; repeatable
    #[arg(long, value_name = "SECTION.KEY=VALUE", value_parser = input::key_value)]
    pub set: Vec<(String, String)>,
    /// What to do; `serve` when nothing is said
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The table of commands.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Serve tokens; the default command
    Serve(ServeArgs),
    /// Make, show, change and stop agents
    #[command(subcommand)]
    Agent(AgentCommand),
    /// The secrets of an agent: list, make, rotate and revoke them
    #[command(subcommand)]
    Credential(CredentialCommand),
    /// Organizations: agents that see nothing of others
    #[command(subcommand)]
    Org(OrgCommand),
    /// Partners: platforms whose signed tokens prove who an agent is
    #[command(subcommand)]
    Partner(PartnerCommand),
    /// The plans: how many tokens a month agents may get
    #[command(subcommand)]
    Plan(PlanCommand),
    /// The catalogue of scopes
    #[command(subcommand)]
    Scope(ScopeCommand),
    /// Signing keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Get a token, inspect one, or revoke it
    #[command(subcommand)]
    Token(TokenCommand),
    /// Which verifiers already enforce a revocation
    #[command(subcommand)]
    Revocation(RevocationCommand),
    /// The tamper-evident log of events
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Bring the store's schema up to date, beside running servers
    Migrate(MigrateArgs),
    /// Copy a SQLite store into a file, beside a running server
    Backup(BackupArgs),
    /// Put a backup in place, or acknowledge that one was restored
    Restore(RestoreArgs),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look for what is wrong with a server, its store and this machine; prints no secret
    Doctor(DoctorArgs),
    /// Ask the server on this machine whether it is ready
    Healthcheck,
    /// Print the OpenAPI document, from which clients are made
    Openapi,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
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
