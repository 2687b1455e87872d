//! Secrets of agents: making them, and rotating them with or without an overlap. Must not know who
//! may ask.

use crate::clock::Clock as _;
use crate::domain::act::Act;
use crate::domain::credential::{Credential, SecretHash, Tag};
use crate::domain::id::{AgentId, CredentialId};
use crate::domain::rejection::{Rejection, RejectionCode};
use crate::store::{Change, CredentialChange, Outcome};

use crate::service;
use crate::service::clients::secret::Secret;

use super::agents::Agents;
use super::checks::{accepted, fault};
use super::error::ManageError;
use super::view::NewSecret;

/// The longest that an old secret may live beside the new one, in seconds: 30 days.
pub(crate) const MAX_OVERLAP: i64 = 2_592_000;

impl Agents {
    /// Gives an agent a new secret, `chosen` or drawn. Each live secret ends at its own end or
    /// `overlap` seconds from now, whichever is first.
    pub async fn rotate_secret(
        &self,
        agent_id: &AgentId,
        chosen: Option<Secret>,
        overlap: i64,
        act: &Act,
    ) -> Result<NewSecret, ManageError> {
        if !(0..=MAX_OVERLAP).contains(&overlap) {
            return Err(Rejection::of_field(
                "/overlapSeconds",
                "an overlap is 0 to 2592000 seconds",
            )
            .into());
        }
        // Checked before the secret is hashed, and again by the commit.
        self.demand_living(agent_id).await?;
        let (secret, credential) = self.make_credential(agent_id, chosen).await?;
        let credential_id = credential.credential_id;
        let max_live = self.parts.credentials_per_agent;
        let change = Change::Credential(CredentialChange::Rotate {
            credential: Box::new(credential),
            label: None,
            overlap,
            max_live,
        });
        match self.commit(change, act).await? {
            Outcome::TooMany => return Err(self.too_many_credentials(agent_id).await?.into()),
            outcome => accepted(outcome)?,
        }
        // The store has decided when the old secrets end. If the row cannot be read now, the new
        // secret is returned all the same, because it has been made.
        let (record, now) = (self.find(agent_id).await, self.parts.clock.now());
        let old = record.iter().flat_map(|record| &record.credentials);
        let ends = old
            .filter(|old| old.credential_id != credential_id)
            .filter_map(|old| old.expires_at);
        let old_expires_at = ends.max().unwrap_or(if record.is_ok() {
            now
        } else {
            now.saturating_add(overlap)
        });
        let (agent_id, old_expires_at) = (agent_id.clone(), Some(old_expires_at));
        Ok(NewSecret {
            agent_id,
            credential_id,
            secret,
            old_expires_at,
            warnings: vec![],
        })
    }

    /// The rejection that names the secrets that would have to end before there may be one more.
    async fn too_many_credentials(&self, agent_id: &AgentId) -> Result<Rejection, ManageError> {
        let (record, now, limit) = (
            self.find(agent_id).await?,
            self.parts.clock.now(),
            self.parts.credentials_per_agent,
        );
        // Sorted by their end, and from the oldest on if the end is the same. A secret without an
        // end is last.
        let mut live: Vec<&Credential> = record
            .credentials
            .iter()
            .rev()
            .filter(|c| c.is_live(now))
            .collect();
        live.sort_by_key(|credential| credential.expires_at.map_or(i64::MAX, |end| end.0));
        let allowed = usize::try_from(limit.saturating_sub(1)).unwrap_or_default();
        live.truncate(live.len().saturating_sub(allowed).max(1));
        let shown = |credential: &&Credential| {
            let ends = credential.expires_at.map_or_else(
                || "has no end".to_owned(),
                |end| format!("ends {}", end.to_rfc3339()),
            );
            format!(
                "{} (created {}, {ends})",
                credential.credential_id,
                credential.created_at.to_rfc3339()
            )
        };
        let first_to_end = live.iter().map(shown).collect::<Vec<_>>().join(", ");
        let message = format!(
            "an agent has {limit} live secrets at most (limits.credentials_per_agent), and with an overlap there \
             would be more: {first_to_end} would have to end first; without an overlap all end at once"
        );
        Ok(Rejection::with(RejectionCode::TooManyCredentials, message))
    }

    pub(super) async fn make_credential(
        &self,
        agent_id: &AgentId,
        chosen: Option<Secret>,
    ) -> Result<(Secret, Credential), ManageError> {
        let (secret, tag) = if let Some(secret) = chosen {
            let tag = self.parts.secrets.tag_of_chosen(agent_id, &secret);
            let tag = tag.map_err(|rule| Rejection::of_field("/clientSecret", rule.0))?;
            (secret, tag)
        } else {
            let generated = self
                .parts
                .secrets
                .generate(agent_id)
                .map_err(service::Error::from)?;
            let (secret, tag) = generated.ok_or_else(|| fault("the store has no tag key"))?;
            (secret, Some(tag))
        };
        let hash = self
            .parts
            .secrets
            .hash(&secret)
            .await
            .map_err(service::Error::from)?;
        let credential = self.new_credential(agent_id, hash, tag, Some(&secret))?;
        Ok((secret, credential))
    }

    pub(super) fn new_credential(
        &self,
        agent_id: &AgentId,
        hash: SecretHash,
        tag: Option<Tag>,
        secret: Option<&Secret>,
    ) -> Result<Credential, service::Error> {
        // An operator may have chosen a word as the secret, so no part of such a secret is stored
        // in clear.
        let prefix = secret
            .filter(|_| tag.is_some())
            .map(Secret::prefix)
            .unwrap_or_default();
        Ok(Credential {
            credential_id: CredentialId(self.draw_id()?),
            agent_id: agent_id.clone(),
            hash,
            tag,
            prefix: prefix.into(),
            created_at: self.parts.clock.now(),
            expires_at: None,
            raw_basic: false,
        })
    }
}
