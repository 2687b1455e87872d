//! Pure values and decisions.
//!
//! Owns the nouns of the product and the one decision that matters: may this
//! agent have this token. Must not know async, I/O, the clock, randomness or
//! logging: time and random values arrive as arguments.

pub mod act;
pub mod agent;
pub mod catalogue;
pub mod code;
pub mod context;
pub mod credential;
pub mod event;
pub mod grant;
pub mod id;
pub mod network;
pub mod org;
pub mod quota;
pub mod refusal;
pub mod rejection;
pub mod risk;
pub mod scope;
pub mod time;
pub mod ttl;

/// A value from outside that is not what its type demands.
///
/// The text names the rule that was broken and never repeats the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub &'static str);
