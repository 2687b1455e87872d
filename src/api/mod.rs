//! The JSON types of the management API, the same for every caller: camelCase, times in RFC 3339
//! UTC.
//!
//! Owns how a service's results are written as JSON, for endpoints and for commands. Must not know
//! who asks, or where the JSON is sent. A secret is only in the type for a new one.

pub(crate) mod agents;
pub(crate) mod audit;
pub(crate) mod bulk;
pub(crate) mod credentials;
pub(crate) mod keys;
pub(crate) mod log;
pub(crate) mod orgs;
pub(crate) mod partners;
pub(crate) mod plans;
pub(crate) mod restore;
pub(crate) mod scopes;
pub(crate) mod tokens;
pub(crate) mod usage;
pub(crate) mod verifiers;
