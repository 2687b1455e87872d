//! How agents are shown to people: one row of a list, or all properties of one agent.

use crate::api::agents::AgentJson;
use crate::api::credentials::CredentialJson;
use crate::api::usage::AgentUsageJson;
use crate::domain::credential::CredentialKind;

use super::revocation::version_row;

/// The columns of a list.
pub(super) const HEAD: [&str; 8] = [
    "id", "name", "status", "scopes", "ttl", "plan", "issued", "limit",
];

/// An agent as a row of a list.
pub(super) fn row(a: &AgentJson) -> Vec<String> {
    let ttl = a
        .ttl
        .map_or_else(|| "default".to_owned(), |ttl| ttl.to_string());
    let (issued, limit) = (a.usage.issued.to_string(), limit(a));
    let (id, name, status) = (a.agent_id.clone(), a.name.clone(), status(a));
    vec![
        id,
        name,
        status,
        a.scopes.join(" "),
        ttl,
        a.plan.clone(),
        issued,
        limit,
    ]
}

fn status(agent: &AgentJson) -> String {
    let expired = if agent.expired { ", expired" } else { "" };
    format!("{}{expired}", agent.status)
}

fn limit(agent: &AgentJson) -> String {
    agent
        .usage
        .limit
        .map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}

/// One agent, one property in each row.
pub(super) fn properties(agent: &AgentJson) -> Vec<(&'static str, String)> {
    let usage = &agent.usage;
    let labels = agent.labels.iter();
    let labels: Vec<String> = labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mut rows = vec![
        ("id", agent.agent_id.clone()),
        ("name", agent.name.clone()),
        ("description", agent.description.clone().unwrap_or_default()),
        ("owner", agent.owner.clone().unwrap_or_default()),
        ("labels", labels.join(" ")),
        ("organization", agent.org_id.clone()),
        ("status", status(agent)),
        ("scopes", agent.scopes.join(" ")),
        (
            "ttl",
            agent
                .ttl
                .map_or_else(|| "default".to_owned(), |ttl| ttl.to_string()),
        ),
        ("plan", agent.plan.clone()),
        (
            "issued",
            format!("{} of {} in {}", usage.issued, limit(agent), usage.month),
        ),
        ("resets at", usage.resets_at.clone()),
        ("audiences", agent.audiences.join(" ")),
        ("redirect uris", agent.redirect_uris.join(" ")),
        ("user ids", agent.user_ids.join(" ")),
        (
            "expires at",
            agent
                .expires_at
                .clone()
                .unwrap_or_else(|| "never".to_owned()),
        ),
        ("created at", agent.created_at.clone()),
        ("updated at", agent.updated_at.clone()),
    ];
    rows.extend(version_row(agent.revocation_version));
    for credential in agent.credentials.iter().flatten() {
        let until = credential
            .expires_at
            .as_deref()
            .map(|t| format!(", ends {t}"))
            .unwrap_or_default();
        let shown = hint(credential);
        rows.push((
            "credential",
            format!("{} ({shown}{until})", credential.credential_id),
        ));
    }
    rows
}

/// What tells a credential from others: the beginning of a secret, or the thumbprints of keys.
pub(super) fn hint(credential: &CredentialJson) -> String {
    let hint = &credential.hint;
    if credential.kind != CredentialKind::Secret.as_str() {
        hint.clone()
    } else if hint.is_empty() {
        "not generated here".to_owned()
    } else {
        format!("{hint}…")
    }
}

/// The usage of one agent, one property or day in each row.
pub(super) fn usage_properties(usage: &AgentUsageJson) -> Vec<(&'static str, String)> {
    let limit = usage
        .limit
        .map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
    let mut rows = vec![
        (
            "issued",
            format!("{} of {limit} in {}", usage.issued, usage.month),
        ),
        ("resets at", usage.resets_at.clone()),
        (
            "last used at",
            usage
                .last_used_at
                .clone()
                .unwrap_or_else(|| "never".to_owned()),
        ),
    ];
    for day in &usage.days {
        let refused = day.refused.iter();
        let refused: Vec<String> = refused.map(|(reason, n)| format!("{n} {reason}")).collect();
        let refused = if refused.is_empty() {
            String::new()
        } else {
            format!("; refused: {}", refused.join(", "))
        };
        rows.push((
            "day",
            format!("{}: {} issued{refused}", day.day, day.issued),
        ));
    }
    for used in &usage.scopes {
        rows.push((
            "scope",
            format!("{}, last {}", used.scope, used.last_used_at),
        ));
    }
    for scope in &usage.unused_scopes {
        rows.push(("unused scope", scope.clone()));
    }
    rows
}
