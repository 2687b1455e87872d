//! What the server makes of the recorded events, after the commit that recorded them.
//!
//! Owns the order in which events are read: each reader sees every event once, however the commits
//! overlapped and whichever process works for it. Must not know how an event comes about, and must
//! not delay the path of a token.
//!
//! Every reader goes through [`settle`]. [`ledger`] is the one that makes the tamper-evident log
//! ([`log`]) and adds up usage ([`usage`]). [`search`] is for people, who look for some events.
//! [`prune`] says which tokens may be removed. [`lag`] tells how far the ledger lags. [`expiry`] reads no events: it warns of what is to come.

pub(crate) mod expiry;
pub(crate) mod lag;
pub(crate) mod ledger;
pub(crate) mod log;
pub(crate) mod prune;
pub(crate) mod search;
pub(crate) mod settle;
mod span;
pub(crate) mod usage;
