//! What the server does, for its two callers: HTTP and the command line.
//!
//! Owns the order of steps and the kinds of failure. Must not know HTTP, SQL, or the environment.
//!
//! Reading order: `error`, [`clients`] (client authentication), [`codes`], [`look`] (what follows a
//! refusal on a cached row), [`issue`] (the mint), [`replay`], [`tokens`] (whether a presented
//! token is valid) with `caller`, [`introspection`], [`revoke`], [`revocations`] (the list), [`keys`], [`key_rotation`], [`reseal`] (another master key),
//! [`store_keys`], [`limits`], [`refusals`], [`clock`], [`readiness`], [`generation`] (was the store wound back), [`processes`] (who else serves), [`partner_keys`] with [`partner_key_cache`]; for operators [`manage`], [`restore`] and [`upgrade`];
//! what follows from recorded events [`journal`].

mod caller;
pub(crate) mod clients;
pub(crate) mod clock;
pub(crate) mod codes;
pub(crate) mod doctor;
mod error;
mod fetch_slots;
pub(crate) mod finding;
pub(crate) mod generation;
pub(crate) mod introspection;
pub(crate) mod issue;
pub(crate) mod journal;
pub(crate) mod key_rotation;
pub(crate) mod keys;
pub(crate) mod limits;
pub(crate) mod look;
pub(crate) mod manage;
pub(crate) mod partner_key_cache;
pub(crate) mod partner_keys;
pub(crate) mod plans;
pub(crate) mod processes;
pub(crate) mod readiness;
pub(crate) mod refusals;
pub(crate) mod replay;
pub(crate) mod reseal;
pub(crate) mod restore;
pub(crate) mod revocations;
pub(crate) mod revoke;
pub(crate) mod store_keys;
pub(crate) mod tokens;
pub(crate) mod upgrade;
pub(crate) mod verifiers;

pub(crate) use error::Cause;
pub use error::Error;
