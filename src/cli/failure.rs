//! How a command fails: what is said on stderr and the exit code.

use std::error::Error as StdError;
use std::io;
use std::process::ExitCode;

use crate::app::AppError;
use crate::config::DatabaseUrl;
use crate::config::fault::Faults;
use crate::domain::rejection::Rejection;
use crate::service::{self, manage};
use crate::telemetry::error_chain;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(super) enum CommandFailure {
    /// Bad usage that the parser cannot see: exit 2.
    Usage(String),
    /// Bad configuration: exit 2.
    Configuration(Faults),
    /// It could not be done: exit 1.
    Failed(String),
    /// The store gave no answer: exit 1.
    Store(String),
    /// The command said itself what went wrong: exit 1.
    Reported,
    /// The reader of stdout has gone: nobody is left to tell.
    ClosedPipe,
}

impl CommandFailure {
    /// Says on stderr what went wrong and gives the exit code.
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

    /// Names the store whose fault it is.
    pub(super) fn of_store(self, url: &DatabaseUrl) -> Self {
        match self {
            Self::Store(why) => Self::Failed(format!("{url}: {why}")),
            other => other,
        }
    }

    /// The error and its causes in one line.
    pub(super) fn of(error: &(dyn StdError + 'static)) -> Self {
        Self::Failed(error_chain(error))
    }
}

/// A line on stderr. When nobody reads it, nobody can be told.
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
    /// Every class of them is exit 1: bad usage is what the parser of the arguments refuses.
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
