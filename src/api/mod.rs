//! The wire types of the management API, the same through every door: camelCase, times in RFC 3339 UTC.
//!
//! Owns how what a service tells is written as JSON, for endpoints and for commands. Must not know who asks, or where it
//! is sent. Nothing here holds anything of a secret.

pub(crate) mod agents;
pub(crate) mod keys;
pub(crate) mod scopes;
pub(crate) mod tokens;
