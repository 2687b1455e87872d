//! `sealwright config`: what is configured, and where each value comes from.

use std::collections::BTreeMap;

use clap::Subcommand;
use serde_json::{Value, json};

use crate::config::Config;
use crate::config::raw::Raw;

use super::failure::{Failure, tell};
use super::output::{Printer, Sheet};

#[derive(Subcommand)]
pub enum ConfigCommand {
    /// Report every fault; silent on stdout when there is none
    Check,
    /// Show every key, its value and where it was set; secrets are redacted
    Show,
}

/// Runs on a configuration that was resolved, so it has no fault.
pub fn run(command: &ConfigCommand, config: &Config, raw: &Raw, out: Printer) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check => {
            tell("the configuration has no fault");
            Ok(())
        }
        ConfigCommand::Show => {
            let shown = config.show(raw);
            let json: BTreeMap<&str, Value> = shown
                .iter()
                .map(|s| (&*s.key, json!({ "value": s.value, "source": s.origin.to_string() })))
                .collect();
            out.print(&json, || {
                let row =
                    |s: &crate::config::Shown| vec![s.key.clone(), plain(&s.value), s.origin.to_string()];
                Sheet::list(&["key", "value", "source"], shown.iter().map(row).collect())
            })
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
