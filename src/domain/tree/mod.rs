//! The formats of the tamper-evident log: Merkle trees, their proofs and their tiles.
//!
//! Owns hashing and proofs (RFC 6962 §2.1, RFC 9162 §2.1) and the tiles and bundles that programs
//! of others read (C2SP tlog-tiles). Must not know where entries and tiles are stored, who signs, or
//! the clock: hashes are read through a closure.

pub(crate) mod bundle;
mod decimal;
pub(crate) mod frontier;
pub(crate) mod growth;
pub(crate) mod hash;
pub(crate) mod node;
pub(crate) mod proof;
pub(crate) mod tile;
mod vectors;
pub(crate) mod verify;
