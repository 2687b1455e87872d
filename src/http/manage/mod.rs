//! The management API: camelCase members, errors `{"code","message","details"}`.
//!
//! Owns its table of routes, how a request becomes typed values, and who may ask. Must not know how
//! anything is changed: each handler calls one operation of a service. Reading order: this table,
//! [`mod@endpoint`], [`call`], `authority`, [`fields`], [`mod@body`], [`json_value`], `json_types`, `values`, `answer`,
//! `idempotency_key`, `keyed` (replies that are kept), `etag`, `page`, `cursor`, then one resource a file.

use super::route::Route;

mod agent_bulk;
mod agent_changes;
mod agent_filter;
mod agent_writes;
mod agents;
mod answer;
mod audit;
mod audit_export;
mod audit_log;
mod authority;
pub(crate) mod body;
pub(crate) mod call;
mod credentials;
pub(crate) mod cursor;
pub(crate) mod endpoint;
mod etag;
pub(crate) mod fields;
mod idempotency_key;
mod json_types;
pub(crate) mod json_value;
mod jwks;
mod keyed;
mod keys;
mod new_credentials;
pub(crate) mod openapi;
mod org_words;
mod orgs;
mod page;
mod partner_actions;
mod partner_test;
mod partner_values;
mod partner_words;
mod partners;
mod plans;
mod revocations;
mod scopes;
mod values;
mod whoami;
mod words;

use endpoint::endpoint;

