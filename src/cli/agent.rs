//! `sealwright agent`: the commands with which an operator manages agents.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgGroup, Args, Subcommand};

use crate::api::agents::AgentJson;
use crate::app;
use crate::config::Config;
use crate::domain::agent::{AgentName, Audience, LiveTokens, Profile, RedirectUri, Terms, UserId};
use crate::domain::id::AgentId;
use crate::domain::quota::PlanName;
use crate::service::manage::MAX_OVERLAP;
use crate::service::manage::agents::{Agents, NewAgent};
use crate::service::manage::patch::ProfilePatch;

use super::agent_ref::{AgentRef, parse_id};
use super::agent_sheet::{HEAD, properties, row};
use super::failure::CommandFailure;
use super::import;
use super::input::{self, Item, ScopeWords, TtlWord, all_items, all_scopes};
use super::new_secret::{self, Occasion, SecretSource, renew_file};
use super::output::{Printer, Sheet};

/// How many agents one read returns for a list.
const PAGE: i64 = 500;

#[derive(Subcommand)]
pub(super) enum AgentCommand {
    /// Make an agent and print its secret, once
    Create(CreateAgent),
    /// List all agents
    List,
    /// Show one agent
    Show(AgentRef),
    /// Change an agent; each value that is given replaces the old one
    Update(UpdateAgent),
    /// Stop an agent and kill its live tokens at once
    Suspend(AgentRef),
    /// Let a suspended agent work again
    Reactivate(AgentRef),
    /// Stop an agent for ever
    Decommission(AgentRef),
    /// Give an agent a new secret and print it, once
    RotateSecret(RotateArgs),
    /// Kill an agent's live tokens and leave it active
    RevokeTokens(AgentRef),
    /// Import agents from a file of JSON lines or CSV, their ids and secrets kept
    Import {
        /// Fields: clientId, name, secret or secretHash, scopes, ttl, plan, audiences, redirectUris,
        /// userIds, status, rawBasic
        file: PathBuf,
    },
}

#[derive(Args)]
pub(super) struct CreateAgent {
    /// A label; need not be unique
    #[arg(long, value_parser = AgentName::parse)]
    name: AgentName,
    /// The id to use instead of a new UUID
    #[arg(long, value_name = "ID", value_parser = AgentId::parse)]
    client_id: Option<AgentId>,
    /// A scope that it may ask for; repeatable, or separated by spaces
    #[arg(long, required = true, value_parser = input::scopes)]
    scope: Vec<ScopeWords>,
    #[command(flatten)]
    rest: RestArgs,
}

#[derive(Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args(CHANGES))]
pub(super) struct UpdateAgent {
    /// The agent's id
    id: String,
    /// A new label
    #[arg(long, value_parser = AgentName::parse)]
    name: Option<AgentName>,
    /// Must be the id that it already has: an id never changes
    #[arg(long, value_name = "ID", value_parser = AgentId::parse)]
    client_id: Option<AgentId>,
    /// All the scopes that it may ask for; '' clears
    #[arg(long, value_parser = input::scopes)]
    scope: Vec<ScopeWords>,
    #[command(flatten)]
    rest: RestArgs,
    /// Kill its live tokens as well, which would keep what they were given
    #[arg(long)]
    revoke_tokens: bool,
}

const CHANGES: [&str; 9] = [
    "name",
    "client_id",
    "scope",
    "secret_stdin",
    "ttl",
    "plan",
    "audience",
    "redirect_uri",
    "user_id",
];

#[derive(Args)]
struct RestArgs {
    /// Read its secret from stdin: 16 characters at least
    #[arg(long)]
    secret_stdin: bool,
    /// Seconds that its tokens live, 300 to 86400, or 'default'
    #[arg(long, value_name = "SECS", value_parser = input::ttl)]
    ttl: Option<TtlWord>,
    /// Its plan
    #[arg(long, value_parser = PlanName::parse)]
    plan: Option<PlanName>,
    /// An audience that it may ask for; repeatable; without any, all are allowed. A request without an
    /// audience gets the server's default, or the first listed one if the default is not listed
    #[arg(long, value_name = "A", value_parser = input::audience)]
    audience: Vec<Item<Audience>>,
    /// Where its authorization codes may be sent; repeatable
    #[arg(long, value_name = "U", value_parser = input::redirect_uri)]
    redirect_uri: Vec<Item<RedirectUri>>,
    /// A user on whose behalf it may act; repeatable
    #[arg(long, value_name = "U", value_parser = input::user_id)]
    user_id: Vec<Item<UserId>>,
}

