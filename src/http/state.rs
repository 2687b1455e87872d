//! What handlers share: one struct with exactly the services that handlers call.
//!
//! Owns the ids of requests that came without one. Must not know how a service is built, or which
//! handler uses it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::StoreClock;
use crate::domain::context::RequestId;
use crate::domain::event::source::SourcePrecision;
use crate::keys::Keyring;
use crate::keys::cursor::CursorKey;
use crate::service::clients::authenticate::Authenticator;
use crate::service::codes::Codes;
use crate::service::introspection::Introspection;
use crate::service::issue::Mint;
use crate::service::journal::log::read::AuditLog;
use crate::service::keys::KeyService;
use crate::service::limits::Limits;
use crate::service::manage::agents::Agents;
use crate::service::manage::audit::Audit;
use crate::service::manage::idempotency::Idempotency;
use crate::service::manage::orgs::Orgs;
use crate::service::manage::partners::Partners;
use crate::service::manage::scopes::Scopes;
use crate::service::readiness::Readiness;
use crate::service::refusals::Refusals;
use crate::service::revocations::RevocationList;
use crate::service::revoke::Revocation;
use crate::service::tokens::Tokens;
use crate::service::verifiers::VerifierReports;
use crate::telemetry::metrics::Metrics;

use super::body::Bodies;
use super::client_address::ClientAddresses;
use super::openapi::served::ApiDocument;
use super::request_line::RequestLog;
use super::server_metadata::ServerMetadata;

/// Everything a handler may use.
pub struct State {
    /// Issues tokens.
    pub mint: Mint,
    /// Makes authorization codes.
    pub codes: Arc<Codes>,
    /// Authenticates clients at the other endpoints.
    pub authenticator: Arc<Authenticator>,
    /// Says whether a presented token is valid, and what it holds.
    pub tokens: Arc<Tokens>,
    /// How often an agent may use an endpoint.
    pub limits: Arc<Limits>,
    /// Answers questions about tokens.
    pub introspection: Introspection,
    /// Revokes tokens.
    pub revocation: Revocation,
    /// The revocation list.
    pub list: Arc<RevocationList>,
    /// Which verifiers enforce it.
    pub verifiers: Arc<VerifierReports>,
    /// Lists signing keys.
    pub keys: Arc<KeyService>,
    /// The published keys.
    pub keyring: Arc<Keyring>,
    /// The catalogue of scopes.
    pub scopes: Scopes,
    /// Shows and changes organizations.
    pub orgs: Orgs,
    /// Shows and changes partners.
    pub partners: Partners,
    /// Shows and changes agents.
    pub agents: Agents,
    /// Keeps the replies to requests that may be sent again.
    pub idempotency: Arc<Idempotency>,
    /// Reads events.
    pub audit: Audit,
    /// Authenticates the cursors of lists.
    pub cursors: Arc<CursorKey>,
    /// The clock.
    pub clock: Arc<StoreClock>,
    /// The tamper-evident log.
    pub audit_log: AuditLog,
    /// The metadata documents.
    pub metadata: ServerMetadata,
    /// The document that clients are made from.
    pub openapi: ApiDocument,
    /// Counts refused requests.
    pub refusals: Arc<Refusals>,
    /// Whether this process should get requests.
    pub readiness: Readiness,
    /// The counters.
    pub metrics: Metrics,
    /// Which requests get a line in the log.
    pub request_log: RequestLog,
    /// Which client address a request counts for.
    pub client_addresses: ClientAddresses,
    /// How precisely events tell a client's address.
    pub source_precision: SourcePrecision,
    /// The bodies that are still arriving.
    pub bodies: Bodies,
    /// Makes ids for requests that came without one.
    pub request_ids: RequestIds,
}

/// Makes request ids from a random number of this process and a counter.
pub struct RequestIds {
    process: u64,
    count: AtomicU64,
}

impl RequestIds {
    /// `process` should be random, so that the ids of two processes differ.
    pub fn new(process: u64) -> Self {
        Self {
            process,
            count: AtomicU64::new(0),
        }
    }

    /// The next id: 16 hexadecimal digits, a hyphen and a number.
    pub fn next(&self) -> RequestId {
        RequestId::made(self.process, self.count.fetch_add(1, Ordering::Relaxed))
    }
}