/// The routes of the management API. A request that lacks the row's scope is refused before the
/// handler is called.
#[rustfmt::skip]
pub static MANAGE_ROUTES: &[Route] = &[
    endpoint!(Get    "/api/v1/agents",                     Scope("agents:read"),     REQUEST_TIMEOUT, Nothing, agents::list_agents,                 words::LIST_AGENTS),
    endpoint!(Post   "/api/v1/agents",                     Scope("agents:write"),    REQUEST_TIMEOUT, Json,    agent_writes::create_agent,          words::CREATE_AGENT),
    endpoint!(Post   "/api/v1/agents/bulk",                Scope("agents:write"),    REQUEST_TIMEOUT, Json,    agent_bulk::change_agents,           words::CHANGE_AGENTS),
    endpoint!(Get    "/api/v1/agents/{id}",                ScopeOrOwn("agents:read"),REQUEST_TIMEOUT, Nothing, agents::get_agent,                   words::GET_AGENT),
    endpoint!(Put    "/api/v1/agents/{id}",                Scope("agents:write"),    REQUEST_TIMEOUT, Json,    agent_writes::put_agent,             words::PUT_AGENT),
    endpoint!(Patch  "/api/v1/agents/{id}",                Scope("agents:write"),    REQUEST_TIMEOUT, MergePatch,agent_writes::patch_agent,           words::PATCH_AGENT),
    endpoint!(Delete "/api/v1/agents/{id}",                Scope("agents:write"),    REQUEST_TIMEOUT, Json,    agent_changes::decommission_agent,   words::DELETE_AGENT),
    endpoint!(Post   "/api/v1/agents/{id}/suspend",        Scope("agents:write"),    REQUEST_TIMEOUT, Json,    agent_changes::suspend_agent,        words::SUSPEND_AGENT),
    endpoint!(Post   "/api/v1/agents/{id}/reactivate",     Scope("agents:write"),    REQUEST_TIMEOUT, Json,    agent_changes::reactivate_agent,     words::REACTIVATE_AGENT),
    endpoint!(Post   "/api/v1/agents/{id}/decommission",   Scope("agents:write"),    REQUEST_TIMEOUT, Json,    agent_changes::decommission_agent,   words::DECOMMISSION_AGENT),
    endpoint!(Post   "/api/v1/agents/{id}/revoke-tokens",  Scope("agents:write"),    REQUEST_TIMEOUT, Json,    agent_changes::revoke_agent_tokens,  words::REVOKE_AGENT_TOKENS),
    endpoint!(Get    "/api/v1/agents/{id}/credentials",    ScopeOrOwn("agents:read"),REQUEST_TIMEOUT, Nothing, credentials::list_credentials,       words::LIST_CREDENTIALS),
    endpoint!(Post   "/api/v1/agents/{id}/credentials",    ScopeOrOwn("agents:write"),REQUEST_TIMEOUT, Json,   credentials::create_credential,      words::CREATE_CREDENTIAL),
    endpoint!(Post   "/api/v1/agents/{id}/credentials/rotate", ScopeOrOwn("agents:write"),REQUEST_TIMEOUT, Json, credentials::rotate_credentials,   words::ROTATE_CREDENTIALS),
    endpoint!(Delete "/api/v1/agents/{id}/credentials/{credentialId}", ScopeOrOwn("agents:write"),REQUEST_TIMEOUT, Json, credentials::end_credential, words::END_CREDENTIAL),
    endpoint!(Get    "/api/v1/agents/{id}/usage",          ScopeOrOwn("agents:read"),REQUEST_TIMEOUT, Nothing, agents::get_usage,                   words::GET_USAGE),
    endpoint!(Get    "/api/v1/audit",                      Scope("audit:read"),      REQUEST_TIMEOUT, Nothing, audit::list_events,                  words::LIST_EVENTS),
    endpoint!(Get    "/api/v1/audit/log/{*file}",          Scope("audit:read"),      REQUEST_TIMEOUT, Nothing, audit_log::get_log_file,             words::GET_LOG_FILE),
    endpoint!(Get    "/api/v1/audit/{id}/proof",           Scope("audit:read"),      REQUEST_TIMEOUT, Nothing, audit_log::get_proof,                words::GET_PROOF),
    endpoint!(Get    "/api/v1/keys",                       Scope("admin:orgs"),      REQUEST_TIMEOUT, Nothing, keys::list_keys,                     words::LIST_KEYS),
    endpoint!(Post   "/api/v1/keys/rotate",                Scope("admin:orgs"),      KEY_TIMEOUT,     Json,    keys::rotate_keys,                   words::ROTATE_KEYS),
    endpoint!(Get    "/api/v1/orgs",                       Scope("admin:orgs"),      REQUEST_TIMEOUT, Nothing, orgs::list_orgs,                     org_words::LIST_ORGS),
    endpoint!(Post   "/api/v1/orgs",                       Scope("admin:orgs"),      REQUEST_TIMEOUT, Json,    orgs::create_org,                    org_words::CREATE_ORG),
    endpoint!(Get    "/api/v1/orgs/{id}",                  Scope("admin:orgs"),      REQUEST_TIMEOUT, Nothing, orgs::get_org,                       org_words::GET_ORG),
    endpoint!(Patch  "/api/v1/orgs/{id}",                  Scope("admin:orgs"),      REQUEST_TIMEOUT, MergePatch,orgs::patch_org,                   org_words::PATCH_ORG),
    endpoint!(Post   "/api/v1/orgs/{id}/suspend",          Scope("admin:orgs"),      REQUEST_TIMEOUT, Json,    orgs::suspend_org,                   org_words::SUSPEND_ORG),
    endpoint!(Post   "/api/v1/orgs/{id}/reactivate",       Scope("admin:orgs"),      REQUEST_TIMEOUT, Json,    orgs::reactivate_org,                org_words::REACTIVATE_ORG),
    endpoint!(Post   "/api/v1/orgs/{id}/revoke-tokens",    Scope("admin:orgs"),      REQUEST_TIMEOUT, Json,    orgs::revoke_org_tokens,             org_words::REVOKE_ORG_TOKENS),
    endpoint!(Get    "/api/v1/partners",                   Scope("admin:orgs"),      REQUEST_TIMEOUT, Nothing, partners::list_partners,             partner_words::LIST_PARTNERS),
    endpoint!(Post   "/api/v1/partners",                   Scope("admin:orgs"),      REQUEST_TIMEOUT, Json,    partners::create_partner,            partner_words::CREATE_PARTNER),
    endpoint!(Get    "/api/v1/partners/{id}",              Scope("admin:orgs"),      REQUEST_TIMEOUT, Nothing, partners::get_partner,               partner_words::GET_PARTNER),
    endpoint!(Patch  "/api/v1/partners/{id}",              Scope("admin:orgs"),      REQUEST_TIMEOUT, MergePatch,partners::patch_partner,           partner_words::PATCH_PARTNER),
    endpoint!(Delete "/api/v1/partners/{id}",              Scope("admin:orgs"),      REQUEST_TIMEOUT, Json,    partner_actions::delete_partner,            partner_words::DELETE_PARTNER),
    endpoint!(Post   "/api/v1/partners/{id}/suspend",      Scope("admin:orgs"),      REQUEST_TIMEOUT, Json,    partner_actions::suspend_partner,           partner_words::SUSPEND_PARTNER),
    endpoint!(Post   "/api/v1/partners/{id}/reactivate",   Scope("admin:orgs"),      REQUEST_TIMEOUT, Json,    partner_actions::reactivate_partner,        partner_words::REACTIVATE_PARTNER),
    endpoint!(Post   "/api/v1/partners/{id}/test",         Scope("admin:orgs"),      REQUEST_TIMEOUT, Json,    partner_test::test_partner,          partner_words::TEST_PARTNER),
    endpoint!(Get    "/api/v1/plans",                      Scope("agents:read"),     REQUEST_TIMEOUT, Nothing, plans::list_plans,                   words::LIST_PLANS),
    endpoint!(Get    "/api/v1/revocations/convergence",    Scope("audit:read"),      REQUEST_TIMEOUT, Nothing, revocations::get_convergence,        words::GET_CONVERGENCE),
    endpoint!(Delete "/api/v1/revocations/verifiers/{verifier}", Scope("admin:orgs"), REQUEST_TIMEOUT, Json,   revocations::remove_verifier,        words::REMOVE_VERIFIER),
    endpoint!(Get    "/api/v1/scopes",                     Scope("agents:read"),     REQUEST_TIMEOUT, Nothing, scopes::list_scopes,                 words::LIST_SCOPES),
    endpoint!(Post   "/api/v1/scopes",                     Scope("admin:orgs"),      REQUEST_TIMEOUT, Json,    scopes::add_scope,                   words::ADD_SCOPE),
    endpoint!(Get    "/api/v1/scopes/{scope}",             Scope("agents:read"),     REQUEST_TIMEOUT, Nothing, scopes::get_scope,                   words::GET_SCOPE),
    endpoint!(Patch  "/api/v1/scopes/{scope}",             Scope("admin:orgs"),      REQUEST_TIMEOUT, MergePatch,scopes::update_scope,               words::PATCH_SCOPE),
    endpoint!(Delete "/api/v1/scopes/{scope}",             Scope("admin:orgs"),      REQUEST_TIMEOUT, Json,    scopes::delete_scope,                words::DELETE_SCOPE),
    endpoint!(Get    "/api/v1/whoami",                     AnyToken,                 REQUEST_TIMEOUT, Nothing, whoami::get_whoami,                  words::GET_WHOAMI),
];
