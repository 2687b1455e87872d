//! What an operator does, by the command line or by an endpoint: agents, their secrets, the
//! catalogue, many agents at once, and single tokens.
//!
//! Owns the order of steps and what an operator is refused. Must not know who asks (the command
//! line or an endpoint) or how the result is shown. Reading order: [`agents`], [`create`],
//! `status` (stops them and lets them work again), `authority` (whether the caller may),
//! `attempt` (one try of a change), [`credentials`] (lists them), `credential_changes` (makes, rotates
//! and ends them) with `credential_limit`, `new_secret` (makes a secret), `update`, [`request`] (how a
//! change is asked for), [`patch`] (what an update changes), [`view`] (what is shown), [`row`] and [`import`], [`scopes`]
//! with `scope_risk` (why a scope is high-risk) and `shortened` (whose tokens live shorter since an
//! upgrade), [`orgs`] with `org_changes` (organizations), [`partners`] with `partner_changes`, [`bulk`] (stops many agents at once), [`plans`], [`tokens`], [`audit`] (reads events),
//! [`usage`] (what an agent used), [`idempotency`] (requests that are sent again) with [`keeping`];
//! `checks` has what these share.

pub(crate) mod agents;
mod attempt;
pub(crate) mod audit;
pub(crate) mod audit_export;
mod authority;
pub(crate) mod bulk;
mod checks;
pub(crate) mod client_keys;
pub(crate) mod create;
mod credential_changes;
mod credential_limit;
pub(crate) mod credentials;
mod error;
mod federated;
pub(crate) mod idempotency;
pub(crate) mod import;
pub(crate) mod keeping;
mod new_secret;
mod org_changes;
pub(crate) mod orgs;
mod partner_changes;
pub(crate) mod partners;
pub(crate) mod patch;
pub(crate) mod plans;
pub(crate) mod request;
pub(crate) mod row;
mod scope_risk;
pub(crate) mod scopes;
mod shortened;
mod status;
pub(crate) mod tokens;
mod update;
pub(crate) mod usage;
pub(crate) mod view;

pub use error::ManageError;
