//! The test harness: the server in this process, its database, its clock, its entropy and its
//! clients.

pub mod agent;
pub mod answer;
pub mod app;
pub mod database;
pub mod entropy;
pub mod time;
pub mod wire;
