//! The configuration.
//!
//! Owns what each value may be and which values go together; reports every fault at once, each
//! with its key, where it was set and the rule. Must not know what the values are used for.
//! Reading order: [`table`] (every key on one screen), [`model`] (as meant), [`raw`] (the layers, as `written`),
//! [`value`], `postgres` (the parameters of its URL), `resolve` (from written to meant), [`rule`] and [`fault`].

pub(crate) mod fault;
mod files;
pub(crate) mod model;
mod postgres;
pub(crate) mod raw;
mod resolve;
pub(crate) mod rule;
pub(crate) mod table;
pub(crate) mod value;
mod written;

pub use model::Config;
pub(crate) use model::{LogFormat, ServerConfig};
pub use resolve::MasterKeyNeed;
pub(crate) use resolve::Shown;
pub use value::DatabaseUrl;

pub use crate::keys::algorithm::RsaBits;
