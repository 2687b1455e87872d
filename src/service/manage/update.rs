//! Changes to agents by an operator: to a profile, alone or together with the secret. Owns the
//! order of steps.

use crate::domain::act::Act;
use crate::domain::agent::LiveTokens;
use crate::domain::id::AgentId;
use crate::domain::permission::AgentOperation;
use crate::domain::rejection::RejectionCode;
use crate::store::{AgentChange, Change, Freshness, Outcome};

use crate::service::clients::secret::Secret;

use super::agents::Agents;
use super::attempt::MAX_CONFLICTS;
use super::authority::{holdings, holdings_with};
use super::checks::{accepted, demand_none, scope_errors};
use super::credentials::Rotation;
use super::error::ManageError;
use super::keeping::Keep;
use super::patch::{ProfilePatch, brings_end_forward, narrowed_warning};
use super::request::ChangeRequest;
use super::scope_risk::open_warnings;
use super::view::AgentView;

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
            let (authority, record) = self.reached(agent_id, &request).await?;
            let agent = &record.agent;
            let profile = patch.apply(&agent.profile)?;
            let is_forward = brings_end_forward(&agent.profile, &profile);
            let tokens = if is_forward {
                LiveTokens::Kill
            } else {
                patch.tokens
            };
            let operation = AgentOperation::Change {
                before: holdings(agent),
                after: holdings_with(agent, &profile),
                tokens,
            };
            let mut conditions = self.allowed(&authority, &operation, &record, &request)?;
            patch.demand_own_org(&agent.org_id)?;
            if patch.scopes.is_some() {
                let (of_org, errors) = self.org_bounds(&agent.org_id, &profile).await?;
                demand_none(errors)?;
                conditions.extend(of_org);
            }
            if profile == agent.profile && patch.tokens == LiveTokens::Keep {
                let shown = self.view(&record).await?;
                return Ok(AgentView { warnings, ..shown });
            }
            if agent.status.is_final() {
                return Err(RejectionCode::AgentDecommissioned.into());
            }
            let narrowed = match tokens {
                LiveTokens::Kill if patch.tokens == LiveTokens::Keep => {
                    Some(ENDED_EARLIER.to_owned())
                }
                LiveTokens::Keep => narrowed_warning(agent, &profile, self.parts.default_ttl),
                LiveTokens::Kill => None,
            };
            let change = Change::Agent(AgentChange::Update {
                agent_id: agent_id.clone(),
                expected_version: agent.version,
                before: Box::new(agent.profile.clone()),
                profile: Box::new(profile),
                tokens,
            });
            let write = self.write(change, request.act).only_if(conditions);
            let Some(attempt) = self.attempt(write, agent_id, &request).await? else {
                continue;
            };
            match attempt.outcome {
                // Somebody else was faster.
                Outcome::Conflict => continue,
                Outcome::Clash => return Err(RejectionCode::IdOfUser.into()),
                outcome => accepted(outcome)?,
            }
            warnings.extend(narrowed);
            let view = match &attempt.tried {
                Some(record) => self.view(record).await?,
                None => self.show(agent_id).await?,
            };
            return Ok(AgentView {
                tokens_killed: tokens == LiveTokens::Kill && !request.is_dry_run(),
                warnings,
                ..view
            });
        }
        Err(RejectionCode::AgentKeptChanging.into())
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
        let keep = Keep::nothing();
        self.rotate_credential(agent_id, rotation, act, keep)
            .await?;
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
