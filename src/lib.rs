//! Sealwright: a standalone OAuth 2.0 client-credentials token server for agents and other
//! machines.
//!
//! An agent posts its credentials and gets a short-lived RS256 access token. A service introspects
//! the token, or verifies it offline with the JWKS and the revocation list. An operator runs one
//! binary, on an embedded SQLite file or on Postgres with any number of replicas.
//!
//! # The map, in reading order
//!
//! | module | owns |
//! |---|---|
//! | [`domain`] | pure values and decisions: agents, scopes, lifetimes, quotas, the grant |
//! | [`clock`], [`entropy`] | the time of day and randomness, as traits |
//! | [`document`] | bytes with their entity tag |
//! | [`json`] | JSON strings and integers, written by hand |
//! | [`store`] | what a store promises; group commit and cache around any store; the two backends |
//! | [`keys`] | signing, verifying, publishing, sealing; only it has the bytes of private keys |
//! | [`outbound`] | requests of others: the guarded connection, and what it fetches |
//! | [`service`] | what the server does; HTTP and the command line call the same operations |
//! | [`api`] | the wire types of the management API, for HTTP and the command line |
//! | [`http`] | routes, error shapes, limits; from bytes to an operation and back |
//! | [`tasks`] | runs background loops; if one ends, the process ends |
//! | [`telemetry`] | how logs look and what is counted |
//! | [`config`] | the configuration as written and as interpreted |
//! | [`app`] | the composition root: only it names concrete types; it has the table of loops |
//! | [`cli`] | the commands |
//! | [`testing`] | what tests and benches use; everything else is private to the crate |
//!
//! # Who may name whom
//!
//! `main → cli → app → {http → api, tasks, config, store backends} → service → {outbound, keys → store} → domain`.
//!
//! A module may name only modules to its right, and of these only the ones in its row of `ROOMS`
//! (`tests/tidy.rs`). The test `rooms_name_only_the_rooms_they_may` enforces it. [`http`] and
//! [`cli`] never name [`store`]: they call a service. [`clock`], [`entropy`], [`document`],
//! [`json`] and [`telemetry`] are leaves: the modules that need them name them. Only `app` names a
//! backend.
//!
//! # The path of a token request
//!
//! `http::layers` (transfer coding, Host, method, media type, size, time) → `http::token` (phases)
//! → `service::issue` (the mint): `service::clients::authenticate` (is the secret this client's) →
//! `service::codes` (only with an authorization code: what the code was made for) →
//! `domain::grant::decide` (may the agent have this token) → `store::batch` (wait for the group) →
//! a backend's `issue` (count and record, one statement; with an authorization code `redeem`, in
//! one transaction) → `keys::Keyring::sign`.
//!
//! # Invariants
//!
//! - The domain never awaits; SQL is in two folders only.
//! - Every token has a recorded grant: only `decide` makes a [`domain::grant::Grant`], only a
//!   store's receipt makes it [`store::Recorded`], and only a [`store::Recorded`] is signed.
//! - Counter == `token.issued` events ≤ limit; delivered ≤ counter ≤ delivered + unanswered (a 503
//!   counts as unanswered: its token may have been counted, but no client received it).
//! - An authorization code is exchanged at most once: the commit that counts its token also spends
//!   it.
//! - An agent and a user never have the same id.
//! - Every state change has its audit event in the same commit.
//! - Revocation, suspension, decommissioning and rotation are durable before the 200, and from then
//!   on in force on every replica.
//! - Every key except a store's first is published before it signs, and stays published until the
//!   last token that it signed has expired.
//! - A revocation is removed only by time, 120 s after its token's `exp`, in small batches.
//! - A fault's text never reaches a caller. A secret never reaches a log.
//! - An infrastructure failure is a 503, never a verdict.
//! - Only the start reads the environment.

// Checks the items that other modules can see (`missing-docs-in-crate-items`).
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
mod json;
mod keys;
mod outbound;
mod service;
mod store;
mod tasks;
mod telemetry;
#[doc(hidden)]
pub mod testing;
