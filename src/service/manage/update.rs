//! Changes to agents by an operator: to a profile, alone or together with the secret. Owns the
//! order of steps.

use crate::domain::act::Act;
use crate::domain::agent::{LiveTokens, Profile};
use crate::domain::id::AgentId;
use crate::domain::rejection::RejectionCode;
use crate::store::{AgentChange, AgentRecord, Change, Freshness, Outcome};

use crate::service::clients::secret::Secret;

use super::agents::Agents;
use super::checks::{demand_none, scope_errors};
use super::credentials::Rotation;
use super::error::ManageError;
use super::patch::{ProfilePatch, brings_end_forward, narrowed_warning};
use super::request::ChangeRequest;
use super::scope_risk::open_warnings;
use super::view::AgentView;

/// How often an update is repeated because somebody else changed the agent meanwhile.
const MAX_CONFLICTS: usize = 5;

/// The warning about tokens that were killed without being asked for.
const ENDED_EARLIER: &str = "the agent expires earlier than before: its live tokens are killed";

/// An agent whose secret was replaced, even if a later step failed.
#[derive(Debug)]
pub struct Replaced {
    /// The agent as it is now. An error if the agent cannot be read or its tokens were not killed.
    pub agent: Result<AgentView, ManageError>,
}

impl Agents {
    /// Changes a profile. If somebody else changed it meanwhile, the change is made again on the
    /// other's version. A patch that changes nothing writes nothing. If live tokens are kept, they
    /// keep their rights, and the warnings of the result say which rights the agent has lost. An end
    /// that is brought forward kills live tokens in any case.
    pub async fn update(
        &self,
        agent_id: &AgentId,
        patch: &ProfilePatch,
        request: impl Into<ChangeRequest<'_>>,
    ) -> Result<AgentView, ManageError> {
        let request = request.into();
        patch.demand_own_id(agent_id)?;
        // Only given values are checked: a scope or plan that was removed meanwhile stays as it is.
        let (mut warnings, mut errors) = (Vec::new(), Vec::new());
        if let Some(scopes) = &patch.scopes {
            let catalogue = self.parts.store.catalogue(Freshness::Fresh).await?;
            errors = scope_errors(scopes, &catalogue);
            warnings = open_warnings(scopes, &catalogue, &self.parts.rules);
        }
        errors.extend(patch.plan.iter().flat_map(|plan| self.plan_errors(plan)));
        demand_none(errors)?;
        for _ in 0..MAX_CONFLICTS {
            let found = self.parts.store.agent(agent_id, Freshness::Fresh).await?;
            request.demand(found.as_ref().map(|record| record.agent.version))?;
            let record = found.ok_or(RejectionCode::AgentNotFound)?;
            let profile = patch.apply(&record.agent.profile)?;
            if profile == record.agent.profile && patch.tokens == LiveTokens::Keep {
                let shown = self.view(&record).await?;
                return Ok(AgentView { warnings, ..shown });
            }
            if record.agent.status.is_final() {
                return Err(RejectionCode::AgentDecommissioned.into());
            }
            if let Some(mut view) = self.update_once(&record, profile, patch, request).await? {
                warnings.append(&mut view.warnings);
                return Ok(AgentView { warnings, ..view });
            }
        }
        Err(RejectionCode::AgentKeptChanging.into())
    }

    /// Changes the profile of this version of an agent. `None` if somebody else changed it
    /// meanwhile.
    async fn update_once(
        &self,
        record: &AgentRecord,
        profile: Profile,
        patch: &ProfilePatch,
        request: ChangeRequest<'_>,
    ) -> Result<Option<AgentView>, ManageError> {
        let agent_id = &record.agent.agent_id;
        let is_forward = brings_end_forward(&record.agent.profile, &profile);
        let tokens = if is_forward {
            LiveTokens::Kill
        } else {
            patch.tokens
        };
        let narrowed = match tokens {
            LiveTokens::Kill if patch.tokens == LiveTokens::Keep => Some(ENDED_EARLIER.to_owned()),
            LiveTokens::Keep => narrowed_warning(&record.agent, &profile, self.parts.default_ttl),
            LiveTokens::Kill => None,
        };
        let change = Change::Agent(AgentChange::Update {
            agent_id: agent_id.clone(),
            expected_version: record.agent.version,
            before: Box::new(record.agent.profile.clone()),
            profile: Box::new(profile),
            tokens,
        });
        let (outcome, tried) = if request.is_dry_run() {
            let write = self.write(change, request.act);
            let tried = self.parts.records.rehearse(&write, agent_id).await?;
            (tried.outcome, tried.agent)
        } else {
            (self.commit(change, request.act).await?, None)
        };
        match outcome {
            Outcome::Applied | Outcome::Unchanged => {}
            Outcome::NotFound => return Err(RejectionCode::AgentNotFound.into()),
            Outcome::Clash => return Err(RejectionCode::IdOfUser.into()),
            Outcome::Conflict
            | Outcome::TooMany
            | Outcome::TargetChanged
            | Outcome::CallerChanged
            | Outcome::Answered => return Ok(None),
        }
        let view = match &tried {
            Some(record) => self.view(record).await?,
            None => self.show(agent_id).await?,
        };
        Ok(Some(AgentView {
            tokens_killed: tokens == LiveTokens::Kill && !request.is_dry_run(),
            warnings: narrowed.into_iter().collect(),
            ..view
        }))
    }

    /// The same as [`Self::update`], and gives the agent a secret that its operator chose. If this
    /// returns an error, the agent keeps the old secret.
    pub async fn update_with_secret(
        &self,
        agent_id: &AgentId,
        patch: &ProfilePatch,
        secret: Secret,
        act: &Act,
    ) -> Result<Replaced, ManageError> {
        patch.demand_own_id(agent_id)?;
        // Checked before the profile is changed, so that the operation is not done by halves.
        self.demand_living(agent_id).await?;
        let updated = self.update(agent_id, patch, act).await?;
        let rotation = Rotation {
            chosen: Some(secret),
            ..Rotation::default()
        };
        self.rotate_secret(agent_id, rotation, act).await?;
        let rest = async {
            // Tokens that were issued for the old secret meanwhile must be killed too.
            if patch.tokens == LiveTokens::Kill {
                self.revoke_tokens(agent_id, act).await?;
            }
            Ok(AgentView {
                warnings: updated.warnings,
                ..self.show(agent_id).await?
            })
        };
        Ok(Replaced { agent: rest.await })
    }
}
