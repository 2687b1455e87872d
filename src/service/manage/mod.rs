//! What an operator does, whichever door he comes through: agents, their secrets, the catalogue, many agents at once,
//! and single tokens.
//!
//! Owns the order of steps and what an operator is refused. Must not know who asks (the command line or an endpoint)
//! or how the answer is printed. Reading order: [`agents`], `credentials` (secrets made and rotated), `update`, [`patch`] (what an
//! update changes), [`view`] (what is shown), [`row`] and [`import`], [`scopes`], [`tokens`];
//! `checks` has what they share.

pub(crate) mod agents;
mod checks;
mod credentials;
mod error;
pub(crate) mod import;
pub(crate) mod patch;
pub(crate) mod row;
pub(crate) mod scopes;
pub(crate) mod tokens;
mod update;
pub(crate) mod view;

pub(crate) use credentials::MAX_OVERLAP;
pub(crate) use error::ManageError;
