//! What the server does, behind two front doors: HTTP and the command line.
//!
//! Owns the order of steps and the two kinds of failure. Must not know HTTP, SQL, or the environment.
//!
//! Reading order: `error`, [`clients`] (whose secret is this), [`codes`], [`look`] (what a no on a
//! remembered row is worth), [`issue`] (the mint), [`replay`], [`tokens`]
//! (what a presented token is worth), [`revoke`], [`revocations`] (the list), [`keys`], [`limits`], [`clock`],
//! [`readiness`]; for operators [`manage`].

pub(crate) mod clients;
pub(crate) mod clock;
pub(crate) mod codes;
mod error;
pub(crate) mod issue;
pub(crate) mod keys;
pub(crate) mod limits;
pub(crate) mod look;
pub(crate) mod manage;
mod plans;
pub(crate) mod readiness;
pub(crate) mod replay;
pub(crate) mod revocations;
pub(crate) mod revoke;
pub(crate) mod tokens;

pub(crate) use error::{Cause, Error};
