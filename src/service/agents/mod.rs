//! Agents under an operator's hand: made, shown, changed, stopped, given a new secret.
//!
//! Owns the order of steps and what an operator is refused. Must not know who asks (the command line
//! or an endpoint) or how the answer is printed. Reading order: this file, `patch` (what an update
//! changes), [`view`] (what is shown of an agent), [`import`] (many at once).

use std::sync::Arc;

use uuid::Uuid;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::Invalid;
use crate::domain::agent::{Agent, AgentStatus, Epoch, Profile};
use crate::domain::credential::{Credential, SecretHash, Tag};
use crate::domain::event::Actor;
use crate::domain::grant::LONGEST_SCOPE_LIST;
use crate::domain::id::{AgentId, CredentialId};
use crate::domain::quota::{PlanName, Plans};
use crate::domain::risk::RiskRules;
use crate::domain::scope::{Catalogue, Scope, join};
use crate::domain::time::Timestamp;
use crate::entropy::{Entropy, uuid_v7};
use crate::store::{AgentRecord, Change, Freshness, Outcome, Store, StoreError, Write};

use super::scopes::open_warnings;
use super::secret::{Secret, Secrets};
use super::{Cause, Error};

pub mod import;
mod patch;
pub mod view;

pub use patch::ProfilePatch;
pub use view::AgentView;

/// The longest that an old secret may live beside the new one, in seconds: 30 days.
pub const LONGEST_OVERLAP: i64 = 2_592_000;

/// How often an update is made again because somebody else changed the agent meanwhile.
const MOST_CONFLICTS: usize = 5;

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

/// A secret that was just made, to be shown this once.
#[derive(Debug)]
pub struct NewSecret {
    /// Whose.
    pub agent_id: AgentId,
    /// The credential that it opens.
    pub credential_id: CredentialId,
    /// The secret in clear.
    pub secret: Secret,
    /// When the secret before it ends; `None` when there was none.
    pub old_expires_at: Option<Timestamp>,
    /// What the operator should know about the agent.
    pub warnings: Vec<String>,
}

