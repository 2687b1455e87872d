//! The tests that run the program's parts together: one binary, so that it links once.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on must stop")]

mod harness;
mod http;
