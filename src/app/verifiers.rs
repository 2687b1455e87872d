//! Composes what knows the verifiers. Must not know what they enforce.

use std::sync::Arc;

use crate::service::verifiers::VerifierReports;

use super::open::Opened;

impl Opened {
    /// The reports of verifiers in the store.
    pub fn verifiers(&self) -> VerifierReports {
        VerifierReports::new(
            Arc::clone(&self.store),
            Arc::clone(&self.records),
            Arc::clone(&self.clock),
        )
    }
}
