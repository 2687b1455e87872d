//! Imports many agents at once from another system, with their ids and secrets.
//!
//! Owns the rules for a line, and that each line is imported completely or not at all. Must not
//! know the file's format. An existing agent is never changed, so an import that stopped half-way
//! is resumed by running it again.

use std::sync::Arc;

use crate::clock::Clock as _;
use crate::domain::Invalid;
use crate::domain::about::parse_expiry;
use crate::domain::act::Act;
use crate::domain::agent::{
    AgentName, AgentStatus, Audience, Profile, RedirectUri, SuspendedBy, Terms, UserId,
};
use crate::domain::catalogue::Catalogue;
use crate::domain::credential::{Credential, SecretHash, Tag};
use crate::domain::id::AgentId;
use crate::domain::org::OrgId;
use crate::domain::quota::PlanName;
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::domain::scope::Scope;
use crate::store::{AgentChange, AgentRecord, Change, Freshness, Outcome, Write};

use crate::service;
use crate::service::clients::secret::bulk::hash_all;
use crate::service::clients::secret::{Secret, kdf};

use super::agents::Agents;
use super::checks::{demand_none, no_outcome, scope_errors};
use super::error::ManageError;
use super::row::{Row, RowFault, about, broken, each, once, optional, parse_ttl};

/// The best number of lines for one import. Each call holds the store's lock once, and only
/// briefly.
pub(crate) const PIECE: usize = 100;

/// A row that meets every rule.
struct Candidate {
    agent_id: AgentId,
    profile: Profile,
    status: AgentStatus,
    proof: GivenSecret,
    raw_basic: bool,
}

impl Candidate {
    fn describes(&self, there: &AgentRecord) -> bool {
        let agent = &there.agent;
        // Only a foreign secret is ever compared as it stands in HTTP Basic.
        let raw_basic = there
            .credentials
            .iter()
            .any(|credential| credential.raw_basic);
        (&self.profile, self.status, self.raw_basic) == (&agent.profile, agent.status, raw_basic)
    }
}

enum GivenSecret {
    Clear(Secret, Option<Tag>),
    Hashed(SecretHash),
}

/// What became of a row that meets every rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// The row's agent was made.
    Made,
    /// An agent with this id exists, and equals the row in everything but the secret, which cannot
    /// be compared. Nothing was changed.
    Existing,
}

