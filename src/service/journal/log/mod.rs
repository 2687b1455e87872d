//! The tamper-evident log: entries made of events, under checkpoints that the store's log key signs.
//!
//! Owns how a pass over the events becomes entries, tiles and a checkpoint, and what is read back
//! from them. Must not know when a pass begins, or how anything is served.
//!
//! Reading order: `pass` (from events to entries), `open` (the key and the name of the log), `tree`
//! (the hashes that a store holds), `append` (one pass as one commit), `read` (checkpoints, tiles
//! and proofs), [`verify`] (the whole log against the events).

pub(crate) mod append;
pub(crate) mod open;
pub(crate) mod pass;
pub(crate) mod read;
pub(crate) mod tree;
pub(crate) mod verify;

use std::sync::Arc;

use crate::service::error::{Cause, Error};

/// A fault of what the store holds, as a sentence for the log.
pub(super) fn broken(why: impl std::fmt::Display) -> Error {
    Error::Fault(Arc::new(Cause(why.to_string())))
}
