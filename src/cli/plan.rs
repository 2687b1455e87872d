//! `sealwright plan`: the plans of the configuration.

use clap::Subcommand;

use crate::api::plans::PlanJson;
use crate::config::Config;

use super::failure::CommandFailure;
use super::output::{Printer, Sheet};
use super::runtime::open;

#[derive(Subcommand)]
pub(super) enum PlanCommand {
    /// List the plans: how many tokens a month each allows, and how many agents are on it
    List,
}

pub(super) async fn run(
    command: PlanCommand,
    config: &Config,
    out: Printer,
) -> Result<(), CommandFailure> {
    let PlanCommand::List = command;
    let opened = open(config).await?;
    let plans = opened.agents(config).plans(None).await?;
    let plans: Vec<PlanJson> = plans.into_iter().map(PlanJson::from).collect();
    out.print(&plans, || {
        Sheet::list(
            &["plan", "tokens a month", "agents"],
            plans.iter().map(row).collect(),
        )
    })?;
    out.warn(plans.iter().flat_map(|plan| &plan.warnings));
    Ok(())
}

fn row(plan: &PlanJson) -> Vec<String> {
    let limit = plan.limit.map_or("no limit".to_owned(), |n| n.to_string());
    vec![plan.plan.clone(), limit, plan.agents.to_string()]
}
