//! How a command fails: the message on stderr and the exit code.

use std::error::Error as StdError;
use std::io;
use std::process::ExitCode;

use crate::app::AppError;
use crate::config::DatabaseUrl;
use crate::config::fault::Faults;
use crate::domain::rejection::Rejection;
use crate::service::{self, manage};
use crate::telemetry::error_chain;

/// Why a command failed.
#[derive(Debug)]
pub(super) enum CommandFailure {
    /// Bad usage that the argument parser cannot detect: exit 2.
    Usage(String),
    /// Bad configuration: exit 2.
    Configuration(Faults),
    /// The command failed for another reason: exit 1.
    Failed(String),
    /// The store gave no answer: exit 1.
    Store(String),
    /// The command has already printed what went wrong: exit 1.
    Reported,
    /// The reader of stdout has closed the pipe: print nothing, exit 0.
    ClosedPipe,
}

impl CommandFailure {
    /// Prints on stderr what went wrong and returns the exit code.
    pub(super) fn report(self) -> ExitCode {
        match self {
            Self::Usage(why) => {
                tell(&why);
                ExitCode::from(2)
            }
            Self::Configuration(faults) => {
                tell(&faults.to_string());
                ExitCode::from(2)
            }
            Self::Failed(why) | Self::Store(why) => {
                tell(&why);
                ExitCode::FAILURE
            }
            Self::Reported => ExitCode::FAILURE,
            Self::ClosedPipe => ExitCode::SUCCESS,
        }
    }

    /// Adds the store's URL to a failure of the store.
    pub(super) fn of_store(self, url: &DatabaseUrl) -> Self {
        match self {
            Self::Store(why) => Self::Failed(format!("{url}: {why}")),
            other => other,
        }
    }

    /// A failure with the error and its causes in one line.
    pub(super) fn of(error: &(dyn StdError + 'static)) -> Self {
        Self::Failed(error_chain(error))
    }
}

/// Prints a line on stderr. Ignores a write error, since it could not be reported anywhere.
pub(super) fn tell(text: &str) {
    let _ = io::Write::write_all(
        &mut io::stderr(),
        format!("sealwright: {text}\n").as_bytes(),
    );
}

impl From<io::Error> for CommandFailure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::ClosedPipe
        } else {
            Self::of(&error)
        }
    }
}

impl From<service::Error> for CommandFailure {
    fn from(error: service::Error) -> Self {
        Self::Store(error_chain(&error))
    }
}

impl From<manage::ManageError> for CommandFailure {
    fn from(error: manage::ManageError) -> Self {
        match error {
            manage::ManageError::Failed(error) => error.into(),
            manage::ManageError::Rejected(rejection) => rejection.into(),
        }
    }
}

impl From<Rejection> for CommandFailure {
    /// Every class of rejection exits with 1: only what the argument parser refuses is bad usage.
    fn from(rejection: Rejection) -> Self {
        Self::Failed(rejection.to_string())
    }
}

impl From<AppError> for CommandFailure {
    fn from(fault: AppError) -> Self {
        match fault {
            AppError::Service(error) => error.into(),
            fault => Self::of(&fault),
        }
    }
}
