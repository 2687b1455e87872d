//! `sealwright token`: gets, inspects or revokes one token.

use clap::Subcommand;
use zeroize::Zeroizing;

use crate::api::tokens::{InspectionJson, RevokedTokenJson};
use crate::config::Config;
use crate::domain::id::Jti;
use crate::domain::time::Timestamp;

use super::failure::CommandFailure;
use super::input::{Why, text_from_stdin};
use super::output::{Printer, Sheet};
use super::runtime::open;
use super::token_get::{self, GetArgs};

#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Show a token's claims, and whether it is active
    Inspect {
        /// The token; '-' reads it from stdin
        token: String,
    },
    /// Ask the server on this machine for a token, and print it
    Get(GetArgs),
    /// Revoke a token by its id
    Revoke {
        /// The token's jti
        #[arg(long, value_parser = Jti::parse)]
        jti: Jti,
        #[command(flatten)]
        why: Why,
    },
}

/// `from_environment`: the secret of an agent in the environment.
pub(super) async fn run(
    command: TokenCommand,
    config: &Config,
    from_environment: Option<Zeroizing<String>>,
    out: Printer,
) -> Result<(), CommandFailure> {
    match command {
        TokenCommand::Inspect { token } => {
            let token = if token == "-" {
                text_from_stdin()?
            } else {
                Zeroizing::new(token)
            };
            let opened = open(config).await?;
            let found: InspectionJson = opened.issued_tokens().inspect(token.trim()).await?.into();
            out.print(&found, || Sheet::of(properties(&found)))
        }
        TokenCommand::Get(args) => token_get::run(args, config, from_environment, out),
        TokenCommand::Revoke { jti, why } => {
            let opened = open(config).await?;
            let act = opened.operator().because(why.reason);
            let revoked: RevokedTokenJson = opened.issued_tokens().revoke(jti, &act).await?.into();
            out.print(&revoked, || {
                let agent = revoked
                    .agent_id
                    .clone()
                    .unwrap_or_else(|| "unknown".to_owned());
                Sheet::of(vec![
                    ("jti", revoked.jti.clone()),
                    ("agent", agent),
                    ("expires at", revoked.expires_at.clone()),
                ])
            })
        }
    }
}

fn properties(found: &InspectionJson) -> Vec<(&'static str, String)> {
    let mut rows = vec![("verdict", found.verdict.to_owned())];
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
