//! `sealwright doctor`: what an operator pastes into a ticket. Changes nothing, and prints no secret.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};

use crate::app;
use crate::config::Config;
use crate::config::fault::Origin;
use crate::config::raw::Raw;
use crate::domain::event::search::{EventFilter, EventOrder, KindFilter};
use crate::domain::id::AgentId;
use crate::service::finding::{Finding, FindingLevel};
use crate::service::manage::audit::{Audit, AuditQuery, ListedEvent};
use crate::telemetry::error_chain;

use super::agent_ref::parse_id;
use super::failure::CommandFailure;
use super::healthcheck;
use super::output::{Printer, Sheet};

/// How many of an agent's last counts of refusals are shown.
const MAX_REFUSALS: usize = 10;

/// How many events are searched for them.
const MAX_EVENTS: usize = 2_000;

/// How many events one read returns.
const PAGE: usize = 500;

#[derive(Args)]
pub(super) struct DoctorArgs {
    /// Also tell why this agent gets 401 or 403 now, and its last refusals
    agent: Option<String>,
}

/// Looks at everything. Fails, after it printed what it found, if something is wrong.
pub(super) async fn run(
    args: DoctorArgs,
    config: &Config,
    raw: &Raw,
    out: Printer,
) -> Result<(), CommandFailure> {
    let agent_id = args.agent.as_deref().map(parse_id).transpose()?;
    let (mut findings, examined) = app::examine(config).await;
    findings.push(server(config));
    let mut refusals = vec![];
    if let (Some(agent_id), Some(examined)) = (&agent_id, &examined) {
        findings.extend(examined.agent(config, agent_id).await);
        match last_refusals(&examined.audit(), agent_id).await {
            Ok(found) => refusals = found,
            Err(error) => findings.push(Finding::wrong("refusals", error_chain(&error), "")),
        }
    }
    let is_wrong = findings
        .iter()
        .any(|finding| finding.level == FindingLevel::Wrong);
    print(config, raw, &findings, &refusals, out)?;
    if is_wrong {
        Err(CommandFailure::Reported)
    } else {
        Ok(())
    }
}

/// Whether a server on this machine is ready.
fn server(config: &Config) -> Finding {
    match healthcheck::run(config) {
        Ok(()) => Finding::fine("server", "the one on this machine is ready"),
        Err(CommandFailure::Failed(why)) => Finding::notice(
            "server",
            why,
            "where one should run, ask its /readyz?verbose and look into its log",
        ),
        Err(_) => Finding::notice("server", "it was not asked", ""),
    }
}

/// The newest counts of refusals of this agent, each with the time of its event. An event has the
/// counts of many agents.
async fn last_refusals(
    audit: &Audit,
    agent_id: &AgentId,
) -> Result<Vec<Value>, crate::service::Error> {
    let mut query = AuditQuery {
        filter: EventFilter {
            kinds: KindFilter::parse("auth.refused").into_iter().collect(),
            ..EventFilter::default()
        },
        order: EventOrder::Descending,
        org_id: None,
        after: None,
        limit: PAGE,
    };
    let (mut found, mut seen) = (vec![], 0);
    loop {
        let page = audit.page(&query).await?;
        seen = page.events.len().saturating_add(seen);
        found.extend(
            page.events
                .iter()
                .flat_map(|listed| counts(listed, agent_id)),
        );
        query.after = page.next;
        if query.after.is_none() || found.len() >= MAX_REFUSALS || seen >= MAX_EVENTS {
            found.truncate(MAX_REFUSALS);
            return Ok(found);
        }
    }
}

/// The counts of this agent in an event.
fn counts(listed: &ListedEvent, agent_id: &AgentId) -> Vec<Value> {
    let event = &listed.event;
    let detail = event.detail.as_ref().map_or("", |detail| detail.as_str());
    let detail: Value = serde_json::from_str(detail).unwrap_or_default();
    let all = detail["counts"].as_array().map_or(&[][..], Vec::as_slice);
    all.iter()
        .filter(|count| count["agentId"] == agent_id.as_str())
        .map(|count| {
            json!({
                "at": event.at.to_rfc3339(), "reason": count["reason"],
                "count": count["count"], "source": count["source"],
            })
        })
        .collect()
}

fn print(
    config: &Config,
    raw: &Raw,
    findings: &[Finding],
    refusals: &[Value],
    out: Printer,
) -> Result<(), CommandFailure> {
    let shown = config.show(raw);
    let set: Vec<_> = shown
        .iter()
        .filter(|setting| setting.origin != Origin::Default)
        .collect();
    let settings: BTreeMap<&str, Value> = set
        .iter()
        .map(|s| {
            let value = json!({ "value": s.value, "source": s.origin.to_string() });
            (&*s.key, value)
        })
        .collect();
    let found: Vec<Value> = findings
        .iter()
        .map(|finding| {
            json!({
                "level": finding.level.as_str(), "about": finding.about,
                "says": finding.says, "mend": finding.mend,
            })
        })
        .collect();
    let version = env!("CARGO_PKG_VERSION");
    let all = json!({
        "version": version, "configuration": settings,
        "findings": found, "refusals": refusals,
    });
    out.print(&all, || {
        let line = |level: &str, about: &str, says: String, mend: &str| {
            vec![level.to_owned(), about.to_owned(), says, mend.to_owned()]
        };
        let mut rows = vec![line("fine", "version", version.to_owned(), "")];
        rows.extend(set.iter().map(|s| {
            let says = format!("{} = {} ({})", s.key, s.value, s.origin);
            line("fine", "setting", says, "")
        }));
        rows.extend(findings.iter().map(|finding| {
            let level = finding.level.as_str();
            line(level, finding.about, finding.says.clone(), &finding.mend)
        }));
        rows.extend(refusals.iter().map(|refused| {
            let word = |name: &str| refused[name].as_str().unwrap_or_default().to_owned();
            let (at, reason, source) = (word("at"), word("reason"), word("source"));
            let says = format!("until {at}: {reason} × {} {source}", refused["count"]);
            line("notice", "refused", says.trim_end().to_owned(), "")
        }));
        Sheet::list(&["level", "about", "says", "mend"], rows)
    })
}
