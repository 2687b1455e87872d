//! `sealwright credential`: the secrets of agents, one by one.

use clap::{Args, Subcommand};

use crate::api::credentials::CredentialJson;
use crate::config::Config;
use crate::domain::act::ChangeReason;
use crate::domain::agent::LiveTokens;
use crate::domain::credential::CredentialLabel;
use crate::domain::id::{AgentId, CredentialId};
use crate::domain::time::Timestamp;
use crate::service::manage::agents::Agents;
use crate::service::manage::credentials::{ListedCredentials, MAX_OVERLAP, Rotation, SecretTerms};
use crate::service::manage::keeping::Keep;

use super::agent_ref::AgentRef;
use super::credential_sheet::{HEAD, row};
use super::failure::CommandFailure;
use super::input::Why;
use super::new_secret::{Occasion, print_credential, renew_file};
use super::output::{Printer, Sheet};
use super::runtime::open;

/// How many credentials one read returns for a list.
const PAGE: i64 = 500;

#[derive(Subcommand)]
pub(super) enum CredentialCommand {
    /// List an agent's live credentials, newest first
    List {
        #[command(flatten)]
        who: AgentRef,
        /// Also those that ended in the last 90 days
        #[arg(long)]
        all: bool,
    },
    /// Give an agent one more secret and print it, once
    Create {
        #[command(flatten)]
        who: AgentRef,
        #[command(flatten)]
        terms: TermsArgs,
        #[command(flatten)]
        why: Why,
    },
    /// Give an agent a new secret in place of all others, and print it, once
    Rotate {
        #[command(flatten)]
        who: AgentRef,
        /// Seconds that the old secrets live on
        #[arg(long, value_name = "SECS", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..=MAX_OVERLAP))]
        overlap: i64,
        #[command(flatten)]
        terms: TermsArgs,
        #[command(flatten)]
        why: Why,
    },
    /// End one credential at once
    Revoke {
        #[command(flatten)]
        who: AgentRef,
        /// The credential's id, as 'credential list' shows it
        #[arg(long, value_name = "ID", value_parser = CredentialId::parse)]
        credential: CredentialId,
        /// Kill the agent's live tokens as well, which would live on
        #[arg(long)]
        revoke_tokens: bool,
        #[command(flatten)]
        why: Why,
    },
}

/// What is said of a new secret.
#[derive(Args)]
pub(super) struct TermsArgs {
    /// A label; need not be unique
    #[arg(long, value_parser = CredentialLabel::parse)]
    label: Option<CredentialLabel>,
    /// From when on it is refused, such as 2027-03-31T00:00:00Z (default: never)
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    expires_at: Option<Timestamp>,
}

impl From<TermsArgs> for SecretTerms {
    fn from(args: TermsArgs) -> Self {
        Self {
            label: args.label,
            expires_at: args.expires_at,
        }
    }
}

impl CredentialCommand {
    fn reason(&self) -> Option<ChangeReason> {
        match self {
            Self::Create { why, .. } | Self::Rotate { why, .. } | Self::Revoke { why, .. } => {
                why.reason.clone()
            }
            Self::List { .. } => None,
        }
    }
}

pub(super) async fn run(
    command: CredentialCommand,
    config: &Config,
    out: Printer,
) -> Result<(), CommandFailure> {
    let opened = open(config).await?;
    let agents = opened.agents(config);
    let act = &opened.operator().because(command.reason());
    match command {
        CredentialCommand::List { who, all } => {
            let listed = if all {
                ListedCredentials::All
            } else {
                ListedCredentials::Live
            };
            let found = list(&agents, &who.find(&agents).await?, listed).await?;
            out.print(&found, || {
                Sheet::list(&HEAD, found.iter().map(row).collect())
            })
        }
        CredentialCommand::Create { who, terms, .. } => {
            let id = who.find(&agents).await?;
            let made = agents
                .create_credential(&id, terms.into(), act, Keep::nothing())
                .await?;
            print_credential(config, &made, Occasion::Addition, out)
        }
        CredentialCommand::Rotate {
            who,
            overlap,
            terms,
            ..
        } => {
            let id = who.find(&agents).await?;
            let rotation = Rotation {
                chosen: None,
                overlap,
                terms: terms.into(),
            };
            let made = agents
                .rotate_secret(&id, rotation, act, Keep::nothing())
                .await?;
            print_credential(config, &made, Occasion::Rotation, out)
        }
        CredentialCommand::Revoke {
            who,
            credential,
            revoke_tokens,
            ..
        } => {
            let id = who.find(&agents).await?;
            let tokens = if revoke_tokens {
                LiveTokens::Kill
            } else {
                LiveTokens::Keep
            };
            agents.end_credential(&id, credential, tokens, act).await?;
            let live = list(&agents, &id, ListedCredentials::Live).await?;
            if live.is_empty() {
                renew_file(config, &id, None);
            }
            out.print(&live, || Sheet::list(&HEAD, live.iter().map(row).collect()))
        }
    }
}

async fn list(
    agents: &Agents,
    agent_id: &AgentId,
    listed: ListedCredentials,
) -> Result<Vec<CredentialJson>, CommandFailure> {
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let page = agents.credentials(agent_id, listed, before, PAGE).await?;
        all.extend(page.credentials.into_iter().map(CredentialJson::from));
        before = page.next;
        if before.is_none() {
            return Ok(all);
        }
    }
}
