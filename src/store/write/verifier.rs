//! What can be changed about verifiers, and the event of the change. Must not know SQL.

use crate::domain::event::Event;
use crate::domain::verifier::VerifierId;

/// What can be changed about verifiers. Each variant lists the outcomes that it can have besides
/// `Applied`.
#[derive(Debug, Clone)]
pub enum VerifierChange {
    /// Forgets a verifier that does not run any more. `NotFound` if it is not known.
    Remove(VerifierId),
}

impl VerifierChange {
    /// The audit event of the change.
    pub(super) fn event(&self) -> Event {
        let Self::Remove(id) = self;
        Event::VerifierRemoved {
            verifier: id.to_string(),
        }
    }
}
