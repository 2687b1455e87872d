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
    /// A file or a listener could not be had.
    #[error("{what}: {cause}")]
    System {
        /// What was being done.
        what: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Anything else that only an operator can mend.
    #[error("{0}")]
    Other(String),
}

/// The system's refusal of `what` was being done.
pub(super) fn system(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> AppError {
    move |cause| AppError::System {
        what: what.into(),
        cause,
    }
}
