//! What the server does: each operation here has two front doors, HTTP and the command line.
//!
//! Owns the order of steps. Must not know HTTP, SQL, or the environment.

pub mod secret;
