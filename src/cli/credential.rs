//! `sealwright credential`: the secrets and public keys of agents, one by one.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::api::credentials::CredentialJson;
use crate::config::Config;
use crate::domain::act::ChangeReason;
use crate::domain::agent::LiveTokens;
use crate::domain::credential::{CredentialKind, CredentialLabel};
use crate::domain::id::{AgentId, CredentialId};
use crate::domain::rejection::FieldError;
use crate::domain::time::Timestamp;
use crate::service::manage::agents::Agents;
use crate::service::manage::client_keys::NewKeys;
use crate::service::manage::credentials::{
    CredentialTerms, ListedCredentials, MAX_OVERLAP, Rotation,
};
use crate::service::manage::keeping::Keep;

use super::agent_ref::AgentRef;
use super::credential_sheet::{HEAD, row};
use super::failure::CommandFailure;
use super::federation_args::FederationArgs;
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
    /// Give an agent one more secret and print it, once; or public keys, or trust in a partner
    Create {
        #[command(flatten)]
        who: AgentRef,
        #[command(flatten)]
        terms: TermsArgs,
        #[command(flatten)]
        federation: FederationArgs,
        #[command(flatten)]
        why: Why,
    },
    /// Give an agent a new secret in place of all others, and print it, once; or public keys in place of all others
    Rotate {
        #[command(flatten)]
        who: AgentRef,
        /// Seconds that the old secrets, or the old keys, live on
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

/// What is said of a new credential.
#[derive(Args)]
pub(super) struct TermsArgs {
    /// Public keys in place of a secret: a file with a JWK Set, a JWK, or PEM
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// A label; need not be unique
    #[arg(long, value_parser = CredentialLabel::parse)]
    label: Option<CredentialLabel>,
    /// From when on it is refused, such as 2027-03-31T00:00:00Z (default: never)
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse_rfc3339)]
    expires_at: Option<Timestamp>,
}

impl TermsArgs {
    fn read(self) -> Result<CredentialTerms, CommandFailure> {
        let read = |file: PathBuf| {
            let at = file.display().to_string();
            let text = std::fs::read_to_string(&file)
                .map_err(|error| CommandFailure::Failed(format!("{at}: {error}")))?;
            NewKeys::read_file(&text).map_err(|errors| {
                let told = |error: &FieldError| {
                    let place = error.field.strip_prefix("/jwks").unwrap_or_default();
                    format!("{at}: {place} {}", error.reason).replace(":  ", ": ")
                };
                let told: Vec<String> = errors.iter().map(told).collect();
                CommandFailure::Failed(told.join("\n"))
            })
        };
        Ok(CredentialTerms {
            keys: self.public_key.map(read).transpose()?,
            federation: None,
            label: self.label,
            expires_at: self.expires_at,
        })
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
        CredentialCommand::Create {
            who,
            terms,
            federation,
            ..
        } => {
            let terms = CredentialTerms {
                federation: federation.read()?,
                ..terms.read()?
            };
            let id = who.find(&agents).await?;
            let made = agents
                .create_credential(&id, terms, act, Keep::nothing())
                .await?;
            print_credential(config, &made, Occasion::Addition, out)
        }
        CredentialCommand::Rotate {
            who,
            overlap,
            terms,
            ..
        } => {
            let (terms, id) = (terms.read()?, who.find(&agents).await?);
            let rotation = Rotation {
                chosen: None,
                overlap,
                terms,
            };
            let made = agents
                .rotate_credential(&id, rotation, act, Keep::nothing())
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
            if live
                .iter()
                .all(|one| one.kind != CredentialKind::Secret.as_str())
            {
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
