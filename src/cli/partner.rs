//! `sealwright partner`: platforms whose signed tokens prove who an agent is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::api::partners::{ExaminedTokenJson, KnownKeyJson, PartnerJson, PartnerKeysJson};
use crate::app::Opened;
use crate::config::Config;
use crate::domain::id::AgentId;
use crate::domain::org::OrgId;
use crate::domain::partner::record::Partner;
use crate::domain::partner::terms::PartnerId;
use crate::service::manage::keeping::Keep;
use crate::service::manage::partners::Partners;
use crate::service::partner_keys::current_keys;
use crate::telemetry::error_chain;

use super::failure::CommandFailure;
use super::input::Why;
use super::output::{Printer, Sheet};
use super::partner_args::{CreatePartner, UpdatePartner};
use super::revocation::{version_of_kill, version_row};
use super::runtime::{open, open_or_create};

/// How many partners one read returns for a list.
const PAGE: i64 = 500;

/// How often, and for how long, a command looks whether keys have been fetched: longer in all than a
/// fetch may take.
const FETCH_TURNS: u32 = 60;
const FETCH_TURN: Duration = Duration::from_millis(100);

#[derive(Subcommand)]
pub(super) enum PartnerCommand {
    /// Make a partner
    Create(CreatePartner),
    /// List partners
    List {
        /// Those of this organization alone
        #[arg(long, value_name = "ORG", value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
    /// Show one partner
    Show {
        /// Its id
        #[arg(value_parser = PartnerId::parse)]
        id: PartnerId,
    },
    /// Fetch a partner's keys from this machine, and show those that can be used
    Keys {
        /// Its id
        #[arg(value_parser = PartnerId::parse)]
        id: PartnerId,
    },
    /// Say what a partner's token would open, and otherwise which check fails; issues nothing
    Test {
        /// Its id
        #[arg(value_parser = PartnerId::parse)]
        id: PartnerId,
        /// The agent, as a client would name it
        #[arg(long, value_parser = AgentId::parse)]
        agent: AgentId,
        /// A file that holds the token
        #[arg(long, value_name = "FILE")]
        assertion: PathBuf,
    },
    /// Change what is decided about a partner; its issuer, organization and preset never change
    Update(UpdatePartner),
    /// Let a partner's tokens prove nothing
    Suspend {
        #[command(flatten)]
        partner: ChangePartner,
        /// Kill the live tokens of the agents that hold its credentials as well, which would live on
        #[arg(long)]
        revoke_tokens: bool,
    },
    /// Let a suspended partner's tokens prove agents again
    Reactivate(ChangePartner),
    /// Delete a partner
    Delete(ChangePartner),
}

#[derive(Args)]
pub(super) struct ChangePartner {
    /// Its id
    #[arg(value_parser = PartnerId::parse)]
    id: PartnerId,
    #[command(flatten)]
    why: Why,
}

pub(super) async fn run(
    command: PartnerCommand,
    config: &Config,
    out: Printer,
) -> Result<(), CommandFailure> {
    let opened = match command {
        PartnerCommand::Create(_) => open_or_create(config).await?,
        _ => open(config).await?,
    };
    let (partners, act) = (opened.partners(config), opened.operator());
    match command {
        PartnerCommand::List { org } => list(&partners, org.as_ref(), out).await,
        PartnerCommand::Show { id } => print(partners.show(id, None).await?, out),
        PartnerCommand::Keys { id } => {
            let partner = partners.show(id, None).await?;
            let (fetcher, without_system) = opened.fetcher(config)?;
            let found = current_keys(&fetcher, &partner.terms.keys).await;
            let found = found.map_err(|fault| {
                let why = [Some(error_chain(&fault)), without_system];
                CommandFailure::Failed(why.into_iter().flatten().collect::<Vec<_>>().join("; "))
            })?;
            print_keys(&PartnerKeysJson::new(&partner, found), out)
        }
        PartnerCommand::Create(args) => {
            let draft = args.draft()?;
            let act = act.because(args.why.reason);
            let made = partners.create(args.org, draft, &act, Keep::nothing());
            print(made.await?, out)
        }
        PartnerCommand::Update(args) => {
            let patch = args.patch()?;
            let act = act.because(args.why.reason);
            print(partners.update(args.id, &patch, &act).await?, out)
        }
        PartnerCommand::Suspend {
            partner: ChangePartner { id, why },
            revoke_tokens,
        } => {
            let act = act.because(why.reason);
            if !revoke_tokens {
                return print(partners.suspend(id, &act).await?, out);
            }
            let agents = opened.agents(config);
            let stopped = agents.stop_partner(&partners, id, &act).await?;
            let version = version_of_kill(&opened, stopped.tokens_killed).await?;
            print_partner(stopped.partner, version, out)
        }
        PartnerCommand::Test {
            id,
            agent,
            assertion,
        } => test(&opened, config, (id, agent, &assertion), out).await,
        PartnerCommand::Reactivate(ChangePartner { id, why }) => {
            let act = act.because(why.reason);
            print(partners.reactivate(id, &act).await?, out)
        }
        PartnerCommand::Delete(ChangePartner { id, why }) => {
            let act = act.because(why.reason);
            let last = partners.show(id, None).await?;
            partners.delete(id, &act).await?;
            print(last, out)
        }
    }
}

/// Tries a token. The keys are fetched in the background, as a server does.
async fn test(
    opened: &Opened,
    config: &Config,
    (id, agent_id, file): (PartnerId, AgentId, &Path),
    out: Printer,
) -> Result<(), CommandFailure> {
    let token = std::fs::read_to_string(file);
    let token =
        token.map_err(|error| CommandFailure::Failed(format!("{}: {error}", file.display())))?;
    let partner = opened.partners(config).show(id, None).await?;
    let assertions = opened.assertions(config)?;
    for turn in 0..=FETCH_TURNS {
        let tokens = assertions.partners();
        let found = tokens.examine(&partner, &agent_id, token.trim(), None);
        let found = ExaminedTokenJson::from(found.await?);
        if found.failed_check == Some("keys") && turn < FETCH_TURNS {
            tokio::time::sleep(FETCH_TURN).await;
            continue;
        }
        return out.print(&found, || {
            let word = |text: &Option<String>| text.clone().unwrap_or_default();
            Sheet::of(vec![
                ("accepted", found.accepted.to_string()),
                ("credential", word(&found.credential_id)),
                (
                    "failed check",
                    found.failed_check.unwrap_or_default().into(),
                ),
                ("reason", word(&found.reason)),
            ])
        });
    }
    Ok(())
}

async fn list(
    partners: &Partners,
    org: Option<&OrgId>,
    out: Printer,
) -> Result<(), CommandFailure> {
    let (mut all, mut after): (Vec<PartnerJson>, Option<PartnerId>) = (Vec::new(), None);
    loop {
        let page = partners.list(org, after, PAGE).await?;
        all.extend(page.partners.into_iter().map(PartnerJson::from));
        if page.next.is_none() {
            break;
        }
        after = page.next;
    }
    out.print(&all, || {
        let head = ["id", "organization", "name", "issuer", "status"];
        Sheet::list(&head, all.iter().map(row).collect())
    })
}

fn print(partner: Partner, out: Printer) -> Result<(), CommandFailure> {
    print_partner(partner, None, out)
}

/// Shows a partner, and the version of the revocation list that has the kill, if tokens were killed.
fn print_partner(
    partner: Partner,
    revocation_version: Option<i64>,
    out: Printer,
) -> Result<(), CommandFailure> {
    let thumbprints = partner.terms.keys.set().map(|set| set.thumbprints.clone());
    let partner = PartnerJson {
        revocation_version,
        ..partner.into()
    };
    out.print(&partner, || {
        let keys = partner.jwks_uri.clone();
        let audiences = partner.audiences.as_ref().map(|all| all.join(" "));
        let algorithms = partner.algorithms.as_ref().map(|all| all.join(" "));
        let mut rows = vec![
            ("id", partner.partner_id.clone()),
            ("organization", partner.org_id.clone()),
            ("name", partner.name.clone()),
            ("issuer", partner.issuer.clone()),
            (
                "keys",
                keys.or(thumbprints.map(Into::into)).unwrap_or_default(),
            ),
            (
                "audiences",
                audiences.unwrap_or_else(|| "this server's issuer".to_owned()),
            ),
            ("required claims", partner.required_claims.join(" ")),
            (
                "algorithms",
                algorithms.unwrap_or_else(|| "those of its keys".to_owned()),
            ),
            ("greatest age", partner.max_age_seconds.to_string()),
            ("preset", partner.preset.unwrap_or_default().to_owned()),
            ("status", partner.status.to_owned()),
            ("version", partner.version.to_string()),
            ("created", partner.created_at.clone()),
            ("updated", partner.updated_at.clone()),
        ];
        rows.extend(version_row(partner.revocation_version));
        Sheet::of(rows)
    })
}

fn print_keys(found: &PartnerKeysJson, out: Printer) -> Result<(), CommandFailure> {
    out.print(found, || {
        let row = |key: &KnownKeyJson| {
            let kid = key.kid.clone().unwrap_or_default();
            vec![kid, key.alg.to_owned(), key.thumbprint.clone()]
        };
        Sheet::list(
            &["kid", "algorithm", "thumbprint"],
            found.keys.iter().map(row).collect(),
        )
    })
}

fn row(partner: &PartnerJson) -> Vec<String> {
    vec![
        partner.partner_id.clone(),
        partner.org_id.clone(),
        partner.name.clone(),
        partner.issuer.clone(),
        partner.status.to_owned(),
    ]
}
