//! `sealwright partner`: platforms whose signed tokens prove who an agent is.

use clap::{Args, Subcommand};

use crate::api::partners::PartnerJson;
use crate::config::Config;
use crate::domain::org::OrgId;
use crate::domain::partner::record::Partner;
use crate::domain::partner::terms::PartnerId;
use crate::service::manage::keeping::Keep;
use crate::service::manage::partners::Partners;

use super::failure::CommandFailure;
use super::input::Why;
use super::output::{Printer, Sheet};
use super::partner_args::{CreatePartner, UpdatePartner};
use super::runtime::{open, open_or_create};

/// How many partners one read returns for a list.
const PAGE: i64 = 500;

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
    /// Change what is decided about a partner; its issuer, organization and preset never change
    Update(UpdatePartner),
    /// Let a partner's tokens prove nothing
    Suspend(ChangePartner),
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
    let (partners, act) = (opened.partners(), opened.operator());
    match command {
        PartnerCommand::List { org } => list(&partners, org.as_ref(), out).await,
        PartnerCommand::Show { id } => print(partners.show(id, None).await?, out),
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
        PartnerCommand::Suspend(ChangePartner { id, why }) => {
            let act = act.because(why.reason);
            print(partners.suspend(id, &act).await?, out)
        }
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
    let thumbprints = partner.terms.keys.set().map(|set| set.thumbprints.clone());
    let partner = PartnerJson::from(partner);
    out.print(&partner, || {
        let keys = partner.jwks_uri.clone();
        let audiences = partner.audiences.as_ref().map(|all| all.join(" "));
        let algorithms = partner.algorithms.as_ref().map(|all| all.join(" "));
        Sheet::of(vec![
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
        ])
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
