//! Requests that this server makes of others: the only HTTP client. It fetches the key sets of
//! partners.
//!
//! Owns where a connection may go, and how much time and memory an answer may take. Must not know
//! what an answer means, or who wants it. Reading order: [`address`] (which addresses are refused),
//! [`allow`] (which of them an operator allows), [`network`] (where names lead), [`trust`] (whose
//! certificates are good), [`connect`] (one guarded connection), [`fetch`] (one request), [`caching`]
//! (how long an answer is good).

pub(crate) mod address;
pub(crate) mod allow;
pub(crate) mod caching;
pub(crate) mod connect;
pub(crate) mod fault;
pub(crate) mod fetch;
pub(crate) mod network;
pub(crate) mod trust;
