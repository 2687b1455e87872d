//! `sealwright scope`: the catalogue.

use clap::{ArgGroup, Args, Subcommand};

use crate::api::scopes::ScopeJson;
use crate::config::Config;
use crate::domain::catalogue::CatalogueEntry;
use crate::domain::scope::Scope;
use crate::service::manage::scopes::{ScopePatch, parse_description};

use super::failure::CommandFailure;
use super::input::Why;
use super::output::{Printer, Sheet};
use super::runtime::{open, open_or_create};

#[derive(Subcommand)]
pub(super) enum ScopeCommand {
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
        #[command(flatten)]
        why: Why,
    },
    /// Change a scope's description or mark
    Update(UpdateScope),
}

#[derive(Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args(["description", "high_risk", "no_high_risk"]))]
pub(super) struct UpdateScope {
    /// Its name
    #[arg(value_parser = Scope::parse)]
    name: Scope,
    /// What it is for, one sentence
    #[arg(long, value_parser = parse_description)]
    description: Option<String>,
    /// Let tokens that carry it live 15 minutes at most
    #[arg(long)]
    high_risk: bool,
    /// Take that mark back; where the name or the configuration makes the scope high-risk, it stays so
    #[arg(long, conflicts_with = "high_risk")]
    no_high_risk: bool,
    #[command(flatten)]
    why: Why,
}

pub(super) async fn run(
    command: ScopeCommand,
    config: &Config,
    out: Printer,
) -> Result<(), CommandFailure> {
    let opened = match command {
        ScopeCommand::Add { .. } => open_or_create(config).await?,
        ScopeCommand::List | ScopeCommand::Update(_) => open(config).await?,
    };
    let (scopes, act) = (opened.scopes(config), opened.operator());
    match command {
        ScopeCommand::List => {
            let all: Vec<ScopeJson> = scopes
                .list()
                .await?
                .into_iter()
                .map(ScopeJson::from)
                .collect();
            print(&all, &all, out)
        }
        ScopeCommand::Add {
            name,
            description,
            high_risk,
            why,
        } => {
            let act = act.because(why.reason);
            let entry = CatalogueEntry {
                scope: name,
                description,
                high_risk,
            };
            let scope: ScopeJson = scopes.add(entry, &act).await?.into();
            print(&scope, std::slice::from_ref(&scope), out)
        }
        ScopeCommand::Update(args) => {
            let UpdateScope {
                name,
                description,
                high_risk,
                no_high_risk,
                why,
            } = args;
            let act = act.because(why.reason);
            let patch = ScopePatch {
                description,
                high_risk: (high_risk || no_high_risk).then_some(high_risk),
            };
            let scope: ScopeJson = scopes.update(&name, patch, &act).await?.into();
            print(&scope, std::slice::from_ref(&scope), out)
        }
    }
}

fn print(
    json: &impl serde::Serialize,
    scopes: &[ScopeJson],
    out: Printer,
) -> Result<(), CommandFailure> {
    out.print(json, || {
        Sheet::list(
            &["name", "description", "high risk", "built in"],
            scopes.iter().map(row).collect(),
        )
    })?;
    out.warn(scopes.iter().flat_map(|scope| &scope.warnings));
    Ok(())
}

fn row(scope: &ScopeJson) -> Vec<String> {
    let yes = |is| if is { "yes" } else { "no" }.to_owned();
    vec![
        scope.name.clone(),
        scope.description.clone(),
        yes(scope.high_risk),
        yes(scope.built_in),
    ]
}
