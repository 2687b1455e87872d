//! The tests that run the parts of the program together. They are one binary, so that it is linked
//! only once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails when something unexpected happens"
)]

mod harness;
mod http;
mod journal;
mod store;
