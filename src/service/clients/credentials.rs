//! What a client sent to authenticate, before it is verified.

use std::net::IpAddr;
use std::sync::Arc;

use crate::domain::assertion::AssertionRef;
use crate::domain::credential::Credential;
use crate::domain::id::ClientId;
use crate::domain::proof::{OwnProof, PartnerProof, ProvenBy};

use super::presented::PresentedAssertion;
use super::secret::Secret;

/// What a client sent to authenticate.
#[derive(Debug)]
pub struct ClientCredentials {
    /// The id that the client claims.
    pub client_id: ClientId,
    /// The secret as sent. `None` if it is empty, too long or holds a NUL: such a secret matches
    /// nothing.
    pub secret: Option<Secret>,
    /// The secret as it stood in HTTP Basic, if form-decoding changed it.
    pub raw_secret: Option<Secret>,
    /// The assertion, if the client authenticates by one. Then there is no secret.
    pub assertion: Option<PresentedAssertion>,
    /// The client's address, for the limit on failures.
    pub source: Option<IpAddr>,
}

impl ClientCredentials {
    /// The credentials as the client sent them.
    pub fn new(client_id: ClientId, secret: &str, source: Option<IpAddr>) -> Self {
        Self {
            client_id,
            secret: Secret::parse(secret).ok(),
            raw_secret: None,
            assertion: None,
            source,
        }
    }

    /// What is kept of the client assertion that proved the agent, if one did.
    pub fn assertion(&self) -> Option<AssertionRef> {
        let (_, assertion) = self.assertion.as_ref()?.proof()?;
        Some(assertion)
    }

    /// What the partner's token allows that proved the agent, if one did.
    pub fn partner_proof(&self) -> Option<Arc<PartnerProof>> {
        let (_, proof) = self.assertion.as_ref()?.of_partner()?;
        Some(proof)
    }

    /// How the agent proved itself: by this partner's token, if it is one.
    pub fn proven_by<'p>(&self, partner: Option<&'p PartnerProof>) -> ProvenBy<'p> {
        match (partner, &self.assertion) {
            (Some(proof), _) => ProvenBy::Partner(proof),
            (None, Some(_)) => ProvenBy::Own(OwnProof::Key),
            (None, None) => ProvenBy::Own(OwnProof::Secret),
        }
    }

    /// An assertion (RFC 7523), which may come with the parameter `client_id`.
    pub fn by_assertion(text: &str, client_id: Option<&str>, source: Option<IpAddr>) -> Self {
        let (assertion, client_id) = PresentedAssertion::read(text, client_id);
        Self {
            client_id,
            secret: None,
            raw_secret: None,
            assertion: Some(assertion),
            source,
        }
    }

    /// Adds the secret as it stood in HTTP Basic, if form-decoding changed it.
    #[must_use]
    pub fn with_raw_secret(self, raw: Option<&str>) -> Self {
        Self {
            raw_secret: raw.and_then(|raw| Secret::parse(raw).ok()),
            ..self
        }
    }

    /// The secret to compare with this credential: only one of the two, so that no request costs
    /// two hashes.
    pub(super) fn secret_for<'a>(
        &'a self,
        credential: &Credential,
        decoded: &'a Secret,
    ) -> &'a Secret {
        self.raw_secret
            .as_ref()
            .filter(|_| credential.raw_basic)
            .unwrap_or(decoded)
    }

    /// Whether the secret to compare with this credential is the one as it stood in HTTP Basic,
    /// which form-decoding changed.
    pub(super) fn is_raw_for(&self, credential: &Credential) -> bool {
        credential.raw_basic && self.raw_secret.is_some()
    }
}
