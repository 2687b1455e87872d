//! What tests need around the program.

pub mod agent;
pub mod answer;
pub mod app;
pub mod database;
pub mod entropy;
pub mod time;
pub mod wire;
