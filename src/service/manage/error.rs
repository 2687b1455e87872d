//! Why an operator's operation was not done: it was rejected, and the operator is told why, or it
//! failed, and the failure is logged.

use crate::domain::rejection::{Rejection, RejectionCode};
use crate::service;
use crate::store::StoreError;

use super::checks::fault;

/// Why an operation did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    /// What the operator asked for is not possible.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Something failed.
    #[error(transparent)]
    Failed(#[from] service::Error),
}

impl ManageError {
    /// A fault without an underlying error, only a sentence for the log.
    pub(crate) fn fault(why: &str) -> Self {
        Self::Failed(fault(why))
    }
}

impl From<RejectionCode> for ManageError {
    fn from(code: RejectionCode) -> Self {
        Self::Rejected(code.into())
    }
}

impl From<StoreError> for ManageError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}
