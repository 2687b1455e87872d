//! `sealwright token`: one token at a time.

use clap::Subcommand;
use serde::Serialize;

use crate::app;
use crate::config::Config;
use crate::domain::event::Actor;
use crate::domain::id::Jti;
use crate::domain::time::Timestamp;
use crate::service::manage::tokens::Inspection;

use super::failure::Failure;
use super::input::text_from_stdin;
use super::output::{Printer, Sheet};

#[derive(Subcommand)]
pub enum TokenCommand {
    /// Show a token's claims and what it is worth
    Inspect {
        /// The token; '-' reads it from stdin
        token: String,
    },
    /// Revoke a token by its id
    Revoke {
        /// The token's jti
        #[arg(long, value_parser = Jti::parse)]
        jti: Jti,
    },
}

/// What is known of a token that was revoked.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Revoked {
    jti: String,
    /// `null` when no event of this token is kept.
    agent_id: Option<String>,
    /// Its `exp`; the latest possible one when no event of it is kept.
    expires_at: String,
}

pub async fn run(command: TokenCommand, config: &Config, out: Printer) -> Result<(), Failure> {
    match command {
        TokenCommand::Inspect { token } => {
            let token = if token == "-" { text_from_stdin()? } else { zeroize::Zeroizing::new(token) };
            let opened = app::open(config).await?;
            let found = opened.issued_tokens().inspect(token.trim()).await?;
            out.print(&found, || Sheet::of(properties(&found)))
        }
        TokenCommand::Revoke { jti } => {
            let opened = app::open(config).await?;
            let revoked = opened.issued_tokens().revoke(jti, Actor::Operator).await?;
            let agent_id = revoked.agent_id.map(|id| id.to_string());
            let (jti, expires_at) = (revoked.jti.to_string(), revoked.expires_at.to_rfc3339());
            let revoked = Revoked { jti, agent_id, expires_at };
            out.print(&revoked, || {
                let agent = revoked.agent_id.clone().unwrap_or_else(|| "unknown".to_owned());
                Sheet::of(vec![
                    ("jti", revoked.jti.clone()),
                    ("agent", agent),
                    ("expires at", revoked.expires_at.clone()),
                ])
            })
        }
    }
}

fn properties(found: &Inspection) -> Vec<(&'static str, String)> {
    let mut rows = vec![("verdict", found.verdict.as_str().to_owned())];
    if let Some(claims) = &found.claims {
        rows.extend([
            ("iss", claims.iss.clone()),
            ("sub", claims.sub.clone()),
            ("client_id", claims.client_id.clone()),
            ("aud", claims.aud.as_slice().join(" ")),
            ("scope", claims.scope.clone()),
            ("jti", claims.jti.clone()),
            ("epoch", claims.epoch.to_string()),
            ("iat", Timestamp(claims.iat).to_rfc3339()),
            ("exp", Timestamp(claims.exp).to_rfc3339()),
        ]);
    }
    rows
}
