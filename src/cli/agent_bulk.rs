//! `sealwright agent bulk`: stops many agents at once, or kills their tokens.

use clap::{ArgGroup, Args, Subcommand};

use crate::api::bulk::BulkJson;
use crate::app::Opened;
use crate::domain::about::{Label, Owner, parse_label};
use crate::domain::act::Act;
use crate::domain::agent_filter::AgentFilter;
use crate::domain::id::AgentId;
use crate::domain::org::OrgId;
use crate::domain::quota::PlanName;
use crate::domain::scope::Scope;
use crate::service::manage::agents::Agents;
use crate::service::manage::bulk::{BulkAction, BulkPiece};
use crate::service::manage::request::{ChangeMode, ChangeRequest};

use super::failure::CommandFailure;
use super::input::Why;
use super::output::{Printer, Sheet};
use super::revocation::{version_of_kill, version_row};

#[derive(Subcommand)]
pub(super) enum BulkCommand {
    /// Stop all agents that meet every filter, and kill their live tokens
    Suspend(BulkArgs),
    /// Kill the live tokens of all agents that meet every filter
    RevokeTokens(BulkArgs),
}

#[derive(Args)]
#[command(group = ArgGroup::new("filter").required(true).multiple(true).args(["label", "owner", "scope", "plan", "org", "id"]))]
pub(super) struct BulkArgs {
    /// A label that they have; repeatable, then they have all of them
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_label)]
    label: Vec<Label>,
    /// Their whole owner
    #[arg(long, value_name = "WHO", value_parser = Owner::parse)]
    owner: Option<Owner>,
    /// A scope that they may ask for
    #[arg(long, value_parser = Scope::parse)]
    scope: Option<Scope>,
    /// Their plan
    #[arg(long, value_parser = PlanName::parse)]
    plan: Option<PlanName>,
    /// Their organization
    #[arg(long, value_name = "ID", value_parser = OrgId::parse)]
    org: Option<OrgId>,
    /// Their id; repeatable up to 100 times
    #[arg(long, value_parser = AgentId::parse)]
    id: Vec<AgentId>,
    /// Only say what would be changed
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    why: Why,
}

impl BulkCommand {
    fn split(self) -> (BulkAction, BulkArgs) {
        match self {
            Self::Suspend(args) => (BulkAction::Suspend, args),
            Self::RevokeTokens(args) => (BulkAction::RevokeTokens, args),
        }
    }
}

pub(super) async fn run(
    command: BulkCommand,
    opened: &Opened,
    agents: &Agents,
    operator: &Act,
    out: Printer,
) -> Result<(), CommandFailure> {
    let (action, args) = command.split();
    let act = operator.clone().because(args.why.reason);
    let filter = AgentFilter {
        labels: args.label,
        owner: args.owner,
        scope: args.scope,
        plan: args.plan,
        org_id: args.org,
        ids: args.id,
        ..AgentFilter::default()
    };
    let mode = if args.dry_run {
        ChangeMode::DryRun
    } else {
        ChangeMode::Commit
    };
    let mut all = BulkPiece::default();
    loop {
        let request = ChangeRequest {
            mode,
            ..ChangeRequest::from(&act)
        };
        let after = all.next.take();
        let piece = agents.change_many(action, &filter, after.as_ref(), request);
        all.append(piece.await?);
        if all.next.is_none() {
            break;
        }
    }
    let is_kill = !args.dry_run && !all.changed.is_empty();
    let revocation_version = version_of_kill(opened, is_kill).await?;
    let all = BulkJson {
        revocation_version,
        ..all.into()
    };
    out.print(&all, || {
        let title = if args.dry_run {
            "would change"
        } else {
            "changed"
        };
        let mut rows = vec![
            ("matched", all.matched.to_string()),
            (title, all.changed.to_string()),
            ("agents", all.agents.join(" ")),
        ];
        rows.extend(version_row(all.revocation_version));
        Sheet::of(rows)
    })
}
