//! Agents under an operator's hand: made, shown, changed, stopped. Owns the order of steps.

use std::sync::Arc;

use uuid::Uuid;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::Invalid;
use crate::domain::agent::{Agent, AgentStatus, Epoch, Profile};
use crate::domain::catalogue::Catalogue;
use crate::domain::event::Actor;
use crate::domain::grant::LONGEST_SCOPE_LIST;
use crate::domain::id::AgentId;
use crate::domain::quota::PlanName;
use crate::domain::risk::RiskRules;
use crate::domain::scope::{Scope, join};
use crate::domain::ttl::Ttl;
use crate::entropy::{Entropy, uuid_v7};
use crate::store::{AgentRecord, Change, Freshness, Outcome, Records, Store, StoreError, Write};

use crate::service::clients::secret::{Secret, Secrets};
use crate::service::error::{Cause, Error};
use crate::service::plans::SharedPlans;

use super::scopes::open_warnings;
use super::view::{AgentView, NewSecret};

/// What an operator is refused, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Nobody has this id.
    #[error("no agent has this id")]
    NotFound,
    /// Somebody has this id already.
    #[error("an agent with this id exists already")]
    Taken,
    /// Tokens about a user must not be taken for tokens of an agent.
    #[error("an agent and a user, now or earlier, would have the same id")]
    Namesake,
    /// Decommissioned agents stay so.
    #[error("the agent is decommissioned, which is for ever")]
    Decommissioned,
    /// A scope must be in the catalogue before an agent can be given it.
    #[error("scope {0} is not in the catalogue: add it first")]
    UnknownScope(Scope),
    /// Plans come from the configuration.
    #[error("plan {0} is not configured")]
    UnknownPlan(PlanName),
    /// A value breaks its rule.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Nobody is to have more live secrets than this.
    #[error(
        "an agent has {limit} live secrets at most (limits.credentials_per_agent), and with an overlap there \
         would be more: {first_to_end} would have to end first; without an overlap all end at once"
    )]
    TooManyCredentials {
        /// How many.
        limit: i64,
        /// Which, with their times.
        first_to_end: String,
    },
    /// Others kept changing the agent.
    #[error("the agent kept changing under this update: try again")]
    Contended,
}

/// Why an operation on agents did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The operator asked for what cannot be.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Something failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<StoreError> for AgentError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Invalid> for AgentError {
    fn from(rule: Invalid) -> Self {
        Self::Rejected(rule.into())
    }
}

/// An agent to be made.
#[derive(Debug, Clone)]
pub struct NewAgent {
    /// Its id; `None` draws a UUID.
    pub agent_id: Option<AgentId>,
    /// Its secret; `None` draws one.
    pub secret: Option<Secret>,
    /// What the operator decides.
    pub profile: Profile,
}

/// The operations on agents.
pub struct Agents {
    /// Where they are kept.
    pub store: Arc<dyn Store>,
    /// Where they are read in pages, and what they used.
    pub records: Arc<dyn Records>,
    /// What makes and hashes secrets.
    pub secrets: Arc<Secrets>,
    /// The configured plans.
    pub plans: SharedPlans,
    /// Which scopes are high-risk.
    pub rules: RiskRules,
    /// The lifetime of a token whose agent has none of its own.
    pub default_ttl: Ttl,
    /// How many secrets of one agent may be live at once.
    pub credentials_per_agent: i64,
    /// The clock.
    pub clock: Arc<StoreClock>,
    /// Where ids come from.
    pub entropy: Arc<dyn Entropy>,
}

impl Agents {
    /// Makes an agent with its first secret.
    pub async fn create(&self, new: NewAgent, by: Actor) -> Result<NewSecret, AgentError> {
        let agent_id = match new.agent_id {
            Some(id) => id,
            None => AgentId::parse(&self.draw_id()?.to_string())?,
        };
        let catalogue = self.store.catalogue(Freshness::Fresh).await?;
        check_scopes(&new.profile.terms.scopes, &catalogue)?;
        let warnings = open_warnings(&new.profile.terms.scopes, &catalogue, &self.rules);
        self.check_plan(&new.profile.terms.plan)?;
        // Asked before the secret is hashed, and again by the commit.
        if self.store.agent(&agent_id, Freshness::Fresh).await?.is_some() {
            return Err(Rejection::Taken.into());
        }
        let (secret, credential) = self.make_credential(&agent_id, new.secret).await?;
        let (credential_id, agent) = (credential.credential_id, self.new_agent(&agent_id, new.profile));
        let change = Change::CreateAgent { agent: Box::new(agent), credential: Box::new(credential) };
        match self.commit(change, by).await? {
            Outcome::Conflict => Err(Rejection::Taken.into()),
            Outcome::Clash => Err(Rejection::Namesake.into()),
            _ => Ok(NewSecret { agent_id, credential_id, secret, old_expires_at: None, warnings }),
        }
    }

    /// The agent with its credentials and what it used this month.
    pub async fn show(&self, agent_id: &AgentId) -> Result<AgentView, AgentError> {
        let record = self.find(agent_id).await?;
        let now = self.clock.now();
        let used = self.records.used(std::slice::from_ref(agent_id), now.month()).await?;
        let view = AgentView::of(&record.agent, &self.plans.load(), used.get(agent_id).copied(), now);
        Ok(view.with_credentials(&record.credentials, now))
    }

