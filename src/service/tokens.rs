//! Whether a presented token is valid: genuine, not expired, and alive in the store of record.
//!
//! Owns which of the presented tokens are alive, and the checks of Bearer tokens. Must not know how
//! a response looks.

use std::sync::Arc;

use aws_lc_rs::digest;
use quick_cache::UnitWeighter;
use quick_cache::sync::Cache;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::context::RequestContext;
use crate::domain::id::{AgentId, Jti};
use crate::domain::org::{OrgId, Reach};
use crate::domain::refusal::Refusal;
use crate::domain::token::TokenVerdict;
use crate::keys::{Keyring, Verified};
use crate::store::{Store, TokenRef};

pub(crate) use super::caller::{Caller, Genuine};
use super::error::Error;
use super::keys::KeyService;

/// The most verified signatures that are cached. Expiry, revocation, status and epoch are checked
/// anew each time.
const MAX_VERIFIED: u64 = 20_000;

/// The cache has room for this many at the start, and grows if there are more.
const EXPECTED: usize = 1_000;

/// A token that is alive, and the organisation of its agent.
struct Living {
    token: Arc<Genuine>,
    org_id: OrgId,
}

/// What a gateway demands of a live token. All demands must be met.
#[derive(Debug, Default)]
pub struct Demands {
    /// Scopes that the token must have.
    pub scopes: Vec<String>,
    /// Audiences that the token must have.
    pub audiences: Vec<String>,
}

/// Verifies presented tokens.
pub struct Tokens {
    store: Arc<dyn Store>,
    keyring: Arc<Keyring>,
    keys: Arc<KeyService>,
    clock: Arc<StoreClock>,
    /// A Bearer token opens this server's endpoints only if its `aud` holds one of these.
    own_audiences: Vec<String>,
    /// Verified tokens. An entry counts only while the keyring knows the key that signed it.
    verified: Cache<[u8; 32], Arc<Genuine>>,
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

    /// The token's claims if this store's keys signed it. This does not check whether the token has
    /// expired or is revoked.
    pub async fn read(&self, token: &str) -> Result<Option<Arc<Genuine>>, Error> {
        // The cache key covers the whole token, so that a token with another signature never
        // matches a verified one.
        let mut key = [0u8; 32];
        key.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        if let Some(known) = self.verified.get(&key)
            && self.keyring.knows(&known.kid)
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
            kid,
        });
        if !genuine.is_expired(self.clock.now()) {
            self.verified.insert(key, Arc::clone(&genuine));
        }
        Ok(Some(genuine))
    }

    /// Which of `tokens` are alive. One look-up for all of them, in the store of record.
    async fn alive<const N: usize>(
        &self,
        tokens: [Option<Arc<Genuine>>; N],
    ) -> Result<[Option<Living>; N], Error> {
        let now = self.clock.now();
        // An expired token is dead whatever the store says, because the clean-up may have removed
        // what the store knew of it.
        let tokens = tokens.map(|t| t.filter(|t| !t.is_expired(now)));
        let references: Vec<TokenRef> = tokens
            .iter()
            .flatten()
            .map(|t| t.reference.clone())
            .collect();
        if references.is_empty() {
            return Ok(tokens.map(|_| None));
        }
        let standings = self.store.standing(&references).await?;
        // Another process may have revoked the key of a token that was verified just now.
        let known = self.keyring.version();
        if standings.iter().any(|one| one.keys_version != known) {
            self.keys.follow().await?;
        }
        let mut standings = standings.into_iter();
        Ok(tokens.map(|token| {
            let (token, standing) = (token?, standings.next()?);
            let lives = token.verdict(&standing, now) == TokenVerdict::Active;
            (lives && self.keyring.knows(&token.kid)).then(|| Living {
                token,
                org_id: standing.org_id.unwrap_or_default(),
            })
        }))
    }

    /// The token if it is alive and somebody in the organisation `own` with this reach sees it.
    pub(super) async fn live(
        &self,
        token: &str,
        reach: Reach,
        own: &OrgId,
    ) -> Result<Option<Arc<Genuine>>, Error> {
        let [token] = self.alive([self.read(token).await?]).await?;
        let seen = token.filter(|living| reach.covers(own.as_str(), living.org_id.as_str()));
        Ok(seen.map(|living| living.token))
    }

    /// The caller that the Bearer token names, as in [`Self::caller`], and `token` if it is alive
    /// and the caller sees it. One look-up for both.
    pub(super) async fn caller_and_live(
        &self,
        bearer: &str,
        token: &str,
    ) -> Result<(Caller, Option<Arc<Genuine>>), Error> {
        let (caller, token) = (self.read(bearer).await?, self.read(token).await?);
        let [caller, token] = self.alive([caller, token]).await?;
        let caller = self.admit(caller)?;
        let seen = token.filter(|living| caller.reaches(&living.org_id));
        Ok((caller, seen.map(|living| living.token)))
    }

    /// The caller that a Bearer token names (RFC 6750), if the token is alive and was issued for
    /// this server.
    pub async fn caller(&self, bearer: &str) -> Result<Caller, Error> {
        let [caller] = self.alive([self.read(bearer).await?]).await?;
        Ok(self.admit(caller)?)
    }

    /// The live token of a request at a gateway, for any audience, if it meets all demands. Notes
    /// in `context` whose token it is, before a demand refuses it.
    pub async fn check_bearer(
        &self,
        bearer: &str,
        demands: &Demands,
        context: &RequestContext,
    ) -> Result<Arc<Genuine>, Error> {
        let [token] = self.alive([self.read(bearer).await?]).await?;
        let token = token.ok_or(Refusal::InvalidToken)?.token;
        context.prove(&token.reference.agent_id);
        let claims = &token.claims;
        // RFC 9068 §4: a token that was not issued for this resource is not valid there.
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
    fn admit(&self, caller: Option<Living>) -> Result<Caller, Refusal> {
        let Living { token, org_id } = caller.ok_or(Refusal::InvalidToken)?;
        let claims = &token.claims;
        let for_us = self
            .own_audiences
            .iter()
            .any(|own| claims.aud.contains(own));
        if for_us && claims.sub == claims.client_id {
            Ok(Caller::new(token, org_id))
        } else {
            Err(Refusal::InvalidToken)
        }
    }
}
