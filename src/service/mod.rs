//! What the server does, behind two front doors: HTTP and the command line.
//!
//! Owns the order of steps and the two kinds of failure. Must not know HTTP, SQL, or the environment.
//!
//! Reading order: [`secret`], [`authenticate`], [`codes`], [`issue`] (the mint), [`replay`], [`tokens`] (what a
//! presented token is worth), [`revoke`], [`revocations`] (the list), [`keys`], [`limits`], [`failures`],
//! [`clock`], [`readiness`]; for operators [`agents`], [`scopes`], [`inspect`].

use std::error::Error as StdError;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::domain::quota::Plans;
use crate::domain::refusal::Refusal;
use crate::entropy::NoEntropy;
use crate::keys::KeyFault;
use crate::store::StoreError;

pub mod agents;
pub mod authenticate;
pub mod clock;
pub mod codes;
pub mod failures;
pub mod inspect;
pub mod issue;
pub mod keys;
pub mod limits;
pub mod readiness;
pub mod replay;
pub mod revocations;
pub mod revoke;
pub mod scopes;
pub mod secret;
pub mod tokens;

/// The configured plans, which can change while the process runs.
pub type SharedPlans = Arc<ArcSwap<Plans>>;

/// Why an operation did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Expected and public: the caller is told why.
    #[error("refused: {}", .0.message())]
    Refused(Refusal),
    /// Infrastructure failed or is overloaded: the caller may come again. Never a verdict (contract D9).
    #[error("unavailable")]
    Unavailable(#[source] Arc<dyn StdError + Send + Sync>),
    /// A bug or a broken row: opaque to the caller, logged once where it leaves.
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

impl From<secret::Shed> for Error {
    fn from(shed: secret::Shed) -> Self {
        Self::Unavailable(Arc::new(shed))
    }
}

impl From<secret::HashFault> for Error {
    fn from(fault: secret::HashFault) -> Self {
        Self::Fault(Arc::new(fault))
    }
}

impl From<secret::NotHashed> for Error {
    fn from(not: secret::NotHashed) -> Self {
        match not {
            secret::NotHashed::Shed(shed) => shed.into(),
            secret::NotHashed::Fault(fault) => fault.into(),
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

/// A fault that is nothing but a sentence for the log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Cause(pub String);
