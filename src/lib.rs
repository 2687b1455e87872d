//! map (being written)
pub mod clock;
pub mod config;
pub mod domain;
pub mod entropy;
pub mod http;
pub mod keys;
pub mod service;
pub mod store;
pub mod tasks;
pub mod telemetry;
