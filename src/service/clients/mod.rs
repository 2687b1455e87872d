//! Client authentication: verifies that a secret or an assertion belongs to
//! an agent.
//!
//! Owns secrets, how they are compared, and how often a source may fail. Must not know what the
//! client wants.

pub(crate) mod assertion;
pub(crate) mod authenticate;
pub(crate) mod credentials;
pub(crate) mod examined_token;
pub(crate) mod failures;
pub(crate) mod partner_token;
pub(crate) mod presented;
pub(crate) mod refusal_time;
mod rehash;
pub(crate) mod secret;
