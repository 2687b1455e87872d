//! The OAuth endpoints besides those that issue tokens: introspection, revocation and the list, the public documents,
//! authorization codes, and the answer to gateways.
//!
//! Owns what each reads and replies. Must not know how a token is verified, revoked or stored.

pub(crate) mod authorize;
mod caller;
pub(crate) mod forward_auth;
pub(crate) mod introspect;
pub(crate) mod jwks;
pub(crate) mod metadata;
pub(crate) mod revocations;
pub(crate) mod revoke;
