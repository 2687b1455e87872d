//! What operators and their machines ask: liveness, readiness, counters.
//!
//! Owns how these are shown. Must not know what readiness rests on.

pub(crate) mod health;
pub(crate) mod metrics;
