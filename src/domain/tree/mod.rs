//! The formats of the tamper-evident log: Merkle trees, their proofs and tiles, and signed notes.
//!
//! Owns hashing and proofs (RFC 6962 §2.1, RFC 9162 §2.1), the text and byte formats that programs
//! of others read (C2SP signed-note, tlog-checkpoint, tlog-tiles, tlog-proof), and the block that
//! stands for a pass's tokens. Must not know where entries and tiles are stored, who signs, or the
//! clock: hashes are read through a closure, and `keys::log` makes and verifies signatures.

pub(crate) mod block;
pub(crate) mod bundle;
pub(crate) mod checkpoint;
mod decimal;
pub(crate) mod frontier;
pub(crate) mod hash;
pub(crate) mod node;
pub(crate) mod note;
pub(crate) mod proof;
pub(crate) mod tile;
pub(crate) mod tlog_proof;
mod vectors;
pub(crate) mod verifier_key;
pub(crate) mod verify;
