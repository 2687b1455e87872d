//! `sealwright org`: organizations.

use clap::{ArgGroup, Args, Subcommand};

use crate::api::orgs::OrgJson;
use crate::app::Opened;
use crate::config::Config;
use crate::domain::org::{OrgId, OrgName};
use crate::service::manage::keeping::Keep;
use crate::service::manage::orgs::{NewOrg, OrgPatch, OrgView, Orgs};

use super::failure::CommandFailure;
use super::input::{self, ScopeWords, Why};
use super::output::{Printer, Sheet};
use super::revocation::{version_of_kill, version_row};
use super::runtime::{open, open_or_create};

/// How many organizations one read returns for a list.
const PAGE: i64 = 500;

#[derive(Subcommand)]
pub(super) enum OrgCommand {
    /// Make an organization, whose agents see nothing of others
    Create(CreateOrg),
    /// List all organizations
    List,
    /// Show one organization
    Show {
        /// Its id
        #[arg(value_parser = OrgId::parse)]
        id: OrgId,
    },
    /// Change an organization's name, or what its agents may be given
    Update(UpdateOrg),
    /// Stop an organization and kill the live tokens of its agents at once
    Suspend(ChangeOrg),
    /// Let a suspended organization work again
    Reactivate(ChangeOrg),
    /// Kill the live tokens of an organization's agents and leave it active
    RevokeTokens(ChangeOrg),
}

#[derive(Args)]
pub(super) struct ChangeOrg {
    /// Its id
    #[arg(value_parser = OrgId::parse)]
    id: OrgId,
    #[command(flatten)]
    why: Why,
}

#[derive(Args)]
pub(super) struct CreateOrg {
    /// Its name
    #[arg(long, value_parser = OrgName::parse)]
    name: OrgName,
    /// Its id; a UUID is drawn without it
    #[arg(long, value_name = "ID", value_parser = OrgId::parse)]
    id: Option<OrgId>,
    /// What its agents may be given: repeatable, or separated by spaces; every scope without it
    #[arg(long, value_name = "SCOPE", value_parser = input::scopes)]
    scope: Vec<ScopeWords>,
    #[command(flatten)]
    why: Why,
}

#[derive(Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args(["name", "scope", "every_scope"]))]
pub(super) struct UpdateOrg {
    /// Its id
    #[arg(value_parser = OrgId::parse)]
    id: OrgId,
    /// Its name
    #[arg(long, value_parser = OrgName::parse)]
    name: Option<OrgName>,
    /// What its agents may be given from now on; an empty text means no scope
    #[arg(long, value_name = "SCOPE", value_parser = input::scopes)]
    scope: Vec<ScopeWords>,
    /// Let its agents be given every scope
    #[arg(long, conflicts_with = "scope")]
    every_scope: bool,
    #[command(flatten)]
    why: Why,
}

pub(super) async fn run(
    command: OrgCommand,
    config: &Config,
    out: Printer,
) -> Result<(), CommandFailure> {
    let opened = match command {
        OrgCommand::Create(_) => open_or_create(config).await?,
        _ => open(config).await?,
    };
    let (orgs, act) = (opened.orgs(), opened.operator());
    match command {
        OrgCommand::List => list(&orgs, out).await,
        OrgCommand::Show { id } => print(orgs.show(&id, None).await?, out),
        OrgCommand::Create(args) => {
            let new = NewOrg {
                org_id: args.id,
                name: args.name,
                scopes: listed(args.scope),
            };
            let act = act.because(args.why.reason);
            print(orgs.create(new, &act, Keep::nothing()).await?, out)
        }
        OrgCommand::Update(args) => {
            let scopes = listed(args.scope);
            let patch = OrgPatch {
                name: args.name,
                scopes: (args.every_scope || scopes.is_some()).then_some(scopes),
            };
            let act = act.because(args.why.reason);
            print(orgs.update(&args.id, &patch, &act).await?, out)
        }
        OrgCommand::Suspend(ChangeOrg { id, why }) => {
            let act = act.because(why.reason);
            print_kill(orgs.suspend(&id, &act).await?, &opened, out).await
        }
        OrgCommand::Reactivate(ChangeOrg { id, why }) => {
            let act = act.because(why.reason);
            print(orgs.reactivate(&id, &act).await?, out)
        }
        OrgCommand::RevokeTokens(ChangeOrg { id, why }) => {
            let act = act.because(why.reason);
            print_kill(orgs.revoke_tokens(&id, &act).await?, &opened, out).await
        }
    }
}

/// All scopes of the options, each once; `None` without any option.
fn listed(words: Vec<ScopeWords>) -> Option<Vec<crate::domain::scope::Scope>> {
    if words.is_empty() {
        return None;
    }
    let mut scopes = Vec::new();
    for scope in words.into_iter().flat_map(|words| words.0) {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    Some(scopes)
}

async fn list(orgs: &Orgs, out: Printer) -> Result<(), CommandFailure> {
    let (mut all, mut after): (Vec<OrgJson>, Option<OrgId>) = (Vec::new(), None);
    loop {
        let page = orgs.list(None, after.as_ref(), PAGE).await?;
        all.extend(page.orgs.into_iter().map(OrgJson::from));
        if page.next.is_none() {
            break;
        }
        after = page.next;
    }
    out.print(&all, || {
        let head = ["id", "name", "status", "scopes", "version"];
        Sheet::list(&head, all.iter().map(row).collect())
    })
}

fn print(view: OrgView, out: Printer) -> Result<(), CommandFailure> {
    print_org(&view.into(), out)
}

/// The organization after a change that may have killed tokens.
async fn print_kill(view: OrgView, opened: &Opened, out: Printer) -> Result<(), CommandFailure> {
    let revocation_version = version_of_kill(opened, view.tokens_killed).await?;
    let org = OrgJson {
        revocation_version,
        ..view.into()
    };
    print_org(&org, out)
}

fn print_org(org: &OrgJson, out: Printer) -> Result<(), CommandFailure> {
    out.print(org, || {
        let mut rows = vec![
            ("id", org.org_id.clone()),
            ("name", org.name.clone()),
            ("status", org.status.to_owned()),
            ("scopes", scopes(org)),
            ("version", org.version.to_string()),
            ("created", org.created_at.clone()),
            ("updated", org.updated_at.clone()),
        ];
        rows.extend(version_row(org.revocation_version));
        Sheet::of(rows)
    })
}

fn row(org: &OrgJson) -> Vec<String> {
    vec![
        org.org_id.clone(),
        org.name.clone(),
        org.status.to_owned(),
        scopes(org),
        org.version.to_string(),
    ]
}

fn scopes(org: &OrgJson) -> String {
    match &org.scopes {
        Some(scopes) => scopes.join(" "),
        None => "every scope".to_owned(),
    }
}
