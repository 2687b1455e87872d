//! The OAuth endpoints besides those that issue tokens: introspection, revocation and the list, the public documents,
//! authorization codes, and the answer to gateways.
//!
//! Owns what each reads and replies. Must not know how a token is verified, revoked or stored.

pub mod authorize;
mod caller;
pub mod forward_auth;
pub mod introspect;
pub mod jwks;
pub mod metadata;
pub mod revocations;
pub mod revoke;
