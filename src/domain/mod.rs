//! Pure values and decisions.
//!
//! Owns the nouns of the product and its main decision: may this agent have this token. Must not
//! know async, I/O, the clock, randomness or logging: time and random values arrive as arguments.

pub(crate) mod about;
pub(crate) mod act;
pub(crate) mod agent;
pub(crate) mod agent_filter;
pub(crate) mod asked;
pub(crate) mod assertion;
pub(crate) mod canonical;
pub(crate) mod catalogue;
pub(crate) mod code;
pub(crate) mod context;
pub(crate) mod credential;
pub(crate) mod digest;
pub(crate) mod dominance;
pub(crate) mod event;
pub(crate) mod grant;
pub(crate) mod host_port;
pub(crate) mod id;
pub(crate) mod idempotency;
pub(crate) mod network;
pub(crate) mod org;
pub(crate) mod partner;
pub(crate) mod permission;
pub(crate) mod precondition;
pub(crate) mod proof;
pub(crate) mod quota;
pub(crate) mod refusal;
pub(crate) mod rejection;
pub(crate) mod risk;
#[cfg(test)]
mod samples;
pub(crate) mod scope;
pub(crate) mod scope_pattern;
pub(crate) mod status;
pub(crate) mod time;
pub(crate) mod token;
pub(crate) mod tree;
pub(crate) mod ttl;
pub(crate) mod usage;
pub(crate) mod verifier;

/// A value from outside that breaks the rule of its type.
///
/// The text names the rule that was broken and never repeats the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub &'static str);