#[derive(Args)]
pub(super) struct RotateArgs {
    #[command(flatten)]
    who: AgentRef,
    /// Seconds that the old secret lives on
    #[arg(long, value_name = "SECS", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..=MAX_OVERLAP))]
    overlap: i64,
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
    let opened = app::open(config).await?;
    let agents = opened.agents(config);
    let act = &opened.operator();
    let view = match command {
        AgentCommand::Create(args) => {
            let source = if chosen.is_some() {
                SecretSource::Chosen
            } else {
                SecretSource::Drawn
            };
            let agent_id = args.client_id.clone();
            let new = NewAgent {
                agent_id,
                secret: chosen,
                profile: args.profile(),
            };
            let made = agents.create(new, act).await?;
            return new_secret::print(&agents, config, made, (source, Occasion::Creation), out)
                .await;
        }
        AgentCommand::RotateSecret(args) => {
            let made = agents
                .rotate_secret(&args.who.find(&agents).await?, None, args.overlap, act)
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
        AgentCommand::Import { file } => return import::run(&agents, act, &file, out).await,
        AgentCommand::List => return list(&agents, out).await,
        AgentCommand::Show(who) => agents.show(&who.find(&agents).await?).await?,
        AgentCommand::Update(args) => {
            let id = parse_id(&args.id)?;
            let patch = args.patch();
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
        AgentCommand::Suspend(who) => agents.suspend(&who.find(&agents).await?, act).await?,
        AgentCommand::Reactivate(who) => agents.reactivate(&who.find(&agents).await?, act).await?,
        AgentCommand::Decommission(who) => {
            let id = who.find(&agents).await?;
            let view = agents.decommission(&id, act).await?;
            renew_file(config, &id, None);
            view
        }
        AgentCommand::RevokeTokens(who) => {
            agents.revoke_tokens(&who.find(&agents).await?, act).await?
        }
    };
    let agent = AgentJson::from(view);
    out.print(&agent, || Sheet::of(properties(&agent)))?;
    out.warn(&agent.warnings);
    Ok(())
}

async fn list(agents: &Agents, out: Printer) -> Result<(), CommandFailure> {
    let mut all: Vec<AgentJson> = Vec::new();
    loop {
        let after = all
            .last()
            .and_then(|last| AgentId::parse(&last.agent_id).ok());
        let page = agents.list(after.as_ref(), PAGE).await?;
        let is_last = i64::try_from(page.len()).is_ok_and(|n| n < PAGE);
        all.extend(page.into_iter().map(AgentJson::from));
        if is_last {
            break;
        }
    }
    out.print(&all, || Sheet::list(&HEAD, all.iter().map(row).collect()))
}

impl CreateAgent {
    fn profile(self) -> Profile {
        let rest = self.rest;
        Profile {
            name: self.name,
            terms: Arc::new(Terms {
                scopes: all_scopes(self.scope).unwrap_or_default(),
                ttl: rest.ttl.and_then(|word| word.0),
                plan: rest.plan.unwrap_or_else(PlanName::free),
                audiences: all_items(rest.audience).unwrap_or_default(),
                redirect_uris: all_items(rest.redirect_uri).unwrap_or_default(),
                user_ids: all_items(rest.user_id).unwrap_or_default(),
            }),
        }
    }
}

impl UpdateAgent {
    fn patch(self) -> ProfilePatch {
        let rest = self.rest;
        ProfilePatch {
            agent_id: self.client_id,
            name: self.name,
            scopes: all_scopes(self.scope),
            ttl: rest.ttl.map(|word| word.0),
            plan: rest.plan,
            audiences: all_items(rest.audience),
            redirect_uris: all_items(rest.redirect_uri),
            user_ids: all_items(rest.user_id),
            tokens: if self.revoke_tokens {
                LiveTokens::Kill
            } else {
                LiveTokens::Keep
            },
        }
    }
}
