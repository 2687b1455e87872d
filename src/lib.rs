//! Sealwright: a standalone OAuth 2.0 client-credentials token server for agents and other machines.
//!
//! An agent posts its credentials and gets a short-lived RS256 token; a service introspects it, or
//! verifies it offline with the JWKS and the revocation list; an operator runs one binary, on an
//! embedded SQLite file or on Postgres with any number of replicas.
//!
//! # The map, in reading order
//!
//! | module | owns |
//! |---|---|
//! | [`domain`] | pure values and decisions: agents, scopes, lifetimes, quotas, the grant |
//! | [`clock`], [`entropy`] | the time of day and randomness, as traits |
//! | [`document`] | bytes with their entity tag |
//! | [`store`] | what a store promises; group commit and cache around any store; the two backends |
//! | [`keys`] | signing, verifying, publishing, sealing; private key bytes live there and nowhere else |
//! | [`service`] | what the server does, each operation with two front doors |
//! | [`api`] | the wire types of the management API, for every door |
//! | [`http`] | routes, error shapes, limits; from bytes to an operation and back |
//! | [`tasks`] | runs background loops; one that dies ends the process |
//! | [`telemetry`] | how logs look and what is counted |
//! | [`config`] | the configuration as written and as meant |
//! | [`app`] | the composition root: the only namer of concrete types, with the table of loops |
//! | [`cli`] | the commands |
//! | [`testing`] | what tests and benches take hold of; all else is private to the crate |
//!
//! # Who may name whom
//!
//! Left may name right, nothing else; `tests/tidy.rs` has the table (`ROOMS`) and enforces it:
//! `main → cli → app → {http → api, tasks, config, store backends} → service → keys → store → domain`, each
//! also what lies further right; [`clock`], [`entropy`], [`document`] and [`telemetry`] are leaves that
//! those who need them name. Only `app` names a backend.
//!
//! # A token's way
//!
//! `http::layers` (method, size, time) → `http::token` (phases) → `service::issue` (the mint):
//! `service::clients::authenticate` (whose secret) → `service::codes` (only with a code: what it stands for) →
//! `domain::grant::decide` (may it) → `store::batch` (wait for the group) → a backend's `issue` (count and
//! record, one statement; `redeem`, in one transaction, where codes are spent) → `keys::Keyring::sign`.
//!
//! # Invariants
//!
//! - The domain never awaits; no SQL stands outside two folders.
//! - No token without a recorded grant: only `decide` makes a [`domain::grant::Grant`], only a store's
//!   receipt makes it [`store::Recorded`], and only that is signed.
//! - Counter == `token.issued` events ≤ limit; delivered ≤ counter ≤ delivered + unanswered (a 503 counts as
//!   unanswered: its token may have been counted and went to nobody).
//! - An authorization code is exchanged once: it is spent in the commit that counts its token, or not at all.
//! - No agent and user ever have one id.
//! - Every state change has its audit event in the same commit.
//! - Revoked, suspended, decommissioned or rotated away is durable before the 200 and true on every
//!   replica from then on.
//! - Every key but a store's first is published before it signs, and until the last token that it
//!   signed has expired.
//! - Only time removes a revocation, 120 s after its token's `exp`, in small batches.
//! - A fault's text never reaches a caller, a secret never a log.
//! - Infrastructure failure is a 503, never a verdict.
//! - Nothing after start reads the environment.

// Of all that other modules can see (`missing-docs-in-crate-items`).
#![warn(clippy::missing_docs_in_private_items)]
#![warn(unreachable_pub)]

mod api;
mod app;
pub mod cli;
mod clock;
mod config;
mod document;
mod domain;
mod entropy;
mod http;
mod keys;
mod service;
mod store;
mod tasks;
mod telemetry;
#[doc(hidden)]
pub mod testing;
