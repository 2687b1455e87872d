//! The operations on agents: make, show, change, stop. Owns the order of steps.

use std::sync::Arc;

use uuid::Uuid;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::act::Act;
use crate::domain::agent::{Agent, AgentName, AgentStatus, Epoch, Profile};
use crate::domain::agent_filter::{AgentFilter, MAX_IDS};
use crate::domain::id::AgentId;
use crate::domain::org::{OrgId, OrgStatus};
use crate::domain::quota::PlanName;
use crate::domain::rejection::{FieldError, Rejection, RejectionCode};
use crate::domain::risk::RiskRules;
use crate::domain::scope::Scope;
use crate::domain::ttl::Ttl;
use crate::entropy::{Entropy, uuid_v7};
use crate::store::{AgentRecord, AgentRows, Change, Freshness, Outcome, Records, Store, Write};

use crate::service;
use crate::service::clients::secret::{Secret, Secrets};
use crate::service::plans::SharedPlans;

use super::checks::no_outcome;
use super::error::ManageError;
use super::scope_risk::open_warnings;
use super::view::{AgentPage, AgentView};

/// How many agents with one name an error lists.
const MAX_NAMESAKES: i64 = 10;

/// An agent to be made.
#[derive(Debug, Clone)]
pub struct NewAgent {
    /// The agent's id. If it is `None`, a UUID is drawn.
    pub agent_id: Option<AgentId>,
    /// Its organization. If it is `None`, that of whoever makes it.
    pub org_id: Option<OrgId>,
    /// The agent's secret. If it is `None`, a secret is drawn.
    pub secret: Option<Secret>,
    /// What the operator decides.
    pub profile: Profile,
}

/// What the operations on agents are made of.
pub struct AgentsParts {
    /// Where agents are kept.
    pub store: Arc<dyn Store>,
    /// Reads agents in pages, and how many tokens they used.
    pub records: Arc<dyn Records>,
    /// Makes and hashes secrets.
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
    /// The source of ids.
    pub entropy: Arc<dyn Entropy>,
}

/// The operations on agents. The parts are private, so that a handler reaches no store through
/// them.
pub struct Agents {
    pub(super) parts: AgentsParts,
}

impl Agents {
    /// The operations with these parts.
    pub fn new(parts: AgentsParts) -> Self {
        Self { parts }
    }

    /// The agent with its credentials and the number of tokens that it used this month.
    pub async fn show(&self, agent_id: &AgentId) -> Result<AgentView, ManageError> {
        let record = self.find(agent_id).await?;
        self.view(&record).await
    }

    /// What is shown of this record.
    pub(super) async fn view(&self, record: &AgentRecord) -> Result<AgentView, ManageError> {
        let agent_id = &record.agent.agent_id;
        let now = self.parts.clock.now();
        let used = self
            .parts
            .records
            .used(std::slice::from_ref(agent_id), now.month())
            .await?;
        let view = AgentView::of(
            &record.agent,
            &self.parts.plans.load(),
            used.get(agent_id).copied(),
            now,
        );
        let plan = &record.agent.profile.terms.plan;
        let mut view = AgentView {
            credentials: Some(match record.agent.status {
                AgentStatus::Decommissioned => vec![],
                _ => self.live_credentials(agent_id).await?,
            }),
            ..view
        };
        if record.org.status == OrgStatus::Suspended {
            let org_id = &record.agent.org_id;
            view.warnings.push(format!(
                "the organization {org_id} is suspended: until it is reactivated, the agent gets no token"
            ));
        }
        if self.parts.plans.load().limit(plan).is_none() {
            view.warnings.push(format!(
                "no limit is configured for the plan {plan}: until it is, the agent's token requests are 503"
            ));
        }
        Ok(view)
    }

