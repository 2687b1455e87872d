//! `sealwright agent`: the commands with which an operator manages agents.

use std::path::PathBuf;

use clap::Subcommand;

use crate::api::agents::AgentJson;
use crate::api::usage::AgentUsageJson;
use crate::app::Opened;
use crate::config::Config;
use crate::domain::act::ChangeReason;
use crate::domain::agent::SuspendedBy;
use crate::domain::agent_filter::AgentFilter;
use crate::domain::id::AgentId;
use crate::service::manage::agents::{Agents, NewAgent};
use crate::service::manage::credentials::Rotation;
use crate::service::manage::keeping::Keep;
use crate::service::manage::usage::UsageQuery;
use crate::service::manage::view::AgentView;

use super::agent_args::{ChangeArgs, CreateAgent, RotateArgs, UpdateAgent, UsageArgs};
use super::agent_bulk::{self, BulkCommand};
use super::agent_filter::FilterArgs;
use super::agent_ref::{AgentRef, parse_id};
use super::agent_sheet::{HEAD, properties, row, usage_properties};
use super::failure::CommandFailure;
use super::import;
use super::input::{self, Why};
use super::new_secret::{self, Occasion, SecretSource, renew_file};
use super::output::{Printer, Sheet};
use super::revocation::version_of_kill;
use super::runtime::{open, open_or_create};

/// How many agents one read returns for a list.
const PAGE: i64 = 500;

#[derive(Subcommand)]
pub(super) enum AgentCommand {
    /// Make an agent and print its secret, once
    Create(CreateAgent),
    /// List all agents, or those that meet every filter
    List(FilterArgs),
    /// Show one agent
    Show(AgentRef),
    /// Show what an agent used: tokens and refusals by day, and its scopes
    Usage(UsageArgs),
    /// Change an agent; each value that is given replaces the old one
    Update(UpdateAgent),
    /// Stop an agent and kill its live tokens at once
    Suspend(ChangeArgs),
    /// Let a suspended agent work again
    Reactivate(ChangeArgs),
    /// Stop an agent for ever
    Decommission(ChangeArgs),
    /// Give an agent a new secret and print it, once
    RotateSecret(RotateArgs),
    /// Kill an agent's live tokens and leave it active
    RevokeTokens(ChangeArgs),
    /// Stop many agents at once, or kill their tokens
    #[command(subcommand)]
    Bulk(BulkCommand),
    /// Import agents from a file of JSON lines or CSV, their ids and secrets kept
    Import {
        /// Fields: clientId, name, secret or secretHash, scopes, ttl, plan, audiences, redirectUris,
        /// userIds, status, rawBasic, description, owner, labels, expiresAt
        file: PathBuf,
        #[command(flatten)]
        why: Why,
    },
}

impl AgentCommand {
    fn reason(&self) -> Option<ChangeReason> {
        let why = match self {
            Self::Create(CreateAgent { rest, .. }) | Self::Update(UpdateAgent { rest, .. }) => {
                &rest.why
            }
            Self::Suspend(args)
            | Self::Reactivate(args)
            | Self::Decommission(args)
            | Self::RevokeTokens(args) => &args.why,
            Self::RotateSecret(RotateArgs { why, .. }) | Self::Import { why, .. } => why,
            Self::List(_) | Self::Show(_) | Self::Usage(_) | Self::Bulk(_) => return None,
        };
        why.reason.clone()
    }
}

