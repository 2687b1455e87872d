//! How an operation fails: by a refusal, which is expected and public, or by a fault, which is
//! neither.
//!
//! Owns which failure of a store or a key is a fault, and which one may be tried again. Must not
//! know how a failure is shown to a caller.

use std::error::Error as StdError;
use std::sync::Arc;

use crate::domain::refusal::Refusal;
use crate::entropy::NoEntropy;
use crate::keys::KeyFault;
use crate::store::StoreError;

/// Why an operation did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Expected and public: the caller is told why.
    #[error("refused: {}", .0.message())]
    Refused(Refusal),
    /// Infrastructure failed or is overloaded: the caller may retry. Never a verdict (contract D9).
    #[error("unavailable")]
    Unavailable(#[source] Arc<dyn StdError + Send + Sync>),
    /// A bug or a broken row: opaque to the caller. It is logged once, where the response is made.
    #[error("fault")]
    Fault(#[source] Arc<dyn StdError + Send + Sync>),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(cause) => Self::Unavailable(cause),
            StoreError::Busy => Self::Unavailable(Arc::new(error)),
            StoreError::Fault(cause) => Self::Fault(cause),
        }
    }
}

impl From<NoEntropy> for Error {
    fn from(none: NoEntropy) -> Self {
        Self::Fault(Arc::new(none))
    }
}

impl From<KeyFault> for Error {
    fn from(fault: KeyFault) -> Self {
        match fault {
            KeyFault::NoSigningKey => Self::Unavailable(Arc::new(fault)),
            _ => Self::Fault(Arc::new(fault)),
        }
    }
}

/// Why the keys of the store could not be read. Never a refusal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyReadError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key that signs cannot be used.
    #[error(transparent)]
    Key(#[from] KeyFault),
}

impl From<KeyReadError> for Error {
    fn from(error: KeyReadError) -> Self {
        match error {
            KeyReadError::Store(error) => error.into(),
            KeyReadError::Key(fault) => fault.into(),
        }
    }
}

/// A fault without an underlying error, only a sentence for the log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Cause(pub String);
