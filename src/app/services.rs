//! Builds the services over an opened store: a server gets all of them, a command those it needs.
//!
//! `open` builds those that it needs to open a store: keys, codes and secrets. No other module
//! builds a service. Must not know what the services are used for.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::clock::{Clock as _, StoreClock, SystemClock};
use crate::config::Config;
use crate::domain::act::Act;
use crate::domain::id::HolderId;
use crate::entropy::{IdEntropy, uuid_v7};
use crate::http::body::Bodies;
use crate::http::client_address::ClientAddresses;
use crate::http::openapi::served::ApiDocument;
use crate::http::server_metadata::ServerMetadata;
use crate::http::state::State;
use crate::http::write_openapi;
use crate::service::clients::authenticate::Authenticator;
use crate::service::introspection::Introspection;
use crate::service::issue::{Mint, MintParts};
use crate::service::journal::ledger::{self, Ledger};
use crate::service::journal::log::open::LogOpener;
use crate::service::journal::log::read::AuditLog;
use crate::service::journal::log::verify::LogVerifier;
use crate::service::journal::prune::TokenPruner;
use crate::service::journal::settle::JournalReader;
use crate::service::journal::usage::UsageLedger;
use crate::service::limits::Limits;
use crate::service::manage::agents::{Agents, AgentsParts};
use crate::service::manage::audit::Audit;
use crate::service::manage::scopes::Scopes;
use crate::service::manage::tokens::IssuedTokens;
use crate::service::plans::SharedPlans;
use crate::service::readiness::{Draining, Readiness};
use crate::service::refusals::Refusals;
use crate::service::replay::Replays;
use crate::service::revocations::RevocationList;
use crate::service::revoke::Revocation;
use crate::service::tokens::Tokens;
use crate::store::{Records, Store};
use crate::telemetry::metrics::Metrics;

use super::audience::{default_audience, policy};
use super::error::AppError;
use super::open::{Opened, open_to_read};
use super::operator::operator;
use super::reload;
use super::request_ids::request_ids;
use super::request_log::request_log;

impl Opened {
    /// The act of an operator at the command line, at the current time.
    pub fn operator(&self) -> Act {
        Act::operator(operator(), self.clock.moment())
    }

    /// The operations on agents.
    pub fn agents(&self, config: &Config) -> Agents {
        self.agents_with(config, shared_plans(config))
    }

    fn agents_with(&self, config: &Config, plans: SharedPlans) -> Agents {
        Agents::new(AgentsParts {
            store: Arc::clone(&self.store),
            records: Arc::clone(&self.records),
            secrets: Arc::clone(&self.secrets),
            plans,
            rules: config.scopes.clone(),
            default_ttl: config.token.default_ttl,
            credentials_per_agent: config.limits.credentials_per_agent,
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
        })
    }

    /// The operations on the catalogue.
    pub fn scopes(&self, config: &Config) -> Scopes {
        let (store, records) = (Arc::clone(&self.store), Arc::clone(&self.records));
        scopes(config, store, records, Arc::clone(&self.clock))
    }

    /// The operations on events.
    pub fn audit(&self) -> Audit {
        Audit::new(
            Arc::clone(&self.store),
            Arc::clone(&self.records),
            Arc::clone(&self.clock),
        )
    }

    /// The operations on single tokens.
    pub fn issued_tokens(&self) -> IssuedTokens {
        // A command line has no audience of its own. The keyring may still be empty: the first
        // token then names an unknown key, and `Tokens` reads the keys again.
        let tokens = Arc::new(self.tokens(vec![]));
        IssuedTokens::new(
            Arc::clone(&self.store),
            Arc::clone(&self.records),
            tokens,
            Arc::clone(&self.clock),
        )
    }

    /// The ledger of this process.
    pub fn ledger(&self, config: &Config, plans: SharedPlans) -> Result<Ledger, AppError> {
        let (records, clock) = (Arc::clone(&self.records), Arc::clone(&self.clock));
        let drawn = uuid_v7(&*clock, &*self.entropy).map_err(crate::service::Error::from)?;
        let reader = JournalReader::new(
            Arc::clone(&records),
            Arc::clone(&clock),
            ledger::LEDGER,
            HolderId(drawn),
            ledger::MAX_PIECE_EVENTS,
        );
        let usage = UsageLedger::new(Arc::clone(&records), plans);
        Ok(Ledger::new(
            reader,
            records,
            self.log_opener(config),
            usage,
            clock,
        ))
    }

    /// Announces which issued tokens may be removed.
    pub fn token_pruner(&self) -> Result<TokenPruner, AppError> {
        let (records, clock) = (Arc::clone(&self.records), Arc::clone(&self.clock));
        let drawn = uuid_v7(&*clock, &*self.entropy).map_err(crate::service::Error::from)?;
        Ok(TokenPruner::new(records, clock, HolderId(drawn)))
    }

    /// The log, to be read.
    pub(crate) fn audit_log(&self, config: &Config) -> AuditLog {
        AuditLog::new(Arc::clone(&self.records), self.log_opener(config))
    }

    /// Verifies the whole log.
    pub fn log_verifier(&self, config: &Config) -> LogVerifier {
        LogVerifier::new(Arc::clone(&self.records), self.log_opener(config))
    }

