//! `sealwright scope`: the catalogue.

use clap::{ArgGroup, Args, Subcommand};
use serde::Serialize;

use crate::api::scopes::ScopeJson;
use crate::config::Config;
use crate::domain::catalogue::CatalogueEntry;
use crate::domain::scope::Scope;
use crate::service::manage::keeping::Keep;
use crate::service::manage::scopes::{ScopeDescription, ScopePatch};
use crate::service::manage::view::ScopeView;

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
        #[arg(long, value_parser = ScopeDescription::parse)]
        description: ScopeDescription,
        /// Let tokens that carry it live 15 minutes at most
        #[arg(long)]
        high_risk: bool,
        #[command(flatten)]
        why: Why,
    },
    /// Change a scope's description or mark
    Update(UpdateScope),
    /// Delete a scope that no agent holds
    Delete {
        /// Its name
        #[arg(value_parser = Scope::parse)]
        name: Scope,
        #[command(flatten)]
        why: Why,
    },
}

#[derive(Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args(["description", "high_risk", "no_high_risk"]))]
pub(super) struct UpdateScope {
    /// Its name
    #[arg(value_parser = Scope::parse)]
    name: Scope,
    /// What it is for, one sentence
    #[arg(long, value_parser = ScopeDescription::parse)]
    description: Option<ScopeDescription>,
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
        ScopeCommand::List | ScopeCommand::Update(_) | ScopeCommand::Delete { .. } => {
            open(config).await?
        }
    };
    let (scopes, act) = (opened.scopes(config), opened.operator());
    match command {
        ScopeCommand::List => {
            let all = scopes.list(None).await?.into_iter().map(ScopeRow::from);
            let all: Vec<ScopeRow> = all.collect();
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
                description: description.into(),
                high_risk,
            };
            print_one(scopes.add(entry, &act, Keep::nothing()).await?, out)
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
                description: description.map(String::from),
                high_risk: (high_risk || no_high_risk).then_some(high_risk),
            };
            print_one(scopes.update(&name, patch, &act).await?, out)
        }
        ScopeCommand::Delete { name, why } => {
            let act = act.because(why.reason);
            print_one(scopes.delete(&name, &act).await?, out)
        }
    }
}

/// A scope as commands print it. Scripts of earlier releases read `name`.
#[derive(Serialize)]
struct ScopeRow {
    name: String,
    #[serde(flatten)]
    scope: ScopeJson,
}

impl From<ScopeView> for ScopeRow {
    fn from(view: ScopeView) -> Self {
        let scope = ScopeJson::from(view);
        Self {
            name: scope.scope.clone(),
            scope,
        }
    }
}

fn print_one(view: ScopeView, out: Printer) -> Result<(), CommandFailure> {
    let row = ScopeRow::from(view);
    print(&row, std::slice::from_ref(&row), out)
}

fn print(json: &impl Serialize, scopes: &[ScopeRow], out: Printer) -> Result<(), CommandFailure> {
    out.print(json, || {
        Sheet::list(
            &["name", "description", "high risk", "built in", "agents"],
            scopes.iter().map(row).collect(),
        )
    })?;
    out.warn(scopes.iter().flat_map(|row| &row.scope.warnings));
    Ok(())
}

fn row(ScopeRow { scope, .. }: &ScopeRow) -> Vec<String> {
    let yes = |is| if is { "yes" } else { "no" }.to_owned();
    vec![
        scope.scope.clone(),
        scope.description.clone(),
        yes(scope.high_risk),
        yes(scope.built_in),
        scope.agents.to_string(),
    ]
}
