//! Builds the operations on organizations.

use std::sync::Arc;

use crate::service::manage::orgs::Orgs;

use super::open::Opened;

impl Opened {
    /// The operations on organizations.
    pub fn orgs(&self) -> Orgs {
        Orgs::new(
            Arc::clone(&self.store),
            Arc::clone(&self.records),
            Arc::clone(&self.clock),
            Arc::clone(&self.entropy),
        )
    }
}
