//! Why a command or a server could not do its work. Its text is for the operator's terminal.

use crate::service;
use crate::store::OpenError;

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The store cannot be opened.
    #[error("cannot open {url}")]
    Open {
        /// Which one, without passwords.
        url: String,
        /// Why.
        #[source]
        cause: OpenError,
    },
    /// Something failed on the way.
    #[error(transparent)]
    Service(#[from] service::Error),
    /// A system call for a file or a listener failed.
    #[error("{what}: {cause}")]
    System {
        /// What the program tried to do.
        what: String,
        /// The system's error.
        cause: std::io::Error,
    },
    /// Any other problem that only an operator can solve.
    #[error("{0}")]
    Other(String),
}

/// Wraps a system error with `what`: what the program tried to do.
pub(super) fn system(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> AppError {
    move |cause| AppError::System {
        what: what.into(),
        cause,
    }
}