    /// Up to `limit` agents that meet the filter, in the order of their ids, starting after the id
    /// `after`. `org_id` is the organisation that the caller is limited to.
    pub async fn list(
        &self,
        filter: &AgentFilter,
        org_id: Option<&OrgId>,
        after: Option<&AgentId>,
        limit: i64,
    ) -> Result<AgentPage, ManageError> {
        if filter.ids.len() > MAX_IDS {
            return Err(Rejection::of_field("id", "is given more than 100 times").into());
        }
        // One more than asked for tells whether there are more.
        let rows = self
            .parts
            .records
            .agents_where(filter, org_id, after, limit + 1);
        let AgentRows {
            mut agents,
            through,
        } = rows.await?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let is_full = agents.len() > most;
        agents.truncate(most);
        let last = agents.last().filter(|_| is_full);
        let next = last.map(|agent| agent.agent_id.clone()).or(through);
        let ids: Vec<AgentId> = agents.iter().map(|a| a.agent_id.clone()).collect();
        let now = self.parts.clock.now();
        let used = self.parts.records.used(&ids, now.month()).await?;
        let view = |a: &Agent| {
            AgentView::of(
                a,
                &self.parts.plans.load(),
                used.get(&a.agent_id).copied(),
                now,
            )
        };
        Ok(AgentPage {
            agents: agents.iter().map(view).collect(),
            next,
        })
    }

    /// The id of the one agent with this name that is not decommissioned.
    pub async fn find_named(&self, name: &AgentName) -> Result<AgentId, ManageError> {
        let found = self.parts.records.agents_named(name, MAX_NAMESAKES).await?;
        match found.as_slice() {
            [] => {
                let code = RejectionCode::AgentNotFound;
                Err(Rejection::with(code, "no agent has this name".to_owned()).into())
            }
            [only] => Ok(only.agent_id.clone()),
            several => {
                let ids: Vec<&str> = several.iter().map(|a| a.agent_id.as_str()).collect();
                let reason = format!("several agents have this name: {}", ids.join(", "));
                Err(Rejection::invalid(vec![FieldError::new("/name", reason)]).into())
            }
        }
    }

    /// A warning for each of `scopes` whose risk neither its name nor an operator has decided.
    pub async fn scope_warnings(&self, scopes: &[Scope]) -> Result<Vec<String>, service::Error> {
        let catalogue = self.parts.store.catalogue(Freshness::Fresh).await?;
        Ok(open_warnings(scopes, &catalogue, &self.parts.rules))
    }

    /// Refuses a decommissioned agent, whose secret can never be changed again, before any other
    /// step.
    pub async fn demand_living(&self, agent_id: &AgentId) -> Result<(), ManageError> {
        self.find_living(agent_id).await.map(drop)
    }

    pub(super) async fn find_living(
        &self,
        agent_id: &AgentId,
    ) -> Result<Arc<AgentRecord>, ManageError> {
        let record = self.find(agent_id).await?;
        if record.agent.status.is_final() {
            return Err(RejectionCode::AgentDecommissioned.into());
        }
        Ok(record)
    }

    pub(super) async fn find(&self, agent_id: &AgentId) -> Result<Arc<AgentRecord>, ManageError> {
        let found = self.parts.store.agent(agent_id, Freshness::Fresh).await?;
        found.ok_or_else(|| RejectionCode::AgentNotFound.into())
    }

    pub(super) async fn commit_write(&self, write: Write) -> Result<Outcome, service::Error> {
        let outcomes = self.parts.store.commit(vec![write]).await?;
        outcomes.first().copied().ok_or_else(no_outcome)
    }

    pub(super) fn write(&self, change: Change, act: &Act) -> Write {
        Write::new(act.committed_at(self.parts.clock.moment()), change)
    }

    /// The errors of a plan: the plan must be in the configuration.
    pub(super) fn plan_errors(&self, plan: &PlanName) -> Vec<FieldError> {
        match self.parts.plans.load().limit(plan) {
            Some(_) => vec![],
            None => vec![FieldError::new(
                "/plan",
                format!("plan {plan} is not configured"),
            )],
        }
    }

    pub(super) fn new_agent(&self, agent_id: &AgentId, org_id: OrgId, profile: Profile) -> Agent {
        let (now, millis) = (self.parts.clock.now(), self.parts.clock.unix_millis());
        Agent {
            agent_id: agent_id.clone(),
            org_id,
            profile,
            status: AgentStatus::Active,
            suspended_by: None,
            epoch: Epoch(millis),
            version: millis,
            created_at: now,
            updated_at: now,
        }
    }

    pub(super) fn draw_id(&self) -> Result<Uuid, service::Error> {
        Ok(uuid_v7(&*self.parts.clock, &*self.parts.entropy)?)
    }
}
