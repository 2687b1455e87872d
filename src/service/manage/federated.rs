//! Federated credentials: what is refused of a new one. Must not know how a token is verified.

use crate::domain::agent::Agent;
use crate::domain::agent_filter::AgentFilter;
use crate::domain::id::AgentId;
use crate::domain::org::OrgId;
use crate::domain::partner::terms::PartnerId;
use crate::domain::rejection::FieldError;
use crate::service;

use super::agents::Agents;
use super::bulk::BulkAction;
use super::checks::NO_PARTNER;
use super::credentials::CredentialTerms;
use super::error::ManageError;
use super::partners::Partners;
use super::request::ChangeRequest;

impl Agents {
    /// What is wrong with a federated credential for this agent: its partner serves the agent's
    /// organization, everything that the partner requires is pinned, and its scopes are the agent's.
    pub(super) async fn federation_errors(
        &self,
        agent: &Agent,
        terms: &CredentialTerms,
    ) -> Result<Vec<FieldError>, service::Error> {
        let Some(federation) = &terms.federation else {
            return Ok(vec![]);
        };
        let mut errors = vec![];
        let found = self.parts.records.partner(federation.partner_id).await?;
        let serves = |org: &OrgId| org == &agent.org_id || org.is_default();
        match found.filter(|partner| serves(&partner.org_id)) {
            None => errors.push(FieldError::new("/partnerId", NO_PARTNER)),
            Some(partner) => {
                let missing = federation.unpinned(&partner.terms.required_claims);
                errors.extend(missing.map(|claim| {
                    let why = format!("lacks {}, which the partner requires", claim.as_str());
                    FieldError::new("/claims", why)
                }));
            }
        }
        let scopes = federation.scopes.iter().flatten().enumerate();
        let foreign = scopes.filter(|(_, scope)| !agent.profile.terms.scopes.contains(scope));
        errors.extend(foreign.map(|(index, _)| {
            FieldError::new(format!("/scopes/{index}"), "is no scope of the agent")
        }));
        Ok(errors)
    }
}

/// How many agents one commit changes.
const HOLDERS: i64 = 100;

impl Agents {
    /// Kills the live tokens of all agents that hold live credentials of a partner, a hundred with
    /// each commit, and the caller's last: whoever has no live token any more may change nothing.
    /// Returns whether there were any.
    pub async fn revoke_of_partner(
        &self,
        partners: &Partners,
        partner_id: PartnerId,
        request: ChangeRequest<'_>,
    ) -> Result<bool, ManageError> {
        let (mut last, mut refused): (Option<AgentId>, Vec<AgentId>) = (None, vec![]);
        loop {
            let holders = partners.holders(partner_id, last.as_ref(), HOLDERS).await?;
            let Some(through) = holders.last().cloned() else {
                break;
            };
            let filter = AgentFilter {
                ids: holders,
                ..AgentFilter::default()
            };
            let mut after = None;
            loop {
                let action = BulkAction::RevokeTokens;
                let piece = self.change_many(action, &filter, after.as_ref(), request);
                let piece = piece.await?;
                refused.extend(piece.refused);
                after = piece.next;
                if after.is_none() {
                    break;
                }
            }
            last = Some(through);
        }
        for agent_id in &refused {
            self.revoke_tokens(agent_id, request).await?;
        }
        Ok(last.is_some() && !request.is_dry_run())
    }
}
