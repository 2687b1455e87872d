//! What the server does, behind two front doors: HTTP and the command line.
//!
//! Owns the order of steps and the two kinds of failure. Must not know HTTP, SQL, or the environment.
//!
//! Reading order: `error`, [`clients`] (whose secret is this), [`codes`], [`look`] (what a no on a
//! remembered row is worth), [`issue`] (the mint), [`replay`], [`tokens`]
//! (what a presented token is worth), [`revoke`], [`revocations`] (the list), [`keys`], [`limits`], [`clock`],
//! [`readiness`]; for operators [`manage`].

pub mod clients;
pub mod clock;
pub mod codes;
mod error;
pub mod issue;
pub mod keys;
pub mod limits;
pub mod look;
pub mod manage;
mod plans;
pub mod readiness;
pub mod replay;
pub mod revocations;
pub mod revoke;
pub mod tokens;

pub use error::{Cause, Error};
