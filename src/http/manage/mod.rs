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
mod page;
mod whoami;

use endpoint::endpoint;

/// The routes of the management API. A request that lacks the row's scope is refused before the
/// handler is called.
#[rustfmt::skip]
pub static MANAGE_ROUTES: &[Route] = &[
    endpoint!(Get "/api/v1/agents",            Scope("agents:read"),      REQUEST_TIMEOUT, Nothing, agents::list_agents),
    endpoint!(Get "/api/v1/agents/{id}",       ScopeOrOwn("agents:read"), REQUEST_TIMEOUT, Nothing, agents::get_agent),
    endpoint!(Get "/api/v1/agents/{id}/usage", ScopeOrOwn("agents:read"), REQUEST_TIMEOUT, Nothing, agents::get_usage),
    endpoint!(Get "/api/v1/audit",             Scope("audit:read"),       REQUEST_TIMEOUT, Nothing, audit::list_events),
    endpoint!(Get "/api/v1/audit/log/{*file}", Scope("audit:read"),       REQUEST_TIMEOUT, Nothing, audit_log::get_log_file),
    endpoint!(Get "/api/v1/audit/{id}/proof",  Scope("audit:read"),       REQUEST_TIMEOUT, Nothing, audit_log::get_proof),
    endpoint!(Get "/api/v1/keys",              Scope("admin:orgs"),       REQUEST_TIMEOUT, Nothing, keys::list_keys),
    endpoint!(Get "/api/v1/whoami",            AnyToken,                  REQUEST_TIMEOUT, Nothing, whoami::get_whoami),
];
