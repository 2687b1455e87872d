//! Prints a new secret. This happens only once, and before any later step that could fail.
//!
//! Owns the message for a secret that could not be shown. Must not know how secrets are made.

use std::path::PathBuf;

use rustix::fs::OFlags;
use serde::Serialize;

use crate::api::agents::AgentJson;
use crate::api::credentials::NewCredentialJson;
use crate::app;
use crate::config::Config;
use crate::domain::credential::CredentialKind;
use crate::domain::id::AgentId;
use crate::domain::time::Timestamp;
use crate::service::clients::secret::Secret;
use crate::service::manage::agents::Agents;
use crate::service::manage::view::NewSecret;
use crate::telemetry::error_chain;

use super::agent_sheet::properties;
use super::credential_sheet::credential_properties;
use super::failure::{CommandFailure, tell};
use super::output::{Printer, Sheet};

/// Where a secret came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SecretSource {
    /// The program drew it at random: only a person who sees the output knows it.
    Drawn,
    /// The operator chose it, and knows it.
    Chosen,
}

/// Whether an agent had a secret before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// No: this secret was made together with the agent.
    Creation,
    /// Yes, and the older secret stays valid.
    Addition,
    /// Yes: the operator file may hold the old secret.
    Rotation,
}

/// An agent with its new secret.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WithSecret {
    #[serde(flatten)]
    agent: AgentPart,
    client_secret: Option<String>,
    credential_id: String,
    /// When the old secret expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    old_secret_expires_at: Option<String>,
}

/// The agent, or only its id if the agent could not be read.
#[derive(Serialize)]
#[serde(untagged)]
enum AgentPart {
    Whole(Box<AgentJson>),
    #[serde(rename_all = "camelCase")]
    Named {
        agent_id: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<String>,
    },
}

/// Prints a new secret, and then removes the old secret from the operator file.
///
/// Reads the agent first, to print its properties beside the secret. If that read fails, prints the
/// secret without them.
pub(super) async fn print(
    agents: &Agents,
    config: &Config,
    made: NewSecret,
    (source, occasion): (SecretSource, Occasion),
    out: Printer,
) -> Result<(), CommandFailure> {
    let read = agents.show(&made.agent_id).await;
    let unread = read.as_ref().err().map(|error| error_chain(error));
    let (warnings, agent_id) = (made.warnings.clone(), made.agent_id.to_string());
    let answer = WithSecret {
        agent: match read {
            Ok(agent) => AgentPart::Whole(Box::new(AgentJson {
                warnings: warnings.clone(),
                ..agent.into()
            })),
            Err(_) => AgentPart::Named {
                agent_id: agent_id.clone(),
                warnings: warnings.clone(),
            },
        },
        client_secret: made
            .secret
            .as_ref()
            .map(|secret| secret.expose().to_owned()),
        credential_id: made.credential.credential_id.to_string(),
        old_secret_expires_at: made.old_expires_at.map(Timestamp::to_rfc3339),
    };
    let printed = out.print(&answer, || {
        let mut rows = vec![
            ("client id", agent_id),
            (
                "client secret",
                answer.client_secret.clone().unwrap_or_default(),
            ),
        ];
        if let AgentPart::Whole(agent) = &answer.agent {
            rows.extend(properties(agent).into_iter().skip(1));
        }
        Sheet::of(rows)
    });
    if let Some(why) = unread {
        tell(&format!(
            "the secret was made; the agent itself cannot be shown: {why}"
        ));
    }
    out.warn(&warnings);
    finish(config, &made, (source, occasion), printed, out)
}

