//! Makes credentials of agents: secrets, generated or chosen, and what verifies them. Must not know what they are
//! made for.

use std::sync::Arc;

use crate::clock::Clock as _;
use crate::domain::credential::{Credential, CredentialKind, SecretHash, Tag};
use crate::domain::id::{AgentId, CredentialId};
use crate::domain::rejection::Rejection;

use crate::service;
use crate::service::clients::secret::Secret;

use super::agents::Agents;
use super::checks::fault;
use super::credentials::CredentialTerms;
use super::error::ManageError;
use super::request::ChangeRequest;

impl Agents {
    /// A new credential, with its secret if it is one. If a change is only tried, there is no secret,
    /// and nothing verifies the credential: to hash is the dearest step, and the credential is never
    /// stored.
    pub(super) async fn make_or_sketch_credential(
        &self,
        agent_id: &AgentId,
        chosen: Option<Secret>,
        terms: &CredentialTerms,
        request: &ChangeRequest<'_>,
    ) -> Result<(Option<Secret>, Credential), ManageError> {
        if terms.kind() != CredentialKind::Secret {
            let (keys, federation) = (terms.keys.as_ref(), terms.federation.as_ref());
            let subject = federation.map(|federation| federation.subject.as_str());
            let hint = keys.map(|keys| &*keys.hint).or(subject);
            let nothing = SecretHash(String::new().into());
            let tag = Some(Tag(String::new().into()));
            let credential = self.new_credential(agent_id, nothing, tag, None)?;
            return Ok((
                None,
                Credential {
                    keys: keys.map(|keys| keys.keys.clone()),
                    federation: federation.cloned().map(Arc::new),
                    prefix: hint.unwrap_or_default().into(),
                    ..credential
                },
            ));
        }
        if request.is_dry_run() {
            let hash = SecretHash(String::new().into());
            return Ok((None, self.new_credential(agent_id, hash, None, None)?));
        }
        let (secret, credential) = self.make_credential(agent_id, chosen).await?;
        Ok((Some(secret), credential))
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
            keys: None,
            federation: None,
        })
    }
}
