//! The management API: camelCase members, errors `{"code","message","details"}`. It only reads, so
//! far.
//!
//! Owns its table of routes, how a request becomes typed values, and who may ask. Must not know how
//! anything is changed: each handler calls one operation of a service. Reading order: this table,
//! [`mod@endpoint`], `authority`, [`fields`], `page`, `cursor`, then one resource a file.

use super::route::Route;

mod agents;
mod audit;
mod audit_export;
mod audit_log;
mod authority;
pub(crate) mod cursor;
pub(crate) mod endpoint;
pub(crate) mod fields;
mod keys;
pub(crate) mod openapi;
mod page;
mod whoami;
mod words;

use endpoint::endpoint;

/// The routes of the management API. A request that lacks the row's scope is refused before the
/// handler is called.
#[rustfmt::skip]
pub static MANAGE_ROUTES: &[Route] = &[
    endpoint!(Get "/api/v1/agents",            Scope("agents:read"),      REQUEST_TIMEOUT, Nothing, agents::list_agents,      words::LIST_AGENTS),
    endpoint!(Get "/api/v1/agents/{id}",       ScopeOrOwn("agents:read"), REQUEST_TIMEOUT, Nothing, agents::get_agent,        words::GET_AGENT),
    endpoint!(Get "/api/v1/agents/{id}/usage", ScopeOrOwn("agents:read"), REQUEST_TIMEOUT, Nothing, agents::get_usage,        words::GET_USAGE),
    endpoint!(Get "/api/v1/audit",             Scope("audit:read"),       REQUEST_TIMEOUT, Nothing, audit::list_events,       words::LIST_EVENTS),
    endpoint!(Get "/api/v1/audit/log/{*file}", Scope("audit:read"),       REQUEST_TIMEOUT, Nothing, audit_log::get_log_file,  words::GET_LOG_FILE),
    endpoint!(Get "/api/v1/audit/{id}/proof",  Scope("audit:read"),       REQUEST_TIMEOUT, Nothing, audit_log::get_proof,     words::GET_PROOF),
    endpoint!(Get "/api/v1/keys",              Scope("admin:orgs"),       REQUEST_TIMEOUT, Nothing, keys::list_keys,          words::LIST_KEYS),
    endpoint!(Get "/api/v1/whoami",            AnyToken,                  REQUEST_TIMEOUT, Nothing, whoami::get_whoami,       words::GET_WHOAMI),
];