    /// Up to `limit` agents in the order of their ids, those after `after`.
    pub async fn list(&self, after: Option<&AgentId>, limit: i64) -> Result<Vec<AgentView>, Error> {
        let agents = self.records.agents(after, limit).await?;
        let ids: Vec<AgentId> = agents.iter().map(|a| a.agent_id.clone()).collect();
        let now = self.clock.now();
        let used = self.records.used(&ids, now.month()).await?;
        let view = |a: &Agent| AgentView::of(a, &self.plans.load(), used.get(&a.agent_id).copied(), now);
        Ok(agents.iter().map(view).collect())
    }

    /// Stops an agent and kills its live tokens at once.
    pub async fn suspend(&self, agent_id: &AgentId, by: Actor) -> Result<AgentView, AgentError> {
        self.change(agent_id, Change::SuspendAgent(agent_id.clone()), by).await
    }

    /// Lets a suspended agent work again. Its old tokens stay dead.
    pub async fn reactivate(&self, agent_id: &AgentId, by: Actor) -> Result<AgentView, AgentError> {
        self.change(agent_id, Change::ReactivateAgent(agent_id.clone()), by).await
    }

    /// Stops an agent for ever.
    pub async fn decommission(&self, agent_id: &AgentId, by: Actor) -> Result<AgentView, AgentError> {
        self.change(agent_id, Change::DecommissionAgent(agent_id.clone()), by).await
    }

    /// Kills an agent's live tokens and leaves it active.
    pub async fn revoke_tokens(&self, agent_id: &AgentId, by: Actor) -> Result<AgentView, AgentError> {
        self.change(agent_id, Change::RevokeAgentTokens(agent_id.clone()), by).await
    }

    /// A warning for each of `scopes` that neither its name nor a hand has judged.
    pub async fn scope_warnings(&self, scopes: &[Scope]) -> Result<Vec<String>, Error> {
        let catalogue = self.store.catalogue(Freshness::Fresh).await?;
        Ok(open_warnings(scopes, &catalogue, &self.rules))
    }

    /// Refuses an agent that can never change its secret again, before anything is done for it.
    pub async fn demand_living(&self, agent_id: &AgentId) -> Result<(), AgentError> {
        match self.find(agent_id).await?.agent.status {
            AgentStatus::Active | AgentStatus::Suspended => Ok(()),
            AgentStatus::Decommissioned => Err(Rejection::Decommissioned.into()),
        }
    }

    pub(super) async fn find(&self, agent_id: &AgentId) -> Result<Arc<AgentRecord>, AgentError> {
        let found = self.store.agent(agent_id, Freshness::Fresh).await?;
        found.ok_or_else(|| Rejection::NotFound.into())
    }

    async fn change(&self, agent_id: &AgentId, change: Change, by: Actor) -> Result<AgentView, AgentError> {
        accepted(self.commit(change, by).await?)?;
        self.show(agent_id).await
    }

    pub(super) async fn commit(&self, change: Change, by: Actor) -> Result<Outcome, Error> {
        let outcomes = self.store.commit(vec![Write { at: self.clock.moment(), by, change }]).await?;
        outcomes.first().copied().ok_or_else(no_outcome)
    }

    pub(super) fn check_plan(&self, plan: &PlanName) -> Result<(), Rejection> {
        self.plans.load().limit(plan).map(|_| ()).ok_or_else(|| Rejection::UnknownPlan(plan.clone()))
    }

    pub(super) fn new_agent(&self, agent_id: &AgentId, profile: Profile) -> Agent {
        let (now, millis) = (self.clock.now(), self.clock.unix_millis());
        Agent {
            agent_id: agent_id.clone(),
            profile,
            status: AgentStatus::Active,
            epoch: Epoch(millis),
            version: millis,
            created_at: now,
            updated_at: now,
        }
    }

    pub(super) fn draw_id(&self) -> Result<Uuid, Error> {
        Ok(uuid_v7(&*self.clock, &*self.entropy)?)
    }
}

pub(super) fn check_scopes(scopes: &[Scope], catalogue: &Catalogue) -> Result<(), Rejection> {
    match scopes.iter().find(|s| !catalogue.contains(s)) {
        Some(unknown) => Err(Rejection::UnknownScope(unknown.clone())),
        // More than one token carries would make the request without a scope fail (contract D3).
        None if join(scopes).len() >= LONGEST_SCOPE_LIST => {
            Err(Invalid("an agent's scopes, joined by spaces, are shorter than 3072 bytes").into())
        }
        None => Ok(()),
    }
}

/// What a change of state may come to: done, so already, or refused.
pub(super) fn accepted(outcome: Outcome) -> Result<(), Rejection> {
    match outcome {
        Outcome::Applied | Outcome::Unchanged => Ok(()),
        Outcome::NotFound => Err(Rejection::NotFound),
        // No other state of an agent stands in the way of a change, and none of these gives a name.
        Outcome::Conflict | Outcome::Clash | Outcome::TooMany => Err(Rejection::Decommissioned),
    }
}

pub(super) fn fault(why: &str) -> Error {
    Error::Fault(Arc::new(Cause(why.to_owned())))
}

pub(super) fn no_outcome() -> Error {
    fault("the store gave no outcome")
}
