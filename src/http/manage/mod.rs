//! The management API: camelCase fields, errors `{"code","message","details"}`.
//!
//! Owns how resources are shown over HTTP. Must not know how they are changed.

pub mod agents;