pub(super) async fn run(
    command: AgentCommand,
    config: &Config,
    out: Printer,
) -> Result<(), CommandFailure> {
    // Read the secret before the store is opened: otherwise other processes might wait for the
    // store while the operator types.
    let chosen = match &command {
        AgentCommand::Create(CreateAgent { rest, .. })
        | AgentCommand::Update(UpdateAgent { rest, .. })
            if rest.secret_stdin =>
        {
            Some(input::secret_from_stdin()?)
        }
        _ => None,
    };
    let opened = match command {
        AgentCommand::Create(_) | AgentCommand::Import { .. } => open_or_create(config).await?,
        _ => open(config).await?,
    };
    let agents = opened.agents(config);
    let act = &opened.operator().because(command.reason());
    let view = match command {
        AgentCommand::Create(args) => {
            let source = if chosen.is_some() {
                SecretSource::Chosen
            } else {
                SecretSource::Drawn
            };
            let new = NewAgent {
                agent_id: args.client_id.clone(),
                org_id: args.org.clone(),
                secret: chosen,
                profile: args.profile()?,
            };
            let made = agents.create(new, act).await?;
            return new_secret::print(&agents, config, made, (source, Occasion::Creation), out)
                .await;
        }
        AgentCommand::RotateSecret(args) => {
            let rotation = Rotation {
                overlap: args.overlap,
                ..Rotation::default()
            };
            let made = agents
                .rotate_credential(
                    &args.who.find(&agents).await?,
                    rotation,
                    act,
                    Keep::nothing(),
                )
                .await?;
            return new_secret::print(
                &agents,
                config,
                made,
                (SecretSource::Drawn, Occasion::Rotation),
                out,
            )
            .await;
        }
        AgentCommand::Import { file, .. } => return import::run(&agents, act, &file, out).await,
        AgentCommand::Bulk(command) => {
            return agent_bulk::run(command, &opened, &agents, act, out).await;
        }
        AgentCommand::List(args) => return list(&agents, args.filter(), out).await,
        AgentCommand::Show(who) => agents.show(&who.find(&agents).await?).await?,
        AgentCommand::Usage(args) => return usage(&agents, &args, out).await,
        AgentCommand::Update(args) => {
            let id = parse_id(&args.id)?;
            let patch = args.patch()?;
            match chosen {
                Some(secret) => {
                    let replaced = agents.update_with_secret(&id, &patch, secret, act).await?;
                    // The operator chose this secret and knows it, so do not write it to the file.
                    renew_file(config, &id, None);
                    replaced.agent?
                }
                None => agents.update(&id, &patch, act).await?,
            }
        }
        AgentCommand::Suspend(args) => {
            let id = args.who.find(&agents).await?;
            agents.suspend(&id, SuspendedBy::Operator, act).await?
        }
        AgentCommand::Reactivate(args) => {
            agents
                .reactivate(&args.who.find(&agents).await?, act)
                .await?
        }
        AgentCommand::Decommission(args) => {
            let id = args.who.find(&agents).await?;
            let view = agents.decommission(&id, act).await?;
            renew_file(config, &id, None);
            view
        }
        AgentCommand::RevokeTokens(args) => {
            agents
                .revoke_tokens(&args.who.find(&agents).await?, act)
                .await?
        }
    };
    print_change(view, &opened, out).await
}

/// The agent after a change that may have killed tokens.
async fn print_change(
    view: AgentView,
    opened: &Opened,
    out: Printer,
) -> Result<(), CommandFailure> {
    let revocation_version = version_of_kill(opened, view.tokens_killed).await?;
    let agent = AgentJson {
        revocation_version,
        ..view.into()
    };
    out.print(&agent, || Sheet::of(properties(&agent)))?;
    out.warn(&agent.warnings);
    Ok(())
}

async fn list(agents: &Agents, filter: AgentFilter, out: Printer) -> Result<(), CommandFailure> {
    let (mut all, mut after): (Vec<AgentJson>, Option<AgentId>) = (Vec::new(), None);
    loop {
        let page = agents.list(&filter, None, after.as_ref(), PAGE).await?;
        all.extend(page.agents.into_iter().map(AgentJson::from));
        if page.next.is_none() {
            break;
        }
        after = page.next;
    }
    out.print(&all, || Sheet::list(&HEAD, all.iter().map(row).collect()))
}

async fn usage(agents: &Agents, args: &UsageArgs, out: Printer) -> Result<(), CommandFailure> {
    let query = UsageQuery {
        from: args.from,
        to: args.to,
    };
    let view = agents.usage(&args.who.find(agents).await?, query).await?;
    let usage = AgentUsageJson::from(view);
    out.print(&usage, || Sheet::of(usage_properties(&usage)))
}
