//! The tests that run the program's parts together: one binary, so that it links once.

mod harness;
mod store;
