//! `sealwright scope`: the catalogue.

use clap::Subcommand;

use crate::app;
use crate::config::Config;
use crate::domain::event::Actor;
use crate::domain::scope::{CatalogueEntry, Scope};
use crate::service::scopes::{Added, ScopeView, Scopes, parse_description};

use super::failure::Failure;
use super::output::{Printer, Sheet};

#[derive(Subcommand)]
pub enum ScopeCommand {
    /// List the catalogue
    List,
    /// Add a scope, so that agents can be given it
    Add {
        /// Its name
        #[arg(value_parser = Scope::parse)]
        name: Scope,
        /// What it is for, one sentence
        #[arg(long, value_parser = parse_description)]
        description: String,
        /// Let tokens that carry it live 15 minutes at most
        #[arg(long)]
        high_risk: bool,
    },
}

pub async fn run(command: ScopeCommand, config: &Config, out: Printer) -> Result<(), Failure> {
    let opened = app::open(config).await?;
    let high_risk = config.scopes.high_risk.clone();
    let scopes = Scopes { store: opened.store, high_risk, clock: opened.clock };
    match command {
        ScopeCommand::List => {
            let all = scopes.list().await?;
            out.print(&all, || {
                Sheet::list(&["name", "description", "high risk", "built in"], all.iter().map(row).collect())
            })
        }
        ScopeCommand::Add { name, description, high_risk } => {
            let entry = CatalogueEntry { scope: name, description, high_risk };
            match scopes.add(entry, Actor::Operator).await? {
                Added::Exists => Err(Failure::Failed("the catalogue has this scope already".to_owned())),
                Added::Added(scope) => out.print(&scope, || {
                    Sheet::list(&["name", "description", "high risk", "built in"], vec![row(&scope)])
                }),
            }
        }
    }
}

fn row(scope: &ScopeView) -> Vec<String> {
    let yes = |is| if is { "yes" } else { "no" }.to_owned();
    vec![scope.name.clone(), scope.description.clone(), yes(scope.high_risk), yes(scope.built_in)]
}