/// The operations on agents.
pub struct Agents {
    /// Where they are kept.
    pub store: Arc<dyn Store>,
    /// What makes and hashes secrets.
    pub secrets: Arc<Secrets>,
    /// The configured plans.
    pub plans: Plans,
    /// Which scopes are high-risk.
    pub rules: RiskRules,
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
        let used = self.store.used(std::slice::from_ref(agent_id), now.month()).await?;
        let view = AgentView::of(&record.agent, &self.plans, used.get(agent_id).copied(), now);
        Ok(view.with_credentials(&record.credentials, now))
    }

    /// Up to `limit` agents in the order of their ids, those after `after`.
    pub async fn list(&self, after: Option<&AgentId>, limit: i64) -> Result<Vec<AgentView>, Error> {
        let agents = self.store.agents(after, limit).await?;
        let ids: Vec<AgentId> = agents.iter().map(|a| a.agent_id.clone()).collect();
        let now = self.clock.now();
        let used = self.store.used(&ids, now.month()).await?;
        let view = |a: &Agent| AgentView::of(a, &self.plans, used.get(&a.agent_id).copied(), now);
        Ok(agents.iter().map(view).collect())
    }

    /// Changes a profile. When somebody else changed it meanwhile, the change is made again on theirs.
    /// A patch that holds nothing leaves no trace.
    pub async fn update(
        &self,
        agent_id: &AgentId,
        patch: &ProfilePatch,
        by: Actor,
    ) -> Result<AgentView, AgentError> {
        if patch.is_empty() {
            return self.show(agent_id).await;
        }
        // Only what is given is checked: a scope or plan that was taken away since stays as it is.
        let mut warnings = Vec::new();
        if let Some(scopes) = &patch.scopes {
            let catalogue = self.store.catalogue(Freshness::Fresh).await?;
            check_scopes(scopes, &catalogue)?;
            warnings = open_warnings(scopes, &catalogue, &self.rules);
        }
        if let Some(plan) = &patch.plan {
            self.check_plan(plan)?;
        }
        for _ in 0..MOST_CONFLICTS {
            let record = self.find(agent_id).await?;
            let change = Change::UpdateAgent {
                agent_id: agent_id.clone(),
                expected_version: record.agent.version,
                profile: Box::new(patch.apply(&record.agent.profile)),
            };
            match self.commit(change, by.clone()).await? {
                Outcome::Applied | Outcome::Unchanged => {
                    return Ok(AgentView { warnings, ..self.show(agent_id).await? });
                }
                Outcome::NotFound => return Err(Rejection::NotFound.into()),
                Outcome::Clash => return Err(Rejection::Namesake.into()),
                Outcome::Conflict => {}
            }
        }
        Err(Rejection::Contended.into())
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

    /// Gives an agent a new secret, `chosen` or drawn. The old one lives `overlap` seconds longer.
    pub async fn rotate_secret(
        &self,
        agent_id: &AgentId,
        chosen: Option<Secret>,
        overlap: i64,
        by: Actor,
    ) -> Result<NewSecret, AgentError> {
        if !(0..=LONGEST_OVERLAP).contains(&overlap) {
            return Err(Invalid("an overlap is 0 to 2592000 seconds").into());
        }
        // Asked before the secret is hashed, and again by the commit.
        self.demand_living(agent_id).await?;
        let (secret, credential) = self.make_credential(agent_id, chosen).await?;
        let credential_id = credential.credential_id;
        let old_expires_at = self.clock.now().saturating_add(overlap);
        let change = Change::RotateSecret { credential: Box::new(credential), old_expires_at };
        accepted(self.commit(change, by).await?)?;
        let (agent_id, old_expires_at) = (agent_id.clone(), Some(old_expires_at));
        Ok(NewSecret { agent_id, credential_id, secret, old_expires_at, warnings: vec![] })
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

    async fn find(&self, agent_id: &AgentId) -> Result<Arc<AgentRecord>, AgentError> {
        let found = self.store.agent(agent_id, Freshness::Fresh).await?;
        found.ok_or_else(|| Rejection::NotFound.into())
    }

    async fn change(&self, agent_id: &AgentId, change: Change, by: Actor) -> Result<AgentView, AgentError> {
        accepted(self.commit(change, by).await?)?;
        self.show(agent_id).await
    }

    async fn commit(&self, change: Change, by: Actor) -> Result<Outcome, Error> {
        let outcomes = self.store.commit(vec![Write { at: self.clock.now(), by, change }]).await?;
        outcomes.first().copied().ok_or_else(no_outcome)
    }

    fn check_plan(&self, plan: &PlanName) -> Result<(), Rejection> {
        self.plans.limit(plan).map(|_| ()).ok_or_else(|| Rejection::UnknownPlan(plan.clone()))
    }

    async fn make_credential(
        &self,
        agent_id: &AgentId,
        chosen: Option<Secret>,
    ) -> Result<(Secret, Credential), AgentError> {
        let (secret, tag) = if let Some(secret) = chosen {
            let tag = self.secrets.tag_of_chosen(agent_id, &secret)?;
            (secret, tag)
        } else {
            let generated = self.secrets.generate(agent_id).map_err(Error::from)?;
            let (secret, tag) = generated.ok_or_else(|| fault("the store has no tag key"))?;
            (secret, Some(tag))
        };
        let hash = self.secrets.hash(&secret).await.map_err(Error::from)?;
        let credential = self.new_credential(agent_id, hash, tag, Some(&secret))?;
        Ok((secret, credential))
    }

    fn new_credential(
        &self,
        agent_id: &AgentId,
        hash: SecretHash,
        tag: Option<Tag>,
        secret: Option<&Secret>,
    ) -> Result<Credential, Error> {
        // Whoever chose a secret may have chosen a word: nothing of it is written down.
        let prefix = secret.filter(|_| tag.is_some()).map(Secret::prefix).unwrap_or_default();
        Ok(Credential {
            credential_id: CredentialId(self.draw_id()?),
            agent_id: agent_id.clone(),
            hash,
            tag,
            prefix: prefix.into(),
            created_at: self.clock.now(),
            expires_at: None,
            raw_basic: false,
        })
    }

    fn new_agent(&self, agent_id: &AgentId, profile: Profile) -> Agent {
        let now = self.clock.now();
        Agent {
            agent_id: agent_id.clone(),
            profile,
            status: AgentStatus::Active,
            epoch: Epoch(0),
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    fn draw_id(&self) -> Result<Uuid, Error> {
        Ok(uuid_v7(&*self.clock, &*self.entropy)?)
    }
}

fn check_scopes(scopes: &[Scope], catalogue: &Catalogue) -> Result<(), Rejection> {
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
fn accepted(outcome: Outcome) -> Result<(), Rejection> {
    match outcome {
        Outcome::Applied | Outcome::Unchanged => Ok(()),
        Outcome::NotFound => Err(Rejection::NotFound),
        // No other state of an agent stands in the way of a change, and none of these gives a name.
        Outcome::Conflict | Outcome::Clash => Err(Rejection::Decommissioned),
    }
}

fn fault(why: &str) -> Error {
    Error::Fault(Arc::new(Cause(why.to_owned())))
}

fn no_outcome() -> Error {
    fault("the store gave no outcome")
}
