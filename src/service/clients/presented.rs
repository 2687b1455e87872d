//! An assertion as a client presents it, and what proved it. Must not know how it is verified.

use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::assertion::AssertionRef;
use crate::domain::id::{ClientId, CredentialId};
use crate::domain::proof::PartnerProof;
use crate::keys::assertion::Assertion;

/// An assertion as a client presents it. It has no `Debug` that tells anything.
#[derive(Debug)]
pub struct PresentedAssertion {
    /// `None` if the text has not the shape of one.
    pub(super) read: Option<Assertion>,
    /// The `client_id` parameter beside it.
    pub(super) named: Option<Box<str>>,
    /// What proved it, once it is proven: the credential, and what is kept of the assertion.
    proof: Mutex<Option<(CredentialId, AssertionRef)>>,
    /// What proved it, if it is a partner's token.
    of_partner: Mutex<Option<(CredentialId, Arc<PartnerProof>)>>,
}

impl PresentedAssertion {
    /// Reads an assertion, which may come with the parameter `client_id`. Returns also the client
    /// that the two name.
    pub fn read(text: &str, client_id: Option<&str>) -> (Self, ClientId) {
        let read = Assertion::read(text);
        let subject = read.as_ref().and_then(Assertion::subject);
        let named = ClientId::parse(client_id.or(subject).unwrap_or_default());
        let presented = Self {
            read,
            named: client_id.map(Into::into),
            proof: Mutex::new(None),
            of_partner: Mutex::new(None),
        };
        (presented, named)
    }

    /// What proved it.
    pub fn proof(&self) -> Option<(CredentialId, AssertionRef)> {
        *self.proof.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What proved it, if it is a partner's token that proved its agent.
    pub fn of_partner(&self) -> Option<(CredentialId, Arc<PartnerProof>)> {
        let proof = self.of_partner.lock();
        proof.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps what proved it, if a partner's token did.
    pub(super) fn prove_by_partner(&self, proof: Option<(CredentialId, Arc<PartnerProof>)>) {
        let kept = self.of_partner.lock();
        *kept.unwrap_or_else(PoisonError::into_inner) = proof;
    }

    /// Keeps what proved it.
    pub(super) fn prove(&self, proof: Option<(CredentialId, AssertionRef)>) {
        *self.proof.lock().unwrap_or_else(PoisonError::into_inner) = proof;
    }
}