    fn log_opener(&self, config: &Config) -> LogOpener {
        LogOpener::new(
            Arc::clone(&self.store),
            Arc::clone(&self.records),
            Arc::clone(&self.keyring),
            Arc::clone(&self.clock),
            Arc::clone(&self.entropy),
            config.token.issuer.clone(),
        )
    }

    fn tokens(&self, own_audiences: Vec<String>) -> Tokens {
        let (store, keyring) = (Arc::clone(&self.store), Arc::clone(&self.keyring));
        let (keys, clock) = (Arc::clone(&self.keys), Arc::clone(&self.clock));
        Tokens::new(store, keyring, keys, clock, own_audiences)
    }
}

/// The operations on the catalogue of the configured store, if the store exists. For reading only:
/// a SQLite file is neither created nor migrated.
pub(crate) async fn open_scopes_to_read(config: &Config) -> Result<Option<Scopes>, AppError> {
    let Some(records) = open_to_read(config).await? else {
        return Ok(None);
    };
    let (store, clock) = (
        Arc::clone(&records),
        Arc::new(StoreClock::new(Arc::new(SystemClock::default()))),
    );
    Ok(Some(scopes(config, store, records, clock)))
}

fn scopes(
    config: &Config,
    store: Arc<dyn Store>,
    records: Arc<dyn Records>,
    clock: Arc<StoreClock>,
) -> Scopes {
    Scopes::new(store, records, config.scopes.clone(), clock)
}

fn shared_plans(config: &Config) -> SharedPlans {
    Arc::new(ArcSwap::from_pointee(config.plans.clone()))
}

/// Builds the services of a server, which its routers share.
pub fn compose(
    config: &Config,
    opened: &Opened,
    draining: Arc<Draining>,
) -> Result<Arc<State>, AppError> {
    let Opened {
        store,
        records,
        keyring,
        watch,
        secrets,
        keys,
        codes,
        cursors,
        clock,
        entropy,
        idempotency,
        ..
    } = opened;
    let issuer = &config.token.issuer;
    let default_audience = default_audience(config)?;
    let limits = Arc::new(Limits::new(&reload::rates(config)));
    let authenticator = Arc::new(Authenticator::new(
        Arc::clone(store),
        Arc::clone(secrets),
        Arc::clone(&limits),
        Arc::clone(clock),
        opened.assertions(config)?,
    ));
    let tokens = Arc::new(opened.tokens(vec![issuer.clone(), default_audience.as_str().into()]));
    let list = Arc::new(RevocationList::new(
        Arc::clone(watch.gate()),
        Arc::clone(records),
        Arc::clone(clock),
        config.token.default_ttl,
        config.limits.listed_tokens,
        config.limits.held_polls,
    ));
    let plans = shared_plans(config);
    let mint = Mint::new(MintParts {
        authenticator: Arc::clone(&authenticator),
        store: Arc::clone(store),
        keys: Arc::clone(keys),
        codes: Arc::clone(codes),
        replays: Replays::new(
            Arc::clone(store),
            Arc::clone(codes),
            Arc::clone(&list),
            Arc::clone(clock),
        ),
        keyring: Arc::clone(keyring),
        policy: policy(config, default_audience),
        plans: Arc::clone(&plans),
        limits: Arc::clone(&limits),
        clock: Arc::clone(clock),
        entropy: Arc::new(IdEntropy::new(Arc::clone(entropy))),
    });
    Ok(Arc::new(State {
        mint,
        codes: Arc::clone(codes),
        authenticator,
        revocation: Revocation::new(
            Arc::clone(store),
            Arc::clone(&tokens),
            Arc::clone(&list),
            Arc::clone(clock),
        ),
        introspection: Introspection::new(
            Arc::clone(&tokens),
            Arc::clone(&limits),
            &config.limits.secretless_scopes,
        ),
        tokens,
        limits,
        list,
        verifiers: Arc::new(opened.verifiers()),
        keys: Arc::clone(keys),
        keyring: Arc::clone(keyring),
        agents: opened.agents_with(config, plans),
        idempotency: Arc::clone(idempotency),
        scopes: opened.scopes(config),
        orgs: opened.orgs(),
        partners: opened.partners(config),
        audit: opened.audit(),
        clock: Arc::clone(clock),
        cursors: Arc::clone(cursors),
        refusals: Arc::new(Refusals::new(
            Arc::clone(store),
            Arc::clone(records),
            Arc::clone(clock),
        )),
        audit_log: opened.audit_log(config),
        metadata: ServerMetadata::new(issuer),
        openapi: ApiDocument::new(issuer, write_openapi),
        readiness: Readiness::new(draining, watch, Arc::clone(store), Arc::clone(clock)),
        metrics: Metrics::install().map_err(|error| AppError::Other(error.to_string()))?,
        request_log: request_log(config),
        client_addresses: ClientAddresses::new(
            config.server.trusted_proxies.clone(),
            config.server.client_address_header.as_deref(),
        ),
        source_precision: config.audit.source,
        bodies: Bodies::default(),
        request_ids: request_ids(&**entropy)?,
    }))
}
