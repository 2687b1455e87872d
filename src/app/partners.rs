//! Builds the operations on partners.

use std::sync::Arc;

use crate::service::manage::partners::Partners;

use super::open::Opened;

impl Opened {
    /// The operations on partners.
    pub fn partners(&self) -> Partners {
        Partners::new(
            Arc::clone(&self.store),
            Arc::clone(&self.records),
            Arc::clone(&self.clock),
            Arc::clone(&self.entropy),
        )
    }
}
