//! `sealwright config`: shows the configuration and where each value comes from.

use std::collections::BTreeMap;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::api::scopes::ShortenedJson;
use crate::app::{self, AppError};
use crate::config::fault::{Fault, Faults, Origin};
use crate::config::raw::Raw;
use crate::config::{Config, contradictions};
use crate::domain::ttl::HIGH_RISK_CAP;
use crate::telemetry::error_chain;

use super::failure::{CommandFailure, tell};
use super::output::{Printer, Sheet};
use super::runtime::block_on;

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Report every fault, and which agents' tokens live shorter than before an upgrade
    Check,
    /// Show every key, its value and where it was set; secrets are redacted
    Show,
}

/// Runs the command. `config` was resolved already, so it has no fault.
pub(super) fn run(
    command: &ConfigCommand,
    config: &Config,
    raw: &Raw,
    out: Printer,
) -> Result<(), CommandFailure> {
    match command {
        ConfigCommand::Check => {
            block_on(demand_files(config, raw))?;
            tell("the configuration has no fault");
            for contradiction in contradictions(config) {
                tell(&format!("warning: {contradiction}"));
            }
            block_on(tell_shortened(config, out))
        }
        ConfigCommand::Show => {
            let shown = config.show(raw);
            let json: BTreeMap<&str, Value> = shown
                .iter()
                .map(|s| {
                    (
                        &*s.key,
                        json!({ "value": s.value, "source": s.origin.to_string() }),
                    )
                })
                .collect();
            out.print(&json, || {
                let row = |s: &crate::config::Shown| {
                    vec![s.key.clone(), plain(&s.value), s.origin.to_string()]
                };
                Sheet::list(&["key", "value", "source"], shown.iter().map(row).collect())
            })
        }
    }
}

/// Demands that the files that the configuration names can be used, and that it has the plans of all
/// agents.
async fn demand_files(config: &Config, raw: &Raw) -> Result<(), CommandFailure> {
    let mut faults = app::file_faults(config).await;
    if faults.is_empty() {
        faults.extend(app::plan_fault(config).await);
    }
    let faults = faults.into_iter();
    let fault = |(key, rule): (&str, String)| Fault {
        key: key.to_owned(),
        origin: raw
            .effective(key)
            .map_or(Origin::Default, |setting| setting.origin.clone()),
        value: None,
        rule,
    };
    let faults: Vec<Fault> = faults.map(fault).collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(CommandFailure::Configuration(Faults(faults)))
    }
}

/// The agents whose tokens live shorter since a scope counts as high-risk by the words of its name.
///
/// An unreadable store is not a fault of the configuration: an operator may check a configuration
/// on a machine that cannot reach the store.
async fn shortened(config: &Config) -> Vec<ShortenedJson> {
    let found = async {
        let Some(scopes) = app::open_scopes_to_read(config).await? else {
            return Ok(vec![]);
        };
        let shortened = scopes.shortened(config.token.default_ttl).await?;
        Ok::<_, AppError>(shortened.into_iter().map(ShortenedJson::from).collect())
    };
    found.await.unwrap_or_else(|error| {
        tell(&format!(
            "the store was not looked into: {}",
            error_chain(&error)
        ));
        vec![]
    })
}

async fn tell_shortened(config: &Config, out: Printer) -> Result<(), CommandFailure> {
    let shortened = shortened(config).await;
    if shortened.is_empty() && !out.is_json() {
        return Ok(());
    }
    if !shortened.is_empty() {
        tell(&format!(
            "tokens of {} agents with these scopes live {HIGH_RISK_CAP} s at most, since a word of the scope's name \
             changes something; scopes.rule = \"suffix\" judges names as earlier versions did",
            shortened.len()
        ));
    }
    out.print(&json!({ "shortened": shortened }), || {
        let row =
            |s: &ShortenedJson| vec![s.agent_id.clone(), s.ttl.to_string(), s.scopes.join(" ")];
        Sheet::list(
            &["agent", "ttl", "scopes"],
            shortened.iter().map(row).collect(),
        )
    })
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
