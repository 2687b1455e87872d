//! map (being written)
pub mod clock;
pub mod domain;
pub mod entropy;
pub mod keys;
pub mod store;
