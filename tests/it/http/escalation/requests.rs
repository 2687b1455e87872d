//! Random requests: every change of the management API, made from its table of routes, so that a
//! new route is searched too.

use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::http::manage::MANAGE_ROUTES;
use serde_json::{Map, Value, json};

use super::sample::{Dice, Sample};
use crate::http::client_keys::ec_key;

/// A change that is asked for.
#[derive(Debug, Clone)]
pub struct ChangeRequest {
    pub method: &'static str,
    /// The path with its query.
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    /// The agent that the path names.
    pub agent: Option<String>,
    pub is_dry_run: bool,
    /// Its method and its route, for counting.
    pub kind: String,
}

/// What a request may name.
pub struct Names<'n> {
    pub agents: &'n [String],
    /// Credentials of any of the agents, each with its agent, which a caller may have read or guessed.
    pub credentials: &'n [(String, String)],
    /// What the caller has.
    pub own: &'n Sample,
    /// A partner that serves all agents.
    pub partner: &'n str,
    pub now: Timestamp,
}

impl ChangeRequest {
    pub fn random(dice: &mut Dice, names: &Names<'_>) -> Self {
        let writes = || {
            let routes = MANAGE_ROUTES.iter();
            routes.filter(|route| route.methods.names()[0] != "GET")
        };
        let about_agents = || writes().filter(|route| route.path.starts_with("/api/v1/agents"));
        let route = if dice.one_in(20) {
            writes().nth(dice.below(writes().count()))
        } else {
            about_agents().nth(dice.below(about_agents().count()))
        };
        let route = route.unwrap();
        let method = route.methods.names()[0];
        let (of_agent, credential) = dice.pick(names.credentials).clone();
        let names_both = route.path.contains("{credentialId}") && !dice.one_in(4);
        let agent = if names_both {
            of_agent
        } else {
            dice.pick(names.agents).clone()
        };
        let names_org = route.path.starts_with("/api/v1/orgs");
        let names_partner = route.path.starts_with("/api/v1/partners");
        let id = if names_org {
            dice.any(&["default", "other"])
        } else if names_partner {
            dice.any(&["00000000-0000-4000-8000-000000000000", names.partner])
        } else {
            &agent
        };
        let path = route
            .path
            .replace("{id}", id)
            .replace("{credentialId}", &credential)
            .replace("{scope}", "db:read");
        let is_dry_run = dice.one_in(10);
        let mut query = Vec::new();
        if is_dry_run {
            query.push("dryRun=true");
        }
        let may_revoke = method == "PATCH" || path.contains("/credentials/") && method == "DELETE";
        if may_revoke && dice.one_in(4) {
            query.push("revokeTokens=true");
        }
        let path = if query.is_empty() {
            path
        } else {
            format!("{path}?{}", query.join("&"))
        };
        let mut headers = Vec::new();
        if method == "POST" && dice.one_in(3) {
            headers.push(("idempotency-key", format!("key-{}", dice.below(3))));
        }
        if dice.one_in(12) {
            headers.push(("if-match", format!("\"{}\"", dice.below(4))));
        }
        let body = body(route.path, method, dice, names);
        if body.is_some() {
            headers.push(("content-type", "application/json".to_owned()));
        }
        Self {
            method,
            path,
            headers,
            body: body
                .map(|body| Value::from(body).to_string())
                .unwrap_or_default(),
            agent: (route.path.contains("{id}") && !names_org && !names_partner).then_some(agent),
            is_dry_run,
            kind: format!("{method} {}", route.path),
        }
    }
}

impl ChangeRequest {
    /// Whether the request may stop this agent.
    pub fn stops(&self, agent_id: &str) -> bool {
        let stops = [
            "/suspend",
            "/revoke-tokens",
            "/decommission",
            "/bulk",
            "/rotate",
        ];
        let path = self.path.split('?').next().unwrap_or_default();
        self.agent.as_deref().is_none_or(|agent| agent == agent_id)
            && (self.method == "DELETE" || stops.iter().any(|stop| path.ends_with(stop)))
    }
}

/// The body of a request to this route; `None` for an action, which may go without one.
fn body(
    path: &str,
    method: &str,
    dice: &mut Dice,
    names: &Names<'_>,
) -> Option<Map<String, Value>> {
    let object = |value: Value| value.as_object().cloned();
    match (method, path) {
        ("POST", "/api/v1/agents") | ("PUT", _) => Some(profile(dice, names)),
        ("PATCH", "/api/v1/agents/{id}") => {
            let members = profile(dice, names).into_iter();
            Some(members.filter(|_| dice.one_in(3)).collect())
        }
        ("POST", "/api/v1/agents/bulk") => {
            let ids = dice.some(names.agents);
            let action = dice.pick(&["suspend", "revoke-tokens", "reactivate"]);
            object(json!({"action": action, "filter": {"ids": ids}}))
        }
        (_, "/api/v1/agents/{id}/credentials/rotate") => {
            object(json!({"overlapSeconds": dice.pick(&[0, 60]), "label": "rotated"}))
        }
        ("POST", "/api/v1/agents/{id}/credentials") => match dice.below(3) {
            0 => None,
            1 => object(json!({"kind": "publicKey", "jwks": {"keys": [ec_key()]}})),
            _ => {
                let scopes = dice.any(&["db:read", "agents:write", "admin:orgs"]);
                let scopes = (!dice.one_in(3)).then_some([scopes]);
                object(json!({
                    "kind": "federated", "partnerId": names.partner, "subject": "repo:acme/*",
                    "claims": {"/repository_owner_id": "65"}, "scopes": scopes, "ttl": 86_400,
                }))
            }
        },
        ("POST", "/api/v1/scopes") => object(json!({"scope": "new:read", "description": "New"})),
        ("POST", "/api/v1/orgs") => object(json!({"name": "New"})),
        ("PATCH", "/api/v1/orgs/{id}") => object(json!({"name": "Changed", "scopes": null})),
        ("POST", "/api/v1/partners") => object(
            json!({"name": "New", "preset": "github", "orgId": dice.pick(&["default", "other"])}),
        ),
        ("POST", "/api/v1/partners/{id}/test") => {
            object(json!({"assertion": "x", "agentId": dice.pick(names.agents)}))
        }
        ("PATCH", "/api/v1/partners/{id}") => object(json!({"name": "Changed"})),
        ("PATCH", "/api/v1/scopes/{scope}") => object(json!({"description": "Changed"})),
        _ => None,
    }
}

/// What is to be decided about an agent: something like what the caller has, or anything.
fn profile(dice: &mut Dice, names: &Names<'_>) -> Map<String, Value> {
    let sample = if dice.one_in(6) {
        Sample::random(dice, names.now)
    } else {
        names.own.like(dice, names.now)
    };
    let mut body = sample.body();
    // A member that is left out has its default, which may be more.
    if dice.one_in(4) {
        let members: Vec<String> = body.keys().cloned().collect();
        body.remove(dice.pick(&members));
    }
    if dice.one_in(10) {
        body.insert("agentId".to_owned(), json!(dice.pick(names.agents)));
    }
    if dice.one_in(10) {
        body.insert("orgId".to_owned(), json!(dice.pick(&["default", "other"])));
    }
    body
}