/// Prints a new credential. If it is a secret, then removes the old secret from the operator file.
pub(super) fn print_credential(
    config: &Config,
    made: &NewSecret,
    occasion: Occasion,
    out: Printer,
) -> Result<(), CommandFailure> {
    let answer = NewCredentialJson::from(made);
    let is_secret = made.credential.kind == CredentialKind::Secret;
    let printed = out.print(&answer, || {
        let mut rows = vec![("client id", answer.agent_id.clone())];
        let secret = answer.client_secret.clone();
        rows.extend(secret.map(|secret| ("client secret", secret)));
        rows.extend(credential_properties(&answer.credential));
        let old = answer.old_secret_expires_at.clone();
        let ends = if is_secret {
            "old secrets end"
        } else {
            "old keys end"
        };
        rows.extend(old.map(|end| (ends, end)));
        Sheet::of(rows)
    });
    if !is_secret {
        return printed;
    }
    finish(config, made, (SecretSource::Drawn, occasion), printed, out)
}

/// Removes the old secret from the operator file, and says where the new one is.
fn finish(
    config: &Config,
    made: &NewSecret,
    (source, occasion): (SecretSource, Occasion),
    printed: Result<(), CommandFailure>,
    out: Printer,
) -> Result<(), CommandFailure> {
    let file = match occasion {
        Occasion::Creation | Occasion::Addition => None,
        Occasion::Rotation => renew_file(config, &made.agent_id, made.secret.as_ref()),
    };
    let is_elsewhere = source == SecretSource::Chosen || file.is_some();
    let remedy = match (source, file) {
        (SecretSource::Chosen, _) => "its secret is the one that was given".to_owned(),
        (SecretSource::Drawn, Some(path)) => format!("{} holds it", path.display()),
        (SecretSource::Drawn, None) => {
            format!(
                "nobody has it, and `sealwright agent rotate-secret {}` makes another",
                made.agent_id
            )
        }
    };
    let lost = |why: &str| {
        format!(
            "the new secret of {} was not shown ({why}): {remedy}",
            made.agent_id
        )
    };
    match printed {
        // The runtime opens the null device in place of a closed stdout, for reading and writing.
        Ok(()) if !is_elsewhere && is_null_device() && is_readable() => {
            Err(CommandFailure::Failed(lost("stdout is closed")))
        }
        Ok(()) if is_null_device() => {
            // The operator may have sent stdout there on purpose, so this is not a failure.
            if !is_elsewhere {
                tell(&lost("stdout is the null device"));
            }
            Ok(())
        }
        Ok(()) => {
            if !out.is_json() {
                tell("this secret is never shown again");
            }
            Ok(())
        }
        Err(CommandFailure::ClosedPipe) => Err(CommandFailure::Failed(lost("stdout is closed"))),
        Err(CommandFailure::Failed(why)) => Err(CommandFailure::Failed(lost(&why))),
        Err(other) => Err(other),
    }
}

/// Keeps the operator file (the credentials of the first start) free of a dead secret. Returns its
/// path if it now holds the new secret.
pub(super) fn renew_file(
    config: &Config,
    agent_id: &AgentId,
    secret: Option<&Secret>,
) -> Option<PathBuf> {
    match app::renew_operator_file(config, agent_id, secret) {
        Ok(None) => None,
        Ok(Some(path)) if secret.is_some() => {
            tell(&format!("{} holds the new secret", path.display()));
            Some(path)
        }
        Ok(Some(path)) => {
            let what = if path.exists() {
                "held the old secret, which was taken out of it"
            } else {
                "held the old secret and was removed"
            };
            tell(&format!("{} {what}", path.display()));
            None
        }
        Err(error) => {
            tell(&format!(
                "the old secret was not taken out of its file: {error}"
            ));
            None
        }
    }
}

/// Whether stdout may be read. A shell's `>` opens a file for writing only.
fn is_readable() -> bool {
    rustix::fs::fcntl_getfl(std::io::stdout())
        .is_ok_and(|flags| flags & OFlags::RWMODE == OFlags::RDWR)
}

/// Whether stdout is the null device. The operator may have redirected it there. A stdout that was
/// closed at the start is also the null device by now.
fn is_null_device() -> bool {
    match (
        rustix::fs::fstat(std::io::stdout()),
        rustix::fs::stat("/dev/null"),
    ) {
        (Ok(stdout), Ok(null)) => stdout.st_rdev == null.st_rdev,
        _ => false,
    }
}
