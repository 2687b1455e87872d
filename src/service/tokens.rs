//! What a presented token is worth: genuine, in time, and alive in the store of record.
//!
//! Owns introspection and Bearer checks, which share one rule. Must not know how a reply looks.

use std::sync::Arc;

use aws_lc_rs::digest;
use quick_cache::UnitWeighter;
use quick_cache::sync::Cache;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::agent::Epoch;
use crate::domain::grant::epoch_lives;
use crate::domain::id::{AgentId, Jti, Kid};
use crate::domain::refusal::Refusal;
use crate::domain::scope::{self, BUILT_IN};
use crate::domain::time::Timestamp;
use crate::keys::claims::Claims;
use crate::keys::{Keyring, Verified};
use crate::store::{Standing, Store, TokenRef};

use super::error::Error;
use super::keys::KeyService;

/// How many verified signatures are remembered. Time, revocation, status and epoch are read anyway.
const MAX_VERIFIED: u64 = 20_000;

/// How many are expected: room for these is taken at the start, and more when they come.
const EXPECTED: usize = 1_000;

/// A token that this store's keys signed, with its ids parsed.
#[derive(Debug)]
pub struct Genuine {
    /// What it says.
    pub claims: Claims,
    /// Where to look it up.
    pub reference: TokenRef,
}

impl Genuine {
    /// Whether it has expired: dead from the second `exp` on, without leeway (contract D7).
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now.0 >= self.claims.exp
    }

    fn lives(&self, standing: Standing, now: Timestamp) -> bool {
        let epoch = Epoch(self.claims.epoch);
        !self.is_expired(now)
            && !standing.revoked
            && standing
                .agent
                .is_some_and(|(status, current)| epoch_lives(status, current, epoch))
    }
}

/// Who calls one of the server's own endpoints with a Bearer token.
#[derive(Debug, Clone)]
pub struct Caller(Arc<Genuine>);

impl Caller {
    /// The agent that calls.
    pub fn agent_id(&self) -> &AgentId {
        &self.0.reference.agent_id
    }

    /// The token's scopes.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.0
            .claims
            .scope
            .split(' ')
            .filter(|scope| !scope.is_empty())
    }

    /// Whether the token carries this built-in scope; no other opens anything here (contract §3).
    pub fn may(&self, scope: &str) -> bool {
        BUILT_IN.iter().any(|b| b.name == scope) && self.0.claims.has_scope(scope)
    }

    /// Refuses a caller without this built-in scope.
    pub fn require(&self, scope: &'static str) -> Result<(), Refusal> {
        if self.may(scope) {
            Ok(())
        } else {
            Err(Refusal::InsufficientScope(scope))
        }
    }

    /// Whether the token carries an admin scope, which opens what belongs to other agents.
    pub fn is_admin(&self) -> bool {
        self.0.claims.scope.split(' ').any(scope::is_admin)
    }
}

/// What a gateway demands of a token besides its being alive: all of it.
#[derive(Debug, Default)]
pub struct Demands {
    /// Scopes that it must carry.
    pub scopes: Vec<String>,
    /// Audiences that it must have been made for.
    pub audiences: Vec<String>,
}

/// Reads presented tokens.
pub struct Tokens {
    store: Arc<dyn Store>,
    keyring: Arc<Keyring>,
    keys: Arc<KeyService>,
    clock: Arc<StoreClock>,
    /// A Bearer opens this server's endpoints when its `aud` holds one of these.
    own_audiences: Vec<String>,
    /// Each with the key that signed it: what is remembered of a token holds while its key does.
    verified: Cache<[u8; 32], (Kid, Arc<Genuine>)>,
}

impl Tokens {
    /// `own_audiences`: the issuer and the configured default audience.
    pub fn new(
        store: Arc<dyn Store>,
        keyring: Arc<Keyring>,
        keys: Arc<KeyService>,
        clock: Arc<StoreClock>,
        own_audiences: Vec<String>,
    ) -> Self {
        Self {
            store,
            keyring,
            keys,
            clock,
            own_audiences,
            verified: Cache::with_weighter(EXPECTED, MAX_VERIFIED, UnitWeighter),
        }
    }

