//! Client authentication: whose secret is this.
//!
//! Owns secrets, how they are compared, and how often a source may fail. Must not know what the client wants.

pub mod authenticate;
pub mod credentials;
pub mod failures;
pub mod secret;
