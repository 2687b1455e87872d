//! What each parameter of the management API means: the one table from which the document describes
//! the parameters that the readers of requests ask for.
//!
//! Must not know which operation asks for which parameter.

use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::ObjectBuilder;

use crate::domain::agent::AgentStatus;
use crate::domain::event::kind::EventKind;
use crate::domain::event::search::EventOrder;

use super::schema::{
    day, for_example, integer, one_of, parameter, query, repeated, text, time, truth, within,
};

/// The most rows of a page, and how many it holds if the request does not say.
pub(crate) struct PageLimits {
    /// The most rows.
    pub most: i64,
    /// The rows of a request without `limit`.
    pub default: i64,
}

/// A parameter that a reader asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The name.
    pub name: &'static str,
    /// Whether it may be repeated.
    pub repeats: bool,
}

/// What a parameter means at the paths that begin with a text.
struct ParameterRow {
    below: &'static str,
    name: &'static str,
    schema: fn() -> ObjectBuilder,
    example: Option<&'static str>,
    meaning: &'static str,
}

const AGENTS: &str = "/api/v1/agents";

/// The parameters of queries. The first row whose name and path fit counts.
#[rustfmt::skip]
const QUERY: &[ParameterRow] = &[
    ParameterRow { below: "", name: "dryRun", schema: truth, example: None, meaning: "Whether the change is only tried: all is checked and the reply tells what would be, but nothing is written." },
    ParameterRow { below: "", name: "cursor", schema: text, example: None, meaning: "Where the page begins: the `nextCursor` of the page before it, with the same filters." },
    ParameterRow { below: AGENTS, name: "status", schema: agent_status, example: None, meaning: "Agents in this state, expired ones included." },
    ParameterRow { below: AGENTS, name: "scope", schema: text, example: None, meaning: "Agents that may ask for this scope." },
    ParameterRow { below: AGENTS, name: "plan", schema: text, example: None, meaning: "Agents on this plan." },
    ParameterRow { below: AGENTS, name: "owner", schema: text, example: None, meaning: "Agents with exactly this owner." },
    ParameterRow { below: AGENTS, name: "label", schema: text, example: Some("team:payments"), meaning: "Agents with this label, written `key:value`. If there are several, agents with all of them." },
    ParameterRow { below: AGENTS, name: "namePrefix", schema: text, example: None, meaning: "Agents whose name begins so." },
    ParameterRow { below: AGENTS, name: "orgId", schema: text, example: None, meaning: "Agents of this organization." },
    ParameterRow { below: AGENTS, name: "id", schema: text, example: None, meaning: "The agent with this id. If there are several, at most 100, agents with one of them." },
    ParameterRow { below: AGENTS, name: "usedBefore", schema: time, example: Some("2026-09-01T00:00:00Z"), meaning: "Agents whose last token was issued before this time. Those without any are left out, unless `neverUsed=true` stands beside it." },
    ParameterRow { below: AGENTS, name: "neverUsed", schema: truth, example: None, meaning: "Agents that got no token in the last 400 days, or that got one." },
    ParameterRow { below: AGENTS, name: "expiresBefore", schema: time, example: Some("2026-12-01T00:00:00Z"), meaning: "Agents whose `expiresAt` is before this time." },
    ParameterRow { below: "/api/v1/partners/", name: "revokeTokens", schema: truth, example: None, meaning: "Whether the live tokens of the agents that hold its credentials are killed, one commit for each agent." },
    ParameterRow { below: "/api/v1/agents/", name: "revokeTokens", schema: truth, example: None, meaning: "Whether the agent's live tokens are killed in the same commit." },
    ParameterRow { below: "/api/v1/agents/", name: "from", schema: day, example: Some("2026-11-01"), meaning: "The first day. By default, 30 days before the last one." },
    ParameterRow { below: "/api/v1/agents/", name: "to", schema: day, example: Some("2026-11-26"), meaning: "The last day, included. By default, today." },
    ParameterRow { below: "/api/v1/agents/{id}/credentials", name: "all", schema: truth, example: None, meaning: "Whether those that ended in the last 90 days are listed too." },
    ParameterRow { below: "/api/v1/audit", name: "agentId", schema: text, example: None, meaning: "Events that concern this agent. An id that no agent can have finds nothing." },
    ParameterRow { below: "/api/v1/audit", name: "actor", schema: text, example: Some("system"), meaning: "What this actor did: `agent:<id>`, `operator:<user>@<host>` or `system`." },
    ParameterRow { below: "/api/v1/audit", name: "kind", schema: event_kinds, example: Some("agent.*"), meaning: "Events of this kind, or of all kinds that begin with this part." },
    ParameterRow { below: "/api/v1/audit", name: "jti", schema: text, example: None, meaning: "Events of this token." },
    ParameterRow { below: "/api/v1/audit", name: "requestId", schema: text, example: None, meaning: "What a request did, by the `X-Request-Id` of its response." },
    ParameterRow { below: "/api/v1/audit", name: "from", schema: time, example: Some("2026-11-01T00:00:00Z"), meaning: "The first second, with whole seconds." },
    ParameterRow { below: "/api/v1/audit", name: "to", schema: time, example: Some("2026-12-01T00:00:00Z"), meaning: "The second that ends the range, not included." },
    ParameterRow { below: "/api/v1/revocations/convergence", name: "version", schema: integer, example: None, meaning: "The version of the revocation list, as a kill tells it in `revocationVersion`. By default, the present one." },
    ParameterRow { below: "/api/v1/audit", name: "order", schema: event_order, example: None, meaning: "The newest first, or the oldest." },
];

