//! The OAuth endpoints that do not issue tokens: introspection, revocation and the revocation list,
//! the public documents, authorization codes, and the response to gateways.
//!
//! Owns what each endpoint reads and what it responds. Must not know how a token is verified,
//! revoked or stored.

pub(crate) mod authorize;
pub(crate) mod caller;
pub(crate) mod forward_auth;
pub(crate) mod introspect;
pub(crate) mod jwks;
pub(crate) mod metadata;
pub(crate) mod revocations;
pub(crate) mod revoke;
pub(crate) mod verifier;
