//! What operators and their monitoring ask for: liveness, readiness, counters.
//!
//! Owns how these are shown. Must not know how readiness is decided.

pub(crate) mod health;
pub(crate) mod metrics;