/// The variable parts of paths. The first row whose name and path fit counts.
#[rustfmt::skip]
const PATH: &[ParameterRow] = &[
    ParameterRow { below: "/api/v1/agents/{id}", name: "id", schema: text, example: None, meaning: "The agent's id." },
    ParameterRow { below: "/api/v1/agents/{id}/credentials/", name: "credentialId", schema: text, example: None, meaning: "The credential's id." },
    ParameterRow { below: "/api/v1/audit/log/", name: "file", schema: text, example: Some("checkpoint"), meaning: "`checkpoint` or `tile/…`, after a generation or without one. The slashes in it are part of the path." },
    ParameterRow { below: "/api/v1/audit/{id}", name: "id", schema: integer, example: None, meaning: "The event's id." },
    ParameterRow { below: "/api/v1/orgs/", name: "id", schema: text, example: None, meaning: "The organization's id." },
    ParameterRow { below: "/api/v1/partners/", name: "id", schema: text, example: None, meaning: "The partner's id." },
    ParameterRow { below: "/api/v1/revocations/verifiers/", name: "verifier", schema: text, example: Some("gateway/orders/pod-1"), meaning: "The verifier as `slowest` names it, percent-encoded." },
    ParameterRow { below: "/api/v1/scopes/", name: "scope", schema: text, example: Some("agents:read"), meaning: "The scope." },
    ParameterRow { below: "/forward-auth/", name: "rest", schema: text, example: None, meaning: "What a gateway adds: the path of its client's request." },
];

fn event_kinds() -> ObjectBuilder {
    let mut words: Vec<String> = Vec::new();
    for kind in EventKind::ALL {
        let name = kind.as_str();
        let family = name.split_once('.').map(|(first, _)| format!("{first}.*"));
        for word in family.into_iter().chain([name.to_owned()]) {
            if !words.contains(&word) {
                words.push(word);
            }
        }
    }
    one_of(words.iter().map(String::as_str))
}

fn agent_status() -> ObjectBuilder {
    let states = [
        AgentStatus::Active,
        AgentStatus::Suspended,
        AgentStatus::Decommissioned,
    ];
    one_of(states.map(AgentStatus::as_str))
}

fn event_order() -> ObjectBuilder {
    let [descending, ascending] = [EventOrder::Descending, EventOrder::Ascending];
    one_of([descending, ascending].map(EventOrder::as_str))
        .default(Some(descending.as_str().into()))
}

fn row(table: &'static [ParameterRow], path: &str, name: &str) -> Option<&'static ParameterRow> {
    table
        .iter()
        .find(|row| row.name == name && path.starts_with(row.below))
}

/// The parameter of a query at this path. Without a row it has no description, which a test finds.
pub(crate) fn of_query(path: &str, asked: Asked, limits: &PageLimits) -> Parameter {
    if asked.name == "limit" {
        let schema = within(1, limits.most).default(Some(limits.default.into()));
        return query(asked.name, schema, "The most rows of the page.");
    }
    let Some(row) = row(QUERY, path, asked.name) else {
        return query(asked.name, text(), "");
    };
    let described = if asked.repeats {
        repeated(asked.name, (row.schema)(), row.meaning)
    } else {
        query(asked.name, (row.schema)(), row.meaning)
    };
    match row.example {
        Some(example) if !asked.repeats => for_example(described, example),
        _ => described,
    }
}

/// The parameters of this path, in order. A path is written as axum's.
pub(crate) fn of_path(path: &str) -> Vec<Parameter> {
    let names = path.split('{').skip(1);
    let names = names.filter_map(|part| part.split_once('}').map(|(name, _)| name));
    names
        .map(|name| {
            let name = name.trim_start_matches('*');
            let row = row(PATH, path, name);
            let schema = row.map_or_else(text, |row| (row.schema)());
            let meaning = row.map_or("", |row| row.meaning);
            let described = parameter(name, ParameterIn::Path, Required::True, schema, meaning);
            match row.and_then(|row| row.example) {
                Some(example) => for_example(described, example),
                None => described,
            }
        })
        .collect()
}
