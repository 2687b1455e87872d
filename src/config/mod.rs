//! The configuration.
//!
//! Owns what each value may be and which values go together; reports every fault at once, each
//! with its key, where it was set and the rule. Must not know what the values are used for.
//! Reading order: [`table`] (every key on one screen), [`model`] (as meant), [`raw`] (the layers, as `written`),
//! [`value`], `postgres` (the parameters of its URL), `resolve` (from written to meant), [`rule`] and [`fault`].

pub mod fault;
mod files;
pub mod model;
mod postgres;
pub mod raw;
mod resolve;
pub mod rule;
pub mod table;
pub mod value;
mod written;

pub use model::{Config, LogFormat, ServerConfig};
pub use resolve::{MasterKeyNeed, Shown};
pub use value::DatabaseUrl;

pub use crate::keys::algorithm::RsaBits;
