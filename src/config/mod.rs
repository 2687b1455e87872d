//! The configuration.
//!
//! Owns what each value may be and which values go together. Reports all faults at once: each names
//! its key, the place where the key was set, and the rule that was broken. Must not know what the
//! values are used for.
//!
//! Reading order: [`table`] (every key on one screen), [`model`] (the typed values), [`raw`] (the
//! layers, with each value as `written`), [`value`], `postgres_url` (the servers of a Postgres URL) and `postgres` (its parameters),
//! `resolve` (from written text to typed values), [`rule`], [`fault`] and `contradiction` (what is allowed
//! and rarely meant).

mod contradiction;
pub(crate) mod fault;
mod files;
pub(crate) mod model;
mod postgres;
mod postgres_url;
pub(crate) mod raw;
mod resolve;
pub(crate) mod rule;
pub(crate) mod table;
pub(crate) mod value;
mod written;

pub(crate) use contradiction::contradictions;
pub(crate) use files::FileKinds;
pub use model::Config;
pub(crate) use model::{LogFormat, LoggedRequests, ServerConfig};
pub(crate) use postgres::certificate_faults;
pub use resolve::MasterKeyNeed;
pub(crate) use resolve::Shown;
pub use value::DatabaseUrl;
