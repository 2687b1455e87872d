//! What operators and their monitoring ask for: liveness, readiness, counters, the
//! pages of the API.
//!
//! Owns how these are shown. Must not know how readiness is decided.

pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod openapi;