impl Agents {
    /// Imports `rows`, best [`PIECE`] of them at once. Returns what became of each row, or why it
    /// was refused. If the call fails, none of its rows was imported.
    pub async fn import(
        &self,
        rows: &[Row],
        act: &Act,
    ) -> Result<Vec<Result<Imported, RowFault>>, ManageError> {
        let catalogue = self.parts.store.catalogue(Freshness::Fresh).await?;
        let mut verdicts = Vec::with_capacity(rows.len());
        let mut accepted = Vec::new();
        for row in rows {
            verdicts.push(match self.check(row, &catalogue) {
                // Checked before the secret is hashed, so that a second run is quick. The commit
                // checks it again.
                Ok(candidate) => match self
                    .parts
                    .store
                    .agent(&candidate.agent_id, Freshness::Fresh)
                    .await?
                {
                    None => {
                        accepted.push((verdicts.len(), candidate));
                        Ok(Imported::Made)
                    }
                    Some(there) if candidate.describes(&there) => Ok(Imported::Existing),
                    Some(_) => Err(taken_fault()),
                },
                Err(fault) => Err(fault),
            });
        }
        let (places, candidates): (Vec<usize>, Vec<Candidate>) = accepted.into_iter().unzip();
        let writes = self.writes(candidates, act).await?;
        if writes.is_empty() {
            return Ok(verdicts);
        }
        let outcomes = self.parts.store.commit(writes).await?;
        if outcomes.len() != places.len() {
            return Err(no_outcome().into());
        }
        for (place, outcome) in places.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Conflict => verdicts[place] = Err(taken_fault()),
                Outcome::Clash => verdicts[place] = Err(namesake_fault(&rows[place])),
                _ => {}
            }
        }
        Ok(verdicts)
    }

    fn check(&self, row: &Row, catalogue: &Catalogue) -> Result<Candidate, RowFault> {
        let agent_id = AgentId::parse(&row.client_id).map_err(broken("clientId"))?;
        let name = row.name.as_deref().unwrap_or(&row.client_id);
        let ttl = match row.ttl.as_deref() {
            None => None,
            Some(text) => Some(parse_ttl(text).map_err(broken("ttl"))?),
        };
        let plan = row
            .plan
            .as_deref()
            .map_or_else(|| Ok(PlanName::free()), PlanName::parse);
        let profile = Profile {
            name: AgentName::parse(name).map_err(broken("name"))?,
            about: about(row)?,
            terms: Arc::new(Terms {
                scopes: once(each(&row.scopes, Scope::parse).map_err(broken("scopes"))?),
                ttl,
                plan: plan.map_err(broken("plan"))?,
                audiences: each(&row.audiences, Audience::parse).map_err(broken("audiences"))?,
                redirect_uris: each(&row.redirect_uris, RedirectUri::parse)
                    .map_err(broken("redirectUris"))?,
                user_ids: each(&row.user_ids, UserId::parse).map_err(broken("userIds"))?,
            }),
            expires_at: optional(row.expires_at.as_ref(), parse_expiry)
                .map_err(broken("expiresAt"))?,
        };
        let refused = |field| {
            move |why: Rejection| RowFault {
                field,
                rule: why.to_string(),
            }
        };
        demand_none(scope_errors(&profile.terms.scopes, catalogue)).map_err(refused("scopes"))?;
        demand_none(self.plan_errors(&profile.terms.plan)).map_err(refused("plan"))?;
        let status = match row.status.as_deref() {
            None | Some("active") => AgentStatus::Active,
            Some("suspended") => AgentStatus::Suspended,
            Some(_) => {
                return Err(broken("status")(Invalid(
                    "an agent is imported active or suspended",
                )));
            }
        };
        let raw_basic = match row.raw_basic.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(broken("rawBasic")(Invalid("it is true or false"))),
        };
        let proof = self.check_secret(row, &agent_id)?;
        Ok(Candidate {
            agent_id,
            profile,
            status,
            proof,
            raw_basic,
        })
    }

    fn check_secret(&self, row: &Row, agent_id: &AgentId) -> Result<GivenSecret, RowFault> {
        match (&row.secret, &row.secret_hash) {
            (Some(text), None) => {
                let secret = Secret::parse_given(text).map_err(broken("secret"))?;
                let tag = self
                    .parts
                    .secrets
                    .tag_of_chosen(agent_id, &secret)
                    .map_err(broken("secret"))?;
                Ok(GivenSecret::Clear(secret, tag))
            }
            (None, Some(hash)) => kdf::check_imported(hash)
                .map(GivenSecret::Hashed)
                .map_err(broken("secretHash")),
            (Some(_), Some(_)) => Err(broken("secretHash")(Invalid(
                "a line has secret or secretHash, not both",
            ))),
            (None, None) => Err(broken("secret")(Invalid("a line has secret or secretHash"))),
        }
    }

    /// One write for each candidate. Secrets in clear are hashed here, while no lock is held.
    async fn writes(
        &self,
        candidates: Vec<Candidate>,
        act: &Act,
    ) -> Result<Vec<Write>, service::Error> {
        let clear = |c: &Candidate| match &c.proof {
            GivenSecret::Clear(secret, _) => Some(secret.clone()),
            GivenSecret::Hashed(_) => None,
        };
        let secrets: Vec<Secret> = candidates.iter().filter_map(clear).collect();
        let entropy = Arc::clone(&self.parts.entropy);
        let hashes = tokio::task::spawn_blocking(move || hash_all(&secrets, &*entropy));
        let mut hashes = hashes
            .await
            .map_err(|died| service::Error::Fault(Arc::new(died)))?
            .into_iter();
        let mut writes = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            let agent_id = &candidate.agent_id;
            let mut credential: Credential = match candidate.proof {
                GivenSecret::Hashed(hash) => self.new_credential(agent_id, hash, None, None)?,
                GivenSecret::Clear(secret, tag) => {
                    let hash = hashes.next().ok_or_else(no_outcome)??;
                    self.new_credential(agent_id, hash, tag, Some(&secret))?
                }
            };
            credential.raw_basic = candidate.raw_basic;
            let mut agent = self.new_agent(agent_id, OrgId::default(), candidate.profile);
            // The agent is suspended from its first moment, so it never had a token that would have
            // to be killed.
            agent.status = candidate.status;
            if candidate.status == AgentStatus::Suspended {
                agent.suspended_by = Some(SuspendedBy::Operator);
            }
            let change = Change::Agent(AgentChange::Create {
                agent: Box::new(agent),
                credential: Box::new(credential),
            });
            writes.push(Write::new(
                act.committed_at(self.parts.clock.moment()),
                change,
            ));
        }
        Ok(writes)
    }
}

fn taken_fault() -> RowFault {
    RowFault {
        field: "clientId",
        rule: "taken by an agent that this line does not describe".to_owned(),
    }
}

/// In a row without users, the id is the field at fault.
fn namesake_fault(row: &Row) -> RowFault {
    let field = if row.user_ids.is_empty() {
        "clientId"
    } else {
        "userIds"
    };
    RowFault {
        field,
        rule: Rejection::from(RejectionCode::IdOfUser).to_string(),
    }
}