    /// The token's claims when this store's keys signed it. Nothing is said of its time or standing.
    pub async fn read(&self, token: &str) -> Result<Option<Arc<Genuine>>, Error> {
        // The whole token is the key, so that no other signature can borrow a verified one.
        let mut key = [0u8; 32];
        key.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        if let Some((kid, known)) = self.verified.get(&key)
            && self.keyring.knows(&kid)
        {
            return Ok(Some(known));
        }
        let mut verified = self.keyring.verify(token);
        if matches!(verified, Verified::UnknownKey) {
            self.keys.reload_for_unknown_kid().await?;
            verified = self.keyring.verify(token);
        }
        let Verified::Genuine(kid, claims) = verified else {
            return Ok(None);
        };
        let (Ok(jti), Ok(agent_id)) = (Jti::parse(&claims.jti), AgentId::parse(&claims.client_id))
        else {
            return Ok(None);
        };
        let genuine = Arc::new(Genuine {
            claims: *claims,
            reference: TokenRef { jti, agent_id },
        });
        if !genuine.is_expired(self.clock.now()) {
            self.verified.insert(key, (kid, Arc::clone(&genuine)));
        }
        Ok(Some(genuine))
    }

    /// Which of `tokens` are alive: one look-up for all of them, from the store of record.
    async fn alive<const N: usize>(
        &self,
        tokens: [Option<Arc<Genuine>>; N],
    ) -> Result<[Option<Arc<Genuine>>; N], Error> {
        let now = self.clock.now();
        // An expired token is dead whatever the store says: the clean-up may have forgotten it.
        let mut tokens = tokens.map(|t| t.filter(|t| !t.is_expired(now)));
        let references: Vec<TokenRef> = tokens
            .iter()
            .flatten()
            .map(|t| t.reference.clone())
            .collect();
        if references.is_empty() {
            return Ok(tokens);
        }
        let mut standings = self.store.standing(&references).await?.into_iter();
        for slot in &mut tokens {
            if let Some(token) = slot {
                let lives = standings
                    .next()
                    .is_some_and(|standing| token.lives(standing, now));
                if !lives {
                    *slot = None;
                }
            }
        }
        Ok(tokens)
    }

    /// RFC 7662 for a caller that proved itself with its secret: the token when it is alive.
    pub async fn introspect(&self, token: &str) -> Result<Option<Arc<Genuine>>, Error> {
        let [token] = self.alive([self.read(token).await?]).await?;
        Ok(token)
    }

    /// RFC 7662 for a caller with a Bearer token: both tokens in one look-up. Says who called, too.
    pub async fn introspect_as(
        &self,
        bearer: &str,
        token: &str,
    ) -> Result<(Caller, Option<Arc<Genuine>>), Error> {
        let (caller, token) = (self.read(bearer).await?, self.read(token).await?);
        let [caller, token] = self.alive([caller, token]).await?;
        let caller = self.admit(caller)?;
        caller.require("tokens:read")?;
        Ok((caller, token))
    }

    /// The caller behind a Bearer token (RFC 6750), when it lives and was made for this server.
    pub async fn caller(&self, bearer: &str) -> Result<Caller, Error> {
        let [caller] = self.alive([self.read(bearer).await?]).await?;
        Ok(self.admit(caller)?)
    }

    /// The live token behind a gateway's request, whoever it was made for, when it meets all demands.
    pub async fn check_bearer(
        &self,
        bearer: &str,
        demands: &Demands,
    ) -> Result<Arc<Genuine>, Error> {
        let [token] = self.alive([self.read(bearer).await?]).await?;
        let token = token.ok_or(Refusal::InvalidToken)?;
        let claims = &token.claims;
        // RFC 9068 §4: a token that was not made for this resource is no valid token there.
        if !demands
            .audiences
            .iter()
            .all(|audience| claims.aud.contains(audience))
        {
            return Err(Refusal::InvalidToken.into());
        }
        if !demands.scopes.iter().all(|scope| claims.has_scope(scope)) {
            return Err(Refusal::DemandNotMet.into());
        }
        Ok(token)
    }

    /// A token made for another service, or for a user, opens nothing here (contract §3).
    fn admit(&self, caller: Option<Arc<Genuine>>) -> Result<Caller, Refusal> {
        let caller = caller.ok_or(Refusal::InvalidToken)?;
        let claims = &caller.claims;
        let for_us = self
            .own_audiences
            .iter()
            .any(|own| claims.aud.contains(own));
        if for_us && claims.sub == claims.client_id {
            Ok(Caller(caller))
        } else {
            Err(Refusal::InvalidToken)
        }
    }
}
